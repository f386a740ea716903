// SPDX-License-Identifier: GPL-2.0

//! Reads pages back from the backing stores.
//!
//! A load of a redirected page pins the segment that its record is in, and goes to a shard of transfers,
//! which reads it, see [`crate::writeback::shard`].
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
        blocks::Blocks,
        entry::Redirect,
        read_ahead::Streams,
        slot::Slot, //
    },
    kernel_ext::{
        block::io_group::IoGroup,
        cpus::online_cpus,
        mm::{
            pending_page::{
                PendingPage,
                PendingQueue, //
            },
            swap_page::{
                DestPage,
                Filled, //
            },
            zsmalloc::ZsObject, //
        },
        sync::{
            spin_wait::SpinWait,
            workqueue::ReclaimQueue, //
        },
    },
    writeback::{
        load::{
            end_load,
            finish_load,
            BegunLoad,
            PinnedLoad,
            ReadGrant, //
        },
        shard::Shard, //
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SetOnce,
        SpinLock, //
    },
};

/// There is a shard for each CPU that is online when the first store comes, but so many at least: a disk
/// may serve hundreds of requests at once, and a group gets three quarters of a shard. And so many at most.
const MIN_SHARDS: usize = 6;
const MAX_SHARDS: usize = 64;

/// What a load wants.
#[derive(Clone)]
pub(crate) struct PendingLoad {
    pub(crate) table: Arc<Table>,
    pub(crate) begun: BegunLoad,
}

impl PendingLoad {
    /// The slot that its page is of; [`None`] if its cluster is gone, and so the page.
    pub(crate) fn slot(&self) -> Option<TableSlot<'_>> {
        self.table.get(self.begun.owner.slot as usize)
    }
}

/// A load of swapoff's that waits until its segment was taken back.
pub(crate) struct RecalledLoad {
    pub(crate) load: PendingLoad,
    /// The group of its task.
    pub(crate) group: IoGroup,
}

/// Where a page was found.
enum Located {
    /// In memory. It was loaded.
    Loaded(Filled),
    /// In a segment, which is pinned now.
    Pinned(PinnedLoad),
}

/// What the mover is to take back.
pub(crate) enum Recall {
    /// The segment that this load waits for, and goes on to.
    Load(PendingLoad),
    /// The segment there, of which a page was just read.
    Segment(Redirect),
}

/// What swapoff wants to be taken back.
struct Recalls {
    loads: PendingQueue<RecalledLoad>,
    /// Where it last read a page while the mover had other work.
    passed: Option<Redirect>,
}

/// The reader of a pool.
#[pin_data]
pub(crate) struct Reader {
    contents: Arc<Contents>,
    /// Where reads end.
    queue: Arc<ReclaimQueue>,
    /// There are some from the first store on.
    shards: SetOnce<KVec<Arc<Shard>>>,
    /// Where it read last.
    streams: Streams,
    #[pin]
    recalls: SpinLock<Recalls>,
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
                shards: SetOnce::new(),
                streams: Streams::new(),
                recalls <- new_spinlock!(Recalls {
                    loads: PendingQueue::new(),
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
        let count = online_cpus().clamp(MIN_SHARDS, MAX_SHARDS);
        let mut shards = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            shards.push(Shard::new(&self.contents, &self.queue)?, GFP_KERNEL)?;
        }
        self.shards.populate(shards);
        Ok(())
    }

    /// From now on `store` may be read.
    ///
    /// Context: may sleep; the stores are locked. Errors: [`ENOMEM`].
    pub(crate) fn enter(&self, store: &BackingStore) -> Result {
        for shard in self.shards() {
            let file = (store.device.swap.split()).inspect_err(|_| self.leave(store.number()))?;
            shard.put_file(store.number(), Some(file));
        }
        Ok(())
    }

    /// Lets go of store `number`, of which no segment is pinned any more, and of what was read of it.
    ///
    /// Context: may sleep.
    pub(crate) fn leave(&self, number: usize) {
        for shard in self.shards() {
            shard.put_file(number, None);
        }
    }

    /// Ends the loads that wait for store `number`, which was given up, with an error. Transfers that its
    /// device has are left to it, and others are made in their place, as far as there is memory. No load
    /// waits for the mover any more, which may wait for the device, too.
    ///
    /// Context: may sleep.
    pub(crate) fn abandon(&self, number: usize) {
        for shard in self.shards() {
            shard.abandon(number);
        }
        while let Some((page, load)) = self.end_recall() {
            self.load_recalled(load, page);
        }
    }

