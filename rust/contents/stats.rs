// SPDX-License-Identifier: GPL-2.0

//! What is counted of a pool, each CPU for itself.

use crate::{
    core::{
        latency::{
            self,
            LoadedFrom,
            BUCKETS,
            OCTAVES, //
        },
        payload::{
            Coder,
            Length, //
        },
        PAGE_SIZE, //
    },
    kernel_ext::{
        clock::{
            ShortClock,
            Ticks, //
        },
        mm::percpu::{
            CounterRow,
            Counters, //
        },
    },
};
use kernel::prelude::*;

/// What is counted. Bytes come after the pages whose objects they are of: both are counted at once.
#[derive(Clone, Copy)]
pub(crate) enum Counter {
    SamePages,
    IncompressiblePages,
    CompressedPages,
    CompressedBytes,
    RedirectedPages,
    RedirectedBytes,
    WrittenPages,
    ReturnedPages,
    LostPages,
    BlocksInVain,
    RecompressedPages,
    RecompressedLoads,
    Stores,
    FailedStoresLimit,
    FailedStoresMemory,
    FailedLoads,
    Count,
}

/// Where the counters of loads begin, one for each octave of time: of loads from memory, then of those
/// from backing stores.
const LOADS: usize = Counter::Count as usize;

/// The counters.
pub(crate) struct Stats {
    counters: Counters<{ LOADS + 2 * OCTAVES }>,
    /// What loads are timed by, each of them: it is the rare slow one that is looked for. Those from memory
    /// may take less than to read the monotonic clock does.
    clock: ShortClock,
}

/// The first counter of loads from there.
#[inline]
fn of_loads(from: LoadedFrom) -> usize {
    LOADS + from as usize * OCTAVES
}

/// Times loads, each of which begins where the one before ends, and counts them.
pub(crate) struct LoadTimer<'a> {
    clock: ShortClock,
    counters: CounterRow<'a, OCTAVES>,
    /// When the load that goes on began.
    begun: Ticks,
}

impl LoadTimer<'_> {
    /// A load begins now.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.begun = self.clock.now();
    }

    /// Counts a load that ended well now. Returns how many nanoseconds it took.
    #[inline]
    pub(crate) fn loaded(&mut self) -> u64 {
        let now = self.clock.now();
        let nanos = self.clock.nanos(self.begun, now);
        self.counters.inc(latency::octave(nanos));
        self.begun = now;
        nanos
    }
}

/// Why a page was not stored.
#[derive(Clone, Copy)]
pub(crate) enum StoreFailure {
    /// The pool is at its limit.
    Limit,
    /// There was no memory for the object or for the table.
    Memory,
}

/// Objects of one batch, which are not counted yet.
#[derive(Default)]
struct Objects {
    incompressible: u64,
    compressed: u64,
    /// Those of the compressed ones.
    bytes: u64,
}

impl Objects {
    /// One more, of `length`.
    #[inline]
    fn add(&mut self, length: Length) {
        if length.is_incompressible() {
            self.incompressible += 1;
        } else {
            self.compressed += 1;
            self.bytes += length.bytes() as u64;
        }
    }
}

/// Pages of one batch that came, and are not counted yet.
#[derive(Default)]
pub(crate) struct Arrivals {
    same: u64,
    objects: Objects,
    stored: u64,
}

impl Arrivals {
    /// A page came that is kept as an object of `length`, if there is one.
    #[inline]
    pub(crate) fn came(&mut self, length: Option<Length>) {
        match length {
            None => self.same += 1,
            Some(length) => self.objects.add(length),
        }
    }

    /// A page that came was stored.
    #[inline]
    pub(crate) fn stored(&mut self) {
        self.stored += 1;
    }
}

/// Objects of one batch that went to a backing store, and are not counted yet.
#[derive(Default)]
pub(crate) struct Departures {
    objects: Objects,
    /// Bytes of what they are there.
    bytes: u64,
}

impl Departures {
    /// An object of `length` went, and is one of length `there` now.
    pub(crate) fn went(&mut self, length: Length, there: Length) {
        self.objects.add(length);
        self.bytes += there.bytes() as u64;
    }

