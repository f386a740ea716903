// SPDX-License-Identifier: GPL-2.0

//! How many slots a pool can hold pages for, and when areas are to follow that.
//!
//! Slots are promised by the size of areas, and what can be held depends on how small pages get, which is
//! known only of those that are there. So what can be held is measured, and areas are swapped on or off by
//! what is found.
//!
//! What is in use is held. The room that is left is divided by what a slot in use took so far. Few pages say
//! little, so a share of the room counts as in use from the start, by slots that take half a page each: the
//! [`GUESS`], which is right for an empty pool.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::fit::{Holdings, Misfit, View, Watch};
//!
//! let mut pool = Holdings { limit: 64 << 20, ..Holdings::default() };
//! let mib = |pool: &Holdings| pool.capacity() >> 8;
//! assert_eq!(mib(&pool), 128);
//! // 96 MiB of pages take 16 MiB: there is room for three times as much.
//! (pool.used, pool.held) = (96 << 8, 16 << 20);
//! assert!((340..=384).contains(&mib(&pool)));
//!
//! let mut watch = Watch::new();
//! let view = View { promised: 128 << 8, capacity: pool.capacity(), empty: 0 };
//! assert_eq!(watch.look(view), Some(Misfit::Short));
//! // It is told once.
//! assert_eq!(watch.look(view), None);
//! ```

use super::{
    segment::{
        record_size,
        UNIT, //
    },
    PAGE_SIZE,
};

/// Pages are taken to get so many times smaller, with all that is lost beside them, where nothing is known of
/// them: a low guess for the memory of programs, which becomes 2 to 5 times smaller.
pub const GUESS: u64 = 2;

/// One of so many bytes of the room counts as in use from the start.
const ASSUMED: u64 = 64;

/// What a slot takes is measured in so many parts of a byte.
const PARTS: u64 = 256;

/// The least that a slot is taken to take, and the most, in bytes: no more than 16 times smaller, as a pool
/// with pages of zeros alone could promise anything; and a page that is kept as it is, with its entry.
const LEAST: u64 = PAGE_SIZE as u64 / 16;
const MOST: u64 = PAGE_SIZE as u64 + ENTRY;

/// Bytes of memory that a slot takes wherever its page is.
const ENTRY: u64 = 8;

/// Bytes that a record takes in a store beside its object, on average: half a unit is empty.
const BESIDE: u64 = (record_size(0) + UNIT / 2) as u64;

/// Areas fit if what they promise differs from what can be held by no more than one part of so many.
const TOLERANCE: u64 = 8;

/// What can be held is told in steps of so many slots, a MiB. So the length of single pages cannot be
/// learned from it.
const STEP: u64 = (1 << 20) / PAGE_SIZE as u64;

/// What a pool holds, and may hold, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Bytes of memory that it may take for pages.
    pub limit: u64,
    /// Those that it takes.
    pub held: u64,
    /// Slots of its areas that are in use, wherever their pages are, also those that take nothing.
    pub used: u64,
    /// Those whose pages are in backing stores.
    pub redirected: u64,
    /// The bytes of their objects.
    pub redirected_bytes: u64,
    /// Bytes of the backing stores that take pages. A third of them is to be left free, so that they are
    /// cleaned seldom.
    pub stores: u64,
}

