// SPDX-License-Identifier: GPL-2.0

//! The log of a store against a model that keeps lists: random filling, sealing, ending of records,
//! reading, cleaning and failing, one step at a time.

use ghostswap_core::log::{
    high_mark, low_mark, Claim, Cursor, Figures, Log, Pinned, Segment, MAX_VICTIM, RESERVE,
};
use ghostswap_core::segment::{record_size, SEGMENT};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::config;

#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    /// So many records of this length.
    Fill(usize, usize),
    Seal,
    Retire,
    /// Ends so many records of a segment.
    End(Index, usize),
    Pin(Index),
    Unpin(Index),
    Victim,
    SealVictim,
    RetireVictim,
}

fn any_step() -> impl Strategy<Value = Step> {
    let any_index = any::<Index>;
    prop_oneof![
        4 => Just(Step::Open),
        6 => (1..600usize, 1..=PAGE_SIZE).prop_map(|(count, length)| Step::Fill(count, length)),
        4 => Just(Step::Seal),
        1 => Just(Step::Retire),
        8 => (any_index(), 1..600usize).prop_map(|(segment, count)| Step::End(segment, count)),
        4 => any_index().prop_map(Step::Pin),
        4 => any_index().prop_map(Step::Unpin),
        2 => Just(Step::Victim),
        2 => Just(Step::SealVictim),
        1 => Just(Step::RetireVictim),
    ]
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Free,
    Open,
    Sealed,
    Cleaning,
    Retired,
}

/// What the model knows of a segment.
#[derive(Default)]
struct Known {
    state: State,
    life: u32,
    /// The lengths of the records that have not ended.
    records: Vec<usize>,
    pins: usize,
}

impl Known {
    fn live(&self) -> usize {
        self.records.iter().map(|length| record_size(*length)).sum()
    }

    fn is_alive(&self) -> bool {
        let claimed = matches!(self.state, State::Open | State::Cleaning);
        claimed || self.pins > 0 || !self.records.is_empty()
    }
}

struct Run {
    log: Log<Vec<Segment>>,
    cursor: Cursor,
    lives: u32,
    last: Option<usize>,
    known: Vec<Known>,
    open: Option<Claim>,
    victim: Option<Claim>,
    pins: Vec<Pinned>,
}

impl Run {
    fn new(segments: usize, first_life: u32) -> Self {
        Self {
            log: Log::new((0..segments).map(|_| Segment::new()).collect()),
            cursor: Cursor::new(first_life),
            lives: first_life,
            last: None,
            known: (0..segments).map(|_| Known::default()).collect(),
            open: None,
            victim: None,
            pins: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open if self.open.is_none() => self.open(),
            Step::Fill(count, length) => {
                if let Some(claim) = &self.open {
                    let known = &mut self.known[claim.segment()];
                    let room = (SEGMENT - known.live()) / record_size(length);
                    for _ in 0..count.min(room) {
                        self.log.begin_record(claim, length);
                        known.records.push(length);
                    }
                }
            }
            Step::Seal => self.end(State::Sealed, |run| run.open.take()),
            Step::Retire => self.end(State::Retired, |run| run.open.take()),
            Step::SealVictim => self.end(State::Sealed, |run| run.victim.take()),
            Step::RetireVictim => self.end(State::Retired, |run| run.victim.take()),
            Step::End(segment, count) => {
                let segment = segment.index(self.known.len());
                for _ in 0..count {
                    let Some(length) = self.known[segment].records.pop() else {
                        break;
                    };
                    self.log.end_record(segment, length);
                }
                self.settle(segment);
            }
            Step::Pin(segment) => {
                let segment = segment.index(self.known.len());
                let known = &mut self.known[segment];
                let pinned = self.log.pin(segment);
                assert_eq!(pinned.is_some(), known.is_alive());
                if let Some(pinned) = pinned {
                    assert_eq!((pinned.segment(), pinned.life()), (segment, known.life));
                    known.pins += 1;
                    self.pins.push(pinned);
                }
            }
            Step::Unpin(which) if !self.pins.is_empty() => {
                let pinned = self.pins.swap_remove(which.index(self.pins.len()));
                let segment = pinned.segment();
                self.log.unpin(pinned);
                self.known[segment].pins -= 1;
                self.settle(segment);
            }
            Step::Victim if self.victim.is_none() => {
                self.victim = self.log.victim();
                let fullness = |known: &Known| {
                    let fits = (1..=MAX_VICTIM).contains(&known.live());
                    (known.state == State::Sealed && fits).then_some(known.live())
                };
                let found = self.victim.as_ref().map(|claim| claim.segment());
                assert_eq!(
                    found.map(|segment| fullness(&self.known[segment])),
                    self.known.iter().filter_map(fullness).min().map(Some),
                );
                if let Some(segment) = found {
                    self.known[segment].state = State::Cleaning;
                }
            }
            Step::Open | Step::Unpin(_) | Step::Victim => (),
        }
    }

    fn open(&mut self) {
        let count = self.known.len();
        let first = self.last.map_or(0, |last| last + 1);
        let next = (first..first + count)
            .map(|segment| segment % count)
            .find(|&segment| self.known[segment].state == State::Free);
        self.open = self.log.open(&mut self.cursor);
        assert_eq!(self.open.as_ref().map(|claim| claim.segment()), next);
        if let Some(claim) = &self.open {
            assert_eq!(claim.life(), self.lives, "each life is another");
            let known = &mut self.known[claim.segment()];
            assert!(!known.is_alive());
            (known.state, known.life) = (State::Open, self.lives);
            self.lives = self.lives.wrapping_add(1);
            self.last = next;
        }
    }

    fn end(&mut self, state: State, take: fn(&mut Self) -> Option<Claim>) {
        let Some(claim) = take(self) else { return };
        let segment = claim.segment();
        match state {
            State::Retired => self.log.retire(claim),
            _ => self.log.seal(claim),
        }
        self.known[segment].state = state;
        self.settle(segment);
    }

    /// A sealed segment is free as soon as it is dead.
    fn settle(&mut self, segment: usize) {
        let known = &mut self.known[segment];
        if known.state == State::Sealed && !known.is_alive() {
            known.state = State::Free;
        }
    }

    /// What is true after every step.
    fn check(&self) {
        let mut figures = Figures::default();
        for known in &self.known {
            figures.live += known.live() as u64;
            match known.state {
                State::Free => figures.free += 1,
                State::Open => figures.open += 1,
                State::Sealed | State::Cleaning => {
                    figures.sealed += 1;
                    figures.garbage += (SEGMENT - known.live()) as u64;
                }
                State::Retired => figures.retired += 1,
            }
        }
        assert_eq!(self.log.figures(), figures);
        assert_eq!(self.log.free(), figures.free);
    }

    fn finish(mut self) {
        self.step(Step::Seal);
        self.step(Step::SealVictim);
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
        let figures = self.log.figures();
        assert_eq!(figures.free + figures.retired, self.known.len());
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_log_does_what_lists_do_and_loses_no_segment(
        segments in 1..6usize,
        first_life in prop_oneof![any::<u32>(), Just(u32::MAX)],
        steps in prop::collection::vec(any_step(), 1..150),
    ) {
        let mut run = Run::new(segments, first_life);
        for step in steps {
            run.step(step);
            run.check();
        }
        run.finish();
    }
}

#[test]
fn a_log_of_nothing_has_nothing_to_give() {
    let log = Log::new(Vec::new());
    assert!(log.open(&mut Cursor::new(0)).is_none());
    assert!(log.victim().is_none());
    assert_eq!(log.figures(), Figures::default());
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
    }
}
