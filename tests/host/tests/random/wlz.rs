// SPDX-License-Identifier: GPL-2.0

//! What the codec for pages promises.

use ghostswap_core::wlz::{
    compress,
    compress_checked,
    decompress,
    decompress_checked,
    Level,
    Workspace,
    BUFFER, //
};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;
use std::fs;
use std::thread;

use crate::config;
use crate::guarded::Guarded;
use crate::model::crc32c;
use crate::pages::page;
use crate::wlz_model::{
    check_object,
    check_page,
    compressed,
    model,
    object_of_text,
    object_of_words, //
};

type Page = [u8; PAGE_SIZE];

fn any_page() -> impl Strategy<Value = Box<Page>> {
    prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..160).prop_map(|recipe| Box::new(page(&recipe))),
        // One thing all over, with something in between.
        2 => (any::<[u8; 3]>(), proptest::collection::vec(any::<u8>(), 0..9)).prop_map(|(step, more)| {
            let mut recipe = step.repeat(20);
            let middle = recipe.len() / 2;
            recipe.splice(middle..middle, more);
            Box::new(page(&recipe))
        }),
        1 => proptest::collection::vec(any::<u8>(), PAGE_SIZE)
            .prop_map(|bytes| Box::new(Page::try_from(bytes).expect("it is a page"))),
    ]
}

fn any_room() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(PAGE_SIZE), 2 => Just(3264), 1 => 0..PAGE_SIZE]
}

/// Bytes that are an object more often than others.
fn any_object() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..700);
    prop_oneof![
        bytes(),
        (0..4_u8, bytes(), 0..3_usize).prop_map(|(kind, mut bytes, few)| {
            bytes.insert(0, kind);
            // Tags that stand for few bytes.
            if few > 0 {
                let tags = bytes.len() / 2;
                bytes[tags..]
                    .iter_mut()
                    .for_each(|byte| *byte &= [0x33, 0x11][few - 1]);
            }
            bytes
        }),
    ]
}

