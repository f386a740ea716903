// SPDX-License-Identifier: GPL-2.0

//! Making, using and freeing an element of a sparse array, in every interleaving.
//!
//! Several threads work with one place of the array, each with a slot of its own in the element
//! there, as different slots of one cluster are. The array does what the module's does
//! (`rust/kernel_ext/mm/sparse_array.rs`): readers look the element up in an RCU read side and pin
//! it, users count their use there, and a pin ends in a read side, too. Where there is none, or a
//! dead one, a user puts a new one in under a lock. The thread that sees an element die takes it
//! out, if it is still the one there, and has it freed when the readers of that time are done.
//!
//! Checked in each interleaving: a user finds an element with uses alive; exactly one thread sees
//! each death; no thread touches an element, its counts included, after its end; no element is
//! left.

use std::sync::atomic::{
    AtomicUsize as Count,
    Ordering::Relaxed, //
};
use std::sync::Mutex as Ledger;

use ghostswap_core::pin_count::PinCount;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{
    AtomicUsize,
    Ordering, //
};
use loom::sync::{
    Arc,
    Mutex, //
};
use loom::thread;

use crate::tally::{
    bound,
    Tally, //
};

const NOTHING: usize = 0;

struct Element {
    pins: PinCount,
    /// Operations on the counts that are not over. Loom never interrupts a thread after its last
    /// atomic access, so an operation that is interrupted has one more access to make.
    operations: Count,
    /// From its making to its end.
    valid: UnsafeCell<bool>,
    /// A slot for each thread: whether it is in use.
    slots: Vec<UnsafeCell<bool>>,
}

impl Element {
    fn new(threads: usize) -> Self {
        Self {
            pins: PinCount::new_pinned(),
            operations: Count::new(0),
            valid: UnsafeCell::new(false),
            slots: (0..threads).map(|_| UnsafeCell::new(false)).collect(),
        }
    }

    /// What its maker does before another thread can see it.
    fn begin(&self) {
        // SAFETY: Loom checks that no other thread reads or writes it.
        self.valid.with_mut(|valid| unsafe { *valid = true });
    }

    /// What is done once no thread can see it any more.
    fn end(&self) {
        assert_eq!(
            self.operations.load(Relaxed),
            0,
            "the counts are touched after the end"
        );
        // SAFETY: Loom checks that no other thread reads or writes it.
        self.valid
            .with_mut(|valid| assert!(unsafe { std::mem::replace(&mut *valid, false) }));
        for slot in &self.slots {
            // SAFETY: Loom checks that no other thread reads or writes it.
            slot.with_mut(|used| assert!(!unsafe { *used }, "it died with a slot in use"));
        }
    }

    fn read(&self) {
        // SAFETY: Loom checks that no other thread writes it.
        self.valid.with(|valid| assert!(unsafe { *valid }));
    }

    /// Does an operation on the counts.
    fn count<R>(&self, operation: impl FnOnce(&PinCount) -> R) -> R {
        self.read();
        self.operations.fetch_add(1, Relaxed);
        let result = operation(&self.pins);
        self.operations.fetch_sub(1, Relaxed);
        result
    }

    /// Sets whether the slot of `thread` is in use. Returns whether it was.
    fn set_used(&self, thread: usize, used: bool) -> bool {
        self.read();
        // SAFETY: Loom checks that no other thread reads or writes it.
        self.slots[thread].with_mut(|was| unsafe { std::mem::replace(&mut *was, used) })
    }
}

/// Read-copy-update, as far as it is needed here: an element that is given up is freed by the last
/// thread that was reading at that time, and a thread that begins to read later sees that it is
/// gone.
struct Rcu {
    /// Orders giving up before later reading.
    begins: AtomicUsize,
    /// Orders reading before freeing.
    ends: AtomicUsize,
    ledger: Ledger<Readers>,
}

#[derive(Default)]
struct Readers {
    /// The threads that are reading.
    reading: Vec<usize>,
    /// The elements that were given up, and the threads that each waits for.
    given_up: Vec<(usize, Vec<usize>)>,
    any_given_up: bool,
}

