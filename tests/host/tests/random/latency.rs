// SPDX-License-Identifier: GPL-2.0

//! In which bucket a time counts.

use ghostswap_core::latency::{
    least_nanos,
    octave,
    octaves,
    BUCKETS,
    OCTAVES, //
};
use proptest::prelude::*;

use crate::config;

/// The least times of all buckets, as the documents have them: twice as long each time, from 128 ns on.
fn least_times() -> Vec<u64> {
    let mut all = vec![0, 128];
    while all.len() < BUCKETS {
        all.push(all[all.len() - 1] * 2);
    }
    all
}

/// Times of all sizes, and those beside the bounds.
fn times() -> impl Strategy<Value = u64> {
    prop_oneof![
        (any::<u64>(), 0..64u32).prop_map(|(bits, shift)| bits >> shift),
        (0..64u32, -1..2i64)
            .prop_map(|(power, beside)| (1u64 << power).wrapping_add_signed(beside)),
    ]
}

#[test]
fn buckets_begin_where_the_documents_say() {
    let begin: Vec<_> = (0..BUCKETS).map(least_nanos).collect();
    assert_eq!(begin, least_times());
    assert_eq!((begin[1], begin[27]), (128, 8_589_934_592));
}

#[test]
fn each_octave_is_in_one_bucket() {
    let all: Vec<_> = (0..BUCKETS).flat_map(octaves).collect();
    assert_eq!(all, (0..OCTAVES).collect::<Vec<_>>());
    assert_eq!(octave(u64::MAX), OCTAVES - 1);
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn a_time_counts_in_the_last_bucket_that_begins_by_then(nanos in times()) {
        let begun = least_times().iter().filter(|&&least| least <= nanos).count();
        prop_assert!(octaves(begun - 1).contains(&octave(nanos)));
    }
}
