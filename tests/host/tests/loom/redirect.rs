// SPDX-License-Identifier: GPL-2.0

//! Slots whose objects move between the cache and a store, in every interleaving.
//!
//! Each slot has a thread for the kernel's side. One worker writes all slots back as one batch, and
//! cleans, moves segments to others and takes them back into the cache; it is the only one that marks
//! and that fills segments. A visitor reads what is in the store, or recalls it to the cache, as
//! another worker does. There are few segments, each of one place a slot, so they are used again at
//! once.
//!
//! All objects have the same form, so that an entry may be equal to an earlier one, but each store puts
//! something else into its object. Checked in all interleavings: a load finds what was stored last;
//! each object is freed exactly once, never while read; no record is read while its place is filled
//! anew or given up; each record ends once, and each segment is free in the end.

use ghostswap_core::entry::{Entry, Form, Redirect};
use ghostswap_core::log::{Claim, Cursor, Log, Pinned, Segment};
use ghostswap_core::segment::Location;
use ghostswap_core::slot::{Content, Displaced, Look, Mark as Marked, Slot};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use crate::heap::{Heap, Mark};
use crate::object::Object;
use crate::tally::{bound, Tally};
use crate::transitions::watch;

const FORM: Form = Form::Whole;
const STORE: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Step {
    Store,
    StoreSame,
    Load,
    Invalidate,
}

use Step::{Invalidate, Load, Store, StoreSame};

/// Of a page that repeats something, and has no object.
const SAME: Mark = 0;

#[derive(Clone, Copy, Debug)]
enum Job {
    /// Writes all slots back, into one segment.
    WriteBack,
    /// The same, but the disk fails.
    FailToWrite,
    /// Relocates what is left of the emptiest segment.
    Clean,
    /// Relocates what is left of this segment.
    Move(usize),
    /// Moves what is left of this segment back to the cache.
    TakeBack(usize),
    /// Discards what was in this segment, if it is free.
    Discard(usize),
    /// Gives the disk up once nothing is left on it.
    Leave,
    /// Reads all that is in the store.
    Visit,
    /// Moves all that is in the store back to the cache.
    Recall,
}

use Job::{Clean, Discard, FailToWrite, Leave, Move, Recall, TakeBack, Visit, WriteBack};

/// What is at a place of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Record {
    life: u32,
    slot: usize,
    mark: Mark,
}

struct World {
    slots: Vec<Slot<Object>>,
    heap: Heap,
    log: Log<Vec<Segment>>,
    /// For each segment, a place for each slot.
    disk: Vec<Vec<UnsafeCell<Option<Record>>>>,
}

fn location(segment: usize, place: usize) -> Location {
    Location::new(STORE, segment, place).expect("there are few")
}

