// SPDX-License-Identifier: GPL-2.0

//! A second reading of bytes from outside, as simple as can be. Each function has `rust/core/` read
//! some bytes, and panics if the two readings differ.

use ghostswap_core::header::{
    HeaderError,
    SwapHeader, //
};
use ghostswap_core::limit::Limit;
use ghostswap_core::message::{
    protect_plain,
    verify_plain,
    Checksum,
    Message,
    MessageError,
    Messages, //
};
use ghostswap_core::pool_name;
use ghostswap_core::segment::{
    Next,
    Owner,
    Record,
    Walk,
    BLOCK,
    SEGMENT, //
};
use ghostswap_core::PAGE_SIZE;

/// CRC-32C, bit by bit: what the kernel's `crc32c()` computes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let bits = bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    });
    !bits
}

/// Checks that a page is a swap header if it has what mkswap writes, and a size that the kernel
/// takes.
pub fn check_header(page: &[u8; PAGE_SIZE], max_pages: u64) {
    let field = |at: usize| u32::from_ne_bytes(page[at..at + 4].try_into().unwrap());
    let last_page = field(1028);
    let fine = page.ends_with(b"SWAPSPACE2")
        && field(1024) == 1
        && field(1032) == 0
        && (1..max_pages).contains(&last_page.into());
    match SwapHeader::parse(page, max_pages) {
        Ok(header) => {
            assert!(fine, "{header:?} with {max_pages} pages at most");
            assert_eq!(header, SwapHeader { last_page });
            assert_eq!(header.slots(), u64::from(last_page) + 1);
            assert_eq!(header.size(), header.slots() * 4096);
        }
        Err(error) => {
            assert!(!fine, "{error:?} with {max_pages} pages at most");
            // The value that the text ends with is that of the field.
            let (at, ends_with_value) = match error {
                HeaderError::Version(_) => (1024, true),
                HeaderError::TooLarge(_) => (1028, true),
                HeaderError::BadPages(_) => (1032, true),
                _ => (0, false),
            };
            let value = format!(" {}", field(at));
            assert_eq!(error.to_string().ends_with(&value), ends_with_value);
        }
    }
}

/// Checks that a limit is digits and a unit, and is printed so that it is read again.
pub fn check_limit(text: &[u8]) {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    // All numbers that do not fit in 64 bits are the same.
    let number = text[..digits].iter().fold(0u128, |sum, digit| {
        (sum * 10 + u128::from(digit - b'0')).min(1 << 64)
    });
    let bytes = |shift: u32| u64::try_from(number << shift).ok().map(Limit::Bytes);
    let limit = match text[digits..].to_ascii_uppercase().as_slice() {
        _ if number == 0 => None,
        b"%" if number <= 100 => Some(Limit::Percent(number as u8)),
        b"" => bytes(0),
        b"K" => bytes(10),
        b"M" => bytes(20),
        b"G" => bytes(30),
        b"T" => bytes(40),
        _ => None,
    };
    assert_eq!(Limit::parse(text).ok(), limit);
    if let Some(limit) = limit {
        assert_eq!(Limit::parse(limit.to_string().as_bytes()), Ok(limit));
    }
}

/// Checks that a pool's name needs no escaping in a path or in `/proc/mounts`.
pub fn check_pool_name(name: &[u8]) {
    let fine = (1..=pool_name::MAX).contains(&name.len())
        && !name.starts_with(b".")
        && name
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(c));
    assert_eq!(pool_name::check(name).is_ok(), fine);
}

