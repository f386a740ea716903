// SPDX-License-Identifier: GPL-2.0

//! A bundle: several objects that were compressed together, as one, and the count of those that are left.
//!
//! Each object of a bundle is a member. What a slot owns of it is a share: the bundle stays until the last
//! share is freed, and until then a task that owns one may read all of it, while other tasks free others.
//! So a share is to its slot what an object is, and [`super::slot`] knows no difference. Two shares have two
//! names, and no other bundle is given the name of a share that is not free.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::bundle::{Outline, Shares};
//!
//! let outline = Outline::new(&[1000, 900, 1100], 2000).expect("it takes less than the objects");
//! assert_eq!(outline.member(1), Some(1000..1900));
//! let shares: usize = (0..3).filter_map(|i| outline.share(i)).map(|share| share.bytes()).sum();
//! assert_eq!(shares, 2000);
//!
//! let left = Shares::new(2);
//! assert!(!left.end());
//! assert!(left.end(), "that was the last one");
//! ```

use core::ops::Range;

use super::{
    payload::Length,
    sync::Word,
    PAGE_SIZE, //
};

/// The most members of a bundle. More would make pages of some heaps 2 to 4% smaller, and each load from
/// a bundle half as dear again.
pub const MEMBERS: usize = 8;

/// The most bytes that the objects of a bundle take together.
pub const BYTES: usize = 4 * PAGE_SIZE;

/// The most parts that a bundle is kept in, all but the last of the same length.
pub const PARTS: usize = 4;

/// The most bytes of a part. zsmalloc keeps five of them in four pages. Parts of one length lie in one size
/// class, so few classes have room to spare: with whole pages and a rest, ten thousand pages of a heap took an
/// eighth more.
const PART: usize = 3256;

/// The shares of a bundle that are not free.
pub struct Shares(Word);

impl Shares {
    /// So many, of a new bundle.
    pub fn new(count: usize) -> Self {
        Self(Word::new(count as u64))
    }

    /// Ends a share. Returns whether it was the last one: then the caller frees the bundle, which nothing
    /// reads any more.
    ///
    /// Context: any; never waits. The caller owns the share, and does not read the bundle after this.
    #[must_use]
    pub fn end(&self) -> bool {
        self.0.add(1_u64.wrapping_neg()) == 0
    }

    /// How many there are now. It may be fewer when this returns, but not none while the caller owns one.
    pub fn left(&self) -> usize {
        self.0.load() as usize
    }
}

/// What is where in a bundle. It does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    lengths: [u16; MEMBERS],
    members: u16,
    packed: u16,
}

impl Outline {
    /// That of a bundle of objects of `lengths`, one after the other, which takes `packed` bytes. [`None`]
    /// if there is no such bundle: if they are too few, too many, or too long, or not worth it.
    ///
    /// A load from a bundle takes far longer than one of an object, so a bundle must save a sixteenth. If it had to
    /// save an eighth, ten thousand pages of a heap would take 6% more: the few objects that stay keep their size
    /// classes.
    pub fn new(lengths: &[usize], packed: usize) -> Option<Self> {
        let bytes: usize = lengths.iter().sum();
        let is_worth_it = (1..=PARTS * PART).contains(&packed) && packed <= bytes - bytes / 16;
        if !matches!(lengths.len(), 2..=MEMBERS) || bytes > BYTES || !is_worth_it {
            return None;
        }
        let mut outline = Self {
            lengths: [0; MEMBERS],
            members: lengths.len() as u16,
            packed: packed as u16,
        };
        for (place, length) in outline.lengths.iter_mut().zip(lengths) {
            // An incompressible page is left as it is.
            *place = u16::try_from(*length)
                .ok()
                .filter(|length| (1..PAGE_SIZE as u16).contains(length))?;
        }
        // What is so small that nothing is its share had better stay as it is.
        let has_shares = (0..lengths.len()).all(|index| outline.share(index).is_some());
        has_shares.then_some(outline)
    }

    /// How many members it has when it is new.
    pub fn members(&self) -> usize {
        self.members.into()
    }

    /// The bytes that it takes.
    pub fn packed(&self) -> usize {
        self.packed.into()
    }

    /// The bytes that its objects take together.
    pub fn bytes(&self) -> usize {
        self.lengths.iter().map(|length| usize::from(*length)).sum()
    }

    /// Where the object of a member is among those of all. [`None`] if there is no such member.
    pub fn member(&self, index: usize) -> Option<Range<usize>> {
        let (before, rest) = self.lengths.split_at_checked(index)?;
        let length = rest.first().filter(|length| **length != 0)?;
        let start: usize = before.iter().map(|length| usize::from(*length)).sum();
        Some(start..start + usize::from(*length))
    }

    /// What counts as the length of a member's share: as much of the bundle as its object is of all. That of
    /// all shares is that of the bundle. [`None`] if there is no such member.
    pub fn share(&self, index: usize) -> Option<Length> {
        let member = self.member(index)?;
        let before = |end: usize| (end * self.packed()).checked_div(self.bytes());
        Length::new(before(member.end)? - before(member.start)?)
    }

    /// Where its parts begin and end, in order.
    pub fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let packed = self.packed();
        let length = packed.div_ceil(packed.div_ceil(PART).max(1)).max(1);
        (0..packed)
            .step_by(length)
            .map(move |start| start..packed.min(start + length))
    }
}
