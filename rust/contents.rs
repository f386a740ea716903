// SPDX-License-Identifier: GPL-2.0

//! What a pool holds: the tables of its areas, the cache, the backing stores, and what is counted.
//!
//! This is data. It starts no work and wakes nothing: a function that leaves something to do says so
//! in what it returns, and [`crate::pool`] has it done. The one exception is that [changes](Contents::changes)
//! are noted where they happen, some of them in RCU callbacks.
//!
//! # Invariants
//!
//! - Each object in zsmalloc, and each share of a bundle there, is named by exactly one slot of one area of the
//!   pool, or is owned by one task; or it is part of a bundle that has a share.
//! - A slot that is not free, and is not being changed, is counted once in its cluster's uses, and once in
//!   `stored_pages`, unless its page was lost.
//! - A cluster that is alive is in its table.
//! - A record that has not ended is named by exactly one slot of one area, or is in the hands of the mover,
//!   of the worker that ends a batch, or of the displacer that is about to end it. Its segment is neither
//!   free nor being filled again.
//! - After `invalidate_area` no slot of the area holds anything, and no cluster of it is in use.
//! - No pointer and no content of a page leaves the module: sysfs shows numbers.

pub(crate) mod cache;
pub(crate) mod limit;
pub(crate) mod stats;
pub(crate) mod table;

use crate::{
    backing::stores::{
        BackingStores,
        Encryption, //
    },
    contents::{
        cache::{
            Cache,
            CacheInner,
            CacheStream, //
        },
        limit::PoolLimit,
        stats::{
            Arrivals,
            Stats,
            StoreFailure, //
        },
        table::{
            AreaTables,
            TableCursor,
            TablePages, //
        },
    },
    core::{
        entry::{
            doubled,
            Entry,
            ObjectState,
            Redirect, //
        },
        fit::{
            Holdings,
            View, //
        },
        limit::Limit,
        payload::{
            Form,
            Length, //
        },
        segment::Owner,
        slot::{
            Content,
            Displaced,
            Look,
            Replaced,
            Slot, //
        },
    },
    kernel_ext::{
        cpu_hotplug::OnlineState,
        mm::{
            swap_page::{
                DestPage,
                Filled,
                SourcePage, //
            },
            zsmalloc::ZsObject,
        },
        sync::{
            delayed_call::DelayedCall,
            spin_wait::SpinWait, //
        },
        trace::{
            tell,
            TracedSlot, //
        },
    },
};
use core::ops::ControlFlow;
use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// How a new pool is to be.
pub(crate) struct PoolConfig {
    /// The name of its compressor.
    pub(crate) compressor: CString,
    /// The name of the one for what is old, if there is one.
    pub(crate) second: Option<CString>,
    /// The limit, if one was given.
    pub(crate) limit: Option<Limit>,
    /// Whether it has a cache. Without one, pages pass through it on their way to the backing stores.
    pub(crate) cached: bool,
    /// Whether its areas take many folios at once, and are not synchronous.
    pub(crate) batched: bool,
    /// How what goes to the backing stores is encrypted.
    pub(crate) encrypt: Encryption,
    /// Whether devices are told which segments are free.
    pub(crate) discard: bool,
}

/// How long after a change it is looked at, in milliseconds. Within that time no more than some hundred MiB
/// are stored, and a pool is looked at so often at most.
const LOOK_MS: u32 = 250;

/// Where a page was found.
pub(crate) enum Found {
    /// It was in memory, and was written to where it is wanted.
    Loaded(Filled),
    /// In a backing store.
    InStore(Redirect),
}

/// What a pool holds.
#[pin_data]
pub(crate) struct Contents {
    /// The name of the pool, or the number of its mount.
    pub(crate) id: CString,
    /// The limit on all that is in memory.
    #[pin]
    pub(crate) limit: PoolLimit,
    /// The tables of the areas that are swapped on.
    #[pin]
    pub(crate) tables: AreaTables,
    /// The pages of all tables.
    pub(crate) table_pages: Arc<TablePages>,
    /// The objects in memory.
    #[pin]
    pub(crate) cache: Cache,
    /// The backing stores.
    #[pin]
    pub(crate) stores: BackingStores,
    /// What is counted.
    pub(crate) stats: Stats,
    /// Is asked for when what the pool holds, or may hold, changed.
    pub(crate) changes: Arc<DelayedCall>,
}

