// SPDX-License-Identifier: GPL-2.0

//! Which clusters are cold: about an eighth of them, those that were touched longest ago.
//!
//! The mover goes round over all clusters that were touched. In each round it takes those that were
//! last touched before some time, and counts the others by age. From the counts comes that time for
//! the next round, in which an eighth of them will be cold. So it looks at some eight clusters for
//! each one that it takes, however many there are, and keeps no list of them.
//!
//! Ages are in seconds. Those of a class differ by less than a quarter:
//!
//! ```text
//!  class   0  1  2  3  4  5  6  7   8    9     10     11      12  ...
//!  age     0  1  2  3  4  5  6  7  8-9 10-11 12-13 14-15  16-19  ...
//! ```
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::ages::Ages;
//!
//! let mut ages = Ages::new();
//! // In the first round there is nothing to tell by.
//! let touched = [100, 200, 300, 400];
//! assert!(touched.iter().all(|&at| !ages.is_cold(at, 500)));
//! ages.next_round(500);
//! assert!(ages.is_cold(100, 500) && !ages.is_cold(200, 500));
//! ```

/// The greatest age that is told from a lesser one, in seconds.
const MAX_AGE: u32 = (1 << 30) - 1;

/// The last second of which, at `now`, `age` seconds have passed.
///
/// ```
/// use ghostswap_core::ages::{before, is_by};
///
/// let time = before(1000, 60);
/// assert!(is_by(940, time) && !is_by(941, time));
/// ```
pub fn before(now: u32, age: u32) -> u32 {
    now.wrapping_sub(age.min(MAX_AGE))
}

/// Returns whether something was touched at `time` or before. Both times are in seconds, and less than
/// 2<sup>31</sup> apart.
pub fn is_by(touched: u32, time: u32) -> bool {
    time.wrapping_sub(touched) as i32 >= 0
}

/// Of so many clusters one is cold.
const COLD: u32 = 8;

/// Classes of ages that begin in the same octave.
const STEPS: u32 = 4;

const CLASSES: usize = (STEPS * (u32::BITS - STEPS.ilog2())) as usize;

/// The class of an age, which is less than 2<sup>31</sup>.
fn class(age: u32) -> usize {
    if age < STEPS {
        return age as usize;
    }
    let shift = age.ilog2() - STEPS.ilog2();
    // The two bits after the first say which step it is.
    (shift * STEPS + (age >> shift)) as usize
}

/// The least age of a class.
fn least_age(class: usize) -> u32 {
    let class = class as u32;
    if class < STEPS {
        return class;
    }
    let shift = class / STEPS - 1;
    (class - shift * STEPS) << shift
}

/// What is known of the ages of clusters.
pub struct Ages {
    /// What was touched at this time, or before, is cold; [`None`] if that is not known yet.
    cold: Option<u32>,
    /// Clusters of this round that were not cold, by class of age.
    counts: [u32; CLASSES],
}

impl Default for Ages {
    fn default() -> Self {
        Self::new()
    }
}

impl Ages {
    /// Nothing is known yet, so nothing is cold in the first round.
    pub fn new() -> Self {
        Self {
            cold: None,
            counts: [0; CLASSES],
        }
    }

    /// Returns whether a cluster is cold that was last touched at `touched`. If not, it is counted.
    /// Both times are in seconds, and less than 2<sup>30</sup> apart.
    pub fn is_cold(&mut self, touched: u32, now: u32) -> bool {
        let is_cold = self.cold.is_some_and(|cold| is_by(touched, cold));
        if !is_cold {
            // What was just touched may seem to be of the future.
            let age = (now.wrapping_sub(touched) as i32).max(0);
            self.counts[class(age as u32)] += 1;
        }
        is_cold
    }

    /// Begins the next round, in which the coldest eighth of those is cold that were counted, or
    /// all, if none was.
    pub fn next_round(&mut self, now: u32) {
        let total: u32 = self.counts.iter().sum();
        let mut left = total.div_ceil(COLD);
        let coldest = self.counts.iter().rposition(|&count| {
            left = left.saturating_sub(count);
            left == 0
        });
        let age = match coldest {
            Some(class) if total > 0 => least_age(class),
            _ => 0,
        };
        self.cold = Some(now.wrapping_sub(age));
        self.counts.fill(0);
    }
}
