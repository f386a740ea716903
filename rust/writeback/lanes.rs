// SPDX-License-Identifier: GPL-2.0

//! The lanes of the mover: its buffers, and the batches that are on their way from them to a store.
//!
//! The mover fills the buffer of one lane while that of the other is encrypted and written, and the
//! memory of what was in it is freed. It waits only where both are away. So a device that is fast has the
//! next segment when it is done with one, and one that is slow has two to do.
//!
//! ```text
//!  the mover, locked                         workers of the queue
//!
//!  take()      depart()
//!  -----> fill -------> begin: encrypt ---> [device] ---> done: redirect, free, give the segment back
//!    ^                                                      |
//!    |                    the lane is free                  |
//!    +------------------------------------------------------+
//! ```
//!
//! # What a batch owns on its way
//!
//! - The buffer and the list of what was copied. Nothing else touches them until the lane is free.
//! - The segment, taken and so pinned: it is neither filled by another batch nor cleaned, and its store
//!   stays in its place. A worker lets go of the store before it gives the segment back, so that it never
//!   has the last reference, and releases the file. Where no lane is in flight, only the mover may have
//!   references that are not the pool's own, see [`Lanes::settle`].
//! - The marks in the entries, each with the lane in it. It does not own the slots, or the objects: what
//!   loads, stores or frees a page does so as always, and the object goes with whichever makes the entry
//!   name something else. See [`crate::core::slot`].
//! - The tables as they were when the batch was filled. An area that is swapped off meanwhile has freed
//!   its slots, so none of its marks is left; another area that gets its number has another table.
//!
//! A write that fails takes the marks off, and the objects stay. No other batch is touched by that.
//!
//! # Waiting
//!
//! The mover, with its lock held or not, waits for a lane; workers of the queue wait for neither. That is
//! why the queue is not the mover's own: where memory is so short that there is one thread for each queue,
//! the mover would wait for itself.

use crate::{
    backing::{
        device::Device,
        store::BackingStore, //
    },
    contents::{
        stats::Departures,
        table::Tables,
        Contents, //
    },
    core::{
        entry::{
            Lane,
            Redirect, //
        },
        log::TakenSegment,
        payload::Form,
        segment::{
            Location,
            Owner,
            BLOCKS,
            MAX_FILLED, //
        },
        slot::Mark,
    },
    kernel_ext::{
        block::{
            buffer::BlockBuffer,
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
        sched::cond_resched,
        sync::{
            event_count::EventCount,
            workqueue::ReclaimQueue, //
        },
        trace::tell, //
    },
    writeback::backoff::Impatience,
};
use kernel::{
    alloc::KVVec,
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};

const LANES: usize = Lane::ALL.len();

/// An object that was copied into a segment, and its mark.
pub(crate) struct Copied {
    pub(crate) owner: Owner,
    pub(crate) mark: Mark,
    /// That of the copy.
    pub(crate) form: Form,
    pub(crate) unit: u32,
}

/// The buffer of a lane, which segments are read to, or written from.
#[must_use = "a buffer that is not given back is missing for ever"]
pub(crate) struct SegmentBuffer {
    pub(super) lane: Lane,
    pub(super) transfer: Pin<KBox<Transfer<Flight>>>,
    /// What was copied into it.
    pub(super) copies: KVVec<Copied>,
    /// Room for what of it is decrypted: a block.
    pub(super) room: BlockBuffer,
}

impl SegmentBuffer {
    /// Context: may sleep. Errors: [`ENOMEM`].
    fn new(lane: Lane) -> Result<Self> {
        Ok(Self {
            lane,
            transfer: Transfer::new(BLOCKS)?,
            copies: KVVec::with_capacity(MAX_FILLED, GFP_KERNEL)?,
            room: BlockBuffer::new(1)?,
        })
    }
}

/// What is on its way in some lanes.
#[derive(Clone, Copy, Default)]
pub(crate) struct UnderWay {
    pub(crate) pages: usize,
    /// Bytes of memory that are freed with them.
    pub(crate) bytes: u64,
}

/// Where the buffer of a lane is.
enum BufferPlace {
    /// The mover has it, or it was not made yet.
    Away,
    /// Here.
    Free(SegmentBuffer),
    /// With a batch.
    InFlight(UnderWay),
}

struct LanesState {
    places: [BufferPlace; LANES],
    /// Batches that ended so far, wrapping.
    ended: u32,
    /// Whether the one that ended last could not be written.
    failing: bool,
    /// Batches that were in vain: since one ended that failed or freed something, or as told.
    in_vain: usize,
}

impl LanesState {
    fn in_flight(&self) -> impl Iterator<Item = UnderWay> + '_ {
        self.places.iter().filter_map(|place| match place {
            BufferPlace::InFlight(batch) => Some(*batch),
            _ => None,
        })
    }

    /// Returns whether no batch is on its way.
    fn is_settled(&self) -> bool {
        self.in_flight().next().is_none()
    }

    /// Returns whether a batch may be filled: a buffer is free. While a disk fails, a batch is to see what comes of
    /// the one before.
    fn is_ready(&self) -> bool {
        let free = |place: &BufferPlace| matches!(place, BufferPlace::Free(_));
        self.places.iter().any(free) && (!self.failing || self.is_settled())
    }

    /// Takes a buffer that is free.
    fn take(&mut self) -> Option<SegmentBuffer> {
        (self.places.iter_mut()).find_map(|place| {
            match core::mem::replace(place, BufferPlace::Away) {
                BufferPlace::Free(buffer) => Some(buffer),
                other => {
                    *place = other;
                    None
                }
            }
        })
    }
}

