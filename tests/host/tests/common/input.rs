// SPDX-License-Identifier: GPL-2.0

//! Inputs that a fuzzer draws and the corpus keeps: bytes, of which the first is the kind of the
//! others. Bytes that an input is too short for are zero, and numbers are little-endian.

use ghostswap_core::log::GENERATION_BITS;
use ghostswap_core::segment::{
    blocks,
    Owner,
    Record,
    SegmentWriter,
    BLOCK,
    SEGMENT,
    UNIT, //
};
use ghostswap_core::PAGE_SIZE;

use crate::model::{
    check_header,
    check_limit,
    check_pool_name,
    check_read,
    check_records,
    crc32c,
    protect, //
};
use crate::pages::page;
use crate::wlz_model::{
    check_object,
    check_page,
    model,
    object_of_text,
    object_of_words, //
};

/// The rest of an input.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let (begin, rest) = self.0.split_at(self.0.len().min(N));
        taken[..begin.len()].copy_from_slice(begin);
        self.0 = rest;
        taken
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    /// A number below `count`; 0 if there is none.
    fn below(&mut self, count: usize) -> usize {
        self.u32() as usize % count.max(1)
    }

    fn owner(&mut self) -> Owner {
        Owner {
            area: self.u8(),
            slot: self.u32(),
        }
    }

    fn generation(&mut self) -> u64 {
        u64::from_le_bytes(self.take()) % (1 << GENERATION_BITS)
    }

    fn length(&mut self) -> usize {
        usize::from(self.u16()) % PAGE_SIZE + 1
    }
}

/// Has `rust/core/` read `input`, and panics if it takes that for anything else than the model
/// does.
pub fn check(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    match kind {
        b'h' => header(Rest(bytes)),
        b'l' => check_limit(bytes),
        b'p' => check_pool_name(bytes),
        b'b' => blocks_of_bytes(Rest(bytes)),
        b's' => segment(Rest(bytes)),
        b'w' => check_object(bytes),
        b'm' => memory(Rest(bytes)),
        b'd' => damaged_object(Rest(bytes)),
        b'o' => made_object(Rest(bytes)),
        _ => (),
    }
}

/// A header with some words changed: the maximum of pages, then place and word by turns.
fn header(mut rest: Rest<'_>) {
    let mut page = [0; PAGE_SIZE];
    page[PAGE_SIZE - 10..].copy_from_slice(b"SWAPSPACE2");
    page[1024..1032].copy_from_slice(&[1, 0, 0, 0, 0xff, 0, 0, 0]);
    let max_pages = u64::from_le_bytes(rest.take());
    while !rest.is_empty() {
        let at = usize::from(rest.u16()) % (PAGE_SIZE - 3);
        page[at..at + 4].copy_from_slice(&rest.take::<4>());
    }
    check_header(&page, max_pages);
}

/// Blocks of these bytes, with a checksum that is always 0, or that of the kernel.
fn blocks_of_bytes(mut rest: Rest<'_>) {
    let checksum = [|_: &[u8]| 0, crc32c][rest.below(2)];
    let record = Record {
        unit: rest.below(SEGMENT / UNIT),
        owner: rest.owner(),
        length: rest.length(),
    };
    let generation = rest.generation();
    check_read(rest.0, generation, &record, checksum);
    check_records(rest.0, generation, checksum);
}

