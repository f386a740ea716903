// SPDX-License-Identifier: GPL-2.0

//! Slots, their objects' heap and a backing store, against a map: random stores, loads and
//! invalidations, while the mover writes back in batches, one in each lane, cleans and recalls, one
//! step at a time.
//!
//! Objects are written in the real layout of a segment, to a disk of bytes. A page that comes back
//! wrong, an object freed twice or never, and a record ended twice or never fail the test.

use std::collections::{
    HashMap,
    HashSet, //
};

use ghostswap_core::entry::{
    Entry,
    Lane,
    ObjectState,
    Redirect, //
};
use ghostswap_core::log::{
    Cursor,
    Segment,
    SegmentLog,
    TakenSegment,
    GENERATION_BITS, //
};
use ghostswap_core::payload::{
    Coder,
    Form,
    Length, //
};
use ghostswap_core::segment::{
    blocks,
    record_size,
    Location,
    Owner,
    Record,
    SegmentWriter,
    BLOCK, //
};
use ghostswap_core::slot::{
    Content,
    Displaced,
    Hold,
    Look,
    Mark,
    Slot, //
};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;
use crate::heap::Heap;
use crate::model::{
    protect,
    read,
    records, //
};
use crate::object::Object;

const SLOTS: usize = 12;
const SEGMENTS: usize = 3;
/// The bytes of a segment that are used: few, so that some segments get full.
const ROOM: usize = 4 * BLOCK;
const STORE: usize = 2;
const AREA: u8 = 3;

/// A checksum that is good enough to tell wrong bytes from right ones.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(7, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add((*byte).into())
    })
}

/// What holds a page: its object.
type Page = (Form, Vec<u8>);

fn any_page() -> impl Strategy<Value = Page> {
    let length = prop_oneof![
        // Of few lengths, so that entries come again.
        4 => (1..5usize).prop_map(|length| length * 400),
        1 => Just(PAGE_SIZE),
        1 => Just(8),
    ]
    .prop_map(|bytes| Length::new(bytes).expect("an object may have it"));
    let coder = prop::sample::select(&[Coder::First, Coder::Second][..]);
    (length, coder, any::<u8>()).prop_map(|(length, coder, byte)| {
        let bytes = (0..length.bytes()).map(|at| byte.wrapping_add(at as u8));
        (Form { length, coder }, bytes.collect())
    })
}

#[derive(Clone, Debug)]
enum Step {
    Store(usize, Page),
    StoreSame(usize),
    Load(usize),
    Invalidate(usize),
    Age(usize),
    /// Has this object hold the page, in memory.
    Recode(usize, Page),
    /// Copies the object, or this one, which holds the page from then on.
    Mark(usize, Lane, Option<Page>),
    Commit(Lane),
    FailToWrite(Lane),
    Clean,
    Recall(usize),
    Lose(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let slot = || 0..SLOTS;
    let lane = || prop::sample::select(&Lane::ALL[..]);
    prop_oneof![
        8 => (slot(), any_page()).prop_map(|(slot, page)| Step::Store(slot, page)),
        1 => slot().prop_map(Step::StoreSame),
        4 => slot().prop_map(Step::Load),
        4 => slot().prop_map(Step::Invalidate),
        6 => slot().prop_map(Step::Age),
        2 => (slot(), any_page()).prop_map(|(slot, page)| Step::Recode(slot, page)),
        12 => (slot(), lane(), prop::option::of(any_page()))
            .prop_map(|(slot, lane, page)| Step::Mark(slot, lane, page)),
        3 => lane().prop_map(Step::Commit),
        1 => lane().prop_map(Step::FailToWrite),
        2 => Just(Step::Clean),
        1 => slot().prop_map(Step::Recall),
        1 => slot().prop_map(Step::Lose),
    ]
}

/// A copy of an object, on its way to the backing store.
struct Copied {
    slot: usize,
    mark: Mark,
    /// What was copied.
    object: Page,
    /// What is written.
    page: Page,
}

struct Run<'t> {
    slots: &'t [Slot<Object>],
    heap: Heap<Vec<u8>>,
    log: SegmentLog<Vec<Segment>>,
    cursor: Cursor,
    disk: Vec<Vec<u8>>,
    /// Of each lane.
    batches: [Vec<Copied>; 2],
    /// What each slot in use holds.
    pages: HashMap<usize, Option<Page>>,
    /// Slots that were marked and not looked at since, and the lanes of their marks.
    marked: HashMap<usize, Lane>,
    /// Slots whose object was aged, and not looked at since.
    aged: HashSet<usize>,
    /// Slots whose page was lost.
    lost: Vec<usize>,
}

