// SPDX-License-Identifier: GPL-2.0

//! Writes objects of the cache to the backing stores.
//!
//! Objects go out as they are: compressed, and packed into a segment. A batch is one segment. Its objects
//! are copied and marked, the segment is written, and what is still marked then is redirected, see
//! [`crate::core::slot`]. Incompressible pages go first, because they win most; then the objects of the
//! clusters in which nothing was stored for longest.
//!
//! Context of all here: the mover is locked; waits for I/O.

use crate::{
    backing::store::BackingStore,
    contents::{
        cache::Cache,
        table::{
            self,
            Cluster,
            Tables,
            CLUSTER, //
        },
        Contents,
    },
    core::{
        entry::{
            Entry,
            ObjectState, //
        },
        log::TakenSegment,
        payload::Length,
        segment::{
            Location,
            Owner,
            SegmentWriter,
            MAX_FILLED, //
        },
        slot::{
            Look,
            Mark, //
        },
        PAGE_SIZE,
    },
    kernel_ext::mm::zsmalloc::ZsObject,
    writeback::gc::Cleaner,
};
use core::ops::ControlFlow::{
    self,
    Break,
    Continue, //
};
use kernel::{
    alloc::KVVec,
    prelude::*, //
};

/// The most clusters that are looked for at once.
const MAX_CLUSTERS: usize = 64;

/// An object that was copied into a segment, and its mark.
struct Copied {
    owner: Owner,
    mark: Mark,
    length: Length,
    unit: usize,
}

/// A cluster that may be written back.
struct Candidate {
    /// Ticks since it was touched last.
    age: i32,
    touched: u32,
    area: usize,
    cluster: usize,
}

/// What writes batches, and its memory.
pub(crate) struct Batcher {
    pub(crate) cleaner: Cleaner,
    copies: KVVec<Copied>,
    candidates: KVVec<Candidate>,
    /// Room to put together an object that lies on two pages.
    scratch: KBox<[u8; PAGE_SIZE]>,
    /// The number of the last batch.
    number: u32,
}

impl Batcher {
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            cleaner: Cleaner::new()?,
            copies: KVVec::with_capacity(MAX_FILLED, GFP_KERNEL)?,
            candidates: KVVec::with_capacity(MAX_CLUSTERS, GFP_KERNEL)?,
            scratch: KBox::init(pin_init::init_zeroed(), GFP_KERNEL)?,
            number: 0,
        })
    }

    /// Writes one batch of at most `wanted` pages to the stores. Returns how many were redirected: the
    /// others were loaded or freed meanwhile.
    ///
    /// Context: not in a store or a load; takes no memory. Errors: [`ENOSPC`] if no store has room;
    /// those of the device, and then nothing changed but the state of a segment.
    pub(crate) fn write(&mut self, contents: &Contents, wanted: usize) -> Result<usize> {
        let (store, taken) = self.cleaner.open_segment(contents).ok_or(ENOSPC)?;
        let tables = contents.tables.snapshot();
        let Self {
            cleaner,
            copies,
            candidates,
            scratch,
            number,
        } = self;
        let output = &mut cleaner.io.output;
        copies.clear();
        // A cluster that no batch looked at yet has 0.
        *number = number.wrapping_add(1).max(1);
        let mut batch = Batch {
            contents,
            tables: &tables,
            writer: output.writer(&taken),
            copies,
            scratch,
            number: *number,
            wanted,
        };
        batch.fill(candidates);
        let blocks = batch.writer.finish();
        if copies.is_empty() {
            store.log.seal(taken);
            return Ok(0);
        }
        match output.write(&store, &taken, blocks) {
            Ok(()) => {
                let redirected = commit(contents, &store, &taken, &tables, copies);
                store.log.seal(taken);
                Ok(redirected)
            }
            Err(error) => {
                for Copied { owner, mark, .. } in copies.drain_all() {
                    if let Some(slot) = tables.slot(owner) {
                        slot.unmark(mark);
                        slot.cluster().touch();
                    }
                }
                store.log.retire(taken);
                Err(error)
            }
        }
    }
}

/// Which objects are copied in one pass over the tables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Incompressible pages.
    Incompressible,
    /// The others.
    Oldest,
}

impl Pass {
    fn takes(self, length: Length) -> bool {
        length.is_incompressible() == (self == Pass::Incompressible)
    }
}

/// A batch that is being put together. Its functions break when it has no room for more.
struct Batch<'a> {
    contents: &'a Contents,
    tables: &'a Tables,
    writer: SegmentWriter<'a>,
    copies: &'a mut KVVec<Copied>,
    scratch: &'a mut [u8; PAGE_SIZE],
    /// Its number. A cluster is looked at once for it, or one to which much comes might be looked at for
    /// ever.
    number: u32,
    /// Pages that are wanted at most.
    wanted: usize,
}

