// SPDX-License-Identifier: GPL-2.0

//! A pool: what areas share. It stores, loads and frees pages.
//!
//! This is where what one part did becomes work of another: here the mover is woken.

use crate::{
    admin::{
        Removal,
        StoreAdmin, //
    },
    contents::{
        cache::{
            CacheInner,
            CacheStream, //
        },
        stats::{
            Arrivals,
            StoreFailure, //
        },
        table::Table,
        Contents,
        Found,
        PoolConfig, //
    },
    core::{
        entry::Redirect,
        fit::{
            Misfit,
            Watch, //
        },
        latency::LoadedFrom,
        segment::Owner,
        slot::{
            Replaced,
            Slot, //
        },
        PAGE_SIZE,
    },
    kernel_ext::{
        block::io_group::IoGroup,
        cpu_hotplug::OnlineState,
        fs::{
            fs_context::FsLog,
            kobject::KobjectDir, //
        },
        mm::{
            pending_page::{
                LoadTarget,
                Loaded, //
            },
            shrinker::Shrinker,
            swap::{
                is_in_swapoff,
                AreaStatus, //
            },
            swap_batch::{
                LoadBatch,
                StoreBatch, //
            },
            zsmalloc::ZsObject,
        },
        power::HibernationNotifier,
        sync::{
            delayed_call::Callee,
            workqueue::{
                BackgroundQueue,
                ReclaimQueue, //
            },
        },
        trace::{
            tell,
            FailedOp, //
        },
    },
    writeback::{
        load::BegunLoad,
        mover::Mover,
        pressure,
        reader::{
            PendingLoad,
            Reader,
            RecalledLoad, //
        },
        recompressor::{
            self,
            Recompressor, //
        }, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        Arc,
        Mutex, //
    },
};

/// The queues that the workers of all pools run on.
pub(crate) struct Queues {
    /// For work that may wait for its turn.
    pub(crate) patient: Arc<ReclaimQueue>,
    /// For work that the image of a hibernating machine must not miss.
    pub(crate) freezable: Arc<ReclaimQueue>,
    /// For work that the mover waits for.
    pub(crate) writes: Arc<ReclaimQueue>,
    /// For work that a load waits for.
    pub(crate) urgent: Arc<ReclaimQueue>,
    /// For work that takes long.
    pub(crate) background: Arc<BackgroundQueue>,
}

impl Drop for Queues {
    fn drop(&mut self) {
        // No pool is left but those that their last worker has yet to let go of. After this the queues
        // have no other user; they cannot go in a worker of their own.
        self.background.flush();
        self.urgent.flush();
        self.patient.flush();
        self.freezable.flush();
        self.writes.flush();
    }
}

/// Has a mover told of hibernation.
type ToldMover = Pin<KBox<HibernationNotifier<Arc<Mover>>>>;

/// A pool.
#[pin_data]
pub(crate) struct Pool {
    /// What it holds.
    pub(crate) contents: Arc<Contents>,
    reader: Arc<Reader>,
    mover: Arc<Mover>,
    recompressor: Arc<Recompressor>,
    compressor: CString,
    second: Option<CString>,
    /// Whether its areas take many folios at once, and are not synchronous.
    pub(crate) batched: bool,
    /// What is done with its backing stores.
    #[pin]
    pub(crate) admin: StoreAdmin,
    background: Arc<BackgroundQueue>,
    /// Where it is shown; [`None`] before, and at its end.
    #[pin]
    directory: Mutex<Option<KobjectDir<Self>>>,
    /// What was told of areas that do not fit.
    #[pin]
    watch: Mutex<Watch>,
    /// Has the mover write when memory is short; there from the first store on, if the pool has a cache.
    #[pin]
    shrinker: Mutex<Option<Shrinker<Mover>>>,
    /// Tells the mover when the machine hibernates; there from the first store on.
    #[pin]
    hibernation: Mutex<Option<ToldMover>>,
}

