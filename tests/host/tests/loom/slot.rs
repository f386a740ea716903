// SPDX-License-Identifier: GPL-2.0

//! One slot between the kernel and our lookers, in every interleaving.
//!
//! The kernel serialises what it does to one slot, so one thread is the kernel's side. The others
//! are lookers: they look at the slot, read the object they find, twice, and release it. Checked in
//! each interleaving: each object is freed exactly once, never while held, and none is left; a load
//! finds what was stored last; no thread reads the content of another object, though freed objects
//! are given out again at once.

use ghostswap_core::payload::Length;
use ghostswap_core::slot::Look;
use loom::sync::Arc;
use loom::thread;

use crate::heap::Mark;
use crate::tally::{
    bound,
    Tally, //
};
use crate::transitions::watch;
use crate::world::{
    Kernel,
    Step,
    World, //
};

use Step::*;

const STEPS: [Step; 4] = [Store, StoreSame, Load, Invalidate];

/// Objects differ in their lengths, too.
fn length(mark: Mark) -> Length {
    Length::new(mark.into()).expect("marks are small, and not 0")
}

/// Plays a looker: looks `times` times at the slot, whatever it finds.
fn look(world: &World, times: usize) {
    for _ in 0..times {
        if let Look::Object(hold) = world.slots[0].look() {
            let mark = world.heap.read(hold.object());
            assert_eq!(world.heap.read(hold.object()), mark);
            assert_eq!(hold.form(), hold.object().form());
            if let Some(object) = hold.release() {
                world.heap.free(object);
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
        let world = Arc::new(World::new(1, 0, length));
        watch(&world.slots);
        let mut kernel = Kernel::new(&world, 0);
        kernel.play(self.given);
        let lookers: Vec<_> = (0..self.lookers)
            .map(|_| {
                let world = world.clone();
                thread::spawn(move || look(&world, looks))
            })
            .collect();
        kernel.play(script);
        kernel.play(&[Invalidate]);
        for looker in lookers {
            looker.join().unwrap();
        }
        assert!(matches!(world.slots[0].look(), Look::Free));
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
