// SPDX-License-Identifier: GPL-2.0

//! The swap table: eight bytes a slot, one page for each cluster of 512 slots, only where used.
//!
//! A cluster comes with the first page that is stored in it and goes with the last that is freed; a
//! cluster's uses are its slots that are not free. It knows when something was last stored in it, so
//! that the coldest pages can be told. Each of 512 groups of clusters knows whether one of them has
//! something to tell, so that those that have nothing cost nothing.
//!
//! A store counts its use before it changes the entry, so the cluster cannot go in between. If the slot
//! was not free before, one use is ended again. A free changes the entry first, and then ends the use
//! that the slot had. The kernel does one thing at a time to a slot, so uses are exact when nothing is
//! under way.

use crate::{
    core::{
        payload::Length,
        segment::Owner,
        slot::{
            Content,
            Replaced,
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
        sync::delayed_call::DelayedCall,
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

/// The pages that the tables of a pool take, and what is to be called when they change.
pub(crate) struct TablePages {
    count: Atomic<u64>,
    /// Is asked when a page comes or goes, and when something is stored where nothing was within a second:
    /// so about once for a cluster, and never for each page.
    changes: Arc<DelayedCall>,
}

impl TablePages {
    /// None yet. `changes` is asked for when they change.
    pub(crate) fn new(changes: Arc<DelayedCall>) -> Result<Arc<Self>> {
        let count = Atomic::new(0);
        Ok(Arc::new(Self { count, changes }, GFP_KERNEL)?)
    }

    /// Bytes that they take.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.count.load(Relaxed) * PAGE_SIZE as u64
    }
}

/// The clock of [`Cluster::touched`], in seconds, which is never 0.
#[inline]
pub(crate) fn now() -> u32 {
    clock::seconds() + 1
}

/// The groups of a table. There are as many for any size, so that an area costs no more if it is large.
const GROUPS: usize = 512;

/// What the clusters of a table have in common.
struct ClusterGroups {
    pages: Arc<TablePages>,
    /// Clusters in a group.
    size: usize,
    /// Of each group, whether a cluster of it may be one that was touched and not settled. What
    /// touches a cluster changes that first.
    touched: [Atomic<bool>; GROUPS],
}

/// The slots of one cluster.
pub(crate) struct Cluster {
    slots: PageArray<Slot<ZsObject>>,
    groups: Arc<ClusterGroups>,
    /// Its number in its table.
    index: u32,
    /// The clock when an object last came into it; 0 if none came since [`Cluster::settle`].
    stored: Atomic<u32>,
    /// What that was when its objects were last given to the second compressor; 0 if they never were.
    recompressed: Atomic<u32>,
}

impl Cluster {
    fn new(groups: &Arc<ClusterGroups>, index: usize) -> Result<Self> {
        let slots = PageArray::new(Slot::new)?;
        groups.pages.count.add(1u64, Relaxed);
        Ok(Self {
            slots,
            groups: groups.clone(),
            index: index as u32,
            stored: Atomic::new(0),
            recompressed: Atomic::new(0),
        })
    }

    /// An object came into it, or it has one that is to be looked at again.
    pub(crate) fn touch(&self) {
        self.touch_at(now());
    }

    /// As [`Cluster::touch`], at the time `now`.
    #[inline(always)]
    fn touch_at(&self, now: u32) {
        // Within a second nothing is written. What came before this is seen by the mover, if it settles
        // the cluster after this: the entry was changed with full ordering.
        if self.stored.load(Relaxed) != now {
            self.touch_anew(now);
        }
    }

    #[cold]
    fn touch_anew(&self, now: u32) {
        if self.stored.xchg(now, Full) == 0 {
            self.tell_group();
        }
        self.groups.pages.changes.ask();
    }

    fn tell_group(&self) {
        let group = (self.index as usize).checked_div(self.groups.size);
        if let Some(touched) = group.and_then(|group| self.groups.touched.get(group)) {
            touched.store(true, Relaxed);
        }
    }

    /// When it was touched last, by the same clock; [`None`] if that was not since it was settled.
    pub(crate) fn touched(&self) -> Option<u32> {
        match self.stored.load(Relaxed) {
            0 => None,
            stored => Some(stored),
        }
    }

    /// Notes that all objects that are in it now are about to be looked at.
    ///
    /// Context: only the mover of the pool calls this.
    pub(crate) fn settle(&self) {
        // Fully ordered: a store that touches it after this has it looked at again.
        self.stored.xchg(0, Full);
    }

    /// Takes that back: some of them were not. It was touched at `stored` before.
    pub(crate) fn unsettle(&self, stored: u32) {
        // If it was touched meanwhile, that counts.
        let _ = self.stored.cmpxchg(0, stored, Full);
        self.tell_group();
    }

    /// Returns whether [`Cluster::note_recompressed`] was called with `touched`.
    pub(crate) fn is_recompressed(&self, touched: u32) -> bool {
        self.recompressed.load(Relaxed) == touched
    }

    /// Notes that the second compressor had all objects that came into it until `touched`. What comes in
    /// the same second is left until something else is stored in it.
    pub(crate) fn note_recompressed(&self, touched: u32) {
        self.recompressed.store(touched, Relaxed);
    }

    /// All slots, in order.
    pub(crate) fn slots(&self) -> &[Slot<ZsObject>] {
        &self.slots
    }
}

impl Drop for Cluster {
    // Runs in an RCU callback, so it must not sleep.
    fn drop(&mut self) {
        self.groups.pages.count.fetch_sub(1u64, Relaxed);
        self.groups.pages.changes.ask();
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
    groups: Arc<ClusterGroups>,
    /// The slots of its area, but that of the header.
    slots: u64,
    status: AreaStatus,
}

impl Table {
    /// An empty table of an area of `slots` slots with this `status`, whose pages are counted in
    /// `pages`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(
        pages: Arc<TablePages>,
        slots: usize,
        status: AreaStatus,
    ) -> Result<Arc<Self>> {
        let groups = ClusterGroups {
            pages,
            size: slots.div_ceil(CLUSTER * GROUPS).max(1),
            touched: [const { Atomic::new(false) }; GROUPS],
        };
        let groups = Arc::new(groups, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                clusters <- SparseArray::new(),
                groups,
                slots: slots.saturating_sub(1) as u64,
                status,
            }),
            GFP_KERNEL,
        )
    }

    /// Bytes that finding the clusters takes.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.clusters.bytes() + (size_of::<Self>() + size_of::<ClusterGroups>()) as u64
    }

    /// Returns whether its area takes pages, and is not being swapped off.
    pub(crate) fn is_on(&self) -> bool {
        self.status.is_on()
    }

    /// How many pages its area has slots for.
    pub(crate) fn slots(&self) -> u64 {
        self.slots
    }

    /// How many of them are in use.
    pub(crate) fn used(&self) -> u64 {
        self.status.used()
    }

    /// A way through the table, slot by slot.
    #[inline]
    pub(crate) fn cursor(&self) -> TableCursor<'_> {
        TableCursor {
            table: self,
            cluster: None,
            now: now(),
        }
    }

    /// Frees slot `slot`, and returns what was there before, if its cluster is there. If not, the
    /// slot is free.
    ///
    /// Context: any but interrupts; takes no lock but to let a cluster go.
    #[inline(always)]
    pub(crate) fn take(&self, slot: usize) -> Option<Replaced<ZsObject>> {
        self.clusters.end_use(slot / CLUSTER, |cluster| {
            let replaced = cluster.slots[slot % CLUSTER].replace(Content::Free);
            let ended = !replaced.was_free();
            (replaced, ended)
        })
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

    /// The length of the object that the page of slot `slot` is kept as; [`None`] if there is none.
    ///
    /// Context: any; takes no lock.
    #[cold]
    pub(crate) fn length(&self, slot: usize) -> Option<Length> {
        self.get(slot)?.peek().length()
    }

    /// Calls `each` with all clusters there are, in order. Others may come and go meanwhile.
    /// Stops where `each` breaks, and returns what it broke with.
    ///
    /// Context: may sleep.
    pub(crate) fn for_each_cluster<B>(
        &self,
        each: impl FnMut(PinnedElement<'_, Cluster>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.clusters.for_each_at(0..usize::MAX, each)
    }

    /// Calls `with` with the first cluster there is from number `first` on. Returns what that returns.
    ///
    /// Context: may sleep.
    pub(crate) fn with_cluster_from<R>(
        &self,
        first: usize,
        mut with: impl FnMut(PinnedElement<'_, Cluster>) -> R,
    ) -> Option<R> {
        let found = (self.clusters).for_each_at(first..usize::MAX, |cluster| {
            ControlFlow::Break(with(cluster))
        });
        found.break_value()
    }

    /// Calls `each` with the clusters from `first` on that were touched since they were settled, and
    /// when, in order. Stops where `each` breaks, and returns what it broke with.
    ///
    /// Context: may sleep; only the mover of the pool calls this.
    pub(crate) fn for_each_touched<B>(
        &self,
        first: usize,
        mut each: impl FnMut(usize, u32) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let size = self.groups.size;
        let groups = self.groups.touched.iter().enumerate();
        for (group, flag) in groups.skip(first.checked_div(size).unwrap_or(0)) {
            if !flag.load(Relaxed) {
                continue;
            }
            let range = first.max(group * size)..(group + 1) * size;
            let whole = range.start == group * size;
            // Fully ordered: a cluster that is touched after it was looked at sets it again.
            flag.xchg(false, Full);
            let mut touched = !whole;
            let flow = self.clusters.for_each_at(range, |cluster| {
                cluster.touched().map_or(ControlFlow::Continue(()), |at| {
                    touched = true;
                    each(cluster.index(), at)
                })
            });
            if touched || flow.is_break() {
                flag.store(true, Relaxed);
            }
            flow?;
        }
        ControlFlow::Continue(())
    }
}

/// A way through a table: of slots that follow each other the cluster is looked up once.
pub(crate) struct TableCursor<'a> {
    table: &'a Table,
    /// The cluster that is kept for the next slot.
    cluster: Option<PinnedElement<'a, Cluster>>,
    /// The clock of [`Cluster::touched`], when this was made.
    now: u32,
}

impl<'a> TableCursor<'a> {
    /// Keeps cluster `index`, which `find` finds in the table if it is not kept yet, and returns it.
    #[inline(always)]
    fn keep(
        &mut self,
        index: usize,
        find: impl FnOnce(&'a Table) -> Option<PinnedElement<'a, Cluster>>,
    ) -> Option<&PinnedElement<'a, Cluster>> {
        if (self.cluster.as_ref()).is_none_or(|cluster| cluster.index() != index) {
            self.cluster = find(self.table);
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
    ) -> Result<Replaced<ZsObject>, Content<ZsObject>> {
        let (index, now) = (slot / CLUSTER, self.now);
        let found = self.keep(index, |table| {
            let make = || Cluster::new(&table.groups, index);
            table.clusters.get_or_make(index, make).ok()
        });
        let Some(cluster) = found else {
            return Err(content);
        };
        Ok(cluster.add_use(|cluster| {
            let replaced = cluster.slots[slot % CLUSTER].replace(content);
            cluster.touch_at(now);
            let was_used = !replaced.was_free();
            (replaced, was_used)
        }))
    }

    /// Slot `slot`, if its cluster is there. If not, the slot is free.
    ///
    /// Context: any; takes no lock.
    #[inline]
    pub(crate) fn get(&mut self, slot: usize) -> Option<&Slot<ZsObject>> {
        let index = slot / CLUSTER;
        let cluster = self.keep(index, |table| table.clusters.get(index))?;
        Some(&cluster.slots[slot % CLUSTER])
    }
}

/// Areas that a pool may have. `MAX_SWAPFILES` is less.
const MAX_AREAS: usize = 32;

// The number of an area is part of an owner.
const _: () = assert!(MAX_AREAS <= 1 << u8::BITS);

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

    /// A way through the tables, slot by slot.
    pub(crate) fn cursor(&self) -> TablesCursor<'_> {
        TablesCursor {
            tables: self,
            last: None,
        }
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

/// A way through the tables, as [`TableCursor`] is one through one of them.
pub(crate) struct TablesCursor<'a> {
    tables: &'a Tables,
    /// The area that the last slot was of, and the way through its table.
    last: Option<(u8, TableCursor<'a>)>,
}

impl TablesCursor<'_> {
    /// The slot of `owner`; [`None`] if its cluster, or its area, is gone.
    pub(crate) fn slot(&mut self, owner: Owner) -> Option<&Slot<ZsObject>> {
        let Owner { area, slot } = owner;
        if (self.last.as_ref()).is_none_or(|(last, _)| *last != area) {
            self.last = Some((area, self.tables.get(area.into())?.cursor()));
        }
        let (_, cursor) = self.last.as_mut()?;
        cursor.get(slot as usize)
    }
}
