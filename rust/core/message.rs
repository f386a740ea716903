// SPDX-License-Identifier: GPL-2.0

//! What of a segment is protected by itself: an object, or an index.
//!
//! A message has a tag after it, which shows that it is what was written there. The tag is made with
//! a number that no other message has in the life of the store, its nonce. What reads the message
//! makes the nonce of what the memory knows, and nothing that the disk says is part of it:
//!
//! ```text
//!  95                  64 63      56 55         39 38                     0
//! |         slot         |   area   |    unit     |       generation       |
//! ```
//!
//! - `generation` counts how often segments of the store were filled, see [`super::log`]. Each
//!   filling has a number of its own, and in one filling each unit is written once. So generation and
//!   unit alone are never the same for two messages.
//! - `area` and `slot` are of the owner of an object, and all ones for an index.
//!
//! So all that may be in the place of a message is found out: what another message is, of another
//! slot, from another place, or what was in the same place at another time.
//!
//! An encrypted store has a key of its own, made when the store is added, and tags of a cipher that
//! can be made with the key only. In one that is not encrypted, the tag is the nonce itself and a
//! checksum of the message and of it: that finds accidents, and an attacker can make it.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::message::{verify_plain, protect_plain, Message, MessageError};
//! use ghostswap_core::segment::{Owner, Record, BLOCK};
//!
//! let checksum = |bytes: &[u8]| bytes.iter().map(|b| u32::from(*b)).sum();
//! let owner = Owner { area: 1, slot: 5 };
//! let record = Record { unit: 9, owner, length: 3 };
//! let mut blocks = [0; BLOCK];
//! blocks[144..147].copy_from_slice(b"abc");
//! let message = Message::object(7, &record);
//! protect_plain(&mut blocks, &message, checksum).expect("there is room");
//! let object = verify_plain(&blocks, &message, checksum).expect("it is there");
//! assert!(object.starts_with(b"abc"));
//!
//! let later = Message::object(8, &record);
//! assert_eq!(verify_plain(&blocks, &later, checksum), Err(MessageError::Other));
//! ```

use core::ops::Range;

use super::{
    fmt,
    log::GENERATION_BITS,
    segment::{
        padded,
        Next,
        Owner,
        Record,
        Walk,
        BLOCK,
        INDEX,
        SEGMENT,
        TAG,
        UNIT,
        UNIT_BITS, //
    },
};

/// Bytes of a nonce. The first eight are never the same for two messages of a store.
pub const NONCE: usize = 12;

const AREA_SHIFT: u32 = u64::BITS - u8::BITS;
const UNIT_SHIFT: u32 = AREA_SHIFT - UNIT_BITS;

const _: () = assert!(GENERATION_BITS <= UNIT_SHIFT);

/// The owner of an index, which is no slot.
const NO_OWNER: Owner = Owner {
    area: u8::MAX,
    slot: u32::MAX,
};

/// A checksum of bytes.
pub type Checksum = fn(&[u8]) -> u32;

/// Which message it is, and where in its segment.
pub struct Message {
    unit: usize,
    size: usize,
    nonce: [u8; NONCE],
}

impl Message {
    /// The object of `record`, with the zeros after it, in generation `generation` of its segment.
    pub fn object(generation: u64, record: &Record) -> Self {
        Self::new(generation, record.unit, record.owner, padded(record.length))
    }

    /// The index at unit `unit`.
    pub fn index(generation: u64, unit: usize) -> Self {
        Self::new(generation, unit, NO_OWNER, INDEX)
    }

    fn new(generation: u64, unit: usize, owner: Owner, size: usize) -> Self {
        let Owner { area, slot } = owner;
        let place = generation | (unit as u64) << UNIT_SHIFT | u64::from(area) << AREA_SHIFT;
        let [p0, p1, p2, p3, p4, p5, p6, p7] = place.to_le_bytes();
        let [s0, s1, s2, s3] = slot.to_le_bytes();
        Self {
            unit,
            size,
            nonce: [p0, p1, p2, p3, p4, p5, p6, p7, s0, s1, s2, s3],
        }
    }

    /// The number that no other message of the store has.
    pub fn nonce(&self) -> &[u8; NONCE] {
        &self.nonce
    }

    /// The block of its segment that it begins in.
    pub fn block(&self) -> usize {
        self.unit * UNIT / BLOCK
    }

    /// Its bytes, counted from the beginning of that block. The tag follows them.
    pub fn range(&self) -> Range<usize> {
        let begin = self.unit * UNIT % BLOCK;
        begin..begin + self.size
    }
}

/// The messages of a segment, in the order in which they are protected: an index after its records,
/// for it says where they are.
pub struct Messages {
    generation: u64,
    walk: Walk,
    is_done: bool,
}

impl Messages {
    /// Those of generation `generation` of a segment.
    pub fn new(generation: u64) -> Self {
        Self {
            generation,
            walk: Walk::new(SEGMENT),
            is_done: false,
        }
    }

    /// The next of `image`, the first blocks of the segment as a writer left them; [`None`] at the
    /// end. Those before may be protected.
    pub fn next(&mut self, image: &[u8]) -> Option<Message> {
        if self.is_done {
            return None;
        }
        let index = self.walk.index();
        let next = self.walk.next(image.get(index * UNIT..)?.first_chunk()?);
        self.is_done = next == Next::End;
        Some(match next {
            Next::Record(record) => Message::object(self.generation, &record),
            Next::Index | Next::End => Message::index(self.generation, index),
        })
    }

    /// The end of the last, in bytes from the beginning of the segment, once all were given.
    pub fn end(&self) -> Option<usize> {
        self.is_done.then(|| self.walk.end())
    }
}

/// Why a message is not the one that its reader wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// The blocks end before it does.
    Short,
    /// It is another one.
    Other,
    /// It, or its tag, is not what was written there.
    Changed,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "what is there is cut short",
            Self::Other => "what is there is of another slot, place, time or pool",
            Self::Changed => "what is there is not what was written",
        })
    }
}

/// Makes the tag of `message` in a store that is not encrypted. `bytes` begin with the block that
/// the message begins in. [`None`] if they end before it does.
///
/// Context: any; sums the message.
#[must_use]
pub fn protect_plain(bytes: &mut [u8], message: &Message, checksum: Checksum) -> Option<()> {
    let Range { start, end } = message.range();
    let bytes = bytes.get_mut(start..end + TAG)?;
    let (summed, tag_sum) = bytes.split_at_mut(message.size + NONCE);
    *summed.last_chunk_mut()? = message.nonce;
    tag_sum.copy_from_slice(&checksum(summed).to_le_bytes());
    Some(())
}

/// What `message` says, in a store that is not encrypted. `bytes` as for [`protect_plain`].
///
/// Context: any; sums the message.
pub fn verify_plain<'a>(
    bytes: &'a [u8],
    message: &Message,
    checksum: Checksum,
) -> Result<&'a [u8], MessageError> {
    let Range { start, end } = message.range();
    let bytes = bytes.get(start..end + TAG).ok_or(MessageError::Short)?;
    let (summed, tag_sum) = bytes.split_at(message.size + NONCE);
    let (content, tag_nonce) = summed.split_at(message.size);
    if tag_nonce != message.nonce {
        return Err(MessageError::Other);
    }
    if tag_sum != checksum(summed).to_le_bytes() {
        return Err(MessageError::Changed);
    }
    Ok(content)
}
