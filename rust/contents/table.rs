// SPDX-License-Identifier: GPL-2.0

//! The swap table: eight bytes a slot, one page for each cluster of 512 slots, only where used.
//!
//! A cluster comes with the first page that is stored in it and goes with the last that is freed; a
//! cluster's uses are its slots that are not free. It knows when something was last stored in it, so
//! that the coldest pages can be told.
//!
//! A store counts its use before it changes the entry, so the cluster cannot go in between. If the slot
//! was not free before, one use is ended again. A free changes the entry first, and then ends the use
//! that the slot had. The kernel does one thing at a time to a slot, so uses are exact when nothing is
//! under way.

use crate::{
    core::{
        segment::Owner,
        slot::{
            Content,
            Displaced,
            Slot, //
        },
    },
    kernel_ext::{
        clock,
        mm::{
            page_array::PageArray,
            sparse_array::{
                PinnedElement,
                SparseArray, //
            },
            swap::AreaStatus,
            zsmalloc::ZsObject,
        },
    },
};
use core::ops::{
    ControlFlow,
    Deref, //
};
use kernel::{
    new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    },
};

/// Slots in a cluster.
pub(crate) const CLUSTER: usize = PageArray::<Slot<ZsObject>>::LEN;

/// The pages that the tables of a pool take.
pub(crate) struct TablePages(Atomic<u64>);

impl TablePages {
    /// None yet.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(Self(Atomic::new(0)), GFP_KERNEL)?)
    }

    /// Bytes that they take.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Relaxed) * PAGE_SIZE as u64
    }
}

/// The clock of [`Cluster::touched`], which is never 0.
#[inline]
pub(crate) fn now() -> u32 {
    clock::ticks() | 1
}

/// The slots of one cluster.
pub(crate) struct Cluster {
    slots: PageArray<Slot<ZsObject>>,
    pages: Arc<TablePages>,
    /// The clock when an object last came into it; 0 if none came since [`Cluster::settle`].
    stored: Atomic<u32>,
    /// The last batch that looked at it.
    batch: Atomic<u32>,
}

impl Cluster {
    fn new(pages: &Arc<TablePages>) -> Result<Self> {
        let slots = PageArray::new(Slot::new)?;
        pages.0.add(1u64, Relaxed);
        Ok(Self {
            slots,
            pages: pages.clone(),
            stored: Atomic::new(0),
            batch: Atomic::new(0),
        })
    }

    /// An object came into it, or it has one that is to be looked at again.
    #[inline]
    pub(crate) fn touch(&self) {
        self.stored.store(now(), Relaxed);
    }

    /// When it was touched last, by the same clock; [`None`] if that was not since it was settled.
    pub(crate) fn touched(&self) -> Option<u32> {
        match self.stored.load(Relaxed) {
            0 => None,
            stored => Some(stored),
        }
    }

    /// Notes that all objects that are in it now are about to be looked at for batch `batch`.
    ///
    /// Context: only the mover of the pool calls this.
    pub(crate) fn settle(&self, batch: u32) {
        self.batch.store(batch, Relaxed);
        // Fully ordered: a store that touches it after this has it looked at again.
        self.stored.xchg(0, Full);
    }

    /// Returns whether it was looked at for batch `batch`.
    pub(crate) fn is_settled_for(&self, batch: u32) -> bool {
        self.batch.load(Relaxed) == batch
    }

    /// Takes that back: some of them were not. It was touched at `stored` before.
    pub(crate) fn unsettle(&self, stored: u32) {
        // If it was touched meanwhile, that counts.
        let _ = self.stored.cmpxchg(0, stored, Full);
    }

    /// All slots, in order.
    pub(crate) fn slots(&self) -> &[Slot<ZsObject>] {
        &self.slots
    }
}

impl Drop for Cluster {
    // Runs in an RCU callback, so it must not sleep.
    fn drop(&mut self) {
        self.pages.0.fetch_sub(1u64, Relaxed);
    }
}

