// SPDX-License-Identifier: GPL-2.0

//! Moves what is left of segments to others, so that there are free ones.
//!
//! When a store runs out of free segments, it is cleaned: what is left of the emptiest is written again,
//! together. When that wins nothing, the segment that was filled longest ago moves to the next store. A
//! store that is removed is emptied, to the other stores or to the cache.
//!
//! Context of all here: the mover's lock is held, or taken; waits for I/O.

use crate::{
    kernel_ext::block_io::Transfer,
    logic::{
        entry::{Entry, Redirect},
        log::{self, Claim},
        segment::{self, Location, Owner, Record, Writer, MAX_FILLED, MAX_STORES},
    },
    mover::Gear,
    pool::Pool,
    store::{checksum, Counter, Store},
    table::{TableSlot, Tables},
};
use core::convert::Infallible;
use kernel::{
    alloc::KVVec,
    prelude::*,
    sync::Arc,
    time::{delay::fsleep, Delta},
};

/// The most segments that are moved to one.
const MAX_SOURCES: usize = 64;

/// The most segments that are filled by cleaning at one go: others wait for the mover meanwhile.
const MAX_CLEANED: usize = 8;

/// A record that is being moved.
struct Moved {
    owner: Owner,
    from: Redirect,
    unit: usize,
}

/// A segment that records are moved from, which was read.
pub(crate) struct Source {
    store: Arc<Store>,
    pub(crate) claim: Claim,
    /// Records of it that were looked at.
    done: usize,
    /// If all of them could be read.
    pub(crate) intact: bool,
}

/// What is being moved to one segment.
pub(crate) struct Relocating {
    moves: KVVec<Moved>,
    sources: KVVec<Source>,
}

impl Relocating {
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            moves: KVVec::with_capacity(MAX_FILLED, GFP_KERNEL)?,
            sources: KVVec::with_capacity(MAX_SOURCES, GFP_KERNEL)?,
        })
    }
}

impl Pool {
    /// Opens a segment to write a batch to, in the first store that has room or can be made to have it.
    pub(crate) fn open_segment(&self, gear: &mut Gear) -> Option<(Arc<Store>, Claim)> {
        let store = self.store_with_room(gear, 0, None)?;
        let claim = store.open_segment()?;
        Some((store, claim))
    }

    /// The first store from `first` on, but for store `but`, that has room or can be made to have it.
    fn store_with_room(
        &self,
        gear: &mut Gear,
        first: usize,
        but: Option<usize>,
    ) -> Option<Arc<Store>> {
        (first..MAX_STORES)
            .filter(|number| Some(*number) != but)
            .filter_map(|number| self.stores.get(number))
            .find(|store| store.is_open() && self.make_room_in(gear, store, but))
    }

    /// Makes room in `store`, if it must be; says if there is some. Nothing goes to store `but`.
    fn make_room_in(&self, gear: &mut Gear, store: &Arc<Store>, but: Option<usize>) -> bool {
        let segments = store.log.segments();
        if store.log.free() <= log::low_mark(segments) {
            let enough = log::high_mark(segments);
            let clean = |pending: usize| {
                // Those that are taken to fill one segment count as won, all together.
                let wins = pending > 0 || store.log.is_worth_cleaning();
                if store.log.free() + pending >= enough || !wins {
                    return None;
                }
                Some((store.clone(), store.log.victim()?))
            };
            let mut left = MAX_CLEANED;
            let to_itself = || {
                left = left.checked_sub(1)?;
                // Also of the reserve, which is for this.
                (store.is_open()).then(|| Some((store.clone(), store.open_segment()?)))?
            };
            // If it fails, there is as much room as there is.
            let _ = self.relocate(gear, clean, to_itself);
        }
        if store.has_room() {
            return true;
        }
        if let Some(next) = self.store_with_room(gear, store.number() + 1, but) {
            if let Some(oldest) = store.oldest_segment() {
                let _ = self.move_segment(gear, store, oldest, &next);
            }
        }
        store.has_room()
    }

