// SPDX-License-Identifier: GPL-2.0

//! When a batch of pages that are read is done, and which of its folios failed.
//!
//! The thread that was given the batch has a count of it, and so has each page that is put off. The
//! thread that ends the last count completes the batch.
//!
//! ```text
//!  63                 32 31                0
//! |  folios that failed |      counts       |
//! ```
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::batch_count::BatchCount;
//!
//! let count = BatchCount::new();
//! count.add();
//! assert_eq!(count.end(1 << 3), None);
//! assert_eq!(count.end(0), Some(1 << 3));
//! ```

use super::sync::Word;

/// Where the bits of the folios begin.
const FAILED_SHIFT: u32 = 32;

/// Folios that a batch has at most.
pub const MAX_FOLIOS: usize = (u64::BITS - FAILED_SHIFT) as usize;

/// The counts of a batch, and a bit for each of its folios.
pub struct BatchCount(Word);

impl BatchCount {
    /// One count, and no folio that failed.
    pub fn new() -> Self {
        Self(Word::new(1))
    }

    /// Adds a count. The caller has one.
    ///
    /// Context: any; never waits.
    pub fn add(&self) {
        self.0.add(1);
    }

    /// Ends a count, and notes that the folios with a bit in `failed` failed. If it was the last,
    /// returns the bits of all that did: the caller completes the batch, and sees what was written
    /// to its pages before the other counts ended. If it was not, the batch must not be touched
    /// again.
    ///
    /// Context: any; never waits.
    #[inline]
    #[must_use]
    pub fn end(&self, failed: u32) -> Option<u32> {
        let failed = u64::from(failed) << FAILED_SHIFT;
        let mut word = self.0.load();
        // If there is one count, it is the caller's, and no other can come.
        if word as u32 != 1 {
            while word | failed != word && !self.0.replace(word, word | failed) {
                word = self.0.load();
            }
            word = self.0.add(1u64.wrapping_neg());
            if word as u32 != 0 {
                return None;
            }
        }
        Some(((word | failed) >> FAILED_SHIFT) as u32)
    }
}
