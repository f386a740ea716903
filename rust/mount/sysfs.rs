// SPDX-License-Identifier: GPL-2.0

//! The files in sysfs: what pools and backing stores show, and what can be ordered there.
//!
//! All of them are described in `Documentation/ABI/testing/sysfs-fs-ghostswap`. What tells the length of
//! compressed pages to the byte is for root only: a user who can have a page stored that has something
//! secret beside something of the user's own could learn the secret from it.

use crate::{
    backing::store::{
        BackingStore,
        StoreCounter::{
            DiscardedBytes,
            MovedBytes,
            ReadBytes,
            ReadErrors,
            ReadRequests,
            WriteErrors,
            WrittenBytes,
            WrittenRequests, //
        },
    },
    contents::stats::Counter::{
        self,
        BlocksInVain,
        FailedLoads,
        FailedStoresLimit,
        FailedStoresMemory,
        IncompressiblePages,
        LostPages,
        RecompressedLoads,
        RecompressedPages,
        RedirectedBytes,
        RedirectedPages,
        ReturnedPages,
        SamePages,
        Stores,
        WrittenPages, //
    },
    core::{
        latency::{
            least_nanos,
            LoadedFrom,
            BUCKETS, //
        },
        segment::BLOCK,
        PAGE_SIZE, //
    },
    kernel_ext::{
        fs::{
            fs_context::FsLog,
            kobject::{
                Attribute,
                Attributes, //
            },
        },
        mm::zs_bundle::Bundled,
    },
    mount::options,
    pool::Pool,
};
use kernel::{
    alloc::KVVec,
    prelude::*,
    str::CString, //
};

impl Attributes for Pool {
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute::Text(c"comp", |pool| pool.compressor()),
        Attribute::Text(c"recomp", |pool| {
            pool.second().unwrap_or(options::NO_SECOND)
        }),
        Attribute::Number(c"limit_bytes", |pool| pool.contents.limit.bytes()),
        Attribute::Number(c"capacity_bytes", |pool| {
            let (view, _) = pool.contents.view();
            view.capacity * PAGE_SIZE as u64
        }),
        Attribute::Number(c"areas", |pool| pool.contents.tables.count() as u64),
        Attribute::Number(c"stored_pages", |pool| pool.contents.stats.stored_pages()),
        Attribute::Number(c"same_filled_pages", |pool| sum(pool, SamePages)),
        Attribute::Number(c"incompressible_pages", |pool| {
            sum(pool, IncompressiblePages)
        }),
        Attribute::RootNumber(c"compressed_bytes", |pool| {
            pool.contents.stats.object_bytes()
        }),
        Attribute::Number(c"pool_bytes", |pool| pool.contents.cache.bytes()),
        Attribute::Number(c"table_bytes", |pool| pool.contents.table_pages.bytes()),
        Attribute::Number(c"fixed_bytes", |pool| pool.fixed_bytes()),
        Attribute::Number(c"redirected_pages", |pool| sum(pool, RedirectedPages)),
        Attribute::RootNumber(c"redirected_bytes", |pool| sum(pool, RedirectedBytes)),
        Attribute::Number(c"written_pages", |pool| sum(pool, WrittenPages)),
        Attribute::Number(c"returned_pages", |pool| sum(pool, ReturnedPages)),
        Attribute::Number(c"lost_pages", |pool| sum(pool, LostPages)),
        Attribute::Number(c"read_in_vain_bytes", |pool| {
            sum(pool, BlocksInVain) * BLOCK as u64
        }),
        Attribute::Number(c"recompressed_pages", |pool| sum(pool, RecompressedPages)),
        Attribute::Number(c"recompressed_loads", |pool| sum(pool, RecompressedLoads)),
        Attribute::Number(c"bundled_pages", |pool| bundled(pool, Bundled::pages)),
        Attribute::RootNumber(c"bundle_waste_bytes", |pool| bundled(pool, Bundled::wasted)),
        Attribute::Number(c"stores", |pool| sum(pool, Stores)),
        Attribute::Number(c"loads", |pool| pool.contents.stats.loads()),
        Attribute::Pairs(c"ram_load_nsecs", |pool, at| {
            loads_in(pool, LoadedFrom::Ram, at)
        }),
        Attribute::Pairs(c"store_load_nsecs", |pool, at| {
            loads_in(pool, LoadedFrom::Store, at)
        }),
        Attribute::Number(c"invalidates", |pool| pool.contents.stats.invalidates()),
        Attribute::Number(c"failed_stores_limit", |pool| sum(pool, FailedStoresLimit)),
        Attribute::Number(c"failed_stores_memory", |pool| {
            sum(pool, FailedStoresMemory)
        }),
        Attribute::Number(c"failed_loads", |pool| sum(pool, FailedLoads)),
        Attribute::Order(c"writeback", |pool, text| match text {
            b"all" => pool.write_back(usize::MAX),
            number => pool.write_back(decimal(number).ok_or(EINVAL)?),
        }),
        Attribute::Order(c"age", |pool, text| {
            let age = decimal(text).ok_or(EINVAL)?;
            pool.write_back_older(age.try_into().unwrap_or(u32::MAX))
        }),
        Attribute::Order(c"recompress", |pool, text| {
            let age = decimal(text).ok_or(EINVAL)?;
            pool.recompress(age.try_into().unwrap_or(u32::MAX))
        }),
        Attribute::Order(c"add_backing", |pool, text| {
            with_path("add_backing", text, |path, log| pool.add_store(path, log))
        }),
        Attribute::Order(c"reopen_backing", |pool, text| {
            with_path("reopen_backing", text, |path, log| {
                pool.admin.reopen(path, log)
            })
        }),
        Attribute::Order(c"remove_backing", |pool, text| {
            with_path("remove_backing", text, |path, log| {
                pool.admin.remove(path, log)
            })
        }),
        Attribute::Order(c"give_up_backing", |pool, text| {
            with_path("give_up_backing", text, |path, log| {
                pool.admin.give_up(path, log)
            })
        }),
    ];
}

