// SPDX-License-Identifier: GPL-2.0

//! An area: one ghost file, from swapon to swapoff.
//!
//! The kernel does one thing at a time to a slot, so the area takes no lock of its own. What may race
//! with the kernel are our own workers; [`crate::logic::slot`] says why that is sound.

use crate::{
    figures::Refusal,
    filesystem::Mount,
    kernel_ext::{
        hibernation::HibernationVeto,
        pending_page::LoadTarget,
        swap::{AreaStatus, Hooks},
        swap_page::{DestPage, SourcePage},
        zsmalloc::Object,
    },
    logic::slot::{Content, Displaced, Look},
    pool::Pool,
    table::{Table, CLUSTER},
};
use kernel::{
    prelude::*,
    processor::cpu_relax,
    sync::{Arc, ArcBorrow},
};

/// An area.
pub(crate) struct Area {
    pool: Arc<Pool>,
    table: Arc<Table>,
    /// The kernel could put its image here, and lose it with the memory that it is in.
    _no_hibernation: Pin<KBox<HibernationVeto>>,
}

impl Area {
    /// Frees what a slot held.
    #[inline]
    fn dispose(&self, displaced: Displaced<Object>) {
        match displaced {
            Displaced::Free => (),
            Displaced::Same => self.pool.figures.gone(None),
            Displaced::Held(form) => self.pool.figures.gone(Some(form)),
            // A pool has no store yet, so nothing is redirected.
            Displaced::Redirected(redirect) => self.pool.figures.gone(Some(redirect.form)),
            Displaced::Object(object, form) => {
                self.pool.figures.gone(Some(form));
                self.pool.cache.free(object);
            }
        }
    }

    fn refuse(&self, refusal: Refusal) -> Error {
        self.pool.figures.refused(refusal);
        match refusal {
            Refusal::Limit => ENOSPC,
            Refusal::Memory => ENOMEM,
        }
    }

    fn free_content(&self, content: Content<Object>) {
        if let Content::Object(object) = content {
            self.pool.cache.free(object);
        }
    }

    fn load_slot(&self, slot: usize, page: &mut DestPage<'_>) -> Result {
        let slot = self.table.get(slot).ok_or(EIO)?;
        loop {
            match slot.look() {
                Look::Busy => cpu_relax(),
                // Nothing was stored here, so whatever we gave would be wrong.
                Look::Free | Look::Redirected(_) => return Err(EIO),
                Look::Same(fill) => {
                    let fill = u64::from(fill);
                    page.fill(fill << 32 | fill);
                    return Ok(());
                }
                Look::Object(hold) => {
                    let loaded = self.pool.cache.load(hold.object(), page);
                    if let Some(object) = hold.release() {
                        self.pool.cache.free(object);
                    }
                    return loaded;
                }
            }
        }
    }
}

impl Hooks for Area {
    const DISK_NAME: &'static str = "ghostswap";

    type Mount = Mount;

    fn init(mount: &Mount, _slots: usize, _status: AreaStatus) -> Result<Arc<Self>> {
        let pool = mount.pool().clone();
        let table = Arc::pin_init(Table::new(pool.table_pages.clone()), GFP_KERNEL)?;
        let no_hibernation = KBox::pin_init(
            HibernationVeto::new("a swapped-on ghost file cannot keep the image, swapoff it first"),
            GFP_KERNEL,
        )?;
        pool.area_begins(&table)?;
        let area = Self {
            pool,
            table,
            _no_hibernation: no_hibernation,
        };
        Ok(Arc::new(area, GFP_KERNEL)?)
    }

    #[inline]
    fn store(&self, slot: usize, page: &SourcePage<'_>) -> Result {
        if !self.pool.is_within_limit() {
            return Err(self.refuse(Refusal::Limit));
        }
        let content = self
            .pool
            .cache
            .store(page)
            .map_err(|_| self.refuse(Refusal::Memory))?;
        let form = match &content {
            Content::Object(object) => Some(object.form()),
            _ => None,
        };
        match self.table.put(slot, content) {
            Ok(displaced) => self.dispose(displaced),
            Err(content) => {
                self.free_content(content);
                return Err(self.refuse(Refusal::Memory));
            }
        }
        // The object, or the slot's cluster, may have grown the pool. Then they go back, and the
        // kernel keeps the page.
        if !self.pool.is_within_limit() {
            if let Displaced::Object(object, _) = self.table.take(slot) {
                self.pool.cache.free(object);
            }
            return Err(self.refuse(Refusal::Limit));
        }
        self.pool.figures.stored(form);
        Ok(())
    }

    #[inline]
    fn load(self: ArcBorrow<'_, Self>, slot: usize, mut target: LoadTarget<'_>) -> Result {
        let loaded = self.load_slot(slot, &mut target.page());
        match loaded {
            Ok(()) => self.pool.figures.loaded(),
            Err(_) => self.pool.figures.failed_load(),
        }
        loaded
    }

    #[inline]
    fn invalidate_page(&self, slot: usize) {
        self.dispose(self.table.take(slot));
    }

    fn invalidate_area(&self) {
        self.table.for_each_cluster(|cluster| {
            let first = cluster.index() * CLUSTER;
            for slot in first..first + CLUSTER {
                self.invalidate_page(slot);
            }
        });
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        self.pool.area_ends(&self.table);
    }
}