impl Rcu {
    fn new() -> Self {
        Self {
            begins: AtomicUsize::new(0),
            ends: AtomicUsize::new(0),
            ledger: Ledger::default(),
        }
    }

    fn read<R>(&self, thread: usize, place: &Place, side: impl FnOnce() -> R) -> R {
        // Loom has less to try if this orders nothing before something is given up.
        if self.ledger.lock().unwrap().any_given_up {
            self.begins.fetch_add(0, Ordering::Acquire);
        }
        self.ledger.lock().unwrap().reading.push(thread);
        let result = side();
        self.ends.fetch_add(1, Ordering::Release);
        {
            let mut ledger = self.ledger.lock().unwrap();
            ledger.reading.retain(|&reader| reader != thread);
            for (_, readers) in &mut ledger.given_up {
                readers.retain(|&reader| reader != thread);
            }
        }
        self.free(place);
        result
    }

    fn give_up(&self, number: usize, place: &Place) {
        self.begins.fetch_add(1, Ordering::Release);
        {
            let mut ledger = self.ledger.lock().unwrap();
            ledger.any_given_up = true;
            let readers = ledger.reading.clone();
            ledger.given_up.push((number, readers));
        }
        self.free(place);
    }

    fn free(&self, place: &Place) {
        let (free, waiting) = {
            let mut ledger = self.ledger.lock().unwrap();
            std::mem::take(&mut ledger.given_up)
                .into_iter()
                .partition::<Vec<_>, _>(|(_, readers)| readers.is_empty())
        };
        self.ledger.lock().unwrap().given_up = waiting;
        if !free.is_empty() {
            self.begins.fetch_add(0, Ordering::Acquire);
            self.ends.fetch_add(0, Ordering::Acquire);
        }
        for (number, _) in free {
            place.elements[number - 1].end();
            *place.ended.lock().unwrap() += 1;
        }
    }
}

/// One place of the array, and all elements that were ever in it.
struct Place {
    /// One more than the index of the element in it.
    current: AtomicUsize,
    lock: Mutex<()>,
    rcu: Rcu,
    elements: Vec<Element>,
    made: Ledger<usize>,
    ended: Ledger<usize>,
}

impl Place {
    fn new(threads: usize, stores: usize) -> Self {
        Self {
            current: AtomicUsize::new(NOTHING),
            lock: Mutex::new(()),
            rcu: Rcu::new(),
            elements: (0..stores).map(|_| Element::new(threads)).collect(),
            made: Ledger::new(0),
            ended: Ledger::new(0),
        }
    }

    fn find(&self) -> Option<usize> {
        match self.current.load(Ordering::Acquire) {
            NOTHING => None,
            number => Some(number),
        }
    }

    fn element(&self, number: usize) -> &Element {
        &self.elements[number - 1]
    }

    /// Pins what is there.
    fn get(&self, thread: usize) -> Option<usize> {
        self.rcu.read(thread, self, || {
            self.find()
                .filter(|&number| self.element(number).count(PinCount::pin))
        })
    }

    fn unpin(&self, thread: usize, number: usize) {
        self.rcu.read(thread, self, || {
            if self.element(number).count(PinCount::unpin) {
                self.remove(number);
            }
        });
    }

    /// Makes sure that there is a live element, and pins it. There is no loop in this, so no thread
    /// seeks for ever.
    fn add(&self) -> usize {
        let _lock = self.lock.lock().unwrap();
        let found = self
            .find()
            .filter(|&number| self.element(number).count(PinCount::pin));
        found.unwrap_or_else(|| {
            let number = {
                let mut made = self.made.lock().unwrap();
                *made += 1;
                *made
            };
            self.element(number).begin();
            self.current.store(number, Ordering::Release);
            number
        })
    }

    /// Puts something into the slot of `thread`.
    fn add_use(&self, thread: usize) -> usize {
        let occupy = |number| {
            let element = self.element(number);
            if !element.count(PinCount::add_use) {
                return false;
            }
            if element.set_used(thread, true) {
                self.end_use_of(number);
            }
            true
        };
        let found = self.rcu.read(thread, self, || {
            self.find().filter(|&number| occupy(number))
        });
        found.unwrap_or_else(|| {
            let number = self.add();
            assert!(occupy(number), "it is pinned, so it is alive");
            self.unpin(thread, number);
            number
        })
    }

