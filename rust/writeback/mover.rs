// SPDX-License-Identifier: GPL-2.0

//! The mover of a pool: the one worker that moves objects between the cache and the stores.
//!
//! It [writes back](crate::writeback::batch) when the pool passes a mark under its limit, or when the
//! kernel is [short of memory](crate::writeback::pressure). What is in segments it [moves to
//! others](crate::writeback::gc), or [takes back](crate::writeback::recall) into the cache.
//!
//! It runs in a worker of its queue, or in a task that orders it by sysfs, and is locked for as long as
//! one segment takes to fill. What it filled goes [by itself](crate::writeback::lanes) from there, so it
//! does not know yet what a batch frees when it decides on the next. It counts on all of it, looks again
//! when the batch has ended, and does not rest before all have.
//!
//! Its memory was set aside when the first store was added, so that it gets on where memory is short.
//!
//! # Lock order
//!
//! From the outermost to the innermost. Locks of the kernel are in brackets.
//!
//! Mounting, swapon, swapoff and sysfs, in tasks that may sleep:
//!
//! 1. [`s_umount` of the superblock, but not in umount, or the inode's lock in swapon(2)]
//!    In swapon, `Cache::making`, a mutex, and [that of CPUs that come or go]
//! 2. `Registry::entries`, a mutex. Nothing waits for a device with it
//! 3. `StoreAdmin::places`, a mutex. Nothing waits for a device with it
//! 4. `Pool::directory`, `Pool::shrinker` and `Pool::hibernation`, mutexes, the second with [that of
//!    shrinkers], the third with [that of the PM notifiers]. The worker that looks whether areas fit takes
//!    the first, too, and in it [that of uevents]; it waits for memory
//! 5. [the inode's lock of a swapfile that is claimed or given back: with none of 2 to 4, but with 6 if
//!    the mover is the last that has a store which was given up]
//! 6. `Mover::buffers`, a mutex, for one batch; with none of 2 to 4, but where the pool gets its first
//!    store
//! 7. `BackingStore::cursor` and `write_errors`, mutexes
//! 8. spinlocks, none inside of another: the pool's limit, its tables, the reader's shards and what it has
//!    to be recalled, the mover's lanes, what stores may take in a day. [Those of kobjects, of the crypto API]
//!
//! A task that has the machine hibernate has [that of the PM notifiers], and takes 6 to 8. swapon takes the
//! former under [the inode's lock], swapoff under none, and both may wait there for a mover's device.
//!
//! The mover in its worker takes 6 to 8, and, for the second compressor, the stream of one compressor after
//! that of the other. Under 6 it waits for the device, for a lane, and for a stream, only. It allocates
//! objects, without waiting, when it recalls, and a discard allocates with `GFP_NOIO`. A worker that writes
//! or ends a batch takes 7 and 8 only, and waits for the device only. What compresses again in memory has the
//! hold on an object, and takes the streams as the mover does.
//!
//! A store or a load, in a task that reclaims memory or faults:
//!
//! 1. [the folio: locked for a load, under writeback for a store]
//! 2. for a load, the hold on the slot's object. Only another looker waits for it, and sleeps after some
//!    looks: a task that holds it may have been preempted by the looker
//! 3. a CPU's stream of the compressor, a mutex; the task may move to another CPU while it has it
//! 4. [zsmalloc's: pool, class and zspage; those of the crypto API], or the table's spinlock, to add a
//!    cluster
//!
//! A batch keeps its stream from page to page. So it holds an object with the stream taken, where the
//! first page took them in the other order. That is no circle: a looker that waits for an object gives its
//! stream back first. No task has two streams.
//!
//! A load of a redirected page gives its stream back first, then takes the spinlock of a shard of the
//! reader; nothing is taken inside of it. A load of swapoff's tries `Mover::buffers`, and never waits for it.
//!
//! At the limit a store waits on `Lanes::progress`, for 100 ms at most, with none of these locks but the
//! folios of its batch. It is woken after each batch. The store waits for I/O of the mover, never for its
//! own: the mover's bios are submitted by a worker, or by a task that ordered it by sysfs.
//!
//! The shrinker, in any task that reclaims memory, takes no lock but that of the work queue.
//!
//! Freeing a slot, with the kernel's cluster lock held:
//!
//! 1. [`swap_cluster_info.lock`]
//! 2. [zsmalloc's pool and class, in `zs_free()`]; released
//! 3. the table's spinlock, to remove a cluster; released, then `call_rcu()`
//! 4. the lock of the wait queue of `BackingStore::drained`, if the last record of a segment ended
//!
//! This path takes no mutex and no stream. No allocation under the table's lock, under a stream, or under
//! zsmalloc's locks that `zs_free()` takes, reclaims memory: all are `GFP_NOWAIT`. So no path comes back to
//! itself. Counters are per CPU or atomic, and take no lock; neither does reading the limit and the mark.

