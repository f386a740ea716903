// SPDX-License-Identifier: GPL-2.0

//! Slots whose objects move between the cache and a backing store, in every interleaving of what
//! the kernel, the mover and a visitor do; see world.rs. In the end no object is left, and each
//! segment is free.

use ghostswap_core::entry::Entry;
use ghostswap_core::log::Cursor;
use loom::sync::Arc;
use loom::thread::{
    self,
    JoinHandle, //
};

use crate::tally::{
    bound,
    Tally, //
};
use crate::transitions::watch;
use crate::world::{
    length,
    Job,
    Kernel,
    Step,
    World, //
};

use Job::*;
use Step::*;

/// What every slot holds before.
#[derive(Clone, Copy, Debug)]
enum Given {
    Cached,
    Redirected,
}

/// What the kernel's sides of some slots, the mover and the visitor do.
#[derive(Clone, Copy, Debug)]
struct Scene {
    segments: usize,
    given: Given,
    kernel: &'static [&'static [Step]],
    mover: &'static [Job],
    visitor: &'static [Job],
}

impl Scene {
    fn check(self, preemptions: impl Into<Option<usize>>) {
        self.explore(bound(preemptions.into(), 2));
    }

    /// For a scene that takes many seconds with two preemptions.
    fn check_large(self, preemptions: usize) {
        self.explore(bound(Some(preemptions), 1));
    }

    fn explore(self, preemptions: Option<usize>) {
        Tally::start()
            .explore(preemptions, move || self.run())
            .tell(&format!("{self:?}, {preemptions:?} preemptions"));
    }

    fn run(self) {
        let world = World::new(self.kernel.len(), self.segments, |_| length());
        let world = Arc::new(world);
        watch(&world.slots);
        let mut cursor = Cursor::new(7);
        let mut kernels: Vec<_> = (0..self.kernel.len())
            .map(|slot| Kernel::new(&world, slot))
            .collect();
        for kernel in &mut kernels {
            kernel.play(&[Store]);
        }
        if let Given::Redirected = self.given {
            World::do_job(&world, WriteBack, &mut cursor);
        }

        let mut others = vec![
            play(&world, self.mover, cursor),
            // It never fills a segment, so this cursor is not used.
            play(&world, self.visitor, Cursor::new(0)),
        ];
        let mut first = kernels.remove(0);
        for (mut kernel, script) in kernels.into_iter().zip(&self.kernel[1..]) {
            others.push(Some(thread::spawn(move || {
                kernel.play(script);
                kernel.play(&[Invalidate]);
            })));
        }
        first.play(self.kernel[0]);
        first.play(&[Invalidate]);
        for other in others.into_iter().flatten() {
            other.join().unwrap();
        }

        for slot in &world.slots {
            assert_eq!(slot.peek(), Entry::Free);
        }
        if self.mover.contains(&Restore) {
            // A segment may be missed, but not the second time.
            world.log.restore();
        }
        world.heap.check_all_free();
        let stats = world.log.stats();
        assert_eq!(stats.free, self.segments, "a segment leaked");
        assert_eq!(world.log.free(), self.segments);
        assert_eq!(stats.live, 0);
    }
}

/// A thread that does `jobs`, if there are any.
fn play(world: &Arc<World>, jobs: &'static [Job], mut cursor: Cursor) -> Option<JoinHandle<()>> {
    let world = world.clone();
    (!jobs.is_empty()).then(|| {
        thread::spawn(move || {
            for &job in jobs {
                World::do_job(&world, job, &mut cursor);
            }
        })
    })
}

const WRITING: Scene = Scene {
    segments: 2,
    given: Given::Cached,
    kernel: &[&[]],
    mover: &[WriteBack],
    visitor: &[],
};

const CLEANING: Scene = Scene {
    given: Given::Redirected,
    mover: &[Clean],
    ..WRITING
};

#[test]
fn an_object_is_replaced_by_another_of_the_same_page() {
    Scene {
        kernel: &[&[Load, Store, Load]],
        visitor: &[Recode, Recode],
        ..WRITING
    }
    .check(3);
    Scene {
        kernel: &[&[Load, Invalidate]],
        mover: &[],
        visitor: &[Recode],
        ..WRITING
    }
    .check(None);
}

