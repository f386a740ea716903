// SPDX-License-Identifier: GPL-2.0

//! A backing store: the log of segments on its device, and what is counted of both.

use crate::{
    backing::{
        device::{
            Device,
            Unusable, //
        },
        protection::Protection,
    },
    core::{
        errors::{
            RecentErrors,
            MAX_ERRORS, //
        },
        log::{
            Cursor,
            PinnedSegment,
            RecordEnd,
            Segment,
            SegmentLog,
            TakenSegment,
            GENERATION_BITS,
            RESERVE, //
        },
        payload::Length,
        segment::{
            BLOCK,
            BLOCKS,
            SEGMENT, //
        },
        store_state::{
            StoreState,
            StoreStatus, //
        },
        write_budget::WriteBudget,
    },
    kernel_ext::{
        block::transfer::{
            Transfer,
            TransferDone, //
        },
        clock,
        crypto::random,
        mm::percpu::Counters,
        sync::event_count::EventCount, //
    },
};
use kernel::{
    alloc::KVVec,
    new_mutex, new_spinlock,
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        SpinLock, //
    },
    time::msecs_to_jiffies,
};

/// What is counted of a store.
#[derive(Clone, Copy)]
pub(crate) enum StoreCounter {
    WrittenBytes,
    WrittenRequests,
    ReadBytes,
    ReadRequests,
    /// Bytes of objects that were written again.
    MovedBytes,
    DiscardedBytes,
    WriteErrors,
    ReadErrors,
    Count,
}

/// What a device must be allowed to take before a segment is filled: that segment, and one that is under way.
/// So no limit is exceeded.
pub(crate) const LEAST_WRITE_LIMIT: u64 = 2 * SEGMENT as u64;

/// The paths that mean a backing store.
pub(crate) struct StorePaths {
    /// What it was added by.
    given: CString,
    /// Where it is, as `/proc/swaps` would show it.
    found: CString,
}

impl StorePaths {
    /// Returns whether `path` is one of them.
    pub(crate) fn have(&self, path: &CStr) -> bool {
        *self.given == *path || *self.found == *path
    }
}

/// A backing store of a pool.
#[pin_data]
pub(crate) struct BackingStore {
    pub(crate) paths: Arc<StorePaths>,
    pub(crate) device: Device,
    /// Which segments are free, and what is in the others.
    pub(crate) log: SegmentLog<KVVec<Segment>>,
    /// Where filling goes on. Only the mover takes it.
    #[pin]
    cursor: Mutex<Cursor>,
    /// The generation of the segment that was last begun to be filled.
    newest: Atomic<u64>,
    counters: [Atomic<u64>; StoreCounter::Count as usize],
    /// Bytes that were read, and requests for that: each CPU counts its own, for there may be many.
    reads: Counters<2>,
    /// What is done with it.
    pub(crate) state: StoreState,
    #[pin]
    write_errors: Mutex<RecentErrors>,
    /// What was written lately.
    #[pin]
    budget: SpinLock<WriteBudget>,
    /// Whether there is a limit to that. It is written with the budget locked.
    is_limited: Atomic<bool>,
    /// Of each segment, whether it was opened since it was discarded last. Empty if the store does not
    /// discard.
    stale: KVVec<Atomic<bool>>,
    /// Where looking for stale segments goes on.
    next_stale: Atomic<usize>,
    /// Counts that a segment was emptied, or is not pinned any more. What does that changes the log
    /// first.
    #[pin]
    drained: EventCount,
}

