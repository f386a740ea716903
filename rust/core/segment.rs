// SPDX-License-Identifier: GPL-2.0

//! A segment of a backing store: how objects lie in it.
//!
//! A store is a row of segments of 2 MiB. A segment is 512 blocks of 4,096 bytes, which are what is
//! read and written, and 131,072 units of 16 bytes, which are what a location counts. It holds
//! records back to back, each of which begins with a unit:
//!
//! ```text
//!  byte 0          4      6        8      12         16         16 + length
//!       |   slot   | area | length | generation | checksum |  object  | 0 to the end of the unit |
//! ```
//!
//! All numbers are little-endian. `area` and `slot` say whose page the record is. `length` is that of
//! the object, 1 to 4,096. `generation` tells the records of this time from what an earlier one, or
//! another pool, left in the same blocks. `checksum` is of all the rest of the record.
//!
//! After the last record there are zeros to the end of its block, and whatever was there before in
//! the blocks that follow. A header of another generation, or of length 0, is the end.

use super::{
    fmt::{
        self,
        Display,
        Formatter, //
    },
    payload::Length,
    PAGE_SIZE,
};

/// Bytes in a unit.
pub const UNIT: usize = 16;
/// Bytes in a block, the least that is read or written.
pub const BLOCK: usize = PAGE_SIZE;
/// Bytes in a segment.
pub const SEGMENT: usize = 2 << 20;
/// Blocks in a segment.
pub const BLOCKS: usize = SEGMENT / BLOCK;
/// The most records that are put into a segment by who has to remember each of them. More than
/// that are so small that they win little.
pub const MAX_FILLED: usize = 16384;

const HEADER: usize = UNIT;
const CHECKSUM_AT: usize = 12;

const UNIT_BITS: u32 = (SEGMENT / UNIT).ilog2();
const SEGMENT_BITS: u32 = 27;
const STORE_BITS: u32 = 3;

/// The most backing stores of a pool.
pub const MAX_STORES: usize = 1 << STORE_BITS;
/// The most segments of a store: 256 TiB.
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

    /// Unit `unit` of segment `segment` of store `store`; [`None`] if one is out of its range.
    pub fn new(store: usize, segment: usize, unit: usize) -> Option<Self> {
        let in_range = store < MAX_STORES && segment < MAX_SEGMENTS && unit < 1 << UNIT_BITS;
        in_range.then(|| {
            let segments = (store as u64) << SEGMENT_BITS | segment as u64;
            Self(segments << UNIT_BITS | unit as u64)
        })
    }

    /// The number of the store in its pool.
    #[inline]
    pub fn store(self) -> usize {
        (self.0 >> (SEGMENT_BITS + UNIT_BITS)) as usize
    }

    /// The number of the segment in its store.
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

    /// The location that `bits` are of. Each number of [`Location::BITS`] bits is one.
    #[inline]
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Whose page a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The number of the area in its pool.
    pub area: u16,
    /// The slot of the area.
    pub slot: u32,
}

/// Bytes that the record of an object of `length` bytes takes.
#[inline]
pub fn record_size(length: usize) -> usize {
    HEADER + length.next_multiple_of(UNIT)
}

/// The blocks of its segment that the record of an object of `length` bytes touches, if it begins
/// with unit `unit`. They are at most two: it begins at byte 4,080 of a block at the latest, and
/// takes 4,112 bytes at the most, which is to the end of the next block.
#[inline]
pub fn blocks(unit: usize, length: usize) -> core::ops::Range<usize> {
    let begin = unit * UNIT;
    let end = begin + record_size(length);
    begin / BLOCK..end.div_ceil(BLOCK)
}

