// SPDX-License-Identifier: GPL-2.0

//! When many pages come back, and for how long it is so.

use ghostswap_core::returns::Returns;
use proptest::prelude::*;

use crate::config;

/// Pages that went, and those that came back, before each look.
fn any_looks() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..20_000u64, 0..20_000u64), 0..100)
}

/// Looks after each of `looks`. Returns what each look found, and the counts in the end.
fn look(returns: &mut Returns, looks: &[(u64, u64)]) -> (Vec<bool>, (u64, u64)) {
    let mut sums = (0, 0);
    let found = looks.iter().map(|(went, returned)| {
        sums = (sums.0 + went, sums.1 + returned);
        returns.are_many(sums.0, sums.1)
    });
    (found.collect(), sums)
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn it_is_never_many_where_few_of_many_come_back(looks in any_looks()) {
        let looks: Vec<_> = looks.iter().map(|(went, some)| (*went, some % (went / 9 + 1))).collect();
        prop_assert!(!look(&mut Returns::new(), &looks).0.contains(&true));
    }

    #[test]
    fn it_is_many_at_once_where_a_quarter_comes_back(looks in any_looks(), went in 1_000..20_000u64) {
        let mut returns = Returns::new();
        let looks: Vec<_> = looks.iter().map(|(went, _)| (*went, went / 4)).collect();
        let (_, sums) = look(&mut returns, &looks);
        prop_assert!(returns.are_many(sums.0 + went, sums.1 + went / 4));
    }

    #[test]
    fn it_ends_some_looks_after_the_last_came_back(looks in any_looks()) {
        let mut returns = Returns::new();
        let (_, sums) = look(&mut returns, &looks);
        let found = (0..40).map(|_| returns.are_many(sums.0, sums.1));
        let found: Vec<_> = found.collect();
        prop_assert!(!found[39]);
        // Once it has ended, it does not begin again.
        prop_assert!(found.windows(2).all(|two| two[0] || !two[1]));
    }

    #[test]
    fn any_counts_are_taken(counts in prop::collection::vec(any::<(u64, u64)>(), 0..10)) {
        let mut returns = Returns::new();
        for (went, returned) in counts {
            let _ = returns.are_many(went, returned);
        }
    }
}

#[test]
fn what_comes_back_is_compared_with_what_went() {
    let mut returns = Returns::new();
    assert!(!returns.are_many(8_000, 1_064));
    let mut returns = Returns::new();
    assert!(returns.are_many(8_000, 1_065));
    let mut returns = Returns::new();
    assert!(!returns.are_many(0, 64));
    let mut returns = Returns::new();
    assert!(returns.are_many(0, 65));
}

#[test]
fn a_count_that_seems_to_fall_does_not_count_twice() {
    let mut returns = Returns::new();
    assert!(!returns.are_many(0, 60));
    assert!(!returns.are_many(0, 0));
    assert!(!returns.are_many(0, 60));
}
