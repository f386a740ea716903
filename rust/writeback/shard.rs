// SPDX-License-Identifier: GPL-2.0

//! Reads records that loads want, in transfers that were set up before.
//!
//! A load of a redirected page reads the one or two blocks that its record touches, or
//! [more](crate::core::read_ahead), where it goes on with what was read. It never waits for the disk. What
//! becomes of it is decided under the lock of a shard, which has some transfers, see
//! [`crate::core::transfer_map`]: it is done at once, or it reads, or it waits, in its own page. The lock
//! is taken once for a load that waits, and twice for one that reads or finds its blocks: to find a
//! transfer, and to give it back.
//!
//! A read is charged to the group of the task that wants the page, also where a worker starts it. No load
//! waits for a read of another group, which may be throttled, and no group has all transfers.
//!
//! What a transfer read stays in it, as it is on the disk, until it is used for something else. So the
//! idle transfers are a cache, and pages that were written one after the other are read with one request
//! for some of them. Each load decrypts and verifies its own record only, in the room that a CPU's stream
//! of the compressor has. An incompressible page of a store that is not encrypted needs no room. A
//! transfer is used by one thread at a time.
//!
//! # What a read keeps
//!
//! A read that is in flight has the pin of the load that it is for; a reference to its shard; and one to the
//! file. Both are of the shard: other shards do not write to that memory. When a store is taken out, no
//! segment of it is pinned, so no read of it is in flight, and all that the shards have of the file is
//! their own reference.
//!
//! # Stores that are given up
//!
//! Such a store may have a device that does not answer. So a page that is read is not with the transfer: it
//! waits in a cell, which the shard has, too. What gives the store up takes it out of there, and ends it
//! with an error; and the transfer, with its pin, is left to the device.

use crate::{
    backing::device::Device,
    contents::Contents,
    core::{
        blocks::{
            Blocks,
            MAX_AHEAD, //
        },
        entry::Redirect,
        message::Message,
        read_ahead::Streams,
        segment::{
            Record,
            MAX_STORES, //
        },
        transfer_map::{
            Ended,
            InUse,
            Lookup,
            MapEntry,
            ReadingTransfer,
            TransferMap,
            MAX_TRANSFERS, //
        },
    },
    kernel_ext::{
        block::{
            buffer::Block,
            io_group::{
                self,
                IoGroup, //
            },
            transfer::{
                Landing,
                Transfer,
                TransferDone, //
            },
        },
        mm::{
            pending_page::{
                PendingCell,
                PendingPage,
                PendingQueue, //
            },
            swap_page::{
                DestPage,
                Filled, //
            },
            swapfile::SwapRef, //
        },
        sync::workqueue::ReclaimQueue,
    },
    writeback::load::{
        finish_load,
        PinnedLoad,
        ReadCell,
        ReadGrant, //
    },
};
use core::ops::Range;
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        lock::{
            spinlock::SpinLockBackend,
            Guard, //
        },
        Arc,
        SpinLock, //
    },
};

/// Blocks that one record touches at most.
const MAX_BLOCKS: usize = 2;

/// The transfers that read ahead.
const AHEAD_TRANSFERS: usize = 2;

/// What is used by one thread at a time, to read or to unpack.
type ReadTransfer = Pin<KBox<Transfer<Read>>>;

/// A transfer of a map, for reading `ahead` or not, and its cell.
///
/// Context: may sleep. Errors: [`ENOMEM`].
fn new_transfer(ahead: bool) -> Result<(ReadTransfer, ReadCell)> {
    let cell = Arc::new(PendingCell::new(), GFP_KERNEL)?;
    let blocks = if ahead { MAX_AHEAD } else { MAX_BLOCKS };
    Ok((Transfer::new(blocks)?, cell))
}

/// A map of `count` transfers.
///
/// Context: may sleep. Errors: [`ENOMEM`].
fn new_map(count: usize, ahead: bool) -> Result<ReadMap> {
    let mut entries = KVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        let (transfer, cell) = new_transfer(ahead)?;
        entries.push(MapEntry::new(transfer, cell), GFP_KERNEL)?;
    }
    Ok(TransferMap::new(entries, ahead))
}

/// Loads that wait.
type Loads = PendingQueue<PinnedLoad>;

type ReadMap = TransferMap<KVec<MapEntry<Loads, ReadTransfer>>, Loads, ReadTransfer>;

/// What is locked of a shard.
struct ShardState {
    map: ReadMap,
    /// The one for reading ahead.
    ahead: ReadMap,
    /// The file of each store, while the store may be read.
    files: [Option<SwapRef>; MAX_STORES],
}

impl ShardState {
    /// The map for reading ahead, or the other one.
    fn map(&mut self, ahead: bool) -> &mut ReadMap {
        if ahead {
            &mut self.ahead
        } else {
            &mut self.map
        }
    }

