// SPDX-License-Identifier: GPL-2.0

//! Writing pages to the backing stores.
//!
//! Objects go out as they are: compressed, and packed into a segment. A batch is one segment. Its objects
//! are copied and marked, the segment is written, and what is still marked then is redirected, see
//! [`crate::logic::slot`]. Objects that did not compress go first, because they win most; then those of
//! the clusters in which nothing was stored for longest.

use crate::{
    kernel_ext::zsmalloc::Object,
    logic::{
        entry::{Entry, Form, State},
        log::Claim,
        segment::{Location, Owner, Writer, MAX_FILLED},
        slot::{Look, Mark},
        PAGE_SIZE,
    },
    mover::Gear,
    pool::Pool,
    store::{checksum, Store},
    table::{self, Cluster, Tables, CLUSTER},
};
use kernel::{alloc::KVVec, prelude::*};

/// The most clusters that are looked for at once.
const MAX_CLUSTERS: usize = 64;

/// An object that was copied into a segment, and its mark.
struct Copied {
    owner: Owner,
    mark: Mark,
    form: Form,
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

/// What a batch is put together with.
pub(crate) struct Desk {
    copies: KVVec<Copied>,
    candidates: KVVec<Candidate>,
    /// Room to put together an object that lies on two pages.
    scratch: KBox<[u8; PAGE_SIZE]>,
    /// The number of the last batch.
    batch: u32,
}

impl Desk {
    /// An empty one.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            copies: KVVec::with_capacity(MAX_FILLED, GFP_KERNEL)?,
            candidates: KVVec::with_capacity(MAX_CLUSTERS, GFP_KERNEL)?,
            scratch: KBox::init(pin_init::init_zeroed(), GFP_KERNEL)?,
            batch: 0,
        })
    }
}

/// Which objects are copied in one pass over the tables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Those that did not compress.
    Whole,
    /// The others.
    Oldest,
}

impl Pass {
    fn takes(self, form: Form) -> bool {
        (form == Form::Whole) == (self == Pass::Whole)
    }
}

/// If there is room for more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Left,
    None,
}

/// A batch that is being put together.
struct Batch<'a> {
    pool: &'a Pool,
    tables: &'a Tables,
    writer: Writer<'a>,
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
        if self.pool.figures.has_whole_pages() {
            let tables = self.tables;
            for (area, table) in tables.on() {
                let mut room = Room::Left;
                table.for_each_cluster(|cluster| {
                    if room == Room::Left {
                        room = self.copy_cluster(area, cluster.index(), &cluster, Pass::Whole);
                    }
                });
                if room == Room::None {
                    return;
                }
            }
        }
        loop {
            find_oldest(self.tables, self.number, candidates);
            if candidates.is_empty() {
                return;
            }
            while let Some(candidate) = candidates.pop() {
                if self.copy_candidate(&candidate) == Room::None {
                    return;
                }
            }
        }
    }

    fn copy_candidate(&mut self, candidate: &Candidate) -> Room {
        let tables = self.tables;
        let Some(table) = tables.get(candidate.area) else {
            return Room::Left;
        };
        let Some(slot) = table.get(candidate.cluster * CLUSTER) else {
            return Room::Left;
        };
        let cluster = slot.cluster();
        // Before it is looked at: what comes after that is looked at again.
        cluster.settle(self.number);
        let room = self.copy_cluster(candidate.area, candidate.cluster, cluster, Pass::Oldest);
        if room == Room::None {
            cluster.unsettle(candidate.touched);
        }
        room
    }

    fn copy_cluster(&mut self, area: usize, index: usize, cluster: &Cluster, pass: Pass) -> Room {
        for (at, slot) in cluster.slots().iter().enumerate() {
            match slot.peek() {
                Entry::Cached {
                    form,
                    state: State::Idle,
                    ..
                } if pass.takes(form) => (),
                Entry::Cached {
                    state: State::Held, ..
                } => {
                    cluster.touch();
                    continue;
                }
                _ => continue,
            }
            if self.copies.len() >= self.wanted.min(MAX_FILLED) {
                return Room::None;
            }
            let Look::Object(hold) = slot.look() else {
                cluster.touch();
                continue;
            };
            let form = hold.object().form();
            let owner = Owner {
                area: area as u16,
                slot: (index * CLUSTER + at) as u32,
            };
            // It may be another object by now.
            let unit = if pass.takes(form) {
                self.pool.cache.read(hold.object(), self.scratch, |data| {
                    self.writer.append(owner, data)
                })
            } else {
                None
            };
            let Some(Some(unit)) = unit else {
                self.free(hold.release());
                cluster.touch();
                if unit.is_some() {
                    return Room::None;
                }
                continue;
            };
            match hold.release_marked() {
                Ok(mark) => {
                    let copied = Copied {
                        owner,
                        mark,
                        form,
                        unit,
                    };
                    // There was room, see above.
                    let _ = self.copies.push_within_capacity(copied);
                }
                Err(object) => self.free(Some(object)),
            }
        }
        Room::Left
    }

    fn free(&self, object: Option<Object>) {
        if let Some(object) = object {
            self.pool.cache.free(object);
        }
    }
}