/// What a record begins with.
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
        let [s0, s1, s2, s3, a0, a1, n0, n1, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        let header = Self {
            owner: Owner {
                area: u16::from_le_bytes([a0, a1]),
                slot: u32::from_le_bytes([s0, s1, s2, s3]),
            },
            length: u16::from_le_bytes([n0, n1]),
            generation: u32::from_le_bytes([l0, l1, l2, l3]),
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
        };
        Some((header, rest))
    }

    /// The header's bytes but the checksum's.
    fn fields(&self) -> [u8; CHECKSUM_AT] {
        let [s0, s1, s2, s3] = self.owner.slot.to_le_bytes();
        let [a0, a1] = self.owner.area.to_le_bytes();
        let [n0, n1] = self.length.to_le_bytes();
        let [l0, l1, l2, l3] = self.generation.to_le_bytes();
        [s0, s1, s2, s3, a0, a1, n0, n1, l0, l1, l2, l3]
    }

    fn length(&self) -> usize {
        self.length.into()
    }

    /// The record's bytes after the header, of all that follows it.
    fn body<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        rest.get(..record_size(self.length()) - HEADER)
    }

    /// If the checksum is that of the header and `body`.
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
    /// A writer for the segment that is in its generation `generation` and whose bytes, or the first blocks of
    /// them, will be written from `image`, whatever that holds.
    pub fn new(image: &'a mut [u8], generation: u32, checksum: Checksum) -> Self {
        Self {
            image,
            end: 0,
            generation,
            checksum,
        }
    }

    /// Appends a record of the object `data`, of 1 to 4,096 bytes, and says with which unit it
    /// begins; [`None`] if there is no room for it.
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

    /// Fills the last block with zeros, and says how many blocks there are to write.
    pub fn finish(self) -> usize {
        let blocks = self.end.div_ceil(BLOCK);
        if let Some(tail) = self.image.get_mut(self.end..blocks * BLOCK) {
            tail.fill(0);
        }
        blocks
    }
}

/// What a reader knows of the record that it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The unit of its segment that it begins with.
    pub unit: usize,
    /// Whose page it is.
    pub owner: Owner,
    /// The length of the object.
    pub length: Length,
    /// The generation of its segment.
    pub generation: u32,
}

/// Why a record is not what its reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The blocks end before it does.
    Short,
    /// It is of this generation of the segment, or of another pool's.
    Generation(u32),
    /// It is a page of this area.
    Area(u16),
    /// It is the page of this slot.
    Slot(u32),
    /// Its object has this length.
    Length(u16),
    /// Something in it changed since it was written.
    Checksum,
}

/// Why, for the log.
impl Display for RecordError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Short => f.write_str("the record is cut short"),
            RecordError::Generation(n) => {
                write!(f, "the record is of another time or another pool: {n}")
            }
            RecordError::Area(n) => write!(f, "the record is of another area: {n}"),
            RecordError::Slot(n) => write!(f, "the record is of another slot: {n}"),
            RecordError::Length(n) => write!(f, "the record has another length: {n}"),
            RecordError::Checksum => f.write_str("the record's checksum is wrong"),
        }
    }
}

/// The object of the record that is `wanted`, in `bytes`: those of the [`blocks`] that it touches.
///
/// Context: any; sums the object.
pub fn parse<'a>(
    bytes: &'a [u8],
    wanted: &Wanted,
    checksum: Checksum,
) -> Result<&'a [u8], RecordError> {
    let at = wanted.unit * UNIT % BLOCK;
    let (header, rest) = RecordHeader::read(bytes, at).ok_or(RecordError::Short)?;
    // The generation comes first: if it is another, then so may be all the rest.
    if header.generation != wanted.generation {
        return Err(RecordError::Generation(header.generation));
    }
    if header.owner.area != wanted.owner.area {
        return Err(RecordError::Area(header.owner.area));
    }
    if header.owner.slot != wanted.owner.slot {
        return Err(RecordError::Slot(header.owner.slot));
    }
    if header.length() != wanted.length.bytes() {
        return Err(RecordError::Length(header.length));
    }
    let body = header.body(rest).ok_or(RecordError::Short)?;
    if !header.holds(body, checksum) {
        return Err(RecordError::Checksum);
    }
    Ok(&body[..wanted.length.bytes()])
}

/// A record, as it was found in the bytes of its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The unit that it begins with.
    pub unit: usize,
    /// Whose page it says that it is.
    pub owner: Owner,
    /// The object, of 1 to 4,096 bytes.
    pub data: &'a [u8],
    /// If the checksum is right. If not, nothing else here is sure.
    pub intact: bool,
}

/// The records of a segment, in order, up to the first header that makes no sense.
pub struct Records<'a> {
    image: &'a [u8],
    at: usize,
    generation: u32,
    checksum: Checksum,
}

/// The records in `image`, the bytes of a segment or its first blocks, which is in its generation `generation`.
///
/// A record that changed since it was written hides those after it only if what changed is its length
/// or its generation.
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
