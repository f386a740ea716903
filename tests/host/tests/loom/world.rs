// SPDX-License-Identifier: GPL-2.0

//! Slots, whose objects may move between the cache and a backing store, and what each thread does
//! with them.
//!
//! Each slot has a thread for the kernel's side. The mover writes all slots back as one batch, or as
//! two, of which another thread ends the first while the mover fills the second; and it cleans,
//! moves segments to others and takes them back into the cache; no other thread marks or
//! fills segments. A visitor reads what is in the backing store, as a load does, or recalls it to
//! the cache, as the recalling worker does. There are few segments, each with one place for each
//! slot, so they are used again at once.
//!
//! Objects that move have the same length, so that an entry may be equal to an earlier one, but
//! each store puts something else into its object. What is checked at each step: a load finds what
//! was stored last; an object is freed once, never while read; no record is read while its place is
//! filled anew or given up; each record ends once.

use ghostswap_core::entry::{
    Entry,
    Lane,
    Redirect, //
};
use ghostswap_core::log::{
    Cursor,
    PinnedSegment,
    Segment,
    SegmentLog,
    TakenSegment, //
};
use ghostswap_core::payload::{
    Coder,
    Form,
    Length, //
};
use ghostswap_core::segment::Location;
use ghostswap_core::slot::{
    Content,
    Displaced,
    Look,
    Mark as Marked,
    Slot, //
};
use ghostswap_core::PAGE_SIZE;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::heap::{
    Heap,
    Mark, //
};
use crate::object::Object;

const STORE: usize = 5;

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Store,
    StoreSame,
    Load,
    Invalidate,
}

use Step::*;

/// The mark of a page that repeats a word, and has no object.
const SAME: Mark = 0;
/// The mark of a page that was lost.
const LOST: Mark = Mark::MAX;
/// That word.
const FILL: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Job {
    /// Comes by all slots, and leaves what is there.
    Age,
    /// Makes another object of each that is in memory, and puts that in its place.
    Recode,
    /// Makes a bundle of those that are in memory, and puts its shares in their places.
    Bundle,
    /// Writes all slots back, into one segment.
    WriteBack,
    /// The same, but the disk fails.
    FailToWrite,
    /// Writes all slots back, and then all again, in the other lane, while a worker ends the first
    /// batch. Of each it says whether the disk works.
    WriteTwo(bool, bool),
    /// Moves what is left of the emptiest segment.
    Clean,
    /// Moves what is left of this segment.
    Move(usize),
    /// Moves what is left of this segment back to the cache.
    TakeBack(usize),
    /// Discards what was in this segment, if that is free.
    Discard(usize),
    /// Gives the disk up once nothing is left on it.
    Leave,
    /// Reads all that is in the backing store.
    Visit,
    /// Moves all that is in the backing store back to the cache.
    Recall,
    /// Gives up all that is in the backing store.
    Lose,
    /// Finds that this segment cannot be read.
    FailToRead(usize),
    /// Has this segment not be filled again.
    Retire(usize),
    /// Has segments that failed used again.
    Restore,
}

use Job::*;

/// The length of each object that moves: that of an incompressible page.
pub fn length() -> Length {
    Length::new(PAGE_SIZE).expect("a page has it")
}

/// The form of each object in a backing store: the second compressor made it.
fn form() -> Form {
    Form {
        length: length(),
        coder: Coder::Second,
    }
}

/// What is at a place of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Record {
    generation: u64,
    slot: usize,
    mark: Mark,
}

/// What was copied into a segment: of each object the slot, what was in it, and the mark.
struct Batch {
    taken: TakenSegment,
    copies: Vec<(usize, Mark, Marked)>,
}

pub struct World {
    pub slots: Vec<Slot<Object>>,
    pub heap: Heap,
    pub log: SegmentLog<Vec<Segment>>,
    /// For each segment, a place for each slot.
    disk: Vec<Vec<UnsafeCell<Option<Record>>>>,
}

fn location(segment: usize, place: usize) -> Location {
    Location::new(STORE, segment, place).expect("there are few")
}

