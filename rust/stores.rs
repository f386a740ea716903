// SPDX-License-Identifier: GPL-2.0

//! The backing stores of a pool: adding, finding and giving back.
//!
//! Stores are tiers, in the order of their numbers. A store is found without a lock. What keeps it in
//! its place is what it holds: [`Pool::remove_store`] takes it out when no segment of it is in use or
//! pinned, and then waits for whoever still looks.

use crate::{
    kernel_ext::{
        arc_slots::ArcSlots, cipher::Xts, fs_context::Log, kobject::Directory, swap_store::Refusal,
    },
    logic::{
        entry::Redirect,
        log::Pinned,
        segment::{MAX_STORES, SEGMENT},
        PAGE_SIZE,
    },
    pool::Pool,
    store::Store,
};
use core::cell::Cell;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex, SetOnce,
    },
    time::{delay::fsleep, Delta},
};

/// Who is told why something is refused.
pub(crate) trait Tell {
    /// Tells, and returns `error`.
    fn error(&self, error: Error, message: kernel::fmt::Arguments<'_>) -> Error;
}

impl Tell for Log<'_> {
    fn error(&self, error: Error, message: kernel::fmt::Arguments<'_>) -> Error {
        Log::error(self, error, message)
    }
}

/// The kernel's log.
pub(crate) struct KernelLog {
    /// If something was said.
    said: Cell<bool>,
}

impl KernelLog {
    /// Calls `act` with the log, and makes sure that a failure has one line: if nothing was said of it,
    /// that names `what`, and the error.
    pub(crate) fn of(what: &str, act: impl FnOnce(&Self) -> Result) -> Result {
        let log = Self {
            said: Cell::new(false),
        };
        act(&log).map_err(|error| {
            if log.said.get() {
                error
            } else {
                log.error(error, fmt!("{what}: {error:?}"))
            }
        })
    }
}

impl Tell for KernelLog {
    fn error(&self, error: Error, message: kernel::fmt::Arguments<'_>) -> Error {
        self.said.set(true);
        pr_err!("{}\n", message);
        error
    }
}

/// Where a pool and its stores are shown. Whoever adds or removes a store has it locked.
#[derive(Default)]
struct Shown {
    pool: Option<Arc<Directory<Pool>>>,
    stores: [Option<Directory<Store>>; MAX_STORES],
    /// If the pool is at its end.
    closed: bool,
}

/// The stores of a pool.
#[pin_data]
pub(crate) struct Stores {
    places: ArcSlots<Store, MAX_STORES>,
    count: Atomic<usize>,
    encrypt: bool,
    discard: bool,
    /// The key of all of them, from the first that is added to the end of the pool.
    key: SetOnce<Xts>,
    #[pin]
    shown: Mutex<Shown>,
}

impl Stores {
    /// No stores. Those to come are encrypted if `encrypt`, and told of free segments if `discard`.
    pub(crate) fn new(encrypt: bool, discard: bool) -> impl PinInit<Self> {
        pin_init!(Self {
            places: ArcSlots::new(),
            count: Atomic::new(0),
            encrypt,
            discard,
            key: SetOnce::new(),
            shown <- new_mutex!(Shown::default()),
        })
    }

    /// If what goes to the stores is encrypted.
    pub(crate) fn encrypt(&self) -> bool {
        self.encrypt
    }

    /// If the stores are told of free segments.
    pub(crate) fn discard(&self) -> bool {
        self.discard
    }

    /// The key, if what goes to the stores is encrypted.
    pub(crate) fn key(&self) -> Option<&Xts> {
        self.key.as_ref()
    }

    /// If there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// Calls `with` with store `number`; [`None`] if there is none.
    ///
    /// Context: any. `with` must not sleep.
    #[inline]
    pub(crate) fn with<R>(&self, number: usize, with: impl FnOnce(&Store) -> R) -> Option<R> {
        self.places.with(number, with)
    }

