// SPDX-License-Identifier: GPL-2.0

//! Reading pages back from the backing stores.
//!
//! A load of a redirected page reads the one or two blocks that its object touches, in a transfer that
//! was set up before, and ends in a worker; `submit_bio` never waits. If all transfers are in use the
//! load queues up, in its own page. What a transfer read stays in it, decrypted, until it is used for
//! something else: so the free transfers are a small cache, and pages that were written one after the
//! other are read with one request for some of them. Who wants what is being read waits for that.
//!
//! When an area is being swapped off, its loads are given to the mover first, which takes whole segments
//! back into the cache, see [`crate::mover`].

use crate::{
    kernel_ext::{
        block_io::{Completion, Transfer},
        pending_page::{LoadTarget, Loaded, PendingPage, PendingQueue},
        swap_page::{DestPage, Filled},
    },
    logic::{
        entry::Redirect,
        log::Pinned,
        segment::{self, Owner, Wanted},
    },
    pool::{Found, Pool},
    store::{checksum, Store},
    table::{Table, TableSlot},
};
use core::ops::Range;
use kernel::{
    new_spinlock,
    prelude::*,
    processor::cpu_relax,
    sync::{Arc, SpinLock},
};

/// Loads that are in flight at once.
const READERS: usize = 32;

/// Blocks that one object touches at most.
const BLOCKS: usize = 2;

/// A page that somebody waits for.
pub(crate) struct Wish {
    pub(crate) table: Arc<Table>,
    pub(crate) owner: Owner,
}

impl Wish {
    /// The slot that its page is of; [`None`] if its cluster is gone, and so the page.
    pub(crate) fn slot(&self) -> Option<TableSlot<'_>> {
        self.table.get(self.owner.slot as usize)
    }
}

/// Blocks of a segment, in one of its lives.
#[derive(Clone, PartialEq, Eq)]
struct Held {
    store: usize,
    segment: usize,
    life: u32,
    blocks: Range<usize>,
}

impl Held {
    /// If all that the object at `redirect` touches is among them.
    fn covers(&self, redirect: Redirect, life: u32) -> bool {
        let wanted = touched(redirect);
        self.store == redirect.location.store()
            && self.segment == redirect.location.segment()
            && self.life == life
            && self.blocks.start <= wanted.start
            && wanted.end <= self.blocks.end
    }
}

/// The blocks of its segment that the object at `redirect` touches.
fn touched(redirect: Redirect) -> Range<usize> {
    segment::blocks(redirect.location.unit(), redirect.form.length())
}

/// A transfer that nobody uses now, and what it holds.
struct Reader {
    transfer: Pin<KBox<Transfer<Read>>>,
    held: Option<Held>,
}

/// Blocks that are being read, and who waits for them.
struct Flight {
    held: Held,
    followers: PendingQueue<Wish>,
}

/// What is locked.
struct State {
    /// The transfer used last is the last.
    free: KVec<Reader>,
    /// What the others read now.
    flights: KVec<Flight>,
    /// Loads that wait for a transfer. There are none while one is free.
    waiting: PendingQueue<Wish>,
    /// Loads that wait for their segment to be taken back.
    recalls: PendingQueue<Wish>,
}

/// The transfers of a pool.
#[pin_data]
pub(crate) struct Readback {
    #[pin]
    state: SpinLock<State>,
}

