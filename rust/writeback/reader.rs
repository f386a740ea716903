// SPDX-License-Identifier: GPL-2.0

//! Reads pages back from the backing stores.
//!
//! A load of a redirected page reads the one or two blocks that its object touches, in a transfer that
//! was set up before, and ends in a worker; a load never waits for the disk. If all transfers are in use the
//! load queues up, in its own page. What a transfer read stays in it, as it is on the disk, until it is
//! used for something else: so the free transfers are a small cache, and pages that were written one after
//! the other are read with one request for some of them. A load that wants what is being read waits for
//! that. Each load decrypts and verifies its own record only.
//!
//! A store that is given up may have a device that does not answer. So the loads that wait for what is
//! being read are kept here, not with the transfer: they are ended with an error, and the transfer is
//! left to the device.
//!
//! When an area is being swapped off, what swapoff(2) itself loads is given to the mover first, which takes
//! whole segments back into the cache, see [`crate::writeback::recall`]. What programs load meanwhile is
//! read at once, as always.

use crate::{
    backing::store::BackingStore,
    contents::{
        table::{
            Table,
            TableSlot, //
        },
        Contents,
        Found, //
    },
    core::{
        entry::Redirect,
        log::PinnedSegment,
        message::Message,
        segment::{
            self,
            Owner,
            Record, //
        },
    },
    kernel_ext::{
        block::transfer::{
            Transfer,
            TransferDone, //
        },
        mm::{
            pending_page::{
                PendingPage,
                PendingQueue, //
            },
            swap_page::{
                DestPage,
                Filled, //
            },
        },
        sync::workqueue::ReclaimQueue,
    },
};
use core::ops::Range;
use kernel::{
    new_spinlock,
    prelude::*,
    processor::cpu_relax,
    sync::{
        Arc,
        SpinLock, //
    },
};

/// Loads that are in flight at once.
const TRANSFERS: usize = 32;

/// Blocks that one object touches at most.
const MAX_BLOCKS: usize = 2;

/// What a load wants.
#[derive(Clone)]
pub(crate) struct PendingLoad {
    pub(crate) table: Arc<Table>,
    pub(crate) owner: Owner,
}

impl PendingLoad {
    /// The slot that its page is of; [`None`] if its cluster is gone, and so the page.
    pub(crate) fn slot(&self) -> Option<TableSlot<'_>> {
        self.table.get(self.owner.slot as usize)
    }
}

/// Which blocks these are: of a segment, in one generation of it.
#[derive(Clone, PartialEq, Eq)]
struct Blocks {
    store: usize,
    segment: usize,
    generation: u64,
    range: Range<usize>,
}

impl Blocks {
    /// Those that the object at `redirect` touches.
    fn of(redirect: Redirect, generation: u64) -> Self {
        Self {
            store: redirect.location.store(),
            segment: redirect.location.segment(),
            generation,
            range: segment::blocks(redirect.location.unit(), redirect.length.bytes()),
        }
    }

    /// Returns whether all of `wanted` are among them.
    fn cover(&self, wanted: &Self) -> bool {
        self.store == wanted.store
            && self.segment == wanted.segment
            && self.generation == wanted.generation
            && self.range.start <= wanted.range.start
            && wanted.range.end <= self.range.end
    }
}

/// A transfer that is not in flight, and the blocks that it has cached.
struct CachedBlocks {
    transfer: Pin<KBox<Transfer<Read>>>,
    blocks: Option<Blocks>,
}

impl CachedBlocks {
    /// One that has nothing cached.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    fn new() -> Result<Self> {
        Ok(Self {
            // One more, for what is decrypted.
            transfer: Transfer::new(MAX_BLOCKS + 1)?,
            blocks: None,
        })
    }

    /// Returns whether it has all that are `wanted`.
    fn cover(&self, wanted: &Blocks) -> bool {
        (self.blocks.as_ref()).is_some_and(|blocks| blocks.cover(wanted))
    }
}

/// Blocks that are being read, and the loads that wait for them: first the one that they are read for.
struct InFlight {
    blocks: Blocks,
    loads: PendingQueue<PendingLoad>,
}

/// What the mover is to take back.
pub(crate) enum Recall {
    /// The segment that this load waits for, and goes on to.
    Load(PendingLoad),
    /// The segment there, of which a page was just read.
    Segment(Redirect),
}

