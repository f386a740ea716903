// SPDX-License-Identifier: GPL-2.0

//! Whole segments, and the buffers that they are read to and written from.
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
        segment::{
            self,
            Location,
            Record,
            Records,
            SegmentWriter,
            BLOCKS, //
        },
    },
    kernel_ext::{
        block::transfer::Transfer,
        crypto::checksum::crc32c, //
    },
};
use core::convert::Infallible;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A segment of a store that was taken.
pub(crate) type Taken = (Arc<BackingStore>, TakenSegment);

/// A buffer of a segment, that segments are read to, or written from.
pub(crate) struct SegmentBuffer(Pin<KBox<Transfer<Infallible>>>);

impl SegmentBuffer {
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Transfer::new(BLOCKS)?))
    }

    /// Reads a segment, to move what is in it elsewhere. One that cannot be read is in doubt from then
    /// on.
    ///
    /// Errors: [`EIO`].
    pub(crate) fn read(&mut self, (store, taken): Taken) -> Result<Source> {
        match store.read_segment(self.0.as_mut(), &taken) {
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

    /// The records of `source`, which was read last.
    pub(crate) fn records(&self, source: &Source) -> Records<'_> {
        let generation = source.taken.generation() as u32;
        segment::records(self.0.bytes(), generation, crc32c)
    }

    /// What fills the buffer with records for the segment `taken`.
    pub(crate) fn writer(&mut self, taken: &TakenSegment) -> SegmentWriter<'_> {
        let generation = taken.generation() as u32;
        SegmentWriter::new(self.0.as_mut().bytes_mut(), generation, crc32c)
    }

    /// Writes the first `blocks` of the buffer to the segment `taken` of `store`. The buffer is
    /// encrypted by that.
    ///
    /// Errors: those of the device.
    pub(crate) fn write(
        &mut self,
        store: &BackingStore,
        taken: &TakenSegment,
        blocks: usize,
    ) -> Result {
        store.write_segment(self.0.as_mut(), taken, blocks)
    }
}

/// A segment that was read, to move what is in it elsewhere.
pub(crate) struct Source {
    store: Arc<BackingStore>,
    taken: TakenSegment,
    /// Records of it that were looked at.
    pub(crate) done: usize,
    /// Whether all of them could be read so far.
    pub(crate) intact: bool,
}

impl Source {
    /// The slot of `record`, which is one of this segment, and its entry, if that names the record.
    pub(crate) fn owner_of<'t>(
        &self,
        tables: &'t Tables,
        record: &Record<'_>,
    ) -> Option<(TableSlot<'t>, Redirect)> {
        if !record.intact {
            return None;
        }
        let location = Location::new(self.store.number(), self.taken.segment(), record.unit)?;
        let slot = tables.slot(record.owner)?;
        match slot.peek() {
            Entry::Redirected(redirect)
                if redirect.location == location
                    && redirect.length.bytes() == record.data.len() =>
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