impl Contents {
    /// Nothing yet, for the pool `id`, whose CPUs come at the step `cpus`.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if there is no such compressor; [`ENOMEM`].
    pub(crate) fn new(
        id: CString,
        config: &PoolConfig,
        cpus: &Arc<OnlineState<CacheInner>>,
    ) -> Result<Arc<Self>> {
        let cache = Cache::new(&id, &config.compressor, config.second.as_deref(), cpus)?;
        let changes = DelayedCall::new(LOOK_MS)?;
        let table_pages = TablePages::new(changes.clone())?;
        let stats = Stats::new()?;
        Arc::pin_init(
            pin_init!(Self {
                id,
                limit <- PoolLimit::new(config.limit, config.cached),
                tables <- AreaTables::new(),
                table_pages,
                cache <- cache,
                stores <- BackingStores::new(config.encrypt, config.discard),
                stats,
                changes,
            }),
            GFP_KERNEL,
        )
    }

    /// The slot of `owner`, for what is told to tracers.
    pub(crate) fn traced(&self, owner: Owner) -> TracedSlot<'_> {
        TracedSlot {
            pool: &self.id,
            owner,
        }
    }

    /// Counts, and tells, that the second compressor made an object of `form` of the page of `owner`, which had
    /// one of length `before`.
    pub(crate) fn note_recompressed(&self, owner: Owner, before: Length, form: Form) {
        self.stats.recompressed();
        tell!(recompress: self.traced(owner), form.length, before);
    }

    /// Sets the limit to what is given, or to the default. If the pool holds more, it keeps that, and
    /// takes no more.
    pub(crate) fn set_limit(&self, given: Option<Limit>) {
        self.limit.set(given, || !self.stores.is_empty());
        self.changes.ask();
    }

    /// Bytes of memory that count against the limit: objects, in whole pages, and tables. Without a
    /// cache, the limit is on what has yet to go to the stores, and tables do not count.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        let objects = self.cache.bytes();
        if self.limit.cached {
            objects + self.table_pages.bytes()
        } else {
            objects
        }
    }

    /// Returns whether it holds so little that a store has nothing to do for room: no more than the
    /// mark at which writing back begins, or, without backing stores, than the limit.
    #[inline]
    pub(crate) fn is_below_mark(&self) -> bool {
        self.bytes() <= self.limit.mark()
    }

    /// Returns whether it holds no more than the limit.
    pub(crate) fn is_within_limit(&self) -> bool {
        self.bytes() <= self.limit.bytes()
    }

    /// Returns whether there is something to write back, beside the `bytes` that are being written, and
    /// where to.
    pub(crate) fn wants_writeback(&self, bytes: u64) -> bool {
        self.bytes() > self.limit.low_mark() + bytes && !self.stores.is_empty()
    }

    /// Has the mark follow the limit and whether there are backing stores.
    pub(crate) fn update_mark(&self) {
        self.limit.update(|| !self.stores.is_empty());
        self.changes.ask();
    }

    /// How many slots it has, and how many it can hold pages for, with how many are in use.
    ///
    /// Context: any but interrupts; never waits.
    pub(crate) fn view(&self) -> (View, u64) {
        let tables = self.tables.snapshot();
        let (mut promised, mut used, mut empty) = (0, 0, 0);
        for (_, table) in tables.on() {
            let in_use = table.used();
            promised += table.slots();
            used += in_use;
            if in_use == 0 {
                empty += table.slots();
            }
        }
        let (redirected, redirected_bytes) = self.stats.in_stores();
        let held = self.bytes();
        let holdings = Holdings {
            // What only passes through is no room.
            limit: if self.limit.cached {
                self.limit.bytes()
            } else {
                held
            },
            held,
            used,
            redirected,
            redirected_bytes,
            stores: self.stores.usable_bytes(),
        };
        let view = View {
            promised,
            capacity: holdings.capacity(),
            empty,
        };
        (view, used)
    }

    /// Bytes that a pool takes whatever it holds: its structures, and, once it had an area, the
    /// compressor's streams, and what finds the clusters. What zsmalloc takes for size classes is not
    /// in it.
    ///
    /// Context: may sleep.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        let tables = self.tables.snapshot();
        let finding: u64 = tables.all().map(|(_, table)| table.fixed_bytes()).sum();
        finding + self.cache.fixed_bytes() + self.stats.fixed_bytes() + size_of::<Self>() as u64
    }

    /// Keeps `page` in memory for slot `slot`, by way of `table` and `stream`, and counts it among
    /// `arrivals`. Returns what the slot held before, for [`Contents::dispose`].
    ///
    /// Context: may sleep for the CPU's stream; waits for no memory.
    #[inline]
    pub(crate) fn put(
        &self,
        table: &mut TableCursor<'_>,
        slot: usize,
        page: &SourcePage<'_>,
        stream: &mut CacheStream<'_>,
        arrivals: &mut Arrivals,
    ) -> Result<Replaced<ZsObject>, StoreFailure> {
        let content = stream.store(page).map_err(|_| StoreFailure::Memory)?;
        let length = match &content {
            Content::Object(object) => Some(object.form().length),
            _ => None,
        };
        match table.put(slot, content) {
            Ok(replaced) => {
                arrivals.came(length);
                Ok(replaced)
            }
            Err(content) => {
                if let Content::Object(object) = content {
                    self.cache.free(object);
                }
                Err(StoreFailure::Memory)
            }
        }
    }

    /// Writes to `page` what `slot` has in memory, by way of `stream`, or returns where in a backing
    /// store it is. [`EIO`] if it has nothing, or lost it: whatever it gave then would be wrong.
    ///
    /// Context: may sleep, for the CPU's stream, or where another task holds the object.
    #[inline]
    pub(crate) fn load(
        &self,
        slot: &Slot<ZsObject>,
        page: &mut DestPage<'_>,
        stream: &mut CacheStream<'_>,
    ) -> Result<Found> {
        loop {
            match slot.look() {
                Look::Busy => wait_for_holder(slot, stream),
                Look::Free | Look::Lost => return Err(EIO),
                Look::Redirected(redirect) => return Ok(Found::InStore(redirect)),
                Look::Same(fill) => return Ok(Found::Loaded(page.fill(doubled(fill)))),
                Look::Object(hold) => {
                    let loaded = stream.load(hold.object(), page);
                    self.stats.loaded_of(hold.form().coder, &loaded);
                    if let Some(object) = hold.release() {
                        self.cache.free(object);
                    }
                    return loaded.map(Found::Loaded);
                }
            }
        }
    }

    /// Notes that a page is read from store `number`, out of a segment of `generation`. It came back soon
    /// if the pool, with all that was written there since, would be within its limit: then the page need
    /// not have gone.
    ///
    /// Context: any; never waits.
    pub(crate) fn note_read(&self, number: usize, generation: u64) {
        let since = (self.stores).with(number, |store| store.filled_since(generation));
        let needed = since.map(|bytes| self.bytes().saturating_add(bytes));
        if needed.is_some_and(|bytes| bytes <= self.limit.bytes()) {
            self.stats.returned();
        }
    }

    /// Frees what a slot held. Returns whether there is a segment that had better be discarded now.
    ///
    /// Context: any but interrupts; spinlocks may be held.
    #[inline(always)]
    pub(crate) fn dispose(&self, replaced: Replaced<ZsObject>) -> bool {
        match replaced.displaced() {
            Displaced::Free | Displaced::Lost => (),
            Displaced::Same => self.stats.gone(None),
            Displaced::Held(length) => self.stats.gone(Some(length)),
            Displaced::Redirected(redirect) => return self.dispose_redirected(redirect),
            Displaced::Object(object, length) => {
                self.stats.gone(Some(length));
                self.cache.free(object);
            }
        }
        false
    }

    /// As [`Contents::dispose`]. Not a part of it, so that what is freed in memory pays nothing for it.
    #[inline(never)]
    fn dispose_redirected(&self, redirect: Redirect) -> bool {
        self.stats.gone_redirected(redirect.form.length);
        self.stores.end_record(redirect)
    }

    /// Gives up all pages that are in store `number`, and counts them. Returns how many there were.
    ///
    /// Context: may sleep; looks at all slots.
    pub(crate) fn lose(&self, number: usize) -> u64 {
        let tables = self.tables.snapshot();
        let mut lost = 0;
        for (_, table) in tables.all() {
            let _: ControlFlow<()> = table.for_each_cluster(|cluster| {
                for slot in cluster.slots() {
                    let Entry::Redirected(redirect) = slot.peek() else {
                        continue;
                    };
                    if redirect.location.store() == number && slot.lose(redirect) {
                        self.stats.lost(redirect.form.length);
                        self.stores.end_record(redirect);
                        lost += 1;
                    }
                }
                ControlFlow::Continue(())
            });
        }
        lost
    }
}

/// Waits while another task holds the object of `slot`: for as long as it takes to copy it.
///
/// Context: may sleep. `stream` is given back, as other tasks may want it meanwhile.
#[cold]
fn wait_for_holder(slot: &Slot<ZsObject>, stream: &mut CacheStream<'_>) {
    stream.pause();
    let mut wait = SpinWait::new();
    while let Entry::Cached {
        state: ObjectState::Held,
        ..
    } = slot.peek()
    {
        wait.once();
    }
}
