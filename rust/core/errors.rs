// SPDX-License-Identifier: GPL-2.0

//! How many errors are too many: those that come close together.
//!
//! A device that fails for a moment now and then is in use for years. One that fails for good is to be
//! left alone after a few errors, as each of them may take minutes.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::errors::{RecentErrors, MAX_ERRORS, WINDOW};
//!
//! let mut errors = RecentErrors::new();
//! for _ in 1..MAX_ERRORS {
//!     assert!(!errors.add(0));
//! }
//! assert!(!errors.add(WINDOW + 1), "those before are too long ago");
//! ```

/// So many errors within [`WINDOW`] are too many.
pub const MAX_ERRORS: usize = 8;

/// How long an error counts, in seconds. A request that fails may take some minutes, and so many
/// must fit.
pub const WINDOW: u32 = 3600;

/// The times of the last errors.
pub struct RecentErrors {
    /// In seconds; a ring.
    times: [Option<u32>; MAX_ERRORS],
    /// The place of the oldest in it.
    oldest: usize,
}

impl RecentErrors {
    /// No errors.
    pub const fn new() -> Self {
        Self {
            times: [None; MAX_ERRORS],
            oldest: 0,
        }
    }

    /// Counts an error at `now`, a time in seconds that may wrap. Returns whether it is one too many.
    pub fn add(&mut self, now: u32) -> bool {
        if let Some(time) = self.times.get_mut(self.oldest) {
            *time = Some(now);
        }
        self.oldest = (self.oldest + 1) % MAX_ERRORS;
        let oldest = self.times.get(self.oldest).copied().flatten();
        oldest.is_some_and(|time| now.wrapping_sub(time) <= WINDOW)
    }
}
