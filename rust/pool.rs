// SPDX-License-Identifier: GPL-2.0

//! A pool: what areas share. The cache, the limit on all it holds, and the figures.
//!
//! Its locks are each taken alone.

use crate::{
    cache::Cache,
    figures::Figures,
    kernel_ext::{mm, workqueue::ReclaimQueue},
    logic::{limit::Limit, PAGE_SIZE},
    table::{Table, TablePages},
};
use kernel::{
    new_mutex, new_spinlock,
    prelude::*,
    str::CString,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex, SpinLock,
    },
};

/// A pool.
#[pin_data]
pub(crate) struct Pool {
    id: CString,
    compressor: CString,
    #[pin]
    limit: SpinLock<Limit>,
    /// `limit` in bytes, for those who store.
    limit_bytes: Atomic<u64>,
    /// The tables of the areas that are swapped on.
    #[pin]
    tables: Mutex<KVec<Arc<Table>>>,
    /// The objects.
    pub(crate) cache: Cache,
    /// The pages of all tables.
    pub(crate) table_pages: Arc<TablePages>,
    /// The figures.
    pub(crate) figures: Figures,
}

impl Pool {
    /// An empty pool, whose workers run on `queue`.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if there is no such compressor; [`ENOMEM`].
    pub(crate) fn new(
        id: CString,
        compressor: CString,
        limit: Limit,
        queue: Arc<ReclaimQueue>,
    ) -> Result<Arc<Self>> {
        let cache = Cache::new(&id, &compressor, queue)?;
        let table_pages = TablePages::new()?;
        let figures = Figures::new()?;
        let limit_bytes = limit.resolve(mm::total_ram());
        Arc::pin_init(
            pin_init!(Self {
                id,
                compressor,
                limit <- new_spinlock!(limit),
                limit_bytes: Atomic::new(limit_bytes),
                tables <- new_mutex!(KVec::new()),
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
    }

    /// The limit in bytes.
    #[inline]
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Relaxed)
    }

    /// Bytes of memory that count against the limit: objects, in whole pages, and tables.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.bytes() + self.table_pages.bytes()
    }

    /// If the pool holds no more than it may.
    #[inline]
    pub(crate) fn is_within_limit(&self) -> bool {
        self.bytes() <= self.limit_bytes()
    }

    /// Bytes that the pool takes whatever it holds, mounted once: its structures, and, once it was used,
    /// the compressor's streams. What zsmalloc takes for size classes is not in it.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.cache.fixed_bytes()
            + self.figures.fixed_bytes()
            + size_of::<Self>() as u64
            + PAGE_SIZE as u64
    }

    /// Areas that are swapped on.
    pub(crate) fn areas(&self) -> usize {
        self.tables.lock().len()
    }

    /// An area with this table is swapped on.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn area_begins(&self, table: &Arc<Table>) -> Result {
        Ok(self.tables.lock().push(table.clone(), GFP_KERNEL)?)
    }

    /// The area with this table is swapped off.
    ///
    /// Context: may sleep.
    pub(crate) fn area_ends(&self, table: &Arc<Table>) {
        self.tables
            .lock()
            .retain(|other| !Arc::ptr_eq(other, table));
    }

    /// Calls `each` with the tables of all areas that are swapped on, oldest first.
    ///
    /// Context: may sleep. Areas may come and go meanwhile.
    pub(crate) fn for_each_table(&self, mut each: impl FnMut(&Arc<Table>)) {
        let mut next = 0;
        loop {
            let table = self.tables.lock().get(next).cloned();
            match table {
                Some(table) => each(&table),
                None => return,
            }
            next += 1;
        }
    }
}
