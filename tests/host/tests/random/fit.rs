// SPDX-License-Identifier: GPL-2.0

//! How many slots a pool can hold pages for, and what is told of areas that do not fit.

use ghostswap_core::fit::{
    Holdings,
    Misfit,
    View,
    Watch, //
};
use proptest::prelude::*;

use crate::config;

/// What a page takes in memory, with its entry, and in a store, with what is beside its object.
fn taken(bytes: f64) -> (f64, f64) {
    (bytes + 8.0, (bytes / 16.0).ceil() * 16.0 + 25.0)
}

/// The same, told plainly: each page takes `bytes`, so what is free is divided by that. Pages of all sorts
/// are taken to be between a sixteenth and a whole one.
fn plain(room: f64, free: f64, used: f64, bytes: f64) -> f64 {
    let (in_memory, in_store) = taken(bytes);
    used + room / in_memory + free / in_store
}

/// A pool that has pages of `bytes` bytes, `memory` of its limit and `disk` of its stores being filled with
/// them, in percent.
fn filled(limit: u64, stores: u64, bytes: f64, memory: u64, disk: u64) -> Holdings {
    let (in_memory, in_store) = taken(bytes);
    let redirected = (stores as f64 / in_store) as u64 * disk / 100;
    let here =
        ((limit as f64 - redirected as f64 * 8.0).max(0.0) / in_memory) as u64 * memory / 100;
    Holdings {
        limit,
        held: (here as f64 * in_memory) as u64 + redirected * 8,
        used: here + redirected,
        redirected,
        redirected_bytes: (redirected as f64 * bytes) as u64,
        stores: stores / 2 * 3,
    }
}

/// The ratio of what is computed to what is so.
fn off(pool: Holdings, bytes: f64) -> f64 {
    let room = pool.limit.saturating_sub(pool.held) as f64;
    let free = pool.stores as f64 / 1.5 - pool.redirected as f64 * taken(bytes).1;
    pool.capacity() as f64 / plain(room, free, pool.used as f64, bytes)
}

fn any_view() -> impl Strategy<Value = View> {
    // Few values, so that many are the same, or near.
    let slots = || (0..40u64).prop_map(|n| n * 25);
    (slots(), slots(), prop_oneof![Just(0), 0..3u64]).prop_map(|(promised, capacity, empty)| View {
        promised,
        capacity,
        empty,
    })
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn it_is_what_is_there_and_what_is_to_come(
        limit in 64u64 << 20..1 << 36,
        stores in prop_oneof![Just(0), 64u64 << 20..1 << 40],
        bytes in 300.0..4096.0f64,
        memory in 15..100u64,
        disk in 15..100u64,
    ) {
        let off = off(filled(limit, stores, bytes, memory, disk), bytes);
        prop_assert!((0.88..1.14).contains(&off), "{off}");
    }

    #[test]
    fn a_full_pool_holds_what_it_holds(
        limit in 64u64 << 20..1 << 36,
        stores in prop_oneof![Just(0), 64u64 << 20..1 << 40],
        bytes in 20.0..4096.0f64,
    ) {
        let mut pool = filled(limit, stores, bytes, 100, 100);
        pool.stores = 0;
        pool.held = pool.held.max(limit);
        let capacity = pool.capacity();
        prop_assert!(capacity <= pool.used && capacity + 256 > pool.used);
        prop_assert_eq!(capacity % 256, 0);
    }

    #[test]
    fn more_room_holds_more(
        pool in (0..1u64 << 40, 0..1u64 << 40, 0..1u64 << 30, 0..1u64 << 30, 0..1u64 << 40, 0..1u64 << 40),
        more in 0..1u64 << 40,
    ) {
        let (limit, held, used, redirected, redirected_bytes, stores) = pool;
        let pool = Holdings { limit, held, used, redirected, redirected_bytes, stores };
        let capacity = pool.capacity();
        prop_assert!(capacity + 256 > used);
        // No slot takes less than a sixteenth of a page.
        let room = limit.saturating_sub(held) + stores;
        prop_assert!(capacity <= used + room / 256);
        // More in use, with nothing more taken, is less for each.
        let mut others = pool;
        others.used += more >> 12;
        prop_assert!(others.capacity() >= capacity);
    }

    #[test]
    fn any_numbers_are_taken(numbers in any::<(u64, u64, u64, u64, u64, u64)>()) {
        let (limit, held, used, redirected, redirected_bytes, stores) = numbers;
        let pool = Holdings { limit, held, used, redirected, redirected_bytes, stores };
        prop_assert!(pool.capacity() < 1 << 44);
    }

    #[test]
    fn areas_fit_within_an_eighth(promised in 0..1u64 << 40, capacity in 0..1u64 << 40) {
        let (least, most) = (capacity as f64 * 0.875, capacity as f64 * 1.125);
        let promised_f = promised as f64;
        match Misfit::of(promised, capacity) {
            Some(Misfit::Short) => prop_assert!(promised_f < least + 1.0),
            Some(Misfit::Long) => prop_assert!(promised_f > most - 1.0),
            None => prop_assert!((least - 1.0..=most + 1.0).contains(&promised_f)),
        }
    }

    #[test]
    fn it_is_told_when_something_changed(views in prop::collection::vec(any_view(), 0..60)) {
        let mut watch = Watch::new();
        // What was told, and whether it fitted well since.
        let mut told: Option<(Misfit, View)> = None;
        for view in views {
            let said = watch.look(view);
            let misfit = Misfit::of(view.promised, view.capacity);
            let possible = misfit.filter(|misfit| *misfit == Misfit::Short || view.empty > 0);
            // It says nothing else than is so.
            prop_assert!(said.is_none() || said == possible);
            if view.promised == view.capacity {
                told = None;
            }
            match told {
                // What is new is always told.
                None => prop_assert_eq!(said, possible),
                Some((before, then)) => {
                    if said.is_none() {
                        // What is not told was told before, or cannot be changed.
                        prop_assert!(possible.is_none() || possible == Some(before));
                        if possible.is_some() {
                            prop_assert_eq!(then.promised, view.promised);
                        }
                    } else {
                        prop_assert_ne!((before, then), (said.unwrap(), view));
                    }
                }
            }
            if let Some(misfit) = said {
                told = Some((misfit, view));
            } else if misfit.is_none() && view.promised.abs_diff(view.capacity) * 16 <= view.capacity {
                told = None;
            }
        }
    }
}