impl Batch<'_> {
    /// Copies what there is, in the order in which it is to go.
    fn fill(&mut self, candidates: &mut KVVec<Candidate>) {
        // A full batch is no failure.
        let _ = self.copy_all(candidates);
    }

    fn copy_all(&mut self, candidates: &mut KVVec<Candidate>) -> ControlFlow<()> {
        if self.contents.stats.has_incompressible_pages() {
            let tables = self.tables;
            for (area, table) in tables.on() {
                table.for_each_cluster(|cluster| {
                    self.copy_cluster(area, cluster.index(), &cluster, Pass::Incompressible)
                })?;
            }
        }
        loop {
            find_oldest(self.tables, self.number, candidates);
            if candidates.is_empty() {
                return Continue(());
            }
            while let Some(candidate) = candidates.pop() {
                self.copy_candidate(&candidate)?;
            }
        }
    }

    fn copy_candidate(&mut self, candidate: &Candidate) -> ControlFlow<()> {
        let tables = self.tables;
        let Some(table) = tables.get(candidate.area) else {
            return Continue(());
        };
        let Some(slot) = table.get(candidate.cluster * CLUSTER) else {
            return Continue(());
        };
        let cluster = slot.cluster();
        // Before it is looked at: what comes after that is looked at again.
        cluster.settle(self.number);
        let copied = self.copy_cluster(candidate.area, candidate.cluster, cluster, Pass::Oldest);
        if copied.is_break() {
            cluster.unsettle(candidate.touched);
        }
        copied
    }

    fn copy_cluster(
        &mut self,
        area: usize,
        index: usize,
        cluster: &Cluster,
        pass: Pass,
    ) -> ControlFlow<()> {
        for (at, slot) in cluster.slots().iter().enumerate() {
            match slot.peek() {
                Entry::Cached {
                    length,
                    state: ObjectState::Idle,
                    ..
                } if pass.takes(length) => (),
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
            let length = hold.length();
            let owner = Owner {
                area: area as u16,
                slot: (index * CLUSTER + at) as u32,
            };
            let cache = &self.contents.cache;
            // It may be another object by now.
            let unit = if pass.takes(length) {
                cache.read(hold.object(), self.scratch, |data| {
                    self.writer.append(owner, data)
                })
            } else {
                None
            };
            let Some(Some(unit)) = unit else {
                free(cache, hold.release());
                cluster.touch();
                if unit.is_some() {
                    return Break(());
                }
                continue;
            };
            match hold.release_marked() {
                Ok(mark) => {
                    let copied = Copied {
                        owner,
                        mark,
                        length,
                        unit,
                    };
                    // There was room, see above.
                    let _ = self.copies.push_within_capacity(copied);
                }
                Err(object) => free(cache, Some(object)),
            }
        }
        Continue(())
    }
}

/// Frees an object that was handed over by the slot that had it.
fn free(cache: &Cache, object: Option<ZsObject>) {
    if let Some(object) = object {
        cache.free(object);
    }
}

/// Finds the clusters in which nothing was stored for longest, the oldest last, but for those that were
/// looked at for batch `batch`.
fn find_oldest(tables: &Tables, batch: u32, candidates: &mut KVVec<Candidate>) {
    candidates.clear();
    let now = table::now();
    for (area, table) in tables.on() {
        let _: ControlFlow<()> = table.for_each_cluster(|cluster| {
            let Some(touched) = cluster.touched() else {
                return Continue(());
            };
            if cluster.is_settled_for(batch) {
                return Continue(());
            }
            let new = Candidate {
                // What was just touched may seem to be of the future.
                age: now.wrapping_sub(touched) as i32,
                touched,
                area,
                cluster: cluster.index(),
            };
            match candidates.push_within_capacity(new) {
                Ok(()) => (),
                Err(full) => {
                    let new = full.0;
                    let youngest = candidates.iter_mut().min_by_key(|candidate| candidate.age);
                    if let Some(youngest) = youngest.filter(|young| young.age < new.age) {
                        *youngest = new;
                    }
                }
            }
            Continue(())
        });
    }
    candidates.sort_unstable_by_key(|candidate| candidate.age);
}

/// Redirects what is still marked to its copy in the segment `taken` of `store`. Returns how many pages.
fn commit(
    contents: &Contents,
    store: &BackingStore,
    taken: &TakenSegment,
    tables: &Tables,
    copies: &mut KVVec<Copied>,
) -> usize {
    let mut redirected = 0;
    // The last mark of a slot is the first to be committed.
    while let Some(copied) = copies.pop() {
        let Copied {
            owner,
            mark,
            length,
            unit,
        } = copied;
        let location = Location::new(store.number(), taken.segment(), unit);
        // Without its cluster, the slot is free.
        let (Some(location), Some(slot)) = (location, tables.slot(owner)) else {
            continue;
        };
        store.log.begin_record(taken, length);
        match slot.commit(mark, location) {
            Some(object) => {
                contents.stats.redirected(length);
                contents.cache.free(object);
                redirected += 1;
            }
            None => {
                store.end_record(taken.segment(), length);
                slot.cluster().touch();
            }
        }
    }
    redirected
}