/// The bytes of the message of `size` bytes at byte `at`, if it is there as it is written to a store
/// that is not encrypted, by the owner that `slot` of area `area` is.
fn message(
    bytes: &[u8],
    at: usize,
    size: usize,
    (generation, unit): (u64, usize),
    (area, slot): (u8, u32),
    checksum: Checksum,
) -> Result<&[u8], MessageError> {
    let whole = bytes.get(at..at + size + 16).ok_or(MessageError::Short)?;
    let nonce = u128::from(generation)
        + (unit as u128) * (1 << 39)
        + u128::from(area) * (1 << 56)
        + u128::from(slot) * (1 << 64);
    let nonce = &nonce.to_le_bytes()[..12];
    if &whole[size..size + 12] != nonce {
        return Err(MessageError::Other);
    }
    let sum = checksum(&whole[..size + 12]).to_le_bytes();
    if whole[size + 12..] != sum {
        return Err(MessageError::Changed);
    }
    Ok(&whole[..size])
}

/// The records that the indexes of `image` name, as far as these can be read, and whether they can
/// all be.
fn all_records(image: &[u8], generation: u64, checksum: Checksum) -> (Vec<Record>, bool) {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 144 <= SEGMENT {
        let no_owner = (u8::MAX, u32::MAX);
        let Ok(index) = message(image, at, 128, (generation, at / 16), no_owner, checksum) else {
            return (found, false);
        };
        at += 144;
        for entry in index.chunks(8) {
            let number = |from: usize, to: usize| {
                let byte = |sum, byte: &u8| sum << 8 | u32::from(*byte);
                entry[from..to].iter().rev().fold(0u32, byte)
            };
            let length = number(6, 8) as usize;
            let end = at + length.div_ceil(16) * 16 + 16;
            if !(1..=4096).contains(&length) || end > SEGMENT {
                return (found, true);
            }
            found.push(Record {
                unit: at / 16,
                owner: Owner {
                    area: number(4, 5) as u8,
                    slot: number(0, 4),
                },
                length,
            });
            at = end;
        }
    }
    (found, true)
}

/// Protects what a writer left in `image`, as a store that is not encrypted does.
pub fn protect(image: &mut [u8], generation: u64, checksum: Checksum) {
    let mut messages = Messages::new(generation);
    while let Some(message) = messages.next(image) {
        let blocks = &mut image[message.block() * BLOCK..];
        protect_plain(blocks, &message, checksum).expect("it is in the image");
    }
    assert!(messages.end().expect("all were given") <= image.len());
}

/// The object of `record` in `blocks`, which begin with the first that it touches.
pub fn read<'a>(
    blocks: &'a [u8],
    generation: u64,
    record: &Record,
    checksum: Checksum,
) -> Result<&'a [u8], MessageError> {
    let content = verify_plain(blocks, &Message::object(generation, record), checksum)?;
    Ok(&content[..record.length])
}

/// The records of `image`, as what moves a segment finds them, and whether all of the indexes could
/// be read.
pub fn records(image: &[u8], generation: u64, checksum: Checksum) -> (Vec<Record>, bool) {
    let mut found = Vec::new();
    let mut walk = Walk::new(SEGMENT);
    loop {
        let message = Message::index(generation, walk.index());
        let blocks = image.get(message.block() * BLOCK..).unwrap_or(&[]);
        let Ok(index) = verify_plain(blocks, &message, checksum) else {
            return (found, false);
        };
        let index = index.try_into().expect("it is an index");
        loop {
            match walk.next(index) {
                Next::Record(record) => found.push(record),
                Next::Index => break,
                Next::End => return (found, true),
            }
        }
    }
}

/// Checks that a reader of `bytes`, the blocks that it read, gets the object of `record` or an error.
pub fn check_read(bytes: &[u8], generation: u64, record: &Record, checksum: Checksum) {
    let Record {
        unit,
        owner: Owner { area, slot },
        length,
    } = *record;
    let size = length.div_ceil(16) * 16;
    let place = (generation, unit);
    let wanted = message(bytes, unit % 256 * 16, size, place, (area, slot), checksum);
    assert_eq!(
        read(bytes, generation, record, checksum),
        wanted.map(|object| &object[..length]),
        "{record:?}"
    );
}

/// Checks that the records in `image` are found, and no others.
pub fn check_records(image: &[u8], generation: u64, checksum: Checksum) {
    assert_eq!(
        records(image, generation, checksum),
        all_records(image, generation, checksum)
    );
}
