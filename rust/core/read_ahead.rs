// SPDX-License-Identifier: GPL-2.0

//! How much is read beside what a load wants.
//!
//! Pages that were swapped out together lie next to each other in a segment, and are often wanted
//! together again. So a load that goes on where the last read of its segment ended reads more than its
//! own blocks: four, and each time that it is so twice as many, up to a row of 32. That is as the kernel
//! reads files ahead. What is in the blocks serves the loads that follow.
//!
//! Of what was read, [`Window`] is told how much was wanted, when the memory is used again. Where it was
//! less than half, less is read from then on, and more again when it is more than that.
//!
//! Nothing rests on all this: several threads may take note at once, and of some what they noted is lost.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::blocks::Blocks;
//! use ghostswap_core::entry::Redirect;
//! use ghostswap_core::payload::Length;
//! use ghostswap_core::read_ahead::Streams;
//! use ghostswap_core::segment::{Location, BLOCK, UNIT};
//!
//! let of_block = |block| {
//!     let location = Location::new(0, 7, block * BLOCK / UNIT).expect("it is a place");
//!     let length = Length::new(1000).expect("an object may have it");
//!     Blocks::of(Redirect { location, length }, 5)
//! };
//! let streams = Streams::new();
//! assert_eq!(streams.window(&of_block(40)), 0);
//! streams.note(&of_block(40), 0);
//! assert_eq!(streams.window(&of_block(41)), 4);
//! assert_eq!(streams.window(&of_block(43)), 0);
//! ```

use super::{
    blocks::{
        Blocks,
        ROW, //
    },
    sync::Word,
};

/// Blocks that are read where a load goes on with what was read, at first.
pub const LEAST_AHEAD: usize = 4;

/// How many reads are remembered, each of another segment in most cases.
const STREAMS: usize = 16;

/// ```text
///  63      34 33     24 23        0
/// | segment  |   end   |  window  |
/// ```
const END_SHIFT: u32 = 24;
const END_BITS: u32 = 10;
const SEGMENT_SHIFT: u32 = END_SHIFT + END_BITS;

/// Where reads ended.
pub struct Streams([Word; STREAMS]);

impl Default for Streams {
    fn default() -> Self {
        Self::new()
    }
}

impl Streams {
    /// Nothing was read yet.
    pub fn new() -> Self {
        Self(core::array::from_fn(|_| Word::new(u64::MAX)))
    }

    fn word(&self, blocks: &Blocks) -> &Word {
        &self.0[blocks.segment_hash(STREAMS.ilog2())]
    }

    /// How many blocks had better be read where those `wanted` are not there: 0 if these only.
    ///
    /// Context: any; never waits.
    pub fn window(&self, wanted: &Blocks) -> usize {
        let word = self.word(wanted).load();
        let (segment, end) = (
            word >> SEGMENT_SHIFT,
            word >> END_SHIFT & ((1 << END_BITS) - 1),
        );
        let window = (word & ((1 << END_SHIFT) - 1)) as usize;
        let first = wanted.range().start as u64;
        // A record may begin in the last block that was read, and end in the next.
        let goes_on = segment == wanted.segment_number() && (first == end || first + 1 == end);
        if goes_on {
            (2 * window).clamp(LEAST_AHEAD, ROW)
        } else {
            0
        }
    }

    /// Takes note that `read` is being read, by a window of `window` blocks.
    ///
    /// Context: any; never waits.
    pub fn note(&self, read: &Blocks, window: usize) {
        let end = read.range().end as u64;
        let word = read.segment_number() << SEGMENT_SHIFT | end << END_SHIFT | window as u64;
        self.word(read).swap(word);
    }
}

/// The most blocks that are read ahead.
#[derive(Clone, Copy)]
pub struct Window(usize);

impl Default for Window {
    fn default() -> Self {
        Self(ROW)
    }
}

impl Window {
    /// How many of `window` blocks are to be read.
    pub fn limit(self, window: usize) -> usize {
        window.min(self.0)
    }

    /// Of `read` blocks so many were `wanted`.
    pub fn learn(&mut self, read: usize, wanted: usize) {
        self.0 = if 2 * wanted < read {
            (self.0 / 2).max(LEAST_AHEAD)
        } else {
            (self.0 * 2).min(ROW)
        };
    }
}
