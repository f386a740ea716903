// SPDX-License-Identifier: GPL-2.0

//! What is done with the backing stores of a pool: they are added, reopened, removed, and given up.
//!
//! A task that waits for a device holds none of the locks here, so a device that does not answer delays
//! what is done with its own store, and no other. An order may take hours, and others may be given
//! meanwhile; [`crate::core::store_state`] says which. A place is taken from when a store is to be there
//! until its device was let go.

use crate::{
    backing::store::BackingStore,
    contents::Contents,
    core::{
        segment::MAX_STORES,
        store_state::StoreStatus, //
    },
    kernel_ext::fs::{
        fs_context::FsLog,
        kobject::KobjectDir, //
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
        Arc,
        Mutex, //
    },
    types::ScopeGuard,
};

/// A place for a store in its pool.
enum StorePlace {
    /// It is free.
    Empty,
    /// A store is about to be there, or is about to be gone.
    Taken,
    /// A store is there, and is shown.
    Shown(KobjectDir<BackingStore>),
}

/// What manages the backing stores of a pool.
#[pin_data]
pub(crate) struct StoreAdmin {
    contents: Arc<Contents>,
    reader: Arc<Reader>,
    mover: Arc<Mover>,
    /// What begins or ends something with a store has it locked, and so the stores.
    #[pin]
    places: Mutex<[StorePlace; MAX_STORES]>,
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
            places <- new_mutex!([const { StorePlace::Empty }; MAX_STORES]),
        })
    }

    /// Adds the swapfile or swap partition at `path`, by the rights of the task; `show` shows it. If the
    /// pool has it already, nothing is done.
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
        if stores.has(path) {
            return Ok(());
        }
        let free = places
            .iter_mut()
            .enumerate()
            .find(|(_, place)| matches!(place, StorePlace::Empty));
        let Some((number, place)) = free else {
            return Err(log.error(
                ENOSPC,
                fmt!("backing={}: the pool has 8 stores, which is the most", path),
            ));
        };
        let cipher = stores.cipher(log)?;
        *place = StorePlace::Taken;
        drop(places);
        let taken = ScopeGuard::new(|| self.set_place(number, StorePlace::Empty));
        let store = stores.claim(number, path, cipher, log)?;
        let mut places = self.places.lock();
        self.mover.reserve()?;
        let directory = show(&store)?;
        if let Some(place) = places.get_mut(number) {
            *place = StorePlace::Shown(directory);
        }
        taken.dismiss();
        stores.insert(store);
        drop(places);
        self.contents.update_mark();
        self.mover.end_backoff();
        Ok(())
    }

    /// Moves all that the store at `path` holds to the other stores or to the cache, and gives it
    /// back. If that cannot be done, the store stays, and nothing is lost.
    ///
    /// Context: may sleep, for long. Errors: [`ENOENT`] if the pool has no such store; [`EBUSY`] if it
    /// is being removed already, or is given up before it is empty; [`ENOSPC`] if there is no room;
    /// [`EIO`] if something of it cannot be read; [`EINTR`]. `log` is told why.
    pub(crate) fn remove(&self, path: &CStr, log: &FsLog<'_>) -> Result {
        let store = {
            let places = self.places.lock();
            let store = self.find(&places, path, log)?;
            if !store.state.remove() {
                return Err(self.busy(&store, log));
            }
            store
        };
        let emptied = self.mover.empty(&store);
        let number = store.number();
        let mut places = self.places.lock();
        // Since it was emptied, it may have been given up.
        let emptied = emptied.and_then(|()| match store.state.status().is_removing() {
            true => Ok(()),
            false => Err(ECANCELED),
        });
        if let Err(error) = emptied {
            drop(places);
            if !store.state.keep() {
                return Err(self.busy(&store, log));
            }
            let left = store.log.stats().live >> 10;
            return Err(log.error(
                error,
                fmt!(
                    "backing={}: stays, for {left} KiB of it could not be moved: {error:?}",
                    path
                ),
            ));
        }
        let directory = take_shown(&mut places, number);
        self.contents.stores.discount();
        drop(places);
        drop((directory, store));
        self.contents.update_mark();
        self.give_back(number);
        Ok(())
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
            let places = self.places.lock();
            let store = self.find(&places, path, log)?;
            if store.state.give_up() {
                self.contents.stores.discount();
            }
            store
        };
        self.contents.update_mark();
        let number = store.number();
        loop {
            // Again, if the mover was just done with a segment of it.
            if store.log.stats().live > 0 {
                let lost = self.contents.lose(number);
                pr_warn!(
                    "backing={}: is given up, and {lost} pages with it\n",
                    store.path()
                );
            }
            // Again, if a load just found it as it was.
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
        // Another task may have done the rest.
        if !(self.contents.stores.get(number)).is_some_and(|there| Arc::ptr_eq(&there, &store)) {
            return Ok(());
        }
        let Some(directory) = take_shown(&mut places, number) else {
            return Ok(());
        };
        drop(places);
        drop((directory, store));
        // Not even for the mover, which may wait for the device of another: it takes no segment any more.
        self.release(number, self.contents.stores.take(number));
        Ok(())
    }

    /// Gives all stores back, at the end of the pool.
    ///
    /// Context: may sleep, for as long as a device takes; no area is on, and no store is added any more.
    pub(crate) fn close(&self) {
        self.contents.stores.for_each(|store| {
            store.state.close();
        });
        for number in 0..MAX_STORES {
            if let Some(store) = self.contents.stores.get(number) {
                store.wait_for_readers();
            }
            // What is done with a store by a task is done to its end.
            let shown = take_shown(&mut self.places.lock(), number);
            if shown.is_some() {
                drop(shown);
                self.give_back(number);
            }
        }
    }

    /// The store at `path`, which is shown. [`ENOENT`] if there is none; `log` is told.
    fn find(
        &self,
        places: &[StorePlace; MAX_STORES],
        path: &CStr,
        log: &FsLog<'_>,
    ) -> Result<Arc<BackingStore>> {
        // Those that are shown stay while the places are locked, so no reference here is the last.
        let is_shown = |number: &usize| matches!(places.get(*number), Some(StorePlace::Shown(_)));
        (0..MAX_STORES)
            .filter(is_shown)
            .filter_map(|number| self.contents.stores.get(number))
            .find(|store| store.is_at(path))
            .ok_or_else(|| {
                log.error(
                    ENOENT,
                    fmt!("backing={}: the pool has no such backing store", path),
                )
            })
    }

    /// Why nothing can be done with `store` now. [`EBUSY`]; `log` is told.
    fn busy(&self, store: &BackingStore, log: &FsLog<'_>) -> Error {
        let what = match store.state.status() {
            StoreStatus::GivenUp => "was given up",
            _ => "is being removed already",
        };
        log.error(EBUSY, fmt!("backing={}: {what}", store.path()))
    }

    /// Gives back store `number`, which holds nothing and takes nothing.
    fn give_back(&self, number: usize) {
        // The mover may have it in its hands.
        let mover = self.mover.lock();
        let store = self.contents.stores.take(number);
        drop(mover);
        self.release(number, store);
    }

    /// Releases the device of `store`, which was taken out.
    fn release(&self, number: usize, store: Option<Arc<BackingStore>>) {
        self.reader.forget(number);
        // The last reference: the file is released by this task, which holds none of the locks that
        // reclaim may wait for.
        drop(store);
        self.set_place(number, StorePlace::Empty);
    }

    fn set_place(&self, number: usize, place: StorePlace) {
        if let Some(there) = self.places.lock().get_mut(number) {
            *there = place;
        }
    }
}

/// Takes the directory of store `number`, if it is shown. From then on nothing is begun with it.
fn take_shown(
    places: &mut [StorePlace; MAX_STORES],
    number: usize,
) -> Option<KobjectDir<BackingStore>> {
    let place = places.get_mut(number)?;
    match core::mem::replace(place, StorePlace::Taken) {
        StorePlace::Shown(directory) => Some(directory),
        other => {
            *place = other;
            None
        }
    }
}
