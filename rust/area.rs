// SPDX-License-Identifier: GPL-2.0

//! An area: one ghost file, from swapon to swapoff.
//!
//! The kernel does one thing at a time to a slot, so the area takes no lock of its own. What may race
//! with the kernel are our own workers; [`crate::core::slot`] says why that is sound.

use crate::{
    contents::table::{
        Table,
        CLUSTER, //
    },
    kernel_ext::mm::{
        swap::{
            AreaStatus,
            Hooks, //
        },
        swap_batch::{
            LoadBatch,
            StoreBatch, //
        },
    },
    pool::Pool,
};
use core::ops::ControlFlow;
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
};

/// An area.
pub(crate) struct Area {
    pool: Arc<Pool>,
    table: Arc<Table>,
    /// Its number in the pool.
    number: usize,
}

impl Hooks for Area {
    const DISK_NAME: &'static str = "ghostswap";

    type Context = Arc<Pool>;

    fn init(pool: &Arc<Pool>, slots: usize, status: AreaStatus) -> Result<Arc<Self>> {
        let (table, number) = pool.begin_area(slots, status)?;
        let area = Self {
            pool: pool.clone(),
            table,
            number,
        };
        Ok(Arc::new(area, GFP_KERNEL)?)
    }

    fn is_synchronous(&self) -> bool {
        !self.pool.batched
    }

    #[inline]
    fn store(&self, batch: &mut StoreBatch<'_>) {
        self.pool.store(&self.table, self.number, batch);
    }

    #[inline]
    fn load(self: ArcBorrow<'_, Self>, batch: &mut LoadBatch<'_>) {
        self.pool.load(&self.table, self.number, batch);
    }

    #[inline(always)]
    fn invalidate_page(&self, slot: usize) {
        self.pool.free(&self.table, slot);
    }

    fn invalidate_area(&self) {
        let _: ControlFlow<()> = self.table.for_each_cluster(|cluster| {
            let first = cluster.index() * CLUSTER;
            for slot in first..first + CLUSTER {
                self.invalidate_page(slot);
            }
            ControlFlow::Continue(())
        });
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        self.pool.end_area(self.number);
    }
}
