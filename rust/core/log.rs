// SPDX-License-Identifier: GPL-2.0

//! The log of a backing store: which of its segments are free, and what the others still hold.
//!
//! The mover takes free segments one after the other, fills them and seals them. As slots are
//! freed, their records end, and a segment whose last record ends is free again, at once. Where
//! that takes too long, the mover cleans: it takes the emptiest segment and moves what is left of
//! it to another.
//!
//! ```text
//!         open()          seal()          take()
//!  FREE ---------> OPEN ---------> SEALED <------> CLEANING
//!   ^                |                     seal()   |    |
//!   |                | retire()     doubt(), once   |    | retire(), or
//!   |                |          DOUBTFUL <----------+    | doubt() again
//!   |                |                                   |
//!   |                +----------> RETIRED <--------------+
//!   |                                |
//!   |                                | it dies
//!   |                                v
//!   +--- another dies              SPENT
//! ```
//!
//! [`take()`](SegmentLog::take) takes DOUBTFUL and RETIRED segments, too.
//! [`restore()`](SegmentLog::restore) makes both SEALED, and SPENT ones FREE.
//!
//! # Which threads race
//!
//! Records end wherever slots are freed, with spinlocks held; readers pin and unpin; any thread may
//! seal or retire a segment that the mover took; and the mover does all the rest. So a segment lives
//! by its [`PinCount`]: its records use it, and readers pin it, and so does a [`TakenSegment`].
//! Exactly one caller sees the segment die, and is then alone with it: no pin of it succeeds, and
//! the mover does not take it before that caller made it free. So a caller that has a segment pinned
//! finds in it what was there, and nothing is written there.
//!
//! Each filling of a segment is another generation of it, and no two of the store are the same:
//! their numbers go up and do not wrap. When they are used up, nothing is filled any more. What is
//! read is known by its generation, see [`super::message`]: what another one left in the same blocks
//! is not taken for this one's.
//!
//! # A segment's account
//!
//! ```text
//!  63           26 25         4  3  2     0
//! |  generation   |    live    | D | state |
//! ```
//!
//! `live` are the bytes of its records that have not ended. Any caller that ends a record takes off
//! from them. D is set once the segment was in doubt. Generation, D and state are changed by the
//! caller that is alone with the segment; D and the state also by what has it taken, the mover or what
//! ends its batch, and D and the state of one that is filled by the mover while it has it pinned.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::log::{Cursor, Segment, SegmentLog};
//! use ghostswap_core::payload::Length;
//!
//! let log = SegmentLog::new(vec![Segment::new(), Segment::new()]);
//! let length = Length::new(1000).expect("an object may have it");
//! let taken = log.open(&mut Cursor::new(0)).expect("both are free");
//! let segment = taken.segment();
//! log.begin_record(&taken, length);
//! log.seal(taken);
//! assert_eq!((log.free(), log.live(segment)), (1, 1033));
//!
//! assert!(log.end_record(segment, length).died);
//! assert_eq!(log.free(), 2);
//! ```

use core::ops::Deref;

use super::{
    payload::Length,
    pin_count::PinCount,
    segment::{
        record_size,
        SEGMENT, //
    },
    sync::Word,
    victims::Victims, //
};

const STATE_MASK: u64 = DOUBTED - 1;
const DOUBTED: u64 = 1 << DOUBTED_SHIFT;
const DOUBTED_SHIFT: u32 = 3;
const LIVE_SHIFT: u32 = 4;
const LIVE_MASK: u64 = (1 << (GENERATION_SHIFT - LIVE_SHIFT)) - 1;
const GENERATION_SHIFT: u32 = 26;

const _: () = assert!(SEGMENT as u64 <= LIVE_MASK);

/// Bits of the number of a generation. When half of the numbers are used up, 256 PiB were written,
/// or discarded.
pub const GENERATION_BITS: u32 = u64::BITS - GENERATION_SHIFT;

/// Free segments that are kept for cleaning: without one to move to, nothing can be cleaned.
pub const RESERVE: usize = 1;

/// The most bytes that a segment to be cleaned may still hold: seven eighths of it. To free one
/// segment, the mover reads eight of those and writes seven.
pub const MAX_VICTIM: usize = SEGMENT / 8 * 7;

/// Cleaning begins when no more than this many of `segments` are free: one in 64, so that it begins
/// as late as it can. The longer a segment waits, the less is left of it to move.
///
/// How often a record is written, cleaning counted, depends on how much of the backing store is
/// live: where any record is as likely to end as another, 1.3 times at 50%, 1.5 at 60%, 2.0 at 70%,
/// 3.2 at 80%.
pub fn low_mark(segments: usize) -> usize {
    RESERVE + segments / 64
}