    /// Store `number`, for the mover of the pool: it has let go of it when the store is taken out.
    pub(crate) fn get(&self, number: usize) -> Option<Arc<Store>> {
        self.places.get(number)
    }

    /// All stores, in order, as [`Stores::get`].
    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<Store>> + '_ {
        (0..MAX_STORES).filter_map(|number| self.get(number))
    }

    /// Ends the record where `redirect` says: no slot names it any more. Says if a segment is free by
    /// that which had better be discarded.
    ///
    /// Context: any; never waits.
    #[inline]
    pub(crate) fn end_record(&self, redirect: Redirect) -> bool {
        let (location, length) = (redirect.location, redirect.form.length());
        // The record kept the store in its place until now.
        self.with(location.store(), |store| {
            store.log.end_record(location.segment(), length) && store.discards()
        })
        .unwrap_or(false)
    }

    /// Pins the segment where `redirect` says; [`None`] if nothing is there any more.
    ///
    /// Context: any; never waits.
    pub(crate) fn pin(&self, redirect: Redirect) -> Option<Pinned> {
        let location = redirect.location;
        self.with(location.store(), |store| store.log.pin(location.segment()))?
    }

    /// Ends a pin of a segment of store `number`.
    ///
    /// Context: any; never waits.
    pub(crate) fn unpin(&self, number: usize, pinned: Pinned) {
        // The pin kept the store in its place until now.
        self.with(number, |store| store.log.unpin(pinned));
    }

    /// From now on the stores are shown in `directory`, that of the pool.
    ///
    /// Context: may sleep.
    pub(crate) fn show_in(&self, directory: Arc<Directory<Pool>>) {
        self.shown.lock().pool = Some(directory);
    }

    /// Calls `each` with all stores, in order.
    ///
    /// Context: any. `each` must not sleep.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Store)) {
        for number in 0..MAX_STORES {
            self.with(number, &mut each);
        }
    }

    /// If there is one at `path`.
    pub(crate) fn has(&self, path: &CStr) -> bool {
        let mut found = false;
        self.for_each(|store| found |= store.is_at(path));
        found
    }

    /// Makes the key, if there is to be one and is none yet.
    fn make_key(&self, tell: &dyn Tell) -> Result {
        if self.encrypt && self.key.as_ref().is_none() {
            let key = Xts::new().map_err(|error| {
                let reason = if error == ENOENT {
                    "the kernel has no xts(aes); give encrypt=off to do without"
                } else {
                    "xts(aes) cannot be set up"
                };
                tell.error(error, fmt!("encrypt=on: {reason}"))
            })?;
            // Whoever makes it has the stores locked, so there is none before it.
            self.key.populate(key);
        }
        Ok(())
    }

    /// How many bytes of pages the stores hold and can still hold, if pages to come take as much as
    /// those that are there: all, and what is free of it. Without any, a page counts as itself.
    pub(crate) fn space(&self, in_stores: (u64, u64)) -> (u64, u64) {
        let (pages, bytes) = in_stores;
        let mut free = 0;
        self.for_each(|store| free += store.free_bytes());
        let held = pages * PAGE_SIZE as u64;
        // A segment less, so that the product stays in range for any store.
        let free = match bytes / (SEGMENT as u64) {
            0 => free,
            segments => free / segments * (held / SEGMENT as u64),
        };
        (held + free, free)
    }
}

