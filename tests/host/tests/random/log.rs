// SPDX-License-Identifier: GPL-2.0

//! The log of a backing store against a model that keeps lists: random filling, sealing, ending of
//! records, reading, cleaning, moving, failing and mending, one step at a time.

use std::cmp::Reverse;

use ghostswap_core::log::{
    high_mark,
    low_mark,
    Cursor,
    LogStats,
    PinnedSegment,
    RecordEnd,
    Segment,
    SegmentLog,
    TakenSegment,
    GENERATION_BITS,
    MAX_VICTIM,
    RESERVE,
    WINDOW, //
};
use ghostswap_core::payload::Length;
use ghostswap_core::segment::{
    record_size,
    MAX_UNUSED,
    SEGMENT, //
};
use ghostswap_core::victims::MAX_VICTIMS;
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::config;

#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    OpenAt(Index),
    /// Appends this many records of this length.
    Fill(usize, Length),
    Seal,
    Retire,
    /// Ends this many records of a segment.
    End(Index, usize),
    Pin(Index),
    Unpin(Index),
    FindVictims,
    Victim,
    Take(Index),
    SealTaken(Index),
    RetireTaken(Index),
    DoubtTaken(Index),
    Restore,
}

fn length(bytes: usize) -> Length {
    Length::new(bytes).expect("an object may have it")
}

fn any_step() -> impl Strategy<Value = Step> {
    let any_index = any::<Index>;
    prop_oneof![
        4 => Just(Step::Open),
        2 => any_index().prop_map(Step::OpenAt),
        6 => (1..600usize, 1..=PAGE_SIZE).prop_map(|(count, bytes)| Step::Fill(count, length(bytes))),
        4 => Just(Step::Seal),
        1 => Just(Step::Retire),
        8 => (any_index(), 1..600usize).prop_map(|(segment, count)| Step::End(segment, count)),
        4 => any_index().prop_map(Step::Pin),
        4 => any_index().prop_map(Step::Unpin),
        2 => Just(Step::FindVictims),
        4 => Just(Step::Victim),
        4 => any_index().prop_map(Step::Take),
        4 => any_index().prop_map(Step::SealTaken),
        1 => any_index().prop_map(Step::RetireTaken),
        6 => any_index().prop_map(Step::DoubtTaken),
        1 => Just(Step::Restore),
    ]
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Free,
    Open,
    Sealed,
    Cleaning,
    Doubtful,
    Retired,
}

/// What the model knows of a segment.
#[derive(Default)]
struct Known {
    state: State,
    /// Whether it was retired, or in doubt, since that was forgotten.
    retired: bool,
    doubted: bool,
    generation: u64,
    /// How many generations of any segment had begun before this one of it.
    since: usize,
    /// The lengths of the records that have not ended.
    records: Vec<Length>,
    pins: usize,
}

impl Known {
    fn live(&self) -> usize {
        let sizes = self
            .records
            .iter()
            .map(|length| record_size(length.bytes()));
        sizes.sum()
    }

    fn is_full(&self) -> bool {
        self.state == State::Sealed && !self.records.is_empty()
    }

    fn is_victim(&self) -> bool {
        self.is_full() && self.live() <= MAX_VICTIM
    }

    fn is_alive(&self) -> bool {
        let taken = matches!(self.state, State::Open | State::Cleaning);
        taken || self.pins > 0 || !self.records.is_empty()
    }
}

struct Run {
    log: SegmentLog<Vec<Segment>>,
    cursor: Cursor,
    first_generation: u64,
    generations: usize,
    last: Option<usize>,
    known: Vec<Known>,
    open: Option<TakenSegment>,
    taken: Vec<TakenSegment>,
    pins: Vec<PinnedSegment>,
    /// The victims that were found and are left, the emptiest last.
    victims: Vec<usize>,
}