/// What is locked.
struct ReaderState {
    /// The transfer used last is the last.
    free: KVec<CachedBlocks>,
    /// What the others read now.
    in_flight: KVec<InFlight>,
    /// How many transfers there are, without those that were left to devices of stores that were given
    /// up.
    transfers: usize,
    /// Loads that wait for a transfer. There are none while one is free.
    waiting: PendingQueue<PendingLoad>,
    /// Loads that wait for their segment to be taken back.
    recalls: PendingQueue<PendingLoad>,
    /// Where swapoff(2) last read a page while the mover had other work.
    passed: Option<Redirect>,
}

/// The reader of a pool.
#[pin_data]
pub(crate) struct Reader {
    contents: Arc<Contents>,
    /// Where reads end.
    queue: Arc<ReclaimQueue>,
    #[pin]
    state: SpinLock<ReaderState>,
}

impl Reader {
    /// The reader of `contents`, without transfers. Its loads end in workers of `queue`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(contents: Arc<Contents>, queue: Arc<ReclaimQueue>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                contents,
                queue,
                state <- new_spinlock!(ReaderState {
                    free: KVec::new(),
                    in_flight: KVec::new(),
                    transfers: 0,
                    waiting: PendingQueue::new(),
                    recalls: PendingQueue::new(),
                    passed: None,
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// Sets aside the transfers. They stay to the end.
    ///
    /// Context: may sleep; called once. Errors: [`ENOMEM`].
    pub(crate) fn reserve(&self) -> Result {
        let mut free = KVec::with_capacity(TRANSFERS, GFP_KERNEL)?;
        for _ in 0..TRANSFERS {
            free.push(CachedBlocks::new()?, GFP_KERNEL)?;
        }
        let in_flight = KVec::with_capacity(TRANSFERS, GFP_KERNEL)?;
        let mut state = self.state.lock();
        state.free = free;
        state.in_flight = in_flight;
        state.transfers = TRANSFERS;
        Ok(())
    }

    /// Has `page` wait for its segment to be taken back.
    pub(crate) fn wait_for_recall(&self, load: PendingLoad, page: PendingPage) {
        self.state.lock().recalls.push(page, load);
    }

    /// Has the segment at `redirect` taken back once the mover gets to it. No load waits for that.
    pub(crate) fn recall_later(&self, redirect: Redirect) {
        self.state.lock().passed = Some(redirect);
    }

    /// What is to be taken back next: first what loads wait for.
    pub(crate) fn next_recall(&self) -> Option<Recall> {
        let mut state = self.state.lock();
        match state.recalls.first() {
            Some(load) => Some(Recall::Load(load.clone())),
            None => state.passed.take().map(Recall::Segment),
        }
    }

    /// The first load that waits for its segment to be taken back. It waits no more.
    pub(crate) fn end_recall(&self) -> Option<(PendingPage, PendingLoad)> {
        self.state.lock().recalls.pop()
    }

    /// Loads the page of `load` from blocks that are cached; [`None`] if none are, or it is not at
    /// `redirect` any more.
    ///
    /// Context: may sleep; memory may be being reclaimed; waits for neither memory nor I/O.
    pub(crate) fn load_cached(
        self: &Arc<Self>,
        load: &PendingLoad,
        redirect: Redirect,
        page: &mut DestPage<'_>,
    ) -> Option<Result<Filled>> {
        let slot = load.slot()?;
        let stores = &self.contents.stores;
        let pinned = stores.pin(redirect)?;
        let wanted = Blocks::of(redirect, pinned.generation());
        let cached = slot
            .still(redirect)
            .then(|| self.state.lock().take_cached(&wanted))
            .flatten();
        let loaded = cached.map(|mut cached| {
            let loaded = self.unpack(&mut cached, load, redirect, page);
            (cached, loaded)
        });
        stores.unpin(wanted.store, pinned);
        let (cached, loaded) = loaded?;
        self.serve_waiting(cached);
        Some(loaded)
    }

    /// Loads the page of `load` into `page`, from wherever it is.
    ///
    /// Context: as [`Reader::load_cached`].
    pub(crate) fn read(self: &Arc<Self>, load: PendingLoad, page: PendingPage) {
        let cached = {
            let mut state = self.state.lock();
            match state.free.remove(0) {
                Ok(cached) => cached,
                Err(_) => return state.waiting.push(page, load),
            }
        };
        if let Some(cached) = self.read_with(cached, load, page) {
            self.serve_waiting(cached);
        }
    }

    /// Loads the page of `load` with the transfer of `cached`, or has it wait for one that reads the
    /// same. Gives `cached` back if it is not needed, or not any more.
    fn read_with(
        self: &Arc<Self>,
        mut cached: CachedBlocks,
        load: PendingLoad,
        mut page: PendingPage,
    ) -> Option<CachedBlocks> {
        let stores = &self.contents.stores;
        let loaded = loop {
            let Some(slot) = load.slot() else {
                break Err(EIO);
            };
            let mut stream = self.contents.cache.stream();
            match (self.contents).load(&slot, &mut page.page(), &mut stream) {
                Ok(Found::Loaded(filled)) => break Ok(filled),
                Err(error) => break Err(error),
                Ok(Found::InStore(redirect)) => {
                    let Some(pinned) = stores.pin(redirect) else {
                        cpu_relax();
                        continue;
                    };
                    let wanted = Blocks::of(redirect, pinned.generation());
                    let (store, range) = (wanted.store, wanted.range.clone());
                    if !slot.still(redirect) {
                        stores.unpin(store, pinned);
                        continue;
                    }
                    if cached.cover(&wanted) {
                        let loaded = self.unpack(&mut cached, &load, redirect, &mut page.page());
                        stores.unpin(store, pinned);
                        break loaded;
                    }
                    let at = |store: &BackingStore| {
                        (!store.is_given_up()).then(|| store.device.at(wanted.segment, range.start))
                    };
                    let Some((file, first)) = stores.with(store, at).flatten() else {
                        stores.unpin(store, pinned);
                        break Err(EIO);
                    };
                    drop(slot);
                    if !self.state.lock().begin(wanted, load, page) {
                        // First, for the pin keeps this from being the last reference.
                        drop(file);
                        stores.unpin(store, pinned);
                        return Some(cached);
                    }
                    let read = Read {
                        reader: self.clone(),
                        redirect,
                        pinned,
                    };
                    let blocks = 0..range.len();
                    cached.transfer.read(file, first, blocks, &self.queue, read);
                    return None;
                }
            }
        };
        self.end_load(page, loaded);
        Some(cached)
    }

    /// Serves the loads that wait for a transfer with that of `cached`, until none waits or it is in
    /// flight again.
    fn serve_waiting(self: &Arc<Self>, mut cached: CachedBlocks) {
        loop {
            let (page, load) = {
                let mut state = self.state.lock();
                match state.waiting.pop() {
                    Some(next) => next,
                    None => return state.keep(cached),
                }
            };
            match self.read_with(cached, load, page) {
                Some(back) => cached = back,
                None => return,
            }
        }
    }

    /// Ends the loads that wait for store `store`, which was given up, with an error. Transfers that
    /// its device has are left to it, and others are made in their place, as far as there is memory. No
    /// load waits for the mover any more, which may wait for the device, too.
    ///
    /// Context: may sleep.
    pub(crate) fn abandon(self: &Arc<Self>, store: usize) {
        let (mut loads, missing) = self.state.lock().abandon(store);
        while let Some((page, _)) = loads.pop() {
            self.end_load(page, Err(EIO));
        }
        for _ in 0..missing {
            // One that comes back is used again, if there are too few.
            if let Ok(cached) = CachedBlocks::new() {
                self.take_back(cached);
            }
        }
        while let Some((page, load)) = self.end_recall() {
            self.read(load, page);
        }
    }

    /// Forgets what is cached of store `store`, which is taken out.
    pub(crate) fn forget(&self, store: usize) {
        for cached in &mut self.state.lock().free {
            if (cached.blocks.as_ref()).is_some_and(|blocks| blocks.store == store) {
                cached.blocks = None;
            }
        }
    }

    /// Uses a transfer that was left to a device, or made for such a one, if there are too few.
    fn take_back(self: &Arc<Self>, cached: CachedBlocks) {
        {
            let mut state = self.state.lock();
            if state.transfers >= TRANSFERS {
                return;
            }
            state.transfers += 1;
        }
        self.serve_waiting(cached);
    }

    /// Writes to `page` the object at `redirect`, which is in blocks that are cached.
    fn unpack(
        &self,
        cached: &mut CachedBlocks,
        load: &PendingLoad,
        redirect: Redirect,
        page: &mut DestPage<'_>,
    ) -> Result<Filled> {
        let blocks = cached.blocks.as_ref().ok_or(EIO)?;
        let record = Record {
            unit: redirect.location.unit(),
            owner: load.owner,
            length: redirect.length.bytes(),
        };
        let message = Message::object(blocks.generation, &record);
        let (read, room) = (cached.transfer.as_mut().blocks_mut())
            .split_at_mut_checked(MAX_BLOCKS)
            .ok_or(EIO)?;
        let read = read
            .get(message.block() - blocks.range.start..)
            .ok_or(EIO)?;
        let room = room.first_mut().ok_or(EIO)?;
        // The pin keeps the store in its place.
        let content = self.contents.stores.with(blocks.store, |store| {
            let content = store.device.protection.verify(&message, read, room);
            content.map_err(|error| {
                store.read_failed(fmt!("segment {}: {error}", blocks.segment));
                EIO
            })
        });
        let content = content.unwrap_or(Err(EIO))?;
        let object = content.get(..record.length).ok_or(EIO)?;
        self.contents.cache.unpack(object, page)
    }

    /// Ends a load that was put off.
    fn end_load(&self, page: PendingPage, loaded: Result<Filled>) {
        self.contents.stats.loaded(&loaded);
        page.finish(loaded);
    }
}

impl ReaderState {
    /// Takes a transfer that has all blocks cached that are `wanted`.
    fn take_cached(&mut self, wanted: &Blocks) -> Option<CachedBlocks> {
        let at = (self.free.iter()).rposition(|cached| cached.cover(wanted))?;
        self.free.remove(at).ok()
    }

    /// Keeps a transfer that is not in flight any more.
    fn keep(&mut self, cached: CachedBlocks) {
        // There was room for all of them from the start.
        let _ = self.free.push_within_capacity(cached);
    }

    /// Enters a load that wants `blocks`. Returns whether they are to be read for it: if they are being
    /// read already, it waits for that.
    fn begin(&mut self, blocks: Blocks, load: PendingLoad, page: PendingPage) -> bool {
        let same = (self.in_flight.iter_mut()).find(|other| other.blocks.cover(&blocks));
        if let Some(same) = same {
            same.loads.push(page, load);
            return false;
        }
        let mut loads = PendingQueue::new();
        loads.push(page, load);
        // There is room for all transfers.
        let _ = (self.in_flight).push_within_capacity(InFlight { blocks, loads });
        true
    }

    /// `blocks` were read. Returns the load that they were read for; the others that waited are served
    /// next. [`None`] if they were abandoned.
    fn end(&mut self, blocks: &Blocks) -> Option<(PendingPage, PendingLoad)> {
        let at = (self.in_flight.iter()).position(|other| other.blocks == *blocks)?;
        let mut loads = self.in_flight.remove(at).ok()?.loads;
        let first = loads.pop();
        self.waiting.put_first(loads);
        first
    }

    /// Takes out what is being read of store `store`. Returns the loads that wait for it, and how many
    /// transfers there are too few.
    fn abandon(&mut self, store: usize) -> (PendingQueue<PendingLoad>, usize) {
        let mut loads = PendingQueue::new();
        let of_store = |other: &InFlight| other.blocks.store == store;
        while let Some(at) = self.in_flight.iter().position(of_store) {
            let Ok(abandoned) = self.in_flight.remove(at) else {
                break;
            };
            loads.put_first(abandoned.loads);
            self.transfers -= 1;
        }
        (loads, TRANSFERS.saturating_sub(self.transfers))
    }
}

/// What is done when the blocks of a page were read.
struct Read {
    reader: Arc<Reader>,
    redirect: Redirect,
    pinned: PinnedSegment,
}

impl TransferDone for Read {
    fn done(self, transfer: Pin<KBox<Transfer<Self>>>, result: Result) {
        let Self {
            reader,
            redirect,
            pinned,
        } = self;
        let stores = &reader.contents.stores;
        let blocks = Blocks::of(redirect, pinned.generation());
        let number = blocks.store;
        // The pin keeps the store in its place.
        let read = stores
            .with(number, |store| {
                store.finish_read(&transfer, blocks.segment, blocks.range.len(), result)
            })
            .unwrap_or(Err(EIO));
        let first = reader.state.lock().end(&blocks);
        let Some((mut page, load)) = first else {
            stores.unpin(number, pinned);
            return reader.take_back(CachedBlocks {
                transfer,
                blocks: None,
            });
        };
        let mut cached = CachedBlocks {
            transfer,
            blocks: read.is_ok().then_some(blocks),
        };
        let loaded =
            read.and_then(|()| reader.unpack(&mut cached, &load, redirect, &mut page.page()));
        stores.unpin(number, pinned);
        reader.end_load(page, loaded);
        reader.serve_waiting(cached);
    }
}