use crate::{
    backing::store::BackingStore,
    contents::{
        stats::Counter,
        Contents, //
    },
    core::{
        entry::{
            Entry,
            Redirect, //
        },
        returns::Returns,
    },
    kernel_ext::{
        mm::{
            reclaim::is_kswapd,
            shrinker::Shrinkable, //
        },
        power::HibernationListener,
        sched::cond_resched,
        sync::{
            event_count::EventCount,
            workqueue::ReclaimQueue, //
        },
    },
    writeback::{
        backoff::Backoff,
        batch::Batcher,
        lanes::Lanes,
        pressure::Pressure,
        reader::{
            Reader,
            Recall, //
        },
        recall::Recaller,
        sweep::Sweep, //
    },
};
use kernel::{
    new_mutex, new_work,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    time::msecs_to_jiffies,
    workqueue::{
        Work,
        WorkItem, //
    },
};

/// How long the mover is not woken after it could do nothing, in milliseconds.
const BACKOFF_MS: u32 = 100;

/// How long a store waits at the limit for the mover, at most, in milliseconds.
const WAIT_MS: u32 = 100;

/// What the mover works with.
pub(crate) struct Buffers {
    batcher: Batcher,
    /// Where it goes on in writing what is coldest.
    sweep: Sweep,
    returns: Returns,
    recaller: Recaller,
}

/// The mover.
#[pin_data]
pub(crate) struct Mover {
    contents: Arc<Contents>,
    reader: Arc<Reader>,
    queue: Arc<ReclaimQueue>,
    freezable: Arc<ReclaimQueue>,
    /// What it works with, once there is a store. What moves something has it locked.
    #[pin]
    buffers: Mutex<Option<KBox<Buffers>>>,
    /// Whether that is there.
    reserved: Atomic<bool>,
    /// The buffers, and the batches that it filled and that have not ended. It tells stores that wait at
    /// the limit what it has done, or that it can do nothing.
    lanes: Arc<Lanes>,
    backoff: Backoff,
    /// Whether a store found the pool above its mark since the mover was last done.
    asked: Atomic<bool>,
    /// Whether a store found no memory since the mover last looked.
    memory_wanted: Atomic<bool>,
    /// What reclaim wants.
    pressure: Pressure,
    /// Whether it is taking segments back, and looks for loads that wait for one.
    recalling: Atomic<bool>,
    /// Whether the machine is about to hibernate, or does. Then batches are begun in [`Mover::take_turn`] only.
    hibernates: Atomic<bool>,
    /// Counts how often that ended.
    #[pin]
    woken: EventCount,
    #[pin]
    work: Work<Self>,
    #[pin]
    turn: Work<Self, TURN>,
}

/// The numbers of these work items.
const WORK: u64 = 0;
const TURN: u64 = 1;

// In a module of its own, because the macro makes unsafe code.
#[allow(unsafe_code)]
mod work {
    use super::Mover;

    kernel::impl_has_work! {
        impl HasWork<Self> for Mover { self.work }
        impl HasWork<Self, 1> for Mover { self.turn }
    }
}