/// A slot, whose cluster stays while this exists.
pub(crate) struct TableSlot<'a> {
    cluster: PinnedElement<'a, Cluster>,
    at: usize,
}

impl Deref for TableSlot<'_> {
    type Target = Slot<ZsObject>;

    #[inline]
    fn deref(&self) -> &Slot<ZsObject> {
        &self.cluster.slots[self.at]
    }
}

impl TableSlot<'_> {
    /// The cluster that it is in.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

/// The table of one area.
#[pin_data]
pub(crate) struct Table {
    #[pin]
    clusters: SparseArray<Cluster>,
    pages: Arc<TablePages>,
    status: AreaStatus,
}

impl Table {
    /// An empty table of an area with this `status`, whose pages are counted in `pages`.
    pub(crate) fn new(pages: Arc<TablePages>, status: AreaStatus) -> impl PinInit<Self> {
        pin_init!(Self {
            clusters <- SparseArray::new(),
            pages,
            status,
        })
    }

    /// Bytes that finding the clusters takes.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.clusters.bytes()
    }

    /// Returns whether its area takes pages, and is not being swapped off.
    pub(crate) fn is_on(&self) -> bool {
        self.status.is_on()
    }

    /// A way through the table, slot by slot.
    #[inline]
    pub(crate) fn cursor(&self) -> TableCursor<'_> {
        TableCursor {
            table: self,
            cluster: None,
            last: usize::MAX,
        }
    }

    /// Frees slot `slot`, and returns what was there before.
    ///
    /// Context: any but interrupts; takes no lock but to let a cluster go.
    #[inline]
    pub(crate) fn take(&self, slot: usize) -> Displaced<ZsObject> {
        let mut displaced = Displaced::Free;
        self.clusters.end_use(slot / CLUSTER, |cluster| {
            displaced = cluster.slots[slot % CLUSTER].replace(Content::Free);
            !matches!(displaced, Displaced::Free)
        });
        displaced
    }

    /// Slot `slot`, if its cluster is there. If not, the slot is free.
    ///
    /// Context: any; takes no lock.
    #[inline]
    pub(crate) fn get(&self, slot: usize) -> Option<TableSlot<'_>> {
        Some(TableSlot {
            cluster: self.clusters.get(slot / CLUSTER)?,
            at: slot % CLUSTER,
        })
    }

    /// Calls `each` with all clusters there are, in order. Others may come and go meanwhile.
    /// Stops where `each` breaks, and returns what it broke with.
    pub(crate) fn for_each_cluster<B>(
        &self,
        each: impl FnMut(PinnedElement<'_, Cluster>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.clusters.for_each(each)
    }
}

/// A way through a table: of slots that follow each other the cluster is looked up once.
pub(crate) struct TableCursor<'a> {
    table: &'a Table,
    /// The cluster that is kept for the next slot.
    cluster: Option<PinnedElement<'a, Cluster>>,
    /// Which one the last slot was in.
    last: usize,
}

