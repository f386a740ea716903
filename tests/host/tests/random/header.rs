// SPDX-License-Identifier: GPL-2.0

//! What the reading of a swap header promises.

use std::fs::{
    self,
    File, //
};
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use ghostswap_core::header::{
    HeaderError,
    SwapHeader, //
};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;
use crate::model::check_header;

type Page = [u8; PAGE_SIZE];

const VERSION: usize = 1024;
const LAST_PAGE: usize = 1028;
const BAD_PAGES: usize = 1032;
const UUID: usize = 1036;
const LABEL: usize = 1052;
const MAGIC: usize = PAGE_SIZE - 10;

fn set(page: &mut Page, at: usize, value: u32) {
    page[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

fn header(last_page: u32) -> Page {
    let mut page = [0; PAGE_SIZE];
    page[MAGIC..].copy_from_slice(b"SWAPSPACE2");
    set(&mut page, VERSION, 1);
    set(&mut page, LAST_PAGE, last_page);
    page
}

fn damaged(at: usize, value: u32) -> Page {
    let mut page = header(1000);
    set(&mut page, at, value);
    page
}

/// Reads a header, where the kernel takes more slots than any can ask for.
fn parse(page: &Page) -> Result<SwapHeader, HeaderError> {
    SwapHeader::parse(page, u64::MAX)
}

/// The first page of what mkswap makes of a sparse file of `size` bytes.
fn mkswap(name: &str, size: u64, options: &[&str]) -> Page {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    File::create(&path)
        .and_then(|file| file.set_len(size))
        .expect("a sparse file");
    let search = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let made = Command::new("mkswap")
        .env("PATH", search)
        .args(options)
        .arg(&path)
        .output()
        .expect("mkswap, of package util-linux, runs");
    assert!(
        made.status.success(),
        "mkswap: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut page = [0; PAGE_SIZE];
    File::open(&path)
        .and_then(|mut file| file.read_exact(&mut page))
        .expect("the header's page");
    fs::remove_file(&path).expect("the file goes away");
    page
}

#[test]
fn headers_made_by_mkswap_are_accepted() {
    let label = ["-L", "a label"];
    let uuid = ["-U", "c0ffee00-1234-4321-8888-0123456789ab"];
    let both = [label, uuid].concat();
    for (name, size, options) in [
        ("smallest", 10 << 12, &[][..]),
        ("label", 1 << 20, &label),
        ("uuid", 1 << 30, &uuid),
        ("both", 64 << 30, &both),
        ("terabyte", 1 << 40, &[]),
    ] {
        let page = mkswap(name, size, options);
        let header = parse(&page);
        let header = header.unwrap_or_else(|problem| panic!("{name}: {problem:?}"));
        assert_eq!(header.size(), size, "{name}");
        assert_eq!(header.slots(), size / PAGE_SIZE as u64, "{name}");
    }
}

#[test]
fn a_page_without_the_magic_is_no_header() {
    for byte in MAGIC..PAGE_SIZE {
        let mut page = header(1000);
        page[byte] ^= 0x20;
        assert_eq!(parse(&page), Err(HeaderError::Magic));
    }
    let mut old = header(1000);
    old[PAGE_SIZE - 1] = b'1';
    for page in [old, [0; PAGE_SIZE], [0xff; PAGE_SIZE]] {
        assert_eq!(parse(&page), Err(HeaderError::Magic));
    }
}

#[test]
fn a_version_other_than_1_is_named() {
    for version in [0, 2, 3, u32::MAX] {
        let page = damaged(VERSION, version);
        assert_eq!(parse(&page), Err(HeaderError::Version(version)));
    }
}

#[test]
fn the_other_byte_order_is_recognised() {
    let mut page = header(1000);
    for field in [VERSION, LAST_PAGE, BAD_PAGES] {
        page[field..field + 4].reverse();
    }
    assert_eq!(parse(&page), Err(HeaderError::Endianness));
}

#[test]
fn a_header_with_bad_pages_is_refused() {
    for count in [1, 637, u32::MAX] {
        let page = damaged(BAD_PAGES, count);
        assert_eq!(parse(&page), Err(HeaderError::BadPages(count)));
    }
}

#[test]
fn a_header_without_room_for_a_page_is_refused() {
    assert_eq!(parse(&header(0)), Err(HeaderError::Empty));
}

#[test]
fn the_kernels_maximum_is_the_last_size_accepted() {
    for max_pages in [2, 1000, 1 << 31, u64::from(u32::MAX)] {
        let last = u32::try_from(max_pages - 1).unwrap();
        assert_eq!(
            SwapHeader::parse(&header(last), max_pages),
            Ok(SwapHeader { last_page: last })
        );
        assert_eq!(
            SwapHeader::parse(&header(last + 1), max_pages),
            Err(HeaderError::TooLarge(last + 1))
        );
    }
}

/// Field, value, and the problem it makes, from the first looked at to the last.
const DAMAGES: [(usize, u32, HeaderError); 4] = [
    (MAGIC, 0, HeaderError::Magic),
    (VERSION, 2, HeaderError::Version(2)),
    (BAD_PAGES, 7, HeaderError::BadPages(7)),
    (LAST_PAGE, 0, HeaderError::Empty),
];

#[test]
fn of_several_problems_the_one_that_explains_the_others_is_told() {
    for damage in 1u32..1 << DAMAGES.len() {
        let mut page = header(1000);
        let chosen = || {
            DAMAGES
                .iter()
                .enumerate()
                .filter(|(i, _)| damage & 1 << i != 0)
                .map(|(_, damage)| damage)
        };
        for &(at, value, _) in chosen() {
            set(&mut page, at, value);
        }
        let first = chosen().next().unwrap().2;
        assert_eq!(parse(&page), Err(first));
    }
}

#[test]
fn every_error_tells_its_reason_and_the_value_that_it_is_about() {
    let cases = [
        (HeaderError::Magic, None),
        (HeaderError::Endianness, None),
        (HeaderError::Version(2345), Some("2345")),
        (HeaderError::Empty, None),
        (HeaderError::TooLarge(9876), Some("9876")),
        (HeaderError::BadPages(3456), Some("3456")),
    ];
    for (error, value) in cases {
        let text = error.to_string();
        assert!(text.contains("swap header"), "{text}");
        let others = cases.iter().filter(|(other, _)| *other != error);
        assert!(others
            .into_iter()
            .all(|(other, _)| other.to_string() != text));
        let last_word = text.rsplit(' ').next();
        assert_eq!(last_word.filter(|word| word.parse::<u32>().is_ok()), value);
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn what_is_not_a_field_is_not_looked_at(
        boot in any::<[u8; 32]>(),
        boot_at in 0..VERSION - 32,
        id in any::<[u8; 32]>(),
        list in any::<[u8; 32]>(),
        list_at in LABEL + 16..MAGIC - 32,
        last_page in 1..u32::MAX,
    ) {
        let mut page = header(last_page);
        page[boot_at..boot_at + 32].copy_from_slice(&boot);
        page[UUID..UUID + 32].copy_from_slice(&id);
        page[list_at..list_at + 32].copy_from_slice(&list);
        prop_assert_eq!(parse(&page), Ok(SwapHeader { last_page }));
    }

    #[test]
    fn the_size_is_that_of_all_slots(last_page in 1..=u32::MAX) {
        let parsed = parse(&header(last_page)).unwrap();
        prop_assert_eq!(parsed.slots(), u64::from(last_page) + 1);
        prop_assert_eq!(parsed.size(), parsed.slots() << 12);
    }

    #[test]
    fn nothing_is_accepted_that_breaks_a_rule(
        version in 0..3u32,
        last_page in prop_oneof![0..4u32, any::<u32>()],
        bad_pages in 0..2u32,
        max_pages in prop_oneof![0..6u64, any::<u32>().prop_map(u64::from)],
    ) {
        let mut page = header(last_page);
        set(&mut page, VERSION, version);
        set(&mut page, BAD_PAGES, bad_pages);
        check_header(&page, max_pages);
    }
}
