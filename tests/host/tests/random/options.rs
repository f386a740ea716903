// SPDX-License-Identifier: GPL-2.0

//! What the reading of the mount options promises.

use ghostswap_core::compressor_name::split;
use ghostswap_core::limit::{
    Limit,
    LimitError, //
};
use ghostswap_core::pool_name::{
    self,
    PoolNameError, //
};
use proptest::prelude::*;

use crate::config;
use crate::model::{
    check_limit,
    check_pool_name, //
};

const SUFFIXES: [(&str, u32); 9] = [
    ("", 0),
    ("k", 10),
    ("K", 10),
    ("m", 20),
    ("M", 20),
    ("g", 30),
    ("G", 30),
    ("t", 40),
    ("T", 40),
];

fn parse(text: &str) -> Result<Limit, LimitError> {
    Limit::parse(text.as_bytes())
}

#[test]
fn a_limit_is_bytes_or_a_percentage() {
    for (text, limit) in [
        ("1", Limit::Bytes(1)),
        ("4096", Limit::Bytes(4096)),
        ("0004096", Limit::Bytes(4096)),
        ("64k", Limit::Bytes(64 << 10)),
        ("100M", Limit::Bytes(100 << 20)),
        ("2g", Limit::Bytes(2 << 30)),
        ("1T", Limit::Bytes(1 << 40)),
        ("18446744073709551615", Limit::Bytes(u64::MAX)),
        ("16777215T", Limit::Bytes(16_777_215 << 40)),
        ("1%", Limit::Percent(1)),
        ("020%", Limit::Percent(20)),
        ("100%", Limit::Percent(100)),
    ] {
        assert_eq!(parse(text), Ok(limit), "{text}");
    }
}

#[test]
fn a_limit_that_is_no_number_is_refused_as_that() {
    for text in [
        "", " ", "%", "K", "M%", "-", "-%", "-K", "--5", "5-", "+5", "1.5G", "0x10", "1 M", " 1",
        "1 ", "1MB", "1KiB", "5%%", "5%5", "%5", "1P", "1E", "ten", "1\n", "\u{0661}", "1,000",
    ] {
        assert_eq!(parse(text), Err(LimitError::NotANumber), "{text:?}");
    }
}

#[test]
fn a_limit_of_nothing_or_less_is_refused_as_that() {
    for text in [
        "0", "000", "0K", "0T", "0%", "-0", "-1", "-20%", "-5G", "-0%",
    ] {
        assert_eq!(parse(text), Err(LimitError::NotPositive), "{text:?}");
    }
}

#[test]
fn a_limit_over_all_memory_is_refused_as_that() {
    for text in ["101%", "256%", "257%", "65537%", "4294967297%"] {
        assert_eq!(parse(text), Err(LimitError::OverHundred), "{text:?}");
    }
}

#[test]
fn a_limit_that_overflows_is_refused_as_that() {
    for text in [
        "18446744073709551616",
        "99999999999999999999",
        "100000000000000000000000000000000000000000",
        "18014398509481984K",
        "16777216T",
        "18446744073709551615T",
    ] {
        assert_eq!(parse(text), Err(LimitError::TooLarge), "{text:?}");
    }
}

#[test]
fn the_longest_run_of_signs_costs_no_stack() {
    // Recursion a character deep would need far more than this thread has, as in the kernel.
    let parsed = std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(|| Limit::parse(&[b'-'; 4096]))
        .expect("a thread")
        .join();
    assert_eq!(parsed.expect("no panic"), Err(LimitError::NotANumber));
}

#[test]
fn a_percentage_is_of_the_machines_memory() {
    let ram = 8 << 30;
    assert_eq!(Limit::Percent(100).resolve(ram), ram / 100 * 100);
    assert_eq!(Limit::Percent(50).resolve(ram), ram / 100 * 50);
    assert_eq!(Limit::Bytes(5).resolve(ram), 5);
    assert_eq!(Limit::Percent(100).resolve(u64::MAX), u64::MAX / 100 * 100);
}

#[test]
fn without_the_option_the_limit_is_a_fifth() {
    assert_eq!(Limit::default(), Limit::Percent(20));
}

#[test]
fn every_error_has_its_own_text() {
    let limit = [
        LimitError::NotANumber,
        LimitError::NotPositive,
        LimitError::OverHundred,
        LimitError::TooLarge,
    ]
    .map(|error| error.to_string());
    let name = [
        PoolNameError::Empty,
        PoolNameError::TooLong,
        PoolNameError::Hidden,
        PoolNameError::Characters,
    ]
    .map(|error| error.to_string());
    let texts = [limit, name].concat();
    for (i, text) in texts.iter().enumerate() {
        assert!(!text.is_empty());
        assert!(!texts[..i].contains(text));
    }
}

#[test]
fn a_limit_is_printed_as_a_user_would_give_it() {
    assert_eq!(Limit::Percent(20).to_string(), "20%");
    assert_eq!(Limit::Bytes(104_857_600).to_string(), "104857600");
}