impl<'t> Run<'t> {
    fn new(slots: &'t [Slot<Object>], generation: u64) -> Self {
        Self {
            slots,
            heap: Heap::default(),
            log: SegmentLog::new((0..SEGMENTS).map(|_| Segment::new()).collect()),
            cursor: Cursor::new(generation),
            disk: vec![vec![0; ROOM]; SEGMENTS],
            batches: Default::default(),
            pages: HashMap::new(),
            marked: HashMap::new(),
            aged: HashSet::new(),
            lost: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Store(slot, page) => {
                let object = self.heap.allocate(page.clone());
                self.replace(slot, Content::Object(object));
                self.pages.insert(slot, Some(page));
            }
            Step::StoreSame(slot) => {
                self.replace(slot, Content::Same(5));
                self.pages.insert(slot, None);
            }
            Step::Load(slot) => {
                if let Some((_, hold)) = self.load(slot) {
                    assert!(hold.release().is_none(), "the slot still owns it");
                }
            }
            Step::Invalidate(slot) => self.replace(slot, Content::Free),
            Step::Age(slot) => {
                self.slots[slot].age();
                let is_cached = matches!(self.slots[slot].peek(), Entry::Cached { .. });
                if is_cached && !self.marked.contains_key(&slot) {
                    self.aged.insert(slot);
                }
            }
            Step::Recode(slot, page) => {
                if let Some((_, hold)) = self.load(slot) {
                    let object = self.heap.allocate(page.clone());
                    let before = hold.release_for(object);
                    let before = before.unwrap_or_else(|_| unreachable!("it was not displaced"));
                    self.heap.free(before);
                    self.pages.insert(slot, Some(page));
                    self.aged.insert(slot);
                }
            }
            Step::Mark(slot, lane, page) => self.mark(slot, lane, page),
            Step::Commit(lane) => self.commit(lane),
            Step::FailToWrite(lane) => {
                for copied in self.batches[lane as usize].drain(..) {
                    self.slots[copied.slot].unmark(copied.mark);
                }
                self.marked.retain(|_, of| *of != lane);
            }
            Step::Clean => self.clean(),
            Step::Lose(slot) => {
                if let Entry::Redirected(from) = self.slots[slot].peek() {
                    assert!(self.slots[slot].lose(from));
                    assert!(!self.slots[slot].lose(from), "it is not there any more");
                    self.end(from);
                    self.lost.push(slot);
                }
            }
            Step::Recall(slot) => {
                if let Entry::Redirected(from) = self.slots[slot].peek() {
                    let page = self.read(slot, from);
                    let object = self.heap.allocate(page);
                    assert!(self.slots[slot].recall(from, object).is_ok());
                    self.end(from);
                }
            }
        }
    }

    /// Gives the slot `content`, and frees what it held.
    fn replace(&mut self, slot: usize, content: Content<Object>) {
        self.marked.remove(&slot);
        self.aged.remove(&slot);
        let before = self.pages.remove(&slot);
        let was_lost = self.lost.contains(&slot);
        self.lost.retain(|lost| *lost != slot);
        match self.slots[slot].replace(content).displaced() {
            Displaced::Free => assert_eq!(before, None),
            Displaced::Same => assert_eq!(before, Some(None)),
            Displaced::Held(_) => unreachable!("no object is held between two steps"),
            Displaced::Object(object, _) => {
                assert_eq!(before, Some(Some(self.heap.read(&object))));
                self.heap.free(object);
            }
            Displaced::Redirected(redirect) => {
                assert!(!self.slots[slot].still(redirect));
                assert_eq!(before, Some(Some(self.read(slot, redirect))));
                self.end(redirect);
            }
            Displaced::Lost => assert!(was_lost),
        }
    }

    /// Loads what the slot holds, and returns the object, held, if that is in memory.
    fn load(&mut self, slot: usize) -> Option<(Page, Hold<'t, Object>)> {
        let expected = self.pages.get(&slot);
        match self.slots[slot].look() {
            Look::Busy => unreachable!("no object is held between two steps"),
            Look::Free => assert_eq!(expected, None),
            Look::Same(_) => assert_eq!(expected, Some(&None)),
            Look::Redirected(redirect) => {
                assert!(self.slots[slot].still(redirect));
                assert_eq!(expected, Some(&Some(self.read(slot, redirect))));
            }
            Look::Lost => assert!(self.lost.contains(&slot)),
            Look::Object(hold) => {
                self.marked.remove(&slot);
                self.aged.remove(&slot);
                let page = self.heap.read(hold.object());
                assert_eq!(expected, Some(&Some(page.clone())));
                return Some((page, hold));
            }
        }
        None
    }

