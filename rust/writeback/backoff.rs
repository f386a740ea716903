// SPDX-License-Identifier: GPL-2.0

//! Not trying again for a while, after nothing could be done.

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
