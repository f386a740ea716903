// SPDX-License-Identifier: GPL-2.0

//! What is done with a backing store, while the mover fills segments of it, or closes it.

use ghostswap_core::{
    log::{
        Cursor,
        Segment,
        SegmentLog, //
    },
    store_state::{
        StoreState,
        StoreStatus, //
    },
};
use loom::{
    cell::UnsafeCell,
    sync::Arc,
    thread, //
};

use super::tally::Tally;

struct Store {
    state: StoreState,
    log: SegmentLog<Vec<Segment>>,
    /// The device; [`None`] once it was let go.
    device: UnsafeCell<Option<()>>,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            state: StoreState::new(),
            log: SegmentLog::new(vec![Segment::new()]),
            device: UnsafeCell::new(Some(())),
        })
    }

    /// Fills segments, as the mover does.
    fn fill(&self, segments: usize) {
        let mut cursor = Cursor::new(0);
        for _ in 0..segments {
            let taken = self.log.open(&mut cursor).expect("it is free");
            if self.state.confirm_open() {
                // SAFETY: Loom checks that no other thread writes it.
                self.device
                    .with(|device| unsafe { assert!((*device).is_some()) });
            }
            self.log.seal(taken);
        }
    }

    /// Gives it up, and lets the device go once it is idle.
    fn give_up(&self) {
        assert!(self.state.give_up());
        while !self.log.is_idle() {
            thread::yield_now();
        }
        // SAFETY: Loom checks that no other thread reads or writes it.
        self.device.with_mut(|device| unsafe { *device = None });
    }
}

#[test]
fn nothing_goes_to_a_store_that_was_given_up_and_is_idle() {
    let run = || {
        let store = Store::new();
        let mover = thread::spawn({
            let store = store.clone();
            move || store.fill(2)
        });
        store.give_up();
        mover.join().unwrap();
        assert_eq!(store.state.status(), StoreStatus::GivenUp);
    };
    Tally::start()
        .explore(None, run)
        .tell("a store is given up");
}

#[test]
fn a_store_that_is_closed_meanwhile_stays_closed() {
    let run = || {
        let store = Store::new();
        let mover = thread::spawn({
            let store = store.clone();
            move || store.state.close()
        });
        assert!(store.state.remove());
        assert!(!store.state.remove());
        assert!(store.state.status().is_removing());
        assert!(store.state.keep());
        assert!(mover.join().unwrap());
        assert_eq!(store.state.status(), StoreStatus::Closed);
        store.state.reopen();
        assert_eq!(store.state.status(), StoreStatus::Open);
    };
    Tally::start()
        .explore(None, run)
        .tell("a store is closed while it is removed");
}

#[test]
fn a_store_is_removed_or_kept() {
    let run = || {
        let store = Store::new();
        assert!(!store.state.finish_removal() && !store.state.finish_giving_up());
        assert!(store.state.remove());
        assert!(!store.state.finish_giving_up());
        let other = thread::spawn({
            let store = store.clone();
            move || store.state.keep()
        });
        let removed = store.state.finish_removal();
        assert!(removed != other.join().unwrap());
        let status = store.state.status();
        assert_eq!(status == StoreStatus::Removed, removed);
        assert_eq!(status == StoreStatus::Open, !removed);
        assert_eq!(store.state.give_up(), !removed);
        assert!(!store.state.finish_removal());
        assert_eq!(store.state.finish_giving_up(), !removed);
        assert!(!store.state.finish_giving_up() && !store.state.give_up());
        assert_eq!(store.state.status() == StoreStatus::Abandoned, !removed);
    };
    Tally::start()
        .explore(None, run)
        .tell("a store is removed, and kept");
}

#[test]
fn a_store_is_given_up_once_and_for_good() {
    let run = || {
        let store = Store::new();
        let other = thread::spawn({
            let store = store.clone();
            move || {
                let given_up = store.state.give_up();
                store.state.reopen();
                store.state.close();
                given_up
            }
        });
        let removed = store.state.remove();
        let kept = store.state.keep();
        assert!(removed || !kept);
        let given_up = store.state.give_up();
        assert!(given_up != other.join().unwrap());
        assert_eq!(store.state.status(), StoreStatus::GivenUp);
    };
    Tally::start()
        .explore(None, run)
        .tell("two give a store up");
}
