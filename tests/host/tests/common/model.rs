// SPDX-License-Identifier: GPL-2.0

//! What bytes from outside mean, said once more and as simply as can be: each function has
//! `rust/core/` read some, and panics if that takes them for anything else.

use ghostswap_core::header::SwapHeader;
use ghostswap_core::limit::Limit;
use ghostswap_core::pool_name;
use ghostswap_core::segment::{parse, records, Checksum, Owner, Record, Wanted};
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

/// A page is a swap header if it has what mkswap writes, and a size that the kernel takes.
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
        Err(problem) => {
            assert!(!fine, "{problem:?} with {max_pages} pages at most");
            let text = problem.to_string();
            let value = text.rsplit(' ').next().and_then(|word| word.parse().ok());
            let values = [1024, 1028, 1032].map(field);
            assert!(
                value.is_none_or(|value: u32| values.contains(&value)),
                "{text}"
            );
        }
    }
}

/// A limit is digits and a unit.
pub fn check_limit(text: &[u8]) {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    // More than fits in 64 bits is all the same.
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
    // What is shown can be given again, and means the same.
    if let Some(limit) = limit {
        let shown = limit.to_string();
        assert_eq!(Limit::parse(shown.as_bytes()), Ok(limit), "{shown}");
    }
}

/// A pool's name needs no escaping in a path or in `/proc/mounts`.
pub fn check_pool_name(name: &[u8]) {
    let fine = (1..=pool_name::MAX).contains(&name.len())
        && !name.starts_with(b".")
        && name
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(c));
    assert_eq!(pool_name::check(name).is_ok(), fine);
}

/// The object that `wanted` is of, if it is in `bytes` as a writer would have left it.
fn object<'a>(bytes: &'a [u8], wanted: &Wanted, checksum: Checksum) -> Option<&'a [u8]> {
    let Wanted {
        unit,
        owner: Owner { area, slot },
        length,
        generation,
    } = *wanted;
    let length = length.bytes();
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

/// The records of `image`, of the generation `generation`.
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

/// A reader gets what it wants of `bytes`, the blocks that it reads, or nothing.
pub fn check_read(bytes: &[u8], wanted: &Wanted, checksum: Checksum) {
    let read = parse(bytes, wanted, checksum);
    assert_eq!(read.ok(), object(bytes, wanted, checksum), "{wanted:?}");
}

/// The records of `image` are found, and no others.
pub fn check_records(image: &[u8], generation: u32, checksum: Checksum) {
    let found: Vec<_> = records(image, generation, checksum).collect();
    assert_eq!(found, all_records(image, generation, checksum));
}
