// SPDX-License-Identifier: GPL-2.0

//! A pool: what areas share. The cache, the limit on all it holds, the backing stores, and the figures.

use crate::{
    cache::Cache,
    figures::Figures,
    kernel_ext::{
        errand::Errand,
        mm,
        swap_page::{DestPage, Filled},
        workqueue::ReclaimQueue,
        zsmalloc::Object,
    },
    logic::{
        entry::{doubled, Redirect},
        limit::Limit,
        segment::SEGMENT,
        slot::{Look, Slot},
        PAGE_SIZE,
    },
    mover::{Gear, Rest, REST_MS},
    readback::Readback,
    registry::Queues,
    stores::Stores,
    table::{Table, TablePages, Tables, MAX_AREAS},
};
use kernel::{
    new_condvar, new_mutex, new_spinlock,
    prelude::*,
    processor::cpu_relax,
    str::CString,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, CondVar, CondVarTimeoutResult, Mutex, SpinLock,
    },
    time::msecs_to_jiffies,
};

/// What a pool without a cache holds at most on its way to the stores, where nothing is said.
const STAGE: u64 = 8 << 20;

/// How a new pool is to be.
pub(crate) struct Manner {
    /// The limit, if one was given.
    pub(crate) limit: Option<Limit>,
    /// If it has a cache. If not, pages pass through it on their way to the stores.
    pub(crate) cached: bool,
    /// If what goes to the stores is encrypted.
    pub(crate) encrypt: bool,
    /// If devices are told which segments are free.
    pub(crate) discard: bool,
}

/// Where a page is that was looked for.
pub(crate) enum Found {
    /// Where it is wanted: it was in memory.
    Here(Filled),
    /// In a backing store.
    InStore(Redirect),
}

/// How long a store waits at the limit for the mover, at most.
const WAIT_MS: u32 = 100;

/// A pool.
#[pin_data]
pub(crate) struct Pool {
    id: CString,
    compressor: CString,
    #[pin]
    limit: SpinLock<Limit>,
    /// `limit` in bytes.
    limit_bytes: Atomic<u64>,
    /// What those who store look at: with stores, the mark at which writing back begins; without, the
    /// limit.
    mark_bytes: Atomic<u64>,
    /// The tables of the areas that are swapped on.
    #[pin]
    tables: SpinLock<[Option<Arc<Table>>; MAX_AREAS]>,
    /// If it is more than a stage on the way to the stores.
    cached: bool,
    /// The backing stores.
    #[pin]
    pub(crate) stores: Stores,
    /// What the mover works with, once there is a store. Whoever moves something has it locked.
    #[pin]
    pub(crate) mover: Mutex<Option<KBox<Gear>>>,
    /// When the mover is asked again.
    pub(crate) rest: Rest,
    pub(crate) errand: Arc<Errand<Self>>,
    /// What reads pages back.
    #[pin]
    pub(crate) readback: Readback,
    /// For those who wait at the limit.
    #[pin]
    waiting: Mutex<()>,
    #[pin]
    progress: CondVar,
    /// For the mover, and others that may wait for their turn.
    pub(crate) queue: Arc<ReclaimQueue>,
    /// For what somebody waits for.
    pub(crate) urgent: Arc<ReclaimQueue>,
    /// The objects.
    pub(crate) cache: Cache,
    /// The pages of all tables.
    pub(crate) table_pages: Arc<TablePages>,
    /// The figures.
    pub(crate) figures: Figures,
}

impl Pool {
    /// An empty pool, whose workers run on `queues`.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if there is no such compressor; [`ENOMEM`].
    pub(crate) fn new(
        id: CString,
        compressor: CString,
        manner: Manner,
        queues: &Queues,
    ) -> Result<Arc<Self>> {
        let (queue, urgent) = (queues.patient.clone(), queues.urgent.clone());
        let cache = Cache::new(&id, &compressor, queue.clone())?;
        let errand = Errand::new()?;
        let table_pages = TablePages::new()?;
        let figures = Figures::new()?;
        let cached = manner.cached;
        let limit = manner.limit.unwrap_or(if cached {
            Limit::default()
        } else {
            Limit::Bytes(STAGE)
        });
        let limit_bytes = limit.resolve(mm::total_ram());
        Arc::pin_init(
            pin_init!(Self {
                id,
                compressor,
                limit <- new_spinlock!(limit),
                mark_bytes: Atomic::new(limit_bytes),
                limit_bytes: Atomic::new(limit_bytes),
                tables <- new_spinlock!([const { None }; MAX_AREAS]),
                cached,
                stores <- Stores::new(manner.encrypt, manner.discard),
                mover <- new_mutex!(None),
                rest: Rest::new(REST_MS),
                errand,
                readback <- Readback::new(),
                waiting <- new_mutex!(()),
                progress <- new_condvar!(),
                queue,
                urgent,
                cache,
                table_pages,
                figures,
            }),
            GFP_KERNEL,
        )
    }

    /// Its name, or the number of its mount.
    pub(crate) fn id(&self) -> &CStr {
        &self.id
    }

    /// The name of its compressor.
    pub(crate) fn compressor(&self) -> &CStr {
        &self.compressor
    }

    /// The limit, as it was given.
    pub(crate) fn limit(&self) -> Limit {
        *self.limit.lock()
    }

    /// Sets the limit. If the pool holds more, it keeps that, and takes no more.
    pub(crate) fn set_limit(&self, limit: Limit) {
        let mut current = self.limit.lock();
        *current = limit;
        self.limit_bytes
            .store(limit.resolve(mm::total_ram()), Relaxed);
        self.update_mark_locked(&current);
    }