/// Cleaning ends when this many of `segments` are free: one in 32.
pub fn high_mark(segments: usize) -> usize {
    RESERVE + 1 + segments / 32
}

/// The state of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SegmentState {
    /// It holds nothing and can be taken.
    Free,
    /// It is being filled.
    Open,
    /// It is full, or as full as it gets.
    Sealed,
    /// What is left of it is being moved.
    Cleaning,
    /// It could not be written, or not be read for the second time. It is not filled again.
    Retired,
    /// It was retired, and has no records any more.
    Spent,
    /// It could not be read as a whole. It is not cleaned, but filled again once its records have
    /// ended.
    Doubtful,
}

impl SegmentState {
    /// Returns whether it was filled, and the mover has not taken it.
    fn is_filled(self) -> bool {
        matches!(self, Self::Sealed | Self::Doubtful | Self::Retired)
    }
}

/// The account of a segment, decoded.
#[derive(Clone, Copy)]
struct Account {
    generation: u64,
    live: usize,
    /// Whether it was doubtful before.
    doubted: bool,
    state: SegmentState,
}

impl Account {
    fn encode(self) -> u64 {
        self.generation << GENERATION_SHIFT
            | (self.live as u64) << LIVE_SHIFT
            | u64::from(self.doubted) << DOUBTED_SHIFT
            | self.state as u64
    }

    /// Returns whether the segment is full, or as full as it gets, and holds something. One that holds
    /// nothing is as good as free: its readers are about to unpin it.
    fn is_full(self) -> bool {
        self.state == SegmentState::Sealed && self.live > 0
    }

    fn decode(word: u64) -> Self {
        Self {
            generation: word >> GENERATION_SHIFT,
            live: (word >> LIVE_SHIFT & LIVE_MASK) as usize,
            doubted: word & DOUBTED != 0,
            state: match word & STATE_MASK {
                0 => SegmentState::Free,
                1 => SegmentState::Open,
                2 => SegmentState::Sealed,
                3 => SegmentState::Cleaning,
                4 => SegmentState::Retired,
                5 => SegmentState::Spent,
                _ => SegmentState::Doubtful,
            },
        }
    }
}

/// What is known of one segment: 16 bytes. New ones are free.
pub struct Segment {
    pins: PinCount,
    account: Word,
}

impl Segment {
    /// A free segment.
    pub fn new() -> Self {
        let account = Account {
            generation: 0,
            live: 0,
            doubted: false,
            state: SegmentState::Free,
        };
        Self {
            pins: PinCount::new_dead(),
            account: Word::new(account.encode()),
        }
    }

    #[inline]
    fn account(&self) -> Account {
        Account::decode(self.account.load())
    }

    /// Begins generation `generation`, pinned by the caller, which is alone with the segment.
    fn begin(&self, generation: u64) {
        let account = Account {
            generation,
            live: 0,
            state: SegmentState::Open,
            ..self.account()
        };
        // No pin succeeds before it is revived, so a reader that has one finds this account.
        let _ = self.account.swap(account.encode());
        self.pins.revive();
    }

    #[inline]
    fn add_live(&self, bytes: usize) {
        self.account.add((bytes as u64) << LIVE_SHIFT);
    }

    /// Takes `bytes` off from the live bytes, and returns how many are left.
    #[inline]
    fn sub_live(&self, bytes: usize) -> usize {
        let left = self
            .account
            .add(((bytes as u64) << LIVE_SHIFT).wrapping_neg());
        Account::decode(left).live
    }

    /// Changes the state; the live bytes may change meanwhile.
    fn change(&self, from: SegmentState, to: SegmentState) {
        self.account.add((to as u64).wrapping_sub(from as u64));
    }

    /// Notes whether it was doubtful.
    fn set_doubted(&self, doubted: bool) {
        let is = u64::from(self.account().doubted);
        self.account
            .add(DOUBTED.wrapping_mul(u64::from(doubted).wrapping_sub(is)));
    }
}

/// Segments that the mover looks at at once, for what is cheap to clean or old. What it looks for
/// need not be the best of the log, and so its cost does not grow with the log.
pub const WINDOW: usize = 1024;