impl World {
    /// The length of an object is what `length` says of its mark.
    pub fn new(slots: usize, segments: usize, length: fn(Mark) -> Length) -> Self {
        Self {
            slots: (0..slots).map(|_| Slot::new()).collect(),
            // Each slot's and one that is stored to it, and one each of the mover, its worker and
            // the visitor, or of two lookers.
            heap: Heap::new(2 * slots + 3, length),
            log: SegmentLog::new((0..segments).map(|_| Segment::new()).collect()),
            disk: (0..segments)
                .map(|_| (0..slots).map(|_| UnsafeCell::new(None)).collect())
                .collect(),
        }
    }

    fn write(&self, taken: &TakenSegment, slot: usize, mark: Mark) -> Location {
        let record = Record {
            generation: taken.generation(),
            slot,
            mark,
        };
        // SAFETY: Loom checks that no other thread reads or writes it.
        self.disk[taken.segment()][slot].with_mut(|disk| unsafe { *disk = Some(record) });
        location(taken.segment(), slot)
    }

    fn discard(&self, segment: usize) {
        for place in &self.disk[segment] {
            // SAFETY: Loom checks that no other thread reads or writes it.
            place.with_mut(|disk| unsafe { *disk = None });
        }
    }

    fn read(&self, at: Location) -> Record {
        assert_eq!(at.store(), STORE);
        // SAFETY: Loom checks that no other thread writes it.
        let record = self.disk[at.segment()][at.unit()].with(|disk| unsafe { *disk });
        record.expect("what an entry names was written")
    }

    /// The slot and the mark of each record that this generation of segment `pinned` has.
    fn read_segment(&self, pinned: &PinnedSegment) -> Vec<(usize, Mark)> {
        let places = &self.disk[pinned.segment()];
        // SAFETY: Loom checks that no other thread writes them.
        let records = places
            .iter()
            .map(|place| place.with(|disk| unsafe { *disk }));
        let of_this_generation = records
            .flatten()
            .filter(|record| record.generation == pinned.generation());
        of_this_generation
            .map(|record| (record.slot, record.mark))
            .collect()
    }

    /// Reads the record of `slot` at `at`, twice.
    fn read_pinned(&self, pinned: &PinnedSegment, slot: usize, at: Location) -> Mark {
        let record = self.read(at);
        assert_eq!(
            (record.generation, record.slot),
            (pinned.generation(), slot)
        );
        assert_eq!(self.read(at), record);
        record.mark
    }

    fn end(&self, redirect: Redirect) {
        self.log
            .end_record(redirect.location.segment(), redirect.form.length);
    }

    /// Calls `read` with the segment of `redirect` pinned, if the slot's object is still there.
    fn pinned<R>(
        &self,
        slot: usize,
        redirect: Redirect,
        read: impl FnOnce(&PinnedSegment) -> R,
    ) -> Option<R> {
        let pinned = self.log.pin(redirect.location.segment())?;
        let result = self.slots[slot].still(redirect).then(|| read(&pinned));
        self.log.unpin(pinned);
        result
    }

