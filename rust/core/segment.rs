// SPDX-License-Identifier: GPL-2.0

//! A segment of a backing store: how objects lie in it.
//!
//! A backing store is a row of segments of 2 MiB. A segment is 512 blocks of 4,096 bytes, the unit
//! of reading and writing, and 131,072 units of 16 bytes, which a location counts. It holds groups
//! back to back: an index, and the records of up to 16 objects.
//!
//! ```text
//! group:
//!  byte 0                      128   144
//!       | entry | ... | entry | tag | record | ... | record |
//!
//! entry:
//!  byte 0      4      5   6        8
//!       | slot | area | 0 | length |
//!
//! record:
//!  byte 0        length
//!       | object | 0 to the end of the unit | tag |
//! ```
//!
//! All numbers are little-endian. The entries of an index are those of the records that follow it,
//! in their order: `area` and `slot` name the slot that owns the record, and `length` is that of the
//! object, 1 to 4,096. An entry of length 0 is the end of the segment. After an index without one
//! there is another, if the segment has room for it.
//!
//! An object and an index are protected, each by itself, by a tag of 16 bytes, and mostly encrypted:
//! see [`super::message`]. So a load needs no index, and what moves a segment reads no record before
//! it knows that a slot names it.
//!
//! After the last record there are bytes without a meaning to the end of its block. The blocks that
//! follow hold what they held before.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::segment::{Next, Owner, Record, SegmentWriter, Walk, BLOCK, INDEX};
//!
//! let mut image = [0; BLOCK];
//! let mut writer = SegmentWriter::new(&mut image);
//! let owner = Owner { area: 1, slot: 5 };
//! let unit = writer.append(owner, b"a compressed page").expect("there is room");
//! assert_eq!(writer.finish(), 1);
//! assert!(image[unit * 16..].starts_with(b"a compressed page"));
//!
//! let mut walk = Walk::new(BLOCK);
//! let index: &[u8; INDEX] = image.first_chunk().expect("it is in the first block");
//! let record = Record { unit, owner, length: 17 };
//! assert_eq!(walk.next(index), Next::Record(record));
//! assert_eq!(walk.next(index), Next::End);
//! ```

use core::ops::Range;

use super::PAGE_SIZE;

/// Bytes in a unit.
pub const UNIT: usize = 16;
/// Bytes in a block, the least that can be read or written.
pub const BLOCK: usize = PAGE_SIZE;
/// Bytes in a segment.
pub const SEGMENT: usize = 2 << 20;
/// Blocks in a segment.
pub const BLOCKS: usize = SEGMENT / BLOCK;
/// The most records that a writer puts into a segment if it has to remember each of them. If there
/// were more, they would be so small that they save little.
pub const MAX_FILLED: usize = 16384;

/// Bytes of the tag after an object or an index.
pub const TAG: usize = UNIT;

const ENTRY: usize = 8;
/// Records in a group.
const ENTRIES: usize = 16;
/// Bytes in an index, without its tag.
pub const INDEX: usize = ENTRIES * ENTRY;
const INDEX_SIZE: usize = INDEX + TAG;
/// What of an index is for one record.
const INDEX_SHARE: usize = INDEX_SIZE / ENTRIES;

const _: () = assert!(INDEX_SIZE % UNIT == 0 && INDEX_SIZE % ENTRIES == 0);

pub(super) const UNIT_BITS: u32 = (SEGMENT / UNIT).ilog2();
pub(super) const SEGMENT_BITS: u32 = 27;
const STORE_BITS: u32 = 3;

/// The most backing stores of a pool.
pub const MAX_STORES: usize = 1 << STORE_BITS;
/// The most segments of a backing store: 256 TiB.
pub const MAX_SEGMENTS: usize = 1 << SEGMENT_BITS;

/// Where a record is.
///
/// ```text
///  46     44 43                  17 16             0
/// |  store  |       segment        |      unit      |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location(u64);

impl Location {
    pub(super) const BITS: u32 = STORE_BITS + SEGMENT_BITS + UNIT_BITS;

