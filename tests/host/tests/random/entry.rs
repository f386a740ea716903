// SPDX-License-Identifier: GPL-2.0

//! What the encoding of an entry promises.

use ghostswap_core::entry::{
    doubled,
    halves,
    Entry,
    Lane,
    ObjectState,
    Redirect, //
};
use ghostswap_core::payload::{
    Coder,
    Form,
    Length,
    PAYLOAD_BITS, //
};
use ghostswap_core::segment::{
    Location,
    MAX_SEGMENTS,
    MAX_STORES,
    SEGMENT,
    UNIT, //
};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;

const PAYLOADS: u64 = 1 << PAYLOAD_BITS;
const UNITS: usize = SEGMENT / UNIT;

fn length(bytes: usize) -> Length {
    Length::new(bytes).expect("an object may have it")
}

fn any_length() -> impl Strategy<Value = Length> {
    prop_oneof![1..PAGE_SIZE, Just(1), Just(PAGE_SIZE - 1), Just(PAGE_SIZE)].prop_map(length)
}

/// The form of an object that the first compressor made.
fn first(length: Length) -> Form {
    let coder = Coder::First;
    Form { length, coder }
}

fn second(length: Length) -> Form {
    let coder = Coder::Second;
    Form { length, coder }
}

fn any_form() -> impl Strategy<Value = Form> {
    prop_oneof![any_length().prop_map(first), any_length().prop_map(second)]
}

fn any_state() -> impl Strategy<Value = ObjectState> {
    prop_oneof![
        Just(ObjectState::Idle),
        Just(ObjectState::Aged),
        Just(ObjectState::Held),
        Just(ObjectState::Marked(Lane::First)),
        Just(ObjectState::Marked(Lane::Second)),
    ]
}

fn any_payload() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..PAYLOADS,
        Just(0),
        Just(PAYLOADS - 1),
        (0..PAYLOAD_BITS).prop_map(|bit| 1 << bit),
    ]
}

/// A number below `end`, often the first or the last.
fn below(end: usize) -> impl Strategy<Value = usize> {
    prop_oneof![0..end, Just(0), Just(end - 1)]
}

fn any_location() -> impl Strategy<Value = Location> {
    (below(MAX_STORES), below(MAX_SEGMENTS), below(UNITS)).prop_map(|(store, segment, unit)| {
        Location::new(store, segment, unit).expect("all are in their ranges")
    })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        1 => Just(Entry::Free),
        3 => any::<u32>().prop_map(|fill| Entry::Same { fill }),
        9 => (any_payload(), any_form(), any_state())
            .prop_map(|(payload, form, state)| cached(payload, form, state)),
        6 => (any_location(), any_form())
            .prop_map(|(location, form)| Entry::Redirected(Redirect { location, form })),
        1 => Just(Entry::Lost),
    ]
}

/// Words near those that are entries: few words of 64 random bits are entries.
fn any_word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (any_entry(), 0..u64::BITS).prop_map(|(entry, bit)| encode(entry) ^ (1 << bit)),
        any::<u64>().prop_map(|word| word & 0xffff_ffff_0000_000f),
        any::<u64>().prop_map(|word| word & 0xffff_ffff_ffe0_ffff),
        0..=u64::from(u16::MAX),
    ]
}

fn encode(entry: Entry) -> u64 {
    entry.encode().expect("a valid entry has a word")
}

fn cached(payload: u64, form: Form, state: ObjectState) -> Entry {
    Entry::Cached {
        payload,
        form,
        state,
    }
}