    /// Looks in both maps for what `load` wants. If it is in neither, it is read.
    fn look_up(
        &mut self,
        load: (PendingPage, PinnedLoad),
        streams: &Streams,
    ) -> Lookup<Loads, ReadTransfer> {
        let found = self
            .ahead
            .look_up(load)
            .or_else(|load| self.map.look_up(load));
        let load = match found {
            Ok(found) => return found,
            Err(load) => load,
        };
        let wanted = load.1.blocks;
        let window = streams.window(&wanted);
        let begun = match window {
            0 => Err(load),
            window => self.ahead.read_ahead(load, window),
        };
        let lookup = begun.unwrap_or_else(|load| self.map.read(load));
        if let Lookup::Read(reading, ..) = &lookup {
            streams.note(&wanted, &reading.blocks(), window);
        }
        lookup
    }

    /// The file that `blocks` are in.
    fn file_of(&self, blocks: &Blocks) -> Option<SwapRef> {
        self.files.get(blocks.store())?.clone()
    }

    /// Returns whether there is one.
    fn has_file_of(&self, blocks: &Blocks) -> bool {
        self.files.get(blocks.store()).is_some_and(Option::is_some)
    }
}

type ShardGuard<'a> = Guard<'a, ShardState, SpinLockBackend>;

/// Some transfers of a reader, for loads of some blocks.
#[pin_data]
pub(super) struct Shard {
    contents: Arc<Contents>,
    landing: Arc<Landing<Read>>,
    #[pin]
    state: SpinLock<ShardState>,
}