impl World {
    fn new(slots: usize, segments: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| Slot::new()).collect(),
            // Each slot's and one that is stored to it, and what the worker and the visitor have.
            heap: Heap::new(2 * slots + 2, |_| FORM),
            log: Log::new((0..segments).map(|_| Segment::new()).collect()),
            disk: (0..segments)
                .map(|_| (0..slots).map(|_| UnsafeCell::new(None)).collect())
                .collect(),
        }
    }

    fn write(&self, claim: &Claim, slot: usize, mark: Mark) -> Location {
        let record = Record {
            life: claim.life(),
            slot,
            mark,
        };
        // SAFETY: loom checks that nobody else is at it.
        self.disk[claim.segment()][slot].with_mut(|disk| unsafe { *disk = Some(record) });
        location(claim.segment(), slot)
    }

    fn discard(&self, segment: usize) {
        for place in &self.disk[segment] {
            // SAFETY: loom checks that nobody else is at it.
            place.with_mut(|disk| unsafe { *disk = None });
        }
    }

    fn read(&self, at: Location) -> Record {
        assert_eq!(at.store(), STORE);
        // SAFETY: loom checks that nobody writes it.
        let record = self.disk[at.segment()][at.unit()].with(|disk| unsafe { *disk });
        record.expect("what an entry names was written")
    }

    /// What the life of segment `pinned` left at each place.
    fn read_segment(&self, pinned: &Pinned) -> Vec<(usize, Mark)> {
        let places = &self.disk[pinned.segment()];
        // SAFETY: loom checks that nobody writes them.
        let records = places
            .iter()
            .map(|place| place.with(|disk| unsafe { *disk }));
        let of_this_life = records
            .flatten()
            .filter(|record| record.life == pinned.life());
        of_this_life
            .map(|record| (record.slot, record.mark))
            .collect()
    }

    /// Reads the record of `slot` at `at`, twice.
    fn read_pinned(&self, pinned: &Pinned, slot: usize, at: Location) -> Mark {
        let record = self.read(at);
        assert_eq!((record.life, record.slot), (pinned.life(), slot));
        assert_eq!(self.read(at), record);
        record.mark
    }

    fn end(&self, redirect: Redirect) {
        self.log
            .end_record(redirect.location.segment(), redirect.form.length());
    }

    /// Calls `read` with the segment of `redirect` pinned, if the slot's object is still there.
    fn pinned<R>(
        &self,
        slot: usize,
        redirect: Redirect,
        read: impl FnOnce(&Pinned) -> R,
    ) -> Option<R> {
        let pinned = self.log.pin(redirect.location.segment())?;
        let result = self.slots[slot].still(redirect).then(|| read(&pinned));
        self.log.unpin(pinned);
        result
    }

    fn do_job(&self, job: Job, cursor: &mut Cursor) {
        match job {
            WriteBack => self.write_back(cursor, true),
            FailToWrite => self.write_back(cursor, false),
            Clean => self.relocate(self.log.victim(), cursor),
            Move(segment) => self.relocate(self.log.claim(segment), cursor),
            TakeBack(segment) => self.take_back(self.log.claim(segment)),
            Discard(segment) => {
                if let Some(claim) = self.log.open_at(cursor, segment) {
                    self.discard(segment);
                    self.log.seal(claim);
                }
            }
            Leave => {
                while !self.log.is_idle() {
                    thread::yield_now();
                }
                for segment in 0..self.disk.len() {
                    self.discard(segment);
                }
            }
            Visit => self.for_each_redirect(|slot, redirect| {
                self.pinned(slot, redirect, |pinned| {
                    self.read_pinned(pinned, slot, redirect.location);
                });
            }),
            Recall => self.for_each_redirect(|slot, redirect| {
                self.pinned(slot, redirect, |pinned| {
                    let mark = self.read_pinned(pinned, slot, redirect.location);
                    self.recall(slot, redirect, mark);
                });
            }),
        }
    }

    fn for_each_redirect(&self, each: impl Fn(usize, Redirect)) {
        for (number, slot) in self.slots.iter().enumerate() {
            if let Entry::Redirected(redirect) = slot.peek() {
                each(number, redirect);
            }
        }
    }

    fn write_back(&self, cursor: &mut Cursor, disk_works: bool) {
        let copies: Vec<_> = (0..self.slots.len())
            .filter_map(|slot| self.copy(slot))
            .collect();
        let claim = match self.log.open(cursor) {
            Some(claim) if disk_works && !copies.is_empty() => claim,
            other => {
                for (slot, _, mark) in copies {
                    self.slots[slot].unmark(mark);
                }
                if let Some(claim) = other {
                    self.log.seal(claim);
                }
                return;
            }
        };
        assert!(self.log.free() < self.disk.len());
        let written: Vec<_> = copies
            .into_iter()
            .map(|(slot, copy, mark)| (slot, mark, self.write(&claim, slot, copy)))
            .collect();
        for (slot, mark, location) in written {
            self.log.begin_record(&claim, FORM.length());
            match self.slots[slot].commit(mark, location) {
                Some(object) => self.heap.free(object),
                None => self.end(Redirect {
                    location,
                    form: FORM,
                }),
            }
        }
        self.log.seal(claim);
    }

    /// Copies and marks the object of `slot`, if it has one in memory.
    fn copy(&self, slot: usize) -> Option<(usize, Mark, Marked)> {
        let Look::Object(hold) = self.slots[slot].look() else {
            return None;
        };
        let copy = self.heap.read(hold.object());
        match hold.release_marked() {
            Ok(mark) => Some((slot, copy, mark)),
            Err(object) => {
                self.heap.free(object);
                None
            }
        }
    }

    /// Moves what is left of the segment of `source` to another, as far as one is free.
    fn relocate(&self, source: Option<Claim>, cursor: &mut Cursor) {
        let Some(source) = source else { return };
        if let Some(claim) = self.log.open(cursor) {
            let moves: Vec<_> = (self.left_in(&source).into_iter())
                .map(|(slot, from, mark)| (slot, from, self.write(&claim, slot, mark)))
                .collect();
            for (slot, from, location) in moves {
                self.log.begin_record(&claim, FORM.length());
                let moved = self.slots[slot].relocate(from, location);
                self.end(if moved {
                    from
                } else {
                    Redirect { location, ..from }
                });
            }
            self.log.seal(claim);
        }
        self.log.seal(source);
    }

    /// Moves what is left of the segment of `source` to the cache.
    fn take_back(&self, source: Option<Claim>) {
        let Some(source) = source else { return };
        for (slot, from, mark) in self.left_in(&source) {
            self.recall(slot, from, mark);
        }
        self.log.seal(source);
    }

    fn recall(&self, slot: usize, from: Redirect, mark: Mark) {
        let object = self.heap.allocate(mark);
        match self.slots[slot].recall(from, object) {
            Ok(()) => self.end(from),
            Err(object) => self.heap.free(object),
        }
    }

    /// The records of the segment of `source` that slots name, found as the mover finds them: read
    /// first, then looked for.
    fn left_in(&self, source: &Claim) -> Vec<(usize, Redirect, Mark)> {
        let records = self.read_segment(source).into_iter();
        let redirects = records.map(|(slot, mark)| {
            let from = Redirect {
                location: location(source.segment(), slot),
                form: FORM,
            };
            (slot, from, mark)
        });
        redirects
            .filter(|(slot, from, _)| self.slots[*slot].peek() == Entry::Redirected(*from))
            .collect()
    }
}