/// Each slot is loaded, stored to, and freed while its object becomes a share of a bundle, and after that; the
/// shares of a bundle end at once; they are written back, and become objects again.
#[test]
fn a_bundle_is_there_until_its_last_share_is_freed_and_no_longer() {
    let bundling = Scene {
        mover: &[],
        visitor: &[Bundle],
        ..WRITING
    };
    let scenes = [
        Scene {
            kernel: &[&[Load, Store, Load], &[]],
            ..bundling
        },
        Scene {
            kernel: &[&[Store], &[Invalidate]],
            ..bundling
        },
        Scene {
            kernel: &[&[Load], &[Invalidate]],
            ..bundling
        },
        Scene {
            kernel: &[&[Load], &[]],
            visitor: &[Bundle, Recode],
            ..bundling
        },
        Scene {
            kernel: &[&[Load], &[]],
            mover: &[WriteBack],
            ..bundling
        },
        Scene {
            kernel: &[&[Store], &[]],
            mover: &[WriteBack],
            ..bundling
        },
    ];
    for scene in scenes {
        scene.check(3);
    }
}

#[test]
fn a_load_finds_what_was_stored_before_during_and_after_writing_it() {
    Scene {
        kernel: &[&[Load, Store, Load]],
        ..WRITING
    }
    .check(None);
}

#[test]
fn an_object_that_is_aged_is_the_one_that_was_stored() {
    for mover in [&[Age, WriteBack] as &[_], &[WriteBack, Age]] {
        Scene {
            kernel: &[&[Load, Store, Load]],
            mover,
            ..WRITING
        }
        .check(6);
    }
    Scene {
        kernel: &[&[Invalidate, Store, Load]],
        mover: &[Age],
        visitor: &[Age],
        ..WRITING
    }
    .check(None);
}

#[test]
fn a_copy_of_what_was_freed_is_not_taken_for_what_was_stored_after() {
    Scene {
        kernel: &[&[Invalidate, Store, Load]],
        ..WRITING
    }
    .check(8);
}

#[test]
fn a_segment_is_filled_again_only_when_its_last_reader_is_gone() {
    Scene {
        segments: 1,
        given: Given::Redirected,
        kernel: &[&[Store, Load]],
        mover: &[WriteBack],
        visitor: &[Visit],
    }
    .check(3);
}

#[test]
fn two_batches_into_the_same_segments_mix_nothing_up() {
    Scene {
        segments: 1,
        kernel: &[&[Store, Store, Load]],
        mover: &[WriteBack, WriteBack],
        ..WRITING
    }
    .check(6);
}

#[test]
fn a_failed_write_leaves_everything_in_the_cache() {
    Scene {
        kernel: &[&[Store, Load]],
        mover: &[FailToWrite, WriteBack],
        ..WRITING
    }
    .check(7);
}

#[test]
fn of_two_batches_at_once_each_redirects_what_it_copied() {
    let scene = Scene {
        mover: &[WriteTwo(true, true)],
        ..WRITING
    };
    Scene {
        kernel: &[&[Invalidate, Store, Load]],
        ..scene
    }
    .check(4);
    Scene {
        kernel: &[&[Load, Store, Load]],
        ..scene
    }
    .check(4);
}

#[test]
fn of_two_batches_at_once_one_may_fail() {
    for mover in [&[WriteTwo(false, true)], &[WriteTwo(true, false)]] {
        Scene {
            kernel: &[&[Store, Load]],
            mover,
            ..WRITING
        }
        .check(4);
    }
}

#[test]
fn a_load_finds_what_is_being_cleaned() {
    Scene {
        kernel: &[&[Load, Store, Load]],
        ..CLEANING
    }
    .check(6);
}

#[test]
fn what_is_freed_while_it_is_cleaned_stays_free() {
    Scene {
        kernel: &[&[Invalidate, Store, Load]],
        mover: &[Clean, WriteBack],
        ..CLEANING
    }
    .check(5);
}

#[test]
fn what_is_recalled_is_not_cleaned_and_the_reverse() {
    Scene {
        kernel: &[&[]],
        visitor: &[Recall],
        ..CLEANING
    }
    .check(3);
}

#[test]
fn what_is_recalled_can_be_stored_anew_and_written_back() {
    Scene {
        kernel: &[&[Store]],
        given: Given::Redirected,
        visitor: &[Recall],
        ..WRITING
    }
    .check(3);
}

#[test]
fn the_last_of_two_records_frees_their_segment_once() {
    let scene = Scene {
        segments: 1,
        given: Given::Redirected,
        kernel: &[&[], &[]],
        mover: &[],
        visitor: &[],
    };
    scene.check(None);
    Scene {
        visitor: &[Visit],
        ..scene
    }
    .check(2);
}

