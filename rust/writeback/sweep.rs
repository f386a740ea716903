// SPDX-License-Identifier: GPL-2.0

//! The hand that goes round over the tables, and finds clusters to write back.

use crate::{
    contents::table::{
        self,
        Tables, //
    },
    core::ages::{
        self,
        Ages, //
    },
    kernel_ext::sort::{
        sort,
        Sortable, //
    },
};
use core::{
    cmp::Reverse,
    ops::ControlFlow::{
        Break,
        Continue, //
    },
};
use kernel::{
    alloc::KVVec,
    prelude::*, //
};

/// The most clusters that are looked for at once.
const MAX_CANDIDATES: usize = 64;

/// A cluster that may be written back.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) touched: u32,
    pub(crate) area: usize,
    pub(crate) cluster: usize,
}

/// The coldest last.
impl Sortable for Candidate {
    type Key = Reverse<(u32, usize, usize)>;

    fn key(&self) -> Self::Key {
        Reverse((self.touched, self.area, self.cluster))
    }
}

/// The hand that goes round over the tables.
pub(crate) struct Sweep {
    ages: Ages,
    /// If set, all clusters are taken that were touched at this time or before, and not the coldest.
    pub(crate) touched_by: Option<u32>,
    /// Where it goes on: in which area, and with which cluster.
    next: (usize, usize),
    /// What it found and was not written yet, the coldest last.
    pub(crate) candidates: KVVec<Candidate>,
    /// Whether the incompressible pages of the candidates were written.
    pub(crate) incompressible_done: bool,
}

impl Sweep {
    /// The hand of what takes the coldest clusters first.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn of_coldest() -> Result<Self> {
        Self::new(None)
    }

    /// A hand that takes all clusters in which nothing was stored for `age` seconds, as of now.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn of_older(age: u32) -> Result<Self> {
        Self::new(Some(ages::before(table::now(), age)))
    }

    fn new(touched_by: Option<u32>) -> Result<Self> {
        Ok(Self {
            ages: Ages::new(),
            touched_by,
            next: (0, 0),
            candidates: KVVec::with_capacity(MAX_CANDIDATES, GFP_KERNEL)?,
            incompressible_done: false,
        })
    }

    /// Finds more candidates, from where the hand is to the end of its round at most. Returns whether
    /// the round ended.
    pub(crate) fn find_candidates(&mut self, tables: &Tables) -> bool {
        let Self {
            ages,
            touched_by,
            next,
            candidates,
            incompressible_done,
        } = self;
        *incompressible_done = false;
        let now = table::now();
        let mut ended = true;
        for (area, table) in tables.on().filter(|(area, _)| *area >= next.0) {
            let first = if area == next.0 { next.1 } else { 0 };
            let found = table.for_each_touched(first, |cluster, touched| {
                let is_taken = match *touched_by {
                    Some(time) => ages::is_by(touched, time),
                    None => ages.is_cold(touched, now),
                };
                if !is_taken {
                    return Continue(());
                }
                let candidate = Candidate {
                    touched,
                    area,
                    cluster,
                };
                // There was room, see below.
                let _ = candidates.push_within_capacity(candidate);
                if candidates.len() < MAX_CANDIDATES {
                    Continue(())
                } else {
                    Break(cluster)
                }
            });
            if let Break(cluster) = found {
                *next = (area, cluster + 1);
                ended = false;
                break;
            }
        }
        if ended {
            *next = (0, 0);
            ages.next_round(now);
        }
        sort(candidates);
        ended
    }
}