/// The kernel's side of one slot.
struct Kernel {
    world: Arc<World>,
    slot: usize,
    /// What was stored last, if anything is.
    page: Option<Mark>,
    stores: Mark,
}

impl Kernel {
    fn new(world: &Arc<World>, slot: usize) -> Self {
        Self {
            world: world.clone(),
            slot,
            page: None,
            stores: 0,
        }
    }

    fn play(&mut self, script: &[Step]) {
        for step in script {
            match step {
                Store => {
                    self.stores += 1;
                    let mark = 10 * self.slot as Mark + self.stores;
                    let object = self.world.heap.allocate(mark);
                    self.replace(Content::Object(object), Some(mark));
                }
                StoreSame => self.replace(Content::Same(5), Some(SAME)),
                Load => assert_eq!(self.load(), self.page),
                Invalidate => self.replace(Content::Free, None),
            }
        }
    }

    fn replace(&mut self, content: Content<Object>, page: Option<Mark>) {
        let displaced = self.world.slots[self.slot].replace(content);
        let before = std::mem::replace(&mut self.page, page);
        match displaced {
            Displaced::Free => assert_eq!(before, None),
            Displaced::Same => assert_eq!(before, Some(SAME)),
            Displaced::Held(_) => assert!(before.is_some()),
            Displaced::Object(object, _) => {
                assert_eq!(before, Some(self.world.heap.read(&object)));
                self.world.heap.free(object);
            }
            Displaced::Redirected(redirect) => {
                let record = self.world.read(redirect.location);
                assert_eq!((before, record.slot), (Some(record.mark), self.slot));
                self.world.end(redirect);
            }
        }
    }

    fn load(&self) -> Option<Mark> {
        loop {
            match self.world.slots[self.slot].look() {
                Look::Free => return None,
                Look::Same(_) => return Some(SAME),
                Look::Object(hold) => {
                    let mark = self.world.heap.read(hold.object());
                    assert!(hold.release().is_none(), "nobody displaces during a load");
                    return Some(mark);
                }
                Look::Redirected(redirect) => {
                    let read = |pinned: &Pinned| {
                        self.world.read_pinned(pinned, self.slot, redirect.location)
                    };
                    if let Some(mark) = self.world.pinned(self.slot, redirect, read) {
                        return Some(mark);
                    }
                }
                Look::Busy => (),
            }
            thread::yield_now();
        }
    }
}

/// What every slot holds before.
#[derive(Clone, Copy, Debug)]
enum Given {
    Cached,
    Redirected,
}

/// The kernel's sides of some slots, the worker and the visitor, each with what it does.
#[derive(Clone, Copy, Debug)]
struct Scene {
    segments: usize,
    given: Given,
    kernel: &'static [&'static [Step]],
    worker: &'static [Job],
    visitor: &'static [Job],
}

impl Scene {
    fn check(self, preemptions: impl Into<Option<usize>>) {
        self.explore(bound(preemptions.into(), 2));
    }

    /// For a scene of which two preemptions take many seconds.
    fn check_large(self, preemptions: usize) {
        self.explore(bound(Some(preemptions), 1));
    }

