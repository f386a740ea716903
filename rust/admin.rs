// SPDX-License-Identifier: GPL-2.0

//! What is done with the backing stores of a pool: they are added, reopened, removed, and given up.
//!
//! A task that waits for a device holds none of the locks here, so a device that does not answer delays
//! what is done with its own store, and no other. An order may take hours, and others may be given
//! meanwhile; [`crate::core::store_state`] says which. A place is not empty from when a store is to be there
//! until its device was let go.
//!
//! A store is removed by a worker, or by a task that waits for it, in the same way.

use crate::{
    backing::store::{
        BackingStore,
        StorePaths, //
    },
    contents::Contents,
    core::{
        segment::MAX_STORES,
        store_state::StoreStatus, //
    },
    kernel_ext::{
        fs::{
            fs_context::FsLog,
            kobject::KobjectDir, //
        },
        sync::event_count::EventCount,
    },
    writeback::{
        mover::Mover,
        reader::Reader, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    types::ScopeGuard,
};

/// What is in a place for a store.
enum Occupancy {
    /// It is free.
    Empty,
    /// A store is about to be there.
    Arriving,
    /// A store is there, and is shown.
    Shown(KobjectDir<BackingStore>),
    /// The store with these paths is about to be gone.
    Leaving(Arc<StorePaths>),
}

/// A place for a store in its pool.
struct StorePlace {
    store: Occupancy,
    /// Removals from there that ended.
    ended: usize,
    /// What the last of them came to.
    outcome: Result,
}

/// All places of a pool.
type StorePlaces = [StorePlace; MAX_STORES];

/// How a removal began.
pub(crate) enum Removal {
    /// The caller is to [go on](StoreAdmin::finish_removal) with it.
    Begun(Arc<BackingStore>),
    /// Another goes on with it, at this place; so many had ended there before.
    UnderWay(usize, usize),
}

/// What manages the backing stores of a pool.
#[pin_data]
pub(crate) struct StoreAdmin {
    contents: Arc<Contents>,
    reader: Arc<Reader>,
    mover: Arc<Mover>,
    /// What begins or ends something with a store has it locked, and so the stores.
    #[pin]
    places: Mutex<StorePlaces>,
    /// Removals that are under way.
    removals: Atomic<usize>,
    /// Counts what came of removals.
    #[pin]
    changes: EventCount,
}

impl StorePlace {
    const EMPTY: Self = Self {
        store: Occupancy::Empty,
        ended: 0,
        outcome: Ok(()),
    };

    /// The directory of the store that is there, if it is shown.
    fn shown(&self) -> Option<&KobjectDir<BackingStore>> {
        match &self.store {
            Occupancy::Shown(directory) => Some(directory),
            _ => None,
        }
    }

    /// Returns whether the store that means `path` is about to be gone.
    fn is_leaving(&self, path: &CStr) -> bool {
        match &self.store {
            Occupancy::Leaving(paths) => paths.have(path),
            _ => false,
        }
    }
}

impl StoreAdmin {
    /// That of a pool without stores.
    pub(crate) fn new(
        contents: Arc<Contents>,
        reader: Arc<Reader>,
        mover: Arc<Mover>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            contents,
            reader,
            mover,
            places <- new_mutex!([const { StorePlace::EMPTY }; MAX_STORES]),
            removals: Atomic::new(0),
            changes <- EventCount::new(),
        })
    }

    /// Adds the swapfile or swap partition at `path`, by the rights of the task; `show` shows it. If the
    /// pool has it already, nothing is done, but that it is not removed any more.
    ///
    /// Context: may sleep, for as long as the device takes. Errors: [`ENOSPC`] if there are as many
    /// stores as there may be; those of [`BackingStores::claim`] and of `show`; [`ENOMEM`]. `log` is
    /// told why.
    ///
    /// [`BackingStores::claim`]: crate::backing::stores::BackingStores::claim
    pub(crate) fn add(
        &self,
        path: &CStr,
        log: &FsLog<'_>,
        show: impl FnOnce(&Arc<BackingStore>) -> Result<KobjectDir<BackingStore>>,
    ) -> Result {
        let stores = &self.contents.stores;
        let mut places = self.places.lock();
        if let Some(store) = self.look_for(&places, path) {
            if self.keep(&mut places, &store, ECANCELED) || store.is_wanted() {
                return Ok(());
            }
        }
        let free = places
            .iter_mut()
            .enumerate()
            .find(|(_, place)| matches!(place.store, Occupancy::Empty));
        let Some((number, place)) = free else {
            return Err(log.error(
                ENOSPC,
                fmt!("backing={}: the pool has 8 stores, which is the most", path),
            ));
        };
        place.store = Occupancy::Arriving;
        drop(places);
        let arriving = ScopeGuard::new(|| empty(&mut self.places.lock(), number));
        let store = stores.claim(number, path, log)?;
        let mut places = self.places.lock();
        self.mover.reserve()?;
        self.reader.enter(&store)?;
        let directory = show(&store).inspect_err(|_| self.reader.leave(number))?;
        if let Some(place) = places.get_mut(number) {
            place.store = Occupancy::Shown(directory);
        }
        arriving.dismiss();
        stores.insert(store);
        drop(places);
        self.contents.update_mark();
        self.mover.end_backoff();
        Ok(())
    }

    /// Moves all that the store at `path` holds to the other stores or to the cache, and gives it
    /// back. If that cannot be done, the store stays, and nothing is lost. If it is being removed already,
    /// waits for that.
    ///
    /// Context: may sleep, for long. Errors: [`EINTR`], and then the store stays if it was this task that
    /// removed it; those of [`StoreAdmin::begin_removal`] and [`StoreAdmin::finish_removal`]. `log` is
    /// told why, by the task that removed it.
    pub(crate) fn remove(&self, path: &CStr, log: &FsLog<'_>) -> Result {
        match self.begin_removal(path, log)? {
            Removal::Begun(store) => self.finish_removal(store, log),
            // With no reference to the store, which would keep the device.
            Removal::UnderWay(number, ended) => self.changes.wait_for_interruptible(|| {
                let places = self.places.lock();
                let place = places.get(number).filter(|place| place.ended != ended)?;
                Some(place.outcome)
            })?,
        }
    }

    /// Begins to remove the store at `path`: nothing new goes there.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if the pool has no such store; [`EBUSY`] if it was given up.
    /// `log` is told why.
    pub(crate) fn begin_removal(&self, path: &CStr, log: &FsLog<'_>) -> Result<Removal> {
        let places = self.places.lock();
        if let Some(number) = places.iter().position(|place| place.is_leaving(path)) {
            return Ok(under_way(&places, number));
        }
        let store = self.find(&places, path, log)?;
        if store.state.remove() {
            self.removals.fetch_add(1usize, Relaxed);
            notify(&places, &store);
            Ok(Removal::Begun(store))
        } else if store.state.status().is_removing() {
            Ok(under_way(&places, store.number()))
        } else {
            Err(self.busy(&store, log))
        }
    }

    /// Goes on with a removal that was [begun](StoreAdmin::begin_removal), to its end.
    ///
    /// Context: may sleep, for long. Errors: [`ENOSPC`] if there is no room; [`EIO`] if something of it
    /// cannot be read; [`EBUSY`] if it was given up; [`ECANCELED`] if that was called off, which is no
    /// fault; [`EINTR`]. `log` is told why.
    pub(crate) fn finish_removal(&self, store: Arc<BackingStore>, log: &FsLog<'_>) -> Result {
        let removed = self.empty_and_give_back(store, log);
        self.end_removal();
        removed
    }

    /// Ends a removal that was [begun](StoreAdmin::begin_removal), and that cannot go on for `error`: the
    /// store stays.
    ///
    /// Context: may sleep.
    pub(crate) fn cancel_removal(&self, store: &Arc<BackingStore>, error: Error) {
        self.keep(&mut self.places.lock(), store, error);
        self.end_removal();
    }

    fn end_removal(&self) {
        self.removals.fetch_sub(1usize, Full);
        self.changes.signal();
    }

    fn empty_and_give_back(&self, store: Arc<BackingStore>, log: &FsLog<'_>) -> Result {
        let emptied = self.mover.empty(&store);
        let number = store.number();
        let mut places = self.places.lock();
        let finished = emptied.and_then(|()| match store.state.finish_removal() {
            true => Ok(()),
            false => Err(ECANCELED),
        });
        if let Err(error) = finished {
            return self.not_removed(&mut places, &store, error, log);
        }
        let directory = self.take_place(&mut places, &store);
        self.contents.stores.discount();
        drop(places);
        drop((directory, store));
        self.contents.update_mark();
        self.give_back(number);
        Ok(())
    }

    /// Ends a removal of `store` with `error`, for which the store stays, unless the removal was called
    /// off, or something else became of the store. `log` is told.
    fn not_removed(
        &self,
        places: &mut StorePlaces,
        store: &BackingStore,
        error: Error,
        log: &FsLog<'_>,
    ) -> Result {
        // After it was called off, another removal may have begun, which goes on.
        if error != ECANCELED && store.state.status().is_removing() {
            let (path, left) = (store.path(), store.log.stats().live >> 10);
            // Tasks that wait find the reason in the log.
            log.error(
                error,
                fmt!(
                    "backing={}: stays, for {left} KiB of it could not be moved: {error:?}",
                    path
                ),
            );
            self.keep(places, store, error);
            return Err(error);
        }
        match store.state.status() {
            StoreStatus::GivenUp | StoreStatus::Abandoned => Err(self.busy(store, log)),
            // By another, after this one was called off.
            StoreStatus::Removed => Ok(()),
            _ => Err(ECANCELED),
        }
    }

    /// Has `store` stay, if it is being removed, which ends with `error` then. Returns whether it was.
    fn keep(&self, places: &mut StorePlaces, store: &BackingStore, error: Error) -> bool {
        let kept = store.state.keep();
        if kept {
            notify(places, store);
            self.tell(places, store.number(), Err(error));
            self.mover.end_backoff();
        }
        kept
    }

    /// Tells tasks that wait for a removal from place `number` what it came to.
    fn tell(&self, places: &mut StorePlaces, number: usize, outcome: Result) {
        if let Some(place) = places.get_mut(number) {
            place.ended = place.ended.wrapping_add(1);
            place.outcome = outcome;
        }
        self.changes.signal();
    }

    /// Has the store at `path` take pages again, if it takes none after errors, and its segments that
    /// failed used again.
    ///
    /// Context: may sleep, for as long as the mover takes for a batch. Errors: [`ENOENT`] if the pool has
    /// no such store; [`EBUSY`] if it is being removed, or was given up. `log` is told why.
    pub(crate) fn reopen(&self, path: &CStr, log: &FsLog<'_>) -> Result {
        let store = self.find(&self.places.lock(), path, log)?;
        if !store.is_wanted() {
            return Err(self.busy(&store, log));
        }
        let mover = self.mover.lock();
        store.reopen();
        drop(mover);
        notify(&self.places.lock(), &store);
        self.mover.end_backoff();
        Ok(())
    }

    /// Gives up the store at `path`, with all that is there: what needs it gets an error, and does not
    /// wait for the device any more. The store is given back when the device is done with what it was
    /// asked to do.
    ///
    /// Context: may sleep, for as long as the device takes. Errors: [`ENOENT`] if the pool has no such
    /// store; [`EINTR`]: it is not given back yet. `log` is told why.
    pub(crate) fn give_up(&self, path: &CStr, log: &FsLog<'_>) -> Result {
        let store = {
            let mut places = self.places.lock();
            let store = self.find(&places, path, log)?;
            if store.state.give_up() {
                self.contents.stores.discount();
                notify(&places, &store);
                self.tell(&mut places, store.number(), Err(EBUSY));
            }
            store
        };
        self.contents.update_mark();
        let number = store.number();
        loop {
            // Again, if the mover was just done with a segment of it.
            let lost = match store.log.stats().live {
                0 => 0,
                _ => self.contents.lose(number),
            };
            if lost > 0 {
                pr_warn!(
                    "backing={}: is given up, and {lost} pages with it\n",
                    store.path()
                );
            }
            // Again, if a load just found it as it was, or if there was no memory.
            self.reader.abandon(number);
            let is_idle = store.wait_a_moment().map_err(|error| {
                log.error(
                    error,
                    fmt!(
                        "backing={}: is given up, but its device is busy; order it again to wait for that",
                        path
                    ),
                )
            })?;
            if is_idle {
                break;
            }
        }
        let mut places = self.places.lock();
        if !store.state.finish_giving_up() {
            // Another task does the rest.
            drop(places);
            drop(store);
            let is_leaving = || (self.places.lock().iter()).any(|place| place.is_leaving(path));
            return (self.changes).wait_for_interruptible(|| (!is_leaving()).then_some(()));
        }
        let directory = self.take_place(&mut places, &store);
        drop(places);
        drop((directory, store));
        // Not even for the mover, which may wait for the device of another: it takes no segment any more.
        self.release(number, self.contents.stores.take(number), Err(EBUSY));
        Ok(())
    }

    /// Gives all stores back, at the end of the pool.
    ///
    /// Context: may sleep, for as long as a device takes; no area is on, and no store is added any more.
    pub(crate) fn close(&self) {
        for number in 0..MAX_STORES {
            while let Some(store) = self.contents.stores.get(number) {
                // If it is not being removed yet. It holds nothing, so that may only end well, or with a
                // signal.
                let _ = store.state.remove();
                store.wait_for_readers();
                let mut places = self.places.lock();
                if !(store.state.finish_removal() || store.state.finish_giving_up()) {
                    match store.state.status() {
                        // Another task does the rest.
                        StoreStatus::Removed | StoreStatus::Abandoned => break,
                        _ => continue,
                    }
                }
                let directory = self.take_place(&mut places, &store);
                drop(places);
                drop((directory, store));
                self.give_back(number);
            }
        }
        (self.changes).wait_for(|| (self.removals.load(Acquire) == 0).then_some(()));
    }

    /// The store at `path`, which is shown. [`ENOENT`] if there is none; `log` is told.
    fn find(
        &self,
        places: &StorePlaces,
        path: &CStr,
        log: &FsLog<'_>,
    ) -> Result<Arc<BackingStore>> {
        self.look_for(places, path).ok_or_else(|| {
            log.error(
                ENOENT,
                fmt!("backing={}: the pool has no such backing store", path),
            )
        })
    }

    /// The store at `path`, if it is shown.
    fn look_for(&self, places: &StorePlaces, path: &CStr) -> Option<Arc<BackingStore>> {
        // Those that are shown stay while the places are locked, so no reference here is the last.
        (places.iter().enumerate())
            .filter(|(_, place)| place.shown().is_some())
            .filter_map(|(number, _)| self.contents.stores.get(number))
            .find(|store| store.is_at(path))
    }

    /// Why nothing can be done with `store` now. [`EBUSY`]; `log` is told.
    fn busy(&self, store: &BackingStore, log: &FsLog<'_>) -> Error {
        let what = match store.state.status() {
            StoreStatus::GivenUp | StoreStatus::Abandoned => "was given up",
            _ => "is being removed",
        };
        log.error(EBUSY, fmt!("backing={}: {what}", store.path()))
    }

    /// Gives back store `number`, which holds nothing and takes nothing.
    fn give_back(&self, number: usize) {
        // The mover may have it in its hands.
        let mover = self.mover.lock();
        let store = self.contents.stores.take(number);
        drop(mover);
        self.release(number, store, Ok(()));
    }

    /// Releases the device of `store`, which was taken out, and tells tasks that wait for its removal the
    /// `outcome`.
    fn release(&self, number: usize, store: Option<Arc<BackingStore>>, outcome: Result) {
        self.reader.leave(number);
        // The last reference: the file is released by this task, which holds none of the locks that
        // reclaim may wait for.
        drop(store);
        let mut places = self.places.lock();
        empty(&mut places, number);
        self.tell(&mut places, number, outcome);
    }

    /// Takes the directory of `store`, which has nothing that is needed, and is given back next by the
    /// caller: its state says so. From then on nothing is begun with it.
    fn take_place(
        &self,
        places: &mut StorePlaces,
        store: &BackingStore,
    ) -> Option<KobjectDir<BackingStore>> {
        notify(places, store);
        let place = places.get_mut(store.number())?;
        match core::mem::replace(&mut place.store, Occupancy::Leaving(store.paths.clone())) {
            Occupancy::Shown(directory) => Some(directory),
            _ => None,
        }
    }
}

fn empty(places: &mut StorePlaces, number: usize) {
    if let Some(place) = places.get_mut(number) {
        place.store = Occupancy::Empty;
    }
}

/// The removal from place `number`, which is under way.
fn under_way(places: &StorePlaces, number: usize) -> Removal {
    Removal::UnderWay(number, places.get(number).map_or(0, |place| place.ended))
}

/// Tells those that poll the state of `store` that it is another.
fn notify(places: &StorePlaces, store: &BackingStore) {
    if let Some(directory) = places.get(store.number()).and_then(StorePlace::shown) {
        directory.notify(c"state");
    }
}
