// SPDX-License-Identifier: GPL-2.0

//! What the layout of a segment promises.

use ghostswap_core::log::GENERATION_BITS;
use ghostswap_core::message::MessageError;
use ghostswap_core::segment::{
    blocks,
    record_size,
    Next,
    Owner,
    Record,
    SegmentWriter,
    Walk,
    BLOCK,
    BLOCKS,
    INDEX,
    MAX_UNUSED,
    SEGMENT,
    TAG,
    UNIT, //
};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;
use crate::model::{
    check_read,
    check_records,
    crc32c,
    protect,
    read,
    records, //
};

/// Records in a group.
const ENTRIES: usize = 16;

pub fn any_owner() -> impl Strategy<Value = Owner> {
    (any::<u8>(), any::<u32>()).prop_map(|(area, slot)| Owner { area, slot })
}

pub fn any_generation() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..1u64 << GENERATION_BITS,
        0..3u64,
        (1u64..4).prop_map(|left| (1 << GENERATION_BITS) - left),
    ]
}

/// An object: short ones, those near a whole number of units, whole pages.
fn any_object() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        1..100usize,
        1..=PAGE_SIZE,
        Just(PAGE_SIZE),
        (1..PAGE_SIZE / UNIT, 0..3usize).prop_map(|(units, more)| units * UNIT - 1 + more),
    ];
    (length, any::<u64>()).prop_map(|(length, seed)| {
        (0..length)
            .map(|at| (seed.rotate_left(at as u32 % 64) >> (at % 7)) as u8)
            .collect()
    })
}

fn any_objects() -> impl Strategy<Value = Vec<(Owner, Vec<u8>)>> {
    // Often just as many as a number of groups has.
    let count = prop_oneof![1..40usize, Just(ENTRIES), Just(2 * ENTRIES)];
    count.prop_flat_map(|count| prop::collection::vec((any_owner(), any_object()), count))
}

/// A record as it was written.
struct Written {
    record: Record,
    data: Vec<u8>,
}

/// The bytes of an image that are not written yet, as a buffer may have them from before.
const STALE: u8 = 0xa5;

/// What an object of `length` bytes and its tag take in place.
fn size(length: usize) -> usize {
    length.div_ceil(UNIT) * UNIT + TAG
}

/// Writes `objects` to an image, all of them.
fn write_raw(objects: &[(Owner, Vec<u8>)]) -> (Vec<u8>, Vec<Written>) {
    let mut image = vec![STALE; 48 * BLOCK];
    let mut writer = SegmentWriter::new(&mut image);
    let mut written = Vec::new();
    let mut end = 0;
    for (index, (owner, data)) in objects.iter().enumerate() {
        if index % ENTRIES == 0 {
            end += INDEX + TAG;
        }
        let unit = writer.append(*owner, data).expect("there is room");
        assert_eq!(unit * UNIT, end, "records lie back to back");
        end += size(data.len());
        written.push(Written {
            record: Record {
                unit,
                owner: *owner,
                length: data.len(),
            },
            data: data.clone(),
        });
    }
    if objects.len() % ENTRIES == 0 && !objects.is_empty() {
        end += INDEX + TAG;
    }
    let blocks = writer.finish();
    assert_eq!(blocks, end.div_ceil(BLOCK));
    assert!(image[end..blocks * BLOCK].iter().all(|byte| *byte == 0));
    image.truncate(blocks * BLOCK);
    (image, written)
}

/// As [`write_raw`], and protects them.
fn write(objects: &[(Owner, Vec<u8>)], generation: u64) -> (Vec<u8>, Vec<Written>) {
    let (mut image, written) = write_raw(objects);
    protect(&mut image, generation, crc32c);
    (image, written)
}

/// Reads a record as a load does: only the blocks that the record touches.
fn load<'a>(image: &'a [u8], generation: u64, record: &Record) -> Result<&'a [u8], MessageError> {
    let blocks = blocks(record.unit, record.length);
    let bytes = &image[blocks.start * BLOCK..blocks.end * BLOCK];
    read(bytes, generation, record, crc32c)
}

#[test]
fn the_checksum_of_these_tests_is_the_one_of_the_kernel() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn a_record_touches_two_blocks_at_most_wherever_it_is() {
    for length in 1..=PAGE_SIZE {
        let size = size(length);
        assert_eq!(record_size(length), size + (INDEX + TAG) / ENTRIES);
        for unit in (0..=BLOCK / UNIT).chain([(SEGMENT - size) / UNIT]) {
            let (first, last) = (unit * UNIT / BLOCK, (unit * UNIT + size - 1) / BLOCK);
            assert_eq!(blocks(unit, length), first..last + 1);
            assert!(last - first < 2 && last < BLOCKS.max(3));
        }
    }
}

