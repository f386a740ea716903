// SPDX-License-Identifier: GPL-2.0

//! The blocks of a segment that a record touches, which are read for it.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::blocks::Blocks;
//! use ghostswap_core::entry::Redirect;
//! use ghostswap_core::payload::Length;
//! use ghostswap_core::segment::{Location, BLOCK, UNIT};
//!
//! // From the last unit of block 2 on.
//! let unit = 3 * BLOCK / UNIT - 1;
//! let location = Location::new(0, 7, unit).expect("it is a place");
//! let length = Length::new(1000).expect("an object may have it");
//! let blocks = Blocks::of(Redirect { location, length }, 5);
//! assert_eq!((blocks.segment(), blocks.range()), (7, 2..4));
//! ```

use core::ops::Range;

use super::{
    entry::Redirect,
    segment::{
        self,
        BLOCKS, //
    },
};

/// So many blocks in a row are for the same map: those of one are then next to each other in most
/// cases.
const ROW: usize = 8;

/// Spreads numbers that are close to each other over all numbers.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The one or two blocks that a record touches: of a segment, in one generation of it.
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
        let range = segment::blocks(location.unit(), redirect.length.bytes());
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
        let row = self.place() / ROW as u64;
        (((spread(row) >> 32) * maps as u64) >> 32) as usize
    }

    /// A number that no other block of the pool has.
    fn place(&self) -> u64 {
        let segment = u64::from(self.store) << 32 | u64::from(self.segment);
        segment * BLOCKS as u64 + u64::from(self.first)
    }

    /// A number of `bits` bits, which most that begin with another block do not have.
    pub(super) fn hash(&self, bits: u32) -> usize {
        (spread(self.place()) >> (u64::BITS - bits)) as usize
    }

    /// The two blocks of which the second is the one wanted, if they are for the same map.
    pub(super) fn before(&self) -> Option<Self> {
        (self.count == 1 && usize::from(self.first) % ROW != 0).then(|| Self {
            first: self.first - 1,
            count: 2,
            ..*self
        })
    }
}
