// SPDX-License-Identifier: GPL-2.0

//! A backing store: a claimed swapfile or partition, and the log of segments on it.

use crate::{
    kernel_ext::{
        block_io::{Completion, Transfer},
        buffer::Block,
        checksum::Crc32c,
        cipher::{self, Xts},
        kobject::{files, Attributes, Value},
        swap_store::{Refusal, SwapStore},
    },
    logic::{
        log::{self, Claim, Cursor, Log, Pinned, Segment},
        segment::{BLOCKS, MAX_SEGMENTS, SEGMENT},
    },
};
use core::{convert::Infallible, ops::Range};
use kernel::{
    alloc::KVVec,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    str::CString,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex,
    },
};

/// A store takes nothing more after this many errors of writing.
const MAX_WRITE_ERRORS: u64 = 8;

/// The checksum of a record.
pub(crate) fn checksum(parts: &[&[u8]]) -> u32 {
    parts
        .iter()
        .fold(Crc32c::new(), |sum, part| sum.and(part))
        .value()
}

/// What is counted of a store.
#[derive(Clone, Copy)]
pub(crate) enum Counter {
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

/// A store of a pool.
#[pin_data]
pub(crate) struct Store {
    number: usize,
    /// The path that it was added by.
    name: CString,
    swap: Arc<SwapStore>,
    /// Which segments are free, and what is in the others.
    pub(crate) log: Log<KVVec<Segment>>,
    /// Where filling goes on. The mover of the pool has it, see [`crate::mover`].
    #[pin]
    cursor: Mutex<Cursor>,
    counters: [Atomic<u64>; Counter::Count as usize],
    /// If nothing new goes there.
    closed: Atomic<bool>,
    /// Of each segment, if it was opened since it was discarded last. Empty if the store does not discard.
    stale: KVVec<Atomic<bool>>,
    /// Where looking for stale segments goes on.
    next_stale: Atomic<usize>,
}

impl Store {
    /// Claims what is at `path`, by the rights of the task, as store `number` of a pool. If `discard`, and
    /// if it can be, it is told which segments are free.
    ///
    /// Context: may sleep.
    pub(crate) fn claim(number: usize, path: &CStr, discard: bool) -> Result<Arc<Self>, Refusal> {
        let name = path.to_cstring()?;
        let swap = Arc::new(SwapStore::claim(path)?, GFP_KERNEL)?;
        // Page 0 is the swap header, which stays.
        let count = ((swap.pages() - 1) / BLOCKS as u64).min(MAX_SEGMENTS as u64);
        let mut segments = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        for _ in 0..count {
            segments.push(Segment::new(), GFP_KERNEL)?;
        }
        let mut stale = KVVec::new();
        if discard && swap.supports_discard() {
            stale.reserve(segments.len(), GFP_KERNEL)?;
            for _ in 0..segments.len() {
                stale.push(Atomic::new(false), GFP_KERNEL)?;
            }
        }
        let cursor = Cursor::new(cipher::random());
        let store = Arc::pin_init(
            pin_init!(Self {
                number,
                name,
                swap,
                log: Log::new(segments),
                cursor <- new_mutex!(cursor),
                counters: [const { Atomic::new(0) }; Counter::Count as usize],
                closed: Atomic::new(false),
                stale,
                next_stale: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        Ok(store)
    }

    /// Its number in its pool.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Where it is, as `/proc/swaps` would show it.
    pub(crate) fn path(&self) -> &CStr {
        self.swap.path()
    }

    /// If it is meant by `path`: it was added by that, or that is where it is.
    pub(crate) fn is_at(&self, path: &CStr) -> bool {
        *self.name == *path || self.path() == path
    }

    /// If it is private to root, as a swapfile had better be.
    pub(crate) fn is_private_to_root(&self) -> bool {
        self.swap.is_private_to_root()
    }

    /// If new segments are filled there.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Relaxed)
    }

    /// Has no new segments filled there, or again.
    pub(crate) fn set_open(&self, open: bool) {
        self.closed.store(!open, Relaxed);
    }

    /// If there is a free segment, beside those that moving needs.
    pub(crate) fn has_room(&self) -> bool {
        self.is_open() && self.log.free() > log::RESERVE
    }

    /// Takes a free segment, if there is one, to fill it.
    ///
    /// Context: only the mover calls this.
    pub(crate) fn open_segment(&self) -> Option<Claim> {
        let claim = self.log.open(&mut self.cursor.lock())?;
        if let Some(stale) = self.stale.get(claim.segment()) {
            stale.store(true, Relaxed);
        }
        Some(claim)
    }

    /// If the device is told of free segments.
    pub(crate) fn discards(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Tells the device of a segment that is free, and was not told of since it was filled; says if there
    /// was one.
    ///
    /// Context: waits for I/O. Only the mover calls this.
    pub(crate) fn discard_one(&self) -> bool {
        // One that takes nothing more is about to be given back.
        if !self.is_open() {
            return false;
        }
        let mut cursor = self.cursor.lock();
        let (first, count) = (self.next_stale.load(Relaxed), self.stale.len());
        let claim = (first..first + count)
            .map(|at| at % count)
            .filter(|&segment| self.stale[segment].load(Relaxed))
            .find_map(|segment| self.log.open_at(&mut cursor, segment));
        drop(cursor);
        let Some(claim) = claim else { return false };
        let segment = claim.segment();
        self.next_stale.store(segment, Relaxed);
        self.stale[segment].store(false, Relaxed);
        let told = self.swap.discard(Self::page(segment, 0), BLOCKS as u64);
        // It is advice, which a device may not take.
        if told.is_ok() {
            self.count(Counter::DiscardedBytes, SEGMENT as u64);
        }
        self.log.seal(claim);
        true
    }

    /// The full segment that was filled longest ago.
    ///
    /// Context: only the mover calls this.
    pub(crate) fn oldest_segment(&self) -> Option<usize> {
        self.log.oldest(&self.cursor.lock())
    }

    /// Adds `delta` to `counter`.
    pub(crate) fn count(&self, counter: Counter, delta: u64) {
        self.counters[counter as usize].fetch_add(delta, Relaxed);
    }

    fn counted(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Relaxed)
    }

    /// Counts an error of reading, and says so at times.
    #[cold]
    pub(crate) fn read_failed(&self, why: kernel::fmt::Arguments<'_>) {
        let before = self.counters[Counter::ReadErrors as usize].fetch_add(1u64, Relaxed);
        // One line for each doubling tells enough of a disk that fails for good.
        if before.is_power_of_two() || before == 0 {
            pr_err!(
                "store {}: a page cannot be read ({} so far): {}\n",
                self.path(),
                before + 1,
                why
            );
        }
    }

    /// Counts an error of writing. After some, the store takes nothing more.
    #[cold]
    fn write_failed(&self, error: Error) {
        let before = self.counters[Counter::WriteErrors as usize].fetch_add(1u64, Relaxed);
        if before == 0 {
            pr_err!(
                "store {}: a segment cannot be written, and is not used any more: {:?}\n",
                self.path(),
                error
            );
        }
        if before + 1 == MAX_WRITE_ERRORS {
            self.set_open(false);
            pr_err!(
                "store {}: failed {} times to be written, and takes nothing more\n",
                self.path(),
                MAX_WRITE_ERRORS
            );
        }
    }

    /// The page of the store that `block` of `segment` is.
    fn page(segment: usize, block: usize) -> u64 {
        1 + (segment * BLOCKS + block) as u64
    }

    /// A number that no other block of the pool has.
    fn place(&self, segment: usize, block: usize) -> u64 {
        ((self.number * MAX_SEGMENTS + segment) * BLOCKS + block) as u64
    }

    /// Encrypts the first `blocks` of `data`, which go to `segment`.
    fn encrypt(
        &self,
        segment: usize,
        data: &mut [Block],
        blocks: usize,
        key: Option<&Xts>,
    ) -> Result {
        let Some(key) = key else { return Ok(()) };
        for (block, data) in data.iter_mut().take(blocks).enumerate() {
            key.encrypt(self.place(segment, block), data)?;
        }
        Ok(())
    }

    /// Decrypts `data`, which was read from `first` on of `segment`.
    fn decrypt(
        &self,
        segment: usize,
        first: usize,
        data: &mut [Block],
        key: Option<&Xts>,
    ) -> Result {
        let Some(key) = key else { return Ok(()) };
        for (block, data) in (first..).zip(data) {
            key.decrypt(self.place(segment, block), data)?;
        }
        Ok(())
    }

    /// Counts what reading `blocks` came to, and decrypts them.
    ///
    /// Context: process. Errors: `result`; those of the cipher. They are counted.
    pub(crate) fn finish_read<C: Completion>(
        &self,
        transfer: Pin<&mut Transfer<C>>,
        segment: usize,
        blocks: Range<usize>,
        result: Result,
        key: Option<&Xts>,
    ) -> Result {
        let count = blocks.len();
        self.count(Counter::ReadRequests, transfer.requests() as u64);
        self.count(Counter::ReadBytes, (count * PAGE_SIZE) as u64);
        result
            .and_then(|()| transfer.blocks_mut().get_mut(..count).ok_or(EINVAL))
            .and_then(|data| self.decrypt(segment, blocks.start, data, key))
            .inspect_err(|error| self.read_failed(fmt!("segment {segment}: {error:?}")))
    }

    /// What reading `block` of `segment` takes: the file, and the page of it.
    pub(crate) fn at(&self, segment: usize, block: usize) -> (Arc<SwapStore>, u64) {
        (self.swap.clone(), Self::page(segment, block))
    }

    /// Reads all of the pinned segment.
    ///
    /// Context: waits for I/O; not within `submit_bio()`. Errors: those of the device.
    pub(crate) fn read_segment(
        &self,
        mut transfer: Pin<&mut Transfer<Infallible>>,
        pinned: &Pinned,
        key: Option<&Xts>,
    ) -> Result {
        let segment = pinned.segment();
        let read = transfer
            .as_mut()
            .read_and_wait(&self.swap, Self::page(segment, 0), 0..BLOCKS);
        self.finish_read(transfer, segment, 0..BLOCKS, read, key)
    }

    /// Encrypts the first `blocks` of `transfer`, and writes them to the segment of `claim`.
    ///
    /// Context: as [`Store::read_segment`]. Errors: those of the device, which are counted.
    pub(crate) fn write_segment(
        &self,
        mut transfer: Pin<&mut Transfer<Infallible>>,
        claim: &Claim,
        blocks: usize,
        key: Option<&Xts>,
    ) -> Result {
        let segment = claim.segment();
        let written = self
            .encrypt(segment, transfer.as_mut().blocks_mut(), blocks, key)
            .and_then(|()| {
                let first = Self::page(segment, 0);
                (transfer.as_mut()).write_and_wait(&self.swap, first, 0..blocks)
            });
        self.count(Counter::WrittenRequests, transfer.requests() as u64);
        self.count(Counter::WrittenBytes, (blocks * PAGE_SIZE) as u64);
        written.inspect_err(|error| self.write_failed(*error))
    }

    /// Bytes of all segments that are in use or can be.
    pub(crate) fn size(&self) -> u64 {
        (self.log.segments() * SEGMENT) as u64
    }

    /// Bytes of the segments that are free.
    pub(crate) fn free_bytes(&self) -> u64 {
        if self.is_open() {
            (self.log.free() * SEGMENT) as u64
        } else {
            0
        }
    }
}

files! {
    Store:
    c"path" => |store| Value::Text(store.path()),
    c"size_bytes" => |store| Value::Number(store.size()),
    c"used_bytes" => |store| Value::Number(store.size() - (store.log.free() * SEGMENT) as u64),
    c"live_bytes" => |store| Value::Number(store.log.figures().live),
    c"garbage_bytes" => |store| Value::Number(store.log.figures().garbage),
    c"free_segments" => |store| Value::Number(store.log.figures().free as u64),
    c"open_segments" => |store| Value::Number(store.log.figures().open as u64),
    c"sealed_segments" => |store| Value::Number(store.log.figures().sealed as u64),
    c"retired_segments" => |store| Value::Number(store.log.figures().retired as u64),
    c"written_bytes" => |store| Value::Number(store.counted(Counter::WrittenBytes)),
    c"written_ios" => |store| Value::Number(store.counted(Counter::WrittenRequests)),
    c"read_bytes" => |store| Value::Number(store.counted(Counter::ReadBytes)),
    c"read_ios" => |store| Value::Number(store.counted(Counter::ReadRequests)),
    c"cleaned_bytes" => |store| Value::Number(store.counted(Counter::MovedBytes)),
    c"discarded_bytes" => |store| Value::Number(store.counted(Counter::DiscardedBytes)),
    c"write_errors" => |store| Value::Number(store.counted(Counter::WriteErrors)),
    c"read_errors" => |store| Value::Number(store.counted(Counter::ReadErrors)),
}

impl Attributes for Store {
    const NAMES: &'static [&'static CStr] = NAMES;

    fn show(&self, index: usize) -> Value<'_> {
        SHOW[index](self)
    }
}
