// SPDX-License-Identifier: GPL-2.0

//! The eight bytes that say where a slot's page is.
//!
//! Entry types and bit layouts, most significant bit first:
//!
//! ```text
//!              63        32 31          17  16  15        4   3   2   1   0
//! FREE:       |---------------------------- 0 -----------------------------|
//! SAME:       |---- fill ----|------------------ 0 --------------| 1 | 0 0 |
//! LOST:       |-------------------------- 0 ----------------| 1 | 0 | 0 0 |
//! REDIRECTED: |---------- location ---------| 0 |-- length --| 0 | C | 0 1 |
//! CACHED:     |---------- payload ----------| S |-- length --| S | A | 1 C |
//! ```
//!
//! - FREE: the slot holds no page.
//! - SAME: every aligned 32 bits of the page are `fill`; nothing else is kept of it.
//! - LOST: the page was an object in a backing store that was given up.
//! - REDIRECTED: the page is an object in a backing store, of `length` bytes, at a [`Location`].
//! - CACHED: the page is an object in memory, of `length` bytes, or a share of a bundle that counts as so
//!   many, see [`super::bundle`]. The payload names it: 47 bits, so that an 8-byte aligned address in a direct
//!   map of 512 TiB fits, and a bit that tells a share. S and A are its [`ObjectState`],
//!   see [`super::slot`]:
//!
//!   ```text
//!    S  A
//!   00  0  idle
//!   00  1  aged: idle, and the mover came by and it was not looked at since
//!   01  1  held: a looker holds it still
//!   10  0  marked in the first lane: unchanged since the mover copied it for a batch
//!   11  0  marked in the second
//!   ```
//!
//! `length` is that of the compressed page, 1 to 4,095 bytes, or 0 for an incompressible page,
//! which is an object of 4,096 bytes. C is 1 if the second compressor made the object, see [`Coder`].
//!
//! Nothing but this file touches the bits.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::entry::{halves, Entry};
//!
//! let fill = halves(0x2020_2020_2020_2020).expect("both are equal");
//! let entry = Entry::Same { fill };
//! assert_eq!(entry.encode(), Some(0x2020_2020_0000_0004));
//! assert_eq!(Entry::decode(0x2020_2020_0000_0004), Some(entry));
//! ```

use super::{
    payload::{
        Coder,
        Form,
        Length,
        PAYLOAD_BITS, //
    },
    segment::Location,
};

/// An object in memory.
const CACHED: u64 = 1 << 1;
const CACHED_SECOND: u64 = 1 << 0;
/// One in a backing store, if there is none in memory.
const REDIRECTED: u64 = 1 << 0;
const REDIRECTED_SECOND: u64 = 1 << 2;
/// If there is neither.
const SAME: u64 = 1 << 2;
const LOST: u64 = 1 << 3;

/// The word of a free slot.
pub(super) const FREE: u64 = 0;

const AGED: u64 = 1 << 2;
const STATE_LOW: u64 = 1 << 3;
const STATE_HIGH: u64 = 1 << 16;
const STATE_MASK: u64 = STATE_HIGH | STATE_LOW | AGED;
/// Without the second, the compiler takes one instruction more to let go of an object.
const HELD: u64 = STATE_LOW | AGED;

const LENGTH_SHIFT: u32 = 4;
const FILL_SHIFT: u32 = 32;
const PAYLOAD_SHIFT: u32 = u64::BITS - PAYLOAD_BITS;

const _: () = assert!(Location::BITS == PAYLOAD_BITS);
const _: () = assert!(STATE_HIGH == 1 << (LENGTH_SHIFT + Length::BITS));
const _: () = assert!(STATE_HIGH << 1 == 1 << PAYLOAD_SHIFT);

/// A way of objects to the backing stores. There is one batch at a time in each lane, so marks of
/// two batches that are under way at once are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// One of them.
    First,
    /// The other one.
    Second,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];
}

/// What goes on with a cached object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectState {
    /// Nothing.
    Idle,
    /// Nothing, and the mover came by, and it was not looked at since.
    Aged,
    /// A looker holds it still.
    Held,
    /// The mover copied it for the batch in this lane, and it was not looked at since.
    Marked(Lane),
}

impl ObjectState {
    #[inline]
    fn encode(self) -> u64 {
        match self {
            ObjectState::Idle => 0,
            ObjectState::Aged => AGED,
            ObjectState::Held => HELD,
            ObjectState::Marked(Lane::First) => STATE_HIGH,
            ObjectState::Marked(Lane::Second) => STATE_HIGH | STATE_LOW,
        }
    }

    #[inline]
    fn decode(word: u64) -> Self {
        match word & STATE_MASK {
            0 => ObjectState::Idle,
            AGED => ObjectState::Aged,
            HELD => ObjectState::Held,
            STATE_HIGH => ObjectState::Marked(Lane::First),
            _ => ObjectState::Marked(Lane::Second),
        }
    }
}