proptest! {
    #![proptest_config(config(20_000))]

    // So no two entries share a word.
    #[test]
    fn every_entry_survives_the_round_trip(entry in any_entry()) {
        prop_assert_eq!(Entry::decode(encode(entry)), Some(entry));
    }

    #[test]
    fn a_word_is_the_word_of_what_it_decodes_to_or_nothing(word in any_word()) {
        if let Some(entry) = Entry::decode(word) {
            prop_assert_eq!(entry.encode(), Some(word));
        }
    }

    #[test]
    fn what_is_kept_as_an_object_has_its_length(
        payload in any_payload(),
        form in any_form(),
        state in any_state(),
        location in any_location(),
        fill: u32,
    ) {
        prop_assert_eq!(cached(payload, form, state).length(), Some(form.length));
        prop_assert_eq!(Entry::Redirected(Redirect { location, form }).length(), Some(form.length));
        for entry in [Entry::Free, Entry::Same { fill }, Entry::Lost] {
            prop_assert_eq!(entry.length(), None);
        }
    }

    #[test]
    fn only_zero_is_free(word in any_word()) {
        prop_assert_eq!(Entry::decode(word) == Some(Entry::Free), word == 0);
    }

    #[test]
    fn a_payload_out_of_range_is_rejected(
        excess in prop_oneof![
            1..=u64::MAX >> PAYLOAD_BITS,
            (0..u64::BITS - PAYLOAD_BITS).prop_map(|bit| 1 << bit),
        ],
        low in 0..PAYLOADS,
        form in any_form(),
        state in any_state(),
    ) {
        prop_assert_eq!(cached(excess << PAYLOAD_BITS | low, form, state).encode(), None);
    }

    #[test]
    fn a_location_is_made_of_what_it_says(
        store in below(MAX_STORES),
        segment in below(MAX_SEGMENTS),
        unit in below(UNITS),
    ) {
        let location = Location::new(store, segment, unit).expect("all are in their ranges");
        prop_assert_eq!(location.store(), store);
        prop_assert_eq!(location.segment(), segment);
        prop_assert_eq!(location.unit(), unit);
    }

    #[test]
    fn a_location_out_of_range_is_rejected(
        store in below(MAX_STORES),
        segment in below(MAX_SEGMENTS),
        unit in below(UNITS),
        excess in prop_oneof![0..1usize << 40, Just(0)],
    ) {
        prop_assert_eq!(Location::new(MAX_STORES + excess, segment, unit), None);
        prop_assert_eq!(Location::new(store, MAX_SEGMENTS + excess, unit), None);
        prop_assert_eq!(Location::new(store, segment, UNITS + excess), None);
    }

    #[test]
    fn what_is_doubled_repeats_its_bytes_and_is_halved_again(fill in any::<u32>()) {
        let word = doubled(fill);
        prop_assert_eq!(word.to_ne_bytes().to_vec(), fill.to_ne_bytes().repeat(2));
        prop_assert_eq!(halves(word), Some(fill));
    }

    #[test]
    fn halves_are_found_where_both_are_equal(low in any::<u32>(), high in any::<u32>()) {
        let twice = u64::from(low) << 32 | u64::from(low);
        prop_assert_eq!(halves(twice), Some(low));
        let word = u64::from(high) << 32 | u64::from(low);
        prop_assert_eq!(halves(word), (low == high).then_some(low));
    }

    // A page that repeats a 64-bit word, but no 32-bit one, is compressed, as any other.
    #[test]
    fn halves_differ_where_one_bit_does(low in any::<u32>(), bit in 0..u64::BITS) {
        let twice = u64::from(low) << 32 | u64::from(low);
        prop_assert_eq!(halves(twice ^ (1 << bit)), None);
    }
}

#[test]
fn free_is_all_zero() {
    assert_eq!(Entry::Free.encode(), Some(0));
    assert_eq!(Entry::decode(0), Some(Entry::Free));
}

#[test]
fn every_length_survives_the_round_trip() {
    let location =
        Location::new(MAX_STORES - 1, MAX_SEGMENTS - 1, UNITS - 1).expect("the last one");
    for length in (1..=PAGE_SIZE).map(length) {
        for form in [first(length), second(length)] {
            for entry in [
                cached(PAYLOADS - 1, form, ObjectState::Idle),
                Entry::Redirected(Redirect { location, form }),
            ] {
                assert_eq!(Entry::decode(encode(entry)), Some(entry));
            }
        }
    }
}

#[test]
fn the_lowest_bits_tell_entries_apart() {
    let location = Location::new(0, 0, 0).expect("the first one");
    let [first, second] = [first(length(1)), second(length(1))];
    let redirected = |form| Entry::Redirected(Redirect { location, form });
    for (entry, bits) in [
        (Entry::Free, 0b0000),
        (Entry::Same { fill: 0 }, 0b0100),
        (Entry::Lost, 0b1000),
        (redirected(first), 0b0001),
        (redirected(second), 0b0101),
        (cached(0, first, ObjectState::Idle), 0b0010),
        (cached(0, second, ObjectState::Idle), 0b0011),
    ] {
        assert_eq!(encode(entry) & 15, bits, "{entry:?}");
    }
    for word in [0b1100, 0b1001, 0b1101] {
        assert_eq!(Entry::decode(word), None);
    }
}

