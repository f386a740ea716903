// SPDX-License-Identifier: GPL-2.0

//! The eight bytes that say where a slot's page is.
//!
//! Entry types and bit layouts, most significant bit first:
//!
//! ```text
//!                      63             32 31        17 16 15       4  3  2   0
//! FREE:               |------------------------- 0 --------------------------|
//! SAME:               |---- fill -------|------------- 0 -------------| 001 |
//! PACKED, cached:     |---------- payload -----------|M|- length --|H| 010 |
//! WHOLE, cached:      |---------- payload -----------|M|--- 0 -----|H| 011 |
//! FILL, cached:       |---------- payload -----------|M|--- 0 -----|H| 100 |
//! PACKED, redirected: |---------- location ----------|0|- length --|0| 101 |
//! WHOLE, redirected:  |---------- location ----------|0|--- 0 -----|0| 110 |
//! FILL, redirected:   |---------- location ----------|0|--- 0 -----|0| 111 |
//! ```
//!
//! - FREE: the slot holds no page.
//! - SAME: every aligned 32 bits of the page are `fill`; nothing else is kept of it.
//! - PACKED: the page is an object of `length` bytes (1 to 4,095), its compressed form.
//! - WHOLE: the page is an object of 4,096 bytes, as it was: it did not compress well enough.
//! - FILL: the object is one 64-bit word that the page repeats, where its halves differ.
//!
//! A cached object is in memory. The payload names it: 47 bits, so that an 8-byte aligned address in
//! a direct map of 1 PiB fits. H is set while somebody holds the object still, M while the object is
//! unchanged since a worker marked it; never both. See [`super::slot`].
//!
//! A redirected object is in a backing store, at a [`Location`].
//!
//! Nothing but this file touches the bits.

use super::{segment::Location, PAGE_SIZE};

const TAG_BITS: u32 = 3;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;
const TAG_SAME: u64 = 1;
const TAG_PACKED: u64 = 2;
const TAG_WHOLE: u64 = 3;
const TAG_FILL: u64 = 4;
/// From the tag of a cached object to that of a redirected one of the same form.
const REDIRECT: u64 = 3;

const HELD: u64 = 1 << 3;
const MARKED: u64 = 1 << 16;

const LENGTH_SHIFT: u32 = 4;
const LENGTH_MASK: u64 = (1 << 12) - 1;

const FILL_SHIFT: u32 = 32;

const PAYLOAD_SHIFT: u32 = 17;
/// Bits of a payload.
pub const PAYLOAD_BITS: u32 = u64::BITS - PAYLOAD_SHIFT;

const _: () = assert!(Location::BITS == PAYLOAD_BITS);

/// What an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A compressed page, of 1 to 4,095 bytes.
    Packed(u16),
    /// A page as it was, 4,096 bytes.
    Whole,
    /// The 64-bit word that the page repeats, 8 bytes.
    Fill,
}

impl Form {
    /// The object's length in bytes.
    pub fn length(self) -> usize {
        match self {
            Form::Packed(length) => length.into(),
            Form::Whole => PAGE_SIZE,
            Form::Fill => size_of::<u64>(),
        }
    }

    /// The form of a compressed page of `length` bytes, if that is a length it can have.
    pub fn packed(length: usize) -> Option<Self> {
        match length {
            1..PAGE_SIZE => Some(Form::Packed(length as u16)),
            _ => None,
        }
    }

    /// If an entry can say it.
    fn is_valid(self) -> bool {
        match self {
            Form::Packed(length) => Form::packed(length.into()).is_some(),
            Form::Whole | Form::Fill => true,
        }
    }

    /// The tag of a cached object, and its length.
    #[inline]
    fn encode(self) -> u64 {
        match self {
            Form::Packed(length) => u64::from(length) << LENGTH_SHIFT | TAG_PACKED,
            Form::Whole => TAG_WHOLE,
            Form::Fill => TAG_FILL,
        }
    }

    /// The form that `word` says, `tag` being that of a cached object.
    #[inline]
    fn decode(tag: u64, word: u64) -> Self {
        match tag {
            TAG_PACKED => Form::Packed(((word >> LENGTH_SHIFT) & LENGTH_MASK) as u16),
            TAG_WHOLE => Form::Whole,
            _ => Form::Fill,
        }
    }
}

/// What goes on with a cached object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Idle,
    /// Somebody holds it still.
    Held,
    /// A worker copied it, and nobody has looked at it since.
    Marked,
}

impl State {
    #[inline]
    fn encode(self) -> u64 {
        match self {
            State::Idle => 0,
            State::Held => HELD,
            State::Marked => MARKED,
        }
    }

    #[inline]
    fn decode(word: u64) -> Self {
        match word & (HELD | MARKED) {
            0 => State::Idle,
            HELD => State::Held,
            _ => State::Marked,
        }
    }
}

/// An object in a backing store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where it is.
    pub location: Location,
    /// What it holds.
    pub form: Form,
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
        /// What it holds.
        form: Form,
        /// What goes on with it.
        state: State,
    },
    /// A page kept as an object in a backing store.
    Redirected(Redirect),
}

impl Entry {
    /// The entry's eight bytes; [`None`] if the payload or the length is out of its range.
    pub fn encode(self) -> Option<u64> {
        let valid = match self {
            Entry::Free | Entry::Same { .. } => true,
            Entry::Cached { payload, form, .. } => payload >> PAYLOAD_BITS == 0 && form.is_valid(),
            Entry::Redirected(redirect) => redirect.form.is_valid(),
        };
        valid.then(|| self.encode_own())
    }

    /// The entry's eight bytes, for a payload and a length in their range.
    #[inline]
    pub(super) fn encode_own(self) -> u64 {
        match self {
            Entry::Free => 0,
            Entry::Same { fill } => u64::from(fill) << FILL_SHIFT | TAG_SAME,
            Entry::Cached {
                payload,
                form,
                state,
            } => payload << PAYLOAD_SHIFT | form.encode() | state.encode(),
            Entry::Redirected(Redirect { location, form }) => {
                location.bits() << PAYLOAD_SHIFT | (form.encode() + REDIRECT)
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
        match word & TAG_MASK {
            0 => Entry::Free,
            TAG_SAME => Entry::Same {
                fill: (word >> FILL_SHIFT) as u32,
            },
            tag @ TAG_PACKED..=TAG_FILL => Entry::Cached {
                payload: word >> PAYLOAD_SHIFT,
                form: Form::decode(tag, word),
                state: State::decode(word),
            },
            tag => Entry::Redirected(Redirect {
                location: Location::from_bits(word >> PAYLOAD_SHIFT),
                form: Form::decode(tag - REDIRECT, word),
            }),
        }
    }

    /// The word of a cached object in `state`, of that of the same object in any state.
    #[inline]
    pub(super) fn with_state(word: u64, state: State) -> u64 {
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
