// SPDX-License-Identifier: GPL-2.0

//! A pile that a worker takes up when it was told: each thing is taken up as often as it was put down.

use super::tally::{
    bound,
    Tally, //
};
use ghostswap_core::pile::Pile;
use loom::{
    cell::UnsafeCell,
    sync::{
        atomic::{
            AtomicBool,
            AtomicUsize,
            Ordering, //
        },
        Arc,
    },
    thread,
};

struct Thing {
    below: UnsafeCell<u64>,
    taken: AtomicUsize,
}

/// A pile, and a work item as the kernel has it: queued once until it runs.
struct Landing {
    pile: Pile,
    queued: AtomicBool,
    things: Vec<Thing>,
}

impl Landing {
    fn thing(&self, number: u64) -> &Thing {
        &self.things[number as usize - 1]
    }

    fn put(&self, number: u64) {
        let first = self.pile.put(number, |below| {
            // SAFETY: Until it is put down, it is this thread's. If another got at it at the same time,
            // loom would see that.
            (self.thing(number).below).with_mut(|noted| unsafe { *noted = below });
        });
        if first {
            self.queued.swap(true, Ordering::AcqRel);
        }
    }

    /// Runs the work item, if it is queued. The first thing is put down `again` when it was taken up.
    fn work(&self, again: &AtomicUsize) {
        if !self.queued.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut number = self.pile.take();
        while number != 0 {
            let thing = self.thing(number);
            // SAFETY: It was taken up, so it is this thread's. Likewise.
            let below = thing.below.with(|noted| unsafe { *noted });
            thing.taken.fetch_add(1, Ordering::Relaxed);
            if number == 1 && again.load(Ordering::Relaxed) > 0 {
                again.fetch_sub(1, Ordering::Relaxed);
                self.put(1);
            }
            number = below;
        }
    }
}

/// A thread puts down each thing, and a worker runs meanwhile.
fn play(things: usize, again: usize) {
    let preemptions = bound(Some(3), 2);
    let run = move || {
        let landing = Arc::new(Landing {
            pile: Pile::new(),
            queued: AtomicBool::new(false),
            things: (0..things)
                .map(|_| Thing {
                    below: UnsafeCell::new(u64::MAX),
                    taken: AtomicUsize::new(0),
                })
                .collect(),
        });
        let left = Arc::new(AtomicUsize::new(again));
        let putters: Vec<_> = (1..=things as u64)
            .map(|number| {
                let landing = landing.clone();
                thread::spawn(move || landing.put(number))
            })
            .collect();
        landing.work(&left);
        for putter in putters {
            putter.join().unwrap();
        }
        for _ in 0..=again {
            landing.work(&left);
        }
        assert!(!landing.queued.load(Ordering::Relaxed));
        assert_eq!(landing.pile.take(), 0, "something was left behind");
        for (at, thing) in landing.things.iter().enumerate() {
            let put = if at == 0 { 1 + again } else { 1 };
            assert_eq!(thing.taken.load(Ordering::Relaxed), put, "thing {at}");
        }
    };
    Tally::start()
        .explore(preemptions, run)
        .tell(&format!("pile of {things}, the first {again} times again"));
}

#[test]
fn each_thing_is_taken_up() {
    play(1, 0);
    play(2, 0);
    play(3, 0);
}

#[test]
fn a_thing_is_put_down_again() {
    play(1, 1);
    play(2, 1);
}
