// SPDX-License-Identifier: GPL-2.0

//! One slot between the kernel and our lookers, in every interleaving.
//!
//! The kernel serialises what it does to one slot, so one thread is the kernel's side. The others
//! are lookers: they look at the slot, read the object they find, twice, and release it. Checked in
//! each interleaving: each object is freed exactly once, never while held, and none is left; a load
//! finds what was stored last; no thread reads the content of another object, though freed objects
//! are given out again at once.

use ghostswap_core::payload::Length;
use ghostswap_core::slot::{
    Content,
    Displaced,
    Look,
    Slot, //
};
use loom::sync::Arc;
use loom::thread;

use crate::heap::{
    Heap,
    Mark, //
};
use crate::object::Object;
use crate::tally::{
    bound,
    Tally, //
};
use crate::transitions::watch;

#[derive(Clone, Copy, Debug)]
enum Step {
    Store,
    StoreSame,
    Load,
    Invalidate,
}

use Step::*;

const STEPS: [Step; 4] = [Store, StoreSame, Load, Invalidate];

/// What the slot holds, as the kernel's side knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    None,
    Same(u32),
    Object(Mark),
}

struct World {
    slot: Slot<Object>,
    heap: Heap,
}

impl World {
    /// A heap for as many objects as can be live at once: the slot's, one that is being stored, and
    /// one with each looker.
    fn new(lookers: usize) -> Self {
        Self {
            slot: Slot::new(),
            heap: Heap::new(2 + lookers, |mark| {
                Length::new(mark.into()).expect("marks are small, and not 0")
            }),
        }
    }

    /// Plays a looker: looks `times` times, whatever it finds.
    fn looker(&self, times: usize) {
        for _ in 0..times {
            if let Look::Object(hold) = self.slot.look() {
                let mark = self.heap.read(hold.object());
                assert_eq!(self.heap.read(hold.object()), mark);
                assert_eq!(hold.length(), hold.object().length());
                if let Some(object) = hold.release() {
                    self.heap.free(object);
                }
            }
        }
    }
}

/// The kernel's side of the slot.
struct Kernel<'w> {
    world: &'w World,
    page: Page,
    stores: Mark,
}

impl<'w> Kernel<'w> {
    fn new(world: &'w World) -> Self {
        Self {
            world,
            page: Page::None,
            stores: 0,
        }
    }

    fn play(&mut self, script: &[Step]) {
        for step in script {
            match step {
                Store => {
                    self.stores += 1;
                    let object = self.world.heap.allocate(self.stores);
                    self.replace(Content::Object(object), Page::Object(self.stores));
                }
                StoreSame => self.replace(Content::Same(5), Page::Same(5)),
                Load => assert_eq!(self.load(), self.page),
                Invalidate => self.replace(Content::Free, Page::None),
            }
        }
    }

    fn replace(&mut self, content: Content<Object>, page: Page) {
        let displaced = self.world.slot.replace(content);
        let before = std::mem::replace(&mut self.page, page);
        match displaced {
            Displaced::Free => assert_eq!(before, Page::None),
            Displaced::Same => assert!(matches!(before, Page::Same(_))),
            Displaced::Held(length) => assert_eq!(before, Page::Object(length.bytes() as Mark)),
            Displaced::Object(object, length) => {
                assert_eq!(object.length(), length);
                assert_eq!(before, Page::Object(self.world.heap.read(&object)));
                self.world.heap.free(object);
            }
            Displaced::Redirected(_) => unreachable!("nothing is written back"),
        }
    }

    fn load(&self) -> Page {
        loop {
            match self.world.slot.look() {
                Look::Free => return Page::None,
                Look::Same(fill) => return Page::Same(fill),
                Look::Redirected(_) => unreachable!("nothing is written back"),
                Look::Busy => thread::yield_now(),
                Look::Object(hold) => {
                    let mark = self.world.heap.read(hold.object());
                    assert!(
                        hold.release().is_none(),
                        "a slot is not stored to during a load"
                    );
                    return Page::Object(mark);
                }
            }
        }
    }
}

