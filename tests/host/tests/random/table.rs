// SPDX-License-Identifier: GPL-2.0

//! A table of slots against a map that does the same: random stores, loads and invalidations over
//! several clusters, with lookers that hold objects still meanwhile, one step at a time.
//!
//! The objects' heap gives a freed name out again at once, and knows the content of each object, so
//! a page that comes back wrong, a double free, a use after free and a leak each fail the test. The
//! clusters come and go by their pin counts, which are checked after each step.

use std::cell::OnceCell;
use std::collections::HashMap;

use ghostswap_core::entry::Entry;
use ghostswap_core::payload::{
    Coder,
    Form,
    Length, //
};
use ghostswap_core::pin_count::PinCount;
use ghostswap_core::slot::{
    Content,
    Displaced,
    Hold,
    Look,
    Slot, //
};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;
use crate::heap::Heap;
use crate::object::Object;

const CLUSTERS: usize = 3;
const SLOTS: usize = 4;

/// What was put into an object: different for each store.
type Mark = usize;

#[derive(Clone, Copy, Debug)]
struct Place {
    cluster: usize,
    slot: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Store(Place, Form),
    StoreSame(Place, u32),
    Load(Place),
    Invalidate(Place),
    Hold(Place),
    Release(prop::sample::Index),
    /// The holder puts an object of this form in its place.
    ReleaseFor(prop::sample::Index, Form),
}

fn any_step() -> impl Strategy<Value = Step> {
    let place = || (0..CLUSTERS, 0..SLOTS).prop_map(|(cluster, slot)| Place { cluster, slot });
    let form = || {
        let bytes = prop_oneof![
            2 => 1..PAGE_SIZE,
            1 => Just(PAGE_SIZE),
        ];
        let coder = prop::sample::select(&[Coder::First, Coder::Second][..]);
        (bytes, coder).prop_map(|(bytes, coder)| Form {
            length: Length::new(bytes).expect("an object may have it"),
            coder,
        })
    };
    prop_oneof![
        6 => (place(), form()).prop_map(|(place, form)| Step::Store(place, form)),
        2 => (place(), any::<u32>()).prop_map(|(place, fill)| Step::StoreSame(place, fill)),
        4 => place().prop_map(Step::Load),
        6 => place().prop_map(Step::Invalidate),
        3 => place().prop_map(Step::Hold),
        3 => any::<prop::sample::Index>().prop_map(Step::Release),
        2 => (any::<prop::sample::Index>(), form())
            .prop_map(|(which, form)| Step::ReleaseFor(which, form)),
    ]
}

/// One cluster's part of the table.
struct Cluster {
    pins: PinCount,
    slots: [Slot<Object>; SLOTS],
}

impl Cluster {
    fn new() -> Self {
        Self {
            pins: PinCount::new_pinned(),
            slots: std::array::from_fn(|_| Slot::new()),
        }
    }
}

/// What the model knows of a slot in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Same(u32),
    Object(Form, Mark),
}

/// An object that a looker holds still.
struct Held<'t> {
    hold: Hold<'t, Object>,
    cluster: usize,
    slot: usize,
    found: (Form, Mark),
    /// The slot was not stored to or freed since.
    current: bool,
}

struct Run<'t> {
    heap: Heap<Mark>,
    /// The memory of clusters; it outlasts the run, so that a hold may borrow from it.
    arena: &'t [OnceCell<Cluster>],
    directory: HashMap<usize, &'t Cluster>,
    model: HashMap<(usize, usize), Page>,
    holds: Vec<Held<'t>>,
    stores: usize,
}

impl<'t> Run<'t> {
    fn new(arena: &'t [OnceCell<Cluster>]) -> Self {
        Run {
            heap: Heap::default(),
            arena,
            directory: HashMap::new(),
            model: HashMap::new(),
            holds: Vec::new(),
            stores: 0,
        }
    }