    fn shards(&self) -> &[Arc<Shard>] {
        self.shards.as_ref().map_or(&[], |shards| &shards[..])
    }

    /// Has `page` wait for its segment to be taken back.
    pub(crate) fn wait_for_recall(&self, load: RecalledLoad, page: PendingPage) {
        self.recalls.lock().loads.push(page, load);
    }

    /// Has the segment at `redirect` taken back once the mover gets to it. No load waits for that.
    pub(crate) fn recall_later(&self, redirect: Redirect) {
        self.recalls.lock().passed = Some(redirect);
    }

    /// What is to be taken back next: first what loads wait for.
    pub(crate) fn next_recall(&self) -> Option<Recall> {
        let mut recalls = self.recalls.lock();
        match recalls.loads.first() {
            Some(recalled) => Some(Recall::Load(recalled.load.clone())),
            None => recalls.passed.take().map(Recall::Segment),
        }
    }

    /// The first load that waits for its segment to be taken back. It waits no more.
    pub(crate) fn end_recall(&self) -> Option<(PendingPage, RecalledLoad)> {
        self.recalls.lock().loads.pop()
    }

    /// Loads the page of `recalled`, which waited for its segment, into `page`, from wherever it is now.
    ///
    /// Context: as [`Reader::load`].
    pub(crate) fn load_recalled(&self, recalled: RecalledLoad, mut page: PendingPage) {
        let RecalledLoad { load, group } = recalled;
        let begun = load.begun;
        let found = load.slot().ok_or(EIO).and_then(|slot| {
            let found = self.look(&slot, &mut page.page())?;
            Ok((slot, found))
        });
        match found {
            Ok((slot, Found::InStore(redirect))) => {
                self.load(&slot, begun, redirect, group, page);
            }
            Ok((_, Found::Loaded(filled))) => end_load(&self.contents, page, begun, Ok(filled)),
            Err(error) => end_load(&self.contents, page, begun, Err(error)),
        }
    }

    /// Goes on with the load `begun` of `page`, which is that of `slot`, and was found where `redirect` says
    /// just now. If it is read, that is charged to `group`.
    ///
    /// Context: may sleep; memory may be being reclaimed; waits for neither memory nor I/O.
    pub(crate) fn load(
        &self,
        slot: &Slot<ZsObject>,
        begun: BegunLoad,
        redirect: Redirect,
        group: IoGroup,
        mut page: PendingPage,
    ) {
        let loaded = match self.locate(slot, begun, redirect, group, &mut page.page()) {
            Ok(Located::Loaded(filled)) => Ok(filled),
            Ok(Located::Pinned(load)) => {
                let shards = self.shards();
                if let Some(shard) = shards.get(load.blocks.shard(shards.len())) {
                    return shard.load((page, load), &self.streams);
                }
                // There is a store, so there are shards.
                return finish_load(&self.contents, page, load, Err(EIO));
            }
            Err(error) => Err(error),
        };
        end_load(&self.contents, page, begun, loaded);
    }

    /// Loads `page`, if `slot` has it in memory; else returns where it is.
    fn look(&self, slot: &Slot<ZsObject>, page: &mut DestPage<'_>) -> Result<Found> {
        let mut stream = self.contents.cache.stream();
        self.contents.load(slot, page, &mut stream)
    }

    /// Pins the segment that has the page of `slot`, which was found where `redirect` says; or loads `page`,
    /// if it is in memory now.
    fn locate(
        &self,
        slot: &Slot<ZsObject>,
        begun: BegunLoad,
        mut redirect: Redirect,
        group: IoGroup,
        page: &mut DestPage<'_>,
    ) -> Result<Located> {
        let stores = &self.contents.stores;
        let mut wait = SpinWait::new();
        loop {
            if let Some(pinned) = stores.pin(redirect) {
                let blocks = Blocks::of(redirect, pinned.generation());
                if slot.still(redirect) {
                    (self.contents).note_read(blocks.store(), pinned.generation());
                    return Ok(Located::Pinned(PinnedLoad {
                        begun,
                        redirect,
                        blocks,
                        grant: Some(ReadGrant { pinned, group }),
                    }));
                }
                stores.unpin(blocks.store(), pinned);
            }
            wait.once();
            redirect = match self.look(slot, page)? {
                Found::Loaded(filled) => return Ok(Located::Loaded(filled)),
                Found::InStore(redirect) => redirect,
            };
        }
    }
}
