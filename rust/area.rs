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
        pending_page::{LoadTarget, Loaded},
        swap::{AreaStatus, Hooks},
        swap_page::SourcePage,
        zsmalloc::Object,
    },
    logic::{
        segment::Owner,
        slot::{Content, Displaced},
    },
    pool::{Found, Pool},
    readback::Wish,
    table::{Table, CLUSTER},
};
use kernel::{
    prelude::*,
    sync::{Arc, ArcBorrow},
};

/// An area.
pub(crate) struct Area {
    pool: Arc<Pool>,
    table: Arc<Table>,
    /// Its number in the pool.
    number: usize,
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
            Displaced::Redirected(redirect) => {
                self.pool.figures.gone_redirected(redirect.form);
                if self.pool.stores.end_record(redirect) {
                    self.pool.ask_mover();
                }
            }
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
}

impl Hooks for Area {
    const DISK_NAME: &'static str = "ghostswap";

    type Mount = Mount;

    fn init(mount: &Mount, _slots: usize, status: AreaStatus) -> Result<Arc<Self>> {
        let pool = mount.pool().clone();
        let table = Arc::pin_init(Table::new(pool.table_pages.clone(), status), GFP_KERNEL)?;
        let no_hibernation = KBox::pin_init(
            HibernationVeto::new("a swapped-on ghost file cannot keep the image, swapoff it first"),
            GFP_KERNEL,
        )?;
        let number = pool.area_begins(&table)?;
        let area = Self {
            pool,
            table,
            number,
            _no_hibernation: no_hibernation,
        };
        Ok(Arc::new(area, GFP_KERNEL)?)
    }

    fn is_synchronous(&self) -> bool {
        self.pool.is_cached()
    }

    #[inline]
    fn store(&self, slot: usize, page: &SourcePage<'_>) -> Result {
        if !self.pool.has_room() {
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
            Ok(displaced) => {
                self.pool.figures.came(form);
                self.dispose(displaced);
            }
            Err(content) => {
                self.free_content(content);
                return Err(self.refuse(Refusal::Memory));
            }
        }
        // The object, or the slot's cluster, may have grown the pool. Then they go back, and the
        // kernel keeps the page.
        if !self.pool.has_room() {
            self.invalidate_page(slot);
            return Err(self.refuse(Refusal::Limit));
        }
        self.pool.figures.stored();
        Ok(())
    }

    #[inline]
    fn load(self: ArcBorrow<'_, Self>, slot: usize, mut target: LoadTarget<'_>) -> Result<Loaded> {
        let found = self.table.get(slot).ok_or(EIO);
        let loaded = match found.and_then(|found| self.pool.load_slot(&found, &mut target.page())) {
            Ok(Found::Here(filled)) => Ok(filled),
            Err(error) => Err(error),
            Ok(Found::InStore(redirect)) => {
                let wish = Wish {
                    table: self.table.clone(),
                    owner: Owner {
                        area: self.number as u16,
                        slot: slot as u32,
                    },
                };
                // It is counted when it is done.
                return self.pool.load_redirected(wish, redirect, target);
            }
        };
        self.pool.count_load(&loaded);
        loaded.map(Loaded::from)
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
        self.pool.area_ends(self.number);
    }
}