/// The lanes.
#[pin_data]
pub(crate) struct Lanes {
    contents: Arc<Contents>,
    /// Where batches are encrypted, and ended.
    landing: Arc<Landing<Flight>>,
    #[pin]
    state: SpinLock<LanesState>,
    /// Counts batches that ended, and whatever else a store waits for at the limit.
    #[pin]
    pub(crate) progress: EventCount,
    /// A store waited for the mover in vain.
    pub(crate) impatience: Impatience,
}

impl Lanes {
    /// The lanes of `contents`, without buffers. Batches are ended by workers of `queue`, which is not the
    /// mover's.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(contents: Arc<Contents>, queue: Arc<ReclaimQueue>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                contents,
                landing: Landing::new(queue)?,
                state <- new_spinlock!(LanesState {
                    places: [const { BufferPlace::Away }; LANES],
                    ended: 0,
                    failing: false,
                    in_vain: 0,
                }),
                progress <- EventCount::new(),
                impatience: Impatience::new(),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Sets the buffers aside. They stay to the end.
    ///
    /// Context: may sleep; before the first is taken. Errors: [`ENOMEM`].
    pub(crate) fn reserve(&self) -> Result {
        let [first, second] = Lane::ALL;
        let places = [
            BufferPlace::Free(SegmentBuffer::new(first)?),
            BufferPlace::Free(SegmentBuffer::new(second)?),
        ];
        // What was there is dropped without the lock.
        let before = core::mem::replace(&mut self.state.lock().places, places);
        drop(before);
        Ok(())
    }

    /// Calls `find` after each event, until it finds something.
    fn wait_for<R>(&self, mut find: impl FnMut(&mut LanesState) -> Option<R>) -> R {
        self.progress.wait_for(|| find(&mut self.state.lock()))
    }

    /// Waits until a batch may be filled.
    ///
    /// Context: as [`Lanes::take`].
    pub(crate) fn wait_until_ready(&self) {
        self.wait_for(|state| state.is_ready().then_some(()));
    }

    /// Takes a buffer, when one is free. It is given back, or departs.
    ///
    /// Context: the mover is locked; waits for I/O.
    pub(crate) fn take(&self) -> SegmentBuffer {
        self.wait_for(LanesState::take)
    }

    /// Gives back a buffer that was taken.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn give_back(&self, buffer: SegmentBuffer) {
        let lane = buffer.lane as usize;
        self.state.lock().places[lane] = BufferPlace::Free(buffer);
    }

    /// Calls `with` with a buffer, when one is free.
    ///
    /// Context: as [`Lanes::take`].
    pub(crate) fn with<R>(&self, with: impl FnOnce(&mut SegmentBuffer) -> R) -> R {
        let mut buffer = self.take();
        let result = with(&mut buffer);
        self.give_back(buffer);
        result
    }

    /// Has what `buffer` was filled with written to the segment `taken` of `store`: `blocks` of it, whose
    /// slots are in `tables`, and whose objects have `bytes` bytes in memory.
    ///
    /// Context: the mover is locked; never sleeps.
    pub(crate) fn depart(
        self: &Arc<Self>,
        buffer: SegmentBuffer,
        store: Arc<BackingStore>,
        taken: TakenSegment,
        tables: Tables,
        blocks: usize,
        bytes: u64,
    ) {
        let SegmentBuffer {
            lane,
            transfer,
            copies,
            room,
        } = buffer;
        self.state.lock().places[lane as usize] = BufferPlace::InFlight(UnderWay {
            pages: copies.len(),
            bytes,
        });
        let swap = store.device.swap.clone();
        let first = Device::page(taken.segment(), 0);
        let flight = Flight {
            lanes: self.clone(),
            lane,
            store,
            taken,
            tables,
            copies,
            room,
            blocks,
        };
        transfer.write(swap, first, 0..blocks, flight);
    }

    /// What is on its way.
    pub(crate) fn under_way(&self) -> UnderWay {
        let state = self.state.lock();
        state
            .in_flight()
            .fold(UnderWay::default(), |all, batch| UnderWay {
                pages: all.pages + batch.pages,
                bytes: all.bytes + batch.bytes,
            })
    }

    /// Waits until a batch ends. Returns whether there was one to wait for.
    ///
    /// Context: waits for I/O.
    pub(crate) fn wait_for_one(&self) -> bool {
        let before = {
            let state = self.state.lock();
            if state.is_settled() {
                return false;
            }
            state.ended
        };
        self.wait_for(|state| (state.ended != before).then_some(()));
        true
    }

    /// Returns whether no batch is on its way.
    pub(crate) fn are_settled(&self) -> bool {
        self.state.lock().is_settled()
    }

    /// Waits until all batches have ended.
    ///
    /// Context: the mover is locked, so that there are no more of them; waits for I/O.
    pub(crate) fn settle(&self) {
        self.wait_for(|state| state.is_settled().then_some(()));
    }

    /// Returns whether the last batches since [`Lanes::try_anew`], as many as there are lanes, were all
    /// written, and freed nothing.
    pub(crate) fn are_in_vain(&self) -> bool {
        self.state.lock().in_vain >= LANES
    }

    /// What was in vain does not count any more.
    pub(crate) fn try_anew(&self) {
        self.state.lock().in_vain = 0;
    }

    /// A batch ended that had `buffer`. `freed` says how many pages it freed.
    fn end(&self, buffer: SegmentBuffer, freed: Result<usize>) {
        let lane = buffer.lane as usize;
        {
            let mut state = self.state.lock();
            state.places[lane] = BufferPlace::Free(buffer);
            state.ended = state.ended.wrapping_add(1);
            state.failing = freed.is_err();
            state.in_vain = match freed {
                Ok(0) => state.in_vain + 1,
                _ => 0,
            };
        }
        if freed.is_ok_and(|pages| pages > 0) {
            self.impatience.end();
        }
        self.progress.signal();
    }
}