#[test]
fn the_layout_is_the_one_of_the_documentation() {
    let owner = Owner {
        area: 0x11,
        slot: 0x3344_5566,
    };
    let mut image = [STALE; BLOCK];
    let mut writer = SegmentWriter::new(&mut image);
    assert_eq!(writer.append(owner, &[1, 2, 3]), Some(9));
    assert_eq!(writer.append(owner, &[4; 16]), Some(11));
    assert_eq!(writer.finish(), 1);
    let entry = |length| [0x66, 0x55, 0x44, 0x33, 0x11, 0, length, 0];
    assert_eq!(image[..8], entry(3));
    assert_eq!(image[8..16], entry(16));
    assert_eq!(image[16..144], [0; 128]);
    assert_eq!(image[144..147], [1, 2, 3]);
    assert_eq!(image[147..176], [0; 29]);
    assert_eq!(image[176..192], [4; 16]);
    assert_eq!(image[192..], [0; BLOCK - 192]);
}

#[test]
fn a_record_that_is_not_filled_is_none() {
    let owner = Owner { area: 0, slot: 1 };
    let mut image = [STALE; BLOCK];
    let mut writer = SegmentWriter::new(&mut image);
    for unit in [9, 11] {
        let unfilled = writer.append_with(owner, 40, |object| {
            object.fill(6);
            None
        });
        assert_eq!(unfilled, None);
        assert_eq!(writer.append(owner, &[7; 16]), Some(unit));
    }
    assert_eq!(writer.finish(), 1);
    protect(&mut image, 1, crc32c);
    let (found, intact) = records(&image, 1, crc32c);
    assert!(intact);
    assert_eq!(found.len(), 2);
}

#[test]
fn a_segment_is_filled_to_its_last_unit() {
    let owner = Owner { area: 0, slot: 1 };
    let mut image = vec![STALE; SEGMENT];
    let mut writer = SegmentWriter::new(&mut image);
    let whole = (0..).take_while(|_| writer.append(owner, &[7; PAGE_SIZE]).is_some());
    let whole = whole.count();
    let left = SEGMENT - whole * size(PAGE_SIZE) - whole.div_ceil(ENTRIES) * (INDEX + TAG);
    assert!(left < size(PAGE_SIZE) && whole % ENTRIES != 0);
    assert!(writer.append(owner, &vec![8; left - TAG + 1]).is_none());
    assert!(writer.append(owner, &vec![8; left - TAG]).is_some());
    assert!(writer.append(owner, &[9]).is_none());
    assert_eq!(writer.finish(), BLOCKS);
    protect(&mut image, 1, crc32c);
    let (found, intact) = records(&image, 1, crc32c);
    assert!(intact);
    assert_eq!(found.len(), whole + 1);
}

// Where there is no room for another index, none is looked for.
#[test]
fn a_segment_may_end_with_a_full_index() {
    let owner = Owner { area: 0, slot: 1 };
    for short in 0..20 {
        let mut image = vec![STALE; SEGMENT];
        let mut writer = SegmentWriter::new(&mut image);
        // 31 groups of whole pages, and one that fills the rest.
        for _ in 0..31 * ENTRIES {
            writer
                .append(owner, &[7; PAGE_SIZE])
                .expect("there is room");
        }
        let left = SEGMENT - 31 * (ENTRIES * size(PAGE_SIZE) + INDEX + TAG) - INDEX - TAG;
        let rest = left - 12 * size(PAGE_SIZE);
        for _ in 0..12 {
            writer
                .append(owner, &[7; PAGE_SIZE])
                .expect("there is room");
        }
        for _ in 0..3 {
            writer.append(owner, &[8; UNIT]).expect("there is room");
        }
        let last = rest - 3 * size(UNIT) - TAG - short * UNIT;
        writer.append(owner, &vec![9; last]).expect("there is room");
        assert_eq!(writer.finish(), BLOCKS);
        protect(&mut image, 1, crc32c);
        let (found, intact) = records(&image, 1, crc32c);
        assert!(intact, "{short} units short");
        assert_eq!(found.len(), 32 * ENTRIES);
    }
}

#[test]
fn a_record_of_more_than_a_page_ends_the_segment() {
    for (length, found) in [
        (PAGE_SIZE, true),
        (PAGE_SIZE + 1, false),
        (u16::MAX.into(), false),
    ] {
        let mut index = [0; INDEX];
        index[6..8].copy_from_slice(&(length as u16).to_le_bytes());
        let next = Walk::new(SEGMENT).next(&index);
        assert_eq!(next != Next::End, found, "{length}");
    }
}

