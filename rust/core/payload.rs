// SPDX-License-Identifier: GPL-2.0

//! Objects in memory that a word can name.

use super::PAGE_SIZE;

/// Bits of an object's name.
pub const PAYLOAD_BITS: u32 = 47;

/// Shows that an object's name comes out of a slot that was given the object. Only
/// [`slot`](super::slot) makes one.
pub struct Key(pub(super) ());

/// An object in memory that its bearer owns.
///
/// It is neither `Copy` nor `Clone`: there is one bearer for each object. An implementation keeps no
/// [`Key`]: with one it could make an object that a slot still owns.
pub trait Payload: Sized {
    /// Gives up the object for its name, of [`PAYLOAD_BITS`] bits, and its length.
    fn into_parts(self) -> (u64, Length);

    /// The object that [`Payload::into_parts`] gave up. A slot calls this, once for what it was
    /// given, or, while it holds the object still, to lend it.
    fn from_parts(name: u64, length: Length, key: Key) -> Self;
}

/// Bytes of an object: 1 to 4,096. A page that is kept as it was has 4,096 and is called
/// incompressible; any other was compressed to less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length(u16);

impl Length {
    /// A length of `bytes`, if an object can have it.
    #[inline]
    pub const fn new(bytes: usize) -> Option<Self> {
        match bytes {
            1..=PAGE_SIZE => Some(Self(bytes as u16)),
            _ => None,
        }
    }

    /// The number of bytes.
    #[inline]
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }

    /// Returns whether the object is an incompressible page.
    #[inline]
    pub const fn is_incompressible(self) -> bool {
        self.0 as usize == PAGE_SIZE
    }

    /// The length in the 12 bits of an entry: 4,096 is written as 0.
    #[inline]
    pub(super) const fn to_bits(self) -> u64 {
        self.0 as u64 % PAGE_SIZE as u64
    }

    /// The length that 12 bits of an entry say. Any 12 bits say one.
    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        match bits as u16 % PAGE_SIZE as u16 {
            0 => Self(PAGE_SIZE as u16),
            bytes => Self(bytes),
        }
    }
}