/// An object in a backing store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where it is.
    pub location: Location,
    /// What it is.
    pub form: Form,
}

/// The bit of an object's `coder`, where `second` is the bit of the second.
#[inline]
fn coder_bit(coder: Coder, second: u64) -> u64 {
    match coder {
        Coder::First => 0,
        Coder::Second => second,
    }
}

/// The form of the object that `word` names, where `second` is the bit of the second compressor.
#[inline]
fn form_of(word: u64, second: u64) -> Form {
    Form {
        length: Length::from_bits(word >> LENGTH_SHIFT),
        coder: match word & second {
            0 => Coder::First,
            _ => Coder::Second,
        },
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
    /// A page kept as an object in memory.
    Cached {
        /// Which object, in [`PAYLOAD_BITS`] bits.
        payload: u64,
        /// What it is.
        form: Form,
        /// What goes on with it.
        state: ObjectState,
    },
    /// A page kept as an object in a backing store.
    Redirected(Redirect),
    /// A page that was in a backing store which was given up.
    Lost,
}

impl Entry {
    /// The length of the object that its page is kept as, in memory or in a backing store; [`None`] if
    /// there is none.
    pub fn length(self) -> Option<Length> {
        match self {
            Entry::Cached { form, .. } | Entry::Redirected(Redirect { form, .. }) => {
                Some(form.length)
            }
            Entry::Free | Entry::Same { .. } | Entry::Lost => None,
        }
    }

    /// The entry's eight bytes; [`None`] if the payload is out of its range.
    pub fn encode(self) -> Option<u64> {
        let is_valid = match self {
            Entry::Free | Entry::Same { .. } | Entry::Redirected(_) | Entry::Lost => true,
            Entry::Cached { payload, .. } => payload >> PAYLOAD_BITS == 0,
        };
        is_valid.then(|| self.encode_valid())
    }

    /// The entry's eight bytes, for a payload in its range.
    #[inline]
    pub(super) fn encode_valid(self) -> u64 {
        match self {
            Entry::Free => FREE,
            Entry::Same { fill } => u64::from(fill) << FILL_SHIFT | SAME,
            Entry::Cached {
                payload,
                form,
                state,
            } => {
                payload << PAYLOAD_SHIFT
                    | form.length.bits() << LENGTH_SHIFT
                    | state.encode()
                    | CACHED
                    | coder_bit(form.coder, CACHED_SECOND)
            }
            Entry::Redirected(Redirect { location, form }) => {
                location.bits() << PAYLOAD_SHIFT
                    | form.length.bits() << LENGTH_SHIFT
                    | REDIRECTED
                    | coder_bit(form.coder, REDIRECTED_SECOND)
            }
            Entry::Lost => LOST,
        }
    }

    /// The entry of which `word` is the eight bytes; [`None`] if [`Entry::encode`] makes no such
    /// word.
    pub fn decode(word: u64) -> Option<Self> {
        // Bits that the layout leaves zero must be zero: encoding again shows all of them.
        Some(Self::decode_valid(word)).filter(|entry| entry.encode() == Some(word))
    }

    /// The entry of which `word` is the eight bytes, for a word that [`Entry::encode`] made.
    #[inline]
    pub(super) fn decode_valid(word: u64) -> Self {
        if word & CACHED != 0 {
            return Entry::Cached {
                payload: word >> PAYLOAD_SHIFT,
                form: form_of(word, CACHED_SECOND),
                state: ObjectState::decode(word),
            };
        }
        if word & REDIRECTED != 0 {
            return Entry::Redirected(Redirect {
                location: Location::from_bits(word >> PAYLOAD_SHIFT),
                form: form_of(word, REDIRECTED_SECOND),
            });
        }
        match word & (SAME | LOST) {
            FREE => Entry::Free,
            SAME => Entry::Same {
                fill: (word >> FILL_SHIFT) as u32,
            },
            _ => Entry::Lost,
        }
    }

    /// The word of a cached object in `state`, made of that of the same object in any state.
    #[inline]
    pub(super) fn with_state(word: u64, state: ObjectState) -> u64 {
        word & !STATE_MASK | state.encode()
    }
}

/// The 32 bits that `word` repeats; [`None`] if its halves differ.
#[inline]
pub fn halves(word: u64) -> Option<u32> {
    let low = word as u32;
    if (word >> u32::BITS) as u32 == low {
        Some(low)
    } else {
        None
    }
}

/// The word that repeats `fill`.
#[inline]
pub fn doubled(fill: u32) -> u64 {
    u64::from(fill) << u32::BITS | u64::from(fill)
}