/// Where the mover goes on in a log. There is one for each log.
pub struct Cursor {
    segment: usize,
    /// That of the next segment to be filled.
    generation: u64,
    /// Where the next window to look for victims begins.
    next_victims: usize,
    victims: Victims,
    /// Whether cleaning would not have won a segment in any window, the last time that all of them
    /// were looked at.
    fruitless: bool,
    /// Where the next window to look for an old segment begins.
    next_oldest: usize,
}

impl Cursor {
    /// A cursor at the first segment. The generations of segments are counted from `generation`,
    /// which should be drawn at random, from the first half of those that there are: so what was left
    /// on a device that is not encrypted is not taken for what is written there next.
    pub fn new(generation: u64) -> Self {
        Self {
            segment: 0,
            generation,
            next_victims: 0,
            victims: Victims::new(),
            fruitless: false,
            next_oldest: 0,
        }
    }

    /// Returns whether no generation is left. Then no segment is opened any more.
    pub fn is_used_up(&self) -> bool {
        self.generation >= 1 << GENERATION_BITS
    }
}

/// Proof that a reader pinned a segment. It goes back to the log of that segment.
#[must_use = "a segment that is not unpinned is never free again"]
pub struct PinnedSegment {
    segment: usize,
    generation: u64,
}

impl PinnedSegment {
    /// The number of the segment.
    pub fn segment(&self) -> usize {
        self.segment
    }

    /// The generation of the segment, by which its records are known.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// Proof that the mover has a segment, to fill or to clean. It is pinned meanwhile.
#[must_use = "a segment is sealed or retired in the end"]
pub struct TakenSegment {
    pinned: PinnedSegment,
    /// Whether it was retired before, and so will be again.
    retired: bool,
}

impl Deref for TakenSegment {
    type Target = PinnedSegment;

    fn deref(&self) -> &PinnedSegment {
        &self.pinned
    }
}

/// What one end of a record came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordEnd {
    /// The segment had no live bytes left. It may be pinned still.
    pub emptied: bool,
    /// The segment died: it is free, unless it is retired.
    pub died: bool,
}

/// How many segments are in which state, and what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Segments that are free.
    pub free: usize,
    /// Segments that are being filled.
    pub open: usize,
    /// Segments that are full, those included that are being cleaned, or are in doubt.
    pub sealed: usize,
    /// Segments that are not filled again.
    pub retired: usize,
    /// Bytes of records that have not ended.
    pub live: u64,
    /// Bytes of full segments that are not live, and that cleaning would win.
    pub garbage: u64,
}

/// The log of one backing store, over its segments in whatever holds them: a vector, say.
pub struct SegmentLog<S> {
    segments: S,
    free: Word,
}

impl<S: Deref<Target = [Segment]>> SegmentLog<S> {
    /// The log of a backing store whose segments are `segments`: at most
    /// [`super::segment::MAX_SEGMENTS`], and all new.
    pub fn new(segments: S) -> Self {
        let free = Word::new(segments.len() as u64);
        Self { segments, free }
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// How many segments are free now.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn free(&self) -> usize {
        self.free.load() as usize
    }

    /// Takes the next free segment after the one taken last, to fill it; [`None`] if none is free,
    /// or if no generation is left.
    ///
    /// Context: any, but looks at all segments if need be. Only the mover calls this.
    pub fn open(&self, cursor: &mut Cursor) -> Option<TakenSegment> {
        let count = self.segments();
        let segment = (0..count)
            .map(|step| (cursor.segment + step) % count)
            .find(|&segment| self.segments[segment].account().state == SegmentState::Free)?;
        cursor.segment = segment + 1;
        self.open_at(cursor, segment)
    }

    /// Takes segment `segment`, if it is free, to fill it or to discard what it held; [`None`] also
    /// if no generation is left.
    ///
    /// Context: any; never waits. Only the mover calls this.
    pub fn open_at(&self, cursor: &mut Cursor, segment: usize) -> Option<TakenSegment> {
        if self.segments[segment].account().state != SegmentState::Free || cursor.is_used_up() {
            return None;
        }
        let generation = cursor.generation;
        cursor.generation = generation + 1;
        self.free.add(1u64.wrapping_neg());
        self.segments[segment].begin(generation);
        Some(TakenSegment {
            pinned: PinnedSegment {
                segment,
                generation,
            },
            retired: false,
        })
    }