impl TableCursor<'_> {
    /// Keeps cluster `index`, if it is there, and returns it.
    #[inline(always)]
    fn keep(&mut self, index: usize) -> Option<&PinnedElement<'_, Cluster>> {
        if (self.cluster.as_ref()).is_none_or(|cluster| cluster.index() != index) {
            self.cluster = self.table.clusters.get(index);
        }
        self.cluster.as_ref()
    }

    /// Gives slot `slot` its `content`, and returns what was there before. Gives `content` back if
    /// there is no memory for the slot's cluster.
    ///
    /// Context: may be called while memory is reclaimed; never sleeps.
    #[inline]
    pub(crate) fn put(
        &mut self,
        slot: usize,
        content: Content<ZsObject>,
    ) -> Result<Displaced<ZsObject>, Content<ZsObject>> {
        let index = slot / CLUSTER;
        let mut content = Some(content);
        let mut displaced = Displaced::Free;
        let occupy = |cluster: &Cluster| {
            if let Some(content) = content.take() {
                displaced = cluster.slots[slot % CLUSTER].replace(content);
                cluster.touch();
            }
            !matches!(displaced, Displaced::Free)
        };
        let table = self.table;
        // Pinning takes longer than one look-up, so it is for the second slot.
        let follows = core::mem::replace(&mut self.last, index) == index;
        match follows.then(|| self.keep(index)).flatten() {
            Some(cluster) => cluster.add_use(occupy),
            // If it fails, the content is still here.
            None => {
                let _ = (table.clusters).add_use(index, || Cluster::new(&table.pages), occupy);
            }
        }
        match content {
            Some(content) => Err(content),
            None => Ok(displaced),
        }
    }

    /// Slot `slot`, if its cluster is there. If not, the slot is free.
    ///
    /// Context: any; takes no lock.
    #[inline]
    pub(crate) fn get(&mut self, slot: usize) -> Option<&Slot<ZsObject>> {
        Some(&self.keep(slot / CLUSTER)?.slots[slot % CLUSTER])
    }
}

/// Areas that a pool may have. `MAX_SWAPFILES` is less.
const MAX_AREAS: usize = 32;

/// The tables of the areas of a pool that are swapped on, by the number of the area in the pool.
#[pin_data]
pub(crate) struct AreaTables {
    #[pin]
    tables: SpinLock<[Option<Arc<Table>>; MAX_AREAS]>,
}

impl AreaTables {
    /// None yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            tables <- new_spinlock!([const { None }; MAX_AREAS]),
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.tables.lock().iter().flatten().count()
    }

    /// Enters the table of an area that is swapped on. Returns the number of the area.
    ///
    /// Context: any but interrupts. Errors: [`ENOSPC`] if there are too many, which the kernel does not
    /// let happen.
    pub(crate) fn enter(&self, table: &Arc<Table>) -> Result<usize> {
        let mut tables = self.tables.lock();
        let number = tables.iter().position(Option::is_none).ok_or(ENOSPC)?;
        tables[number] = Some(table.clone());
        Ok(number)
    }

    /// Takes out the table of area `number`, which was swapped off.
    ///
    /// Context: any but interrupts.
    pub(crate) fn leave(&self, number: usize) {
        let table = self.tables.lock()[number].take();
        // Not under the lock: it may be the last reference.
        drop(table);
    }

    /// The tables as they are now.
    ///
    /// Context: any but interrupts.
    pub(crate) fn snapshot(&self) -> Tables {
        Tables(self.tables.lock().clone())
    }
}

/// The tables of the areas of a pool, as they were at some time.
pub(crate) struct Tables([Option<Arc<Table>>; MAX_AREAS]);

impl Tables {
    /// The table of area `area`.
    pub(crate) fn get(&self, area: usize) -> Option<&Arc<Table>> {
        self.0.get(area)?.as_ref()
    }

    /// The slot of `owner`; [`None`] if its cluster, or its area, is gone.
    pub(crate) fn slot(&self, owner: Owner) -> Option<TableSlot<'_>> {
        self.get(owner.area.into())?.get(owner.slot as usize)
    }

    /// The tables of areas that are not being swapped off, with the numbers of these.
    pub(crate) fn on(&self) -> impl Iterator<Item = (usize, &Arc<Table>)> {
        self.all().filter(|(_, table)| table.is_on())
    }

    /// All of them, with the numbers of their areas.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &Arc<Table>)> {
        let tables = self.0.iter().enumerate();
        tables.filter_map(|(area, table)| Some((area, table.as_ref()?)))
    }

    /// Returns whether an area is being swapped off.
    pub(crate) fn any_off(&self) -> bool {
        self.all().any(|(_, table)| !table.is_on())
    }
}
