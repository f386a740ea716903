// SPDX-License-Identifier: GPL-2.0

//! The models reach every change of an entry that `rust/core/slot.rs` makes, and no other.

use std::cell::RefCell;
use std::collections::{
    BTreeMap,
    BTreeSet, //
};

use ghostswap_core::entry::{
    Entry,
    ObjectState, //
};
use ghostswap_core::slot::Slot;
use ghostswap_core::sync::{
    Word,
    WordChange,
    OBSERVER, //
};

use crate::object::Object;
use crate::tally::Tally;

/// The type and the state of an entry, without its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Free,
    Same,
    Idle,
    Aged,
    Held,
    Marked,
    Redirected,
    Gone,
}

use Kind::*;
use WordChange::*;

type Transition = (WordChange, Kind, Kind);

/// The changes that slots make by comparing, and the functions that make them; each may also come
/// too late.
const REPLACED: [(Kind, Kind, &str); 12] = [
    (Idle, Aged, "age"),
    (Idle, Held, "look"),
    (Aged, Held, "look"),
    (Marked, Held, "look"),
    (Held, Idle, "release"),
    (Held, Aged, "release_for"),
    (Held, Marked, "release_marked"),
    (Marked, Idle, "unmark"),
    (Marked, Redirected, "commit"),
    (Redirected, Redirected, "move_redirect"),
    (Redirected, Idle, "recall"),
    (Redirected, Gone, "lose"),
];

/// The kinds that `replace` makes of an entry of any kind.
const STORED: [Kind; 3] = [Free, Same, Idle];
const ALL: [Kind; 8] = [Free, Same, Idle, Aged, Held, Marked, Redirected, Gone];

thread_local! {
    static WATCHED: RefCell<Vec<*const Word>> = const { RefCell::new(Vec::new()) };
    static SEEN: RefCell<BTreeMap<Transition, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Notes the changes of these slots in this run of a model, if the test in this file runs it.
pub fn watch(slots: &[Slot<Object>]) {
    // A slot is its word, and nothing else.
    assert_eq!(size_of::<Slot<Object>>(), size_of::<Word>());
    let words = slots.iter().map(|slot| std::ptr::from_ref(slot).cast());
    WATCHED.set(words.collect());
}

fn note(word: *const Word, change: WordChange, old: u64, new: u64) {
    if WATCHED.with_borrow(|watched| watched.contains(&word)) {
        let transition = (change, kind(old), kind(new));
        SEEN.with_borrow_mut(|seen| *seen.entry(transition).or_default() += 1);
    }
}

fn kind(word: u64) -> Kind {
    match Entry::decode(word).expect("an entry") {
        Entry::Free => Free,
        Entry::Same { .. } => Same,
        Entry::Cached { state, .. } => match state {
            ObjectState::Idle => Idle,
            ObjectState::Aged => Aged,
            ObjectState::Held => Held,
            ObjectState::Marked(_) => Marked,
        },
        Entry::Redirected(_) => Redirected,
        // WordChange has a kind called Lost.
        Entry::Lost => Gone,
    }
}

#[test]
fn every_change_of_an_entry_is_reached_and_there_is_no_other() {
    let tally = Tally::start();
    OBSERVER.set(note);
    crate::slot::all_transitions(&tally);
    crate::redirect::all_transitions(&tally);
    tally.tell("All changes of an entry");

    let seen = SEEN.take();
    let mut expected = BTreeSet::new();
    for (from, to, by) in REPLACED {
        for change in [Replaced, Lost] {
            expected.insert((change, from, to));
            let times = seen.get(&(change, from, to)).unwrap_or(&0);
            println!("  {by}: {from:?} to {to:?}, {change:?}: {times} times");
        }
    }
    for from in ALL {
        for to in STORED {
            expected.insert((Swapped, from, to));
            let times = seen.get(&(Swapped, from, to)).unwrap_or(&0);
            println!("  replace: {from:?} to {to:?}: {times} times");
        }
    }
    assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), expected);
}
