// SPDX-License-Identifier: GPL-2.0

//! Waiting for what another task does in a moment, and tells no one.

use kernel::{
    processor::cpu_relax,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// How often it spins before it sleeps: for longer than what is waited for takes.
const SPINS: u32 = 256;

/// How long it sleeps at first, and at most, in microseconds.
const SLEEP: i64 = 50;
const LONGEST_SLEEP: i64 = 3200;

/// Waits between two looks at what another task is about to change.
///
/// It spins, for that is done in less time than a sleep takes. But the other task may not run, because
/// this one has its CPU, and a task of real-time priority keeps it for as long as it spins. So after some
/// looks it sleeps, twice as long each time.
///
/// # Examples
///
/// ```ignore
/// let mut wait = SpinWait::new();
/// while flag.load(Relaxed) {
///     wait.once();
/// }
/// ```
pub(crate) struct SpinWait {
    spins: u32,
    sleep: i64,
}

impl SpinWait {
    /// No look was taken yet.
    pub(crate) fn new() -> Self {
        Self {
            spins: 0,
            sleep: SLEEP,
        }
    }

    /// Waits for a moment, before the next look.
    ///
    /// Context: may sleep.
    pub(crate) fn once(&mut self) {
        if self.spins < SPINS {
            self.spins += 1;
            cpu_relax();
        } else {
            fsleep(Delta::from_micros(self.sleep));
            self.sleep = (2 * self.sleep).min(LONGEST_SLEEP);
        }
    }
}