proptest! {
    #![proptest_config(config(5_000))]

    #[test]
    fn bytes_are_what_the_digits_and_the_suffix_say(
        number in prop_oneof![any::<u64>(), 0..1u64 << 30],
        (suffix, shift) in prop::sample::select(&SUFFIXES[..]),
    ) {
        let expected = match u128::from(number) << shift {
            0 => Err(LimitError::NotPositive),
            bytes => u64::try_from(bytes).map(Limit::Bytes).map_err(|_| LimitError::TooLarge),
        };
        prop_assert_eq!(parse(&format!("{number}{suffix}")), expected);
    }

    #[test]
    fn a_limit_prints_what_it_parses(
        limit in prop_oneof![
            (1..=u64::MAX).prop_map(Limit::Bytes),
            (1..=100u8).prop_map(Limit::Percent),
        ],
    ) {
        prop_assert_eq!(parse(&limit.to_string()), Ok(limit));
    }

    #[test]
    fn a_percentage_is_one_to_a_hundred(number in prop_oneof![0..300u64, any::<u64>()]) {
        let expected = match number {
            0 => Err(LimitError::NotPositive),
            1..=100 => Ok(Limit::Percent(number as u8)),
            _ => Err(LimitError::OverHundred),
        };
        prop_assert_eq!(parse(&format!("{number}%")), expected);
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "-?[0-9]{1,20}[kKmMgGtT%]?".prop_map(String::into_bytes),
            "[-+0-9kMGT% .x]{0,12}".prop_map(String::into_bytes),
        ],
    ) {
        check_limit(&text);
    }

    #[test]
    fn a_share_of_the_memory_is_never_more_than_all(percent in 1..=100u8, ram in any::<u64>()) {
        let bytes = Limit::Percent(percent).resolve(ram);
        prop_assert!(bytes <= ram);
        let exact = u128::from(ram) * u128::from(percent) / 100;
        prop_assert!(exact - u128::from(bytes) <= 100);
    }

    #[test]
    fn a_pool_name_is_accepted_exactly_if_it_needs_no_escaping(
        name in prop_oneof![
            "[A-Za-z0-9_.-]{0,34}",
            "[A-Za-z0-9_.-]{0,5}[^A-Za-z0-9_.-][A-Za-z0-9_.-]{0,5}",
            "\\PC{0,40}",
        ],
    ) {
        check_pool_name(name.as_bytes());
    }
}

#[test]
fn pool_names_of_people_are_accepted() {
    let longest = "x".repeat(pool_name::MAX);
    for name in [
        "a",
        "desktop",
        "vm_1",
        "web-01.pool",
        "-",
        "_",
        "0",
        "A.",
        &longest,
    ] {
        assert_eq!(pool_name::check(name.as_bytes()), Ok(()), "{name:?}");
    }
}

#[test]
fn pool_names_that_would_escape_or_hide_are_refused() {
    let too_long = "x".repeat(pool_name::MAX + 1);
    for (name, error) in [
        ("", PoolNameError::Empty),
        (".", PoolNameError::Hidden),
        ("..", PoolNameError::Hidden),
        (".hidden", PoolNameError::Hidden),
        ("a/b", PoolNameError::Characters),
        ("/", PoolNameError::Characters),
        ("a b", PoolNameError::Characters),
        ("a\n", PoolNameError::Characters),
        ("a\\040", PoolNameError::Characters),
        ("a,b", PoolNameError::Characters),
        ("a=b", PoolNameError::Characters),
        ("\u{e9}", PoolNameError::Characters),
        ("a\0", PoolNameError::Characters),
        ("0:45", PoolNameError::Characters),
        ("#", PoolNameError::Characters),
        (&too_long, PoolNameError::TooLong),
    ] {
        assert_eq!(pool_name::check(name.as_bytes()), Err(error), "{name:?}");
    }
}

#[test]
fn a_level_is_a_number_after_the_last_colon() {
    for (text, name, level) in [
        ("zstd:3", "zstd", Some(3)),
        ("zstd:-5", "zstd", Some(-5)),
        ("zstd:0", "zstd", Some(0)),
        ("zstd:007", "zstd", Some(7)),
        ("zstd:2147483648", "zstd", Some(i32::MAX)),
        ("zstd:-99999999999999999999", "zstd", Some(-i32::MAX)),
        ("wlz:dense:1", "wlz:dense", Some(1)),
        (":1", "", Some(1)),
    ] {
        assert_eq!(split(text.as_bytes()), (name.as_bytes(), level), "{text}");
    }
    for text in [
        "",
        "zstd",
        "wlz:dense",
        "zstd:",
        "zstd:-",
        "zstd:--1",
        "zstd:+1",
        "zstd:1x",
        "zstd: 1",
        "zstd:1 ",
        "zstd:1.5",
        "zstd:0x3",
        "3",
    ] {
        assert_eq!(split(text.as_bytes()), (text.as_bytes(), None), "{text}");
    }
}

proptest! {
    #![proptest_config(config(4096))]

    #[test]
    fn a_level_that_is_printed_is_read(name in "[a-z0-9:-]{0,9}", level in -i32::MAX..=i32::MAX) {
        let text = format!("{name}:{level}");
        prop_assert_eq!(split(text.as_bytes()), (name.as_bytes(), Some(level)));
    }

    #[test]
    fn what_is_no_level_is_left(text in proptest::collection::vec(any::<u8>(), 0..12)) {
        let (name, level) = split(&text);
        match level {
            None => prop_assert_eq!(name, &text[..]),
            Some(_) => {
                prop_assert!(text.starts_with(name));
                prop_assert_eq!(text[name.len()], b':');
                prop_assert!(!text[name.len() + 1..].contains(&b':'));
            }
        }
    }
}