/// Finds the clusters in which nothing was stored for longest, the oldest last, but for those that were
/// looked at for batch `batch`.
fn find_oldest(tables: &Tables, batch: u32, candidates: &mut KVVec<Candidate>) {
    candidates.clear();
    let now = table::now();
    for (area, table) in tables.on() {
        table.for_each_cluster(|cluster| {
            let Some(touched) = cluster.touched() else {
                return;
            };
            if cluster.is_settled_for(batch) {
                return;
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
        });
    }
    candidates.sort_unstable_by_key(|candidate| candidate.age);
}

impl Pool {
    /// Writes one batch of at most `wanted` pages to the stores. Says how many were redirected: the others
    /// were wanted meanwhile, or freed.
    ///
    /// Context: waits for I/O; not within `submit_bio()`. Takes no memory. Errors: [`ENOSPC`] if no
    /// store has room; those of the device, and then nothing changed but the state of a segment.
    pub(crate) fn write_batch(&self, gear: &mut Gear, wanted: usize) -> Result<usize> {
        let (store, claim) = self.open_segment(gear).ok_or(ENOSPC)?;
        let tables = self.tables();
        let Gear { output, desk, .. } = gear;
        let Desk {
            copies,
            candidates,
            scratch,
            batch: number,
        } = desk;
        copies.clear();
        // A cluster that no batch looked at yet has 0.
        *number = number.wrapping_add(1).max(1);
        let mut batch = Batch {
            pool: self,
            tables: &tables,
            writer: Writer::new(output.as_mut().bytes_mut(), claim.life(), checksum),
            copies,
            scratch,
            number: *number,
            wanted,
        };
        batch.fill(candidates);
        let blocks = batch.writer.finish();
        if copies.is_empty() {
            store.log.seal(claim);
            return Ok(0);
        }
        match store.write_segment(output.as_mut(), &claim, blocks, self.stores.key()) {
            Ok(()) => {
                let redirected = self.commit(&store, &claim, &tables, copies);
                store.log.seal(claim);
                Ok(redirected)
            }
            Err(error) => {
                for Copied { owner, mark, .. } in copies.drain_all() {
                    if let Some(slot) = tables.slot(owner) {
                        slot.unmark(mark);
                        slot.cluster().touch();
                    }
                }
                store.log.retire(claim);
                Err(error)
            }
        }
    }

    /// Redirects what is still marked to its copy in the segment of `claim`; says how many pages.
    fn commit(
        &self,
        store: &Store,
        claim: &Claim,
        tables: &Tables,
        copies: &mut KVVec<Copied>,
    ) -> usize {
        let mut redirected = 0;
        // The last mark of a slot is the first to be committed.
        while let Some(copied) = copies.pop() {
            let Copied {
                owner,
                mark,
                form,
                unit,
            } = copied;
            let location = Location::new(store.number(), claim.segment(), unit);
            // Without its cluster, the slot is free.
            let (Some(location), Some(slot)) = (location, tables.slot(owner)) else {
                continue;
            };
            store.log.begin_record(claim, form.length());
            match slot.commit(mark, location) {
                Some(object) => {
                    self.figures.redirected(form);
                    self.cache.free(object);
                    redirected += 1;
                }
                None => {
                    store.log.end_record(claim.segment(), form.length());
                    slot.cluster().touch();
                }
            }
        }
        redirected
    }
}