impl Pool {
    /// Adds the swapfile or swap partition at `path`, by the rights of the task. If the pool has it
    /// already, nothing is done.
    ///
    /// Context: may sleep. Errors: those of [`Refusal`]; [`ENOSPC`] if there are as many stores as
    /// there may be; [`ENOMEM`]. `tell` is told why.
    pub(crate) fn add_store(self: &Arc<Self>, path: &CStr, tell: &dyn Tell) -> Result {
        let stores = &self.stores;
        let mut shown = stores.shown.lock();
        if shown.closed {
            return Err(ENODEV);
        }
        if stores.has(path) {
            return Ok(());
        }
        let refuse = |error, reason: &str| tell.error(error, fmt!("backing={}: {reason}", path));
        let number = (0..MAX_STORES)
            .find(|&number| stores.with(number, |_| ()).is_none())
            .ok_or_else(|| refuse(ENOSPC, "the pool has 8 stores, which is the most"))?;
        stores.make_key(tell)?;
        let store =
            Store::claim(number, path, stores.discard).map_err(|refusal| match refusal {
                Refusal::Header(problem) => match problem.value() {
                    Some(value) => tell.error(
                        refusal.error(),
                        fmt!("backing={}: {} {value}", path, refusal.reason()),
                    ),
                    None => refuse(refusal.error(), refusal.reason()),
                },
                _ => refuse(refusal.error(), refusal.reason()),
            })?;
        if !store.is_private_to_root() {
            pr_warn!(
                "backing={}: should be root's and closed to others, for it will hold what is in memory\n",
                path
            );
        }
        self.equip()?;
        let directory = match &shown.pool {
            Some(pool) => Some(Directory::new(
                pool.as_ref(),
                fmt!("store{number}"),
                store.clone(),
            )?),
            None => None,
        };
        shown.stores[number] = directory;
        drop(stores.places.replace(number, Some(store)));
        stores.count.fetch_add(1usize, Relaxed);
        self.update_mark();
        // There is something to do now.
        self.rest.end();
        Ok(())
    }

    /// Moves all that the store at `path` holds to the other stores or to the cache, and gives it
    /// back. If that cannot be done, the store stays, and nothing is lost.
    ///
    /// Context: may sleep, for long. Errors: [`ENOENT`] if the pool has no such store; [`ENOSPC`] if
    /// there is no room; [`EIO`] if something of it cannot be read; [`EINTR`]. `tell` is told why.
    pub(crate) fn remove_store(self: &Arc<Self>, path: &CStr, tell: &dyn Tell) -> Result {
        let stores = &self.stores;
        let mut shown = stores.shown.lock();
        let store = stores
            .all()
            .find(|store| store.is_at(path))
            .ok_or_else(|| tell.error(ENOENT, fmt!("store {}: the pool has no such one", path)))?;
        let was_open = store.is_open();
        store.set_open(false);
        if let Err(error) = self.empty(&store) {
            store.set_open(was_open);
            let left = store.log.figures().live >> 10;
            return Err(tell.error(
                error,
                fmt!(
                    "store {}: stays, for {left} KiB of it could not be moved: {error:?}",
                    path
                ),
            ));
        }
        let number = store.number();
        drop(store);
        stores.count.fetch_sub(1usize, Relaxed);
        self.update_mark();
        self.give_back(&mut shown, number);
        Ok(())
    }

    /// Gives back store `number`, which holds nothing and takes nothing.
    fn give_back(&self, shown: &mut Shown, number: usize) {
        // It shows the store, and so keeps it.
        shown.stores[number] = None;
        // The mover may have it in its hands.
        let mover = self.mover.lock();
        let store = self.stores.places.replace(number, None);
        drop(mover);
        // The last: the file is released by this task, which holds none of the locks that reclaim
        // may wait for.
        drop(store);
    }

    /// Gives all stores back, at the end of the pool: no area is on, so they hold nothing.
    ///
    /// Context: may sleep.
    pub(crate) fn close_stores(&self) {
        let mut shown = self.stores.shown.lock();
        self.stores.for_each(|store| store.set_open(false));
        for number in 0..MAX_STORES {
            while self.stores.with(number, |store| !store.log.is_idle()) == Some(true) {
                fsleep(Delta::from_millis(1));
            }
            self.give_back(&mut shown, number);
        }
        shown.closed = true;
        let directory = shown.pool.take();
        drop(shown);
        // It waits for those who write to its files, and they may wait for what was locked.
        drop(directory);
    }
}
