// SPDX-License-Identifier: GPL-2.0

//! What tags stand for, as tables.

use super::super::PAGE_SIZE;

/// Words in a page.
pub(super) const WORDS: usize = PAGE_SIZE / 8;

/// Where the last word of a page begins.
pub(super) const LAST_WORD: usize = PAGE_SIZE - 8;

/// The last of tags that have a byte each.
pub(super) const LAST_TAG: usize = WORDS - 1;

/// Words in a group.
pub(super) const GROUP: usize = 8;

/// Bytes of tags, where each is written down.
pub(super) const PLAIN_TAGS: usize = WORDS / 2;

/// Bytes of the bits that say which tags are not predicted.
pub(super) const BITS: usize = WORDS / 8;

/// The furthest distance, in words.
pub(super) const FURTHEST: usize = 256;

/// The first byte of an object.
pub(super) const KIND_PLAIN: u8 = 0;
pub(super) const KIND_PREDICTED: u8 = 1;
pub(super) const KIND_TEXT: u8 = 2;

/// That an object stands for no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// What a word is made of, beside literal bytes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Base {
    /// Zero.
    Zero,
    /// The word at the distance that the word before had.
    Same,
    /// The word at a new distance.
    New,
}

/// What a tag stands for: a base, in which `bytes` bytes after the lowest `skip` are literal.
#[derive(Clone, Copy)]
pub(super) struct Pattern {
    pub(super) base: Base,
    pub(super) skip: u8,
    pub(super) bytes: u8,
}

const fn pattern(base: Base, skip: u8, bytes: u8) -> Pattern {
    Pattern { base, skip, bytes }
}

/// All tags. Those with a new distance are last, in the order of those with the same.
pub(super) const PATTERNS: [Pattern; 16] = [
    pattern(Base::Zero, 0, 0),
    pattern(Base::Same, 0, 0),
    pattern(Base::Same, 0, 1),
    pattern(Base::Same, 0, 2),
    pattern(Base::Same, 0, 3),
    pattern(Base::Same, 4, 1),
    pattern(Base::Same, 0, 4),
    pattern(Base::Same, 4, 4),
    pattern(Base::Same, 0, 6),
    pattern(Base::Same, 0, 7),
    pattern(Base::Zero, 0, 5),
    pattern(Base::Zero, 0, 8),
    pattern(Base::New, 0, 0),
    pattern(Base::New, 0, 1),
    pattern(Base::New, 0, 2),
    pattern(Base::New, 0, 3),
];

pub(super) const TAG_ZERO: u8 = 0;
pub(super) const TAG_SAME: u8 = 1;
pub(super) const TAG_SAME_ONE: u8 = 2;
pub(super) const TAG_SAME_THREE: u8 = 4;
pub(super) const TAG_SAME_ONE_HIGH: u8 = 5;
pub(super) const TAG_SAME_FOUR_HIGH: u8 = 7;
pub(super) const TAG_FIVE: u8 = 10;
pub(super) const TAG_WHOLE: u8 = 11;
pub(super) const TAG_NEW: u8 = 12;

/// The `bytes` lowest bytes.
const fn low(bytes: u8) -> u64 {
    match bytes {
        8 => u64::MAX,
        _ => (1 << (8 * bytes)) - 1,
    }
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident, $pattern:ident => $value:expr) => {
        $(#[$doc])*
        pub(super) static $name: [u64; 16] = {
            let mut table = [0; 16];
            let mut tag = 0;
            while tag < 16 {
                let $pattern = PATTERNS[tag];
                table[tag] = $value;
                tag += 1;
            }
            table
        };
    };
}

table!(
    /// Literal bytes.
    BYTES, pattern => pattern.bytes as u64
);
table!(
    /// The bits of the literal bytes, as they are loaded.
    LITERAL, pattern => low(pattern.bytes)
);
table!(
    /// Brings them to their place, by a multiplication.
    PLACE, pattern => 1 << (8 * pattern.skip)
);
table!(
    /// The bits that are kept of the word at the distance.
    KEPT, pattern => match pattern.base {
        Base::Zero => 0,
        _ => !(low(pattern.bytes) << (8 * pattern.skip)),
    }
);
table!(
    /// New distances.
    DISTANCES, pattern => match pattern.base {
        Base::New => 1,
        _ => 0,
    }
);
table!(
    /// How far the literal bytes are moved down to be stored, in bits.
    SHIFT, pattern => 8 * pattern.skip as u64
);

/// The tag that is predicted a distance after a word with this one: the same, at the same distance.
#[inline(always)]
pub(super) fn predicted_after(tag: u8) -> u8 {
    if tag < TAG_NEW {
        tag
    } else {
        tag - (TAG_NEW - TAG_SAME)
    }
}

// What `predicted_after` relies on.
const _: () = {
    let mut new = TAG_NEW as usize;
    while new < 16 {
        let same = PATTERNS[new - (TAG_NEW - TAG_SAME) as usize];
        assert!(PATTERNS[new].base as u8 == Base::New as u8 && same.base as u8 == Base::Same as u8);
        assert!(PATTERNS[new].skip == same.skip && PATTERNS[new].bytes == same.bytes);
        new += 1;
    }
};

/// Entries of a [`Choice`]. Some are not used: of comparing what is in a table of 64, the compiler makes bits,
/// and looks at those.
const CHOICES: usize = 72;

/// The tag with the fewest literal bytes, by which bytes differ: see [`span`].
pub(super) type Choice = [u8; CHOICES];

/// Which bytes of a word that is not zero are not: 8 times the zero bytes at its low end, and those at
/// its high end.
#[inline(always)]
pub(super) fn span(word: u64) -> usize {
    ((word.trailing_zeros() & 0x38) | (word.leading_zeros() >> 3)) as usize
}

const fn choice(base: Base) -> Choice {
    let mut table = [TAG_WHOLE; CHOICES];
    let mut low = 0;
    while low < 8 {
        let mut high = 0;
        while low + high < 8 {
            let mut tag = 0;
            while tag < 16 {
                let pattern = PATTERNS[tag];
                let best = &mut table[low * 8 + high];
                if pattern.base as u8 == base as u8
                    && pattern.skip as usize <= low
                    && (pattern.skip + pattern.bytes) as usize >= 8 - high
                    && pattern.bytes < PATTERNS[*best as usize].bytes
                {
                    *best = tag as u8;
                }
                tag += 1;
            }
            high += 1;
        }
        low += 1;
    }
    table
}

/// By the bytes that differ from the word at the same distance.
pub(super) static BY_SAME: Choice = choice(Base::Same);
/// By the bytes that are not zero.
pub(super) static BY_ZERO: Choice = choice(Base::Zero);
