// SPDX-License-Identifier: GPL-2.0

//! When errors are too many.

use ghostswap_core::errors::{
    RecentErrors,
    MAX_ERRORS,
    WINDOW, //
};
use proptest::prelude::*;

use crate::config;

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn errors_are_too_many_if_so_many_come_within_the_time(
        // The clock often wraps.
        start in prop_oneof![any::<u32>(), u32::MAX - 20 * WINDOW..=u32::MAX],
        pauses in prop::collection::vec(
            prop_oneof![Just(0), 0..WINDOW / 4, (WINDOW - 9)..(WINDOW + 9)],
            1..60,
        ),
    ) {
        let mut errors = RecentErrors::new();
        let mut times: Vec<u64> = Vec::new();
        let mut now = u64::from(start);
        for pause in pauses {
            now += u64::from(pause);
            times.push(now);
            let recent = times.iter().filter(|&&time| now - time <= u64::from(WINDOW));
            prop_assert_eq!(errors.add(now as u32), recent.count() >= MAX_ERRORS);
        }
    }
}

#[test]
fn errors_that_are_far_apart_never_are() {
    // As the documentation says.
    assert_eq!((MAX_ERRORS, WINDOW), (8, 60 * 60));
    let mut errors = RecentErrors::new();
    let apart = WINDOW / (MAX_ERRORS as u32 - 1) + 1;
    assert!((0..100).all(|error| !errors.add(error * apart)));
}
