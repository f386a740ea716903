// SPDX-License-Identifier: GPL-2.0

//! What the layout of a segment promises.

use ghostswap_core::segment::{
    blocks,
    parse,
    record_size,
    records,
    Checksum,
    Owner,
    RecordError,
    SegmentWriter,
    Wanted,
    BLOCK,
    BLOCKS,
    SEGMENT,
    UNIT, //
};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;
use crate::model::{
    check_read,
    check_records,
    crc32c, //
};

const HEADER: usize = 16;

fn any_owner() -> impl Strategy<Value = Owner> {
    (any::<u16>(), any::<u32>()).prop_map(|(area, slot)| Owner { area, slot })
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
    prop::collection::vec((any_owner(), any_object()), 1..20)
}

/// A record as it was written.
struct Written {
    wanted: Wanted,
    data: Vec<u8>,
}

/// The bytes of an image that are not written yet, as a buffer may have them from before.
const STALE: u8 = 0xa5;

/// Writes `objects` to an image of `room` blocks, as many as there is room for.
fn write(objects: &[(Owner, Vec<u8>)], generation: u32, room: usize) -> (Vec<u8>, Vec<Written>) {
    let mut image = vec![STALE; room * BLOCK];
    let mut writer = SegmentWriter::new(&mut image, generation, crc32c);
    let mut written: Vec<Written> = Vec::new();
    for (owner, data) in objects {
        let end = written.last().map_or(0, |last| {
            last.wanted.unit * UNIT + record_size(last.data.len())
        });
        let Some(unit) = writer.append(*owner, data) else {
            assert!(
                end + record_size(data.len()) > room * BLOCK,
                "there is room"
            );
            continue;
        };
        assert_eq!(unit * UNIT, end, "records lie back to back");
        written.push(Written {
            wanted: Wanted {
                unit,
                owner: *owner,
                length: data.len(),
                generation,
            },
            data: data.clone(),
        });
    }
    let blocks = writer.finish();
    image.truncate(blocks * BLOCK);
    (image, written)
}

/// Reads a record as a load does: only the blocks that the record touches.
fn read<'a>(image: &'a [u8], wanted: &Wanted) -> Result<&'a [u8], RecordError> {
    let blocks = blocks(wanted.unit, wanted.length);
    parse(
        &image[blocks.start * BLOCK..blocks.end * BLOCK],
        wanted,
        crc32c,
    )
}

#[test]
fn the_checksum_of_these_tests_is_the_one_of_the_kernel() {
    assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
    assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
}

