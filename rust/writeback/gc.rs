// SPDX-License-Identifier: GPL-2.0

//! Moves what is left of segments to others, so that there are free ones.
//!
//! When a store runs out of free segments, it is cleaned: what is left of the emptiest is written again,
//! together. When that wins nothing, a segment that was filled long ago moves to the next store. A
//! store that is removed is emptied, to the other stores or to the cache.
//!
//! Context of all here: the mover is locked; waits for I/O.

use crate::{
    backing::store::{
        BackingStore,
        StoreCounter, //
    },
    contents::{
        table::Tables,
        Contents, //
    },
    core::{
        entry::Redirect,
        log::{
            self,
            TakenSegment, //
        },
        segment::{
            Location,
            Owner,
            MAX_FILLED,
            MAX_STORES, //
        },
        victims::MAX_VICTIMS,
    },
    kernel_ext::{
        sched::cond_resched,
        trace::tell, //
    },
    writeback::{
        lanes::{
            Lanes,
            SegmentBuffer, //
        },
        recall,
        segment_io::{
            Source,
            Taken, //
        },
    },
};
use kernel::{
    alloc::KVVec,
    prelude::*,
    sync::Arc, //
};

/// The most segments that are moved to one.
const MAX_SOURCES: usize = MAX_VICTIMS;

/// The most segments that are filled by cleaning at one go: other work waits for the mover meanwhile.
const MAX_CLEANED: usize = 8;

/// A record that is being moved.
struct Moved {
    owner: Owner,
    from: Redirect,
    unit: usize,
}

/// What cleans and moves segments, and its memory.
pub(crate) struct Cleaner {
    lanes: Arc<Lanes>,
    moves: KVVec<Moved>,
    sources: KVVec<Source>,
}