impl Shard {
    /// One with all its transfers, for loads of `contents`. They end in workers of `queue`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(super) fn new(contents: &Arc<Contents>, queue: &Arc<ReclaimQueue>) -> Result<Arc<Self>> {
        let map = new_map(MAX_TRANSFERS, false)?;
        let ahead = new_map(AHEAD_TRANSFERS, true)?;
        Arc::pin_init(
            pin_init!(Self {
                contents: contents.clone(),
                landing: Landing::new(queue.clone())?,
                state <- new_spinlock!(ShardState {
                    map,
                    ahead,
                    files: [const { None }; MAX_STORES],
                }),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Puts the file of store `number`, in place of what was there. Nothing is kept of what was read of
    /// that.
    pub(super) fn put_file(&self, number: usize, file: Option<SwapRef>) {
        let mut state = self.state.lock();
        state.map.forget_store(number);
        state.ahead.forget_store(number);
        let before = match state.files.get_mut(number) {
            Some(place) => core::mem::replace(place, file),
            None => file,
        };
        drop(state);
        // Not under the lock: it may be the last reference.
        drop(before);
    }

    /// Ends what waits for store `number`, as [`Reader::abandon`].
    pub(super) fn abandon(self: &Arc<Self>, number: usize) {
        let mut state = self.state.lock();
        let mut loads = state.map.abandon(number);
        loads.append(state.ahead.abandon(number));
        let missing = [false, true].map(|ahead| (ahead, state.map(ahead).missing()));
        // Loads that come from now on are not for its device.
        let file = state.files.get_mut(number).and_then(Option::take);
        drop(state);
        drop(file);
        while let Some((page, load)) = loads.pop() {
            self.finish(page, load, Err(EIO));
        }
        for (ahead, missing) in missing {
            for _ in 0..missing {
                // One that comes back is used again, if there are too few.
                let Ok((transfer, cell)) = new_transfer(ahead) else {
                    return;
                };
                let mut state = self.state.lock();
                let ended = state.map(ahead).add(transfer, cell);
                self.go_on(state, ended);
            }
        }
    }

    /// Does what there is to do for `load`, which is in blocks of this shard. Where it goes on with what was
    /// read, by `streams`, more is read than it wants.
    pub(super) fn load(self: &Arc<Self>, load: (PendingPage, PinnedLoad), streams: &Streams) {
        self.load_by(load, Transfer::read, |state, load| {
            let lookup = state.look_up(load, streams);
            let in_vain = state.ahead.take_in_vain();
            if in_vain > 0 {
                self.contents.stats.read_in_vain(in_vain);
            }
            lookup
        });
    }

    /// The same for one for which could not be read ahead. It does not read in this thread, which may be
    /// one that others wait for.
    fn load_alone(self: &Arc<Self>, load: (PendingPage, PinnedLoad)) {
        self.load_by(load, Transfer::read_later, |state, load| {
            (state.map.look_up(load)).unwrap_or_else(|load| state.map.read(load))
        });
    }

    fn load_by(
        self: &Arc<Self>,
        load: (PendingPage, PinnedLoad),
        read: impl FnOnce(ReadTransfer, SwapRef, u64, Range<usize>, Read),
        look_up: impl FnOnce(&mut ShardState, (PendingPage, PinnedLoad)) -> Lookup<Loads, ReadTransfer>,
    ) {
        let mut state = self.state.lock();
        if !state.has_file_of(&load.1.blocks) {
            // The store was given up.
            drop(state);
            let (page, load) = load;
            return self.finish(page, load, Err(EIO));
        }
        match look_up(&mut state, load) {
            Lookup::Waits => (),
            Lookup::Cached(in_use, transfer, (page, load)) => {
                drop(state);
                self.serve(page, load, &in_use.blocks(), &transfer);
                let mut state = self.state.lock();
                let ended = state.map(in_use.is_ahead()).end(in_use, transfer);
                self.go_on(state, ended);
            }
            Lookup::Read(reading, transfer, grant) => {
                let file = state.file_of(&reading.blocks());
                drop(state);
                match file {
                    Some(file) => {
                        let then = self.read_of(reading, grant);
                        let (first, blocks) = then.place();
                        read(transfer, file, first, blocks, then);
                    }
                    None => {
                        let (state, ended) = self.end_read(reading, transfer, grant, Err(EIO));
                        self.go_on(state, ended);
                    }
                }
            }
        }
    }

    fn read_of(
        self: &Arc<Self>,
        reading: ReadingTransfer<ReadCell>,
        grant: Option<ReadGrant>,
    ) -> Read {
        Read {
            shard: self.clone(),
            reading,
            grant,
        }
    }

    /// Ends a read that came to `result`: its load, unless that was ended when its store was given up, and
    /// the use of its transfer. Returns what is to be done with that then, and the lock.
    fn end_read(
        self: &Arc<Self>,
        reading: ReadingTransfer<ReadCell>,
        transfer: ReadTransfer,
        grant: Option<ReadGrant>,
        result: Result,
    ) -> (ShardGuard<'_>, Ended<Loads, ReadTransfer>) {
        let (blocks, ahead) = (reading.blocks(), reading.is_ahead());
        match reading.done() {
            Ok((in_use, (page, mut load))) => {
                if ahead && result.is_err() {
                    // Perhaps what it wants can be read.
                    load.grant = grant;
                    return self.end_reading_ahead(in_use, transfer, (page, load));
                }
                match result {
                    Ok(()) => self.serve(page, load, &blocks, &transfer),
                    Err(error) => self.finish(page, load, Err(error)),
                }
                self.end_grant(&blocks, grant);
                let mut state = self.state.lock();
                let ended = match result {
                    Ok(()) => state.map(ahead).end(in_use, transfer),
                    Err(_) => state.map.fail(in_use, transfer),
                };
                (state, ended)
            }
            Err(cell) => {
                self.end_grant(&blocks, grant);
                let mut state = self.state.lock();
                let ended = state.map(ahead).add(transfer, cell);
                (state, ended)
            }
        }
    }

    /// Ends the use of `transfer`, which could not read ahead for `load` and those that wait for it. Each
    /// reads what it wants. Returns what is to be done with the transfer then, and the lock.
    fn end_reading_ahead(
        self: &Arc<Self>,
        in_use: InUse<ReadCell>,
        transfer: ReadTransfer,
        load: (PendingPage, PinnedLoad),
    ) -> (ShardGuard<'_>, Ended<Loads, ReadTransfer>) {
        let mut state = self.state.lock();
        let (ended, mut followers) = state.ahead.fail_ahead(in_use, transfer);
        drop(state);
        self.load_alone(load);
        while let Some(load) = followers.pop() {
            self.load_alone(load);
        }
        (self.state.lock(), ended)
    }

    /// Goes on with a transfer as `ended` says, until it is given back. `state` is locked.
    fn go_on<'a>(
        self: &'a Arc<Self>,
        mut state: ShardGuard<'a>,
        mut ended: Ended<Loads, ReadTransfer>,
    ) {
        loop {
            (state, ended) = match ended {
                Ended::Idle => return,
                Ended::Surplus(transfer) => {
                    drop(state);
                    // Not under the lock.
                    drop(transfer);
                    return;
                }
                Ended::Serve(in_use, transfer, mut loads) => {
                    drop(state);
                    while let Some((page, load)) = loads.pop() {
                        self.serve(page, load, &in_use.blocks(), &transfer);
                    }
                    let mut state = self.state.lock();
                    let ended = state.map(in_use.is_ahead()).end(in_use, transfer);
                    (state, ended)
                }
                Ended::Read(reading, transfer, grant) => {
                    let file = state.file_of(&reading.blocks());
                    drop(state);
                    if let Some(file) = file {
                        let read = self.read_of(reading, grant);
                        let (first, blocks) = read.place();
                        // Not by this thread: it may have to wait, for the sake of the other load.
                        return transfer.read_later(file, first, blocks, read);
                    }
                    self.end_read(reading, transfer, grant, Err(EIO))
                }
            };
        }
    }

    /// Ends `load` with its record in `transfer`, which has blocks `has`.
    fn serve(
        &self,
        mut page: PendingPage,
        load: PinnedLoad,
        has: &Blocks,
        transfer: &Transfer<Read>,
    ) {
        let loaded = self.unpack(&load, has, transfer, &mut page.page());
        self.finish(page, load, loaded);
    }

    /// Ends the pin that a read of `blocks` had.
    fn end_grant(&self, blocks: &Blocks, grant: Option<ReadGrant>) {
        if let Some(grant) = grant {
            self.contents.stores.unpin(blocks.store(), grant.pinned);
        }
    }

    /// Ends `load`.
    fn finish(&self, page: PendingPage, load: PinnedLoad, loaded: Result<Filled>) {
        finish_load(&self.contents, page, load, loaded);
    }

    /// Writes to `page` the object of `load`, whose record is in `transfer`, which has blocks `has`.
    fn unpack(
        &self,
        load: &PinnedLoad,
        has: &Blocks,
        transfer: &Transfer<Read>,
        page: &mut DestPage<'_>,
    ) -> Result<Filled> {
        let Redirect { location, form } = load.redirect;
        let record = Record {
            unit: location.unit(),
            owner: load.begun.owner,
            length: form.length.bytes(),
        };
        let message = Message::object(load.blocks.generation(), &record);
        let skip = (message.block()).checked_sub(has.range().start);
        let read = skip.and_then(|skip| transfer.blocks().get(skip..));
        let read = read.ok_or(EIO)?;
        if form.length.is_incompressible() {
            // It may be there as it is. So it waits for no stream, which another task may have for long.
            if let Some(content) = self.verify(load, &message, read, None) {
                let whole = content?.try_into().map_err(|_| EIO)?;
                return Ok(page.copy_from(whole));
            }
        }
        let mut stream = self.contents.cache.stream();
        let (unpacker, room) = stream.unpacker(form.coder)?;
        let content = (self.verify(load, &message, read, Some(room))).unwrap_or(Err(EIO))?;
        let object = content.get(..record.length).ok_or(EIO)?;
        let loaded = unpacker.unpack(object, page);
        self.contents.stats.loaded_of(form.coder, &loaded);
        loaded
    }

    /// What `message` says of `load`, as [`Protection::verify`]. An error is counted.
    ///
    /// [`Protection::verify`]: crate::backing::protection::Protection::verify
    fn verify<'a>(
        &self,
        load: &PinnedLoad,
        message: &Message,
        read: &'a [Block],
        room: Option<&'a mut Block>,
    ) -> Option<Result<&'a [u8]>> {
        // The pin keeps the store in its place.
        let content = self.contents.stores.with(load.blocks.store(), |store| {
            let content = (store.device.protection).verify(message, read, room)?;
            Some(content.map_err(|error| {
                store.read_failed(fmt!("segment {}: {error}", load.blocks.segment()));
                EIO
            }))
        });
        content.flatten()
    }
}