#[test]
fn two_slots_in_one_segment_do_not_disturb_each_other() {
    Scene {
        given: Given::Redirected,
        kernel: &[&[Store], &[Load]],
        mover: &[Clean, WriteBack],
        ..WRITING
    }
    .check_large(2);
}

const LEAVING: Scene = Scene {
    segments: 1,
    given: Given::Redirected,
    kernel: &[&[]],
    mover: &[TakeBack(0), Leave],
    visitor: &[Visit],
};

#[test]
fn a_segment_is_moved_and_another_taken_back_while_its_slot_is_freed_and_filled() {
    Scene {
        segments: 2,
        given: Given::Redirected,
        kernel: &[&[Invalidate, Store]],
        mover: &[Move(0), WriteBack, TakeBack(1)],
        visitor: &[Visit],
    }
    .check_large(2);
}

#[test]
fn a_load_finds_what_is_moved_and_taken_back() {
    Scene {
        given: Given::Redirected,
        kernel: &[&[Load, Load]],
        mover: &[Move(0), TakeBack(1), WriteBack],
        ..WRITING
    }
    .check(3);
}

#[test]
fn a_backing_store_that_is_idle_has_no_reader() {
    LEAVING.check(3);
    Scene {
        kernel: &[&[Load, Store]],
        visitor: &[],
        ..LEAVING
    }
    .check(6);
}

#[test]
fn a_segment_that_could_not_be_read_is_free_when_its_records_have_ended() {
    let scene = Scene {
        mover: &[FailToRead(0), WriteBack],
        kernel: &[&[Load, Store]],
        ..LEAVING
    };
    scene.check(3);
    Scene {
        mover: &[FailToRead(0), Restore, WriteBack],
        ..scene
    }
    .check(3);
}

#[test]
fn a_segment_that_was_retired_is_free_again_once() {
    let scene = Scene {
        mover: &[Retire(0), Restore, WriteBack],
        kernel: &[&[Store]],
        ..LEAVING
    };
    scene.check(3);
    Scene {
        segments: 2,
        kernel: &[&[Invalidate], &[Store]],
        visitor: &[],
        ..scene
    }
    .check(3);
}

#[test]
fn what_is_given_up_is_lost_or_elsewhere_and_its_records_end_once() {
    for mover in [&[WriteBack] as &[_], &[Clean], &[Move(0), TakeBack(1)]] {
        Scene {
            segments: 2,
            given: Given::Redirected,
            kernel: &[&[Load, Store, Load]],
            mover,
            visitor: &[Lose],
        }
        .check(3);
    }
    Scene {
        given: Given::Redirected,
        kernel: &[&[Store], &[Load]],
        mover: &[Lose, WriteBack],
        visitor: &[Recall],
        ..WRITING
    }
    .check_large(2);
}

#[test]
fn a_segment_that_is_discarded_has_no_reader() {
    Scene {
        mover: &[Discard(0), WriteBack],
        ..LEAVING
    }
    .check(3);
}

/// Makes every change of an entry that has to do with a backing store.
pub fn all_transitions(tally: &Tally) {
    let scenes = [
        Scene {
            kernel: &[&[Store, StoreSame]],
            mover: &[FailToWrite, WriteBack],
            ..WRITING
        },
        Scene {
            kernel: &[&[Load]],
            mover: &[WriteBack, Clean],
            ..WRITING
        },
        Scene {
            kernel: &[&[Store]],
            mover: &[Age, WriteBack],
            ..WRITING
        },
        Scene {
            kernel: &[&[StoreSame]],
            mover: &[Age, WriteBack],
            ..WRITING
        },
        Scene {
            kernel: &[&[StoreSame, Store]],
            visitor: &[Recall],
            ..CLEANING
        },
        Scene {
            kernel: &[&[Store]],
            visitor: &[Recode],
            ..WRITING
        },
        Scene {
            kernel: &[&[Store], &[]],
            mover: &[],
            visitor: &[Bundle],
            ..WRITING
        },
        Scene {
            kernel: &[&[]],
            visitor: &[Lose],
            ..CLEANING
        },
        Scene {
            kernel: &[&[Store]],
            visitor: &[Lose],
            ..CLEANING
        },
        Scene {
            kernel: &[&[StoreSame]],
            visitor: &[Lose],
            ..CLEANING
        },
    ];
    for scene in scenes {
        tally.explore(Some(2), move || scene.run());
    }
}