impl Readback {
    /// Without transfers.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(State {
                free: KVec::new(),
                flights: KVec::new(),
                waiting: PendingQueue::new(),
                recalls: PendingQueue::new(),
            }),
        })
    }

    /// Sets transfers up. They stay to the end.
    ///
    /// Context: may sleep; called once. Errors: [`ENOMEM`].
    pub(crate) fn equip(&self) -> Result {
        let mut free = KVec::with_capacity(READERS, GFP_KERNEL)?;
        for _ in 0..READERS {
            let transfer = Transfer::new(BLOCKS)?;
            free.push(
                Reader {
                    transfer,
                    held: None,
                },
                GFP_KERNEL,
            )?;
        }
        let flights = KVec::with_capacity(READERS, GFP_KERNEL)?;
        let mut state = self.state.lock();
        state.free = free;
        state.flights = flights;
        Ok(())
    }

    /// Begins to read what `held` says. If it is being read already, the load waits for that; else its
    /// page is given back.
    fn begin(
        &self,
        held: Held,
        redirect: Redirect,
        wish: Wish,
        page: PendingPage,
    ) -> Option<(Wish, PendingPage)> {
        let mut state = self.state.lock();
        let flight =
            (state.flights.iter_mut()).find(|flight| flight.held.covers(redirect, held.life));
        if let Some(flight) = flight {
            flight.followers.push(page, wish);
            return None;
        }
        let flight = Flight {
            held,
            followers: PendingQueue::new(),
        };
        // There is room for all transfers.
        let _ = state.flights.push_within_capacity(flight);
        Some((wish, page))
    }

    /// What `held` says was read: those who waited for it are served next.
    fn end(&self, held: &Held) {
        let mut state = self.state.lock();
        let at = (state.flights.iter()).position(|flight| flight.held == *held);
        let flight = at.and_then(|at| state.flights.remove(at).ok());
        if let Some(flight) = flight {
            state.waiting.put_first(flight.followers);
        }
    }

    /// Has `page` wait for its segment to be taken back.
    pub(crate) fn wait_for_recall(&self, wish: Wish, page: PendingPage) {
        self.state.lock().recalls.push(page, wish);
    }

    /// The first that waits for its segment to be taken back.
    pub(crate) fn next_recall(&self) -> Option<(PendingPage, Wish)> {
        self.state.lock().recalls.pop()
    }

    /// Takes a transfer that holds what the object at `redirect` touches.
    fn take_holding(&self, redirect: Redirect, life: u32) -> Option<Reader> {
        let mut state = self.state.lock();
        let at = state
            .free
            .iter()
            .rposition(|reader| (reader.held.as_ref()).is_some_and(|h| h.covers(redirect, life)))?;
        state.free.remove(at).ok()
    }
}

/// What is done when the blocks of a page were read.
struct Read {
    pool: Arc<Pool>,
    wish: Wish,
    page: PendingPage,
    redirect: Redirect,
    pinned: Pinned,
}

impl Completion for Read {
    fn done(self, mut transfer: Pin<KBox<Transfer<Self>>>, result: Result) {
        let Self {
            pool,
            wish,
            mut page,
            redirect,
            pinned,
        } = self;
        let (store, segment) = (redirect.location.store(), redirect.location.segment());
        let blocks = touched(redirect);
        // The pin keeps the store in its place.
        let read = pool
            .stores
            .with(store, |store| {
                let key = pool.stores.key();
                store.finish_read(transfer.as_mut(), segment, blocks.clone(), result, key)
            })
            .unwrap_or(Err(EIO));
        let mut reader = Reader {
            transfer,
            held: None,
        };
        let held = Held {
            store,
            segment,
            life: pinned.life(),
            blocks,
        };
        pool.readback.end(&held);
        let loaded = read.and_then(|()| {
            reader.held = Some(held);
            pool.unpack(&reader, &wish, redirect, &mut page.page())
        });
        pool.stores.unpin(store, pinned);
        pool.end_load(page, loaded);
        pool.go_on_reading(reader);
    }
}

impl Pool {
    /// Loads the page of `wish`, which was found where `redirect` says, now if it is at hand, or later.
    ///
    /// Context: process, also within `submit_bio()`; waits for neither memory nor I/O.
    pub(crate) fn load_redirected(
        self: &Arc<Self>,
        wish: Wish,
        redirect: Redirect,
        mut target: LoadTarget<'_>,
    ) -> Result<Loaded> {
        if let Some(loaded) = self.load_held(&wish, redirect, &mut target.page()) {
            self.count_load(&loaded);
            return loaded.map(Loaded::from);
        }
        let (page, put_off) = target.defer();
        if wish.table.is_on() {
            self.read(wish, page);
        } else {
            self.readback.wait_for_recall(wish, page);
            self.ask_mover();
        }
        Ok(put_off)
    }

    /// Loads the page of `wish` from a transfer that holds it; [`None`] if none does, or it is not at
    /// `redirect` any more.
    fn load_held(
        self: &Arc<Self>,
        wish: &Wish,
        redirect: Redirect,
        page: &mut DestPage<'_>,
    ) -> Option<Result<Filled>> {
        let slot = wish.slot()?;
        let pinned = self.stores.pin(redirect)?;
        let reader = slot
            .still(redirect)
            .then(|| self.readback.take_holding(redirect, pinned.life()))
            .flatten();
        let loaded = reader.map(|reader| {
            let loaded = self.unpack(&reader, wish, redirect, page);
            (reader, loaded)
        });
        self.stores.unpin(redirect.location.store(), pinned);
        let (reader, loaded) = loaded?;
        self.go_on_reading(reader);
        Some(loaded)
    }