    /// Looks for segments that are cheap to clean: in each window, the full ones with the fewest
    /// live bytes, of [`MAX_VICTIM`] at most. Returns whether cleaning those of a window would win a
    /// segment; they are then the victims.
    ///
    /// Context: any. Looks at one window if it finds victims there, or if there were none in all
    /// windows the last time; else at all. Only the mover calls this.
    pub fn find_victims(&self, cursor: &mut Cursor) -> bool {
        let windows = if cursor.fruitless { 1 } else { self.windows() };
        cursor.fruitless = !(0..windows).any(|_| {
            cursor.victims.clear();
            for (segment, account) in self.full_of_window(&mut cursor.next_victims) {
                if account.live <= MAX_VICTIM {
                    cursor.victims.add(segment, account.live);
                }
            }
            cursor.victims.won() >= SEGMENT
        });
        !cursor.fruitless
    }

    /// Takes the victim that had the fewest live bytes, to clean it; [`None`] if none is left.
    ///
    /// Context: any; never waits. Only the mover calls this.
    pub fn victim(&self, cursor: &mut Cursor) -> Option<TakenSegment> {
        loop {
            let segment = cursor.victims.pop()?;
            // One that was freed meanwhile, and perhaps filled again, is none any more.
            let account = self.segments[segment].account();
            if account.is_full() && account.live <= MAX_VICTIM {
                if let Some(taken) = self.take(segment) {
                    return Some(taken);
                }
            }
        }
    }

    /// The full segment that was filled longest ago, of the next window that has one; [`None`] if
    /// there is none.
    ///
    /// Context: any. Looks at all segments if few are full. Only the mover calls this.
    pub fn oldest(&self, cursor: &mut Cursor) -> Option<usize> {
        (0..self.windows()).find_map(|_| {
            let (segment, _) = self
                .full_of_window(&mut cursor.next_oldest)
                .min_by_key(|(_, account)| account.generation)?;
            Some(segment)
        })
    }

    /// Takes segment `segment` to move what is in it; [`None`] if it is not full, in doubt or
    /// retired, or just became free. One that was retired is so again in the end.
    ///
    /// Context: any; never waits. Only the mover calls this.
    pub fn take(&self, segment: usize) -> Option<TakenSegment> {
        let it = &self.segments[segment];
        let state = it.account().state;
        if !state.is_filled() {
            return None;
        }
        // Once it is pinned, only the mover changes its state, but it may have died before.
        let pinned = self.pin(segment)?;
        it.change(state, SegmentState::Cleaning);
        Some(TakenSegment {
            pinned,
            retired: state == SegmentState::Retired,
        })
    }

    /// Returns whether segment `segment` can be read, as far as is known.
    ///
    /// Context: any.
    pub fn is_sound(&self, segment: usize) -> bool {
        use SegmentState::{Doubtful, Retired, Spent};
        !matches!(
            self.segments[segment].account().state,
            Doubtful | Retired | Spent
        )
    }

    /// How many windows there are.
    fn windows(&self) -> usize {
        self.segments().div_ceil(WINDOW)
    }