#[test]
fn the_layout_is_the_one_of_the_documentation() {
    let location = Location::new(5, 6, 7).expect("all are in their ranges");
    let place = (5 << 44 | 6 << 17 | 7) << 17;
    let some = length(0x567);
    let page = length(PAGE_SIZE);
    for (entry, word) in [
        (Entry::Same { fill: 0x89ab_cdef }, 0x89ab_cdef_0000_0004),
        (
            cached(0x1234, first(some), ObjectState::Idle),
            0x1234 << 17 | 0x567 << 4 | 2,
        ),
        (
            cached(0x1234, second(some), ObjectState::Idle),
            0x1234 << 17 | 0x567 << 4 | 3,
        ),
        (
            cached(0x1234, first(some), ObjectState::Aged),
            0x1234 << 17 | 0x567 << 4 | 1 << 2 | 2,
        ),
        (
            cached(0x1234, second(some), ObjectState::Held),
            0x1234 << 17 | 0x567 << 4 | 1 << 3 | 1 << 2 | 3,
        ),
        (
            cached(0x1234, first(page), ObjectState::Marked(Lane::First)),
            0x1234 << 17 | 1 << 16 | 2,
        ),
        (
            cached(0x1234, first(page), ObjectState::Marked(Lane::Second)),
            0x1234 << 17 | 1 << 16 | 1 << 3 | 2,
        ),
        (
            Entry::Redirected(Redirect {
                location,
                form: first(some),
            }),
            place | 0x567 << 4 | 1,
        ),
        (
            Entry::Redirected(Redirect {
                location,
                form: second(some),
            }),
            place | 0x567 << 4 | 1 << 2 | 1,
        ),
        (
            Entry::Redirected(Redirect {
                location,
                form: first(page),
            }),
            place | 1,
        ),
        (Entry::Lost, 8),
    ] {
        assert_eq!(entry.encode(), Some(word), "{entry:?}");
    }
}

#[test]
fn an_object_has_one_state_and_a_redirected_one_has_none() {
    const AGED: u64 = 1 << 2;
    const LOW: u64 = 1 << 3;
    const HIGH: u64 = 1 << 16;
    let location = Location::new(1, 2, 3).expect("all are in their ranges");
    let lengths = [1, 8, PAGE_SIZE].map(length);
    for form in lengths.into_iter().flat_map(|l| [first(l), second(l)]) {
        let word = encode(cached(5, form, ObjectState::Idle));
        let decode = |bits| Entry::decode(word | bits);
        for (bits, state) in [
            (0, ObjectState::Idle),
            (AGED, ObjectState::Aged),
            (LOW | AGED, ObjectState::Held),
            (HIGH, ObjectState::Marked(Lane::First)),
            (HIGH | LOW, ObjectState::Marked(Lane::Second)),
        ] {
            assert_eq!(decode(bits), Some(cached(5, form, state)));
        }
        for bits in [LOW, HIGH | AGED, HIGH | LOW | AGED] {
            assert_eq!(decode(bits), None);
        }

        let word = encode(Entry::Redirected(Redirect { location, form }));
        for bits in [LOW, HIGH, HIGH | LOW] {
            assert_eq!(Entry::decode(word | bits), None);
        }
    }
}

#[test]
fn an_object_is_for_the_second_compressor_if_that_had_no_part_in_it() {
    for length in (1..=PAGE_SIZE).map(length) {
        assert_eq!(first(length).is_for_second(), length.bytes() < PAGE_SIZE);
        assert!(!second(length).is_for_second());
    }
}

#[test]
fn an_object_is_larger_than_another_if_it_takes_more_units_of_16_bytes() {
    for bytes in 1..=PAGE_SIZE {
        let units = bytes.div_ceil(16);
        for other in [0, 1, bytes - 1, bytes, bytes + 1, units * 16, PAGE_SIZE]
            .into_iter()
            .chain(bytes.saturating_sub(40)..bytes)
        {
            let is_larger = first(length(bytes)).is_larger_than(other);
            assert_eq!(is_larger, units > other.div_ceil(16), "{bytes} and {other}");
        }
    }
    assert!(!first(length(2000)).is_larger_than(1985));
    assert!(first(length(2000)).is_larger_than(1984));
}

#[test]
fn a_length_is_one_byte_to_a_page() {
    for bytes in (0..3 * PAGE_SIZE).chain([(1 << 16) + 1, usize::MAX]) {
        match Length::new(bytes) {
            Some(length) => {
                assert!((1..=PAGE_SIZE).contains(&bytes));
                assert_eq!(length.bytes(), bytes);
                assert_eq!(length.is_incompressible(), bytes == PAGE_SIZE);
            }
            None => assert!(!(1..=PAGE_SIZE).contains(&bytes), "{bytes}"),
        }
    }
}

#[test]
fn an_aligned_address_in_a_direct_map_of_1_pib_fits() {
    let last = (1 << 50) - 8;
    assert!(
        cached(last >> 3, first(length(PAGE_SIZE)), ObjectState::Held)
            .encode()
            .is_some()
    );
}
