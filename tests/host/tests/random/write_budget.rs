// SPDX-License-Identifier: GPL-2.0

//! How much may be written in a day.

use ghostswap_core::write_budget::{
    WriteBudget,
    DAY,
    HOUR, //
};
use proptest::prelude::*;

use crate::config;

proptest! {
    #![proptest_config(config(2_000))]

    /// Bytes are written if they are allowed: no day has more than the limit, and what was written more than
    /// a day and an hour ago counts no more.
    #[test]
    fn no_day_has_more_than_the_limit(
        // The clock often wraps.
        start in prop_oneof![any::<u32>(), u32::MAX - 9 * DAY..=u32::MAX],
        limit in 1u64..1_000,
        writes in prop::collection::vec(
            (prop_oneof![Just(0), 0..HOUR, (HOUR - 2)..(HOUR + 2), (DAY - 9)..(DAY + 9)], 1u64..300),
            1..80,
        ),
    ) {
        let mut budget = WriteBudget::new(start);
        budget.set_limit(Some(limit));
        prop_assert_eq!(budget.limit(), Some(limit));
        let mut written: Vec<(u64, u64)> = Vec::new();
        let mut now = u64::from(start);
        for (pause, bytes) in writes {
            now += u64::from(pause);
            // Of what was written less than so many seconds ago.
            let within = |seconds: u32| -> u64 {
                let since = |time: u64| now - time < u64::from(seconds);
                written.iter().filter(|(time, _)| since(*time)).map(|(_, bytes)| bytes).sum()
            };
            let (least, most) = (within(DAY), within(DAY + HOUR));
            let spent = budget.spent(now as u32);
            prop_assert!(least <= spent && spent <= most, "{least} {spent} {most}");
            prop_assert_eq!(budget.allows(now as u32, bytes), spent + bytes <= limit);
            if budget.allows(now as u32, bytes) {
                budget.spend(now as u32, bytes);
                written.push((now, bytes));
                prop_assert!(least + bytes <= limit);
            }
        }
    }
}

#[test]
fn without_a_limit_all_is_allowed_and_counted() {
    let mut budget = WriteBudget::new(7);
    assert_eq!(budget.limit(), None);
    assert!(budget.allows(7, u64::MAX));
    budget.spend(7, u64::MAX);
    budget.spend(8, 1);
    budget.spend(7 + HOUR, 1);
    assert_eq!(budget.spent(7 + HOUR), u64::MAX, "it does not begin again");
    assert!(budget.allows(7 + HOUR, u64::MAX));
    budget.set_limit(Some(u64::MAX - 1));
    assert!(
        !budget.allows(7 + HOUR, 0),
        "what was written before counts"
    );
}

#[test]
fn an_earlier_time_forgets_nothing() {
    for start in [0, 10 * HOUR, u32::MAX] {
        let mut budget = WriteBudget::new(start);
        budget.spend(start, 5);
        let later = start.wrapping_add(HOUR);
        budget.spend(later, 6);
        budget.spend(later.wrapping_sub(1), 7);
        assert_eq!(budget.spent(later.wrapping_sub(1)), 18);
        assert_eq!(budget.spent(later.wrapping_add(DAY - 1)), 18);
        assert_eq!(budget.spent(later.wrapping_add(DAY)), 13);
        assert_eq!(budget.spent(later.wrapping_add(DAY + HOUR)), 0);
    }
}