impl Cleaner {
    /// What moves segments by way of the buffers of `lanes`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(lanes: Arc<Lanes>) -> Result<Self> {
        Ok(Self {
            lanes,
            moves: KVVec::with_capacity(MAX_FILLED, GFP_KERNEL)?,
            sources: KVVec::with_capacity(MAX_SOURCES, GFP_KERNEL)?,
        })
    }

    /// Opens a segment to write a batch to, in the first store that has room or can be made to have it.
    pub(crate) fn open_segment(&mut self, contents: &Contents) -> Option<Taken> {
        self.store_with_room(contents, 0, None)?.open_segment()
    }

    /// Moves what is in segment `segment` of `store`, to which nothing new goes, to another store, or to
    /// the cache. Returns whether it did; if not, another store was filled by it, and there may be one
    /// more.
    ///
    /// Errors: [`ENOSPC`] if there is no room; [`EIO`] if something cannot be read.
    pub(crate) fn move_away(
        &mut self,
        contents: &Contents,
        store: &Arc<BackingStore>,
        segment: usize,
    ) -> Result<bool> {
        match self.store_with_room(contents, 0, Some(store.number())) {
            Some(to) => match self.move_segment(contents, store, segment, &to) {
                Err(error) if error == ENOSPC => Ok(false),
                moved => moved.map(|()| true),
            },
            None => recall::move_to_cache(contents, &self.lanes, store, segment).map(|()| true),
        }
    }

    /// The first store from `first` on, but for store `but`, that has room or can be made to have it.
    fn store_with_room(
        &mut self,
        contents: &Contents,
        first: usize,
        but: Option<usize>,
    ) -> Option<Arc<BackingStore>> {
        (first..MAX_STORES)
            .filter(|number| Some(*number) != but)
            .filter_map(|number| contents.stores.get(number))
            .find(|store| store.takes_segments() && self.make_room_in(contents, store, but))
    }

    /// Makes room in `store`, if it must. Returns whether there is some. Nothing goes to store `but`.
    fn make_room_in(
        &mut self,
        contents: &Contents,
        store: &Arc<BackingStore>,
        but: Option<usize>,
    ) -> bool {
        if store.log.free() <= log::low_mark(store.log.segments()) {
            // If it fails, there is as much room as there is.
            let _ = self.clean(contents, store);
        }
        if store.has_room() {
            return true;
        }
        if let Some(next) = self.store_with_room(contents, store.number() + 1, but) {
            if let Some(oldest) = store.oldest_segment() {
                let _ = self.move_segment(contents, store, oldest, &next);
            }
        }
        store.has_room()
    }

    /// Writes what is left of the emptiest segments of `store` again, together.
    fn clean(&mut self, contents: &Contents, store: &Arc<BackingStore>) -> Result {
        let enough = log::high_mark(store.log.segments());
        let next = |pending: usize| {
            if store.log.free() + pending >= enough {
                return None;
            }
            // Those that are taken to fill one segment count as won, all together.
            if pending == 0 && !store.find_victims() {
                return None;
            }
            Some((store.clone(), store.victim()?))
        };
        let mut left = MAX_CLEANED;
        let target = || {
            left = left.checked_sub(1)?;
            // Also of the reserve, which is for this.
            store.open_segment()
        };
        self.move_records(contents, next, target)
    }

    /// Moves what is in segment `segment` of `store` to store `to`.
    fn move_segment(
        &mut self,
        contents: &Contents,
        store: &Arc<BackingStore>,
        segment: usize,
        to: &Arc<BackingStore>,
    ) -> Result {
        let mut source = store.log.take(segment).map(|taken| (store.clone(), taken));
        let target = || to.has_room().then(|| to.open_segment())?;
        self.move_records(contents, |_| source.take(), target)
    }

    /// Moves what is left of segments to others. `next` gives the segment to move, and is told how many
    /// will be free once those before are moved; `target` gives the segment to fill.
    ///
    /// Errors: [`ENOSPC`] if there was no target; [`EIO`] if something could not be read; those of the
    /// device. What was not moved stays.
    fn move_records(
        &mut self,
        contents: &Contents,
        mut next: impl FnMut(usize) -> Option<Taken>,
        target: impl FnMut() -> Option<Taken>,
    ) -> Result {
        // Before buffers are waited for.
        let Some(first) = next(0) else {
            return Ok(());
        };
        let lanes = self.lanes.clone();
        lanes.with(|input| {
            lanes.with(|output| self.move_from(contents, first, next, target, input, output))
        })
    }

    /// As [`Cleaner::move_records`], beginning with the segment `first`, by way of `input` and `output`.
    fn move_from(
        &mut self,
        contents: &Contents,
        first: Taken,
        mut next: impl FnMut(usize) -> Option<Taken>,
        mut target: impl FnMut() -> Option<Taken>,
        input: &mut SegmentBuffer,
        output: &mut SegmentBuffer,
    ) -> Result {
        let tables = contents.tables.snapshot();
        let Self { moves, sources, .. } = self;
        let mut begin = Some(first);
        // What the segments came to that were moved so far.
        let mut outcome = Ok(());
        // A segment that did not fit into the last target as a whole.
        let mut carried: Option<Source> = None;
        loop {
            let first = match carried.take() {
                Some(source) => source,
                None => match begin.take().or_else(|| next(0)) {
                    Some(taken) => input.read(taken)?,
                    None => return outcome,
                },
            };
            let Some((to, taken)) = target() else {
                let _ = first.end();
                return Err(ENOSPC);
            };
            moves.clear();
            let mut writer = output.writer();
            let mut source = Some(first);
            while let Some(mut from) = source.take() {
                let mut is_full = false;
                let mut records = input.records(&mut from);
                while let Some(record) = records.next(&mut from) {
                    let owner = record.owner;
                    if let Some((_, redirect)) = from.owner_of(&tables, &record) {
                        if let Some(object) = records.object(&mut from, &record) {
                            let unit = (moves.len() < MAX_FILLED)
                                .then(|| writer.append(owner, object))
                                .flatten();
                            let Some(unit) = unit else {
                                is_full = true;
                                break;
                            };
                            // There was room, see above.
                            let _ = moves.push_within_capacity(Moved {
                                owner,
                                from: redirect,
                                unit,
                            });
                        }
                    }
                    from.done += 1;
                }
                if is_full || sources.len() == MAX_SOURCES {
                    carried = Some(from);
                    break;
                }
                // There was room, see above.
                let _ = sources.push_within_capacity(from);
                source = match next(sources.len()).map(|taken| input.read(taken)) {
                    Some(Ok(source)) => Some(source),
                    Some(Err(error)) => {
                        outcome = Err(error);
                        None
                    }
                    None => None,
                };
            }
            let blocks = writer.finish();
            let mut written = Ok(());
            if moves.is_empty() {
                to.log.seal(taken);
            } else {
                written = output.write(&to, &taken, blocks);
                if written.is_ok() {
                    commit(contents, &to, &taken, &tables, moves);
                }
                // Without a free segment nothing could be cleaned any more.
                if written.is_ok() || to.log.free() == 0 {
                    to.log.seal(taken);
                } else {
                    to.log.retire(taken);
                }
            }
            for mut source in sources.drain_all() {
                source.intact = source.intact && (written.is_err() || source.is_emptied());
                outcome = outcome.and(source.end());
            }
            if written.is_err() {
                if let Some(source) = carried {
                    let _ = source.end();
                }
                return written;
            }
        }
    }
}

/// Redirects those of `moves` that are still where they were to their copies in the segment `taken` of
/// `to`.
fn commit(
    contents: &Contents,
    to: &BackingStore,
    taken: &TakenSegment,
    tables: &Tables,
    moves: &mut KVVec<Moved>,
) {
    for Moved { owner, from, unit } in moves.drain_all() {
        cond_resched();
        let length = from.form.length;
        to.count(StoreCounter::MovedBytes, length.bytes() as u64);
        let location = Location::new(to.number(), taken.segment(), unit);
        // Without its cluster, the slot is free.
        let (Some(location), Some(slot)) = (location, tables.slot(owner)) else {
            continue;
        };
        to.log.begin_record(taken, length);
        if slot.move_redirect(from, location) {
            tell!(clean: contents.traced(owner), length, from.location, location);
            contents.stores.end_record(from);
        } else {
            to.end_record(taken.segment(), length);
        }
    }
}