    /// Moves all that `store`, to which nothing new goes, holds to other stores, or to the cache.
    ///
    /// Context: waits for I/O. Errors: [`ENOSPC`] if there is no room; [`EIO`] if something cannot be
    /// read; [`EINTR`].
    pub(crate) fn empty(&self, store: &Arc<Store>) -> Result {
        // Who has it may be filling a segment; after that no other is.
        drop(self.mover.lock());
        for segment in 0..store.log.segments() {
            while store.log.live(segment) > 0 {
                let mut mover = self.mover.lock();
                let gear = mover.as_deref_mut().ok_or(ENXIO)?;
                match self.store_with_room(gear, 0, Some(store.number())) {
                    Some(to) => match self.move_segment(gear, store, segment, &to) {
                        // It filled the other store; there may be one more.
                        Err(error) if error == ENOSPC => continue,
                        moved => moved?,
                    },
                    None => self.move_to_cache(gear, store, segment)?,
                }
                break;
            }
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
        }
        let mut left = 1000;
        while !store.log.is_idle() {
            // What was freed just now is counted a moment later.
            left -= i32::from(store.log.figures().live > 0);
            if left == 0 {
                return Err(EIO);
            }
            // Those who read from it go when their I/O ends.
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
            fsleep(Delta::from_millis(1));
        }
        Ok(())
    }

    /// Moves what is in segment `segment` of `store` to store `to`.
    fn move_segment(
        &self,
        gear: &mut Gear,
        store: &Arc<Store>,
        segment: usize,
        to: &Arc<Store>,
    ) -> Result {
        let mut source = store.log.claim(segment).map(|claim| (store.clone(), claim));
        let target = || {
            to.has_room()
                .then(|| Some((to.clone(), to.open_segment()?)))?
        };
        self.relocate(gear, |_| source.take(), target)
    }