/// Lookers that look `looks` times each, while the kernel's side plays `script`. Before, it played
/// `given`.
#[derive(Clone, Copy, Debug)]
struct Scene {
    given: &'static [Step],
    script: &'static [Step],
    lookers: usize,
    looks: usize,
}

impl Scene {
    fn check(self) {
        self.check_some(None);
    }

    /// Explores all interleavings with at most so many preemptions.
    fn check_some(self, preemptions: Option<usize>) {
        Tally::start()
            .explore(preemptions, move || self.run(self.script))
            .tell(&format!("{self:?}, {preemptions:?} preemptions"));
    }

    fn run(&self, script: &[Step]) {
        let looks = self.looks;
        let world = Arc::new(World::new(self.lookers));
        watch(std::slice::from_ref(&world.slot));
        let mut kernel = Kernel::new(&world);
        kernel.play(self.given);
        let lookers: Vec<_> = (0..self.lookers)
            .map(|_| {
                let world = world.clone();
                thread::spawn(move || world.looker(looks))
            })
            .collect();
        kernel.play(script);
        kernel.play(&[Invalidate]);
        for looker in lookers {
            looker.join().unwrap();
        }
        assert!(matches!(world.slot.look(), Look::Free));
        world.heap.check_all_free();
    }
}

const ONE_LOOKER: Scene = Scene {
    given: &[],
    script: &[],
    lookers: 1,
    looks: 2,
};

const TWO_LOOKERS_AND_A_LOAD: Scene = Scene {
    given: &[Store],
    script: &[Load],
    lookers: 2,
    looks: 1,
};

const TWO_LOOKERS_AND_A_STORE: Scene = Scene {
    script: &[Invalidate, Store],
    ..TWO_LOOKERS_AND_A_LOAD
};

#[test]
fn an_overwritten_object_is_freed_once_and_not_while_held() {
    Scene {
        script: &[Store, Store, Load],
        ..ONE_LOOKER
    }
    .check();
}

#[test]
fn a_reused_slot_never_shows_the_object_that_was_there() {
    Scene {
        script: &[Store, Invalidate, Store, Load],
        ..ONE_LOOKER
    }
    .check();
}

#[test]
fn an_object_whose_name_is_given_out_again_is_not_taken_for_the_old_one() {
    Scene {
        given: &[Store],
        script: &[Invalidate, Store, Store, Store],
        looks: 3,
        ..ONE_LOOKER
    }
    .check();
}

#[test]
fn a_load_waits_for_a_looker_and_finds_the_last_store() {
    Scene {
        script: &[Store, Load, StoreSame, Load],
        ..ONE_LOOKER
    }
    .check();
}

#[test]
fn two_lookers_share_an_object_and_none_frees_it() {
    TWO_LOOKERS_AND_A_LOAD.check_some(bound(None, 4));
}

#[test]
fn two_lookers_and_a_reused_slot_leak_nothing() {
    TWO_LOOKERS_AND_A_STORE.check_some(bound(None, 4));
}

#[test]
fn every_script_of_four_steps_keeps_the_promises_with_a_looker() {
    let scene = Scene {
        looks: 1,
        ..ONE_LOOKER
    };
    let scripts = (0..STEPS.len().pow(4))
        .map(|number| [64, 16, 4, 1].map(|place| STEPS[number / place % STEPS.len()]));
    let tally = Tally::start();
    for script in scripts {
        tally.explore(None, move || scene.run(&script));
    }
    tally.tell("All scripts of four steps");
}

/// Makes every change of an entry that has to do with no backing store.
pub fn all_transitions(tally: &Tally) {
    let scene = Scene {
        looks: 1,
        ..ONE_LOOKER
    };
    let steps = STEPS.into_iter();
    for script in steps.flat_map(|first| STEPS.map(|second| [Store, first, second])) {
        tally.explore(None, move || scene.run(&script));
    }
}
