// SPDX-License-Identifier: GPL-2.0

//! What a slot's object must be able to do: to become a name and a form, and an object again.

use super::PAGE_SIZE;

/// Bits of the name of an object.
pub const PAYLOAD_BITS: u32 = 47;

/// The length of an object in bytes: 1 to 4,096.
///
/// An object of 4,096 bytes is an incompressible page, kept as it was; a shorter one is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length(u16);

impl Length {
    pub(super) const BITS: u32 = PAGE_SIZE.ilog2();

    /// A length of `bytes`; [`None`] if no object has that length.
    #[inline]
    pub const fn new(bytes: usize) -> Option<Self> {
        match bytes {
            1..=PAGE_SIZE => Some(Self(bytes as u16)),
            _ => None,
        }
    }

    /// The length in bytes.
    #[inline]
    pub fn bytes(self) -> usize {
        self.0.into()
    }

    /// Returns whether an object of this length is a page kept as it was.
    #[inline]
    pub fn is_incompressible(self) -> bool {
        self.bytes() == PAGE_SIZE
    }

    /// The length as a number of [`Length::BITS`] bits, where 0 stands for 4,096.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        u64::from(self.0) % PAGE_SIZE as u64
    }

    /// The length that [`Length::bits`] made the lowest bits of `bits` of. Those above are ignored.
    #[inline]
    pub(super) fn from_bits(bits: u64) -> Self {
        match bits % PAGE_SIZE as u64 {
            0 => Self(PAGE_SIZE as u16),
            bits => Self(bits as u16),
        }
    }
}

/// The sizes of objects differ by so many bytes at least, or not at all: zsmalloc's size classes are so far
/// apart, and so are the places of records in a backing store.
const STEP: usize = 16;

/// Which of the two compressors of a pool made an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coder {
    /// The one that pages are stored with. An incompressible page, which no compressor made, counts as
    /// made by it.
    First,
    /// The one that old objects are compressed with again, each by itself or several as a bundle.
    Second,
}

/// What is known of an object beside its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Its length.
    pub length: Length,
    /// What made it.
    pub coder: Coder,
}

impl Form {
    /// Returns whether the second compressor may make a smaller object of the page.
    pub fn is_for_second(self) -> bool {
        self.coder == Coder::First && !self.length.is_incompressible()
    }

    /// Returns whether an object of `bytes` bytes takes less room than this one.
    pub fn is_larger_than(self, bytes: usize) -> bool {
        bytes.div_ceil(STEP) < self.length.bytes().div_ceil(STEP)
    }
}

/// Proof that a name comes out of a slot that was given the object. Only [`super::slot`] makes one.
pub struct Key(pub(super) ());

/// An object in memory, or a share of a bundle, that its bearer owns.
///
/// It is neither `Copy` nor `Clone`: there is one bearer for each object.
pub trait Payload: Sized {
    /// Gives up the object for its name, of [`PAYLOAD_BITS`] bits, and its form.
    fn into_parts(self) -> (u64, Form);

    /// The object that [`Payload::into_parts`] gave up.
    ///
    /// A slot calls this: once for each object that it was given, and, while it holds the object
    /// still, to lend it.
    fn from_parts(name: u64, form: Form, key: Key) -> Self;
}