    /// The slot of `record` of segment `segment` of `store`, and its entry, if that names the record.
    pub(crate) fn owner_of<'t>(
        &self,
        tables: &'t Tables,
        store: &Store,
        segment: usize,
        record: &Record<'_>,
    ) -> Option<(TableSlot<'t>, Redirect)> {
        if !record.intact {
            return None;
        }
        let location = Location::new(store.number(), segment, record.unit)?;
        let slot = tables.slot(record.owner)?;
        match slot.peek() {
            Entry::Redirected(redirect)
                if redirect.location == location && redirect.form.length() == record.data.len() =>
            {
                Some((slot, redirect))
            }
            _ => None,
        }
    }

    /// Moves what is left of segments to others. `next` gives what to move, and is told how many segments
    /// will be free once those before are moved; `target` gives where to.
    ///
    /// Errors: [`ENOSPC`] if there was no target; [`EIO`] if something could not be read; those of the
    /// device. What was not moved stays.
    fn relocate(
        &self,
        gear: &mut Gear,
        mut next: impl FnMut(usize) -> Option<(Arc<Store>, Claim)>,
        mut target: impl FnMut() -> Option<(Arc<Store>, Claim)>,
    ) -> Result {
        let tables = self.tables();
        let key = self.stores.key();
        let Gear {
            input,
            output,
            relocating: Relocating { moves, sources },
            ..
        } = gear;
        let mut source: Option<Source> = None;
        let mut result = Ok(());
        let mut written = Ok(());
        loop {
            if source.is_none() {
                source = self.begin_source(input, next(0), &mut result);
                if source.is_none() {
                    return result;
                }
            }
            let Some((to, claim)) = target() else {
                let _ = end_source(source);
                return Err(ENOSPC);
            };
            moves.clear();
            let mut writer = Writer::new(output.as_mut().bytes_mut(), claim.life(), checksum);
            while let Some(mut from) = source.take() {
                let segment = from.claim.segment();
                let mut is_full = false;
                let records = segment::records(input.bytes(), from.claim.life(), checksum);
                for record in records.skip(from.done) {
                    from.intact &= record.intact;
                    if let Some((_, redirect)) =
                        self.owner_of(&tables, &from.store, segment, &record)
                    {
                        let unit = (moves.len() < MAX_FILLED)
                            .then(|| writer.append(record.owner, record.data))
                            .flatten();
                        let Some(unit) = unit else {
                            is_full = true;
                            break;
                        };
                        // There was room, see above.
                        let _ = moves.push_within_capacity(Moved {
                            owner: record.owner,
                            from: redirect,
                            unit,
                        });
                    }
                    from.done += 1;
                }
                if is_full || sources.len() == MAX_SOURCES {
                    source = Some(from);
                    break;
                }
                // There was room, see above.
                let _ = sources.push_within_capacity(from);
                source = self.begin_source(input, next(sources.len()), &mut result);
            }
            let blocks = writer.finish();
            if moves.is_empty() {
                to.log.seal(claim);
            } else {
                match to.write_segment(output.as_mut(), &claim, blocks, key) {
                    Ok(()) => {
                        self.commit_moves(&to, &claim, &tables, moves);
                        to.log.seal(claim);
                    }
                    Err(error) => {
                        // Without a free segment nothing could be cleaned any more.
                        if to.log.free() > 0 {
                            to.log.retire(claim);
                        } else {
                            to.log.seal(claim);
                        }
                        written = Err(error);
                    }
                }
            }
            for mut source in sources.drain_all() {
                source.intact &= written.is_err() || source.is_empty();
                result = result.and(end_source(Some(source)));
            }
            if written.is_err() {
                let _ = end_source(source);
                return written;
            }
        }
    }

    /// Reads a segment to move what is in it. One that cannot be read is not used any more.
    pub(crate) fn begin_source(
        &self,
        input: &mut Pin<KBox<Transfer<Infallible>>>,
        next: Option<(Arc<Store>, Claim)>,
        result: &mut Result,
    ) -> Option<Source> {
        let (store, claim) = next?;
        match store.read_segment(input.as_mut(), &claim, self.stores.key()) {
            Ok(()) => Some(Source {
                store,
                claim,
                done: 0,
                intact: true,
            }),
            Err(_) => {
                store.log.retire(claim);
                *result = Err(EIO);
                None
            }
        }
    }

    /// Redirects those of `moves` that are still where they were to their copies in the segment of
    /// `claim`.
    fn commit_moves(&self, to: &Store, claim: &Claim, tables: &Tables, moves: &mut KVVec<Moved>) {
        for Moved { owner, from, unit } in moves.drain_all() {
            let length = from.form.length();
            to.count(Counter::MovedBytes, length as u64);
            let location = Location::new(to.number(), claim.segment(), unit);
            // Without its cluster, the slot is free.
            let (Some(location), Some(slot)) = (location, tables.slot(owner)) else {
                continue;
            };
            to.log.begin_record(claim, length);
            if slot.relocate(from, location) {
                self.stores.end_record(from);
            } else {
                to.log.end_record(claim.segment(), length);
            }
        }
    }
}

impl Source {
    /// If all that was in it was moved, or was freed.
    fn is_empty(&self) -> bool {
        // Who makes a slot name something else ends the record a moment later, if it is let.
        for _ in 0..100 {
            if self.store.log.live(self.claim.segment()) == 0 {
                return true;
            }
            fsleep(Delta::from_millis(1));
        }
        false
    }
}

/// Ends the claim to a segment that was moved, as far as it goes. If something is left in it that cannot be
/// read, the segment is not used any more, for it would be chosen again and again; that is [`EIO`].
pub(crate) fn end_source(source: Option<Source>) -> Result {
    let Some(Source {
        store,
        claim,
        intact,
        ..
    }) = source
    else {
        return Ok(());
    };
    if intact {
        store.log.seal(claim);
        Ok(())
    } else {
        store.log.retire(claim);
        Err(EIO)
    }
}