impl WorkItem<WORK> for Mover {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.run();
    }
}

impl WorkItem<TURN> for Mover {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.take_turn();
    }
}

/// Reclaim asks for pages of memory, and does not wait for them.
impl Shrinkable for Mover {
    fn count(&self) -> usize {
        if self.backoff.is_on() {
            0
        } else {
            self.pressure.freeable()
        }
    }

    fn shrink(this: ArcBorrow<'_, Self>, wanted: usize) -> Option<usize> {
        let wanted = this.pressure.want(wanted)?;
        if this.pressure.is_wanted() {
            let mover: Arc<Self> = this.into();
            mover.wake();
        }
        Some(wanted)
    }
}

/// Nothing may be written to a store from when the image of the memory is made until the machine has resumed
/// from it: a segment that was written meanwhile would not be what the image says.
///
/// So what begins batches then is a worker that the kernel freezes, for which it waits. Batches on their way go
/// on, as they do again after resume: to the same segment, with the same content.
impl HibernationListener for Arc<Mover> {
    fn begins(&self) -> Result {
        self.hibernates.store(true, Relaxed);
        // What has the mover locked may not have seen that.
        drop(self.lock());
        // What cannot be written is in the image.
        match self.write_back(usize::MAX) {
            Err(EINTR) => {
                self.ended();
                Err(EINTR)
            }
            _ => Ok(()),
        }
    }

    fn ended(&self) {
        self.hibernates.store(false, Relaxed);
        self.woken.signal();
        self.wake();
    }
}