    /// Unit `unit` of segment `segment` of backing store `store`; [`None`] if one is out of its
    /// range.
    pub fn new(store: usize, segment: usize, unit: usize) -> Option<Self> {
        let in_range = store < MAX_STORES && segment < MAX_SEGMENTS && unit < 1 << UNIT_BITS;
        in_range.then(|| {
            let segments = (store as u64) << SEGMENT_BITS | segment as u64;
            Self(segments << UNIT_BITS | unit as u64)
        })
    }

    /// The number of the backing store in its pool.
    #[inline]
    pub fn store(self) -> usize {
        (self.0 >> (SEGMENT_BITS + UNIT_BITS)) as usize
    }

    /// The number of the segment in its backing store.
    #[inline]
    pub fn segment(self) -> usize {
        (self.0 >> UNIT_BITS) as usize % MAX_SEGMENTS
    }

    /// The unit of the segment that the record begins with.
    #[inline]
    pub fn unit(self) -> usize {
        self.0 as usize % (1 << UNIT_BITS)
    }

    /// The location as a number of [`Location::BITS`] bits.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// The location that [`Location::bits`] made `bits` of. Each number of [`Location::BITS`] bits
    /// is one.
    #[inline]
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// The slot that a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The number of the area in its pool.
    pub area: u8,
    /// The slot of the area.
    pub slot: u32,
}

impl Owner {
    /// Slot `slot` of area `area`, of which there are less than 2<sup>32</sup> and 2<sup>8</sup>.
    #[inline(always)]
    pub fn new(area: usize, slot: usize) -> Self {
        Self {
            area: area as u8,
            slot: slot as u32,
        }
    }
}

/// A record, as its reader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The unit of its segment that it begins with.
    pub unit: usize,
    /// The slot that it belongs to.
    pub owner: Owner,
    /// The length of the object in bytes, 1 to 4,096.
    pub length: usize,
}

/// The bytes of an object of `length` bytes that are protected: with the zeros after it.
#[inline]
pub(super) const fn padded(length: usize) -> usize {
    length.next_multiple_of(UNIT)
}

/// The bytes that the object of `length` bytes takes together with its tag.
#[inline]
const fn size_in_place(length: usize) -> usize {
    padded(length) + TAG
}

/// The bytes that the record of an object of `length` bytes takes of its segment: object, tag, and
/// its share of an index.
#[inline]
pub const fn record_size(length: usize) -> usize {
    size_in_place(length) + INDEX_SHARE
}

/// A writer that found no room for a record left less than this of the segment, counting records by
/// [`record_size`].
pub const MAX_UNUSED: usize = INDEX_SIZE + size_in_place(PAGE_SIZE);

/// The blocks of its segment that the record of an object of `length` bytes touches, if it begins
/// with unit `unit`.
///
/// They are at most two: it begins at byte 4,080 of a block at the latest, and takes 4,112 bytes at
/// the most, which is to the end of the next block.
#[inline]
pub fn blocks(unit: usize, length: usize) -> Range<usize> {
    let begin = unit * UNIT;
    let end = begin + size_in_place(length);
    begin / BLOCK..end.div_ceil(BLOCK)
}

/// Fills a segment with records. Tags are zero.
pub struct SegmentWriter<'a> {
    image: &'a mut [u8],
    /// Where the index of the last group is.
    index: usize,
    /// How many of its entries are used.
    used: usize,
    end: usize,
}

impl<'a> SegmentWriter<'a> {
    /// A writer of a segment, which will be written from `image`, or its first blocks from there.
    /// `image` may hold anything now.
    pub fn new(image: &'a mut [u8]) -> Self {
        Self {
            image,
            index: 0,
            // There is none before the first record.
            used: ENTRIES,
            end: 0,
        }
    }

    /// Appends a record of the object `data`, of 1 to 4,096 bytes, and returns the unit that it
    /// begins with; [`None`] if there is no room for it.
    ///
    /// Context: any; copies `data`.
    pub fn append(&mut self, owner: Owner, data: &[u8]) -> Option<usize> {
        self.append_with(owner, data.len(), |object| {
            object.copy_from_slice(data);
            Some(())
        })
    }

