// SPDX-License-Identifier: GPL-2.0

//! Writes objects of the cache to the backing stores.
//!
//! Objects go out compressed, and packed into a segment: as they are, or, if the pool has a second
//! compressor, as that makes them, where it makes them smaller. A batch is one segment. Its objects
//! are copied and marked here. Then it goes by itself, while the next batch is filled: the segment is
//! written, and what is still marked then is redirected, see [`crate::writeback::lanes`].
//!
//! What goes is of the coldest clusters, see [`crate::core::ages`], or, by order, of all that are older
//! than some age. A hand goes round over the tables and finds some of them, as candidates, and goes on
//! there when they are written. Of the candidates the incompressible pages go first, because they win most.
//!
//! A cluster is as old as the youngest page in it, but the others may be older by far: the kernel gives the
//! slots that are free in clusters in use before it takes an empty cluster. So pages that a program needs
//! again and again come to lie beside pages that it does not need, in the slots where such pages were
//! before. To tell them, each object has a second chance: the hand ages it, see
//! [`Slot::age`](crate::core::slot::Slot::age), and takes it when it comes by again, if it was neither
//! stored nor loaded since. By order of an age all go, at once.
//!
//! Context of all here: the mover is locked; waits for I/O.

use crate::{
    contents::{
        cache::Cache,
        table::{
            Cluster,
            Tables,
            CLUSTER, //
        },
        Contents,
    },
    core::{
        entry::{
            Entry,
            Lane,
            ObjectState, //
        },
        payload::{
            Coder,
            Form,
            Length, //
        },
        segment::{
            Owner,
            SegmentWriter,
            MAX_FILLED, //
        },
        slot::{
            Hold,
            Look,
            Mark,
            Slot, //
        },
    },
    kernel_ext::{
        mm::zsmalloc::ZsObject,
        sched::cond_resched, //
    },
    writeback::{
        gc::Cleaner,
        lanes::{
            Copied,
            Lanes, //
        },
        recoder::Recoder,
        sweep::{
            Candidate,
            Sweep, //
        },
    },
};
use core::ops::ControlFlow::{
    self,
    Break,
    Continue, //
};
use kernel::{
    alloc::KVVec,
    prelude::*,
    sync::Arc, //
};

/// A batch ends where the hand went round so often and found no candidate: once to know the ages, and
/// once to find what is cold by them, and some of that may just have been touched.
const MAX_EMPTY: u32 = 2;

/// A batch ends, too, where the hand went round so often and nothing was copied. That is enough to look
/// at all clusters, an eighth of the rest each time, and at one again that was aged, and ends where one is
/// touched all the time.
const MAX_BARREN: u32 = 100;

/// What fills batches, and its memory.
pub(crate) struct Batcher {
    pub(crate) cleaner: Cleaner,
    lanes: Arc<Lanes>,
    /// If there is a second compressor.
    recoder: Option<Recoder>,
}

impl Batcher {
    /// What fills batches of `contents` for `lanes`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(contents: &Contents, lanes: Arc<Lanes>) -> Result<Self> {
        Ok(Self {
            cleaner: Cleaner::new(lanes.clone())?,
            lanes,
            recoder: Recoder::new(&contents.cache)?,
        })
    }

    /// Has one batch written to the stores, of at most `wanted` pages that `sweep` finds. Returns how many
    /// pages it has: those that are loaded or freed before it is written are not redirected.
    ///
    /// Context: not in a store or a load; takes no memory; waits for I/O of batches before. Errors:
    /// [`ENOSPC`] if no store has room.
    pub(crate) fn write(
        &mut self,
        contents: &Contents,
        sweep: &mut Sweep,
        wanted: usize,
    ) -> Result<usize> {
        // First, for a batch before that fails may close the store.
        self.lanes.wait_until_ready();
        let (store, taken) = self.cleaner.open_segment(contents).ok_or(ENOSPC)?;
        let mut buffer = self.lanes.take();
        let tables = contents.tables.snapshot();
        let lane = buffer.lane;
        let (writer, copies) = buffer.fill();
        let mut batch = Batch {
            contents,
            tables: &tables,
            lane,
            writer,
            copies,
            recoder: self.recoder.as_mut(),
            bytes: 0,
            leaves_young: sweep.touched_by.is_none(),
            wanted,
        };
        // A full batch is no failure.
        let _ = batch.fill(sweep);
        let Batch { writer, bytes, .. } = batch;
        let blocks = writer.finish();
        let pages = buffer.copies.len();
        if pages > 0 {
            self.lanes
                .depart(buffer, store, taken, tables, blocks, bytes);
        } else {
            self.lanes.give_back(buffer);
            store.end_filling(taken, Ok(()));
        }
        Ok(pages)
    }
}

/// Which objects are copied in one pass over the candidates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Incompressible pages.
    Incompressible,
    /// All that are left, and incompressible ones that came meanwhile.
    All,
}

impl Pass {
    fn takes(self, length: Length) -> bool {
        self == Pass::All || length.is_incompressible()
    }
}

/// A batch that is being put together. Its functions break when it has no room for more.
struct Batch<'a> {
    contents: &'a Contents,
    tables: &'a Tables,
    lane: Lane,
    writer: SegmentWriter<'a>,
    copies: &'a mut KVVec<Copied>,
    /// What makes them smaller, if there is something.
    recoder: Option<&'a mut Recoder>,
    /// Bytes in memory of the objects that were copied.
    bytes: u64,
    /// Whether objects are left that were not aged yet.
    leaves_young: bool,
    /// Pages that are wanted at most.
    wanted: usize,
}