/// A segment as it is written, of objects of these lengths; what an earlier generation left there;
/// and what may happen to it on a disk.
fn segment(mut rest: Rest<'_>) {
    let generation = rest.generation();
    let objects: Vec<_> = (0..rest.u8() % 40)
        .map(|_| {
            let length = rest.length();
            let first = rest.u8();
            let object: Vec<_> = (0..length).map(|at| first.wrapping_add(at as u8)).collect();
            (rest.owner(), object)
        })
        .collect();
    let write = |generation| {
        // There is room for as many objects of a page.
        let mut image = vec![0xa5; 48 * BLOCK];
        let mut writer = SegmentWriter::new(&mut image);
        let records: Vec<_> = objects
            .iter()
            .map(|(owner, object)| Record {
                unit: writer.append(*owner, object).expect("there is room"),
                owner: *owner,
                length: object.len(),
            })
            .collect();
        let blocks = writer.finish();
        image.truncate(blocks * BLOCK);
        if blocks > 0 {
            protect(&mut image, generation, crc32c);
        }
        (image, records)
    };
    let (earlier, _) = write((generation + 1) % (1 << GENERATION_BITS));
    let (mut image, records) = write(generation);
    while !rest.is_empty() && !image.is_empty() {
        damage(&mut image, &earlier, &mut rest);
    }

    check_records(&image, generation, crc32c);
    for record in &records {
        let touched = blocks(record.unit, record.length);
        let (begin, end) = (touched.start * BLOCK, touched.end * BLOCK);
        let end = end.min(image.len());
        let read = image.get(begin..end).unwrap_or(&[]);
        check_read(read, generation, record, crc32c);
    }
}

/// A page, and the room that it may take when it is compressed.
fn memory(mut rest: Rest<'_>) {
    let room = usize::from(rest.u16()) % (PAGE_SIZE + 1);
    check_page(&page(rest.0), room);
}

/// What a page is compressed to, with bytes changed: level, length, then place and value by turns, and the
/// page.
fn damaged_object(mut rest: Rest<'_>) {
    let (level, length, changes) = (rest.u8(), rest.u16(), rest.u8() % 8);
    let changes: Vec<_> = (0..changes).map(|_| (rest.u16(), rest.u8())).collect();
    let mut objects = check_page(&page(rest.0), PAGE_SIZE);
    let Some(mut object) =
        (objects.len() > 0).then(|| objects.remove(level as usize % objects.len()))
    else {
        return;
    };
    for (at, value) in changes {
        let at = usize::from(at) % object.len();
        object[at] = value;
    }
    match usize::from(length) {
        0 => (),
        length => object.resize(length % (PAGE_SIZE + 1), 0x5a),
    }
    check_object(&object);
}

/// An object of whatever the format has: of words that have plain tags or predicted ones, or of text.
fn made_object(mut rest: Rest<'_>) {
    let object = match rest.u8() % 3 {
        2 => {
            let mut tokens = Vec::new();
            while !rest.is_empty() {
                let [count, length, distance] = [(); 3].map(|()| rest.u16() as usize % PAGE_SIZE);
                tokens.push((count, length, distance));
            }
            object_of_text(&tokens)
        }
        kind => {
            let distances: [u8; 4] = rest.take();
            let mut tags = vec![rest.u8() % 16];
            tags.extend(rest.0.iter().map(|tag| tag % 16));
            object_of_words(&tags, &distances, kind == 1)
        }
    };
    assert!(model(&object).is_some());
    check_object(&object);
}

/// Damages `image` in one way.
fn damage(image: &mut Vec<u8>, earlier: &[u8], rest: &mut Rest<'_>) {
    let size = image.len();
    let kind = rest.u8() % 7;
    let at = rest.below(size);
    let block = at / BLOCK * BLOCK;
    let other = rest.below(size);
    match kind {
        0 => image[at] ^= rest.u8(),
        1 => {
            let end = size.min(at + 4);
            image[at..end].copy_from_slice(&rest.take::<4>()[..end - at]);
        }
        2 => image[block..]
            .iter_mut()
            .take(BLOCK)
            .for_each(|byte| *byte = 0),
        3 => {
            let other = other / BLOCK * BLOCK;
            for byte in 0..BLOCK.min(size - block.max(other)) {
                image.swap(block + byte, other + byte);
            }
        }
        4 => {
            let (from, to) = (other / UNIT * UNIT, at / UNIT * UNIT);
            let length = (usize::from(rest.u8()) * UNIT).min(size - from.max(to));
            image.copy_within(from..from + length, to);
        }
        5 => {
            let end = size.min(block + BLOCK);
            image[block..end].copy_from_slice(&earlier[block..end]);
        }
        _ => image.truncate(at),
    }
}