    /// The full segments of the window that begins at `next`, which is set to the next.
    fn full_of_window(&self, next: &mut usize) -> impl Iterator<Item = (usize, Account)> + '_ {
        let count = self.segments();
        let (first, end) = (*next, (*next + WINDOW).min(count));
        *next = if end < count { end } else { 0 };
        (first..end)
            .map(|segment| (segment, self.segments[segment].account()))
            .filter(|(_, account)| account.is_full())
    }

    /// Bytes of the records of segment `segment` that have not ended.
    ///
    /// Context: any.
    pub fn live(&self, segment: usize) -> usize {
        self.segments[segment].account().live
    }

    /// Returns whether no segment holds anything, is being filled or is being read. It stays so
    /// until the mover opens one.
    ///
    /// Context: any, but looks at all segments.
    pub fn is_idle(&self) -> bool {
        self.segments.iter().all(|segment| segment.pins.is_dead())
    }

    /// Gives back a segment that is filled, or cleaned as far as it goes. It is free at once if
    /// nothing is left in it and no reader has it pinned.
    ///
    /// Context: any; never waits.
    pub fn seal(&self, taken: TakenSegment) {
        self.end(taken, SegmentState::Sealed);
    }

    /// Gives back a segment that could not be written. It is not used for anything new.
    ///
    /// Context: any; never waits.
    pub fn retire(&self, taken: TakenSegment) {
        self.end(taken, SegmentState::Retired);
    }

    /// Gives back a segment that could not be read, or of which something could not. It is left
    /// alone until its records have ended, and is then filled again; the second time, it is retired.
    ///
    /// Context: any; never waits.
    pub fn doubt(&self, taken: TakenSegment) {
        let segment = &self.segments[taken.segment];
        if segment.account().doubted {
            return self.retire(taken);
        }
        segment.set_doubted(true);
        self.end(taken, SegmentState::Doubtful);
    }

    /// Has segments that were retired, or are in doubt, used as others are: what could not be
    /// written or read can be now. One whose last record ends just now may be missed.
    ///
    /// Context: any, but looks at all segments. Only the mover calls this.
    pub fn restore(&self) {
        for (segment, it) in self.segments.iter().enumerate() {
            let state = it.account().state;
            if state == SegmentState::Spent {
                // The caller that saw it die is done with it. Counted first, as below.
                self.free.add(1);
                it.change(state, SegmentState::Free);
            } else if !self.is_sound(segment) {
                // One that is dead is about to get another state from the caller that saw it die.
                if let Some(pinned) = self.pin(segment) {
                    it.change(state, SegmentState::Sealed);
                    self.unpin(pinned);
                }
            }
            it.set_doubted(false);
        }
    }

    fn end(&self, taken: TakenSegment, state: SegmentState) {
        let TakenSegment { pinned, retired } = taken;
        let segment = &self.segments[pinned.segment];
        let state = if retired {
            SegmentState::Retired
        } else {
            state
        };
        segment.change(segment.account().state, state);
        self.unpin(pinned);
    }

    /// Counts the record of an object of `length` in the segment `taken`, which is being filled.
    ///
    /// Context: any; never waits. The caller redirects a slot to the record only after this: from
    /// then on the record may end at any time.
    pub fn begin_record(&self, taken: &TakenSegment, length: Length) {
        self.begin_records(taken, core::iter::once(length));
    }

    /// As [`SegmentLog::begin_record`], for objects of all these lengths at once.
    pub fn begin_records(&self, taken: &TakenSegment, lengths: impl Iterator<Item = Length>) {
        let (count, bytes) = lengths.fold((0, 0), |(count, bytes), length| {
            (count + 1, bytes + record_size(length.bytes()))
        });
        let segment = &self.segments[taken.segment];
        segment.add_live(bytes);
        // It is pinned, so it is alive.
        let _ = segment.pins.add_uses(count);
    }

    /// Ends the record of an object of `length` in segment `segment`: no slot names it any more. If
    /// it was the last one, and the segment is neither pinned nor retired, the segment is free at
    /// once.
    ///
    /// Context: any, interrupts included; never waits. The caller made a slot name something else,
    /// or failed to make one name the record.
    #[inline]
    pub fn end_record(&self, segment: usize, length: Length) -> RecordEnd {
        let it = &self.segments[segment];
        let emptied = it.sub_live(record_size(length.bytes())) == 0;
        let died = it.pins.end_use();
        if died {
            self.died(it);
        }
        RecordEnd { emptied, died }
    }

    /// Pins segment `segment`, so that what is in it stays; [`None`] if it is dead.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn pin(&self, segment: usize) -> Option<PinnedSegment> {
        let it = &self.segments[segment];
        it.pins.pin().then(|| PinnedSegment {
            segment,
            generation: it.account().generation,
        })
    }

    /// Ends a pin. Returns whether the segment died by it: nothing is left in it and no other
    /// reader has it pinned. Unless it is retired, it is then free at once.
    ///
    /// Context: any, interrupts included; never waits.
    #[inline]
    pub fn unpin(&self, pinned: PinnedSegment) -> bool {
        let segment = &self.segments[pinned.segment];
        let died = segment.pins.unpin();
        if died {
            self.died(segment);
        }
        died
    }

    /// Frees `segment`, unless it is retired. The caller just saw it die.
    fn died(&self, segment: &Segment) {
        let state = segment.account().state;
        if state == SegmentState::Retired {
            return segment.change(state, SegmentState::Spent);
        }
        // Counted first: as soon as it is free, the mover may take it.
        self.free.add(1);
        segment.change(state, SegmentState::Free);
    }

    /// The statistics, for reports: they may have changed when this returns.
    ///
    /// Context: any, but looks at all segments.
    pub fn stats(&self) -> LogStats {
        let mut stats = LogStats::default();
        for account in self.segments.iter().map(Segment::account) {
            stats.live += account.live as u64;
            match account.state {
                SegmentState::Free => stats.free += 1,
                SegmentState::Open => stats.open += 1,
                SegmentState::Sealed | SegmentState::Cleaning | SegmentState::Doubtful => {
                    stats.sealed += 1;
                    stats.garbage += SEGMENT.saturating_sub(account.live) as u64;
                }
                SegmentState::Retired | SegmentState::Spent => stats.retired += 1,
            }
        }
        stats
    }
}