impl Run {
    fn new(segments: usize, first_generation: u64) -> Self {
        Self {
            log: SegmentLog::new((0..segments).map(|_| Segment::new()).collect()),
            cursor: Cursor::new(first_generation),
            first_generation,
            generations: 0,
            last: None,
            known: (0..segments).map(|_| Known::default()).collect(),
            open: None,
            taken: Vec::new(),
            pins: Vec::new(),
            victims: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open if self.open.is_none() => self.open(),
            Step::OpenAt(segment) if self.open.is_none() => {
                let segment = segment.index(self.known.len());
                let free = self.known[segment].state == State::Free && !self.is_used_up();
                self.open = self.log.open_at(&mut self.cursor, segment);
                self.begin(free.then_some(segment));
            }
            Step::Fill(count, length) => {
                if let Some(taken) = &self.open {
                    let known = &mut self.known[taken.segment()];
                    let room = (SEGMENT - known.live()) / record_size(length.bytes());
                    let lengths = std::iter::repeat_n(length, count.min(room));
                    self.log.begin_records(taken, lengths.clone());
                    known.records.extend(lengths);
                }
            }
            Step::Seal => self.end(State::Sealed, |run| run.open.take()),
            Step::Retire => self.end(State::Retired, |run| run.open.take()),
            Step::SealTaken(which) => self.end(State::Sealed, |run| run.give_back(which)),
            Step::RetireTaken(which) => self.end(State::Retired, |run| run.give_back(which)),
            Step::DoubtTaken(which) => self.end(State::Doubtful, |run| run.give_back(which)),
            Step::Restore => {
                self.log.restore();
                for known in &mut self.known {
                    known.doubted = false;
                    // What the mover has is given back as it was.
                    if known.state != State::Cleaning {
                        known.retired = false;
                    }
                    if matches!(known.state, State::Doubtful | State::Retired) {
                        known.state = State::Sealed;
                    }
                }
                for segment in 0..self.known.len() {
                    self.settle(segment);
                }
            }
            Step::End(segment, count) => {
                let segment = segment.index(self.known.len());
                for _ in 0..count {
                    let Some(length) = self.known[segment].records.pop() else {
                        break;
                    };
                    let known = &self.known[segment];
                    let expected = RecordEnd {
                        emptied: known.records.is_empty(),
                        died: !known.is_alive(),
                    };
                    assert_eq!(self.log.end_record(segment, length), expected);
                }
                self.settle(segment);
            }
            Step::Pin(segment) => {
                let segment = segment.index(self.known.len());
                let known = &mut self.known[segment];
                let pinned = self.log.pin(segment);
                assert_eq!(pinned.is_some(), known.is_alive());
                if let Some(pinned) = pinned {
                    assert_eq!(
                        (pinned.segment(), pinned.generation()),
                        (segment, known.generation)
                    );
                    known.pins += 1;
                    self.pins.push(pinned);
                }
            }
            Step::Unpin(which) if !self.pins.is_empty() => {
                let pinned = self.pins.swap_remove(which.index(self.pins.len()));
                let segment = pinned.segment();
                self.known[segment].pins -= 1;
                let died = self.log.unpin(pinned);
                assert_eq!(died, !self.known[segment].is_alive());
                self.settle(segment);
            }
            Step::FindVictims => {
                let known = &self.known;
                self.victims = (0..known.len())
                    .filter(|&segment| known[segment].is_victim())
                    .collect();
                // Of two that are as empty, the first is taken first.
                self.victims
                    .sort_by_key(|&segment| Reverse((known[segment].live(), segment)));
                let won = (self.victims.iter())
                    .map(|&segment| SEGMENT - known[segment].live() - MAX_UNUSED);
                let is_worth_it = won.sum::<usize>() >= SEGMENT;
                assert_eq!(self.log.find_victims(&mut self.cursor), is_worth_it);
            }
            Step::Victim => {
                let taken = self.log.victim(&mut self.cursor);
                let expected = loop {
                    match self.victims.pop() {
                        Some(segment) if !self.known[segment].is_victim() => (),
                        other => break other,
                    }
                };
                assert_eq!(taken.as_ref().map(|taken| taken.segment()), expected);
                self.clean(taken);
            }
            Step::Take(segment) => {
                let segment = segment.index(self.known.len());
                let known = &self.known[segment];
                let done = matches!(
                    known.state,
                    State::Sealed | State::Doubtful | State::Retired
                );
                let expected = (done && known.is_alive()).then_some(segment);
                let taken = self.log.take(segment);
                assert_eq!(taken.as_ref().map(|taken| taken.segment()), expected);
                self.clean(taken);
            }
            Step::Open | Step::OpenAt(_) | Step::Unpin(_) => (),
        }
    }

    fn clean(&mut self, taken: Option<TakenSegment>) {
        if let Some(taken) = taken {
            let known = &mut self.known[taken.segment()];
            assert_eq!(taken.generation(), known.generation);
            known.state = State::Cleaning;
            self.taken.push(taken);
        }
    }

    fn give_back(&mut self, which: Index) -> Option<TakenSegment> {
        let count = self.taken.len();
        (count > 0).then(|| self.taken.swap_remove(which.index(count)))
    }