    /// Loads the page of `wish` into `page`, from wherever it is.
    ///
    /// Context: as [`Pool::load_redirected`].
    pub(crate) fn read(self: &Arc<Self>, wish: Wish, page: PendingPage) {
        let reader = {
            let mut state = self.readback.state.lock();
            match state.free.remove(0) {
                Ok(reader) => reader,
                Err(_) => return state.waiting.push(page, wish),
            }
        };
        if let Some(reader) = self.read_with(reader, wish, page) {
            self.go_on_reading(reader);
        }
    }

    /// Loads the page of `wish` with `reader`, or has it wait for one that reads the same. Gives the reader
    /// back if it is not needed, or not any more.
    fn read_with(
        self: &Arc<Self>,
        reader: Reader,
        wish: Wish,
        mut page: PendingPage,
    ) -> Option<Reader> {
        let loaded = loop {
            let Some(slot) = wish.slot() else {
                break Err(EIO);
            };
            match self.load_slot(&slot, &mut page.page()) {
                Ok(Found::Here(filled)) => break Ok(filled),
                Err(error) => break Err(error),
                Ok(Found::InStore(redirect)) => {
                    let Some(pinned) = self.stores.pin(redirect) else {
                        cpu_relax();
                        continue;
                    };
                    let number = redirect.location.store();
                    if !slot.still(redirect) {
                        self.stores.unpin(number, pinned);
                        continue;
                    }
                    let life = pinned.life();
                    if (reader.held.as_ref()).is_some_and(|held| held.covers(redirect, life)) {
                        let loaded = self.unpack(&reader, &wish, redirect, &mut page.page());
                        self.stores.unpin(number, pinned);
                        break loaded;
                    }
                    let blocks = touched(redirect);
                    let at = |store: &Store| store.at(redirect.location.segment(), blocks.start);
                    let Some((file, first)) = self.stores.with(number, at) else {
                        self.stores.unpin(number, pinned);
                        break Err(EIO);
                    };
                    let held = Held {
                        store: number,
                        segment: redirect.location.segment(),
                        life,
                        blocks: blocks.clone(),
                    };
                    drop(slot);
                    let begun = self.readback.begin(held, redirect, wish, page);
                    let Some((wish, page)) = begun else {
                        // First, for the pin keeps others from being the last to have it.
                        drop(file);
                        self.stores.unpin(number, pinned);
                        return Some(reader);
                    };
                    let read = Read {
                        pool: self.clone(),
                        wish,
                        page,
                        redirect,
                        pinned,
                    };
                    let count = blocks.len();
                    reader
                        .transfer
                        .read(file, first, 0..count, &self.urgent, read);
                    return None;
                }
            }
        };
        self.end_load(page, loaded);
        Some(reader)
    }

    /// Serves those who wait for a transfer with `reader`, until none waits or it is in use again.
    fn go_on_reading(self: &Arc<Self>, mut reader: Reader) {
        loop {
            let next = {
                let mut state = self.readback.state.lock();
                match state.waiting.pop() {
                    Some(next) => next,
                    None => return state.keep(reader),
                }
            };
            let (page, wish) = next;
            match self.read_with(reader, wish, page) {
                Some(back) => reader = back,
                None => return,
            }
        }
    }

    /// Writes to `page` the object at `redirect`, which is among what `reader` holds.
    fn unpack(
        &self,
        reader: &Reader,
        wish: &Wish,
        redirect: Redirect,
        page: &mut DestPage<'_>,
    ) -> Result<Filled> {
        let held = reader.held.as_ref().ok_or(EIO)?;
        let length = redirect.form.length();
        let wanted = Wanted {
            unit: redirect.location.unit(),
            owner: wish.owner,
            length,
            life: held.life,
        };
        let skip = (touched(redirect).start - held.blocks.start) * segment::BLOCK;
        let bytes = reader.transfer.bytes().get(skip..).ok_or(EIO)?;
        match segment::parse(bytes, &wanted, checksum) {
            Ok(data) => self.cache.unpack(redirect.form, data, page),
            Err(problem) => {
                let (segment, reason) = (redirect.location.segment(), problem.reason());
                self.stores.with(held.store, |store| match problem.value() {
                    Some(value) => store.read_failed(fmt!("segment {segment}: {reason} {value}")),
                    None => store.read_failed(fmt!("segment {segment}: {reason}")),
                });
                Err(EIO)
            }
        }
    }

    /// Ends a load that was put off.
    fn end_load(&self, page: PendingPage, loaded: Result<Filled>) {
        self.count_load(&loaded);
        page.finish(loaded);
    }
}

impl State {
    /// Keeps a transfer that nobody uses now.
    fn keep(&mut self, reader: Reader) {
        // There was room for all of them from the start.
        let _ = self.free.push_within_capacity(reader);
    }
}