/// What is done when the blocks of a page were read. The page is not here: it waits.
struct Read {
    shard: Arc<Shard>,
    reading: ReadingTransfer<ReadCell>,
    /// That of the load that it is for.
    grant: Option<ReadGrant>,
}

impl Read {
    /// The first page of the file that is read, and where to.
    fn place(&self) -> (u64, Range<usize>) {
        let blocks = self.reading.blocks();
        let range = blocks.range();
        let first = Device::page(blocks.segment(), range.start);
        (first, 0..range.len())
    }
}

impl TransferDone for Read {
    fn landing(&self) -> &Arc<Landing<Self>> {
        &self.shard.landing
    }

    fn group(&self) -> &IoGroup {
        (self.grant.as_ref()).map_or(&io_group::ROOT, |grant| &grant.group)
    }

    fn done(self, transfer: ReadTransfer, result: Result) {
        let Self {
            shard,
            reading,
            grant,
        } = self;
        let blocks = reading.blocks();
        // The pin keeps the store in its place.
        let read = (shard.contents.stores)
            .with(blocks.store(), |store| {
                let count = blocks.range().len();
                if reading.is_ahead() {
                    store.count_read(&transfer, count);
                    result
                } else {
                    store.finish_read(&transfer, blocks.segment(), count, result)
                }
            })
            .unwrap_or(Err(EIO));
        let (state, ended) = shard.end_read(reading, transfer, grant, read);
        shard.go_on(state, ended);
    }
}
