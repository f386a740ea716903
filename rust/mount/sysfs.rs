// SPDX-License-Identifier: GPL-2.0

//! The files in sysfs: what pools and backing stores show, and what can be ordered there.
//!
//! All of them are described in `Documentation/ABI/testing/sysfs-fs-ghostswap`.

use crate::{
    backing::store::{
        BackingStore,
        StoreCounter, //
    },
    contents::stats::Counter,
    kernel_ext::fs::kobject::{
        Attribute, Attributes,
        Value::{
            self,
            Number,
            Text, //
        },
    },
    pool::Pool,
    report::KernelLog,
};
use kernel::{
    alloc::KVVec,
    prelude::*,
    str::CString, //
};

impl Attributes for Pool {
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute::read_only(c"comp", |pool| Text(pool.compressor())),
        Attribute::read_only(c"limit_bytes", |pool| Number(pool.contents().limit.bytes())),
        Attribute::read_only(c"areas", |pool| {
            Number(pool.contents().tables.count() as u64)
        }),
        Attribute::read_only(c"stored_pages", |pool| {
            Number(pool.contents().stats.stored_pages())
        }),
        Attribute::read_only(c"same_filled_pages", |pool| sum(pool, Counter::SamePages)),
        Attribute::read_only(c"incompressible_pages", |pool| {
            sum(pool, Counter::IncompressiblePages)
        }),
        Attribute::read_only(c"compressed_bytes", |pool| sum(pool, Counter::ObjectBytes)),
        Attribute::read_only(c"pool_bytes", |pool| Number(pool.contents().cache.bytes())),
        Attribute::read_only(c"table_bytes", |pool| {
            Number(pool.contents().table_pages.bytes())
        }),
        Attribute::read_only(c"fixed_bytes", |pool| Number(pool.fixed_bytes())),
        Attribute::read_only(c"redirected_pages", |pool| {
            sum(pool, Counter::RedirectedPages)
        }),
        Attribute::read_only(c"redirected_bytes", |pool| {
            sum(pool, Counter::RedirectedBytes)
        }),
        Attribute::read_only(c"written_pages", |pool| sum(pool, Counter::WrittenPages)),
        Attribute::read_only(c"stores", |pool| sum(pool, Counter::Stores)),
        Attribute::read_only(c"loads", |pool| sum(pool, Counter::Loads)),
        Attribute::read_only(c"invalidates", |pool| {
            let stats = &pool.contents().stats;
            Number((stats.sum(Counter::Stores)).saturating_sub(stats.stored_pages()))
        }),
        Attribute::read_only(c"failed_stores_limit", |pool| {
            sum(pool, Counter::FailedStoresLimit)
        }),
        Attribute::read_only(c"failed_stores_memory", |pool| {
            sum(pool, Counter::FailedStoresMemory)
        }),
        Attribute::read_only(c"failed_loads", |pool| sum(pool, Counter::FailedLoads)),
        Attribute::write_only(c"writeback", |pool, text| match text {
            b"all" => pool.write_back(usize::MAX),
            number => pool.write_back(decimal(number).ok_or(EINVAL)?),
        }),
        Attribute::write_only(c"add_backing", |pool, text| {
            KernelLog::of("add_backing", |log| pool.add_store(&path(text)?, log))
        }),
        Attribute::write_only(c"remove_backing", |pool, text| {
            KernelLog::of("remove_backing", |log| pool.remove_store(&path(text)?, log))
        }),
    ];
}

fn sum(pool: &Pool, counter: Counter) -> Value<'_> {
    Number(pool.contents().stats.sum(counter))
}

impl Attributes for BackingStore {
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute::read_only(c"path", |store| Text(store.path())),
        Attribute::read_only(c"size_bytes", |store| Number(store.size())),
        Attribute::read_only(c"used_bytes", |store| Number(store.used_bytes())),
        Attribute::read_only(c"live_bytes", |store| Number(store.log.stats().live)),
        Attribute::read_only(c"garbage_bytes", |store| Number(store.log.stats().garbage)),
        Attribute::read_only(c"free_segments", |store| {
            Number(store.log.stats().free as u64)
        }),
        Attribute::read_only(c"open_segments", |store| {
            Number(store.log.stats().open as u64)
        }),
        Attribute::read_only(c"sealed_segments", |store| {
            Number(store.log.stats().sealed as u64)
        }),
        Attribute::read_only(c"retired_segments", |store| {
            Number(store.log.stats().retired as u64)
        }),
        Attribute::read_only(c"written_bytes", |store| {
            Number(store.counted(StoreCounter::WrittenBytes))
        }),
        Attribute::read_only(c"written_ios", |store| {
            Number(store.counted(StoreCounter::WrittenRequests))
        }),
        Attribute::read_only(c"read_bytes", |store| {
            Number(store.counted(StoreCounter::ReadBytes))
        }),
        Attribute::read_only(c"read_ios", |store| {
            Number(store.counted(StoreCounter::ReadRequests))
        }),
        Attribute::read_only(c"cleaned_bytes", |store| {
            Number(store.counted(StoreCounter::MovedBytes))
        }),
        Attribute::read_only(c"discarded_bytes", |store| {
            Number(store.counted(StoreCounter::DiscardedBytes))
        }),
        Attribute::read_only(c"write_errors", |store| {
            Number(store.counted(StoreCounter::WriteErrors))
        }),
        Attribute::read_only(c"read_errors", |store| {
            Number(store.counted(StoreCounter::ReadErrors))
        }),
    ];
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