    /// If `limit` is more than the limit is now.
    pub(crate) fn would_raise(&self, limit: Limit) -> bool {
        limit.resolve(mm::total_ram()) > self.limit_bytes()
    }

    /// Sets the mark that those who store look at.
    pub(crate) fn update_mark(&self) {
        self.update_mark_locked(&self.limit.lock());
    }

    /// Two that change it at once would not know of each other, so the limit is locked.
    fn update_mark_locked(&self, _limit: &Limit) {
        let limit = self.limit_bytes();
        let mark = if self.stores.is_empty() {
            limit
        } else if self.cached {
            limit - limit / 16
        } else {
            self.low_mark()
        };
        self.mark_bytes.store(mark, Relaxed);
    }

    /// Bytes that writing back leaves, if it can: seven eighths of the limit. Without a cache, as much as
    /// a segment takes, so that segments are full.
    pub(crate) fn low_mark(&self) -> u64 {
        let limit = self.limit_bytes();
        if self.cached {
            limit - limit / 8
        } else {
            (limit / 2).min(SEGMENT as u64)
        }
    }

    /// If it has a cache. If not, pages pass through it on their way to the stores.
    pub(crate) fn is_cached(&self) -> bool {
        self.cached
    }

    /// The limit in bytes.
    #[inline]
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Relaxed)
    }

    /// Bytes of memory that count against the limit: objects, in whole pages, and tables. Without a cache,
    /// the limit is on what has yet to go to the stores, and tables do not count.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        let objects = self.cache.bytes();
        if self.cached {
            objects + self.table_pages.bytes()
        } else {
            objects
        }
    }

    /// If the pool holds no more than it may. If it soon will, the mover is asked to make room; and if it
    /// does already, it is waited for, for a moment.
    ///
    /// Context: may sleep; memory may be being reclaimed. It waits for no lock that is held for long, and
    /// not for I/O of the task's own.
    #[inline]
    pub(crate) fn has_room(self: &Arc<Self>) -> bool {
        self.bytes() <= self.mark_bytes.load(Relaxed) || self.make_room()
    }

    fn is_within_limit(&self) -> bool {
        self.bytes() <= self.limit_bytes()
    }

    #[cold]
    fn make_room(self: &Arc<Self>) -> bool {
        if self.stores.is_empty() {
            return self.is_within_limit();
        }
        if !self.rest.is_on() {
            self.ask_mover();
        }
        let mut left = msecs_to_jiffies(WAIT_MS);
        let mut guard = self.waiting.lock();
        while !self.is_within_limit() {
            // When the mover rests it can do nothing.
            if self.rest.is_on() {
                return false;
            }
            match self.progress.wait_interruptible_timeout(&mut guard, left) {
                CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                CondVarTimeoutResult::Timeout | CondVarTimeoutResult::Signal { .. } => {
                    return self.is_within_limit();
                }
            }
        }
        true
    }

    /// Has those who wait at the limit look again.
    pub(crate) fn tell_waiters(&self) {
        // Who is about to wait has it locked until then.
        drop(self.waiting.lock());
        self.progress.notify_all();
    }

    /// Bytes that the pool takes whatever it holds, mounted once: its structures, and, once it was used,
    /// the compressor's streams, and what finds the clusters. What zsmalloc takes for size classes is
    /// not in it.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        let tables = self.tables();
        let finding: u64 = tables.all().map(|(_, table)| table.fixed_bytes()).sum();
        finding
            + self.cache.fixed_bytes()
            + self.figures.fixed_bytes()
            + size_of::<Self>() as u64
            + PAGE_SIZE as u64
    }

    /// Areas that are swapped on.
    pub(crate) fn areas(&self) -> usize {
        self.tables.lock().iter().flatten().count()
    }

    /// An area with this table is swapped on. Returns its number.
    ///
    /// Context: any but interrupts. Errors: [`ENOSPC`] if there are too many, which the kernel does not
    /// let happen.
    pub(crate) fn area_begins(&self, table: &Arc<Table>) -> Result<usize> {
        let mut tables = self.tables.lock();
        let number = tables.iter().position(Option::is_none).ok_or(ENOSPC)?;
        tables[number] = Some(table.clone());
        Ok(number)
    }

    /// Area `number` is swapped off.
    ///
    /// Context: any but interrupts.
    pub(crate) fn area_ends(&self, number: usize) {
        let table = self.tables.lock()[number].take();
        // Not under the lock: it may be the last.
        drop(table);
    }

    /// The tables of all areas that are swapped on now.
    pub(crate) fn tables(&self) -> Tables {
        Tables(self.tables.lock().clone())
    }

    /// Writes to `page` what `slot` has in memory, or says where in a store it is. [`EIO`] if it has
    /// nothing: then whatever we gave would be wrong.
    ///
    /// Context: may sleep for the CPU's stream.
    #[inline]
    pub(crate) fn load_slot(&self, slot: &Slot<Object>, page: &mut DestPage<'_>) -> Result<Found> {
        loop {
            match slot.look() {
                Look::Busy => cpu_relax(),
                Look::Free => return Err(EIO),
                Look::Redirected(redirect) => return Ok(Found::InStore(redirect)),
                Look::Same(fill) => return Ok(Found::Here(page.fill(doubled(fill)))),
                Look::Object(hold) => {
                    let loaded = self.cache.load(hold.object(), page);
                    if let Some(object) = hold.release() {
                        self.cache.free(object);
                    }
                    return loaded.map(Found::Here);
                }
            }
        }
    }

    /// Counts a load.
    #[inline]
    pub(crate) fn count_load(&self, loaded: &Result<Filled>) {
        match loaded {
            Ok(_) => self.figures.loaded(),
            Err(_) => self.figures.failed_load(),
        }
    }
}
