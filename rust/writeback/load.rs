// SPDX-License-Identifier: GPL-2.0

//! A load of a redirected page, which was put off.
//!
//! It pins the segment that its record is in, and waits in a shard, see [`crate::writeback::shard`].
//!
//! # What a load keeps
//!
//! The page that is put off keeps the area on, and with it the table. The segment that it pinned keeps
//! the store in its place, and the record as it was. So a load holds a reference to neither; and it does
//! not look at its slot again, for the mover may move the object, but does not change it.

use crate::{
    contents::Contents,
    core::{
        blocks::Blocks,
        entry::Redirect,
        latency::LoadedFrom,
        log::PinnedSegment,
        payload::Length,
        segment::Owner,
        transfer_map::{
            LoadCell,
            LoadQueue,
            Wants,
            NO_GROUP, //
        },
    },
    kernel_ext::{
        block::io_group::IoGroup,
        clock::Ticks,
        mm::{
            pending_page::{
                PendingCell,
                PendingPage,
                PendingQueue, //
            },
            swap_page::Filled,
        },
        trace::{
            tell,
            FailedOp, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Where the page waits that a transfer reads for.
pub(super) type ReadCell = Arc<PendingCell<PinnedLoad>>;

/// What a load has to read by.
pub(super) struct ReadGrant {
    /// Keeps the store in its place, and the record as it is.
    pub(super) pinned: PinnedSegment,
    /// What the read is charged to: the group of the task that wants the page.
    pub(super) group: IoGroup,
}

/// What is known of a load that was put off since it began.
#[derive(Clone, Copy)]
pub(crate) struct BegunLoad {
    /// Whose page it is for.
    pub(crate) owner: Owner,
    /// The length of the page's object.
    pub(crate) length: Length,
    /// When it began.
    pub(crate) at: Ticks,
}

/// A load of what is in a segment that it has pinned.
pub(super) struct PinnedLoad {
    pub(super) begun: BegunLoad,
    pub(super) redirect: Redirect,
    pub(super) blocks: Blocks,
    /// [`None`] if it waits for its own read, which has that.
    pub(super) grant: Option<ReadGrant>,
}

impl Wants for (PendingPage, PinnedLoad) {
    type Grant = Option<ReadGrant>;

    fn blocks(&self) -> Blocks {
        self.1.blocks
    }

    fn group(&self) -> u64 {
        (self.1.grant.as_ref()).map_or(NO_GROUP, |grant| grant.group.number())
    }

    fn take_grant(&mut self) -> Option<ReadGrant> {
        self.1.grant.take()
    }
}

impl LoadCell for ReadCell {
    type Load = (PendingPage, PinnedLoad);

    fn put(&self, (page, load): (PendingPage, PinnedLoad)) {
        PendingCell::put(self, page, load);
    }

    fn take(&self) -> Option<(PendingPage, PinnedLoad)> {
        PendingCell::take(self)
    }
}

impl LoadQueue for PendingQueue<PinnedLoad> {
    type Load = (PendingPage, PinnedLoad);
    type Cell = ReadCell;

    fn push(&mut self, (page, load): (PendingPage, PinnedLoad)) {
        Self::push(self, page, load);
    }

    fn pop(&mut self) -> Option<(PendingPage, PinnedLoad)> {
        Self::pop(self)
    }

    fn append(&mut self, others: Self) {
        Self::append(self, others);
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

/// Ends a load that was put off.
pub(super) fn end_load(
    contents: &Contents,
    page: PendingPage,
    begun: BegunLoad,
    loaded: Result<Filled>,
) {
    // It was in a store when it began, and waited for that, also if it came to memory meanwhile.
    let (slot, from) = (contents.traced(begun.owner), LoadedFrom::Store);
    match loaded {
        Ok(_) => {
            let nanos = contents.stats.loaded_from_store(begun.at);
            tell!(load: slot, Some(begun.length), from, nanos);
        }
        Err(error) => {
            contents.stats.load_failed();
            tell!(fail: slot, FailedOp::Load, error);
        }
    }
    page.finish(loaded);
}

/// Ends a load of what is in a segment, and its pin.
pub(super) fn finish_load(
    contents: &Contents,
    page: PendingPage,
    load: PinnedLoad,
    loaded: Result<Filled>,
) {
    if let Some(grant) = load.grant {
        contents.stores.unpin(load.blocks.store(), grant.pinned);
    }
    end_load(contents, page, load.begun, loaded);
}
