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
        Attribute,
        Attributes, //
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
        Attribute::text(c"comp", |pool| pool.compressor()),
        Attribute::number(c"limit_bytes", |pool| pool.contents().limit.bytes()),
        Attribute::number(c"areas", |pool| pool.contents().tables.count() as u64),
        Attribute::number(c"stored_pages", |pool| pool.contents().stats.stored_pages()),
        Attribute::number(c"same_filled_pages", |pool| sum(pool, Counter::SamePages)),
        Attribute::number(c"incompressible_pages", |pool| {
            sum(pool, Counter::IncompressiblePages)
        }),
        Attribute::number(c"compressed_bytes", |pool| sum(pool, Counter::ObjectBytes)),
        Attribute::number(c"pool_bytes", |pool| pool.contents().cache.bytes()),
        Attribute::number(c"table_bytes", |pool| pool.contents().table_pages.bytes()),
        Attribute::number(c"fixed_bytes", |pool| pool.fixed_bytes()),
        Attribute::number(c"redirected_pages", |pool| {
            sum(pool, Counter::RedirectedPages)
        }),
        Attribute::number(c"redirected_bytes", |pool| {
            sum(pool, Counter::RedirectedBytes)
        }),
        Attribute::number(c"written_pages", |pool| sum(pool, Counter::WrittenPages)),
        Attribute::number(c"stores", |pool| sum(pool, Counter::Stores)),
        Attribute::number(c"loads", |pool| sum(pool, Counter::Loads)),
        Attribute::number(c"invalidates", |pool| pool.contents().stats.invalidates()),
        Attribute::number(c"failed_stores_limit", |pool| {
            sum(pool, Counter::FailedStoresLimit)
        }),
        Attribute::number(c"failed_stores_memory", |pool| {
            sum(pool, Counter::FailedStoresMemory)
        }),
        Attribute::number(c"failed_loads", |pool| sum(pool, Counter::FailedLoads)),
        Attribute::order(c"writeback", |pool, text| match text {
            b"all" => pool.write_back(usize::MAX),
            number => pool.write_back(decimal(number).ok_or(EINVAL)?),
        }),
        Attribute::order(c"add_backing", |pool, text| {
            KernelLog::of("add_backing", |log| pool.add_store(&path(text)?, log))
        }),
        Attribute::order(c"remove_backing", |pool, text| {
            KernelLog::of("remove_backing", |log| pool.remove_store(&path(text)?, log))
        }),
    ];
}

fn sum(pool: &Pool, counter: Counter) -> u64 {
    pool.contents().stats.sum(counter)
}

impl Attributes for BackingStore {
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute::text(c"path", |store| store.path()),
        Attribute::number(c"size_bytes", |store| store.size()),
        Attribute::number(c"used_bytes", |store| store.used_bytes()),
        Attribute::number(c"live_bytes", |store| store.log.stats().live),
        Attribute::number(c"garbage_bytes", |store| store.log.stats().garbage),
        Attribute::number(c"free_segments", |store| store.log.stats().free as u64),
        Attribute::number(c"open_segments", |store| store.log.stats().open as u64),
        Attribute::number(c"sealed_segments", |store| store.log.stats().sealed as u64),
        Attribute::number(c"retired_segments", |store| {
            store.log.stats().retired as u64
        }),
        Attribute::number(c"written_bytes", |store| {
            store.counted(StoreCounter::WrittenBytes)
        }),
        Attribute::number(c"written_ios", |store| {
            store.counted(StoreCounter::WrittenRequests)
        }),
        Attribute::number(c"read_bytes", |store| {
            store.counted(StoreCounter::ReadBytes)
        }),
        Attribute::number(c"read_ios", |store| {
            store.counted(StoreCounter::ReadRequests)
        }),
        Attribute::number(c"cleaned_bytes", |store| {
            store.counted(StoreCounter::MovedBytes)
        }),
        Attribute::number(c"discarded_bytes", |store| {
            store.counted(StoreCounter::DiscardedBytes)
        }),
        Attribute::number(c"write_errors", |store| {
            store.counted(StoreCounter::WriteErrors)
        }),
        Attribute::number(c"read_errors", |store| {
            store.counted(StoreCounter::ReadErrors)
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