    fn pin(&self, cluster: usize) -> Option<&'t Cluster> {
        let found = *self.directory.get(&cluster)?;
        assert!(found.pins.pin(), "a dead cluster is not in the directory");
        Some(found)
    }

    fn insert(&mut self, cluster: usize) -> &'t Cluster {
        let unused = self.arena.iter().find(|cell| cell.get().is_none());
        let new = unused
            .expect("no more clusters than steps")
            .get_or_init(Cluster::new);
        assert!(self.directory.insert(cluster, new).is_none());
        new
    }

    fn remove_if(&mut self, died: bool, cluster: usize) {
        if died {
            self.directory.remove(&cluster).expect("it dies once");
        }
    }

    fn change(&mut self, place: Place, content: Content<Object>, page: Page) {
        let Place { cluster, slot } = place;
        let (table, new) = match self.directory.get(&cluster) {
            Some(table) => (*table, false),
            None => (self.insert(cluster), true),
        };
        assert!(table.pins.add_use(), "what is in the directory is alive");
        let displaced = table.slots[slot].replace(content).displaced();
        if self.check_displaced(place, displaced).is_some() {
            assert!(!table.pins.end_use(), "a used cluster does not die");
        }
        if new {
            assert!(!table.pins.unpin(), "a used cluster does not die");
        }
        self.model.insert((cluster, slot), page);
    }

    /// Frees what was displaced, unless its holder must, and returns what it was.
    fn check_displaced(&mut self, place: Place, displaced: Displaced<Object>) -> Option<Page> {
        let Place { cluster, slot } = place;
        let expected = self.model.remove(&(cluster, slot));
        let holder = self
            .holds
            .iter_mut()
            .find(|held| held.current && (held.cluster, held.slot) == (cluster, slot));
        match displaced {
            Displaced::Free => assert_eq!(expected, None),
            Displaced::Same => assert!(matches!(expected, Some(Page::Same(_)))),
            Displaced::Object(object, length) => {
                assert_eq!(object.form().length, length);
                assert!(holder.is_none(), "a held object is its holder's");
                let (form, mark) = self.heap.read(&object);
                assert_eq!(expected, Some(Page::Object(form, mark)));
                self.heap.free(object);
            }
            Displaced::Held(length) => {
                let held = holder.expect("a looker holds it");
                assert_eq!(length, held.found.0.length);
                assert_eq!(expected, Some(Page::Object(held.found.0, held.found.1)));
                held.current = false;
            }
            Displaced::Redirected(_) | Displaced::Lost => {
                unreachable!("nothing is written back")
            }
        }
        expected
    }

    fn look(&self, place: Place, table: &'t Cluster) -> Option<Hold<'t, Object>> {
        let Place { cluster, slot } = place;
        let expected = self.model.get(&(cluster, slot)).copied();
        match table.slots[slot].look() {
            Look::Free => assert_eq!(expected, None),
            Look::Same(fill) => assert_eq!(expected, Some(Page::Same(fill))),
            Look::Redirected(_) | Look::Lost => unreachable!("nothing is written back"),
            Look::Busy => assert!(self
                .holds
                .iter()
                .any(|held| held.current && (held.cluster, held.slot) == (cluster, slot))),
            Look::Object(hold) => {
                let (form, mark) = self.heap.read(hold.object());
                assert_eq!(hold.form(), form);
                assert_eq!(expected, Some(Page::Object(form, mark)));
                return Some(hold);
            }
        }
        None
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Store(place, form) => {
                self.stores += 1;
                let object = self.heap.allocate((form, self.stores));
                let page = Page::Object(form, self.stores);
                self.change(place, Content::Object(object), page);
            }
            Step::StoreSame(place, fill) => {
                self.change(place, Content::Same(fill), Page::Same(fill));
            }
            Step::Load(place) => {
                if let Some(table) = self.pin(place.cluster) {
                    if let Some(hold) = self.look(place, table) {
                        assert!(hold.release().is_none(), "the slot still owns it");
                    }
                    let died = table.pins.unpin();
                    assert!(!died, "an unused cluster without pins was dead before");
                }
            }
            Step::Invalidate(place) => {
                let Some(table) = self.directory.get(&place.cluster).copied() else {
                    assert!(!self.model.contains_key(&(place.cluster, place.slot)));
                    return;
                };
                let displaced = table.slots[place.slot].replace(Content::Free).displaced();
                if self.check_displaced(place, displaced).is_some() {
                    let died = table.pins.end_use();
                    self.remove_if(died, place.cluster);
                }
            }
            Step::Hold(place) => {
                let Some(table) = self.pin(place.cluster) else {
                    return;
                };
                match self.look(place, table) {
                    Some(hold) => {
                        let found = self.heap.read(hold.object());
                        self.holds.push(Held {
                            hold,
                            cluster: place.cluster,
                            slot: place.slot,
                            found,
                            current: true,
                        });
                    }
                    None => assert!(!table.pins.unpin()),
                }
            }
            Step::Release(which) => {
                if !self.holds.is_empty() {
                    self.release(which.index(self.holds.len()), None);
                }
            }
            Step::ReleaseFor(which, form) => {
                if !self.holds.is_empty() {
                    self.release(which.index(self.holds.len()), Some(form));
                }
            }
        }
    }

    /// Lets go of an object, and puts one with the same in it in its place, if that is to have a form.
    fn release(&mut self, index: usize, form: Option<Form>) {
        let held = self.holds.swap_remove(index);
        let table = self.directory[&held.cluster];
        assert_eq!(self.heap.read(held.hold.object()), held.found);
        let released = match form {
            None => held.hold.release(),
            Some(form) => {
                let mark = held.found.1;
                match held.hold.release_for(self.heap.allocate((form, mark))) {
                    Ok(before) => {
                        self.heap.free(before);
                        let page = Page::Object(form, mark);
                        self.model.insert((held.cluster, held.slot), page);
                        None
                    }
                    Err([before, object]) => {
                        self.heap.free(object);
                        Some(before)
                    }
                }
            }
        };
        match released {
            None => assert!(held.current, "what the slot gave up is the holder's"),
            Some(object) => {
                assert!(!held.current, "what the slot holds is the slot's");
                self.heap.free(object);
            }
        }
        let died = table.pins.unpin();
        self.remove_if(died, held.cluster);
    }

    /// What is true after every step.
    fn check(&self) {
        for cluster in 0..CLUSTERS {
            let used = self.model.keys().filter(|key| key.0 == cluster).count();
            let held = self.holds.iter().any(|held| held.cluster == cluster);
            match self.directory.get(&cluster) {
                None => assert!(used == 0 && !held),
                Some(table) => {
                    assert_eq!(table.pins.uses(), used as u64);
                    assert!(used > 0 || held, "a cluster with nothing in it is gone");
                }
            }
        }
        for (&(cluster, slot), page) in &self.model {
            match (self.directory[&cluster].slots[slot].peek(), *page) {
                (Entry::Same { fill }, Page::Same(expected)) => assert_eq!(fill, expected),
                (Entry::Cached { form, .. }, Page::Object(expected, _)) => {
                    assert_eq!(form, expected);
                }
                (entry, page) => panic!("{entry:?} where {page:?} is"),
            }
        }
        let objects = self
            .model
            .values()
            .filter(|page| matches!(page, Page::Object(..)))
            .count();
        let orphans = self.holds.iter().filter(|held| !held.current).count();
        assert_eq!(self.heap.live(), objects + orphans);
    }

    /// Frees all slots, as swapoff does, with the holds released before or after.
    fn finish(mut self, release_first: bool) {
        if release_first {
            self.release_all();
        }
        for cluster in 0..CLUSTERS {
            for slot in 0..SLOTS {
                self.step(&Step::Invalidate(Place { cluster, slot }));
            }
        }
        self.release_all();
        assert!(self.model.is_empty());
        assert!(self.directory.is_empty(), "clusters leaked");
        assert_eq!(self.heap.live(), 0, "objects leaked");
    }

    fn release_all(&mut self) {
        while !self.holds.is_empty() {
            self.release(0, None);
        }
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn a_table_of_slots_does_what_a_map_does_and_leaks_nothing(
        steps in prop::collection::vec(any_step(), 1..120),
        release_first in any::<bool>(),
    ) {
        let arena: Vec<_> = steps.iter().map(|_| OnceCell::new()).collect();
        let mut run = Run::new(&arena);
        for step in &steps {
            run.step(step);
            run.check();
        }
        run.finish(release_first);
    }
}
