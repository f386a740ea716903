// SPDX-License-Identifier: GPL-2.0

//! Takes whole segments back into the cache: those of an area that is being swapped off, in the order of
//! the log, and what of a store that is removed fits nowhere else.
//!
//! Context of all here: the mover's lock is held, or taken; waits for I/O.

use crate::{
    logic::{
        entry::Entry,
        log::Claim,
        segment::{self, MAX_STORES},
    },
    mover::{Gear, Rest, REST_MS},
    pool::Pool,
    relocate::end_source,
    store::{checksum, Store},
    table::Table,
};
use kernel::{prelude::*, sync::Arc};

/// How far the areas that are being swapped off have come.
pub(crate) struct Recalling {
    /// Where it goes on, if there is one: store, segment, segments left.
    next: Option<(usize, usize, usize)>,
    /// It is not tried, after there was no memory for it.
    rest: Rest,
}

impl Recalling {
    /// There is none.
    pub(crate) fn new() -> Self {
        Self {
            next: None,
            rest: Rest::new(10 * REST_MS),
        }
    }
}

impl Pool {
    /// Serves those who wait for pages of areas that are being swapped off: whole segments are taken back
    /// into the cache, in the order of the log, but those that somebody waits for come first.
    pub(crate) fn recall_all(self: &Arc<Self>) {
        loop {
            let waiting = self.readback.next_recall();
            let mut mover = self.mover.lock();
            let Some(gear) = mover.as_deref_mut() else {
                if let Some((page, wish)) = waiting {
                    drop(mover);
                    self.read(wish, page);
                    continue;
                }
                return;
            };
            if waiting.is_none() && !self.has_area_off() {
                gear.recalling.next = None;
                return;
            }
            if let Some((_, wish)) = &waiting {
                // It is looked at only to see where it is: a load takes a mark off anyway.
                if let Some(Entry::Redirected(redirect)) = wish.slot().map(|slot| slot.peek()) {
                    let (store, segment) = (redirect.location.store(), redirect.location.segment());
                    let all = self.stores.all().map(|store| store.log.segments()).sum();
                    let left = gear.recalling.next.map_or(all, |(_, _, left)| left);
                    if self.recall_segment(gear, store, segment) {
                        gear.recalling.next = Some((store, segment + 1, left.saturating_sub(1)));
                    }
                }
            } else {
                // Nobody waits: what takes more memory than there may be is left to who wants it.
                let Some((store, segment, left)) = (gear.recalling.next)
                    .filter(|(_, _, left)| *left > 0 && self.bytes() < self.limit_bytes())
                else {
                    gear.recalling.next = None;
                    return;
                };
                let segments = self.stores.with(store, |store| store.log.segments());
                gear.recalling.next = if segments.is_some_and(|segments| segment < segments) {
                    self.recall_segment(gear, store, segment).then_some((
                        store,
                        segment + 1,
                        left - 1,
                    ))
                } else {
                    Some((
                        (store + 1) % MAX_STORES,
                        0,
                        left - usize::from(store + 1 == MAX_STORES),
                    ))
                };
            }
            drop(mover);
            if let Some((page, wish)) = waiting {
                // From the cache now; or, if that had no room, from the store.
                self.read(wish, page);
            }
        }
    }

    /// Takes back what segment `segment` of store `store` has of areas that are being swapped off. Says if
    /// it is of use to go on.
    fn recall_segment(&self, gear: &mut Gear, store: usize, segment: usize) -> bool {
        if gear.recalling.rest.is_on() {
            return false;
        }
        let Some(store) = self.stores.get(store) else {
            return true;
        };
        // What is wrong in one that is retired fails in the hands of who wants it.
        if store.log.is_retired(segment) {
            return true;
        }
        let Some(claim) = store.log.claim(segment) else {
            return true;
        };
        let recalled = self.recall(gear, &store, claim, |table| !table.is_on());
        if recalled == Err(ENOMEM) {
            gear.recalling.rest.begin();
        }
        recalled != Err(ENOMEM)
    }

    fn has_area_off(&self) -> bool {
        self.tables().all().any(|(_, table)| !table.is_on())
    }

    /// Moves what is in segment `segment` of `store` to the cache, if that has room.
    pub(crate) fn move_to_cache(
        &self,
        gear: &mut Gear,
        store: &Arc<Store>,
        segment: usize,
    ) -> Result {
        let Some(claim) = store.log.claim(segment) else {
            return Ok(());
        };
        if self.bytes() + store.log.live(segment) as u64 > self.limit_bytes() {
            store.log.seal(claim);
            return Err(ENOSPC);
        }
        self.recall(gear, store, claim, |_| true)
    }

    /// Takes what is left of the segment of `claim` back into the cache, of the areas that `wanted` says.
    ///
    /// Errors: [`ENOMEM`]; those of the device. What was not taken back stays.
    fn recall(
        &self,
        gear: &mut Gear,
        store: &Arc<Store>,
        claim: Claim,
        wanted: impl Fn(&Table) -> bool,
    ) -> Result {
        let tables = self.tables();
        let segment = claim.segment();
        let source = self.begin_source(&mut gear.input, Some((store.clone(), claim)), &mut Ok(()));
        let Some(mut source) = source else {
            return Err(EIO);
        };
        let mut result = Ok(());
        for record in segment::records(gear.input.bytes(), source.claim.life(), checksum) {
            source.intact &= record.intact;
            let Some((slot, redirect)) = self.owner_of(&tables, store, segment, &record) else {
                continue;
            };
            let of_wanted = tables
                .get(record.owner.area.into())
                .is_some_and(|table| wanted(table));
            if !of_wanted {
                continue;
            }
            match self.cache.store_again(redirect.form, record.data) {
                Ok(object) => match slot.recall(redirect, object) {
                    Ok(()) => {
                        slot.cluster().touch();
                        self.figures.recalled(redirect.form);
                        self.stores.end_record(redirect);
                    }
                    Err(object) => self.cache.free(object),
                },
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        result.and(end_source(Some(source)))
    }
}
