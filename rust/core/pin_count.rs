// SPDX-License-Identifier: GPL-2.0

//! How long an element of an array lives: pinned by those who work with it, used by what it holds.
//!
//! Both counts are in one word, so that "nobody is here and nothing is left" is one value of it.
//! In a sparse array, memory stays valid while an element is pinned, or while a reader who found it
//! there is in the read side that he found it in. Uses only keep it in its array, so a wrong count of
//! uses costs memory but never safety. Where elements stay as long as their array does, a read side is
//! not needed.
//!
//! ```text
//!  63   62                 32 31                 0
//! | D |        uses          |        pins        |
//! ```
//!
//! D, dead: the element was found unpinned and unused. Nobody succeeds to pin or use it any more, and
//! whoever saw it die takes it out of the array. A seeker who finds it dead puts a new one in its place,
//! or, where elements stay, has it begin another life.

use super::sync::Word;

const PIN: u64 = 1;
const USE: u64 = 1 << 32;
const DEAD: u64 = 1 << 63;

/// The two counts.
pub struct PinCount(Word);

impl PinCount {
    /// Unused, and pinned once, by its maker.
    pub fn new_pinned() -> Self {
        Self(Word::new(PIN))
    }

    /// Dead.
    pub fn new_dead() -> Self {
        Self(Word::new(DEAD))
    }

    /// Begins another life of a dead element: unused, and pinned once, by the caller.
    ///
    /// Context: any; never waits. Nobody else does so at the same time.
    pub fn revive(&self) {
        // What was added while it was dead goes, too.
        let _ = self.0.swap(PIN);
    }

    /// Pins the element; says if it was alive. What is added to a dead one does not matter.
    ///
    /// Context: any; never waits. The caller is in the read side that he found it in.
    #[inline]
    #[must_use]
    pub fn pin(&self) -> bool {
        self.0.add(PIN) & DEAD == 0
    }

    /// Ends a pin; says if the element died by it.
    ///
    /// Context: any; never waits.
    #[inline]
    #[must_use]
    pub fn unpin(&self) -> bool {
        self.end(PIN)
    }

    /// Counts one use more; says if the element was alive, as for [`PinCount::pin`].
    ///
    /// Context: any; never waits. The caller is in the read side that he found it in, or has it
    /// pinned.
    #[inline]
    #[must_use]
    pub fn add_use(&self) -> bool {
        self.0.add(USE) & DEAD == 0
    }

    /// Counts one use less; says if the element died by it.
    ///
    /// Context: any; never waits. The caller is in a read side since before the use was ended, or
    /// has it pinned.
    #[inline]
    #[must_use]
    pub fn end_use(&self) -> bool {
        self.end(USE)
    }

    /// Takes `count` off, in one step: after it, others may have the element die and be freed at
    /// once, so it must not be touched again. A dead element stays as it is.
    #[inline]
    fn end(&self, count: u64) -> bool {
        loop {
            let old = self.0.load();
            if old & DEAD != 0 {
                return false;
            }
            let new = match old.wrapping_sub(count) {
                0 => DEAD,
                left => left,
            };
            if self.0.replace(old, new) {
                return new == DEAD;
            }
        }
    }

    /// If the element is dead, and stays so until somebody has it begin another life.
    pub fn is_dead(&self) -> bool {
        self.0.load() & DEAD != 0
    }

    /// Uses now, for reports.
    pub fn uses(&self) -> u64 {
        (self.0.load() & !DEAD) / USE
    }
}