    fn explore(self, preemptions: Option<usize>) {
        Tally::start()
            .explore(preemptions, move || self.run())
            .tell(&format!("{self:?}, {preemptions:?} preemptions"));
    }

    fn run(self) {
        let world = Arc::new(World::new(self.kernel.len(), self.segments));
        watch(&world.slots);
        let mut cursor = Cursor::new(7);
        let mut kernels: Vec<_> = (0..self.kernel.len())
            .map(|slot| Kernel::new(&world, slot))
            .collect();
        for kernel in &mut kernels {
            kernel.play(&[Store]);
        }
        if let Given::Redirected = self.given {
            world.do_job(WriteBack, &mut cursor);
        }

        let mut others = vec![
            play(&world, self.worker, cursor),
            // It never fills a segment, so it has no use for this.
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
        world.heap.check_all_free();
        let figures = world.log.figures();
        assert_eq!(figures.free, self.segments, "a segment leaked");
        assert_eq!(world.log.free(), self.segments);
        assert_eq!(figures.live, 0);
    }
}

/// A thread that does `jobs`, if there are any.
fn play(world: &Arc<World>, jobs: &'static [Job], mut cursor: Cursor) -> Option<JoinHandle<()>> {
    let world = world.clone();
    (!jobs.is_empty()).then(|| {
        thread::spawn(move || {
            for &job in jobs {
                world.do_job(job, &mut cursor);
            }
        })
    })
}

const WRITING: Scene = Scene {
    segments: 2,
    given: Given::Cached,
    kernel: &[&[]],
    worker: &[WriteBack],
    visitor: &[],
};

const CLEANING: Scene = Scene {
    given: Given::Redirected,
    worker: &[Clean],
    ..WRITING
};

#[test]
fn a_load_finds_what_was_stored_before_during_and_after_writing_it() {
    Scene {
        kernel: &[&[Load, Store, Load]],
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
        worker: &[WriteBack],
        visitor: &[Visit],
    }
    .check(3);
}

#[test]
fn two_batches_into_the_same_segments_mix_nothing_up() {
    Scene {
        segments: 1,
        kernel: &[&[Store, Store, Load]],
        worker: &[WriteBack, WriteBack],
        ..WRITING
    }
    .check(6);
}

#[test]
fn a_failed_write_leaves_everything_in_the_cache() {
    Scene {
        kernel: &[&[Store, Load]],
        worker: &[FailToWrite, WriteBack],
        ..WRITING
    }
    .check(7);
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
        worker: &[Clean, WriteBack],
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
        worker: &[],
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
        worker: &[Clean, WriteBack],
        ..WRITING
    }
    .check_large(2);
}

const LEAVING: Scene = Scene {
    segments: 1,
    given: Given::Redirected,
    kernel: &[&[]],
    worker: &[TakeBack(0), Leave],
    visitor: &[Visit],
};

#[test]
fn a_segment_is_moved_and_another_taken_back_while_its_slot_is_freed_and_filled() {
    Scene {
        segments: 2,
        given: Given::Redirected,
        kernel: &[&[Invalidate, Store]],
        worker: &[Move(0), WriteBack, TakeBack(1)],
        visitor: &[Visit],
    }
    .check_large(2);
}

#[test]
fn a_load_finds_what_is_moved_and_taken_back() {
    Scene {
        given: Given::Redirected,
        kernel: &[&[Load, Load]],
        worker: &[Move(0), TakeBack(1), WriteBack],
        ..WRITING
    }
    .check(3);
}

#[test]
fn a_store_that_is_idle_is_read_by_nobody() {
    LEAVING.check(3);
    Scene {
        kernel: &[&[Load, Store]],
        visitor: &[],
        ..LEAVING
    }
    .check(6);
}

#[test]
fn what_is_discarded_is_read_by_nobody() {
    Scene {
        worker: &[Discard(0), WriteBack],
        ..LEAVING
    }
    .check(3);
}

/// Goes through all that can happen to an entry which has to do with stores.
pub fn all_transitions(tally: &Tally) {
    let scenes = [
        Scene {
            kernel: &[&[Store, StoreSame]],
            worker: &[FailToWrite, WriteBack],
            ..WRITING
        },
        Scene {
            kernel: &[&[Load]],
            worker: &[WriteBack, Clean],
            ..WRITING
        },
        Scene {
            kernel: &[&[StoreSame, Store]],
            visitor: &[Recall],
            ..CLEANING
        },
    ];
    for scene in scenes {
        tally.explore(Some(2), move || scene.run());
    }
}