    /// As [`SegmentWriter::append`], of an object of `length` bytes, which `fill` puts where it is
    /// told. There is no record, either, if `fill` returns [`None`].
    ///
    /// Context: as that of `fill`, which is called if there is room.
    pub fn append_with(
        &mut self,
        owner: Owner,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<usize> {
        let begins_group = self.used == ENTRIES;
        let begin = self.end + if begins_group { INDEX_SIZE } else { 0 };
        let end = begin + size_in_place(length);
        let place = self.image.get_mut(begin..end)?;
        // The object's last unit, and the tag.
        *place.last_chunk_mut()? = [0; UNIT + TAG];
        fill(place.get_mut(..length)?)?;
        if begins_group {
            self.begin_group();
        }

        let [s0, s1, s2, s3] = owner.slot.to_le_bytes();
        let [n0, n1] = (length as u16).to_le_bytes();
        let at = self.index + self.used * ENTRY;
        let entry = self.image.get_mut(at..)?.first_chunk_mut()?;
        *entry = [s0, s1, s2, s3, owner.area, 0, n0, n1];
        self.used += 1;
        self.end = end;
        Some(begin / UNIT)
    }

    /// Puts an empty index at the end, if there is room.
    fn begin_group(&mut self) {
        let end = self.end + INDEX_SIZE;
        if let Some(index) = self.image.get_mut(self.end..end) {
            index.fill(0);
            (self.index, self.used, self.end) = (self.end, 0, end);
        }
    }

    /// Fills the rest of the last block with zeros, and returns how many blocks there are to write.
    pub fn finish(mut self) -> usize {
        if self.used == ENTRIES && self.end > 0 {
            self.begin_group();
        }
        let blocks = self.end.div_ceil(BLOCK);
        if let Some(tail) = self.image.get_mut(self.end..blocks * BLOCK) {
            tail.fill(0);
        }
        blocks
    }
}

/// What a walk comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A record.
    Record(Record),
    /// Another index, which the next step is to be given.
    Index,
    /// The end of the segment.
    End,
}

/// A walk over the records of a segment, in order.
pub struct Walk {
    /// The bytes of the segment.
    size: usize,
    /// Where the index of the group is.
    index: usize,
    /// How many of its entries were passed.
    passed: usize,
    /// Where the record of the next entry begins, or the next index.
    at: usize,
}

impl Walk {
    /// A walk over a segment of `size` bytes, from its beginning.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            index: 0,
            passed: 0,
            at: INDEX_SIZE,
        }
    }

    /// The unit that the index begins with which the next step is to be given.
    pub fn index(&self) -> usize {
        self.index / UNIT
    }

    /// The end of what was passed, in bytes from the beginning of the segment.
    pub fn end(&self) -> usize {
        self.at
    }

    /// Goes one step. `index` is the content of the index at [`Walk::index`].
    ///
    /// Whatever the index holds, a record lies within the segment. After the end comes the end.
    pub fn next(&mut self, index: &[u8; INDEX]) -> Next {
        let entry = index.get(self.passed * ENTRY..);
        let Some(&entry) = entry.and_then(|rest| rest.first_chunk::<ENTRY>()) else {
            let end = self.at + INDEX_SIZE;
            if end > self.size {
                return Next::End;
            }
            (self.index, self.passed, self.at) = (self.at, 0, end);
            return Next::Index;
        };
        let [s0, s1, s2, s3, area, _, n0, n1] = entry;
        let length = usize::from(u16::from_le_bytes([n0, n1]));
        let end = self.at + size_in_place(length);
        if !(1..=PAGE_SIZE).contains(&length) || end > self.size {
            return Next::End;
        }
        let unit = self.at / UNIT;
        let slot = u32::from_le_bytes([s0, s1, s2, s3]);
        (self.passed, self.at) = (self.passed + 1, end);
        Next::Record(Record {
            unit,
            owner: Owner { area, slot },
            length,
        })
    }
}