/// A batch on its way.
pub(crate) struct Flight {
    lanes: Arc<Lanes>,
    lane: Lane,
    store: Arc<BackingStore>,
    taken: TakenSegment,
    tables: Tables,
    copies: KVVec<Copied>,
    /// Of the buffer.
    room: BlockBuffer,
    /// How much of the buffer is written.
    blocks: usize,
}

impl TransferDone for Flight {
    fn landing(&self) -> &Arc<Landing<Self>> {
        &self.lanes.landing
    }

    fn group(&self) -> &IoGroup {
        // The pages are of many groups, and others wait for it.
        &io_group::ROOT
    }

    fn begin(&mut self, transfer: Pin<&mut Transfer<Self>>) -> Result {
        (self.store.device).protect(&self.taken, transfer, self.blocks)
    }

    fn done(self, transfer: Pin<KBox<Transfer<Self>>>, result: Result) {
        let Self {
            lanes,
            lane,
            store,
            taken,
            tables,
            mut copies,
            room,
            blocks,
        } = self;
        let written = store.finish_write(&transfer, blocks, result);
        let freed = written.map(|()| commit(&lanes.contents, &store, &taken, &tables, &mut copies));
        if freed.is_err() {
            put_back(&tables, &mut copies);
        }
        let number = store.number();
        // The last reference is not here: the segment keeps the store in its place until it is given back.
        drop(store);
        // Before the lane is free, after which nothing of the batch is left.
        drop(tables);
        let stores = &lanes.contents.stores;
        stores.with(number, |store| store.end_filling(taken, written));
        let buffer = SegmentBuffer {
            lane,
            transfer,
            copies,
            room,
        };
        lanes.end(buffer, freed);
    }
}

/// Redirects what is still marked to its copy in the segment `taken` of `store`, and frees it. Returns how
/// many pages.
fn commit(
    contents: &Contents,
    store: &BackingStore,
    taken: &TakenSegment,
    tables: &Tables,
    copies: &mut KVVec<Copied>,
) -> usize {
    let mut departures = Departures::default();
    let mut slots = tables.cursor();
    store
        .log
        .begin_records(taken, copies.iter().map(|copied| copied.form.length));
    // The last mark of a slot is the first to be committed.
    while let Some(copied) = copies.pop() {
        cond_resched();
        let Copied {
            owner,
            mark,
            form,
            unit,
        } = copied;
        let location = Location::new(store.number(), taken.segment(), unit as usize);
        // Without its cluster, the slot is free.
        let committed = location
            .zip(slots.slot(owner))
            .and_then(|(location, slot)| {
                let redirect = Redirect { location, form };
                Some((slot.commit(mark, redirect)?, location))
            });
        if let Some((object, location)) = committed {
            departures.went(object.form().length, form.length);
            contents.cache.free(object);
            tell!(write_back: contents.traced(owner), form.length, location);
            continue;
        }
        store.end_record(taken.segment(), form.length);
        if let Some(slot) = tables.slot(owner) {
            slot.cluster().touch();
        }
    }
    contents.stats.departed(&departures);
    departures.pages() as usize
}

/// Takes the marks off what could not be written.
fn put_back(tables: &Tables, copies: &mut KVVec<Copied>) {
    for Copied { owner, mark, .. } in copies.drain_all() {
        if let Some(slot) = tables.slot(owner) {
            slot.unmark(mark);
            slot.cluster().touch();
        }
    }
}