    pub fn do_job(world: &Arc<Self>, job: Job, cursor: &mut Cursor) {
        match job {
            Age => world.slots.iter().for_each(Slot::age),
            Recode => (0..world.slots.len()).for_each(|slot| world.recode(slot)),
            Bundle => world.bundle(),
            WriteBack => world.write_back(cursor, true),
            FailToWrite => world.write_back(cursor, false),
            WriteTwo(first_works, second_works) => {
                let first = world.fill(Lane::First, cursor);
                let shared = world.clone();
                let worker = thread::spawn(move || shared.end_batch(first, first_works));
                let second = world.fill(Lane::Second, cursor);
                world.end_batch(second, second_works);
                worker.join().unwrap();
            }
            Clean => {
                world.log.find_victims(cursor);
                let victim = world.log.victim(cursor);
                world.clean(victim, cursor);
            }
            Move(segment) => world.clean(world.log.take(segment), cursor),
            TakeBack(segment) => world.take_back(world.log.take(segment)),
            Discard(segment) => {
                if let Some(taken) = world.log.open_at(cursor, segment) {
                    world.discard(segment);
                    world.log.seal(taken);
                }
            }
            Leave => {
                while !world.log.is_idle() {
                    thread::yield_now();
                }
                for segment in 0..world.disk.len() {
                    world.discard(segment);
                }
            }
            Visit => world.for_each_redirect(|slot, redirect| {
                world.pinned(slot, redirect, |pinned| {
                    world.read_pinned(pinned, slot, redirect.location);
                });
            }),
            Lose => world.for_each_redirect(|slot, redirect| {
                if world.slots[slot].lose(redirect) {
                    world.end(redirect);
                }
            }),
            FailToRead(segment) => {
                if let Some(taken) = world.log.take(segment) {
                    world.log.doubt(taken);
                }
            }
            Retire(segment) => {
                if let Some(taken) = world.log.take(segment) {
                    world.log.retire(taken);
                }
            }
            Restore => world.log.restore(),
            Recall => world.for_each_redirect(|slot, redirect| {
                world.pinned(slot, redirect, |pinned| {
                    let mark = world.read_pinned(pinned, slot, redirect.location);
                    world.recall(slot, redirect, mark);
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
        let batch = self.fill(Lane::First, cursor);
        assert!(batch.is_none() || self.log.free() < self.disk.len());
        self.end_batch(batch, disk_works);
    }

    /// Fills a segment with all that is in memory, if one is free.
    fn fill(&self, lane: Lane, cursor: &mut Cursor) -> Option<Batch> {
        let taken = self.log.open(cursor)?;
        let copies = (0..self.slots.len())
            .filter_map(|slot| self.copy(slot, lane))
            .collect();
        Some(Batch { taken, copies })
    }

    /// Writes what `batch` has, if the disk works, and redirects it.
    fn end_batch(&self, batch: Option<Batch>, disk_works: bool) {
        let Some(Batch { taken, copies }) = batch else {
            return;
        };
        if !disk_works {
            for (slot, _, mark) in copies {
                self.slots[slot].unmark(mark);
            }
            return self.log.seal(taken);
        }
        let written: Vec<_> = copies
            .into_iter()
            .map(|(slot, copy, mark)| (slot, mark, self.write(&taken, slot, copy)))
            .collect();
        let lengths = written.iter().map(|_| length());
        self.log.begin_records(&taken, lengths);
        for (slot, mark, location) in written {
            let redirect = Redirect {
                location,
                form: form(),
            };
            match self.slots[slot].commit(mark, redirect) {
                Some(object) => self.heap.free(object),
                None => self.end(redirect),
            }
        }
        self.log.seal(taken);
    }

    /// Makes another object of that of `slot`, if it has one in memory, and puts it in its place.
    fn recode(&self, slot: usize) {
        let Look::Object(hold) = self.slots[slot].look() else {
            return;
        };
        let mark = self.heap.read(hold.object());
        let object = self.heap.allocate(mark, Coder::Second);
        match hold.release_for(object) {
            Ok(before) => self.heap.free(before),
            Err(both) => both.into_iter().for_each(|object| self.heap.free(object)),
        }
    }

    /// Makes a bundle of all objects in memory that the first compressor made, and puts its shares in their
    /// places.
    fn bundle(&self) {
        let holds: Vec<_> = (self.slots.iter())
            .filter_map(|slot| match slot.look() {
                Look::Object(hold) if hold.form().coder == Coder::First => Some(hold),
                Look::Object(hold) => {
                    if let Some(object) = hold.release() {
                        self.heap.free(object);
                    }
                    None
                }
                _ => None,
            })
            .collect();
        if holds.is_empty() {
            return;
        }
        let marks = (holds.iter())
            .map(|hold| self.heap.read(hold.object()))
            .collect();
        for (hold, share) in holds.into_iter().zip(self.heap.bundle(marks)) {
            match hold.release_for(share) {
                Ok(before) => self.heap.free(before),
                Err(both) => both.into_iter().for_each(|object| self.heap.free(object)),
            }
        }
    }

    /// Copies and marks the object of `slot`, if it has one in memory.
    fn copy(&self, slot: usize, lane: Lane) -> Option<(usize, Mark, Marked)> {
        let Look::Object(hold) = self.slots[slot].look() else {
            return None;
        };
        let copy = self.heap.read(hold.object());
        match hold.release_marked(lane) {
            Ok(mark) => Some((slot, copy, mark)),
            Err(object) => {
                self.heap.free(object);
                None
            }
        }
    }

    /// Moves what is left of the segment `source` to another, if one is free.
    fn clean(&self, source: Option<TakenSegment>, cursor: &mut Cursor) {
        let Some(source) = source else { return };
        if let Some(taken) = self.log.open(cursor) {
            let moves: Vec<_> = (self.left_in(&source).into_iter())
                .map(|(slot, from, mark)| (slot, from, self.write(&taken, slot, mark)))
                .collect();
            for (slot, from, location) in moves {
                self.log.begin_record(&taken, length());
                let moved = self.slots[slot].move_redirect(from, location);
                self.end(if moved {
                    from
                } else {
                    Redirect { location, ..from }
                });
            }
            self.log.seal(taken);
        }
        self.log.seal(source);
    }

    /// Moves what is left of the segment `source` to the cache.
    fn take_back(&self, source: Option<TakenSegment>) {
        let Some(source) = source else { return };
        for (slot, from, mark) in self.left_in(&source) {
            self.recall(slot, from, mark);
        }
        self.log.seal(source);
    }

    fn recall(&self, slot: usize, from: Redirect, mark: Mark) {
        let object = self.heap.allocate(mark, from.form.coder);
        match self.slots[slot].recall(from, object) {
            Ok(()) => self.end(from),
            Err(object) => self.heap.free(object),
        }
    }

    /// The records of the segment `source` that slots name, found as the mover finds them: it reads
    /// the segment first, and then looks at the slots.
    fn left_in(&self, source: &TakenSegment) -> Vec<(usize, Redirect, Mark)> {
        let records = self.read_segment(source).into_iter();
        let redirects = records.map(|(slot, mark)| {
            let from = Redirect {
                location: location(source.segment(), slot),
                form: form(),
            };
            (slot, from, mark)
        });
        redirects
            .filter(|(slot, from, _)| self.slots[*slot].peek() == Entry::Redirected(*from))
            .collect()
    }
}

/// The kernel's side of one slot.
pub struct Kernel {
    world: Arc<World>,
    slot: usize,
    /// What was stored last; [`None`] if the slot is free.
    page: Option<Mark>,
    stores: Mark,
}

impl Kernel {
    pub fn new(world: &Arc<World>, slot: usize) -> Self {
        Self {
            world: world.clone(),
            slot,
            page: None,
            stores: 0,
        }
    }

    pub fn play(&mut self, script: &[Step]) {
        for step in script {
            match step {
                Store => {
                    self.stores += 1;
                    let mark = 10 * self.slot as Mark + self.stores;
                    let object = self.world.heap.allocate(mark, Coder::First);
                    self.replace(Content::Object(object), Some(mark));
                }
                StoreSame => self.replace(Content::Same(FILL), Some(SAME)),
                Load => {
                    let found = self.load();
                    let is_lost = found == Some(LOST) && self.page.is_some();
                    assert!(is_lost || found == self.page);
                }
                Invalidate => self.replace(Content::Free, None),
            }
        }
    }

    fn replace(&mut self, content: Content<Object>, page: Option<Mark>) {
        let displaced = self.world.slots[self.slot].replace(content).displaced();
        let before = std::mem::replace(&mut self.page, page);
        match displaced {
            Displaced::Free => assert_eq!(before, None),
            Displaced::Same => assert_eq!(before, Some(SAME)),
            Displaced::Held(length) => {
                let expected = before.map(|mark| self.world.heap.length_of(mark));
                assert_eq!(expected, Some(length));
            }
            Displaced::Object(object, length) => {
                assert_eq!(object.form().length, length);
                assert_eq!(before, Some(self.world.heap.read(&object)));
                self.world.heap.free(object);
            }
            Displaced::Redirected(redirect) => {
                let record = self.world.read(redirect.location);
                assert_eq!((before, record.slot), (Some(record.mark), self.slot));
                self.world.end(redirect);
            }
            Displaced::Lost => assert!(before.is_some_and(|mark| mark != SAME)),
        }
    }

    fn load(&self) -> Option<Mark> {
        loop {
            match self.world.slots[self.slot].look() {
                Look::Free => return None,
                Look::Same(fill) => {
                    assert_eq!(fill, FILL);
                    return Some(SAME);
                }
                Look::Object(hold) => {
                    let mark = self.world.heap.read(hold.object());
                    assert!(
                        hold.release().is_none(),
                        "a slot is not stored to during a load"
                    );
                    return Some(mark);
                }
                Look::Redirected(redirect) => {
                    let read = |pinned: &PinnedSegment| {
                        self.world.read_pinned(pinned, self.slot, redirect.location)
                    };
                    if let Some(mark) = self.world.pinned(self.slot, redirect, read) {
                        return Some(mark);
                    }
                }
                Look::Lost => return Some(LOST),
                Look::Busy => (),
            }
            thread::yield_now();
        }
    }
}
