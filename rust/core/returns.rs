// SPDX-License-Identifier: GPL-2.0

//! Whether many pages come back from the backing stores soon after they went there.
//!
//! Then memory is short for what is needed now, and what is written would only be read again. Counted is
//! what went and what came back lately: at each look a quarter of what was seen before is forgotten. So a
//! look finds many until some looks after the last ones came.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::returns::Returns;
//!
//! let mut returns = Returns::new();
//! assert!(!returns.are_many(10_000, 100));
//! assert!(returns.are_many(20_000, 5_000));
//! // Of what goes from here on, none comes back.
//! assert!((0..30).any(|_| !returns.are_many(20_000, 5_000)));
//! ```

/// It is many if more than one page of so many comes back.
const MANY: u64 = 8;

/// And more than so many, however few went.
const FEW: u64 = 64;

/// At each look, one of so many is forgotten.
const FORGOTTEN: u64 = 4;

/// What was counted lately of something that is counted for ever.
#[derive(Default)]
struct Lately {
    total: u64,
    lately: u64,
}

impl Lately {
    /// Looks at the count, which is `total` now. Returns how many were counted lately.
    fn look(&mut self, total: u64) -> u64 {
        self.lately -= self.lately.div_ceil(FORGOTTEN);
        // A sum that is read while it grows may be less than the one before.
        self.lately = (self.lately).saturating_add(total.saturating_sub(self.total));
        self.total = self.total.max(total);
        self.lately
    }
}

/// What is known of the pages that went, and of those that came back soon.
#[derive(Default)]
pub struct Returns {
    went: Lately,
    returned: Lately,
}

impl Returns {
    /// No page went yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether many came back lately, where `went` pages went so far, and `returned` came back
    /// soon.
    pub fn are_many(&mut self, went: u64, returned: u64) -> bool {
        let (went, returned) = (self.went.look(went), self.returned.look(returned));
        returned > FEW && returned - FEW > went / MANY
    }
}
