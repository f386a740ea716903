// SPDX-License-Identifier: GPL-2.0

//! A second reading of bytes from outside, as simple as can be. Each function has `rust/core/` read
//! some bytes, and panics if the two readings differ.

use ghostswap_core::header::{
    HeaderError,
    SwapHeader, //
};
use ghostswap_core::limit::Limit;
use ghostswap_core::pool_name;
use ghostswap_core::segment::{
    parse,
    records,
    Checksum,
    Owner,
    Record,
    Wanted, //
};
use ghostswap_core::PAGE_SIZE;

/// CRC-32C, bit by bit: what the kernel's `crc32c()` computes.
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    let bits = parts.iter().copied().flatten().fold(!0u32, |sum, byte| {
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

/// The object of the record that is `wanted`, if `bytes` has that record as a writer makes it.
fn object<'a>(bytes: &'a [u8], wanted: &Wanted, checksum: Checksum) -> Option<&'a [u8]> {
    let Wanted {
        unit,
        owner: Owner { area, slot },
        length,
        generation,
    } = *wanted;
    let record = bytes.get(unit % 256 * 16..)?;
    let body = record.get(16..16 + length.div_ceil(16) * 16)?;
    let mut header = Vec::new();
    header.extend(slot.to_le_bytes());
    header.extend(area.to_le_bytes());
    header.extend(u16::try_from(length).ok()?.to_le_bytes());
    header.extend(generation.to_le_bytes());
    header.extend(checksum(&[&header, body]).to_le_bytes());
    record.starts_with(&header).then(|| &body[..length])
}

/// The records of generation `generation` in `image`.
fn all_records(image: &[u8], generation: u32, checksum: Checksum) -> Vec<Record<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(header) = image.get(at..at + 16) {
        let number = |from: usize, to: usize| {
            let byte = |sum, byte: &u8| sum << 8 | u32::from(*byte);
            header[from..to].iter().rev().fold(0u32, byte)
        };
        let length = number(6, 8) as usize;
        let body = image.get(at + 16..at + 16 + length.div_ceil(16) * 16);
        let Some(body) =
            body.filter(|_| number(8, 12) == generation && (1..=4096).contains(&length))
        else {
            break;
        };
        let owner = Owner {
            area: number(4, 6) as u16,
            slot: number(0, 4),
        };
        found.push(Record {
            unit: at / 16,
            owner,
            data: &body[..length],
            intact: checksum(&[&header[..12], body]) == number(12, 16),
        });
        at += 16 + body.len();
    }
    found
}

/// Checks that a reader of `bytes`, the blocks that it read, gets the record that is `wanted` or an
/// error.
pub fn check_read(bytes: &[u8], wanted: &Wanted, checksum: Checksum) {
    let read = parse(bytes, wanted, checksum);
    assert_eq!(read.ok(), object(bytes, wanted, checksum), "{wanted:?}");
}

/// Checks that the records in `image` are found, and no others.
pub fn check_records(image: &[u8], generation: u32, checksum: Checksum) {
    let found: Vec<_> = records(image, generation, checksum).collect();
    assert_eq!(found, all_records(image, generation, checksum));
}