#[test]
fn an_empty_segment_takes_no_block() {
    let mut image = [STALE; BLOCK];
    assert_eq!(SegmentWriter::new(&mut image).finish(), 0);
    assert_eq!(SegmentWriter::new(&mut []).finish(), 0);
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn what_was_appended_is_read_again(
        objects in any_objects(),
        generation in any_generation(),
    ) {
        let (image, written) = write(&objects, generation);
        for Written { record, data } in &written {
            prop_assert_eq!(load(&image, generation, record), Ok(&data[..]));
        }
        let (found, intact) = records(&image, generation, crc32c);
        prop_assert!(intact);
        let wanted: Vec<_> = written.iter().map(|written| written.record).collect();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn a_writer_without_room_left_no_more_than_is_told(
        lengths in prop::collection::vec(1..=PAGE_SIZE, 1..200),
        room in 1..60usize,
    ) {
        let owner = Owner { area: 0, slot: 1 };
        let mut image = vec![STALE; room * BLOCK];
        let mut writer = SegmentWriter::new(&mut image);
        let mut used = 0;
        for length in lengths {
            if writer.append(owner, &vec![7; length]).is_none() {
                prop_assert!(used + MAX_UNUSED > room * BLOCK);
                break;
            }
            used += record_size(length);
            prop_assert!(used <= room * BLOCK);
        }
    }

    #[test]
    fn what_is_left_of_a_segment_fits_into_another(
        lengths in prop::collection::vec((1..=PAGE_SIZE, any::<bool>()), 1..200),
        room in 1..60usize,
    ) {
        let owner = Owner { area: 0, slot: 1 };
        let fill = |lengths: &[usize]| {
            let mut image = vec![STALE; room * BLOCK];
            let mut writer = SegmentWriter::new(&mut image);
            let fits = |length: &&usize| writer.append(owner, &vec![7; **length]).is_some();
            lengths.iter().take_while(fits).count()
        };
        let all: Vec<_> = lengths.iter().map(|(length, _)| *length).collect();
        let count = fill(&all);
        let left = lengths[..count].iter().filter(|(_, is_live)| *is_live);
        let left: Vec<_> = left.map(|(length, _)| *length).collect();
        prop_assert_eq!(fill(&left), left.len());
    }

    #[test]
    fn what_another_generation_left_is_not_read(
        earlier in any_objects(),
        objects in any_objects(),
        generation in any_generation(),
        other in any_generation(),
    ) {
        prop_assume!(generation != other);
        let (mut blocks, old) = write(&earlier, other);
        let (image, written) = write(&objects, generation);
        // As on the disk: the blocks that were written replace what was there, the others stay.
        blocks.resize(blocks.len().max(image.len()), 0);
        blocks[..image.len()].copy_from_slice(&image);
        let (found, intact) = records(&blocks, generation, crc32c);
        prop_assert!(intact);
        prop_assert_eq!(found.len(), written.len());
        prop_assert_eq!(records(&blocks, other, crc32c), (Vec::new(), false));
        for Written { record, .. } in &old {
            if record.unit * UNIT >= image.len() {
                prop_assert_eq!(load(&blocks, generation, record), Err(MessageError::Other));
            }
        }
    }

    #[test]
    fn each_old_block_in_its_own_place_is_noticed(
        objects in any_objects(),
        generation in any_generation(),
        other in any_generation(),
    ) {
        prop_assume!(generation != other);
        // The same objects of the same owners at the same places, at another time.
        let (old, _) = write(&objects, other);
        let (image, written) = write(&objects, generation);
        for block in 0..image.len() / BLOCK {
            let replayed = block * BLOCK..(block + 1) * BLOCK;
            let mut image = image.clone();
            image[replayed.clone()].copy_from_slice(&old[replayed]);
            for Written { record, data } in &written {
                let read = load(&image, generation, record);
                // Of a record that begins in the block before, only the object may be there.
                if blocks(record.unit, record.length).contains(&block) {
                    let only_object = read == Ok(&data[..])
                        && blocks(record.unit, record.length).len() == 2
                        && (record.unit * UNIT + size(record.length) - TAG) / BLOCK != block;
                    prop_assert!(read.is_err() || only_object);
                } else {
                    prop_assert_eq!(read, Ok(&data[..]));
                }
            }
        }
    }

    #[test]
    fn blocks_that_change_places_are_noticed(
        objects in any_objects(),
        generation in any_generation(),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let (mut image, written) = write(&objects, generation);
        let blocks_of_image = image.len() / BLOCK;
        let (one, other) = (one.index(blocks_of_image), other.index(blocks_of_image));
        prop_assume!(one != other);
        for byte in 0..BLOCK {
            image.swap(one * BLOCK + byte, other * BLOCK + byte);
        }
        for Written { record, data } in &written {
            let read = load(&image, generation, record);
            let touched = blocks(record.unit, record.length);
            if !touched.contains(&one) && !touched.contains(&other) {
                prop_assert_eq!(read, Ok(&data[..]));
            } else if let Ok(read) = read {
                // Two blocks may be alike, but for the tags in them.
                prop_assert_eq!(read, &data[..]);
            }
        }
    }

    #[test]
    fn a_flipped_bit_spoils_the_message_that_it_is_in_and_no_other(
        objects in any_objects(),
        generation in any_generation(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let (mut image, written) = write(&objects, generation);
        let at = at.index(image.len());
        image[at] ^= 1 << bit;

        let mut in_record = false;
        for Written { record, data } in &written {
            let begin = record.unit * UNIT;
            let read = load(&image, generation, record);
            if (begin..begin + size(record.length)).contains(&at) {
                prop_assert!(read.is_err());
                in_record = true;
            } else {
                prop_assert_eq!(read, Ok(&data[..]));
            }
        }
        // Those that come before the index that is not right.
        let (found, intact) = records(&image, generation, crc32c);
        let before = written.iter().filter(|written| written.record.unit * UNIT < at);
        let hidden = written.len() - found.len();
        if intact {
            prop_assert_eq!(hidden, 0);
        } else {
            prop_assert!(!in_record);
            prop_assert_eq!(found.len(), before.count());
        }
    }

    #[test]
    fn zeros_are_no_record(
        record in (0..SEGMENT / UNIT, any_owner(), 1..=PAGE_SIZE)
            .prop_map(|(unit, owner, length)| Record { unit, owner, length }),
        generation in any_generation(),
        blocks in 0..3usize,
    ) {
        // A nonce is all zeros only for generation 0, and unit and owner 0.
        prop_assume!(generation > 0);
        let zeros = vec![0; blocks * BLOCK];
        prop_assert!(read(&zeros, generation, &record, crc32c).is_err());
        prop_assert_eq!(records(&zeros, generation, crc32c), (Vec::new(), false));
    }

    #[test]
    fn no_bytes_make_a_reader_panic_or_go_astray(
        mut bytes in prop::collection::vec(any::<u8>(), 0..3 * BLOCK),
        entries in prop::collection::vec((any_owner(), 0..5000u16), 0..40),
        generation in any_generation(),
        record in (0..SEGMENT / UNIT, any_owner(), 1..=PAGE_SIZE)
            .prop_map(|(unit, owner, length)| Record { unit, owner, length }),
    ) {
        // It begins like an index, or all would be refused at once.
        for ((owner, length), bytes) in entries.iter().zip(bytes.chunks_exact_mut(8)) {
            bytes[..4].copy_from_slice(&owner.slot.to_le_bytes());
            bytes[4..6].copy_from_slice(&[owner.area, 0]);
            bytes[6..].copy_from_slice(&length.to_le_bytes());
        }
        check_read(&bytes, generation, &record, crc32c);
        check_records(&bytes, generation, crc32c);
        // Also where the tags are right.
        if bytes.len() >= INDEX + TAG {
            let index = ghostswap_core::message::Message::index(generation, 0);
            let _ = ghostswap_core::message::protect_plain(&mut bytes, &index, crc32c);
            check_records(&bytes, generation, crc32c);
        }
    }

    #[test]
    fn whatever_an_index_says_no_record_is_outside_of_the_segment(
        indexes in prop::collection::vec(prop::collection::vec(any::<u8>(), INDEX), 1..60),
        size in (0..40 * BLOCK).prop_map(|size| size / UNIT * UNIT),
    ) {
        let mut walk = Walk::new(size);
        let mut indexes = indexes.into_iter().map(|mut index| {
            // Most lengths are in range.
            index.iter_mut().skip(7).step_by(8).for_each(|byte| *byte %= 16);
            index
        });
        let mut index = indexes.next().expect("there is one");
        let mut end = INDEX + TAG;
        loop {
            match walk.next(index[..].try_into().expect("it has its length")) {
                Next::Record(record) => {
                    prop_assert_eq!(record.unit * UNIT, end);
                    end += self::size(record.length);
                    prop_assert!(end <= size);
                }
                Next::Index => {
                    prop_assert_eq!(walk.index() * UNIT, end);
                    end += INDEX + TAG;
                    prop_assert!(end <= size);
                    match indexes.next() {
                        Some(next) => index = next,
                        None => break,
                    }
                }
                Next::End => {
                    prop_assert_eq!(walk.end(), end);
                    let index = index[..].try_into().expect("it has its length");
                    prop_assert_eq!(walk.next(index), Next::End);
                    break;
                }
            }
        }
    }
}
