// SPDX-License-Identifier: GPL-2.0

//! How long an element of an array lives: pinned by those that work with it, used by what it holds.
//!
//! Both counts are in one word, as a lock and a count are in `struct lockref`, so that "no pin and
//! no use" is one value of it. In a sparse array, the memory of an element stays valid while the
//! element is pinned, or while a reader that found it there is still in the same read side. Uses
//! only keep the element in its array, so a wrong count of uses costs memory but never safety.
//! Where elements stay as long as their array does, no read side is needed.
//!
//! ```text
//!  63 62 61                32 31                0
//! |  D  |       uses         |       pins        |
//! ```
//!
//! D, dead: the element was found unpinned and unused. No pin and no use of it succeeds any more.
//! The caller whose operation made it dead takes it out of the array. A seeker that finds it dead
//! puts a new one in its place, or, where elements stay, revives it. The upper bit says so, alone;
//! the lower one is set with it, so that the upper one stays whatever is added then, or taken off.
//!
//! A pin or a use ends in two steps: it is taken off, and if that was the last one, the element is made
//! dead, if none came meanwhile. Between the two, another thread may pin the element, unpin it, and see
//! it die, so the read side must have begun before. Only one of them makes it dead.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::pin_count::PinCount;
//!
//! let count = PinCount::new_pinned();
//! assert!(count.add_use());
//! assert!(!count.unpin(), "its use keeps it");
//! assert!(count.end_use(), "now it is dead");
//! assert!(!count.pin());
//! ```

use super::sync::Word;

const PIN: u64 = 1;
const USE: u64 = 1 << 32;
const DEAD: u64 = 1 << 63;
const NEW_DEAD: u64 = DEAD | DEAD >> 1;

/// The pins and the uses of an element.
pub struct PinCount(Word);

impl PinCount {
    /// Unused, and pinned once, by its maker.
    pub fn new_pinned() -> Self {
        Self(Word::new(PIN))
    }

    /// Dead.
    pub fn new_dead() -> Self {
        Self(Word::new(NEW_DEAD))
    }

    /// Makes a dead element live again: unused, and pinned once, by the caller.
    ///
    /// Context: any; never waits. At most one caller at a time.
    pub fn revive(&self) {
        // What was added while it was dead goes, too.
        let _ = self.0.swap(PIN);
    }

    /// Pins the element. Returns whether it was alive; what is added to a dead one does not matter.
    ///
    /// Context: any; never waits. The caller is in the read side in which it found the element.
    #[inline]
    #[must_use]
    pub fn pin(&self) -> bool {
        self.0.add(PIN) & DEAD == 0
    }

    /// Ends a pin. Returns whether the element died by it.
    ///
    /// Context: any; never waits. The caller has been in a read side since before this.
    #[inline]
    #[must_use]
    pub fn unpin(&self) -> bool {
        self.end(PIN)
    }

    /// Counts one use more. Returns whether the element was alive, as [`PinCount::pin`] does.
    ///
    /// Context: any; never waits. The caller is in the read side in which it found the element, or
    /// has the element pinned.
    #[inline]
    #[must_use]
    pub fn add_use(&self) -> bool {
        self.add_uses(1)
    }

    /// Counts `count` uses more, as [`PinCount::add_use`] does.
    #[inline]
    #[must_use]
    pub fn add_uses(&self, count: u32) -> bool {
        self.0.add(USE * u64::from(count)) & DEAD == 0
    }

    /// Counts one use less. Returns whether the element died by it.
    ///
    /// Context: any; never waits. The caller has been in a read side since before the use was
    /// ended, or has the element pinned.
    #[inline]
    #[must_use]
    pub fn end_use(&self) -> bool {
        self.end(USE)
    }

    #[inline]
    fn end(&self, count: u64) -> bool {
        self.0.add(count.wrapping_neg()) == 0 && self.die()
    }

    /// Makes the element dead, if it is neither pinned nor used. Returns whether it died by that.
    #[cold]
    fn die(&self) -> bool {
        self.0.replace(0, NEW_DEAD)
    }

    /// Returns whether the element is dead. It stays so until it is revived.
    pub fn is_dead(&self) -> bool {
        self.0.load() & DEAD != 0
    }

    /// The uses now, for reports.
    pub fn uses(&self) -> u64 {
        (self.0.load() & !NEW_DEAD) / USE
    }
}
