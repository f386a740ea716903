// SPDX-License-Identifier: GPL-2.0

//! How much may still be written to a device, if it may take so many bytes a day at most.
//!
//! What was written is known by the hour. What was written in this hour and in the [`DAY`] before it counts, so
//! no 24 hours have more than the limit, wherever they begin.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::write_budget::{WriteBudget, DAY, HOUR};
//!
//! let mut budget = WriteBudget::new(0);
//! budget.set_limit(Some(100));
//! budget.spend(0, 60);
//! assert!(budget.allows(HOUR, 40));
//! assert!(!budget.allows(HOUR, 41));
//! assert!(budget.allows(HOUR + DAY, 100), "that was a day ago");
//! ```

/// Seconds of an hour.
pub const HOUR: u32 = 3600;

/// Seconds of a day.
pub const DAY: u32 = HOURS as u32 * HOUR;

/// Hours of a day.
const HOURS: usize = 24;

/// What was written lately, and the limit.
pub struct WriteBudget {
    /// Bytes a day.
    limit: Option<u64>,
    /// Bytes of the newest hour and of those before it; a ring.
    hours: [u64; HOURS + 1],
    /// The place of the newest.
    newest: usize,
    /// When that began, in seconds.
    since: u32,
}

impl WriteBudget {
    /// Nothing was written before `now`, and there is no limit. All times are in seconds, and may wrap.
    pub const fn new(now: u32) -> Self {
        Self {
            limit: None,
            hours: [0; HOURS + 1],
            newest: 0,
            since: now,
        }
    }

    /// The limit, in bytes a day, if there is one.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Sets the limit. What was written before counts.
    pub fn set_limit(&mut self, limit: Option<u64>) {
        self.limit = limit;
    }

    /// Counts that `bytes` were written at `now`.
    pub fn spend(&mut self, now: u32, bytes: u64) {
        self.advance(now);
        if let Some(hour) = self.hours.get_mut(self.newest) {
            *hour = hour.saturating_add(bytes);
        }
    }

    /// Returns whether `bytes` may be written at `now`, and be within the limit.
    pub fn allows(&mut self, now: u32, bytes: u64) -> bool {
        match self.limit {
            None => true,
            Some(limit) => self.spent(now).saturating_add(bytes) <= limit,
        }
    }

    /// Bytes that count at `now`.
    pub fn spent(&mut self, now: u32) -> u64 {
        self.advance(now);
        (self.hours.iter()).fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Forgets the hours that are too long ago at `now`. Another CPU may have been here with a time that is a
    /// little later: then nothing is.
    fn advance(&mut self, now: u32) {
        let passed = u32::try_from(now.wrapping_sub(self.since) as i32).unwrap_or(0) / HOUR;
        self.since = self.since.wrapping_add(passed * HOUR);
        for _ in 0..passed.min(HOURS as u32 + 1) {
            self.newest = (self.newest + 1) % self.hours.len();
            if let Some(hour) = self.hours.get_mut(self.newest) {
                *hour = 0;
            }
        }
    }
}