#[test]
fn an_empty_pool_holds_twice_its_bytes() {
    let pool = Holdings {
        limit: 1 << 30,
        ..Holdings::default()
    };
    assert_eq!(pool.capacity(), 2 << 18);
    let pool = Holdings {
        stores: 3 << 30,
        ..pool
    };
    assert_eq!(pool.capacity(), 6 << 18);
    assert_eq!(Holdings::default().capacity(), 0);
}

#[test]
fn a_few_pages_say_little_and_many_say_all() {
    let limit = 1 << 30;
    let few = filled(limit, 0, 504.0, 1, 0);
    assert!((0.25..0.6).contains(&off(few, 504.0)));
    assert!(off(filled(limit, 0, 504.0, 10, 0), 504.0) > 0.8);
    // Pages that are in stores say nothing of those in memory, but for what they have there.
    let written = filled(limit, 1 << 34, 4096.0, 0, 50);
    assert!(written.capacity() > written.used + ((limit - written.held) >> 12) + (1 << 17));
}

#[test]
fn pages_of_zeros_do_not_promise_anything() {
    let zeros = Holdings {
        limit: 1 << 30,
        used: 1 << 30,
        ..Holdings::default()
    };
    assert_eq!(zeros.capacity(), (1 << 30) + (1 << 22));
}

fn view(promised: u64, capacity: u64, empty: u64) -> View {
    View {
        promised,
        capacity,
        empty,
    }
}

#[test]
fn a_pool_at_the_border_is_told_of_once() {
    let mut watch = Watch::new();
    assert_eq!(watch.look(view(874, 1000, 0)), Some(Misfit::Short));
    for _ in 0..10 {
        assert_eq!(watch.look(view(874, 990, 0)), None);
        assert_eq!(watch.look(view(874, 1000, 0)), None);
    }
    // When they have fitted well, it is told anew.
    assert_eq!(watch.look(view(874, 900, 0)), None);
    assert_eq!(watch.look(view(874, 1000, 0)), Some(Misfit::Short));
}

#[test]
fn it_is_told_again_when_it_grows_or_changes() {
    let mut watch = Watch::new();
    assert_eq!(watch.look(view(100, 200, 0)), Some(Misfit::Short));
    assert_eq!(watch.look(view(100, 220, 0)), None);
    assert_eq!(watch.look(view(100, 240, 0)), Some(Misfit::Short));
    assert_eq!(watch.look(view(110, 240, 0)), Some(Misfit::Short));
    assert_eq!(watch.look(view(110, 50, 0)), None);
    assert_eq!(watch.look(view(110, 50, 30)), Some(Misfit::Long));
    assert_eq!(watch.look(view(110, 50, 30)), None);
    assert_eq!(watch.look(view(110, 50, 60)), Some(Misfit::Long));
    assert_eq!(watch.look(view(110, 240, 60)), Some(Misfit::Short));
    // What is empty matters only where there is too much.
    assert_eq!(watch.look(view(110, 240, 30)), None);
}

/// Slots for pages to come.
fn to_come(pool: Holdings) -> u64 {
    pool.capacity() - pool.used
}

#[test]
fn what_pages_in_stores_take_in_memory_is_not_of_others() {
    let (here, redirected) = (200_000, 8_000_000);
    let pool = Holdings {
        limit: 1 << 30,
        held: here * 1000 + redirected * 8,
        used: here + redirected,
        redirected,
        ..Holdings::default()
    };
    assert!((750_000..800_000).contains(&to_come(pool)));
}

#[test]
fn a_record_takes_more_than_its_object() {
    let redirected = 1_000_000;
    let pool = Holdings {
        used: redirected,
        redirected,
        redirected_bytes: redirected * 300,
        stores: 3 << 29,
        ..Holdings::default()
    };
    // A GiB less 333 bytes for each, by somewhat more than 333 each.
    assert!((2_100_000..2_200_000).contains(&to_come(pool)));
}

#[test]
fn no_page_takes_more_than_itself() {
    // What was freed left holes.
    let pool = Holdings {
        limit: 1 << 30,
        held: 1 << 29,
        used: 1000,
        ..Holdings::default()
    };
    assert!(to_come(pool) > (1 << 29) / 4105 - 256);
}
