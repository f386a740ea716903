// SPDX-License-Identifier: GPL-2.0

//! What is where in a bundle.

use ghostswap_core::bundle::{
    Outline,
    BYTES,
    MEMBERS,
    PARTS, //
};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;

/// The lengths of objects, and what they take together. Most may be a bundle.
fn any_bundle() -> impl Strategy<Value = (Vec<usize>, usize)> {
    let length = prop_oneof![8 => 1..2500_usize, 1 => 0..2 * PAGE_SIZE];
    let lengths = prop::collection::vec(length, 0..MEMBERS + 2);
    (lengths, 0..=1000_usize).prop_map(|(lengths, share)| {
        let bytes: usize = lengths.iter().sum();
        (lengths, bytes * share / 1000)
    })
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn each_byte_is_one_members_and_in_one_part((lengths, packed) in any_bundle()) {
        let bytes: usize = lengths.iter().sum();
        let Some(outline) = Outline::new(&lengths, packed) else {
            return Ok(());
        };
        prop_assert_eq!(outline.members(), lengths.len());
        prop_assert_eq!((outline.bytes(), outline.packed()), (bytes, packed));
        let (mut end, mut shares) = (0, 0);
        for (index, length) in lengths.iter().enumerate() {
            let member = outline.member(index).expect("it is a member");
            prop_assert_eq!((member.start, member.len()), (end, *length));
            end = member.end;
            let share = outline.share(index).expect("it is a member").bytes();
            prop_assert!(share <= *length, "a share is no longer than the object");
            shares += share;
        }
        prop_assert_eq!((end, shares), (bytes, packed));
        for index in lengths.len()..MEMBERS + 2 {
            prop_assert_eq!((outline.member(index), outline.share(index)), (None, None));
        }
        let parts: Vec<_> = outline.parts().collect();
        prop_assert!((1..=PARTS).contains(&parts.len()));
        let mut end = 0;
        for part in &parts {
            prop_assert_eq!(part.start, end);
            prop_assert!(!part.is_empty() && part.len() <= 3256);
            end = part.end;
        }
        prop_assert_eq!(end, packed);
        let longest = parts.iter().map(|part| part.len()).max();
        prop_assert_eq!(longest, Some(packed.div_ceil(parts.len())), "they are of one length");
    }

    #[test]
    fn what_is_worth_it_becomes_a_bundle((lengths, packed) in any_bundle()) {
        let bytes: usize = lengths.iter().sum();
        let is_possible = (2..=MEMBERS).contains(&lengths.len())
            && lengths.iter().all(|length| (1..PAGE_SIZE).contains(length))
            && bytes <= BYTES
            && packed > 0
            && packed.div_ceil(3256) <= PARTS;
        // Each member has a byte of it at least.
        let is_fine = lengths.iter().all(|length| length * packed > bytes);
        let is_bundle = Outline::new(&lengths, packed).is_some();
        prop_assert!(is_possible && 16 * packed <= 15 * bytes + 15 || !is_bundle);
        prop_assert!(!(is_possible && is_fine && 16 * packed <= 15 * bytes) || is_bundle);
    }
}
