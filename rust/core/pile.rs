// SPDX-License-Identifier: GPL-2.0

//! A pile of things that many threads put down, and one takes up, all at once.
//!
//! A thing is a number other than 0 here, such as an address. While it lies on the pile, the number
//! of the one below is noted in it. Nothing is taken from the middle, and no single thing from the
//! top. So it does not matter that a thing which was taken up is put down again meanwhile.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::pile::Pile;
//!
//! let pile = Pile::new();
//! let mut below = [0; 3];
//! assert!(pile.put(1, |number| below[1] = number), "it is the first, so it has to be taken up");
//! assert!(!pile.put(2, |number| below[2] = number));
//! assert_eq!(pile.take(), 2);
//! assert_eq!((below[2], below[1]), (1, 0));
//! assert_eq!(pile.take(), 0);
//! ```

use super::sync::Word;

/// A pile.
pub struct Pile(Word);

impl Pile {
    /// With nothing on it.
    pub fn new() -> Self {
        Self(Word::new(0))
    }

    /// Puts `thing` on it. `note` notes in the thing the number of the one below, or 0; it may be
    /// called several times. Returns whether it is the first: then the caller has the pile taken up.
    /// From then on the thing is that of the thread which takes it up.
    ///
    /// Context: any, interrupts included; never waits.
    pub fn put(&self, thing: u64, mut note: impl FnMut(u64)) -> bool {
        loop {
            let below = self.0.load();
            note(below);
            if self.0.replace(below, thing) {
                return below == 0;
            }
        }
    }

    /// Takes up all of it: returns the number of the thing on top, or 0. What was noted is visible.
    ///
    /// Context: any; never waits.
    pub fn take(&self) -> u64 {
        self.0.swap(0)
    }
}