    fn open(&mut self) {
        let count = self.known.len();
        let first = self.last.map_or(0, |last| last + 1);
        let next = (first..first + count)
            .map(|segment| segment % count)
            .find(|&segment| self.known[segment].state == State::Free)
            .filter(|_| !self.is_used_up());
        self.open = self.log.open(&mut self.cursor);
        self.begin(next);
        self.last = next.or(self.last);
    }

    fn next_generation(&self) -> u64 {
        self.first_generation + self.generations as u64
    }

    fn is_used_up(&self) -> bool {
        self.next_generation() == 1 << GENERATION_BITS
    }

    /// Checks that the segment that was just opened is `expected`.
    fn begin(&mut self, expected: Option<usize>) {
        assert_eq!(self.open.as_ref().map(|taken| taken.segment()), expected);
        if let Some(taken) = &self.open {
            let generation = self.next_generation();
            assert_eq!(
                taken.generation(),
                generation,
                "each generation has a number of its own"
            );
            let known = &mut self.known[taken.segment()];
            assert!(!known.is_alive());
            (known.state, known.generation, known.since) =
                (State::Open, generation, self.generations);
            self.generations += 1;
        }
    }

    fn end(&mut self, state: State, take: impl FnOnce(&mut Self) -> Option<TakenSegment>) {
        let Some(taken) = take(self) else { return };
        let segment = taken.segment();
        match state {
            State::Retired => self.log.retire(taken),
            State::Doubtful => self.log.doubt(taken),
            _ => self.log.seal(taken),
        }
        let known = &mut self.known[segment];
        known.retired |= state == State::Retired || state == State::Doubtful && known.doubted;
        known.doubted |= state == State::Doubtful;
        known.state = if known.retired { State::Retired } else { state };
        self.settle(segment);
    }

    /// Makes a segment free that is dead, and not retired.
    fn settle(&mut self, segment: usize) {
        let known = &mut self.known[segment];
        if matches!(known.state, State::Sealed | State::Doubtful) && !known.is_alive() {
            known.state = State::Free;
        }
    }

    /// What is true after every step.
    fn check(&mut self) {
        let mut stats = LogStats::default();
        for (segment, known) in self.known.iter().enumerate() {
            assert_eq!(self.log.live(segment), known.live());
            let is_sound = !matches!(known.state, State::Doubtful | State::Retired);
            assert_eq!(self.log.is_sound(segment), is_sound);
            stats.live += known.live() as u64;
            match known.state {
                State::Free => stats.free += 1,
                State::Open => stats.open += 1,
                State::Sealed | State::Cleaning | State::Doubtful => {
                    stats.sealed += 1;
                    stats.garbage += (SEGMENT - known.live()) as u64;
                }
                State::Retired => stats.retired += 1,
            }
        }
        assert_eq!(self.log.stats(), stats);
        assert_eq!(self.log.free(), stats.free);

        let full = self.known.iter().enumerate();
        let oldest = full
            .filter(|(_, known)| known.is_full())
            .min_by_key(|(_, known)| known.since)
            .map(|(segment, _)| segment);
        assert_eq!(self.log.oldest(&mut self.cursor), oldest);
        let alive = self.known.iter().any(Known::is_alive);
        assert_eq!(self.log.is_idle(), !alive);
        assert_eq!(self.cursor.is_used_up(), self.is_used_up());
    }