    /// Frees the slot of `thread`, and returns the element that it is in.
    fn end_use(&self, thread: usize) -> Option<usize> {
        self.rcu.read(thread, self, || {
            let number = self.find()?;
            assert!(self.element(number).set_used(thread, false));
            self.end_use_of(number);
            Some(number)
        })
    }

    fn end_use_of(&self, number: usize) {
        if self.element(number).count(PinCount::end_use) {
            self.remove(number);
        }
    }

    fn remove(&self, number: usize) {
        {
            let _lock = self.lock.lock().unwrap();
            if self.current.load(Ordering::Acquire) == number {
                self.current.store(NOTHING, Ordering::Release);
            }
        }
        self.rcu.give_up(number, self);
    }

    fn check_nothing_left(&self) {
        assert_eq!(self.find(), None);
        assert_eq!(*self.made.lock().unwrap(), *self.ended.lock().unwrap());
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// Puts something into the thread's slot.
    Store,
    /// Reads the thread's slot, which is in use.
    Load,
    /// Frees the thread's slot.
    Invalidate,
    /// Looks at the element that is there, as the mover does.
    Visit,
}

use Step::*;

/// Plays a thread that has slot `thread`.
fn play(place: &Place, thread: usize, script: &[Step]) {
    let mut mine = None;
    for step in script {
        match step {
            Store => {
                let number = place.add_use(thread);
                assert_eq!(mine.unwrap_or(number), number, "what is used stays there");
                mine = Some(number);
            }
            Load => {
                let found = place.get(thread).expect("what is used is there, alive");
                assert_eq!(mine, Some(found));
                place.element(found).read();
                place.unpin(thread, found);
            }
            Invalidate => assert_eq!(mine.take(), place.end_use(thread)),
            Visit => {
                if let Some(found) = place.get(thread) {
                    place.element(found).read();
                    place.unpin(thread, found);
                }
            }
        }
    }
}

fn run(scripts: &'static [&'static [Step]]) {
    let is_store = |step: &&Step| **step == Store;
    let stores = scripts.iter().copied().flatten().filter(is_store).count();
    let place = Arc::new(Place::new(scripts.len(), stores));
    let others: Vec<_> = (1..scripts.len())
        .map(|number| {
            let place = place.clone();
            thread::spawn(move || play(&place, number, scripts[number]))
        })
        .collect();
    play(&place, 0, scripts[0]);
    for other in others {
        other.join().unwrap();
    }
    place.check_nothing_left();
}

/// Explores all interleavings with at most so many preemptions: some scripts would take minutes.
fn check(preemptions: impl Into<Option<usize>>, scripts: &'static [&'static [Step]]) {
    let preemptions = preemptions.into();
    Tally::start()
        .explore(preemptions, move || run(scripts))
        .tell(&format!("{scripts:?}, {preemptions:?} preemptions"));
}

#[test]
fn two_users_share_an_element_and_one_sees_it_die() {
    check(5, &[&[Store, Invalidate], &[Store, Invalidate]]);
}

#[test]
fn a_visitor_keeps_an_element_no_longer_than_it_looks() {
    check(None, &[&[Store, Invalidate], &[Visit]]);
    check(4, &[&[Store, Store, Invalidate], &[Visit, Visit]]);
}

#[test]
fn an_element_in_use_is_found_alive_whatever_the_other_does() {
    check(4, &[&[Store, Load, Invalidate], &[Store, Invalidate]]);
}

const TWO_LIVES: &[&[Step]] = &[
    &[Store, Invalidate, Store, Invalidate],
    &[Store, Invalidate],
];

#[test]
fn an_element_dies_and_another_takes_its_place() {
    check(bound(Some(4), 3), TWO_LIVES);
}

const THREE_USERS: &[&[Step]] = &[&[Store, Invalidate], &[Store, Invalidate], &[Visit, Visit]];

#[test]
fn three_users_and_one_element() {
    check(bound(Some(3), 2), THREE_USERS);
}