impl Mover {
    /// The mover of `contents`, which runs on `queue`, or, when the machine hibernates, on `freezable`. Its
    /// batches are ended on `writes`, another one.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(
        contents: Arc<Contents>,
        reader: Arc<Reader>,
        queue: Arc<ReclaimQueue>,
        freezable: Arc<ReclaimQueue>,
        writes: Arc<ReclaimQueue>,
    ) -> Result<Arc<Self>> {
        let lanes = Lanes::new(contents.clone(), writes)?;
        let pressure = Pressure::new(contents.clone());
        Arc::pin_init(
            pin_init!(Self {
                contents,
                reader,
                queue,
                freezable,
                buffers <- new_mutex!(None),
                reserved: Atomic::new(false),
                lanes,
                backoff: Backoff::new(BACKOFF_MS),
                asked: Atomic::new(false),
                memory_wanted: Atomic::new(false),
                pressure,
                recalling: Atomic::new(false),
                hibernates: Atomic::new(false),
                woken <- EventCount::new(),
                work <- new_work!("Mover::work"),
                turn <- new_work!("Mover::turn"),
            }),
            GFP_KERNEL,
        )
    }

    /// Sets aside what moving takes.
    ///
    /// Context: may sleep; the stores of the pool are locked. Errors: [`ENOMEM`].
    pub(crate) fn reserve(&self) -> Result {
        // Not for the mover's lock: it may be held for long, once there is a store.
        if self.reserved.load(Relaxed) {
            return Ok(());
        }
        let buffers = Buffers {
            batcher: Batcher::new(&self.contents, self.lanes.clone())?,
            sweep: Sweep::of_coldest()?,
            returns: Returns::new(),
            recaller: Recaller::new(),
        };
        let buffers = KBox::new(buffers, GFP_KERNEL)?;
        self.lanes.reserve()?;
        self.reader.reserve()?;
        *self.buffers.lock() = Some(buffers);
        self.reserved.store(true, Relaxed);
        Ok(())
    }

    /// Locks the mover, and waits for its batches: nothing moves until the guard is dropped, and the mover
    /// has no reference to a store.
    ///
    /// Context: may sleep, for as long as some segments take.
    pub(crate) fn lock(&self) -> Guard<'_, Option<KBox<Buffers>>, MutexBackend> {
        let guard = self.buffers.lock();
        self.lanes.settle();
        guard
    }

    /// Locks the mover when the machine is not about to hibernate: for a worker that the kernel does not freeze.
    ///
    /// Context: may sleep, for long. Errors: [`EINTR`].
    fn lock_awake(&self) -> Result<Guard<'_, Option<KBox<Buffers>>, MutexBackend>> {
        loop {
            let guard = self.buffers.lock();
            let is_awake = || !self.hibernates.load(Relaxed);
            if is_awake() {
                return Ok(guard);
            }
            drop(guard);
            self.woken
                .wait_for_interruptible(|| is_awake().then_some(()))?;
        }
    }

    /// Has the mover do what there is to do. If it is about to run already, that is enough.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn wake(self: &Arc<Self>) {
        self.queue.enqueue::<_, WORK>(self.clone());
    }

    /// There is something new to do: a store was added.
    pub(crate) fn end_backoff(&self) {
        self.backoff.end();
        self.lanes.impatience.end();
    }

    /// Has the mover make room, as the pool is above its mark. Many stores at once ask once: they write
    /// nothing that others read.
    fn ask(self: &Arc<Self>) {
        // One that comes while the mover gets done may be missed. The next asks again.
        let asked = self.asked.load(Relaxed) || self.backoff.is_on();
        if !asked && !self.asked.xchg(true, Full) {
            self.wake();
        }
    }

    /// Has the mover write something, whatever the pool holds, as a store found no memory.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn free_memory(self: &Arc<Self>) {
        let wanted = self.memory_wanted.load(Relaxed) || self.backoff.is_on();
        if !wanted && !self.contents.stores.is_empty() {
            self.memory_wanted.store(true, Relaxed);
            self.wake();
        }
    }

    /// Has the mover make room, as the pool is near its limit; above the limit, waits for that, for a
    /// moment. Returns whether the pool is within its limit then.
    ///
    /// It does not wait while the mover can do nothing, nor for some pages after one was waited for in
    /// vain: with a slow disk, a list of pages that reclaim goes through costs one wait, and not one for
    /// each page. kswapd does not wait at all, as others wait for kswapd.
    ///
    /// Context: may sleep; memory may be being reclaimed. It waits for no lock that is held for long, and
    /// not for I/O of the task's own.
    #[cold]
    pub(crate) fn make_room(self: &Arc<Self>) -> bool {
        let contents = &self.contents;
        if contents.stores.is_empty() {
            return contents.is_within_limit();
        }
        let mut left = msecs_to_jiffies(WAIT_MS);
        loop {
            let seen = self.lanes.progress.count();
            self.ask();
            if contents.is_within_limit() {
                return true;
            }
            if self.backoff.is_on() || self.lanes.impatience.takes_page() || is_kswapd() {
                return false;
            }
            match self.lanes.progress.wait_interruptible(seen, left) {
                Ok(Some(rest)) => left = rest,
                Ok(None) => {
                    self.lanes.impatience.grow();
                    return contents.is_within_limit();
                }
                Err(_) => return contents.is_within_limit(),
            }
        }
    }

    /// Returns whether there is something to write back, at once, beside what is under way.
    fn has_to_write(&self) -> bool {
        let contents = &self.contents;
        contents.wants_writeback(self.lanes.under_way().bytes)
            || (self.memory_wanted.xchg(false, Relaxed) && !contents.stores.is_empty())
            || self.is_pressed()
    }

    /// Returns whether reclaim wants something to be written, and that is of use.
    fn is_pressed(&self) -> bool {
        if !self.pressure.is_wanted() {
            return false;
        }
        let mut buffers = self.buffers.lock();
        let returns = buffers.as_deref_mut().map(|buffers| &mut buffers.returns);
        returns.is_some_and(|returns| self.pressure.is_of_use(returns))
    }

    /// Does what there is to do.
    fn run(self: &Arc<Self>) {
        self.recall();
        self.lanes.try_anew();
        self.write(false);
    }

    /// Begins one batch, if there is one to write and the machine hibernates. The kernel waits for it, but for
    /// some seconds only.
    fn take_turn(self: &Arc<Self>) {
        if self.hibernates.load(Relaxed) {
            self.write(true);
        }
    }

    /// Writes what there is to write; or, in a turn, one batch at a time, each in a turn of its own.
    fn write(self: &Arc<Self>, in_turn: bool) {
        loop {
            if !self.has_to_write() {
                // It may free less than it seems.
                if self.lanes.wait_for_one() {
                    continue;
                }
                // What asks from here on wakes it again.
                self.asked.xchg(false, Full);
                if self.contents.is_below_mark() || !self.contents.wants_writeback(0) {
                    break;
                }
            }
            let mut guard = self.buffers.lock();
            if !in_turn && self.hibernates.load(Relaxed) {
                return self.freezable.enqueue::<_, TURN>(self.clone());
            }
            let Some(Buffers { batcher, sweep, .. }) = guard.as_deref_mut() else {
                break;
            };
            let only_pressed = self.pressure.is_wanted() && !self.contents.wants_writeback(0);
            let pages = batcher.write(&self.contents, sweep, usize::MAX);
            let found_nothing = !pages.is_ok_and(|pages| pages > 0);
            if !found_nothing {
                self.pressure.serve();
            }
            drop(guard);
            // What could not be written is there again.
            if found_nothing && self.lanes.wait_for_one() {
                continue;
            }
            if found_nothing || self.lanes.are_in_vain() {
                self.pressure.hold_off();
                // No page is refused for what reclaim wanted.
                if !only_pressed {
                    self.backoff.begin();
                }
                self.asked.store(false, Relaxed);
                self.lanes.progress.signal();
                return;
            }
            if in_turn {
                return self.freezable.enqueue::<_, TURN>(self.clone());
            }
            self.recall();
        }
        self.backoff.end();
        self.lanes.progress.signal();
        if self.discard_one() {
            // After others that may have woken it meanwhile.
            self.wake();
        }
    }

    /// Returns whether a load that waits for its segment is served next: the mover is taking segments
    /// back, or does nothing. A batch, and the cleaning before it, can take seconds with a slow disk, and a
    /// program may want the page that waits.
    ///
    /// Context: may sleep.
    pub(crate) fn takes_loads(&self) -> bool {
        // Taking back may wait for a buffer of a batch, and the mover does before it is done.
        self.lanes.are_settled()
            // It may turn to something else just then. That is rare, and costs one batch.
            && (self.recalling.load(Relaxed) || self.buffers.try_lock().is_some())
    }

    /// Serves swapoff(2): whole segments are taken back into the cache, in the order of the log, but those
    /// that its loads wait for come first.
    fn recall(&self) {
        self.recalling.store(true, Relaxed);
        self.recall_all();
        self.recalling.store(false, Relaxed);
    }

    fn recall_all(&self) {
        loop {
            // There may be many segments with nothing to take back.
            cond_resched();
            let mut guard = self.buffers.lock();
            // Without a store, no load waits.
            let Some(buffers) = guard.as_deref_mut() else {
                return;
            };
            let contents = &*self.contents;
            let recaller = &mut buffers.recaller;
            let (wanted, is_awaited) = match self.reader.next_recall() {
                // It is looked at only to see where it is: a load takes a mark off anyway. The load waits
                // where it is found if its store is given up meanwhile.
                Some(Recall::Load(load)) => match load.slot().map(|slot| slot.peek()) {
                    Some(Entry::Redirected(redirect)) => (Some(redirect), true),
                    _ => (None, true),
                },
                Some(Recall::Segment(redirect)) => (Some(redirect), false),
                None => {
                    if !contents.tables.snapshot().any_off() {
                        recaller.stop();
                        return;
                    }
                    if !recaller.recall_next(contents, &self.lanes) {
                        return;
                    }
                    continue;
                }
            };
            if let Some(Redirect { location, .. }) = wanted {
                let (store, segment) = (location.store(), location.segment());
                recaller.recall_wanted(contents, &self.lanes, store, segment);
            }
            drop(guard);
            if !is_awaited {
                continue;
            }
            // From the cache now; or, if that had no room, from the store.
            if let Some((page, load)) = self.reader.end_recall() {
                self.reader.load_recalled(load, page);
            }
        }
    }

    /// Tells a device of one free segment, if there is one that it was not told of. Returns whether there
    /// was.
    fn discard_one(&self) -> bool {
        let _buffers = self.buffers.lock();
        !self.hibernates.load(Relaxed)
            && self.contents.stores.all().any(|store| store.discard_one())
    }

    /// Writes `pages` pages to the stores, the coldest first, or as many as there are now.
    ///
    /// Context: may sleep, for long. Errors: [`ENXIO`] if there is no store; [`ENOSPC`] if there is no
    /// room; [`EINTR`].
    pub(crate) fn write_back(&self, pages: usize) -> Result {
        // What comes meanwhile is not meant.
        let there_are = self.contents.stats.pages_in_cache().min(pages as u64);
        self.write_found(self.written() + there_are, None)
    }

    /// Writes all pages to the stores that are in clusters in which nothing was stored for `age` seconds.
    ///
    /// Context: may sleep, for long. Errors: as [`Mover::write_back`]; [`ENOMEM`].
    pub(crate) fn write_back_older(&self, age: u32) -> Result {
        // It ends where it finds no more.
        self.write_found(u64::MAX, Some(&mut Sweep::of_older(age)?))
    }

    /// How many pages were written back so far.
    fn written(&self) -> u64 {
        self.contents.stats.sum(Counter::WrittenPages)
    }

    /// Writes pages to the stores that `sweep` finds, or the mover's own, until `end` were written in all, or
    /// it finds no more.
    fn write_found(&self, end: u64, mut sweep: Option<&mut Sweep>) -> Result {
        if self.contents.stores.is_empty() {
            return Err(ENXIO);
        }
        self.lanes.try_anew();
        loop {
            // In this order: a batch that ends in between counts twice, and not never.
            let under_way = self.lanes.under_way().pages;
            let left = end.saturating_sub(self.written()) as usize;
            if left == 0 || self.lanes.are_in_vain() {
                return Ok(());
            }
            if left > under_way {
                let mut guard = self.buffers.lock();
                let buffers = guard.as_deref_mut().ok_or(ENXIO)?;
                let sweep = sweep.as_deref_mut().unwrap_or(&mut buffers.sweep);
                let begun = (buffers.batcher).write(&self.contents, sweep, left - under_way);
                drop(guard);
                // What could not be written, or was loaded meanwhile, is there again.
                if !begun.is_ok_and(|pages| pages > 0) && !self.lanes.wait_for_one() {
                    return begun.map(|_| ());
                }
            } else {
                self.lanes.wait_for_one();
            }
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
        }
    }

    /// Moves all that `store`, which is being removed, holds to other stores, or to the cache.
    ///
    /// Context: may sleep, for long. Errors: [`ENOSPC`] if there is no room; [`EIO`] if something cannot
    /// be read; [`ECANCELED`] if the store is not to be removed any more; [`EINTR`].
    pub(crate) fn empty(&self, store: &Arc<BackingStore>) -> Result {
        // The mover may be filling a segment of it, or have filled one; after that it fills no other.
        drop(self.lock());
        for segment in 0..store.log.segments() {
            cond_resched();
            while store.log.live(segment) > 0 {
                if !store.state.status().is_removing() {
                    return Err(ECANCELED);
                }
                let mut guard = self.lock_awake()?;
                let buffers = guard.as_deref_mut().ok_or(ENXIO)?;
                let cleaner = &mut buffers.batcher.cleaner;
                if cleaner.move_away(&self.contents, store, segment)? {
                    break;
                }
            }
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
        }
        store.wait_until_idle()
    }
}
