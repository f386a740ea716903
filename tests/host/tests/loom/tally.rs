// SPDX-License-Identifier: GPL-2.0

//! Runs a model in every interleaving of its threads, and prints how many there were.

use std::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use std::sync::Arc;
use std::time::Instant;

use loom::model::Builder;

/// The most preemptions that a model is explored with: `full`, which may take half a minute, for
/// `tests/host/run --all`, else `short`.
pub fn bound(full: Option<usize>, short: usize) -> Option<usize> {
    match std::env::var_os("GHOSTSWAP_ALL") {
        Some(_) => full,
        None => Some(short),
    }
}

pub struct Tally {
    start: Instant,
    runs: Arc<AtomicU64>,
}

impl Tally {
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            runs: Arc::default(),
        }
    }

    /// Explores `model`: all of it, or, if that is too much, all interleavings with at most
    /// `preemptions` switches away from a thread that could go on.
    pub fn explore(
        &self,
        preemptions: Option<usize>,
        model: impl Fn() + Send + Sync + 'static,
    ) -> &Self {
        let runs = self.runs.clone();
        let mut builder = Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(preemptions);
        builder.check(move || {
            runs.fetch_add(1, Ordering::Relaxed);
            model();
        });
        self
    }

    pub fn tell(&self, model: &str) {
        println!(
            "{model}: {} interleavings in {:.1} s",
            self.runs.load(Ordering::Relaxed),
            self.start.elapsed().as_secs_f32()
        );
    }
}