    /// How many went.
    pub(crate) fn pages(&self) -> u64 {
        self.objects.compressed + self.objects.incompressible
    }
}

impl Stats {
    /// All zero.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            counters: Counters::new()?,
            clock: ShortClock::new(),
        })
    }

    fn add(&self, counter: Counter, delta: u64) {
        self.counters.add(counter as usize, delta);
    }

    fn sub(&self, counter: Counter, delta: u64) {
        self.add(counter, delta.wrapping_neg());
    }

    /// Adds to the number `pages`, and to the bytes that are counted with it.
    #[inline]
    fn add_pages(&self, pages: Counter, count: u64, bytes: u64) {
        self.counters.add_pair(pages as usize, count, bytes);
    }

    /// Takes a page of `bytes` bytes off from the number `pages`, and from the bytes that are counted
    /// with it.
    #[inline]
    fn sub_page(&self, pages: Counter, bytes: usize) {
        self.add_pages(pages, 1u64.wrapping_neg(), (bytes as u64).wrapping_neg());
    }

    /// The sum of `counter`. While pages come and go, one that went may be seen before one that came;
    /// what would be negative then is none.
    pub(crate) fn sum(&self, counter: Counter) -> u64 {
        (self.counters.sum(counter as usize) as i64).max(0) as u64
    }

    /// Counts what came with a batch.
    #[inline]
    pub(crate) fn arrived(&self, arrivals: Arrivals) {
        let Arrivals {
            same,
            objects,
            stored,
        } = arrivals;
        if objects.compressed != 0 {
            self.add_pages(Counter::CompressedPages, objects.compressed, objects.bytes);
        }
        for (counter, count) in [
            (Counter::SamePages, same),
            (Counter::IncompressiblePages, objects.incompressible),
            (Counter::Stores, stored),
        ] {
            if count != 0 {
                self.add(counter, count);
            }
        }
    }

    /// A page is gone that was kept as an object of `length`, if it was one.
    #[inline]
    pub(crate) fn gone(&self, length: Option<Length>) {
        match length {
            None => self.sub(Counter::SamePages, 1),
            Some(length) if length.is_incompressible() => {
                self.sub(Counter::IncompressiblePages, 1);
            }
            Some(length) => self.sub_page(Counter::CompressedPages, length.bytes()),
        }
    }

    /// Counts what went to a backing store with a batch.
    pub(crate) fn departed(&self, departures: &Departures) {
        let Objects {
            incompressible,
            compressed,
            bytes,
        } = departures.objects;
        self.add_pages(
            Counter::CompressedPages,
            compressed.wrapping_neg(),
            bytes.wrapping_neg(),
        );
        self.sub(Counter::IncompressiblePages, incompressible);
        let pages = departures.pages();
        self.add_pages(Counter::RedirectedPages, pages, departures.bytes);
        self.add(Counter::WrittenPages, pages);
    }

    /// A smaller object, which the second compressor made, is kept or written.
    pub(crate) fn recompressed(&self) {
        self.add(Counter::RecompressedPages, 1);
    }

    /// An object of length `from` in memory was replaced by one, or by a share, of length `to`.
    pub(crate) fn resized(&self, from: Length, to: Length) {
        let bytes = (to.bytes() as u64).wrapping_sub(from.bytes() as u64);
        self.add(Counter::CompressedBytes, bytes);
    }

    /// Counts a load of what `coder` made, if that is the second compressor and it ended well. It is one of
    /// the loads.
    #[inline]
    pub(crate) fn loaded_of<T>(&self, coder: Coder, result: &Result<T>) {
        if coder == Coder::Second && result.is_ok() {
            self.add(Counter::RecompressedLoads, 1);
        }
    }

    /// A page is read from a backing store soon after it went there.
    pub(crate) fn returned(&self) {
        self.add(Counter::ReturnedPages, 1);
    }

    /// So many blocks were read ahead and not wanted.
    pub(crate) fn read_in_vain(&self, blocks: usize) {
        self.add(Counter::BlocksInVain, blocks as u64);
    }

    /// An object of `length` came back from a backing store.
    pub(crate) fn recalled(&self, length: Length) {
        self.gone_redirected(length);
        let mut arrivals = Arrivals::default();
        arrivals.came(Some(length));
        self.arrived(arrivals);
    }

    /// A page is gone that was kept as an object of `length` in a backing store.
    pub(crate) fn gone_redirected(&self, length: Length) {
        self.sub_page(Counter::RedirectedPages, length.bytes());
    }

    /// A page was lost that was kept as an object of `length` in a backing store. It does not count as
    /// stored any more.
    pub(crate) fn lost(&self, length: Length) {
        self.gone_redirected(length);
        self.add(Counter::LostPages, 1);
    }

    /// Pages that are stored, in memory or in backing stores.
    pub(crate) fn stored_pages(&self) -> u64 {
        self.pages_in_cache() + self.sum(Counter::RedirectedPages)
    }

    /// Pages that were stored and are not any more: freed, stored anew, or lost.
    pub(crate) fn invalidates(&self) -> u64 {
        self.sum(Counter::Stores)
            .saturating_sub(self.stored_pages())
    }

    /// Pages that are in memory, those included that take nothing but their entry.
    pub(crate) fn pages_in_cache(&self) -> u64 {
        self.sum(Counter::SamePages)
            + self.sum(Counter::CompressedPages)
            + self.sum(Counter::IncompressiblePages)
    }

    /// The bytes of the objects that are in memory.
    pub(crate) fn object_bytes(&self) -> u64 {
        self.sum(Counter::CompressedBytes)
            + self.sum(Counter::IncompressiblePages) * PAGE_SIZE as u64
    }

    /// Returns whether there are incompressible pages in memory.
    pub(crate) fn has_incompressible_pages(&self) -> bool {
        self.sum(Counter::IncompressiblePages) > 0
    }

    /// Pages that are in backing stores, and the bytes of their objects.
    pub(crate) fn in_stores(&self) -> (u64, u64) {
        (
            self.sum(Counter::RedirectedPages),
            self.sum(Counter::RedirectedBytes),
        )
    }

    /// A page was not stored.
    #[cold]
    pub(crate) fn refused(&self, why: StoreFailure) {
        self.add(
            match why {
                StoreFailure::Limit => Counter::FailedStoresLimit,
                StoreFailure::Memory => Counter::FailedStoresMemory,
            },
            1,
        );
    }

    /// When a load begins now, for [`Stats::loaded_from_store`].
    pub(crate) fn now(&self) -> Ticks {
        self.clock.now()
    }

    /// What times and counts loads from memory, the first of which begins now.
    #[inline]
    pub(crate) fn load_timer(&self) -> LoadTimer<'_> {
        self.timer(LoadedFrom::Ram, self.clock.now())
    }

    /// What counts loads from there, the first of which began then.
    #[inline]
    fn timer(&self, from: LoadedFrom, begun: Ticks) -> LoadTimer<'_> {
        LoadTimer {
            clock: self.clock,
            counters: self.counters.row(of_loads(from)),
            begun,
        }
    }

    /// Counts a load from a backing store that began then, and ended well now. Returns how many nanoseconds
    /// it took.
    pub(crate) fn loaded_from_store(&self, begun: Ticks) -> u64 {
        let mut timer = self.timer(LoadedFrom::Store, begun);
        timer.loaded()
    }

    /// How many loads from there took a time in `bucket`, which is less than [`BUCKETS`].
    pub(crate) fn loads_in(&self, from: LoadedFrom, bucket: usize) -> u64 {
        let first = of_loads(from);
        latency::octaves(bucket)
            .map(|octave| self.counters.sum(first + octave))
            .sum()
    }

    /// Loads that ended well.
    pub(crate) fn loads(&self) -> u64 {
        let in_bucket = |bucket| {
            self.loads_in(LoadedFrom::Ram, bucket) + self.loads_in(LoadedFrom::Store, bucket)
        };
        (0..BUCKETS).map(in_bucket).sum()
    }

    /// Counts a load that failed.
    #[cold]
    pub(crate) fn load_failed(&self) {
        self.add(Counter::FailedLoads, 1);
    }

    /// Bytes that the counters take.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.counters.bytes()
    }
}
