// SPDX-License-Identifier: GPL-2.0

//! A segment of a backing store: how objects lie in it.
//!
//! A backing store is a row of segments of 2 MiB. A segment is 512 blocks of 4,096 bytes, the unit
//! of reading and writing, and 131,072 units of 16 bytes, which a location counts. It holds records
//! back to back, each of which begins with a unit:
//!
//! ```text
//!  byte 0       4      6        8            12         16       16 + length
//!       | slot  | area | length | generation | checksum | object | 0 to the end of the unit |
//! ```
//!
//! All numbers are little-endian. `area` and `slot` name the slot that owns the record. `length` is
//! that of the object, 1 to 4,096. `generation` is the low half of the number of this filling of the
//! segment, and tells its records from those that an earlier one, or another pool, left in the same
//! blocks. `checksum` is of all the rest of the record.
//!
//! After the last record there are zeros to the end of its block. The blocks that follow hold what
//! they held before. A header of another generation, or of length 0, is the end.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::segment::{parse, Owner, SegmentWriter, Wanted, BLOCK};
//!
//! let checksum = |parts: &[&[u8]]| parts.iter().map(|part| part.len() as u32).sum();
//! let mut image = [0; BLOCK];
//! let mut writer = SegmentWriter::new(&mut image, 7, checksum);
//! let owner = Owner { area: 1, slot: 5 };
//! let unit = writer.append(owner, b"a compressed page").expect("there is room");
//! assert_eq!(writer.finish(), 1);
//!
//! let wanted = Wanted { unit, owner, length: 17, generation: 7 };
//! assert_eq!(parse(&image, &wanted, checksum), Ok(&b"a compressed page"[..]));
//! ```

use core::ops::Range;

use super::{
    fmt,
    PAGE_SIZE, //
};

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

const HEADER: usize = UNIT;
const CHECKSUM_AT: usize = 12;

const UNIT_BITS: u32 = (SEGMENT / UNIT).ilog2();
const SEGMENT_BITS: u32 = 27;
const STORE_BITS: u32 = 3;

/// The most backing stores of a pool.
pub const MAX_STORES: usize = 1 << STORE_BITS;
/// The most segments of a backing store: 256 TiB.
pub const MAX_SEGMENTS: usize = 1 << SEGMENT_BITS;

/// A checksum of bytes that are given in parts.
pub type Checksum = fn(&[&[u8]]) -> u32;

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
    pub area: u16,
    /// The slot of the area.
    pub slot: u32,
}

/// The bytes of the record of an object of `length` bytes.
#[inline]
pub fn record_size(length: usize) -> usize {
    HEADER + length.next_multiple_of(UNIT)
}

/// The blocks of its segment that the record of an object of `length` bytes touches, if it begins
/// with unit `unit`.
///
/// They are at most two: it begins at byte 4,080 of a block at the latest, and takes 4,112 bytes at
/// the most, which is to the end of the next block.
#[inline]
pub fn blocks(unit: usize, length: usize) -> Range<usize> {
    let begin = unit * UNIT;
    let end = begin + record_size(length);
    begin / BLOCK..end.div_ceil(BLOCK)
}

/// The unit that a record begins with.
struct RecordHeader {
    owner: Owner,
    length: u16,
    generation: u32,
    checksum: u32,
}

impl RecordHeader {
    /// The header at `at` in `bytes`, and all that follows it; [`None`] if `bytes` ends before.
    fn read(bytes: &[u8], at: usize) -> Option<(Self, &[u8])> {
        let (header, rest) = bytes.get(at..)?.split_first_chunk::<HEADER>()?;
        let [s0, s1, s2, s3, a0, a1, n0, n1, g0, g1, g2, g3, c0, c1, c2, c3] = *header;
        let header = Self {
            owner: Owner {
                area: u16::from_le_bytes([a0, a1]),
                slot: u32::from_le_bytes([s0, s1, s2, s3]),
            },
            length: u16::from_le_bytes([n0, n1]),
            generation: u32::from_le_bytes([g0, g1, g2, g3]),
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
        };
        Some((header, rest))
    }

    /// The header's bytes without the checksum.
    fn fields(&self) -> [u8; CHECKSUM_AT] {
        let [s0, s1, s2, s3] = self.owner.slot.to_le_bytes();
        let [a0, a1] = self.owner.area.to_le_bytes();
        let [n0, n1] = self.length.to_le_bytes();
        let [g0, g1, g2, g3] = self.generation.to_le_bytes();
        [s0, s1, s2, s3, a0, a1, n0, n1, g0, g1, g2, g3]
    }

    fn length(&self) -> usize {
        self.length.into()
    }

    /// The record's bytes after the header, of all that follows it.
    fn body<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        rest.get(..record_size(self.length()) - HEADER)
    }

    /// Returns whether the checksum is that of the header and `body`.
    fn holds(&self, body: &[u8], checksum: Checksum) -> bool {
        checksum(&[&self.fields(), body]) == self.checksum
    }
}

/// Fills a segment with records.
pub struct SegmentWriter<'a> {
    image: &'a mut [u8],
    end: usize,
    generation: u32,
    checksum: Checksum,
}