impl Batch<'_> {
    /// Copies what there is, in the order in which it is to go.
    fn fill(&mut self, sweep: &mut Sweep) -> ControlFlow<()> {
        // Rounds that ended since something was copied, and those since a candidate was found.
        let (mut barren, mut empty) = (0, 0);
        loop {
            if sweep.candidates.is_empty() {
                let ended = u32::from(sweep.find_candidates(self.tables));
                (barren, empty) = (barren + ended, empty + ended);
                if !sweep.candidates.is_empty() {
                    empty = 0;
                }
                if barren > MAX_BARREN || empty > MAX_EMPTY {
                    return Continue(());
                }
            }
            let copied = self.copies.len();
            if !sweep.incompressible_done && self.contents.stats.has_incompressible_pages() {
                for candidate in &sweep.candidates {
                    self.copy_candidate(candidate, Pass::Incompressible)?;
                }
            }
            sweep.incompressible_done = true;
            while let Some(candidate) = sweep.candidates.last() {
                self.copy_candidate(candidate, Pass::All)?;
                let _ = sweep.candidates.pop();
            }
            if self.copies.len() > copied {
                barren = 0;
            }
        }
    }

    fn copy_candidate(&mut self, candidate: &Candidate, pass: Pass) -> ControlFlow<()> {
        cond_resched();
        let tables = self.tables;
        let Some(table) = tables.get(candidate.area).filter(|table| table.is_on()) else {
            return Continue(());
        };
        let Some(slot) = table.get(candidate.cluster * CLUSTER) else {
            return Continue(());
        };
        let cluster = slot.cluster();
        // It may have been touched since it was found.
        if cluster.touched() != Some(candidate.touched) {
            return Continue(());
        }
        if pass == Pass::All {
            // Before it is looked at: what comes after that is looked at again.
            cluster.settle();
        }
        let is_left = self.copy_cluster(candidate.area, candidate.cluster, cluster, pass);
        if pass == Pass::All && is_left != Continue(false) {
            cluster.unsettle(candidate.touched);
            if is_left.is_continue() {
                // Not as they are come by: of a cluster that is begun again none has had its second chance.
                cluster.slots().iter().for_each(Slot::age);
            }
        }
        is_left.map_continue(|_| ())
    }

    /// Copies what is to go of a cluster. Returns whether objects are left for now.
    fn copy_cluster(
        &mut self,
        area: usize,
        index: usize,
        cluster: &Cluster,
        pass: Pass,
    ) -> ControlFlow<(), bool> {
        let mut is_left = false;
        for (at, slot) in cluster.slots().iter().enumerate() {
            match slot.peek() {
                Entry::Cached {
                    state: ObjectState::Idle,
                    ..
                } if self.leaves_young => {
                    is_left = true;
                    continue;
                }
                Entry::Cached {
                    form,
                    state: ObjectState::Idle | ObjectState::Aged,
                    ..
                } if pass.takes(form.length) => (),
                Entry::Cached {
                    state: ObjectState::Held,
                    ..
                } => {
                    cluster.touch();
                    continue;
                }
                _ => continue,
            }
            if self.copies.len() >= self.wanted.min(MAX_FILLED) {
                return Break(());
            }
            let Look::Object(hold) = slot.look() else {
                cluster.touch();
                continue;
            };
            // It may be another object by now.
            if !pass.takes(hold.form().length) {
                free(&self.contents.cache, hold.release());
                cluster.touch();
                continue;
            }
            self.copy(Owner::new(area, index * CLUSTER + at), slot, hold)?;
        }
        Continue(is_left)
    }

    /// Copies the object of `hold`, which is that of `slot`, the slot of `owner`, and lets go of it.
    fn copy(
        &mut self,
        owner: Owner,
        slot: &Slot<ZsObject>,
        hold: Hold<'_, ZsObject>,
    ) -> ControlFlow<()> {
        let cache = &self.contents.cache;
        let form = hold.form();
        // A share goes to a store as an object of its own.
        let is_for_second = form.is_for_second() || hold.object().is_share();
        if let Some(recoder) = self.recoder.as_deref_mut().filter(|_| is_for_second) {
            let copied = recoder.copy(cache, hold.object());
            // Loads do not wait for the second compressor.
            let mark = match hold.release_marked(self.lane) {
                Ok(mark) => mark,
                Err(object) => {
                    cache.free(object);
                    return Continue(());
                }
            };
            let appended = copied.ok().and_then(|mut copy| {
                let (data, form) = copy.recode(cache);
                let unit = self.writer.append(owner, data)?;
                Some((unit, form))
            });
            let Some((unit, now)) = appended else {
                slot.unmark(mark);
                return Break(());
            };
            if now.coder == Coder::Second {
                self.contents.note_recompressed(owner, form.length, now);
            }
            self.note(owner, mark, form.length, now, unit);
            return Continue(());
        }
        let copy = |room: &mut [u8]| cache.copy_to(hold.object(), room).ok();
        let Some(unit) = (self.writer).append_with(owner, form.length.bytes(), copy) else {
            free(cache, hold.release());
            return Break(());
        };
        match hold.release_marked(self.lane) {
            Ok(mark) => self.note(owner, mark, form.length, form, unit),
            Err(object) => cache.free(object),
        }
        Continue(())
    }

    /// Notes that the object of `owner`, of `length`, was marked, and copied to `unit`, where it has `form`.
    fn note(&mut self, owner: Owner, mark: Mark, length: Length, form: Form, unit: usize) {
        let copied = Copied {
            owner,
            mark,
            form,
            unit: unit as u32,
        };
        self.bytes += length.bytes() as u64;
        // There was room, see above.
        let _ = self.copies.push_within_capacity(copied);
    }
}

/// Frees an object that was handed over by the slot that had it.
fn free(cache: &Cache, object: Option<ZsObject>) {
    if let Some(object) = object {
        cache.free(object);
    }
}
