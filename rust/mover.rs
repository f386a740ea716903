// SPDX-License-Identifier: GPL-2.0

//! The mover of a pool: all that moves objects between the cache and the stores, one thing at a time.
//!
//! It [writes back](crate::writeback) when the pool passes a mark under its limit. When a store runs out
//! of free segments, it cleans: what is left of the emptiest is written again, together. When that wins
//! nothing, the segment that was filled longest ago moves to the next store. A store that is removed is
//! emptied, to the other stores or to the cache; and of an area that is being swapped off, whole segments
//! are taken back into the cache.
//!
//! It is a worker, or whoever asks by hand, and has the mover's lock for as long as one segment takes. Its
//! memory was set aside when the first store was added, so that it gets on where memory is short. Lock
//! order: the stores' `shown`, the mover, a store's cursor; spinlocks are innermost.

use crate::{
    kernel_ext::{block_io::Transfer, clock, errand::Run},
    logic::{
        entry::{Entry, Redirect},
        log::{self, Claim},
        segment::{self, Location, Owner, Record, Writer, BLOCKS, MAX_STORES},
    },
    pool::Pool,
    store::{checksum, Counter, Store},
    table::{Table, TableSlot, Tables},
    writeback::Desk,
};
use core::convert::Infallible;
use kernel::{
    alloc::KVVec,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    time::{delay::fsleep, msecs_to_jiffies, Delta},
};

/// The most records in a segment that others are moved to.
const MAX_MOVES: usize = 16384;

/// The most segments that are moved to one.
const MAX_SOURCES: usize = 64;

/// The most segments that are filled by cleaning at one go: others wait for the mover meanwhile.
const MAX_CLEANED: usize = 8;

/// How long the mover rests when it could do nothing.
pub(crate) const REST_MS: u32 = 100;

/// A record that is being moved.
struct Moved {
    owner: Owner,
    from: Redirect,
    unit: usize,
}

/// A segment that records are moved from.
struct Source {
    store: Arc<Store>,
    claim: Claim,
    /// Records of it that were looked at.
    done: usize,
    /// If all of them could be read.
    intact: bool,
}

/// What the mover works with.
pub(crate) struct Gear {
    input: Pin<KBox<Transfer<Infallible>>>,
    pub(crate) output: Pin<KBox<Transfer<Infallible>>>,
    pub(crate) desk: Desk,
    moves: KVVec<Moved>,
    sources: KVVec<Source>,
    /// Where taking back goes on, if an area is being swapped off: store, segment, segments left.
    recall: Option<(usize, usize, usize)>,
    /// Taking back is not tried, after there was no memory for it.
    recall_rest: Rest,
}

impl Gear {
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<KBox<Self>> {
        Ok(KBox::new(
            Self {
                input: Transfer::new(BLOCKS)?,
                output: Transfer::new(BLOCKS)?,
                desk: Desk::new()?,
                moves: KVVec::with_capacity(MAX_MOVES, GFP_KERNEL)?,
                sources: KVVec::with_capacity(MAX_SOURCES, GFP_KERNEL)?,
                recall: None,
                recall_rest: Rest::new(10 * REST_MS),
            },
            GFP_KERNEL,
        )?)
    }
}

/// A time in which something is not tried again, after nothing could be done: until when, and how many
/// ticks that takes.
pub(crate) struct Rest(Atomic<u32>, u32);

impl Rest {
    /// It does not rest yet, and later for `ms` milliseconds.
    pub(crate) fn new(ms: u32) -> Self {
        let ticks = msecs_to_jiffies(ms) as u32;
        Self(Atomic::new(clock::ticks()), ticks)
    }

    fn begin(&self) {
        self.0.store(clock::ticks().wrapping_add(self.1), Relaxed);
    }

    /// It is tried again at once.
    pub(crate) fn end(&self) {
        self.0.store(clock::ticks(), Relaxed);
    }

    /// If it rests.
    pub(crate) fn is_on(&self) -> bool {
        let left = self.0.load(Relaxed).wrapping_sub(clock::ticks());
        // What is over long since may seem to be of the future, but not of the near one.
        (1..=self.1 + 1).contains(&left)
    }
}