impl Pool {
    /// An empty pool, whose workers run on `queues`, and whose CPUs come at the step `cpus`.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if there is no such compressor; [`ENOMEM`].
    pub(crate) fn new(
        id: CString,
        config: PoolConfig,
        queues: &Queues,
        cpus: &Arc<OnlineState<CacheInner>>,
    ) -> Result<Arc<Self>> {
        let Queues {
            patient,
            freezable,
            writes,
            urgent,
            background,
        } = queues;
        let contents = Contents::new(id, &config, cpus)?;
        let reader = Reader::new(contents.clone(), urgent.clone())?;
        let mover = Mover::new(
            contents.clone(),
            reader.clone(),
            patient.clone(),
            freezable.clone(),
            writes.clone(),
        )?;
        let recompressor = Recompressor::new()?;
        let admin = StoreAdmin::new(contents.clone(), reader.clone(), mover.clone());
        Arc::pin_init(
            pin_init!(Self {
                contents,
                reader,
                mover,
                recompressor,
                compressor: config.compressor,
                second: config.second,
                batched: config.batched,
                admin <- admin,
                background: background.clone(),
                directory <- new_mutex!(None),
                watch <- new_mutex!(Watch::new()),
                shrinker <- new_mutex!(None),
                hibernation <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )
    }

    /// Its name, or the number of its mount.
    pub(crate) fn id(&self) -> &CStr {
        &self.contents.id
    }

    /// The name of its compressor.
    pub(crate) fn compressor(&self) -> &CStr {
        &self.compressor
    }

    /// The name of its second compressor, if it has one.
    pub(crate) fn second(&self) -> Option<&CStr> {
        self.second.as_deref()
    }

    /// Bytes that the pool takes whatever it holds, mounted once, see [`Contents::fixed_bytes`].
    ///
    /// Context: may sleep.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.contents.fixed_bytes() + (size_of::<Self>() + PAGE_SIZE) as u64
    }

    /// Begins an area of `slots` slots that is swapped on as `status` says. Returns its table, and its
    /// number.
    ///
    /// Context: may sleep. Errors: [`ENOSPC`] if there are too many; [`ENOMEM`].
    pub(crate) fn begin_area(
        &self,
        slots: usize,
        status: AreaStatus,
    ) -> Result<(Arc<Table>, usize)> {
        self.contents.cache.prepare()?;
        self.recompressor.begin(&self.contents, &self.background)?;
        let table = Table::new(self.contents.table_pages.clone(), slots, status)?;
        let number = self.contents.tables.enter(&table)?;
        self.contents.changes.ask();
        Ok((table, number))
    }

    /// Ends area `number`.
    ///
    /// Context: any but interrupts.
    pub(crate) fn end_area(&self, number: usize) {
        self.contents.tables.leave(number);
        self.contents.changes.ask();
    }

    /// Keeps the pages of `batch` for their slots of `table`, that of area `area`, in place of what was there.
    /// If one cannot be kept, for lack of room or memory, its folio stays in memory, and its slots are freed.
    ///
    /// Context: may sleep; memory may be being reclaimed.
    #[inline]
    pub(crate) fn store(&self, table: &Table, area: usize, batch: &mut StoreBatch<'_>) {
        let mut cursor = table.cursor();
        let mut stream = self.contents.cache.stream();
        let mut arrivals = Arrivals::default();
        // Whether there was room after the page before.
        let mut had_room = false;
        batch.each_page(
            |slot, page| {
                if !had_room && !self.has_room(&mut stream) {
                    return Err(self.refuse(Owner::new(area, slot), StoreFailure::Limit));
                }
                had_room = false;
                match (self.contents).put(&mut cursor, slot, page, &mut stream, &mut arrivals) {
                    Ok(replaced) => self.dispose(replaced),
                    Err(failure) => return Err(self.refuse(Owner::new(area, slot), failure)),
                }
                // The object, or the slot's cluster, may have grown the pool. Then they go back.
                if !self.has_room(&mut stream) {
                    return Err(self.refuse(Owner::new(area, slot), StoreFailure::Limit));
                }
                had_room = true;
                arrivals.stored();
                tell!(store: self.contents.traced(Owner::new(area, slot)), table.length(slot));
                Ok(())
            },
            |slot| self.forget(table, slot),
        );
        self.contents.stats.arrived(arrivals);
    }

    /// Writes to the pages of `batch` what their slots of `table`, that of area `area`, have, or puts
    /// them off. One whose slot has nothing fails.
    ///
    /// Context: may sleep, for the CPU's stream, or where another task holds an object; waits for neither
    /// memory nor I/O.
    #[inline]
    pub(crate) fn load(&self, table: &Arc<Table>, area: usize, batch: &mut LoadBatch<'_>) {
        let mut cursor = table.cursor();
        let mut stream = self.contents.cache.stream();
        let mut timer = self.contents.stats.load_timer();
        batch.each_page(|slot, mut target| {
            let owner = Owner::new(area, slot);
            let Some(entry) = cursor.get(slot) else {
                return Err(self.fail_load(owner, EIO));
            };
            match (self.contents).load(entry, &mut target.page(), &mut stream) {
                Ok(Found::Loaded(filled)) => {
                    let nanos = timer.loaded();
                    tell!(
                        load: self.contents.traced(owner),
                        table.length(slot),
                        LoadedFrom::Ram,
                        nanos,
                    );
                    Ok(filled.into())
                }
                Ok(Found::InStore(redirect)) => {
                    // The reader takes one.
                    stream.pause();
                    let put_off = self.load_redirected(table, entry, owner, redirect, target);
                    timer.begin();
                    Ok(put_off)
                }
                Err(error) => Err(self.fail_load(owner, error)),
            }
        });
    }

    /// Counts a load of the page of `owner`, which failed. Returns the error.
    #[cold]
    fn fail_load(&self, owner: Owner, error: Error) -> Error {
        self.contents.stats.load_failed();
        tell!(fail: self.contents.traced(owner), FailedOp::Load, error);
        error
    }

    /// Has a page loaded that was found where `redirect` says: the page of `slot`, the slot of `owner`.
    fn load_redirected(
        &self,
        table: &Arc<Table>,
        slot: &Slot<ZsObject>,
        owner: Owner,
        redirect: Redirect,
        target: LoadTarget<'_>,
    ) -> Loaded {
        // The reader counts it when it is done.
        let (page, put_off) = target.defer();
        let begun = BegunLoad {
            owner,
            length: redirect.form.length,
            at: self.contents.stats.now(),
        };
        let group = IoGroup::current();
        let recalled = !table.is_on() && is_in_swapoff();
        // While a store that was given up is there, its device may not answer, and the mover wait for it.
        let takes_loads = || !self.contents.stores.any_given_up() && self.mover.takes_loads();
        if recalled && takes_loads() {
            let table = table.clone();
            let load = PendingLoad { table, begun };
            (self.reader).wait_for_recall(RecalledLoad { load, group }, page);
            self.mover.wake();
            return put_off;
        }
        self.reader.load(slot, begun, redirect, group, page);
        if recalled {
            self.reader.recall_later(redirect);
            self.mover.wake();
        }
        put_off
    }

    /// Frees slot `slot` of `table`.
    ///
    /// Context: any but interrupts; spinlocks may be held.
    #[inline(always)]
    pub(crate) fn free(&self, table: &Table, slot: usize) {
        if let Some(replaced) = table.take(slot) {
            self.dispose(replaced);
        }
    }

    /// Frees slot `slot` of `table`, whose page stays in memory.
    #[cold]
    fn forget(&self, table: &Table, slot: usize) {
        self.free(table, slot);
    }

    /// Frees what a slot held.
    #[inline(always)]
    fn dispose(&self, replaced: Replaced<ZsObject>) {
        if self.contents.dispose(replaced) {
            self.mover.wake();
        }
    }

    /// Counts the page of `owner`, which is not stored. Returns the error.
    #[cold]
    fn refuse(&self, owner: Owner, failure: StoreFailure) -> Error {
        self.contents.stats.refused(failure);
        let error = match failure {
            StoreFailure::Limit => ENOSPC,
            StoreFailure::Memory => {
                self.mover.free_memory();
                ENOMEM
            }
        };
        tell!(fail: self.contents.traced(owner), FailedOp::Store, error);
        error
    }

    /// Returns whether the pool holds no more than it may, after the mover made room if it must. The
    /// mover is waited for without `stream`.
    ///
    /// Context: as [`Mover::make_room`].
    #[inline]
    fn has_room(&self, stream: &mut CacheStream<'_>) -> bool {
        self.contents.is_below_mark() || {
            stream.pause();
            self.mover.make_room()
        }
    }

    /// Writes `pages` pages to the stores, or as many as there are now.
    ///
    /// Context and errors: as [`Mover::write_back`].
    pub(crate) fn write_back(&self, pages: usize) -> Result {
        self.mover.write_back(pages)
    }

    /// Writes all pages to the stores that are in clusters in which nothing was stored for `age` seconds.
    ///
    /// Context and errors: as [`Mover::write_back_older`].
    pub(crate) fn write_back_older(&self, age: u32) -> Result {
        self.mover.write_back_older(age)
    }

    /// Has the second compressor make objects smaller that are in memory and in clusters in which nothing
    /// was stored for `age` seconds.
    ///
    /// Context and errors: as [`recompressor::recompress_older`].
    pub(crate) fn recompress(&self, age: u32) -> Result {
        recompressor::recompress_older(&self.contents, age)
    }

    /// From now on the pool is shown in `directory`, and its stores in it, and it tells there if its areas do
    /// not fit what it can hold.
    ///
    /// Context: may sleep.
    pub(crate) fn show_in(self: &Arc<Self>, directory: KobjectDir<Self>) {
        *self.directory.lock() = Some(directory);
        self.contents.changes.begin(self.clone());
    }

    /// Adds the swapfile or swap partition at `path`, by the rights of the task. If the pool has it
    /// already, nothing is done, but that it is not removed any more.
    ///
    /// Context and errors: as [`StoreAdmin::add`]; [`ENODEV`] if the pool is not shown.
    pub(crate) fn add_store(&self, path: &CStr, log: &FsLog<'_>) -> Result {
        self.register_shrinker()?;
        self.listen_to_hibernation()?;
        self.admin.add(path, log, |store| {
            let directory = self.directory.lock();
            let pool = directory.as_ref().ok_or(ENODEV)?;
            KobjectDir::new(pool, fmt!("backing{}", store.number()), store.clone())
        })
    }

    /// Has the kernel ask the mover for memory. What passes through a pool without a cache is written at
    /// once anyway.
    fn register_shrinker(&self) -> Result {
        let mut shrinker = self.shrinker.lock();
        if shrinker.is_none() && self.contents.limit.cached {
            *shrinker = Some(Shrinker::new(
                fmt!("ghostswap:{}", self.id()),
                pressure::SEEKS,
                self.mover.clone(),
            )?);
        }
        Ok(())
    }

    /// Has the mover told when the machine is about to hibernate.
    fn listen_to_hibernation(&self) -> Result {
        let mut told = self.hibernation.lock();
        if told.is_none() {
            let notifier = HibernationNotifier::new(self.mover.clone());
            *told = Some(KBox::pin_init(notifier, GFP_KERNEL)?);
        }
        Ok(())
    }

    /// Has a worker remove the store at `path`, and does not wait for that. Nothing is done if it is being
    /// removed already. What comes of it is seen in sysfs; if it stays, the kernel's log says why.
    ///
    /// Context and errors: as [`StoreAdmin::begin_removal`]; [`ENOMEM`].
    pub(crate) fn begin_removal(self: &Arc<Self>, path: &CStr, log: &FsLog<'_>) -> Result {
        let Removal::Begun(store) = self.admin.begin_removal(path, log)? else {
            return Ok(());
        };
        let (pool, removed) = (self.clone(), store.clone());
        let spawned = self.background.spawn(move || {
            let log = FsLog::of_kernel("nobacking");
            match pool.admin.finish_removal(removed, &log) {
                // The task that called it off knows.
                Err(ECANCELED) => (),
                ended => drop(log.conclude(ended)),
            }
        });
        spawned.inspect_err(|error| self.admin.cancel_removal(&store, *error))
    }

    /// Gives all stores back, at the end of the pool: no area is on, so they hold nothing.
    ///
    /// Context: may sleep, for as long as a device takes.
    pub(crate) fn close(&self) {
        self.recompressor.end();
        // It has a reference to the pool.
        self.contents.changes.end();
        // So that no store is added any more.
        let directory = self.directory.lock().take();
        self.admin.close();
        // It waits for tasks that write to its files, with nothing locked that they may wait for.
        drop(directory);
        // So no store is added any more that registers another. It waits for tasks that reclaim memory.
        let shrinker = self.shrinker.lock().take();
        drop(shrinker);
        // It waits for a task that has the mover write what there is.
        let hibernation = self.hibernation.lock().take();
        drop(hibernation);
    }
}

/// What the pool holds, or may hold, changed.
impl Callee for Pool {
    fn call(&self) {
        // A task that swaps an area off does not want another one on; and one may not be on yet.
        if self.contents.tables.snapshot().any_off() {
            return self.contents.changes.ask();
        }
        let (view, _) = self.contents.view();
        let Some(misfit) = self.watch.lock().look(view) else {
            return;
        };
        let how = match misfit {
            Misfit::Short => c"GHOSTSWAP_FIT=short",
            Misfit::Long => c"GHOSTSWAP_FIT=long",
        };
        if let Some(directory) = &*self.directory.lock() {
            // Whether somebody listens is no matter of the pool.
            let _ = directory.tell_change(how);
        }
    }
}