#[test]
fn a_record_touches_two_blocks_at_most_wherever_it_is() {
    for length in 1..=PAGE_SIZE {
        let size = record_size(length);
        assert!(size >= HEADER + length && size < HEADER + length + UNIT && size % UNIT == 0);
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
        area: 0x1122,
        slot: 0x3344_5566,
    };
    let mut image = [STALE; BLOCK];
    let mut writer = SegmentWriter::new(&mut image, 0x7788_99aa, |_| 0xbbcc_ddee);
    assert_eq!(writer.append(owner, &[1, 2, 3]), Some(0));
    assert_eq!(writer.append(owner, &[4; 16]), Some(2));
    assert_eq!(writer.finish(), 1);
    let header = |length| {
        [
            0x66, 0x55, 0x44, 0x33, 0x22, 0x11, length, 0, 0xaa, 0x99, 0x88, 0x77, 0xee, 0xdd,
            0xcc, 0xbb,
        ]
    };
    assert_eq!(image[..16], header(3));
    assert_eq!(
        image[16..32],
        [1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(image[32..48], header(16));
    assert_eq!(image[48..64], [4; 16]);
    assert_eq!(image[64..], [0; BLOCK - 64]);
}

#[test]
fn a_segment_is_filled_to_its_last_unit() {
    let owner = Owner { area: 0, slot: 1 };
    let mut image = vec![STALE; SEGMENT];
    let mut writer = SegmentWriter::new(&mut image, 1, |_| 0);
    let whole = (0..).take_while(|_| writer.append(owner, &[7; PAGE_SIZE]).is_some());
    let left = SEGMENT - whole.count() * record_size(PAGE_SIZE);
    assert!(left < record_size(PAGE_SIZE));
    assert!(writer.append(owner, &vec![8; left - HEADER + 1]).is_none());
    assert!(writer.append(owner, &vec![8; left - HEADER]).is_some());
    assert!(writer.append(owner, &[9]).is_none());
    assert_eq!(writer.finish(), BLOCKS);
    assert_eq!(
        records(&image, 1, |_| 0).count(),
        SEGMENT / record_size(PAGE_SIZE) + 1
    );
}

#[test]
fn a_record_of_more_than_a_page_ends_the_segment() {
    let generation = 5;
    for (length, found) in [(PAGE_SIZE, 1), (PAGE_SIZE + 1, 0), (u16::MAX.into(), 0)] {
        let mut image = vec![0; SEGMENT];
        image[6..8].copy_from_slice(&(length as u16).to_le_bytes());
        image[8..12].copy_from_slice(&u32::to_le_bytes(generation));
        assert_eq!(
            records(&image, generation, crc32c).count(),
            found,
            "{length}"
        );
    }
}

#[test]
fn an_empty_segment_takes_no_block() {
    let mut image = [STALE; BLOCK];
    assert_eq!(SegmentWriter::new(&mut image, 0, crc32c).finish(), 0);
    assert_eq!(SegmentWriter::new(&mut [], 0, crc32c).finish(), 0);
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn what_was_appended_is_read_again(
        objects in any_objects(),
        generation in any::<u32>(),
        room in 1..40usize,
    ) {
        let (image, written) = write(&objects, generation, room);
        let end = written.last().map_or(0, |last| {
            last.wanted.unit * UNIT + record_size(last.data.len())
        });
        prop_assert_eq!(image.len(), end.next_multiple_of(BLOCK));
        prop_assert!(image[end..].iter().all(|byte| *byte == 0), "nothing unwritten goes out");

        for Written { wanted, data } in &written {
            prop_assert_eq!(read(&image, wanted), Ok(&data[..]));
        }
        let found: Vec<_> = records(&image, generation, crc32c).collect();
        prop_assert_eq!(found.len(), written.len());
        for (record, Written { wanted, data }) in found.iter().zip(&written) {
            prop_assert_eq!(record.unit, wanted.unit);
            prop_assert_eq!(record.owner, wanted.owner);
            prop_assert_eq!(record.data, &data[..]);
            prop_assert!(record.intact);
        }
    }

    #[test]
    fn a_reader_that_wants_another_record_is_told_what_is_wrong(
        (owner, data) in (any_owner(), any_object()),
        generation in any::<u32>(),
        bit in 0..32u32,
    ) {
        let (image, written) = write(&[(owner, data)], generation, 2);
        let right = written[0].wanted;
        let other_generation = Wanted { generation: generation ^ 1 << bit, ..right };
        prop_assert_eq!(read(&image, &other_generation), Err(RecordError::Generation(generation)));
        let area = Owner { area: owner.area ^ 1 << (bit % 16), ..owner };
        let wanted = Wanted { owner: area, ..right };
        prop_assert_eq!(read(&image, &wanted), Err(RecordError::Area(owner.area)));
        let slot = Owner { slot: owner.slot ^ 1 << bit, ..owner };
        let wanted = Wanted { owner: slot, ..right };
        prop_assert_eq!(read(&image, &wanted), Err(RecordError::Slot(owner.slot)));
        let wanted = Wanted { length: right.length ^ 1, ..right };
        prop_assert_eq!(
            parse(&image, &wanted, crc32c),
            Err(RecordError::Length(right.length as u16))
        );
        let cut = record_size(right.length) - 1;
        prop_assert_eq!(parse(&image[..cut], &right, crc32c), Err(RecordError::Short));
    }

    #[test]
    fn what_an_earlier_generation_left_is_not_read(
        earlier in any_objects(),
        objects in any_objects(),
        generation in any::<u32>(),
        other in any::<u32>(),
    ) {
        prop_assume!(generation != other);
        let (mut blocks, old) = write(&earlier, other, 40);
        let (image, written) = write(&objects, generation, 40);
        // As on the disk: the blocks that were written replace what was there, the others stay.
        blocks.resize(blocks.len().max(image.len()), 0);
        blocks[..image.len()].copy_from_slice(&image);
        prop_assert_eq!(records(&blocks, generation, crc32c).count(), written.len());
        prop_assert_eq!(records(&blocks, other, crc32c).count(), 0);
        for Written { wanted, .. } in &old {
            let wanted = Wanted { generation, ..*wanted };
            if wanted.unit * UNIT >= image.len() {
                prop_assert_eq!(read(&blocks, &wanted), Err(RecordError::Generation(other)));
            }
        }
    }

    #[test]
    fn a_flipped_bit_spoils_the_record_that_it_is_in_and_no_other(
        objects in any_objects(),
        generation in any::<u32>(),
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let (mut image, written) = write(&objects, generation, 40);
        let hit = which.index(written.len());
        let Wanted { unit, length, .. } = written[hit].wanted;
        let at = at.index(record_size(length));
        image[unit * UNIT + at] ^= 1 << bit;

        for (index, Written { wanted, data }) in written.iter().enumerate() {
            let read = read(&image, wanted);
            if index == hit {
                prop_assert!(read.is_err());
            } else {
                prop_assert_eq!(read, Ok(&data[..]));
            }
        }
        let found: Vec<_> = records(&image, generation, crc32c).collect();
        let chain_holds = !(6..12).contains(&at);
        if chain_holds {
            prop_assert_eq!(found.len(), written.len());
        } else {
            prop_assert!(found.len() >= hit);
        }
        for (index, record) in found.iter().enumerate().take(if chain_holds { usize::MAX } else { hit + 1 }) {
            prop_assert_eq!(record.intact, index != hit);
        }
    }

    #[test]
    fn zeros_are_no_record(
        wanted in (0..SEGMENT / UNIT - 300, any_owner(), 1..=PAGE_SIZE, any::<u32>())
            .prop_map(|(unit, owner, length, generation)| Wanted { unit, owner, length, generation }),
        blocks in 0..3usize,
    ) {
        prop_assert!(parse(&vec![0; blocks * BLOCK], &wanted, crc32c).is_err());
        prop_assert_eq!(records(&vec![0; blocks * BLOCK], wanted.generation, crc32c).count(), 0);
    }

    #[test]
    fn no_bytes_make_a_reader_panic_or_go_astray(
        mut bytes in prop::collection::vec(any::<u8>(), 0..3 * BLOCK),
        headers in prop::collection::vec((any::<prop::sample::Index>(), 0..5000u16), 0..40),
        wanted in (any::<u32>(), any_owner(), any::<u16>(), 0..2u32)
            .prop_map(|(unit, owner, length, generation)| Wanted {
                unit: unit as usize,
                owner,
                length: length.into(),
                generation,
            }),
    ) {
        // Some units look like headers, or all would be refused at once.
        let units = bytes.len() / UNIT;
        for (at, length) in headers.into_iter().filter(|_| units > 0) {
            let at = at.index(units) * UNIT;
            bytes[at + 4..at + 6].copy_from_slice(&wanted.owner.area.to_le_bytes());
            bytes[at..at + 4].copy_from_slice(&wanted.owner.slot.to_le_bytes());
            bytes[at + 6..at + 8].copy_from_slice(&length.to_le_bytes());
            bytes[at + 8..at + 12].copy_from_slice(&wanted.generation.to_le_bytes());
        }
        // Also with a checksum that lets everything pass.
        let checksums: [Checksum; 2] = [crc32c, |_| 0];
        for checksum in checksums {
            check_read(&bytes, &wanted, checksum);
            check_records(&bytes, wanted.generation, checksum);
        }
    }
}