/// An object, of whatever the format has.
fn made_object() -> impl Strategy<Value = Vec<u8>> {
    let tags = |count| proptest::collection::vec(0..16_u8, 1..count);
    let distances = proptest::collection::vec(any::<u8>(), 1..9);
    let count = || {
        let long = prop_oneof![Just(254), Just(255), Just(256), Just(510)];
        prop_oneof![6 => 0..20_usize, 1 => long.prop_map(|more| 15 + more), 1 => 0..700_usize]
    };
    let token = (count(), count(), prop_oneof![0..20_usize, 0..PAGE_SIZE]);
    prop_oneof![
        (prop_oneof![tags(4), tags(40)], distances, any::<bool>()).prop_map(
            |(tags, distances, is_predicted)| object_of_words(&tags, &distances, is_predicted)
        ),
        proptest::collection::vec(token, 0..300).prop_map(|tokens| object_of_text(&tokens)),
    ]
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn a_page_comes_back_and_takes_no_more_than_its_room(page in any_page(), room in any_room()) {
        check_page(&page, room);
    }

    #[test]
    fn any_bytes_are_an_object_or_an_error_and_nothing_else_matters(object in any_object()) {
        check_object(&object);
    }

    #[test]
    fn whatever_the_format_has_is_a_page(object in made_object()) {
        prop_assert!(model(&object).is_some());
        check_object(&object);
    }

    #[test]
    fn a_damaged_object_is_another_or_an_error(
        page in any_page(),
        made in made_object(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        (kind, number) in (0..6_u8, 0..PAGE_SIZE),
        filler in any::<u8>(),
    ) {
        for mut object in check_page(&page, PAGE_SIZE).into_iter().chain([made]) {
            for (at, value) in &changes {
                let at = at % object.len();
                object[at] = *value;
            }
            match kind {
                0 => object.resize(number, filler),
                // A few bytes more or less.
                1 => object.resize((object.len() + number % 18).saturating_sub(9), filler),
                _ => (),
            }
            check_object(&object);
        }
    }
}

#[test]
fn pages_of_programs_come_back() {
    let program = fs::read("/proc/self/exe").expect("this program can be read");
    let mut smaller = 0;
    for bytes in program.chunks_exact(PAGE_SIZE).take(2000) {
        let page: &Page = bytes.try_into().expect("it is a page");
        smaller += usize::from(!check_page(page, 3264).is_empty());
    }
    assert!(smaller > 0);
}

#[test]
fn known_pages_take_what_they_should() {
    let length = |page: &Page, level| compressed(level, page, PAGE_SIZE).map(|object| object.len());
    // Only tags: 257 bytes, or 65 where all are predicted.
    assert_eq!(length(&[0; PAGE_SIZE], Level::Fast), Some(257));
    assert_eq!(length(&[0; PAGE_SIZE], Level::Dense), Some(65));
    // Pointers with another low byte each: a byte a word, and the first one.
    let mut pointers = [0; PAGE_SIZE];
    for (i, word) in pointers.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&(0x7f12_3456_7800 + i as u64 % 251).to_le_bytes());
    }
    assert_eq!(length(&pointers, Level::Fast), Some(257 + 8 + 511));
    // A bit at the end: what is missed is one tag, and the half byte after it is 0.
    let mut bit = [0; PAGE_SIZE];
    bit[PAGE_SIZE - 8] = 1;
    let object = [&[1, 1, 2][..], &[0; 63], &[0x80]].concat();
    assert_eq!(compressed(Level::Dense, &bit, PAGE_SIZE), Some(object));
    // A word that comes again after 256, and after one more.
    for (distance, bytes) in [(256, 0), (257, 7)] {
        let mut twice = [0; PAGE_SIZE];
        for i in [1, 1 + distance] {
            twice[8 * i..8 * i + 8]
                .copy_from_slice(&[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
        }
        assert_eq!(length(&twice, Level::Fast), Some(257 + 8 + 1 + bytes));
        assert_eq!(check_page(&twice, PAGE_SIZE).len(), 2);
    }
    // What is random is given up.
    let mut draw = 1_u64;
    let random = [(); PAGE_SIZE].map(|()| {
        draw = draw.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (draw >> 56) as u8
    });
    assert_eq!(length(&random, Level::Fast), None);
    assert_eq!(length(&random, Level::Dense), None);
    // Text goes its own way, of less than half of it here.
    let text: Vec<_> = b"It was the best of times, it was the worst of times, ".repeat(99);
    let text: &Page = text.first_chunk().expect("it is long enough");
    assert!(length(text, Level::Fast).is_some_and(|length| length < 200));
}

#[test]
fn a_distance_leads_to_the_first_word_at_most() {
    for i in 2..PAGE_SIZE / 8 {
        // Word 0 is 8 literal bytes, then there are three distances: of words 1, i and the one after it.
        let mut tags = [1; PAGE_SIZE / 8];
        (tags[0], tags[1], tags[i]) = (11, 12, 12);
        let after = tags.get_mut(i + 1).map_or(0, |tag| {
            *tag = 12;
            1
        });
        let object = object_of_words(&tags, &[0], false);
        for distance in (i - 1..i + 3).filter(|distance| (1..=256).contains(distance)) {
            for at in 9..=9 + after {
                let mut object = object.clone();
                object[at] = (256 - distance) as u8;
                let word = if at == 9 { i + after } else { i };
                assert_eq!(model(&object).is_some(), distance <= word);
                check_object(&object);
            }
        }
    }
}

#[test]
fn objects_are_the_same_on_every_build() {
    let mut digest = 0_u32;
    for seed in 0..300_u32 {
        let recipe: Vec<u8> = (0..120_u32)
            .map(|i| {
                (seed + 1)
                    .wrapping_mul(0x9e37_79b1)
                    .wrapping_mul(2 * i + 1)
                    .to_be_bytes()[0]
            })
            .collect();
        for level in [Level::Fast, Level::Dense] {
            let object = compressed(level, &page(&recipe), PAGE_SIZE).unwrap_or_default();
            digest = crc32c(&[&digest.to_le_bytes()[..], &object].concat());
        }
    }
    // A change of it is a change of what is compressed to what. Old objects must still be read.
    assert_eq!(digest, 0x5905_b7c9);
}

#[test]
fn objects_are_the_same_whatever_the_memory_held() {
    let recipe: Vec<u8> = (0..90).map(|i: u8| i.wrapping_mul(37)).collect();
    let page = page(&recipe);
    for level in [Level::Fast, Level::Dense] {
        let object = compressed(level, &page, PAGE_SIZE).expect("it gets smaller");
        // Memory that was used for other pages.
        let mut work = Workspace::new();
        let mut out = [0; BUFFER];
        for other in 0..20_u8 {
            let other = crate::pages::page(&[other, 31, 9, 11, 31, other].repeat(9));
            compress(level, &other, &mut out, PAGE_SIZE, &mut work);
            let length = compress(level, &page, &mut out, PAGE_SIZE, &mut work);
            assert_eq!(length.map(|length| &out[..length]), Some(&object[..]));
            let mut back = other;
            assert_eq!(decompress(&object, &mut back, &mut work), Ok(()));
            assert!(back == page);
        }
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn compressing_reads_and_writes_nothing_outside(page in any_page(), room in any_room()) {
        let mut from = Guarded::new(PAGE_SIZE);
        from.first(PAGE_SIZE).copy_from_slice(&*page);
        let from: &Page = (&*from.first(PAGE_SIZE)).try_into().expect("it is a page");
        let mut to = Guarded::new(BUFFER);
        let to: &mut [u8; BUFFER] = to.first(BUFFER).try_into().expect("it is a buffer");
        for level in [Level::Fast, Level::Dense] {
            // It would be the end of this process.
            compress(level, from, to, room, &mut Workspace::new());
        }
    }
}

#[test]
fn objects_take_no_more_than_any_room() {
    for kinds in [&[5, 1, 3, 6][..], &[9]] {
        let recipe: Vec<u8> = (0..16_u8)
            .flat_map(|i| [kinds[i as usize % kinds.len()], 31, i.wrapping_mul(37)])
            .collect();
        let page = page(&recipe);
        for level in [Level::Fast, Level::Dense] {
            let length = compressed(level, &page, PAGE_SIZE).map_or(0, |object| object.len());
            assert!(length > 100);
            for room in (length - 100..length + 60).chain((0..PAGE_SIZE).step_by(97)) {
                if let Some(object) = compressed(level, &page, room) {
                    assert!(object.len() <= room);
                    assert!(model(&object) == Some(page), "another page");
                }
            }
        }
    }
}

#[test]
fn text_with_lengths_of_any_size_comes_back() {
    let text = b"It was the best of times, it was the worst of times, ".repeat(99);
    for count in (0..40).chain(250..300).chain(500..560) {
        for is_one_letter in [true, false] {
            let mut page: Page = *text.first_chunk().expect("it is long enough");
            let mut draw = 1_u32;
            for byte in &mut page[2000..2000 + count] {
                draw = draw.wrapping_mul(0x915f_77f5).wrapping_add(1);
                *byte = match is_one_letter {
                    true => b'-',
                    false => 0x40 | (draw >> 26) as u8,
                };
            }
            assert_eq!(check_page(&page, 3264).len(), 2);
        }
    }
}

#[test]
fn text_of_which_few_bytes_are_left_is_a_page() {
    // The first token takes all literal bytes. There is room on the page for what the others write, but
    // not in the object for what they might read.
    let object = object_of_text(&[&[(4002, 0, 0)][..], &[(0, 14, 0); 5]].concat());
    assert!(model(&object).is_some());
    check_object(&object);
}

#[test]
fn a_page_that_changes_meanwhile_is_compressed_to_some_page() {
    let mut memory = Guarded::new(PAGE_SIZE);
    let begin = memory.first(PAGE_SIZE).as_mut_ptr() as usize;
    let from: &Page = (&*memory.first(PAGE_SIZE))
        .try_into()
        .expect("it is a page");
    thread::scope(|scope| {
        let compressing = scope.spawn(|| {
            let (mut out, mut back) = ([0; BUFFER], [0; PAGE_SIZE]);
            let (mut work, mut other) = (Workspace::new(), Workspace::new());
            for i in 0..4000 {
                let level = [Level::Fast, Level::Dense][i % 2];
                for compress in [compress_checked, compress] {
                    if let Some(length) = compress(level, from, &mut out, 3264, &mut work) {
                        assert!(length <= 3264);
                        let done = decompress_checked(&out[..length], &mut back, &mut other);
                        assert_eq!(done, Ok(()));
                    }
                }
            }
        });
        let recipe = |kind| [kind, 31, 77, kind, 31, 5, 0, 3, 3].repeat(9);
        let pages = [5, 9, 1, 11, 3].map(|kind| page(&recipe(kind)));
        let mut draw = 1_usize;
        while !compressing.is_finished() {
            draw = draw.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let (at, page) = (draw >> 33 & 0xff8, pages[(draw >> 50) % pages.len()]);
            for at in (at..PAGE_SIZE.min(at + (draw >> 40) % 600)).step_by(8) {
                let word = page[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
                // SAFETY: It is in the page, which stays until the other thread has ended. That it changes
                // while that thread has it borrowed is what is tried: a debugger may do so.
                unsafe { ((begin + at) as *mut u64).write_volatile(word) };
            }
        }
    });
}