    /// Reads the object of `slot` out of the backing store, as a load does.
    fn read(&self, slot: usize, redirect: Redirect) -> Page {
        let Redirect { location, form } = redirect;
        assert_eq!(location.store(), STORE);
        let pinned = self.log.pin(location.segment()).expect("it has a record");
        let record = Record {
            unit: location.unit(),
            owner: owner(slot),
            length: form.length.bytes(),
        };
        let blocks = blocks(record.unit, record.length);
        let bytes = &self.disk[location.segment()][blocks.start * BLOCK..blocks.end * BLOCK];
        let page = read(bytes, pinned.generation(), &record, checksum)
            .expect("it is there")
            .to_vec();
        self.log.unpin(pinned);
        (form, page)
    }

    fn end(&self, redirect: Redirect) {
        self.log
            .end_record(redirect.location.segment(), redirect.form.length);
    }

    fn mark(&mut self, slot: usize, lane: Lane, page: Option<Page>) {
        // A slot has one mark of a lane at a time.
        if (self.batches[lane as usize].iter()).any(|copied| copied.slot == slot) {
            return;
        }
        let Some((object, hold)) = self.load(slot) else {
            return;
        };
        let page = page.unwrap_or_else(|| object.clone());
        let mark = hold.release_marked(lane);
        let mark = mark.unwrap_or_else(|_| unreachable!("it was not displaced"));
        self.batches[lane as usize].push(Copied {
            slot,
            mark,
            object,
            page,
        });
        self.marked.insert(slot, lane);
    }

    fn commit(&mut self, lane: Lane) {
        let Some(taken) = self.log.open(&mut self.cursor) else {
            return self.step(Step::FailToWrite(lane));
        };
        let batch = std::mem::take(&mut self.batches[lane as usize]);
        let objects = batch.iter().map(|copied| (copied.slot, &copied.page));
        let locations = self.write(&taken, objects.collect());
        for (copied, location) in batch.into_iter().zip(locations) {
            let Copied {
                slot,
                mark,
                object: expected,
                page,
            } = copied;
            let Some(location) = location else {
                self.slots[slot].unmark(mark);
                continue;
            };
            let form = page.0;
            self.log.begin_record(&taken, form.length);
            let redirect = Redirect { location, form };
            let committed = self.slots[slot].commit(mark, redirect);
            assert_eq!(committed.is_some(), self.marked.get(&slot) == Some(&lane));
            match committed {
                Some(object) => {
                    assert_eq!(self.heap.read(&object), expected);
                    self.heap.free(object);
                    self.pages.insert(slot, Some(page));
                }
                None => {
                    self.log.end_record(location.segment(), form.length);
                }
            }
        }
        self.marked.retain(|_, of| *of != lane);
        self.log.seal(taken);
    }

    /// Writes `objects` to the segment `taken`. Returns the location of each; [`None`] if there was
    /// no room for it.
    fn write(
        &mut self,
        taken: &TakenSegment,
        objects: Vec<(usize, &Page)>,
    ) -> Vec<Option<Location>> {
        let mut image = vec![0xa5; ROOM];
        let mut writer = SegmentWriter::new(&mut image);
        let locations = objects.into_iter().map(|(slot, page)| {
            let unit = writer.append(owner(slot), &page.1)?;
            Location::new(STORE, taken.segment(), unit)
        });
        let locations = locations.collect();
        let end = writer.finish() * BLOCK;
        if end > 0 {
            protect(&mut image[..end], taken.generation(), checksum);
        }
        self.disk[taken.segment()][..end].copy_from_slice(&image[..end]);
        locations
    }

    fn clean(&mut self) {
        self.log.find_victims(&mut self.cursor);
        let Some(victim) = self.log.victim(&mut self.cursor) else {
            return;
        };
        let Some(taken) = self.log.open(&mut self.cursor) else {
            return self.log.seal(victim);
        };
        let image = self.disk[victim.segment()].clone();
        let (found, intact) = records(&image, victim.generation(), checksum);
        assert!(intact);
        let live = found.into_iter().filter_map(|record| {
            let slot = record.owner.slot as usize;
            let location = Location::new(STORE, victim.segment(), record.unit)?;
            match self.slots[slot].peek() {
                Entry::Redirected(from) if from.location == location => {
                    Some((slot, from, self.read(slot, from)))
                }
                _ => None,
            }
        });
        let live: Vec<_> = live.collect();
        let live_bytes: usize = live
            .iter()
            .map(|(_, from, _)| record_size(from.form.length.bytes()))
            .sum();
        assert!(live_bytes > 0, "an empty segment is free, and not cleaned");
        let objects = live.iter().map(|(slot, _, page)| (*slot, page)).collect();
        let locations = self.write(&taken, objects);
        for ((slot, from, _), to) in live.iter().zip(locations) {
            let to = to.expect("what fits in one segment fits in another");
            self.log.begin_record(&taken, from.form.length);
            assert!(self.slots[*slot].move_redirect(*from, to));
            assert!(
                !self.slots[*slot].move_redirect(*from, to),
                "it is not there any more"
            );
            self.end(*from);
        }
        self.log.seal(taken);
        let segment = victim.segment();
        self.log.seal(victim);
        assert!(self.log.pin(segment).is_none(), "nothing is left of it");
    }

