// SPDX-License-Identifier: GPL-2.0

//! How much is read beside what a load wants.
//!
//! Pages that were swapped out together lie next to each other in a segment, and are often wanted
//! together again. So a load that goes on where one of the last reads of its segment ended reads more than
//! its own blocks: four, and each time that it is so twice as many, up to a row of 32. That is as the kernel
//! reads files ahead. What is in the blocks serves the loads that follow.
//!
//! Of what was read, [`Window`] is told how much was wanted, when the memory is used again. Where it was
//! less than half, less is read from then on, and more again when it is more than that.
//!
//! There may be several such runs in one segment: incompressible pages lie before others that were
//! swapped out with them, and are read between these.
//!
//! Nothing rests on all this: several threads may take note at once, and of some what they noted is lost.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::blocks::Blocks;
//! use ghostswap_core::entry::Redirect;
//! use ghostswap_core::payload::{Coder, Form, Length};
//! use ghostswap_core::read_ahead::Streams;
//! use ghostswap_core::segment::{Location, BLOCK, UNIT};
//!
//! let of_block = |block| {
//!     let location = Location::new(0, 7, block * BLOCK / UNIT).expect("it is a place");
//!     let length = Length::new(1000).expect("an object may have it");
//!     let form = Form { length, coder: Coder::First };
//!     Blocks::of(Redirect { location, form }, 5)
//! };
//! let streams = Streams::new();
//! assert_eq!(streams.window(&of_block(40)), 0);
//! streams.note(&of_block(40), &of_block(40), 0);
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

/// How many reads are remembered: so many of all segments that have the same set.
const SETS: usize = 16;
const WAYS: usize = 4;

/// Where a read ended, and when that was:
///
/// ```text
///  63      34 33     24 23        6 5         0
/// | segment  |   end   |   time    |  window  |
/// ```
#[derive(Clone, Copy)]
struct PastRead(u64);

/// None yet: its end is past all segments.
const NEVER: u64 = u64::MAX;

/// So many reads longer is remembered where loads went on, so that others do not hide them.
const ALONE: u64 = 64;

const WINDOW_BITS: u32 = 6;
const TIME_BITS: u32 = 18;
const END_SHIFT: u32 = WINDOW_BITS + TIME_BITS;
const END_BITS: u32 = 10;
const SEGMENT_SHIFT: u32 = END_SHIFT + END_BITS;

impl PastRead {
    fn new(read: &Blocks, window: usize, time: u64) -> Self {
        let end = read.range().end as u64;
        let time = time & ((1 << TIME_BITS) - 1);
        Self(
            read.segment_number() << SEGMENT_SHIFT
                | end << END_SHIFT
                | time << WINDOW_BITS
                | window as u64,
        )
    }

    fn window(self) -> usize {
        (self.0 & ((1 << WINDOW_BITS) - 1)) as usize
    }

    /// How many reads there were since; for a load that went on with none, some more than that.
    fn age(self, now: u64) -> u64 {
        let age = now.wrapping_sub(self.0 >> WINDOW_BITS) & ((1 << TIME_BITS) - 1);
        age + if self.window() == 0 { ALONE } else { 0 }
    }

    /// Returns whether a load of `wanted` goes on there. Its record may begin in the last block that was
    /// read, and end in the next.
    fn goes_on_with(self, wanted: &Blocks) -> bool {
        let end = self.0 >> END_SHIFT & ((1 << END_BITS) - 1);
        let first = wanted.range().start as u64;
        self.0 >> SEGMENT_SHIFT == wanted.segment_number() && (first == end || first + 1 == end)
    }
}

/// Where reads ended.
pub struct Streams {
    sets: [[Word; WAYS]; SETS],
    /// Counts reads.
    time: Word,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new()
    }
}

impl Streams {
    /// Nothing was read yet.
    pub fn new() -> Self {
        let set = |_| core::array::from_fn(|_| Word::new(NEVER));
        Self {
            sets: core::array::from_fn(set),
            time: Word::new(0),
        }
    }

    fn set(&self, blocks: &Blocks) -> &[Word; WAYS] {
        &self.sets[blocks.segment_hash(SETS.ilog2())]
    }

    /// How many blocks had better be read where those `wanted` are not there: 0 if these only.
    ///
    /// Context: any; never waits.
    pub fn window(&self, wanted: &Blocks) -> usize {
        let mut streams = self.set(wanted).iter().map(|word| PastRead(word.load()));
        match streams.find(|stream| stream.goes_on_with(wanted)) {
            Some(stream) => (2 * stream.window()).clamp(LEAST_AHEAD, ROW),
            None => 0,
        }
    }

    /// Takes note that `read` is being read for a load of `wanted`, by a window of `window` blocks. It is
    /// remembered in place of what the load goes on with, or else of what is oldest.
    ///
    /// Context: any; never waits.
    pub fn note(&self, wanted: &Blocks, read: &Blocks, window: usize) {
        let now = self.time.add(1);
        let place = self.set(read).iter().max_by_key(|word| {
            let stream = PastRead(word.load());
            match stream.0 {
                // Without a window there is none that the load goes on with.
                _ if window > 0 && stream.goes_on_with(wanted) => u64::MAX,
                NEVER => u64::MAX - 1,
                _ => stream.age(now),
            }
        });
        if let Some(place) = place {
            place.swap(PastRead::new(read, window, now).0);
        }
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
