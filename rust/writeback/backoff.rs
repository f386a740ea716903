// SPDX-License-Identifier: GPL-2.0

//! Not trying again for a while, after nothing could be done.
//!
//! A [`Backoff`] is a time, an [`Impatience`] a number of pages.

use crate::kernel_ext::clock;
use kernel::{
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    time::msecs_to_jiffies,
};

/// A time in which something is not tried again.
pub(crate) struct Backoff {
    /// The tick of the clock at which it is over.
    until: Atomic<u32>,
    /// How long it takes, in ticks.
    length: u32,
}

impl Backoff {
    /// One that has not begun, and takes `ms` milliseconds once it does.
    pub(crate) fn new(ms: u32) -> Self {
        Self {
            until: Atomic::new(clock::ticks()),
            length: msecs_to_jiffies(ms) as u32,
        }
    }

    /// Begins it, or begins it anew.
    pub(crate) fn begin(&self) {
        let until = clock::ticks().wrapping_add(self.length);
        self.until.store(until, Relaxed);
    }

    /// Ends it: the next try may be at once.
    pub(crate) fn end(&self) {
        self.until.store(clock::ticks(), Relaxed);
    }

    /// Returns whether it is too early to try.
    pub(crate) fn is_on(&self) -> bool {
        let left = self.until.load(Relaxed).wrapping_sub(clock::ticks());
        // What is over long since may seem to be of the future, but not of the near one.
        (1..=self.length + 1).contains(&left)
    }
}

/// The pages that are not waited for after a wait in vain: about those of a list that reclaim goes
/// through.
const PAGES: i32 = 32;

/// So many waits in vain cost that many pages each. After them, it is twice as many each time, up to
/// 4,096.
const PATIENT: u32 = 8;
const MOST_DOUBLED: u32 = 7;

/// How many pages are not waited for, after waits for others were in vain.
pub(crate) struct Impatience {
    /// Waits in vain.
    waits: Atomic<u32>,
    /// Pages that are left.
    left: Atomic<i32>,
}

impl Impatience {
    /// No wait was in vain.
    pub(crate) fn new() -> Self {
        Self {
            waits: Atomic::new(0),
            left: Atomic::new(0),
        }
    }

    /// A wait was in vain.
    pub(crate) fn grow(&self) {
        let waits = self.waits.fetch_add(1, Relaxed);
        let doubled = waits.saturating_sub(PATIENT).min(MOST_DOUBLED);
        self.left.store(PAGES << doubled, Relaxed);
    }

    /// From now on it is worth waiting.
    pub(crate) fn end(&self) {
        self.waits.store(0, Relaxed);
        self.left.store(0, Relaxed);
    }

    /// Returns whether a page is one of those that are not waited for, and counts it.
    pub(crate) fn takes_page(&self) -> bool {
        // Tasks that do this at once may count too many. Then none is left.
        self.left.load(Relaxed) > 0 && self.left.fetch_sub(1, Relaxed) > 0
    }
}
