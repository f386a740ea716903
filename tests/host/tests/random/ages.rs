// SPDX-License-Identifier: GPL-2.0

//! Which clusters are cold, and what it costs to find them.

use ghostswap_core::ages::{
    before,
    is_by,
    Ages, //
};
use proptest::prelude::*;

use crate::config;

/// Goes round once. Returns which are cold.
fn round(ages: &mut Ages, touched: &[u32], now: u32) -> Vec<bool> {
    let cold = touched.iter().map(|&at| ages.is_cold(at, now)).collect();
    ages.next_round(now);
    cold
}

fn age(touched: u32, now: u32) -> u32 {
    (now.wrapping_sub(touched) as i32).max(0) as u32
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn an_eighth_is_cold_and_what_is_not_is_not_much_older(
        now: u32,
        ages_in_seconds in prop::collection::vec(
            prop_oneof![-2..4, 0..100, 0..100_000, 0..1 << 30],
            1..300,
        ),
    ) {
        let touched: Vec<_> = ages_in_seconds
            .iter()
            .map(|&age| now.wrapping_sub(age as u32))
            .collect();
        let mut ages = Ages::new();
        prop_assert!(!round(&mut ages, &touched, now).contains(&true), "nothing is known yet");
        let cold = round(&mut ages, &touched, now);
        let of = |kind: bool| {
            let all = touched.iter().zip(&cold);
            all.filter(move |(_, &cold)| cold == kind).map(|(&at, _)| age(at, now))
        };
        let wanted = touched.len().div_ceil(8);
        // What is touched while the hand goes round is not cold.
        let future = ages_in_seconds.iter().filter(|&&age| age < 0).count();
        prop_assert!(of(true).count() + future >= wanted);
        let youngest = of(true).min().unwrap_or(u32::MAX);
        prop_assert!(of(false).all(|age| age < youngest));
        // Without those of about the age of the youngest there would not be enough.
        let older = of(true).filter(|age| age / 4 * 3 > youngest).count();
        prop_assert!(older < wanted);
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn what_is_older_is_by_the_time_before(
        now: u32,
        age in -2..1i32 << 30,
        wanted in prop_oneof![0..4u32, 0..1u32 << 30, any::<u32>()],
    ) {
        let touched = now.wrapping_sub(age as u32);
        // Nothing is as old as the oldest that can be told.
        let is_older = i64::from(age) >= i64::from(wanted.min((1 << 30) - 1));
        prop_assert_eq!(is_by(touched, before(now, wanted)), is_older);
    }
}

#[test]
fn what_was_cold_does_not_count_for_the_next_round() {
    let mut ages = Ages::new();
    let touched = [vec![0; 8], vec![1000; 8]].concat();
    round(&mut ages, &touched, 1000);
    // Those that are left to the next round are eight, of one age.
    assert!(round(&mut ages, &touched, 1000)[8..]
        .iter()
        .all(|cold| !cold));
    assert!(ages.is_cold(1000, 2000));
}

#[test]
fn what_is_of_the_future_is_young() {
    let mut ages = Ages::new();
    let touched = [vec![1001; 8], vec![500; 8]].concat();
    round(&mut ages, &touched, 1000);
    let cold = round(&mut ages, &touched, 1000);
    assert_eq!(cold, [vec![false; 8], vec![true; 8]].concat());
}

#[test]
fn all_are_cold_where_none_was_counted() {
    let mut ages = Ages::new();
    ages.next_round(7);
    assert!(ages.is_cold(7, 7) && ages.is_cold(6, 7));
    assert!(!ages.is_cold(8, 8));
}

/// All of `clusters` are taken, while each that was taken is touched again after a while. Returns how
/// many were looked at for each one that was taken.
fn cost(clusters: usize) -> f64 {
    let mut ages = Ages::new();
    let mut touched: Vec<u32> = (0..clusters)
        .map(|cluster| (cluster * 7919 % 5000) as u32)
        .collect();
    let (mut looked, mut taken, mut now) = (0, 0, 10_000);
    while taken < 3 * clusters {
        for at in &mut touched {
            looked += 1;
            if ages.is_cold(*at, now) {
                taken += 1;
                *at = now + 1;
            }
        }
        now += 1000;
        ages.next_round(now);
    }
    looked as f64 / taken as f64
}

#[test]
fn finding_a_cold_cluster_costs_as_much_among_many() {
    for clusters in [64, 512, 32_768, 524_288] {
        let cost = cost(clusters);
        println!("of {clusters} clusters {cost:.1} were looked at for each that was taken");
        assert!(cost < 9.0, "of {clusters} clusters {cost:.1}");
    }
}
