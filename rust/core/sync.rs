// SPDX-License-Identifier: GPL-2.0

//! The atomic word that the protocols in these files are built on.
//!
//! Read-modify-write operations are fully ordered in the kernel and acquire-release on the host,
//! and a replacement that fails orders nothing on either. The host is the weaker of the two: what
//! the model checker accepts there holds in the kernel.

#[cfg(CONFIG_RUST)]
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full, //
};
#[cfg(loom)]
use loom::sync::atomic::{
    AtomicU64,
    Ordering, //
};
#[cfg(not(any(CONFIG_RUST, loom)))]
use std::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// A 64-bit atomic word.
pub struct Word(
    #[cfg(CONFIG_RUST)] Atomic<u64>,
    #[cfg(not(CONFIG_RUST))] AtomicU64,
);

#[cfg(CONFIG_RUST)]
impl Word {
    /// A word of value `value`.
    pub fn new(value: u64) -> Self {
        Self(Atomic::new(value))
    }

    /// Reads the word; what its writer did before is visible after.
    #[inline]
    pub fn load(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Writes `value` and returns the value that it replaced.
    #[inline]
    pub fn swap(&self, value: u64) -> u64 {
        self.0.xchg(value, Full)
    }

    /// Writes `new` if the word is `old`. Returns whether it was.
    #[inline]
    pub fn replace(&self, old: u64, new: u64) -> bool {
        self.0.cmpxchg(old, new, Full).is_ok()
    }

    /// Adds `delta`, wrapping, and returns the sum.
    #[inline]
    pub fn add(&self, delta: u64) -> u64 {
        self.0.fetch_add(delta, Full).wrapping_add(delta)
    }
}

#[cfg(not(CONFIG_RUST))]
impl Word {
    /// A word of value `value`.
    pub fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[cfg(loom)]
    fn changed(&self, change: WordChange, old: u64, new: u64) {
        OBSERVER.get()(self, change, old, new);
    }

    /// Reads the word; what its writer did before is visible after.
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Writes `value` and returns the value that it replaced.
    pub fn swap(&self, value: u64) -> u64 {
        let old = self.0.swap(value, Ordering::AcqRel);
        #[cfg(loom)]
        self.changed(WordChange::Swapped, old, value);
        old
    }

    /// Writes `new` if the word is `old`. Returns whether it was.
    pub fn replace(&self, old: u64, new: u64) -> bool {
        let result = self
            .0
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed);
        #[cfg(loom)]
        match result {
            Ok(_) => self.changed(WordChange::Replaced, old, new),
            Err(_) => self.changed(WordChange::Lost, old, new),
        }
        result.is_ok()
    }

    /// Adds `delta`, wrapping, and returns the sum.
    pub fn add(&self, delta: u64) -> u64 {
        self.0
            .fetch_add(delta, Ordering::AcqRel)
            .wrapping_add(delta)
    }
}

/// What was done to a word of a model.
#[cfg(loom)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WordChange {
    /// [`Word::swap`].
    Swapped,
    /// [`Word::replace`], and the word was what it should be.
    Replaced,
    /// [`Word::replace`], and the word was something else.
    Lost,
}

#[cfg(loom)]
std::thread_local! {
    /// Told of each change of a word: its address, the change, the old value, and the new one or,
    /// for [`WordChange::Lost`], what the new one would have been. All threads of a model run in
    /// one.
    pub static OBSERVER: std::cell::Cell<fn(*const Word, WordChange, u64, u64)> =
        const { std::cell::Cell::new(|_, _, _, _| ()) };
}
