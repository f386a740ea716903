// SPDX-License-Identifier: GPL-2.0

//! The eight bytes that say where a slot's page is.
//!
//! Entry types and bit layouts, most significant bit first:
//!
//! ```text
//!              63             32 31        17 16 15      4  3   2   1 0
//! FREE:       |---------------------------- 0 --------------------------|
//! SAME:       |---- fill -------|---------------- 0 -----------------|01|
//! CACHED:     |---------- payload -----------|M|- length --|H|    0  |10|
//! REDIRECTED: |---------- location ----------|0|- length --|0|    0  |11|
//! ```
//!
//! - FREE: the slot holds no page.
//! - SAME: every aligned 32 bits of the page are `fill`; nothing else is kept of it.
//! - CACHED: the page is an object in memory. The payload names it: 47 bits, so that an 8-byte aligned
//!   address in a direct map of 1 PiB fits. H is set while a looker holds the object still, M while the
//!   object is unchanged since the mover marked it; never both. See [`super::slot`].
//! - REDIRECTED: the page is an object in a backing store, at a [`Location`].
//!
//! `length` is that of the object. 4,096, which is an incompressible page as it was, is written as 0. Bit
//! 2 is not used.
//!
//! A page that repeats a word of 64 bits whose halves differ has no type of its own: 0 of 10,240 pages of
//! the heaps of a Python program, of a C compiler and of a database are such, and 96 of a JavaScript
//! program's, and lz4 makes 35 bytes of one.
//!
//! Nothing but this file touches the bits.

use super::{
    payload::{
        Length,
        PAYLOAD_BITS, //
    },
    segment::Location,
};

const TAG_MASK: u64 = 0b11;
const TAG_SAME: u64 = 0b01;
const TAG_CACHED: u64 = 0b10;
const TAG_REDIRECTED: u64 = 0b11;

const HELD: u64 = 1 << 3;
const MARKED: u64 = 1 << 16;

const LENGTH_SHIFT: u32 = 4;

const FILL_SHIFT: u32 = 32;

const PAYLOAD_SHIFT: u32 = 17;

const _: () = assert!(PAYLOAD_BITS == u64::BITS - PAYLOAD_SHIFT);
const _: () = assert!(Location::BITS == PAYLOAD_BITS);

/// What goes on with a cached object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectState {
    /// Nothing.
    Idle,
    /// A looker holds it still.
    Held,
    /// The mover copied it, and nothing has looked at it since.
    Marked,
}

impl ObjectState {
    #[inline]
    fn encode(self) -> u64 {
        match self {
            ObjectState::Idle => 0,
            ObjectState::Held => HELD,
            ObjectState::Marked => MARKED,
        }
    }

    #[inline]
    fn decode(word: u64) -> Self {
        match word & (HELD | MARKED) {
            0 => ObjectState::Idle,
            HELD => ObjectState::Held,
            _ => ObjectState::Marked,
        }
    }
}

/// An object in a backing store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where it is.
    pub location: Location,
    /// Its length.
    pub length: Length,
}

/// An entry, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// No page.
    Free,
    /// A page whose every aligned 32 bits are `fill`.
    Same {
        /// The repeated bits.
        fill: u32,
    },
    /// A page kept as an object in memory.
    Cached {
        /// Which object, in [`PAYLOAD_BITS`] bits.
        payload: u64,
        /// Its length.
        length: Length,
        /// What goes on with it.
        state: ObjectState,
    },
    /// A page kept as an object in a backing store.
    Redirected(Redirect),
}

impl Entry {
    /// The entry's eight bytes; [`None`] if the payload is out of its range.
    pub fn encode(self) -> Option<u64> {
        match self {
            Entry::Cached { payload, .. } if payload >> PAYLOAD_BITS != 0 => None,
            entry => Some(entry.encode_own()),
        }
    }

    /// The entry's eight bytes, for a payload in its range.
    #[inline]
    pub(super) fn encode_own(self) -> u64 {
        match self {
            Entry::Free => 0,
            Entry::Same { fill } => u64::from(fill) << FILL_SHIFT | TAG_SAME,
            Entry::Cached {
                payload,
                length,
                state,
            } => {
                payload << PAYLOAD_SHIFT
                    | length.to_bits() << LENGTH_SHIFT
                    | state.encode()
                    | TAG_CACHED
            }
            Entry::Redirected(Redirect { location, length }) => {
                location.bits() << PAYLOAD_SHIFT | length.to_bits() << LENGTH_SHIFT | TAG_REDIRECTED
            }
        }
    }

    /// What `word` says; [`None`] if [`Entry::encode`] makes no such word.
    pub fn decode(word: u64) -> Option<Self> {
        // Bits that the layout leaves zero must be zero: encoding again shows all of them.
        Some(Self::decode_own(word)).filter(|entry| entry.encode() == Some(word))
    }

    /// What `word` says, which [`Entry::encode`] made.
    #[inline]
    pub(super) fn decode_own(word: u64) -> Self {
        let length = Length::from_bits(word >> LENGTH_SHIFT);
        match word & TAG_MASK {
            0 => Entry::Free,
            TAG_SAME => Entry::Same {
                fill: (word >> FILL_SHIFT) as u32,
            },
            TAG_CACHED => Entry::Cached {
                payload: word >> PAYLOAD_SHIFT,
                length,
                state: ObjectState::decode(word),
            },
            _ => Entry::Redirected(Redirect {
                location: Location::from_bits(word >> PAYLOAD_SHIFT),
                length,
            }),
        }
    }

    /// The word of a cached object in `state`, of that of the same object in any state.
    #[inline]
    pub(super) fn with_state(word: u64, state: ObjectState) -> u64 {
        word & !(HELD | MARKED) | state.encode()
    }
}

/// The 32 bits that `word` is made of twice, if it is.
#[inline]
pub fn halves(word: u64) -> Option<u32> {
    let low = word as u32;
    if (word >> u32::BITS) as u32 == low {
        Some(low)
    } else {
        None
    }
}

/// The word that is made of `fill` twice.
#[inline]
pub fn doubled(fill: u32) -> u64 {
    u64::from(fill) << u32::BITS | u64::from(fill)
}
