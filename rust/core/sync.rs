// SPDX-License-Identifier: GPL-2.0

//! The atomic word that this crate's protocols are built on.
//!
//! Read-modify-write operations are fully ordered in the kernel and acquire-release on the host, and
//! a replacement that fails orders nothing on either. The host is the weaker of the two: what the
//! model checker accepts there holds in the kernel.

#[cfg(CONFIG_RUST)]
mod imp {
    use kernel::sync::atomic::{Acquire, Atomic, Full};

    /// A 64-bit atomic word.
    pub struct Word(Atomic<u64>);

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

        /// Writes `value` and returns what it took the place of.
        #[inline]
        pub fn swap(&self, value: u64) -> u64 {
            self.0.xchg(value, Full)
        }

        /// Writes `new` if the word is `old`; says if it did.
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
}

#[cfg(not(CONFIG_RUST))]
mod imp {
    #[cfg(loom)]
    use loom::sync::atomic::{AtomicU64, Ordering};
    #[cfg(not(loom))]
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A 64-bit atomic word.
    pub struct Word(AtomicU64);

    impl Word {
        /// A word of value `value`.
        pub fn new(value: u64) -> Self {
            Self(AtomicU64::new(value))
        }

        /// Reads the word; what its writer did before is visible after.
        pub fn load(&self) -> u64 {
            self.0.load(Ordering::Acquire)
        }

        /// Writes `value` and returns what it took the place of.
        pub fn swap(&self, value: u64) -> u64 {
            self.0.swap(value, Ordering::AcqRel)
        }

        /// Writes `new` if the word is `old`; says if it did.
        pub fn replace(&self, old: u64, new: u64) -> bool {
            self.0
                .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        }

        /// Adds `delta`, wrapping, and returns the sum.
        pub fn add(&self, delta: u64) -> u64 {
            self.0
                .fetch_add(delta, Ordering::AcqRel)
                .wrapping_add(delta)
        }
    }
}

pub use imp::Word;
