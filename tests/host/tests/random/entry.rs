// SPDX-License-Identifier: GPL-2.0

//! What the encoding of an entry promises.

use ghostswap_core::entry::{doubled, halves, Entry, Form, Redirect, State, PAYLOAD_BITS};
use ghostswap_core::segment::{Location, MAX_SEGMENTS, MAX_STORES, SEGMENT, UNIT};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;

const PAYLOADS: u64 = 1 << PAYLOAD_BITS;
const UNITS: usize = SEGMENT / UNIT;

fn any_form() -> impl Strategy<Value = Form> {
    prop_oneof![
        (1..PAGE_SIZE as u16).prop_map(Form::Packed),
        Just(Form::Whole),
        Just(Form::Fill),
    ]
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::Idle), Just(State::Held), Just(State::Marked)]
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

fn cached(payload: u64, form: Form, state: State) -> Entry {
    Entry::Cached {
        payload,
        form,
        state,
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
        let word = encode(cached(payload, form, State::Idle));
        prop_assert_ne!(word, encode(cached(payload, form, State::Held)));
        prop_assert_ne!(word, encode(cached(payload, form, State::Marked)));
        prop_assert_eq!(
            word == encode(cached(other_payload, form, State::Idle)),
            payload == other_payload
        );
        prop_assert_eq!(
            word == encode(cached(payload, other_form, State::Idle)),
            form == other_form
        );
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
    fn a_redirected_object_survives_the_round_trip(location in any_location(), form in any_form()) {
        let word = encode(Entry::Redirected(Redirect { location, form }));
        match Entry::decode(word) {
            Some(Entry::Redirected(redirect)) => {
                prop_assert_eq!(redirect.form, form);
                prop_assert_eq!(redirect.location.store(), location.store());
                prop_assert_eq!(redirect.location.segment(), location.segment());
                prop_assert_eq!(redirect.location.unit(), location.unit());
            }
            other => prop_assert!(false, "{other:?}"),
        }
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
    let location =
        Location::new(MAX_STORES - 1, MAX_SEGMENTS - 1, UNITS - 1).expect("the last one");
    for length in 0..=u16::MAX {
        let form = Form::Packed(length);
        for entry in [
            cached(PAYLOADS - 1, form, State::Idle),
            Entry::Redirected(Redirect { location, form }),
        ] {
            match entry.encode() {
                Some(word) => {
                    assert!((1..PAGE_SIZE).contains(&length.into()), "{length}");
                    assert_eq!(Entry::decode(word), Some(entry));
                }
                None => assert!(!(1..PAGE_SIZE).contains(&length.into()), "{length}"),
            }
        }
    }
}

#[test]
fn each_tag_has_a_meaning() {
    let location = Location::new(0, 0, 0).expect("the first one");
    let forms = [Form::Packed(1), Form::Whole, Form::Fill];
    let redirected = |form| Entry::Redirected(Redirect { location, form });
    let entries = [Entry::Free, Entry::Same { fill: 0 }]
        .into_iter()
        .chain(forms.map(|form| cached(0, form, State::Idle)))
        .chain(forms.map(redirected));
    let tags: Vec<_> = entries.map(|entry| encode(entry) & 7).collect();
    assert_eq!(tags, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn an_object_is_not_both_held_and_marked_and_a_redirected_one_is_neither() {
    const HELD: u64 = 1 << 3;
    const MARKED: u64 = 1 << 16;
    let location = Location::new(1, 2, 3).expect("all are in their ranges");
    for form in [Form::Packed(1), Form::Whole, Form::Fill] {
        let word = encode(cached(5, form, State::Idle));
        let decode = |bits| Entry::decode(word | bits);
        assert_eq!(decode(HELD), Some(cached(5, form, State::Held)));
        assert_eq!(decode(MARKED), Some(cached(5, form, State::Marked)));
        assert_eq!(decode(HELD | MARKED), None);

        let word = encode(Entry::Redirected(Redirect { location, form }));
        for bits in [HELD, MARKED, HELD | MARKED] {
            assert_eq!(Entry::decode(word | bits), None);
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
fn an_aligned_address_in_a_direct_map_of_1_pib_fits() {
    let last = (1 << 50) - 8;
    assert!(cached(last >> 3, Form::Whole, State::Held)
        .encode()
        .is_some());
}