    fn finish(mut self) {
        self.step(Step::Seal);
        while !self.taken.is_empty() {
            self.end(State::Sealed, |run| run.taken.pop());
        }
        while let Some(pinned) = self.pins.pop() {
            self.known[pinned.segment()].pins -= 1;
            self.log.unpin(pinned);
        }
        for segment in 0..self.known.len() {
            for length in std::mem::take(&mut self.known[segment].records) {
                self.log.end_record(segment, length);
            }
            self.settle(segment);
        }
        self.check();
        assert!(self.log.is_idle());
        let stats = self.log.stats();
        assert_eq!(stats.free + stats.retired, self.known.len());
        self.step(Step::Restore);
        self.check();
        assert_eq!(self.log.free(), self.known.len());
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_log_does_what_lists_do_and_loses_no_segment(
        segments in 1..6usize,
        // The generations are often used up.
        first_generation in prop_oneof![
            0..1u64 << (GENERATION_BITS - 1),
            (0..16u64).prop_map(|left| (1 << GENERATION_BITS) - left),
        ],
        steps in prop::collection::vec(any_step(), 1..150),
    ) {
        let mut run = Run::new(segments, first_generation);
        for step in steps {
            run.step(step);
            run.check();
        }
        run.finish();
    }
}

#[test]
fn bytes_that_no_record_fits_into_are_not_won_by_cleaning() {
    let half = SEGMENT / 2 / record_size(PAGE_SIZE);
    for (records, is_worth_it) in [(half, false), (half - 1, true)] {
        let mut run = Run::new(3, 0);
        for _ in 0..2 {
            for step in [
                Step::Open,
                Step::Fill(records, length(PAGE_SIZE)),
                Step::Seal,
            ] {
                run.step(step);
            }
        }
        assert!(
            SEGMENT >= 2 * run.known[0].live(),
            "the garbage is one segment"
        );
        assert_eq!(run.log.find_victims(&mut run.cursor), is_worth_it);
        run.check();
    }
}

#[test]
fn a_log_of_nothing_has_nothing_to_give() {
    let log = SegmentLog::new(Vec::new());
    assert!(log.open(&mut Cursor::new(0)).is_none());
    let mut cursor = Cursor::new(0);
    assert!(!log.find_victims(&mut cursor));
    assert!(log.victim(&mut cursor).is_none());
    assert!(log.oldest(&mut cursor).is_none());
    assert!(log.is_idle());
    assert_eq!(log.stats(), LogStats::default());
}

/// A log of so many windows, and its cursor, with `fill` of each segment full.
fn windows(count: usize, fill: impl Fn(usize) -> usize) -> (SegmentLog<Vec<Segment>>, Cursor) {
    let log = SegmentLog::new((0..count * WINDOW).map(|_| Segment::new()).collect());
    let mut cursor = Cursor::new(0);
    for segment in 0..log.segments() {
        let taken = log.open_at(&mut cursor, segment).expect("it is free");
        for _ in 0..fill(segment) {
            log.begin_record(&taken, length(PAGE_SIZE));
        }
        log.seal(taken);
    }
    (log, cursor)
}

const FULL: usize = SEGMENT / record_size(PAGE_SIZE);

#[test]
fn victims_are_the_emptiest_of_a_window_in_order() {
    // Each of them is as full as no other, and the order is not that of the segments.
    let fill = |segment: usize| 1 + segment * 7 % 401;
    let (log, mut cursor) = windows(1, fill);
    let mut emptiest: Vec<_> = (0..WINDOW).map(fill).collect();
    emptiest.sort();
    for _ in 0..2 {
        assert!(log.find_victims(&mut cursor));
        let found: Vec<_> = std::iter::from_fn(|| log.victim(&mut cursor)).collect();
        let fills: Vec<_> = found.iter().map(|taken| fill(taken.segment())).collect();
        assert_eq!(fills, emptiest[..MAX_VICTIMS]);
        found.into_iter().for_each(|taken| log.seal(taken));
    }
}

#[test]
fn victims_are_found_in_whichever_window_they_are() {
    let last = |segment: usize| if segment / WINDOW == 2 { 1 } else { FULL };
    let (log, mut cursor) = windows(3, last);
    assert!(log.find_victims(&mut cursor));
    assert_eq!(
        log.victim(&mut cursor).map(|taken| taken.segment()),
        Some(2 * WINDOW)
    );
}

#[test]
fn where_there_were_no_victims_one_window_is_looked_at_a_time() {
    let (log, mut cursor) = windows(3, |_| FULL);
    assert!(!log.find_victims(&mut cursor));
    for segment in 2 * WINDOW..2 * WINDOW + 9 {
        for _ in 1..FULL {
            log.end_record(segment, length(PAGE_SIZE));
        }
    }
    assert!(!log.find_victims(&mut cursor));
    assert!(!log.find_victims(&mut cursor));
    assert!(log.find_victims(&mut cursor));
    // From here on all of them are looked at again.
    assert!(log.find_victims(&mut cursor));
}

#[test]
fn an_old_segment_is_found_in_each_window_in_turn() {
    let (log, mut cursor) = windows(2, |segment| usize::from(segment != 0 && segment != WINDOW));
    for expected in [1, WINDOW + 1, 1] {
        assert_eq!(log.oldest(&mut cursor), Some(expected));
    }
}

#[test]
fn a_segment_costs_16_bytes_of_memory() {
    assert_eq!(size_of::<Segment>(), 16);
}

#[test]
fn cleaning_begins_before_the_reserve_is_touched_and_wins_something() {
    for segments in (3..2_000).chain([1 << 27]) {
        let (low, high) = (low_mark(segments), high_mark(segments));
        assert!(
            RESERVE <= low && low < high && high < segments,
            "{segments}"
        );
        // As the documentation of both says.
        assert_eq!(low - RESERVE, segments / 64);
        assert_eq!(high - RESERVE - 1, segments / 32);
    }
}