    /// What is true after every step.
    fn check(&self) {
        let mut live = 0;
        let mut cached = 0;
        for (slot, entry) in self.slots.iter().map(Slot::peek).enumerate() {
            match entry {
                Entry::Free => assert!(!self.pages.contains_key(&slot)),
                Entry::Same { .. } => assert_eq!(self.pages[&slot], None),
                Entry::Cached { state, .. } => {
                    let expected = match self.marked.get(&slot) {
                        Some(lane) => ObjectState::Marked(*lane),
                        None if self.aged.contains(&slot) => ObjectState::Aged,
                        None => ObjectState::Idle,
                    };
                    assert_eq!(state, expected);
                    cached += 1;
                }
                Entry::Redirected(redirect) => live += record_size(redirect.form.length.bytes()),
                Entry::Lost => assert!(self.lost.contains(&slot)),
            }
        }
        assert_eq!(self.heap.live(), cached);
        let stats = self.log.stats();
        assert_eq!(stats.live, live as u64);
        assert_eq!(stats.free + stats.sealed, SEGMENTS);
    }
}

fn owner(slot: usize) -> Owner {
    Owner {
        area: AREA,
        slot: slot as u32,
    }
}

fn some_form() -> Form {
    Form {
        length: Length::new(100).expect("an object may have it"),
        coder: Coder::First,
    }
}

/// Marks the object of `slot` in `lane`.
fn mark(slot: &Slot<Object>, lane: Lane) -> Mark {
    let Look::Object(hold) = slot.look() else {
        panic!("there is an object");
    };
    hold.release_marked(lane)
        .ok()
        .expect("it was not displaced")
}

/// Gives the slot another object of the name and the form of the one that it has.
fn store_another(slot: &Slot<Object>) {
    let Displaced::Object(object, _) = slot.replace(Content::Free).displaced() else {
        panic!("it is not held");
    };
    let _ = slot.replace(Content::Object(object));
}

// Within one batch, an object may be freed, and its name be given to the same slot again.
#[test]
fn of_two_equal_marks_the_last_counts() {
    let form = some_form();
    let slot = Slot::new();
    let _ = slot.replace(Content::Object(Object::new(7, form)));
    let first = mark(&slot, Lane::First);
    store_another(&slot);
    let last = mark(&slot, Lane::First);

    let at = |unit| Redirect {
        location: Location::new(STORE, 0, unit).expect("it is in range"),
        form,
    };
    slot.commit(last, at(2)).expect("it is marked").forget();
    assert!(slot.commit(first, at(1)).is_none());
    assert_eq!(slot.peek(), Entry::Redirected(at(2)));
}

// While one batch is written, an object may be freed, and its name be given to the same slot again,
// which is marked for the next batch.
#[test]
fn a_mark_is_not_taken_for_that_of_the_other_lane() {
    let form = some_form();
    let at = |unit| Redirect {
        location: Location::new(STORE, 0, unit).expect("it is in range"),
        form,
    };
    for [one, other] in [[Lane::First, Lane::Second], [Lane::Second, Lane::First]] {
        let slot = Slot::new();
        let _ = slot.replace(Content::Object(Object::new(7, form)));
        let old = mark(&slot, one);
        store_another(&slot);
        let new = mark(&slot, other);
        let marked = slot.peek();

        assert!(slot.commit(old, at(1)).is_none());
        assert_eq!(slot.peek(), marked);
        slot.commit(new, at(2)).expect("it is marked").forget();
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn pages_come_back_from_wherever_they_went(
        generation in 0..1u64 << (GENERATION_BITS - 1),
        steps in prop::collection::vec(any_step(), 1..200),
    ) {
        let slots: Vec<_> = (0..SLOTS).map(|_| Slot::new()).collect();
        let mut run = Run::new(&slots, generation);
        for step in steps {
            run.step(step);
            run.check();
        }
        for lane in Lane::ALL {
            run.step(Step::FailToWrite(lane));
        }
        for slot in 0..SLOTS {
            run.step(Step::Invalidate(slot));
        }
        run.check();
        prop_assert_eq!(run.log.free(), SEGMENTS);
    }
}
