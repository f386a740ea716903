// SPDX-License-Identifier: GPL-2.0

//! A pool's figures: what is counted, how sysfs shows it, and what can be asked for there.

use crate::{
    kernel_ext::{
        kobject::{files, Attributes, Value},
        percpu::Counters,
    },
    logic::entry::Form,
    pool::Pool,
    stores::KernelLog,
};
use kernel::{alloc::KVVec, prelude::*, str::CString, sync::Arc};

/// What is counted, each CPU for itself.
#[derive(Clone, Copy)]
enum Counter {
    SamePages,
    PackedPages,
    WholePages,
    ObjectBytes,
    RedirectedPages,
    RedirectedBytes,
    WrittenPages,
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

    /// A page came that is kept as an object of `form`, if there is one.
    #[inline]
    pub(crate) fn came(&self, form: Option<Form>) {
        self.count(form, Change::Comes);
    }

    /// A page that came was stored.
    #[inline]
    pub(crate) fn stored(&self) {
        self.add(Counter::Stores, 1);
    }

    /// A page is gone that was kept as an object of `form`, if it was one.
    #[inline]
    pub(crate) fn gone(&self, form: Option<Form>) {
        self.count(form, Change::Goes);
    }

    /// An object of `form` went to a backing store.
    pub(crate) fn redirected(&self, form: Form) {
        self.count(Some(form), Change::Goes);
        self.add(Counter::RedirectedPages, 1);
        self.add(Counter::RedirectedBytes, form.length() as u64);
        self.add(Counter::WrittenPages, 1);
    }

    /// An object of `form` came back from a backing store.
    pub(crate) fn recalled(&self, form: Form) {
        self.gone_redirected(form);
        self.count(Some(form), Change::Comes);
    }

    /// A page is gone that was kept as an object of `form` in a backing store.
    pub(crate) fn gone_redirected(&self, form: Form) {
        self.add(Counter::RedirectedPages, 1u64.wrapping_neg());
        self.add(
            Counter::RedirectedBytes,
            (form.length() as u64).wrapping_neg(),
        );
    }

    /// Pages that are in memory, those included that take nothing but their entry.
    pub(crate) fn pages_in_cache(&self) -> u64 {
        [
            Counter::SamePages,
            Counter::PackedPages,
            Counter::WholePages,
        ]
        .into_iter()
        .map(|counter| self.sum(counter))
        .sum()
    }

    /// If there are objects in memory that did not compress.
    pub(crate) fn has_whole_pages(&self) -> bool {
        self.sum(Counter::WholePages) > 0
    }

    /// Pages that are in backing stores, and the bytes of their objects.
    pub(crate) fn in_stores(&self) -> (u64, u64) {
        (
            self.sum(Counter::RedirectedPages),
            self.sum(Counter::RedirectedBytes),
        )
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
        self.pages_in_cache() + self.sum(Counter::RedirectedPages)
    }
}

files! {
    Pool:
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
    c"redirected_pages" => |pool| Value::Number(pool.figures.sum(Counter::RedirectedPages)),
    c"redirected_bytes" => |pool| Value::Number(pool.figures.sum(Counter::RedirectedBytes)),
    c"written_pages" => |pool| Value::Number(pool.figures.sum(Counter::WrittenPages)),
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
    const COMMANDS: &'static [&'static CStr] = &[c"writeback", c"add_store", c"remove_store"];

    fn show(&self, index: usize) -> Value<'_> {
        SHOW[index](self)
    }

    fn command(self: &Arc<Self>, index: usize, text: &[u8]) -> Result {
        match index {
            0 => match text {
                b"all" => self.write_back(usize::MAX),
                number => self.write_back(decimal(number).ok_or(EINVAL)?),
            },
            1 => KernelLog::of("add_store", |log| self.add_store(&path(text)?, log)),
            _ => KernelLog::of("remove_store", |log| self.remove_store(&path(text)?, log)),
        }
    }
}

/// The number that `text` writes out, in digits alone.
fn decimal(text: &[u8]) -> Option<usize> {
    let digits = text.iter().all(u8::is_ascii_digit).then_some(text)?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// The path `text`.
fn path(text: &[u8]) -> Result<CString> {
    let mut bytes = KVVec::with_capacity(text.len() + 1, GFP_KERNEL)?;
    bytes.extend_from_slice(text, GFP_KERNEL)?;
    bytes.push(0, GFP_KERNEL)?;
    let path = CStr::from_bytes_with_nul(&bytes).map_err(|_| EINVAL)?;
    Ok(path.to_cstring()?)
}
