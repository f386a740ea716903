// SPDX-License-Identifier: GPL-2.0

//! Which of the segments that the mover looks at are cleaned: those with the fewest live bytes.

use super::segment::{
    MAX_UNUSED,
    SEGMENT, //
};

/// The most victims that are found in a window.
pub const MAX_VICTIMS: usize = 64;

/// A segment that is cheap to clean, and the live bytes that it had.
#[derive(Clone, Copy, Default)]
struct Victim {
    segment: u32,
    live: u32,
}

/// The victims of a window that are left, the emptiest last.
pub(super) struct Victims {
    found: [Victim; MAX_VICTIMS],
    count: usize,
}

impl Victims {
    /// None.
    pub(super) fn new() -> Self {
        Self {
            found: [Victim::default(); MAX_VICTIMS],
            count: 0,
        }
    }

    /// Adds segment `segment`, if it is among the emptiest.
    pub(super) fn add(&mut self, segment: usize, live: usize) {
        let new = Victim {
            segment: segment as u32,
            live: live as u32,
        };
        if self.count == MAX_VICTIMS {
            if new.live >= self.found[0].live {
                return;
            }
            self.found.copy_within(1.., 0);
            self.count -= 1;
        }
        let at = self.left().partition_point(|victim| victim.live > new.live);
        self.found.copy_within(at..self.count, at + 1);
        self.found[at] = new;
        self.count += 1;
    }

    fn left(&self) -> &[Victim] {
        &self.found[..self.count]
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Takes out the emptiest.
    pub(super) fn pop(&mut self) -> Option<usize> {
        self.count = self.count.checked_sub(1)?;
        Some(self.found[self.count].segment as usize)
    }

    /// Bytes that cleaning all of them would win. This allows for the unused tail of each rewritten
    /// segment; else cleaning could go on for ever and win nothing.
    pub(super) fn won(&self) -> usize {
        let won = |victim: &Victim| SEGMENT - victim.live as usize - MAX_UNUSED;
        self.left().iter().map(won).sum()
    }
}
