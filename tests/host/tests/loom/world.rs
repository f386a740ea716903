// SPDX-License-Identifier: GPL-2.0

//! Slots whose objects move between the cache and a store, and what each thread does with them.
//!
//! Each slot has a thread for the kernel's side. One worker writes all slots back as one batch, and
//! cleans, moves segments to others and takes them back into the cache; it is the only one that marks
//! and that fills segments. A visitor reads what is in the store, or recalls it to the cache, as
//! another worker does. There are few segments, each of one place a slot, so they are used again at
//! once.
//!
//! All objects have the same length, so that an entry may be equal to an earlier one, but each store puts
//! something else into its object. What is checked at each step: a load finds what was stored last; an
//! object is freed once, never while read; no record is read while its place is filled anew or given
//! up; each record ends once.

use ghostswap_core::entry::{Entry, Redirect};
use ghostswap_core::log::{Cursor, PinnedSegment, Segment, SegmentLog, TakenSegment};
use ghostswap_core::payload::Length;
use ghostswap_core::segment::Location;
use ghostswap_core::slot::{Content, Displaced, Look, Mark as Marked, Slot};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::heap::{Heap, Mark};
use crate::object::{Object, INCOMPRESSIBLE};

const LENGTH: Length = INCOMPRESSIBLE;
const STORE: usize = 5;

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Store,
    StoreSame,
    Load,
    Invalidate,
}

use Step::{Invalidate, Load, Store, StoreSame};

/// Of a page that repeats something, and has no object.
const SAME: Mark = 0;

#[derive(Clone, Copy, Debug)]
pub enum Job {
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
    generation: u32,
    slot: usize,
    mark: Mark,
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
    pub fn new(slots: usize, segments: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| Slot::new()).collect(),
            // Each slot's and one that is stored to it, and what the worker and the visitor have.
            heap: Heap::new(2 * slots + 2, |_| LENGTH),
            log: SegmentLog::new((0..segments).map(|_| Segment::new()).collect()),
            disk: (0..segments)
                .map(|_| (0..slots).map(|_| UnsafeCell::new(None)).collect())
                .collect(),
        }
    }

    fn write(&self, claim: &TakenSegment, slot: usize, mark: Mark) -> Location {
        let record = Record {
            generation: claim.generation(),
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

    /// What the generation of segment `pinned` left at each place.
    fn read_segment(&self, pinned: &PinnedSegment) -> Vec<(usize, Mark)> {
        let places = &self.disk[pinned.segment()];
        // SAFETY: loom checks that nobody writes them.
        let records = places
            .iter()
            .map(|place| place.with(|disk| unsafe { *disk }));
        let of_this_life = records
            .flatten()
            .filter(|record| record.generation == pinned.generation());
        of_this_life
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
            .end_record(redirect.location.segment(), redirect.length.bytes());
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

    pub fn do_job(&self, job: Job, cursor: &mut Cursor) {
        match job {
            WriteBack => self.write_back(cursor, true),
            FailToWrite => self.write_back(cursor, false),
            Clean => self.move_redirect(self.log.victim(), cursor),
            Move(segment) => self.move_redirect(self.log.take(segment), cursor),
            TakeBack(segment) => self.take_back(self.log.take(segment)),
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
            self.log.begin_record(&claim, LENGTH.bytes());
            match self.slots[slot].commit(mark, location) {
                Some(object) => self.heap.free(object),
                None => self.end(Redirect {
                    location,
                    length: LENGTH,
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
    fn move_redirect(&self, source: Option<TakenSegment>, cursor: &mut Cursor) {
        let Some(source) = source else { return };
        if let Some(claim) = self.log.open(cursor) {
            let moves: Vec<_> = (self.left_in(&source).into_iter())
                .map(|(slot, from, mark)| (slot, from, self.write(&claim, slot, mark)))
                .collect();
            for (slot, from, location) in moves {
                self.log.begin_record(&claim, LENGTH.bytes());
                let moved = self.slots[slot].move_redirect(from, location);
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
    fn take_back(&self, source: Option<TakenSegment>) {
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
    fn left_in(&self, source: &TakenSegment) -> Vec<(usize, Redirect, Mark)> {
        let records = self.read_segment(source).into_iter();
        let redirects = records.map(|(slot, mark)| {
            let from = Redirect {
                location: location(source.segment(), slot),
                length: LENGTH,
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
    /// What was stored last, if anything is.
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
                    let read = |pinned: &PinnedSegment| {
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