impl BackingStore {
    /// Claims what is at `path`, by the rights of the task, as store `number` of a pool. What is
    /// written is protected by `protection`. If `discard`, and if the device can be, it is
    /// told which segments are free. There is no limit to what is written.
    ///
    /// Context: may sleep.
    pub(crate) fn claim(
        number: usize,
        path: &CStr,
        protection: Protection,
        discard: bool,
    ) -> Result<Arc<Self>, Unusable> {
        let given = path.to_cstring()?;
        let device = Device::claim(number, path, protection)?;
        let found = device.swap.path().to_cstring()?;
        let paths = Arc::new(StorePaths { given, found }, GFP_KERNEL)?;
        let count = device.segments();
        let mut segments = KVVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            segments.push(Segment::new(), GFP_KERNEL)?;
        }
        let mut stale = KVVec::new();
        if discard && device.swap.supports_discard() {
            stale.reserve(count, GFP_KERNEL)?;
            for _ in 0..count {
                stale.push(Atomic::new(false), GFP_KERNEL)?;
            }
        }
        let cursor = Cursor::new(random::number() >> (u64::BITS - GENERATION_BITS + 1));
        let reads = Counters::new()?;
        let store = Arc::pin_init(
            pin_init!(Self {
                paths,
                device,
                log: SegmentLog::new(segments),
                cursor <- new_mutex!(cursor),
                newest: Atomic::new(0),
                counters: [const { Atomic::new(0) }; StoreCounter::Count as usize],
                reads,
                state: StoreState::new(),
                write_errors <- new_mutex!(RecentErrors::new()),
                budget <- new_spinlock!(WriteBudget::new(clock::seconds())),
                is_limited: Atomic::new(false),
                stale,
                next_stale: Atomic::new(0),
                drained <- EventCount::new(),
            }),
            GFP_KERNEL,
        )?;
        Ok(store)
    }

    /// Its number in its pool.
    pub(crate) fn number(&self) -> usize {
        self.device.number
    }

    /// Where it is, as `/proc/swaps` would show it.
    pub(crate) fn path(&self) -> &CStr {
        &self.paths.found
    }

    /// Returns whether `path` means it: it was added by that, or that is where it is.
    pub(crate) fn is_at(&self, path: &CStr) -> bool {
        self.paths.have(path)
    }

    /// Returns whether new segments are filled there.
    pub(crate) fn is_open(&self) -> bool {
        self.state.status() == StoreStatus::Open
    }

    /// Returns whether it was given up, with all that is there.
    pub(crate) fn is_given_up(&self) -> bool {
        self.state.status() == StoreStatus::GivenUp
    }

    /// Returns whether it is one of the stores that the pool is to have.
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self.state.status(), StoreStatus::Open | StoreStatus::Closed)
    }

    /// The cipher of what is written to it; `none` without one.
    pub(crate) fn cipher_name(&self) -> &'static CStr {
        self.device.protection.name()
    }

    /// What is done with it, in a word.
    pub(crate) fn state_name(&self) -> &'static CStr {
        match self.state.status() {
            StoreStatus::Open => c"open",
            StoreStatus::Closed => c"closed",
            StoreStatus::RemovingOpen | StoreStatus::RemovingClosed => c"removing",
            StoreStatus::GivenUp => c"given_up",
            StoreStatus::Removed | StoreStatus::Abandoned => c"removed",
        }
    }

    /// Returns whether segments are filled there now: it is open, and today's limit is not reached.
    ///
    /// Context: any but interrupts; never waits.
    pub(crate) fn takes_segments(&self) -> bool {
        self.is_open()
            && (!self.is_limited.load(Relaxed)
                || (self.budget.lock()).allows(clock::seconds(), LEAST_WRITE_LIMIT))
    }

    /// Returns whether there is a free segment, beside those that moving needs, and it may be filled.
    ///
    /// Context: as [`BackingStore::takes_segments`].
    pub(crate) fn has_room(&self) -> bool {
        self.log.free() > RESERVE && self.takes_segments()
    }

    /// The most that is written to it in 24 hours, in bytes, if there is a limit.
    pub(crate) fn write_limit(&self) -> Option<u64> {
        self.budget.lock().limit()
    }

    /// Sets that limit, from [`LEAST_WRITE_LIMIT`] on. What was written before counts.
    pub(crate) fn set_write_limit(&self, limit: Option<u64>) {
        let mut budget = self.budget.lock();
        budget.set_limit(limit);
        self.is_limited.store(limit.is_some(), Relaxed);
    }

    /// Bytes that count for the limit.
    pub(crate) fn written_lately(&self) -> u64 {
        self.budget.lock().spent(clock::seconds())
    }

    /// Takes a free segment, if the store takes some and there is one, to fill it.
    ///
    /// Context: only the mover calls this, while one other segment is written at most.
    pub(crate) fn open_segment(self: &Arc<Self>) -> Option<(Arc<Self>, TakenSegment)> {
        if !self.takes_segments() {
            return None;
        }
        let (taken, is_used_up) = {
            let mut cursor = self.cursor.lock();
            (self.log.open(&mut cursor), cursor.is_used_up())
        };
        if is_used_up && self.state.close() {
            pr_err!(
                "backing={}: was filled so often that it takes nothing more; remove it and add it again\n",
                self.path()
            );
        }
        let taken = self.confirm(taken?)?;
        self.newest.store(taken.generation(), Relaxed);
        if let Some(stale) = self.stale.get(taken.segment()) {
            stale.store(true, Relaxed);
        }
        Some((self.clone(), taken))
    }

    /// Bytes of the segments that were filled after the one of `generation`. Those that were discarded
    /// since count, too.
    pub(crate) fn filled_since(&self, generation: u64) -> u64 {
        let segments = self.newest.load(Relaxed).saturating_sub(generation);
        segments.saturating_mul(SEGMENT as u64)
    }

    /// The segment `taken`, if the store is open still, see [`crate::core::store_state`]. If not, gives
    /// it back.
    fn confirm(&self, taken: TakenSegment) -> Option<TakenSegment> {
        if self.state.confirm_open() {
            return Some(taken);
        }
        self.log.seal(taken);
        None
    }

    /// A full segment that was filled long ago.
    ///
    /// Context: only the mover calls this.
    pub(crate) fn oldest_segment(&self) -> Option<usize> {
        self.log.oldest(&mut self.cursor.lock())
    }

    /// Looks for segments that are worth cleaning. Returns whether there are some.
    ///
    /// Context: only the mover calls this.
    pub(crate) fn find_victims(&self) -> bool {
        self.log.find_victims(&mut self.cursor.lock())
    }

    /// Takes the emptiest of those that were found, to clean it.
    ///
    /// Context: only the mover calls this.
    pub(crate) fn victim(&self) -> Option<TakenSegment> {
        self.log.victim(&mut self.cursor.lock())
    }

    /// Tells the device of a segment that is free, and was not told of since it was filled. Returns
    /// whether there was one.
    ///
    /// Context: waits for I/O. Only the mover calls this.
    pub(crate) fn discard_one(&self) -> bool {
        // One that takes nothing more is about to be given back.
        if !self.is_open() {
            return false;
        }
        let mut cursor = self.cursor.lock();
        let (first, count) = (self.next_stale.load(Relaxed), self.stale.len());
        let taken = (first..first + count)
            .map(|at| at % count)
            .filter(|&segment| self.stale[segment].load(Relaxed))
            .find_map(|segment| self.log.open_at(&mut cursor, segment));
        drop(cursor);
        let Some(taken) = taken.and_then(|taken| self.confirm(taken)) else {
            return false;
        };
        let segment = taken.segment();
        self.next_stale.store(segment, Relaxed);
        self.stale[segment].store(false, Relaxed);
        // It is advice, which a device may not take.
        if self.device.discard(segment).is_ok() {
            self.count(StoreCounter::DiscardedBytes, SEGMENT as u64);
        }
        self.log.seal(taken);
        true
    }

    /// Ends the record of an object of `length` in `segment`: no slot names it any more. Returns
    /// whether a segment is free by that which had better be discarded.
    ///
    /// Context: any but interrupts; never waits.
    #[inline]
    pub(crate) fn end_record(&self, segment: usize, length: Length) -> bool {
        let RecordEnd { emptied, died } = self.log.end_record(segment, length);
        if emptied {
            self.drained.signal();
        }
        died && !self.stale.is_empty()
    }

    /// Ends a pin of a segment.
    ///
    /// Context: any but interrupts; never waits.
    pub(crate) fn unpin(&self, pinned: PinnedSegment) {
        if self.log.unpin(pinned) {
            self.drained.signal();
        }
    }

    /// Waits until all records of `segment` have ended, for as long as that can take: what made their
    /// slots name something else ends them a moment later. Returns whether they have.
    ///
    /// Context: may sleep. Only the mover calls this.
    pub(crate) fn wait_until_emptied(&self, segment: usize) -> bool {
        let is_emptied = || self.log.live(segment) == 0;
        self.drained.wait_until(msecs_to_jiffies(100), is_emptied)
    }

    /// Waits until no segment of the store, which is being removed, holds anything, is filled or is read.
    /// Reads take as long as their I/O.
    ///
    /// Context: may sleep. Errors: [`EIO`] if a record has no owner that ends it; [`ECANCELED`] if it is
    /// not to be removed any more; [`EINTR`].
    pub(crate) fn wait_until_idle(&self) -> Result {
        let mut left = msecs_to_jiffies(1000);
        loop {
            let seen = self.drained.count();
            if self.log.is_idle() {
                return Ok(());
            }
            if !self.state.status().is_removing() {
                return Err(ECANCELED);
            }
            match self.drained.wait_interruptible(seen, left) {
                Ok(Some(rest)) => left = rest,
                // What was freed just now ends within a moment.
                Ok(None) if self.log.stats().live > 0 => return Err(EIO),
                Ok(None) => left = msecs_to_jiffies(1000),
                Err(_) => return Err(EINTR),
            }
        }
    }

    /// The same, for a moment, of a store that was given up. Returns whether it is so.
    ///
    /// Context: may sleep. Errors: [`EINTR`].
    pub(crate) fn wait_a_moment(&self) -> Result<bool> {
        let seen = self.drained.count();
        if self.log.is_idle() {
            return Ok(true);
        }
        let waited = (self.drained).wait_interruptible(seen, msecs_to_jiffies(1000));
        waited.map_err(|_| EINTR)?;
        Ok(self.log.is_idle())
    }

    /// As [`BackingStore::wait_until_idle`], of a store whose records have all ended.
    ///
    /// Context: may sleep, whatever signals the task has.
    pub(crate) fn wait_for_readers(&self) {
        (self.drained).wait_for(|| self.log.is_idle().then_some(()));
    }

    /// Adds `delta` to `counter`.
    pub(crate) fn count(&self, counter: StoreCounter, delta: u64) {
        self.counters[counter as usize].fetch_add(delta, Relaxed);
    }

    /// What `counter` has come to.
    pub(crate) fn counted(&self, counter: StoreCounter) -> u64 {
        match counter {
            StoreCounter::ReadBytes => self.reads.sum(0),
            StoreCounter::ReadRequests => self.reads.sum(1),
            other => self.counters[other as usize].load(Relaxed),
        }
    }

    /// Counts an error of reading, and says so at times.
    #[cold]
    pub(crate) fn read_failed(&self, why: kernel::fmt::Arguments<'_>) {
        let before = self.counters[StoreCounter::ReadErrors as usize].fetch_add(1u64, Relaxed);
        // One line for each doubling tells enough of a disk that fails for good.
        if before.is_power_of_two() || before == 0 {
            pr_err!(
                "backing={}: a page cannot be read ({} so far): {}\n",
                self.path(),
                before + 1,
                why
            );
        }
    }

    /// Counts an error of writing. After some that come close together, the store takes nothing more.
    #[cold]
    fn write_failed(&self, error: Error) {
        let before = self.counters[StoreCounter::WriteErrors as usize].fetch_add(1u64, Relaxed);
        if before == 0 {
            pr_err!(
                "backing={}: a segment cannot be written, and is not used any more: {:?}\n",
                self.path(),
                error
            );
        }
        if self.write_errors.lock().add(clock::seconds()) && self.state.close() {
            pr_err!(
                "backing={}: failed {} times within an hour to be written, and takes nothing more\n",
                self.path(),
                MAX_ERRORS
            );
        }
    }

    /// Forgets the errors, and has what is closed and the segments that failed used again.
    ///
    /// Context: may sleep; the mover is locked.
    pub(crate) fn reopen(&self) {
        *self.write_errors.lock() = RecentErrors::new();
        self.log.restore();
        self.state.reopen();
    }

    /// Counts what reading `blocks` blocks of `segment` into `transfer` came to.
    ///
    /// Context: process. Errors: those of `result`, which are counted.
    pub(crate) fn finish_read<D: TransferDone>(
        &self,
        transfer: &Transfer<D>,
        segment: usize,
        blocks: usize,
        result: Result,
    ) -> Result {
        self.count_read(transfer, blocks);
        result.inspect_err(|error| self.read_failed(fmt!("segment {segment}: {error:?}")))
    }

    /// Counts that `blocks` blocks were read into `transfer`, or could not be, which is no loss.
    ///
    /// Context: process.
    pub(crate) fn count_read<D: TransferDone>(&self, transfer: &Transfer<D>, blocks: usize) {
        let (bytes, requests) = (blocks * BLOCK, transfer.requests());
        self.reads.add_pair(0, bytes as u64, requests as u64);
    }

    /// Reads all of the pinned segment.
    ///
    /// Context: waits for I/O; not in a store or a load. Errors: those of the device, which are
    /// counted.
    pub(crate) fn read_segment<D: TransferDone>(
        &self,
        mut transfer: Pin<&mut Transfer<D>>,
        pinned: &PinnedSegment,
    ) -> Result {
        let segment = pinned.segment();
        let read = self.device.read(segment, transfer.as_mut());
        self.finish_read(&transfer, segment, BLOCKS, read)
    }

    /// Protects what a writer put into the first `blocks` of `transfer`, and writes them to the segment
    /// `taken`.
    ///
    /// Context and errors: as [`BackingStore::read_segment`] and [`BackingStore::finish_write`].
    pub(crate) fn write_segment<D: TransferDone>(
        &self,
        mut transfer: Pin<&mut Transfer<D>>,
        taken: &TakenSegment,
        blocks: usize,
    ) -> Result {
        let written = (self.device)
            .protect(taken, transfer.as_mut(), blocks)
            .and_then(|()| (self.device).write(taken.segment(), transfer.as_mut(), blocks));
        self.finish_write(&transfer, blocks, written)
    }

    /// Counts what writing the first `blocks` of `transfer`, protected, came to.
    ///
    /// Context: any but interrupts. Errors: those of `result`, which are counted; [`EIO`] if the store was
    /// given up.
    pub(crate) fn finish_write<D: TransferDone>(
        &self,
        transfer: &Transfer<D>,
        blocks: usize,
        result: Result,
    ) -> Result {
        let bytes = (blocks * BLOCK) as u64;
        self.count(StoreCounter::WrittenRequests, transfer.requests() as u64);
        self.count(StoreCounter::WrittenBytes, bytes);
        self.budget.lock().spend(clock::seconds(), bytes);
        result.inspect_err(|error| self.write_failed(*error))?;
        // Nothing had better be redirected to it. What is, all the same, is found by the task that
        // gives it up.
        if self.is_given_up() {
            return Err(EIO);
        }
        Ok(())
    }

    /// Gives back the segment `taken`, which a batch filled, or could not be written to.
    ///
    /// Context: any but interrupts; never waits.
    pub(crate) fn end_filling(&self, taken: TakenSegment, result: Result) {
        match result {
            Ok(()) => self.log.seal(taken),
            Err(_) => self.log.retire(taken),
        }
        self.drained.signal();
    }

    /// Bytes of all segments that are in use or can be.
    pub(crate) fn size(&self) -> u64 {
        (self.log.segments() * SEGMENT) as u64
    }

    /// Bytes of the segments that are not free.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.size() - (self.log.free() * SEGMENT) as u64
    }

    /// Bytes that can be filled while it is open: those of all segments, but of the ones that moving needs.
    pub(crate) fn usable_bytes(&self) -> u64 {
        if self.is_open() {
            self.size().saturating_sub((RESERVE * SEGMENT) as u64)
        } else {
            0
        }
    }
}
