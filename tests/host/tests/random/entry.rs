// SPDX-License-Identifier: GPL-2.0

//! What the encoding of an entry promises.

use ghostswap_core::entry::{halves, Entry, Form, PAYLOAD_BITS};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;

const PAYLOADS: u64 = 1 << PAYLOAD_BITS;

fn any_form() -> impl Strategy<Value = Form> {
    prop_oneof![
        (1..PAGE_SIZE as u16).prop_map(Form::Packed),
        Just(Form::Whole),
        Just(Form::Fill),
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

fn any_entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        1 => Just(Entry::Free),
        3 => any::<u32>().prop_map(|fill| Entry::Same { fill }),
        9 => (any_payload(), any_form(), any::<bool>()).prop_map(|(payload, form, held)| {
            Entry::Object { payload, form, held }
        }),
    ]
}

/// Words near those that are entries: few of 64 random bits' words would be any.
fn any_word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (any_entry(), 0..u64::BITS).prop_map(|(entry, bit)| encode(entry) ^ (1 << bit)),
        any::<u64>().prop_map(|word| word & 0xffff_ffff_0000_0007),
        any::<u64>().prop_map(|word| word & 0xffff_ffff_ffe0_ffff),
        0..=u64::from(u16::MAX),
    ]
}

fn encode(entry: Entry) -> u64 {
    entry.encode().expect("a valid entry has a word")
}

fn object(payload: u64, form: Form, held: bool) -> Entry {
    Entry::Object {
        payload,
        form,
        held,
    }
}

proptest! {
    #![proptest_config(config(20_000))]

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
    fn no_two_entries_share_a_word(one in any_entry(), other in any_entry()) {
        prop_assert_eq!(one == other, encode(one) == encode(other));
    }

    #[test]
    fn a_changed_field_changes_the_word(
        payload in any_payload(),
        other_payload in any_payload(),
        form in any_form(),
        other_form in any_form(),
    ) {
        let word = encode(object(payload, form, false));
        prop_assert_ne!(word, encode(object(payload, form, true)));
        prop_assert_eq!(
            word == encode(object(other_payload, form, false)),
            payload == other_payload
        );
        prop_assert_eq!(word == encode(object(payload, other_form, false)), form == other_form);
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
        held in any::<bool>(),
    ) {
        prop_assert_eq!(object(excess << PAYLOAD_BITS | low, form, held).encode(), None);
    }

    #[test]
    fn halves_are_found_where_both_are_equal(low in any::<u32>(), high in any::<u32>()) {
        let twice = u64::from(low) << 32 | u64::from(low);
        prop_assert_eq!(halves(twice), Some(low));
        let word = u64::from(high) << 32 | u64::from(low);
        prop_assert_eq!(halves(word), (low == high).then_some(low));
    }

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
fn every_length_of_a_compressed_page_has_a_word_and_no_other_length_has() {
    for length in 0..=u16::MAX {
        let entry = object(PAYLOADS - 1, Form::Packed(length), false);
        match entry.encode() {
            Some(word) => {
                assert!((1..PAGE_SIZE).contains(&length.into()), "{length}");
                assert_eq!(Entry::decode(word), Some(entry));
            }
            None => assert!(!(1..PAGE_SIZE).contains(&length.into()), "{length}"),
        }
    }
}

#[test]
fn a_form_knows_its_length() {
    assert_eq!(Form::Whole.length(), PAGE_SIZE);
    assert_eq!(Form::Fill.length(), 8);
    for length in 0..3 * PAGE_SIZE {
        match Form::packed(length) {
            Some(form) => {
                assert!((1..PAGE_SIZE).contains(&length));
                assert_eq!(form.length(), length);
            }
            None => assert!(!(1..PAGE_SIZE).contains(&length)),
        }
    }
    assert_eq!(Form::packed(usize::MAX), None);
    assert_eq!(Form::packed((1 << 16) + 1), None);
}

#[test]
fn an_aligned_address_in_a_direct_map_of_64_tib_fits() {
    let last = (64 << 40) - 8;
    assert!(object(last >> 3, Form::Whole, true).encode().is_some());
}