impl<'a> SegmentWriter<'a> {
    /// A writer of generation `generation` of a segment. The caller will write the segment, or its
    /// first blocks, from `image`, which may hold anything now.
    pub fn new(image: &'a mut [u8], generation: u32, checksum: Checksum) -> Self {
        Self {
            image,
            end: 0,
            generation,
            checksum,
        }
    }

    /// Appends a record of the object `data`, of 1 to 4,096 bytes, and returns the unit that it
    /// begins with; [`None`] if there is no room for it.
    ///
    /// Context: any; copies and sums `data`.
    pub fn append(&mut self, owner: Owner, data: &[u8]) -> Option<usize> {
        let begin = self.end;
        let end = begin + record_size(data.len());
        let (head, body) = self.image.get_mut(begin..end)?.split_at_mut(HEADER);
        let (object, padding) = body.split_at_mut(data.len());
        object.copy_from_slice(data);
        padding.fill(0);

        let header = RecordHeader {
            owner,
            length: data.len() as u16,
            generation: self.generation,
            checksum: 0,
        };
        let fields = header.fields();
        let checksum = (self.checksum)(&[&fields, body]);
        let (head_fields, head_checksum) = head.split_at_mut(CHECKSUM_AT);
        head_fields.copy_from_slice(&fields);
        head_checksum.copy_from_slice(&checksum.to_le_bytes());

        self.end = end;
        Some(begin / UNIT)
    }

    /// Fills the rest of the last block with zeros, and returns how many blocks there are to write.
    pub fn finish(self) -> usize {
        let blocks = self.end.div_ceil(BLOCK);
        if let Some(tail) = self.image.get_mut(self.end..blocks * BLOCK) {
            tail.fill(0);
        }
        blocks
    }
}

/// What a reader knows of the record that it is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The unit of its segment that it begins with.
    pub unit: usize,
    /// The slot that it belongs to.
    pub owner: Owner,
    /// The length of the object in bytes.
    pub length: usize,
    /// The generation of its segment.
    pub generation: u32,
}

/// Why a record is not the one that its reader wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The blocks end before it does.
    Short,
    /// It is of this generation of the segment, or of another pool.
    Generation(u32),
    /// It belongs to a slot of this area.
    Area(u16),
    /// It belongs to this slot.
    Slot(u32),
    /// Its object has this length.
    Length(u16),
    /// Something in it changed since it was written.
    Checksum,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the record is cut short"),
            Self::Generation(generation) => {
                write!(
                    f,
                    "the record is of another time or another pool: {generation}"
                )
            }
            Self::Area(area) => write!(f, "the record is of another area: {area}"),
            Self::Slot(slot) => write!(f, "the record is of another slot: {slot}"),
            Self::Length(length) => write!(f, "the record has another length: {length}"),
            Self::Checksum => f.write_str("the record's checksum is wrong"),
        }
    }
}

/// The object of the record that is `wanted`, in `bytes`: those of the [`blocks`] that it touches.
///
/// Context: any; sums the record.
pub fn parse<'a>(
    bytes: &'a [u8],
    wanted: &Wanted,
    checksum: Checksum,
) -> Result<&'a [u8], RecordError> {
    let at = wanted.unit * UNIT % BLOCK;
    let (header, rest) = RecordHeader::read(bytes, at).ok_or(RecordError::Short)?;
    // The generation comes first: if it is another, all the rest may be, too.
    if header.generation != wanted.generation {
        return Err(RecordError::Generation(header.generation));
    }
    if header.owner.area != wanted.owner.area {
        return Err(RecordError::Area(header.owner.area));
    }
    if header.owner.slot != wanted.owner.slot {
        return Err(RecordError::Slot(header.owner.slot));
    }
    if header.length() != wanted.length {
        return Err(RecordError::Length(header.length));
    }
    let body = header.body(rest).ok_or(RecordError::Short)?;
    if !header.holds(body, checksum) {
        return Err(RecordError::Checksum);
    }
    Ok(&body[..wanted.length])
}

/// A record, as it was found in the bytes of its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The unit that it begins with.
    pub unit: usize,
    /// The slot that it says it belongs to.
    pub owner: Owner,
    /// The object, of 1 to 4,096 bytes.
    pub data: &'a [u8],
    /// Whether the checksum is right. If not, nothing else here is sure.
    pub intact: bool,
}

/// The records of a segment, in order, up to the first header that makes no sense.
pub struct Records<'a> {
    image: &'a [u8],
    at: usize,
    generation: u32,
    checksum: Checksum,
}

/// The records of generation `generation` in `image`, the bytes of a segment or of its first
/// blocks.
///
/// A record that changed since it was written hides those after it only if its length or its
/// generation changed.
pub fn records(image: &[u8], generation: u32, checksum: Checksum) -> Records<'_> {
    Records {
        image,
        at: 0,
        generation,
        checksum,
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (header, rest) = RecordHeader::read(self.image, self.at)?;
        if header.generation != self.generation || !(1..=PAGE_SIZE).contains(&header.length()) {
            return None;
        }
        let body = header.body(rest)?;
        let unit = self.at / UNIT;
        self.at += record_size(header.length());
        Some(Record {
            unit,
            owner: header.owner,
            data: &body[..header.length()],
            intact: header.holds(body, self.checksum),
        })
    }
}