fn sum(pool: &Pool, counter: Counter) -> u64 {
    pool.contents.stats.sum(counter)
}

fn bundled(pool: &Pool, number: fn(&Bundled) -> u64) -> u64 {
    pool.contents.cache.bundled().map_or(0, number)
}

/// The least nanoseconds of bucket `at`, if there is one, and how many loads from there took so long.
fn loads_in(pool: &Pool, from: LoadedFrom, at: usize) -> Option<(u64, u64)> {
    let loads = || pool.contents.stats.loads_in(from, at);
    (at < BUCKETS).then(|| (least_nanos(at), loads()))
}

impl Attributes for BackingStore {
    const ATTRIBUTES: &'static [Attribute<Self>] = &[
        Attribute::Text(c"path", |store| store.path()),
        Attribute::Text(c"state", |store| store.state_name()),
        Attribute::Text(c"cipher", |store| store.cipher_name()),
        Attribute::Number(c"size_bytes", |store| store.size()),
        Attribute::Number(c"used_bytes", |store| store.used_bytes()),
        Attribute::RootNumber(c"live_bytes", |store| store.log.stats().live),
        Attribute::RootNumber(c"garbage_bytes", |store| store.log.stats().garbage),
        Attribute::Number(c"free_segments", |store| store.log.stats().free as u64),
        Attribute::Number(c"open_segments", |store| store.log.stats().open as u64),
        Attribute::Number(c"sealed_segments", |store| store.log.stats().sealed as u64),
        Attribute::Number(c"retired_segments", |store| {
            store.log.stats().retired as u64
        }),
        Attribute::Number(c"written_bytes", |store| store.counted(WrittenBytes)),
        Attribute::Number(c"written_lately_bytes", |store| store.written_lately()),
        Attribute::Setting(
            c"write_limit",
            |store| store.write_limit(),
            |store, text| {
                store.set_write_limit(options::write_limit(text).ok_or(EINVAL)?);
                Ok(())
            },
        ),
        Attribute::Number(c"written_ios", |store| store.counted(WrittenRequests)),
        Attribute::Number(c"read_bytes", |store| store.counted(ReadBytes)),
        Attribute::Number(c"read_ios", |store| store.counted(ReadRequests)),
        Attribute::Number(c"cleaned_bytes", |store| store.counted(MovedBytes)),
        Attribute::Number(c"discarded_bytes", |store| store.counted(DiscardedBytes)),
        Attribute::Number(c"write_errors", |store| store.counted(WriteErrors)),
        Attribute::Number(c"read_errors", |store| store.counted(ReadErrors)),
    ];
}

/// The number that `text` writes out, in digits alone.
fn decimal(text: &[u8]) -> Option<usize> {
    let digits = text.iter().all(u8::is_ascii_digit).then_some(text)?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Does `act` with the path `text`, for the order `order`. Why it fails is in the kernel's log.
fn with_path(
    order: &'static str,
    text: &[u8],
    act: impl FnOnce(&CStr, &FsLog<'_>) -> Result,
) -> Result {
    let log = FsLog::of_kernel(order);
    log.conclude(path(text).and_then(|path| act(&path, &log)))
}

/// The path `text`.
fn path(text: &[u8]) -> Result<CString> {
    let mut bytes = KVVec::with_capacity(text.len() + 1, GFP_KERNEL)?;
    bytes.extend_from_slice(text, GFP_KERNEL)?;
    bytes.push(0, GFP_KERNEL)?;
    let path = CStr::from_bytes_with_nul(&bytes).map_err(|_| EINVAL)?;
    Ok(path.to_cstring()?)
}