impl Holdings {
    /// Slots that it can hold pages for, those in use included, if pages to come take as much as those that
    /// are there. A multiple of 256, and less than 2<sup>44</sup>.
    pub fn capacity(&self) -> u64 {
        // More is in no machine, and sums and products of it are in range.
        let bounded = |bytes: u64| bytes.min(1 << 50);
        let (limit, held) = (bounded(self.limit), bounded(self.held));
        let used = bounded(self.used).min(1 << 40);
        let redirected = self.redirected.min(used);

        let guess = PARTS * PAGE_SIZE as u64 / GUESS;
        let in_memory = Measure::new(limit / ASSUMED, guess)
            .and(used - redirected, held.saturating_sub(redirected * ENTRY))
            .parts();
        let room = limit.saturating_sub(held);

        let stores = bounded(self.stores) / 3 * 2;
        let written = bounded(self.redirected_bytes) + redirected * BESIDE;
        let free = stores.saturating_sub(written);
        // What is to come goes there as it was in memory.
        let in_stores = Measure::new(stores / ASSUMED, in_memory)
            .and(redirected, written)
            .parts();

        let slots = used + slots_in(room, in_memory) + slots_in(free, in_stores);
        slots / STEP * STEP
    }
}

/// What slots took so far.
struct Measure {
    slots: u64,
    bytes: u64,
}

impl Measure {
    /// As if `bytes` had been taken, by slots that take so many parts of a byte each.
    fn new(bytes: u64, parts: u64) -> Self {
        // A slot takes some bytes, so that there is something to divide by.
        let slots = slots_in(bytes, parts).max(1);
        Self {
            slots,
            bytes: bytes.max(parts / PARTS),
        }
    }

    /// With so many `slots` more, which take `bytes`.
    fn and(self, slots: u64, bytes: u64) -> Self {
        Self {
            slots: self.slots + slots,
            bytes: self.bytes + bytes,
        }
    }

    /// What a slot takes, in parts of a byte.
    fn parts(&self) -> u64 {
        let parts = (self.bytes * PARTS).checked_div(self.slots);
        parts.unwrap_or(0).clamp(LEAST * PARTS, MOST * PARTS)
    }
}

/// How many slots take `bytes`, if each takes so many parts of a byte.
fn slots_in(bytes: u64, parts: u64) -> u64 {
    (bytes * PARTS).checked_div(parts).unwrap_or(0)
}

/// How areas do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// More can be held than they have slots for.
    Short,
    /// They have slots for more than can be held.
    Long,
}

impl Misfit {
    /// How areas with `promised` slots do not fit a pool that can hold pages for `capacity` slots; [`None`]
    /// if they fit.
    pub fn of(promised: u64, capacity: u64) -> Option<Self> {
        let tolerated = capacity / TOLERANCE;
        if promised < capacity - tolerated {
            Some(Self::Short)
        } else if promised > capacity + tolerated {
            Some(Self::Long)
        } else {
            None
        }
    }
}

/// What is seen at one moment, in slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Those of the areas that are swapped on.
    pub promised: u64,
    /// Those that the pool can hold pages for.
    pub capacity: u64,
    /// Those of areas of which none is in use, and that can be swapped off at no cost.
    pub empty: u64,
}

/// Tells once, and not all the time, that areas do not fit.
///
/// It tells again only when something is another way than it was told: the areas, or what can be held, by so
/// much that it matters, or what could be swapped off. A pool at the border is not told of again, until its
/// areas have fitted well.
#[derive(Default)]
pub struct Watch {
    told: Option<(Misfit, View)>,
}

impl Watch {
    /// Nothing is told yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks. Returns what is to be told, if anything.
    pub fn look(&mut self, view: View) -> Option<Misfit> {
        let View {
            promised,
            capacity,
            empty,
        } = view;
        let Some(misfit) = Misfit::of(promised, capacity) else {
            if promised.abs_diff(capacity) <= capacity / (2 * TOLERANCE) {
                self.told = None;
            }
            return None;
        };
        // Nothing can be done about areas that are in use.
        if misfit == Misfit::Long && empty == 0 {
            return None;
        }
        let is_told = self.told.is_some_and(|(told, then)| {
            let is_as_long = misfit == Misfit::Short || then.empty == empty;
            told == misfit
                && then.promised == promised
                && is_as_long
                && Misfit::of(then.capacity, capacity).is_none()
        });
        if is_told {
            return None;
        }
        self.told = Some((misfit, view));
        Some(misfit)
    }
}
