// SPDX-License-Identifier: GPL-2.0

//! A pool's figures: what is counted, and how sysfs shows it.

use crate::{
    kernel_ext::{
        kobject::{Attributes, Value},
        percpu::Counters,
    },
    logic::entry::Form,
    pool::Pool,
};
use kernel::prelude::*;

/// What is counted, each CPU for itself.
#[derive(Clone, Copy)]
enum Counter {
    SamePages,
    PackedPages,
    WholePages,
    ObjectBytes,
    Stores,
    Loads,
    FailedStoresLimit,
    FailedStoresMemory,
    FailedLoads,
    Count,
}

/// The counters.
pub(crate) struct Figures(Counters<{ Counter::Count as usize }>);

/// Why a page was not stored.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    /// The pool is at its limit.
    Limit,
    /// There was no memory for the object or for the table.
    Memory,
}

/// Whether a page comes or goes.
#[derive(Clone, Copy)]
enum Change {
    Comes,
    Goes,
}

impl Figures {
    /// All zero.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Counters::new()?))
    }

    fn add(&self, counter: Counter, delta: u64) {
        self.0.add(counter as usize, delta);
    }

    /// The sum of `counter`. While pages come and go, one that went may be seen before one that came;
    /// what would be negative then is none.
    fn sum(&self, counter: Counter) -> u64 {
        self.0
            .sum(counter as usize)
            .cast_signed()
            .max(0)
            .cast_unsigned()
    }

    /// Counts a page kept as an object of `form`, or, if there is none, in its entry.
    #[inline]
    fn count(&self, form: Option<Form>, change: Change) {
        let signed = |count: u64| match change {
            Change::Comes => count,
            Change::Goes => count.wrapping_neg(),
        };
        let pages = match form {
            None | Some(Form::Fill) => Counter::SamePages,
            Some(Form::Packed(_)) => Counter::PackedPages,
            Some(Form::Whole) => Counter::WholePages,
        };
        self.add(pages, signed(1));
        if let Some(form) = form {
            self.add(Counter::ObjectBytes, signed(form.length() as u64));
        }
    }

    /// A page was stored, as an object of `form` if there is one.
    #[inline]
    pub(crate) fn stored(&self, form: Option<Form>) {
        self.count(form, Change::Comes);
        self.add(Counter::Stores, 1);
    }

    /// A page is gone that was kept as an object of `form`, if it was one.
    #[inline]
    pub(crate) fn gone(&self, form: Option<Form>) {
        self.count(form, Change::Goes);
    }

    /// A page was not stored.
    #[cold]
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.add(
            match refusal {
                Refusal::Limit => Counter::FailedStoresLimit,
                Refusal::Memory => Counter::FailedStoresMemory,
            },
            1,
        );
    }

    /// A page was loaded.
    #[inline]
    pub(crate) fn loaded(&self) {
        self.add(Counter::Loads, 1);
    }

    /// A page could not be loaded.
    #[cold]
    pub(crate) fn failed_load(&self) {
        self.add(Counter::FailedLoads, 1);
    }

    /// Bytes that the counters take.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn stored_pages(&self) -> u64 {
        [
            Counter::SamePages,
            Counter::PackedPages,
            Counter::WholePages,
        ]
        .into_iter()
        .map(|counter| self.sum(counter))
        .sum()
    }
}

/// Makes the two halves of a directory: the names of its files, and what each shows of a pool.
macro_rules! files {
    ($($name:literal => $show:expr,)*) => {
        const NAMES: &[&CStr] = &[$($name),*];
        const SHOW: &[for<'a> fn(&'a Pool) -> Value<'a>] = &[$($show),*];
    };
}

files! {
    c"comp" => |pool| Value::Text(pool.compressor()),
    c"limit_bytes" => |pool| Value::Number(pool.limit_bytes()),
    c"areas" => |pool| Value::Number(pool.areas() as u64),
    c"stored_pages" => |pool| Value::Number(pool.figures.stored_pages()),
    c"same_filled_pages" => |pool| Value::Number(pool.figures.sum(Counter::SamePages)),
    c"incompressible_pages" => |pool| Value::Number(pool.figures.sum(Counter::WholePages)),
    c"compressed_bytes" => |pool| Value::Number(pool.figures.sum(Counter::ObjectBytes)),
    c"pool_bytes" => |pool| Value::Number(pool.cache.bytes()),
    c"table_bytes" => |pool| Value::Number(pool.table_pages.bytes()),
    c"fixed_bytes" => |pool| Value::Number(pool.fixed_bytes()),
    c"stores" => |pool| Value::Number(pool.figures.sum(Counter::Stores)),
    c"loads" => |pool| Value::Number(pool.figures.sum(Counter::Loads)),
    c"invalidates" => |pool| Value::Number(
        pool.figures
            .sum(Counter::Stores)
            .saturating_sub(pool.figures.stored_pages()),
    ),
    c"failed_stores_limit" => |pool| Value::Number(pool.figures.sum(Counter::FailedStoresLimit)),
    c"failed_stores_memory" => |pool| Value::Number(pool.figures.sum(Counter::FailedStoresMemory)),
    c"failed_loads" => |pool| Value::Number(pool.figures.sum(Counter::FailedLoads)),
}

impl Attributes for Pool {
    const NAMES: &'static [&'static CStr] = NAMES;

    fn show(&self, index: usize) -> Value<'_> {
        SHOW[index](self)
    }
}