impl Run for Pool {
    fn run(self: Arc<Self>) {
        loop {
            self.recall_all();
            if self.bytes() <= self.low_mark() || self.stores.is_empty() {
                break;
            }
            let mut mover = self.mover.lock();
            let Some(gear) = mover.as_deref_mut() else {
                break;
            };
            match self.write_batch(gear, usize::MAX) {
                Ok(written) if written > 0 => (),
                // Another segment, or another store, until there is none.
                Err(error) if error != ENOSPC => (),
                _ => {
                    drop(mover);
                    self.rest.begin();
                    self.tell_waiters();
                    return;
                }
            }
            drop(mover);
            self.tell_waiters();
        }
        self.rest.end();
        self.tell_waiters();
        if self.discard_one() {
            // After others that may have asked meanwhile.
            self.ask_mover();
        }
    }
}

impl Pool {
    /// Writes `pages` pages to the stores, or as many as there are now.
    ///
    /// Context: may sleep, for long. Errors: [`ENXIO`] if there is no store; [`ENOSPC`] if there is no
    /// room; [`EINTR`]; those of the device.
    pub(crate) fn write_back(&self, pages: usize) -> Result {
        if self.stores.is_empty() {
            return Err(ENXIO);
        }
        // What comes meanwhile is not meant.
        let mut left = pages.min(self.figures.pages_in_cache() as usize);
        while left > 0 {
            let mut mover = self.mover.lock();
            let gear = mover.as_deref_mut().ok_or(ENXIO)?;
            let written = match self.write_batch(gear, left) {
                Err(error) if error != ENOSPC && error != ENXIO => continue,
                result => result?,
            };
            if written == 0 {
                break;
            }
            left -= written.min(left);
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
        }
        Ok(())
    }

    /// Tells a device of one free segment, if there is one that it was not told of.
    fn discard_one(&self) -> bool {
        let _mover = self.mover.lock();
        self.stores.all().any(|store| store.discard_one())
    }

    /// Sets aside what moving takes.
    ///
    /// Context: may sleep; the stores are locked. Errors: [`ENOMEM`].
    pub(crate) fn equip(&self) -> Result {
        if self.mover.lock().is_some() {
            return Ok(());
        }
        let gear = Gear::new()?;
        self.readback.equip()?;
        *self.mover.lock() = Some(gear);
        Ok(())
    }

    /// Has the mover do what there is to do.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn ask_mover(self: &Arc<Self>) {
        self.errand.ask(&self.queue, self);
    }

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

    /// The slot of `record` of segment `segment` of `store`, and its entry, if that names the record.
    fn owner_of<'t>(
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
            moves,
            sources,
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
                        let unit = (moves.len() < MAX_MOVES)
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
    fn begin_source(
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

    /// Serves those who wait for pages of areas that are being swapped off: whole segments are taken back
    /// into the cache, in the order of the log, but those that somebody waits for come first.
    fn recall_all(self: &Arc<Self>) {
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
                gear.recall = None;
                return;
            }
            if let Some((_, wish)) = &waiting {
                // It is looked at only to see where it is: a load takes a mark off anyway.
                if let Some(Entry::Redirected(redirect)) = wish.slot().map(|slot| slot.peek()) {
                    let (store, segment) = (redirect.location.store(), redirect.location.segment());
                    let all = self.stores.all().map(|store| store.log.segments()).sum();
                    let left = gear.recall.map_or(all, |(_, _, left)| left);
                    if self.recall_segment(gear, store, segment) {
                        gear.recall = Some((store, segment + 1, left.saturating_sub(1)));
                    }
                }
            } else {
                // Nobody waits: what takes more memory than there may be is left to who wants it.
                let Some((store, segment, left)) = (gear.recall)
                    .filter(|(_, _, left)| *left > 0 && self.bytes() < self.limit_bytes())
                else {
                    gear.recall = None;
                    return;
                };
                let segments = self.stores.with(store, |store| store.log.segments());
                gear.recall = if segments.is_some_and(|segments| segment < segments) {
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
        if gear.recall_rest.is_on() {
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
            gear.recall_rest.begin();
        }
        recalled != Err(ENOMEM)
    }

    fn has_area_off(&self) -> bool {
        self.tables().all().any(|(_, table)| !table.is_on())
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

    /// Moves what is in segment `segment` of `store` to the cache, if that has room.
    fn move_to_cache(&self, gear: &mut Gear, store: &Arc<Store>, segment: usize) -> Result {
        let Some(claim) = store.log.claim(segment) else {
            return Ok(());
        };
        if self.bytes() + store.log.live(segment) as u64 > self.limit_bytes() {
            store.log.seal(claim);
            return Err(ENOSPC);
        }
        self.recall(gear, store, claim, |_| true)
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
fn end_source(source: Option<Source>) -> Result {
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
