// SPDX-License-Identifier: GPL-2.0

//! Whole segments, as they are read to buffers and written from them.
//!
//! Context of all here: the mover is locked; waits for I/O.

use crate::{
    backing::store::BackingStore,
    contents::table::{
        TableSlot,
        Tables, //
    },
    core::{
        entry::{
            Entry,
            Redirect, //
        },
        log::TakenSegment,
        message::Message,
        segment::{
            Location,
            Next,
            Record,
            SegmentWriter,
            Walk,
            INDEX,
            SEGMENT, //
        },
    },
    kernel_ext::{
        block::buffer::Block,
        sched::cond_resched, //
    },
    writeback::lanes::{
        Copied,
        SegmentBuffer, //
    },
};
use kernel::{
    alloc::KVVec,
    prelude::*,
    sync::Arc, //
};

/// A segment of a store that was taken.
pub(crate) type Taken = (Arc<BackingStore>, TakenSegment);

impl SegmentBuffer {
    /// Reads a segment, to move what is in it elsewhere. One that cannot be read is in doubt from then
    /// on.
    ///
    /// Errors: [`EIO`].
    pub(crate) fn read(&mut self, (store, taken): Taken) -> Result<Source> {
        match store.read_segment(self.transfer.as_mut(), &taken) {
            Ok(()) => Ok(Source {
                store,
                taken,
                done: 0,
                intact: true,
            }),
            Err(_) => {
                store.log.doubt(taken);
                Err(EIO)
            }
        }
    }

    /// The records of `source`, which was read last, that were not looked at yet.
    pub(crate) fn records(&mut self, source: &mut Source) -> SegmentRecords<'_> {
        let mut records = SegmentRecords {
            blocks: self.transfer.blocks(),
            room: self.room.blocks_mut(),
            walk: Walk::new(SEGMENT),
            index: None,
        };
        for _ in 0..source.done {
            let _ = records.next(source);
        }
        records
    }

    /// What fills the buffer with records.
    pub(crate) fn writer(&mut self) -> SegmentWriter<'_> {
        self.fill().0
    }

    /// The same, and the list of what was copied from memory, which is empty.
    pub(crate) fn fill(&mut self) -> (SegmentWriter<'_>, &mut KVVec<Copied>) {
        self.copies.clear();
        let writer = SegmentWriter::new(self.transfer.as_mut().bytes_mut());
        (writer, &mut self.copies)
    }

    /// Protects what a writer put into the first `blocks` of the buffer, and writes them to the segment
    /// `taken` of `store`. They are of no other use after that.
    ///
    /// Errors: those of the device.
    pub(crate) fn write(
        &mut self,
        store: &BackingStore,
        taken: &TakenSegment,
        blocks: usize,
    ) -> Result {
        store.write_segment(self.transfer.as_mut(), taken, blocks)
    }
}

/// The records of a segment that was read. Of each no more is read than what is asked for.
pub(crate) struct SegmentRecords<'a> {
    blocks: &'a [Block],
    room: &'a mut [Block],
    walk: Walk,
    /// The index that the walk is at, once it was read.
    index: Option<[u8; INDEX]>,
}

impl SegmentRecords<'_> {
    /// The next record of `source`; [`None`] at the end. Where an index is not what was written there,
    /// `source` is not intact.
    pub(crate) fn next(&mut self, source: &mut Source) -> Option<Record> {
        loop {
            cond_resched();
            if self.index.is_none() {
                let message = Message::index(source.taken.generation(), self.walk.index());
                self.index = self.verify(source, &message)?.first_chunk().copied();
            }
            match self.walk.next(self.index.as_ref()?) {
                Next::Record(record) => return Some(record),
                Next::Index => self.index = None,
                Next::End => return None,
            }
        }
    }

    /// The object of `record`, which is one of these. If it is not what was written there, `source` is
    /// not intact.
    pub(crate) fn object(&mut self, source: &mut Source, record: &Record) -> Option<&[u8]> {
        let message = Message::object(source.taken.generation(), record);
        self.verify(source, &message)?.get(..record.length)
    }

    fn verify(&mut self, source: &mut Source, message: &Message) -> Option<&[u8]> {
        let blocks = self.blocks.get(message.block()..)?;
        let room = self.room.first_mut()?;
        let protection = &source.store.device.protection;
        let content = protection.verify(message, blocks, Some(room))?;
        source.intact &= content.is_ok();
        content.ok()
    }
}

/// A segment that was read, to move what is in it elsewhere.
pub(crate) struct Source {
    store: Arc<BackingStore>,
    taken: TakenSegment,
    /// Records of it that were looked at.
    pub(crate) done: usize,
    /// Whether all that was read of it is what was written.
    pub(crate) intact: bool,
}

impl Source {
    /// The slot of `record`, which is one of this segment, and its entry, if that names the record.
    pub(crate) fn owner_of<'t>(
        &self,
        tables: &'t Tables,
        record: &Record,
    ) -> Option<(TableSlot<'t>, Redirect)> {
        let location = Location::new(self.store.number(), self.taken.segment(), record.unit)?;
        let slot = tables.slot(record.owner)?;
        match slot.peek() {
            Entry::Redirected(redirect)
                if redirect.location == location
                    && redirect.form.length.bytes() == record.length =>
            {
                Some((slot, redirect))
            }
            _ => None,
        }
    }

    /// Returns whether all that was in it was moved, or was freed. Waits a moment for what is being
    /// freed.
    pub(crate) fn is_emptied(&self) -> bool {
        self.store.wait_until_emptied(self.taken.segment())
    }

    /// Gives the segment back, as far emptied as it is. If something is left in it that cannot be read,
    /// the segment is in doubt from then on, for it would be chosen again and again; that is [`EIO`].
    pub(crate) fn end(self) -> Result {
        if self.intact {
            self.store.log.seal(self.taken);
            Ok(())
        } else {
            self.store.log.doubt(self.taken);
            Err(EIO)
        }
    }
}
