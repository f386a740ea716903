// SPDX-License-Identifier: GPL-2.0

//! The blocks of a segment that a record touches, which are read for it, and others beside them.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::blocks::Blocks;
//! use ghostswap_core::entry::Redirect;
//! use ghostswap_core::payload::{Coder, Form, Length};
//! use ghostswap_core::segment::{Location, BLOCK, UNIT};
//!
//! // From the last unit of block 2 on.
//! let unit = 3 * BLOCK / UNIT - 1;
//! let location = Location::new(0, 7, unit).expect("it is a place");
//! let length = Length::new(1000).expect("an object may have it");
//! let form = Form { length, coder: Coder::First };
//! let blocks = Blocks::of(Redirect { location, form }, 5);
//! assert_eq!((blocks.segment(), blocks.range()), (7, 2..4));
//! ```

use core::ops::Range;

use super::{
    entry::Redirect,
    segment::{
        self,
        BLOCKS,
        SEGMENT_BITS, //
    },
};

/// So many blocks in a row are for the same map.
pub const ROW: usize = 32;

/// The most blocks that are read for one load: a row, and one more, in which its last record may end.
pub const MAX_AHEAD: usize = ROW + 1;

/// Spreads numbers that are close to each other over all numbers.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Some blocks in a row: of a segment, in one generation of it. A record touches one or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    generation: u64,
    segment: u32,
    first: u16,
    count: u8,
    store: u8,
}

impl Blocks {
    /// Those of the record at `redirect`, if its segment is in generation `generation`.
    #[inline]
    pub fn of(redirect: Redirect, generation: u64) -> Self {
        let location = redirect.location;
        let range = segment::blocks(location.unit(), redirect.form.length.bytes());
        Self {
            generation,
            segment: location.segment() as u32,
            first: range.start as u16,
            count: range.len() as u8,
            store: location.store() as u8,
        }
    }

    /// The number of their store.
    #[inline]
    pub fn store(&self) -> usize {
        self.store.into()
    }

    /// The number of their segment.
    #[inline]
    pub fn segment(&self) -> usize {
        self.segment as usize
    }

    /// Which generation of the segment they are of.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Which blocks of the segment they are.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        let first = usize::from(self.first);
        first..first + usize::from(self.count)
    }

    /// Returns whether all of `wanted` are among them.
    pub fn cover(&self, wanted: &Self) -> bool {
        (self.store, self.segment, self.generation)
            == (wanted.store, wanted.segment, wanted.generation)
            && self.first <= wanted.first
            && wanted.first + u16::from(wanted.count) <= self.first + u16::from(self.count)
    }

    /// Which of `maps` maps, of which there is one at least, is for them.
    #[inline]
    pub fn shard(&self, maps: usize) -> usize {
        (((spread(self.row()) >> 32) * maps as u64) >> 32) as usize
    }

    /// A number that no other row of the pool has.
    fn row(&self) -> u64 {
        self.segment_number() * (BLOCKS / ROW) as u64 + u64::from(self.first) / ROW as u64
    }

    /// These, and those after them, up to `window` in all; but none beyond the row, and, where that is
    /// reached, the block after it.
    pub fn ahead(&self, window: usize) -> Self {
        let Range { start, end } = self.range();
        let row = (start / ROW + 1) * ROW;
        let ahead = if start + window < row {
            start + window
        } else {
            (row + 1).min(BLOCKS)
        };
        Self {
            count: (end.max(ahead) - start) as u8,
            ..*self
        }
    }

    /// A bit for each of `wanted` that are among these, of which there are no more than [`MAX_AHEAD`].
    pub(super) fn bits_of(&self, wanted: &Self) -> u64 {
        let bits = |count: u8| (1u64 << count) - 1;
        bits(wanted.count) << (wanted.first - self.first)
    }

    /// A number that no other segment of the pool has.
    pub(super) fn segment_number(&self) -> u64 {
        u64::from(self.store) << SEGMENT_BITS | u64::from(self.segment)
    }

    /// A number of `bits` bits, which most of other segments do not have.
    pub(super) fn segment_hash(&self, bits: u32) -> usize {
        (spread(self.segment_number()) >> (u64::BITS - bits)) as usize
    }

    /// A number of `bits` bits, which most that begin in another row do not have.
    pub(super) fn row_hash(&self, bits: u32) -> usize {
        (spread(self.row()) >> (u64::BITS - bits)) as usize
    }
}
