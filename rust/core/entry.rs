// SPDX-License-Identifier: GPL-2.0

//! The eight bytes that say where a slot's page is.
//!
//! Entry types and bit layouts, most significant bit first:
//!
//! ```text
//!          63             32 31                16 15       4  3  2   0
//! FREE:   |------------------------- 0 ------------------------------|
//! SAME:   |---- fill -------|--------------- 0 ----------------| 001 |
//! PACKED: |------------ payload -----------------|- length --|H| 010 |
//! WHOLE:  |------------ payload -----------------|---- 0 ----|H| 011 |
//! FILL:   |------------ payload -----------------|---- 0 ----|H| 100 |
//! ```
//!
//! - FREE: the slot holds no page.
//! - SAME: every aligned 32 bits of the page are `fill`; nothing else is kept of it.
//! - PACKED: the page is an object of `length` bytes (1 to 4,095), its compressed form.
//! - WHOLE: the page is an object of 4,096 bytes, as it was: it did not compress well enough.
//! - FILL: the object is one 64-bit word that the page repeats, where its halves differ.
//!
//! The payload names the object: 48 bits, so that an 8-byte aligned address in a direct map of 2 PiB
//! fits. H is set while somebody holds the object still; see [`super::slot`].
//!
//! Nothing but this file touches the bits.

use super::PAGE_SIZE;

const TAG_BITS: u32 = 3;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;
const TAG_SAME: u64 = 1;
const TAG_PACKED: u64 = 2;
const TAG_WHOLE: u64 = 3;
const TAG_FILL: u64 = 4;

const HELD: u64 = 1 << 3;

const LENGTH_SHIFT: u32 = 4;
const LENGTH_MASK: u64 = (1 << 12) - 1;

const FILL_SHIFT: u32 = 32;

const PAYLOAD_SHIFT: u32 = 16;
/// Bits of a payload.
pub const PAYLOAD_BITS: u32 = u64::BITS - PAYLOAD_SHIFT;

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
    /// A page kept as an object.
    Object {
        /// Which object, in [`PAYLOAD_BITS`] bits.
        payload: u64,
        /// What it holds.
        form: Form,
        /// If somebody holds it still.
        held: bool,
    },
}

impl Entry {
    /// The entry's eight bytes; [`None`] if the payload or the length is out of its range.
    pub fn encode(self) -> Option<u64> {
        match self {
            Entry::Object { payload, .. } if payload >> PAYLOAD_BITS != 0 => None,
            Entry::Object {
                form: Form::Packed(length),
                ..
            } if Form::packed(length.into()).is_none() => None,
            _ => Some(self.encode_own()),
        }
    }

    /// The entry's eight bytes, for a payload and a length in their range.
    #[inline]
    pub(super) fn encode_own(self) -> u64 {
        match self {
            Entry::Free => 0,
            Entry::Same { fill } => u64::from(fill) << FILL_SHIFT | TAG_SAME,
            Entry::Object {
                payload,
                form,
                held,
            } => {
                let form = match form {
                    Form::Packed(length) => u64::from(length) << LENGTH_SHIFT | TAG_PACKED,
                    Form::Whole => TAG_WHOLE,
                    Form::Fill => TAG_FILL,
                };
                payload << PAYLOAD_SHIFT | form | if held { HELD } else { 0 }
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
        let form = match word & TAG_MASK {
            0 => return Entry::Free,
            TAG_SAME => {
                return Entry::Same {
                    fill: (word >> FILL_SHIFT) as u32,
                }
            }
            TAG_PACKED => Form::Packed(((word >> LENGTH_SHIFT) & LENGTH_MASK) as u16),
            TAG_WHOLE => Form::Whole,
            _ => Form::Fill,
        };
        Entry::Object {
            payload: word >> PAYLOAD_SHIFT,
            form,
            held: word & HELD != 0,
        }
    }

    /// The word of a held object, of that of the same object not held.
    #[inline]
    pub(super) fn hold(word: u64) -> u64 {
        word | HELD
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
