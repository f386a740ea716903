// SPDX-License-Identifier: GPL-2.0

//! What cleaning costs: a backing store that is kept equally full, where each object is as likely
//! to be freed as another. That is the worst case for a log: no object is colder than the rest.

use ghostswap_core::log::{
    high_mark,
    low_mark,
    Cursor,
    Segment,
    SegmentLog,
    TakenSegment,
    WINDOW, //
};
use ghostswap_core::payload::Length;

/// The length of each object, about a third of a page.
fn length() -> Length {
    Length::new(1_400).expect("an object may have it")
}

/// A backing store.
struct Store {
    /// Objects that a segment has room for. Fewer than in truth, to be quick.
    per_segment: usize,
    log: SegmentLog<Vec<Segment>>,
    cursor: Cursor,
    open: Option<TakenSegment>,
    /// The objects that were written to each segment in its generation.
    written: Vec<Vec<usize>>,
    /// The segment of each object that is live.
    segments: Vec<Option<usize>>,
    writes: usize,
}

impl Store {
    fn new(segments: usize, per_segment: usize) -> Self {
        Self {
            per_segment,
            log: SegmentLog::new((0..segments).map(|_| Segment::new()).collect()),
            cursor: Cursor::new(0),
            open: None,
            written: vec![Vec::new(); segments],
            segments: Vec::new(),
            writes: 0,
        }
    }

    fn write(&mut self, object: usize) {
        let is_full =
            |taken: &TakenSegment| self.written[taken.segment()].len() == self.per_segment;
        if self.open.as_ref().is_none_or(is_full) {
            if let Some(full) = self.open.take() {
                self.log.seal(full);
            }
            let taken = self.log.open(&mut self.cursor).expect("one is free");
            self.written[taken.segment()].clear();
            self.open = Some(taken);
        }
        let taken = self.open.as_ref().expect("one is open");
        self.log.begin_record(taken, length());
        self.written[taken.segment()].push(object);
        self.segments[object] = Some(taken.segment());
        self.writes += 1;
    }

    fn evict(&mut self) -> usize {
        let segments = self.log.segments();
        if self.log.free() <= low_mark(segments) {
            while self.log.free() < high_mark(segments) {
                self.clean();
            }
        }
        self.segments.push(None);
        self.write(self.segments.len() - 1);
        self.segments.len() - 1
    }

    fn free(&mut self, object: usize) {
        let segment = self.segments[object].take().expect("it is live");
        self.log.end_record(segment, length());
    }

    fn clean(&mut self) {
        assert!(self.log.find_victims(&mut self.cursor));
        let victim = self.log.victim(&mut self.cursor).expect("one is worth it");
        for object in std::mem::take(&mut self.written[victim.segment()]) {
            if self.segments[object] == Some(victim.segment()) {
                self.write(object);
                self.log.end_record(victim.segment(), length());
            }
        }
        self.log.seal(victim);
    }
}

/// The records written for each object evicted, while `fill` percent of the backing store are live
/// and ten times its size is evicted.
fn cost(fill: usize, segments: usize, per_segment: usize) -> f64 {
    let capacity = segments * per_segment;
    let evictions = 10 * capacity;
    let mut store = Store::new(segments, per_segment);
    let mut live = Vec::new();
    let mut random = 1u64;
    for _ in 0..evictions {
        if live.len() >= capacity * fill / 100 {
            // Marsaglia's xorshift.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let freed = live.swap_remove(random as usize % live.len());
            store.free(freed);
        }
        live.push(store.evict());
    }
    store.writes as f64 / evictions as f64
}

#[test]
fn cleaning_costs_what_the_fill_makes_it_cost() {
    // In one window, and in some.
    for (segments, per_segment) in [(64, 100), (4 * WINDOW, 25)] {
        for (fill, most) in [(50, 1.4), (60, 1.6), (70, 2.1), (80, 3.2)] {
            let cost = cost(fill, segments, per_segment);
            println!("{segments} segments, {fill}% live: each record is written {cost:.2} times");
            assert!(
                cost < most,
                "{segments} segments, {fill}% live: {cost:.2} times"
            );
        }
    }
}
