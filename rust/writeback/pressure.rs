// SPDX-License-Identifier: GPL-2.0

//! What the kernel wants to be freed because memory is short.
//!
//! Reclaim asks for so many pages of memory, of those that the pool has for its objects, and goes on. It
//! never waits for the disk here. When as many are wanted as a segment has, the mover writes one. So it
//! writes no more than was asked for.
//!
//! It holds off where pages come back soon after they went, see [`crate::core::returns`]: then memory is
//! short for what is needed now, and what the pool holds is part of that. The limit holds all the same.

use crate::{
    contents::{
        stats::Counter,
        Contents, //
    },
    core::{
        returns::Returns,
        segment::BLOCKS,
        PAGE_SIZE, //
    },
    kernel_ext::mm::shrinker::DEFAULT_SEEKS,
    writeback::backoff::Backoff,
};
use kernel::sync::{
    atomic::{
        Atomic,
        Relaxed, //
    },
    Arc,
};

/// Pages of memory for which it is worth while to write: those of a segment.
const WORTH: usize = BLOCKS;

/// A page of memory has so many pages of programs, compressed, and each is read by itself.
const PAGES: usize = 4;

/// What such a read costs, as often as what reclaim takes if it takes nothing here. That are pages of
/// programs, for the most part, and most of these come back from memory, without a read.
const DEARER: usize = 16;

/// What a page of memory costs that is needed again.
pub(crate) const SEEKS: usize = PAGES * DEARER * DEFAULT_SEEKS;

/// How long nothing is freed after many pages came back, in milliseconds.
const HOLD_OFF_MS: u32 = 1000;

/// What is wanted of a pool.
pub(crate) struct Pressure {
    contents: Arc<Contents>,
    /// Pages of memory that are to be freed. Any task adds some, and only the mover takes some off.
    wanted: Atomic<usize>,
    held_off: Backoff,
}

impl Pressure {
    /// Nothing is wanted of `contents` yet.
    pub(crate) fn new(contents: Arc<Contents>) -> Self {
        Self {
            contents,
            wanted: Atomic::new(0),
            held_off: Backoff::new(HOLD_OFF_MS),
        }
    }

    /// Pages of memory that writing can free, beside those that are wanted: those of all objects, if
    /// there is a store with room for them.
    ///
    /// Context: any; never waits.
    pub(crate) fn freeable(&self) -> usize {
        let Contents { cache, stores, .. } = &*self.contents;
        if self.held_off.is_on() || !stores.have_room() {
            return 0;
        }
        let pages = cache.bytes() as usize / PAGE_SIZE;
        pages.saturating_sub(self.wanted.load(Relaxed))
    }

    /// Wants `pages` pages more to be freed, or as many as can be. Returns how many; [`None`] if none can
    /// be.
    ///
    /// Context: any; never waits.
    pub(crate) fn want(&self, pages: usize) -> Option<usize> {
        // Tasks that do this at once may want too many. That ends when there is no more to write.
        let pages = self.freeable().min(pages);
        (pages > 0).then(|| {
            self.wanted.fetch_add(pages, Relaxed);
            pages
        })
    }

    /// Returns whether enough pages are to be freed for something to be written.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Relaxed) >= WORTH
    }

    /// Returns whether it is of use to write some. It is not if many came back lately, by `returns`; then
    /// none are wanted for a while.
    ///
    /// Context: only the mover calls this.
    pub(crate) fn is_of_use(&self, returns: &mut Returns) -> bool {
        let stats = &self.contents.stats;
        let went = stats.sum(Counter::WrittenPages);
        let are_many = returns.are_many(went, stats.sum(Counter::ReturnedPages));
        if are_many {
            self.hold_off();
        }
        !are_many
    }

    /// A segment was filled.
    ///
    /// Context: only the mover calls this.
    pub(crate) fn serve(&self) {
        let served = self.wanted.load(Relaxed).min(WORTH);
        self.wanted.fetch_sub(served, Relaxed);
    }

    /// It is of no use to free more now. None are wanted for a while.
    ///
    /// Context: only the mover calls this.
    pub(crate) fn hold_off(&self) {
        self.held_off.begin();
        self.wanted.store(0, Relaxed);
    }
}
