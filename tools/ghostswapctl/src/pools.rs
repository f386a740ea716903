// SPDX-License-Identifier: GPL-2.0

//! Pools and their backing stores, as sysfs shows them.
//!
//! All files are described in `Documentation/ABI/testing/sysfs-fs-ghostswap`.

use crate::{
    failure::{
        Failure,
        Result, //
    },
    mounts::{
        self,
        Mount, //
    },
    root::Root,
};
use ghostswap_core::{
    segment::MAX_STORES,
    PAGE_SIZE, //
};
use serde::Serialize;
use std::{
    fs, io,
    path::{
        self,
        Path, //
    },
    thread,
    time::Duration,
};

/// Where the pools are.
const SYSFS: &str = "/sys/fs/ghostswap";

/// Bytes of a page.
pub const PAGE: u64 = PAGE_SIZE as u64;

/// A metric: a number of a `T`, as Prometheus keeps it.
pub struct Metric<T: ?Sized> {
    /// It ends with `_total` if it only grows, until the pool or the store goes.
    pub name: &'static str,
    /// What it means, in a line.
    pub help: &'static str,
    /// The number in the unit of the name. [`None`] if it is not known.
    pub of: fn(&T) -> Option<i128>,
}

/// Makes a structure of numbers, each of which is in a file of its name, and the metrics of them. Those
/// that only root may read are [`None`] for others, and settings are where they are `off`.
macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident {
        $($all:ident $(* $unit:ident)? => $metric:literal $help:literal),* ;
        root: $($root:ident => $root_metric:literal $root_help:literal),* ;
        settings: $($setting:ident => $setting_metric:literal $setting_help:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize)]
        pub struct $name {
            $(pub $all: u64,)*
            $(pub $root: Option<u64>,)*
            $(pub $setting: Option<u64>,)*
        }

        impl $name {
            /// A metric for each number.
            pub const METRICS: &[Metric<Self>] = &[
                $(Metric {
                    name: $metric,
                    help: $help,
                    of: |numbers| Some(i128::from(numbers.$all) $(* i128::from($unit))?),
                },)*
                $(Metric {
                    name: $root_metric,
                    help: $root_help,
                    of: |numbers| numbers.$root.map(i128::from),
                },)*
                $(Metric {
                    name: $setting_metric,
                    help: $setting_help,
                    of: |numbers| numbers.$setting.map(i128::from),
                },)*
            ];

            fn read(directory: &Path) -> io::Result<Self> {
                Ok(Self {
                    $($all: number(&directory.join(stringify!($all)))?,)*
                    $($root: number_of_root(&directory.join(stringify!($root)))?,)*
                    $($setting: number_or_off(&directory.join(stringify!($setting)))?,)*
                })
            }
        }
    };
}

numbers! {
    /// What a pool counts.
    PoolNumbers {
        limit_bytes => "ghostswap_limit_bytes" "The most memory that the pool takes.",
        capacity_bytes => "ghostswap_capacity_bytes"
            "The pages that can be held, with those that are, if others get as much smaller.",
        areas => "ghostswap_areas" "The areas of the pool that are swapped on.",
        stored_pages * PAGE => "ghostswap_stored_bytes" "The pages that are stored, in RAM and in stores.",
        same_filled_pages * PAGE => "ghostswap_same_filled_bytes"
            "The pages in RAM that repeat one word, and take no memory.",
        incompressible_pages * PAGE => "ghostswap_incompressible_bytes"
            "The pages in RAM that are kept as they are.",
        pool_bytes => "ghostswap_pool_bytes" "The memory that zsmalloc has taken for what is in RAM.",
        table_bytes => "ghostswap_table_bytes" "The memory of the tables that say where each page is.",
        fixed_bytes => "ghostswap_fixed_bytes" "The memory that the pool takes whatever is stored.",
        redirected_pages * PAGE => "ghostswap_redirected_bytes" "The pages that are in stores.",
        written_pages * PAGE => "ghostswap_written_bytes_total"
            "The pages that went to stores, as plain swap would have written them.",
        returned_pages * PAGE => "ghostswap_returned_bytes_total"
            "The pages that were read from stores soon after they went there.",
        read_in_vain_bytes => "ghostswap_read_in_vain_bytes_total"
            "What was read ahead from stores and not needed.",
        lost_pages * PAGE => "ghostswap_lost_bytes_total"
            "The pages that were lost with a store that was given up.",
        recompressed_pages * PAGE => "ghostswap_recompressed_bytes_total"
            "The pages that the second compressor made smaller.",
        recompressed_loads * PAGE => "ghostswap_recompressed_swapped_in_bytes_total"
            "The pages that were loaded and that the second compressor had made smaller.",
        bundled_pages * PAGE => "ghostswap_bundled_bytes"
            "The pages in RAM that are in bundles, several compressed together.",
        stores * PAGE => "ghostswap_swapped_out_bytes_total" "The pages that were stored.",
        loads * PAGE => "ghostswap_swapped_in_bytes_total" "The pages that were loaded.",
        invalidates * PAGE => "ghostswap_freed_bytes_total"
            "The pages that were stored and are not any more.",
        failed_stores_limit => "ghostswap_failed_stores_limit_total"
            "How often a page was refused because the pool was at its limit.",
        failed_stores_memory => "ghostswap_failed_stores_memory_total"
            "How often a page was refused because no memory was free.",
        failed_loads => "ghostswap_failed_loads_total"
            "How often a page could not be loaded, and a process was ended.";
        root:
        bundle_waste_bytes => "ghostswap_bundle_waste_bytes"
            "What bundles take for pages that are not in them any more.",
        compressed_bytes => "ghostswap_compressed_bytes"
            "The lengths of the compressed pages in RAM.",
        redirected_bytes => "ghostswap_redirected_compressed_bytes"
            "The lengths of the compressed pages in stores.";
        settings:
    }
}

numbers! {
    /// What a backing store counts.
    StoreNumbers {
        size_bytes => "ghostswap_store_size_bytes" "What the store has room for.",
        used_bytes => "ghostswap_store_used_bytes" "The segments of the store that are not free.",
        free_segments => "ghostswap_store_free_segments" "The segments that are free, of 2 MiB each.",
        open_segments => "ghostswap_store_open_segments"
            "The segments that are being filled, written or discarded.",
        sealed_segments => "ghostswap_store_sealed_segments" "The segments that are full.",
        retired_segments => "ghostswap_store_retired_segments"
            "The segments that are not filled again, after errors.",
        written_bytes => "ghostswap_store_written_bytes_total"
            "What was written to the store, for any purpose.",
        written_lately_bytes => "ghostswap_store_written_lately_bytes"
            "What was written in the last 24 hours, as far as it counts for the limit of that.",
        written_ios => "ghostswap_store_writes_total" "The requests in which that was written.",
        read_bytes => "ghostswap_store_read_bytes_total" "What was read from the store.",
        read_ios => "ghostswap_store_reads_total" "The requests in which that was read.",
        cleaned_bytes => "ghostswap_store_cleaned_bytes_total"
            "What was written to the store and had been in a store before.",
        discarded_bytes => "ghostswap_store_discarded_bytes_total"
            "What the device was told is not needed.",
        write_errors => "ghostswap_store_write_errors_total" "The segments that could not be written.",
        read_errors => "ghostswap_store_read_errors_total"
            "The reads that failed or returned something else than was written.";
        root:
        live_bytes => "ghostswap_store_live_bytes" "The records that pages are in.",
        garbage_bytes => "ghostswap_store_garbage_bytes" "What cleaning would win.";
        settings:
        write_limit => "ghostswap_store_write_limit_bytes"
            "The most that is written to the store in 24 hours.",
    }
}

/// How many loads took how long: pairs of a time in nanoseconds, and of how many took that, but less than
/// the time of the next pair.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct LoadTimes(Vec<(u64, u64)>);

impl LoadTimes {
    /// All of them.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// How many loads took less than how many nanoseconds; of all of them there is no such time.
    pub fn below(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let ends = self.0.iter().skip(1).map(|(time, _)| Some(*time));
        let mut below = 0;
        ends.chain([None])
            .zip(&self.0)
            .map(move |(end, (_, count))| {
                below += count;
                (end, below)
            })
    }

    /// The nanoseconds that `percent` of 100 loads took less than, at most. [`None`] if there were no loads,
    /// or if they took longer than is told apart.
    pub fn of_percent(&self, percent: u64) -> Option<u64> {
        let all = u128::from(self.count());
        let is_so_many = |below: u64| u128::from(below) * 100 >= all * u128::from(percent);
        let (end, _) = self.below().find(|(_, below)| is_so_many(*below))?;
        end.filter(|_| all > 0)
    }

    /// What takes longer is not told apart, in nanoseconds.
    pub fn last(&self) -> u64 {
        self.0.last().map_or(0, |(time, _)| *time)
    }

    fn read(file: &Path) -> io::Result<Self> {
        let pair = |line: &str| {
            let (time, count) = line.split_once(' ')?;
            Some((time.parse().ok()?, count.parse().ok()?))
        };
        let pairs: Option<_> = word(file)?.lines().map(pair).collect();
        let no_pairs = || named(file, io::ErrorKind::InvalidData.into());
        pairs.map(Self).ok_or_else(no_pairs)
    }
}

/// A pool.
#[derive(Clone, Debug, Serialize)]
pub struct Pool {
    /// The name in sysfs.
    pub id: String,
    /// The compressor.
    pub comp: String,
    /// The second compressor, or `off`.
    pub recomp: String,
    #[serde(flatten)]
    pub numbers: PoolNumbers,
    /// The loads whose pages were in RAM.
    pub ram_load_nsecs: LoadTimes,
    /// Those whose pages were in stores.
    pub store_load_nsecs: LoadTimes,
    /// What follows from the numbers.
    pub derived: Derived,
    /// The ghost files.
    pub mounts: Vec<Mount>,
    /// The backing stores, in the order of the tiers.
    pub backing: Vec<Store>,
}

/// A backing store.
#[derive(Clone, Debug, Serialize)]
pub struct Store {
    /// The number of its tier.
    pub number: u32,
    pub path: String,
    pub state: String,
    pub cipher: String,
    #[serde(flatten)]
    pub numbers: StoreNumbers,
}

/// What follows from what a pool counts.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Derived {
    /// The pages that are in RAM.
    pub ram_pages: u64,
    /// What the pool takes of its limit.
    pub held_bytes: u64,
    /// How many times smaller the pages in RAM are than they were, with all that is lost beside them.
    pub ratio: Option<f64>,
    /// What the pages would take in RAM, less what they take.
    pub saved_bytes: u64,
    /// The share of loads that needed no read of a store of their own, at least: a read for cleaning or
    /// moving counts as one for a load. 0 to 1. Reads of stores that are gone are not known, so there is none
    /// if pages were written and no store is there.
    pub hit_ratio: Option<f64>,
    /// What was written so far to the stores that are there.
    pub written_bytes: u64,
}

impl Derived {
    fn new(numbers: &PoolNumbers, cached: bool, stores: &[Store]) -> Self {
        let ram_pages = numbers
            .stored_pages
            .saturating_sub(numbers.redirected_pages);
        let taken = numbers.pool_bytes + numbers.table_bytes;
        let sum =
            |of: fn(&StoreNumbers) -> u64| stores.iter().map(|store| of(&store.numbers)).sum();
        let reads = u64::min(sum(|store| store.read_ios), numbers.loads);
        Self {
            ram_pages,
            held_bytes: if cached { taken } else { numbers.pool_bytes },
            ratio: quotient(ram_pages * PAGE, taken).filter(|_| ram_pages > 0),
            saved_bytes: (numbers.stored_pages * PAGE).saturating_sub(taken),
            hit_ratio: quotient(numbers.loads - reads, numbers.loads)
                .filter(|_| numbers.written_pages == 0 || !stores.is_empty()),
            written_bytes: sum(|store| store.written_bytes),
        }
    }
}

/// `part` / `whole`, if there is a whole.
pub fn quotient(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Pool {
    /// Returns whether it keeps pages in RAM.
    pub fn is_cached(&self) -> bool {
        !(self.mounts.iter()).any(|mount| mount.has_option("cache=off"))
    }

    /// The second compressor, if it has one.
    pub fn second(&self) -> Option<&str> {
        Some(&self.recomp[..]).filter(|name| *name != "off")
    }

    /// A file of it in sysfs.
    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}", directory(&self.id))
    }

    /// What people call it: its name, or where its first ghost file is mounted.
    pub fn name(&self) -> &str {
        match self.mounts.first() {
            Some(mount) if self.id.contains(':') => &mount.path,
            _ => &self.id,
        }
    }

    /// Reads it anew. [`None`] if it is gone.
    pub fn again(&self, root: &Root) -> Result<Option<Self>> {
        read(root, &self.id, mounts::ghost_files(root))
    }
}

/// The directory in sysfs of the pool `id`.
pub fn directory(id: &str) -> String {
    format!("{SYSFS}/{id}")
}

/// All pools.
pub fn all(root: &Root) -> Result<Vec<Pool>> {
    let Ok(directory) = fs::read_dir(root.path(SYSFS)) else {
        return Ok(Vec::new());
    };
    let mut names: Vec<_> = directory
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let mounts = mounts::ghost_files(root);
    let pools = names.iter().map(|id| read(root, id, mounts.clone()));
    Ok(pools
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// The pool that `name` is a name of, in sysfs or by the path of a mounted ghost file. Without a name,
/// the only one.
pub fn one(root: &Root, name: Option<&str>) -> Result<Pool> {
    let mut pools = all(root)?;
    let Some(name) = name else {
        return match pools.len() {
            0 => Err(none()),
            1 => Ok(pools.remove(0)),
            _ => Err(Failure::new(
                "there are several pools",
                format!("Name one with --pool: {}.", names(&pools)),
            )),
        };
    };
    let path = path::absolute(name).unwrap_or_default();
    let path = path.to_string_lossy();
    let is_meant = |pool: &Pool| {
        pool.id == name || (pool.mounts.iter()).any(|mount| root.is_same(&mount.path, &path))
    };
    match pools.iter().position(is_meant) {
        Some(at) => Ok(pools.swap_remove(at)),
        None if pools.is_empty() => Err(none()),
        None => Err(Failure::new(
            format!("there is no pool {name}"),
            format!("Name one of these: {}.", names(&pools)),
        )),
    }
}

fn names(pools: &[Pool]) -> String {
    let names: Vec<_> = pools.iter().map(Pool::name).collect();
    names.join(", ")
}

fn none() -> Failure {
    Failure::new(
        "no ghost file is mounted",
        "Set one up with \"ghostswapctl setup\"; \"ghostswapctl check\" says what is missing.",
    )
}

fn read(root: &Root, id: &str, mounts: Vec<Mount>) -> Result<Option<Pool>> {
    let directory = root.path(SYSFS).join(id);
    let mounts: Vec<_> = (mounts.into_iter()).filter(|m| m.pool == id).collect();
    let mut left = 5;
    loop {
        match read_files(id, &directory, mounts.clone()) {
            Ok(pool) => return Ok(Some(pool)),
            Err(_) if !directory.exists() => return Ok(None),
            // Of a pool or a store that goes, some files are there a little longer.
            Err(_) if left > 0 => {
                left -= 1;
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => {
                return Err(Failure::new(
                    format!("{SYSFS}/{id}: {error}"),
                    "Take the ghostswapctl of the same source as the module.",
                ))
            }
        }
    }
}

fn read_files(id: &str, directory: &Path, mounts: Vec<Mount>) -> io::Result<Pool> {
    let mut pool = Pool {
        id: id.to_owned(),
        comp: word(&directory.join("comp"))?,
        recomp: word(&directory.join("recomp"))?,
        numbers: PoolNumbers::read(directory)?,
        ram_load_nsecs: LoadTimes::read(&directory.join("ram_load_nsecs"))?,
        store_load_nsecs: LoadTimes::read(&directory.join("store_load_nsecs"))?,
        derived: Derived::default(),
        mounts,
        backing: Vec::new(),
    };
    for number in 0..MAX_STORES as u32 {
        let directory = directory.join(format!("backing{number}"));
        match read_store(number, &directory) {
            Ok(store) => pool.backing.push(store),
            // It is not there, or has gone meanwhile.
            Err(_) if !directory.exists() => (),
            Err(error) => return Err(error),
        }
    }
    pool.derived = Derived::new(&pool.numbers, pool.is_cached(), &pool.backing);
    Ok(pool)
}

fn read_store(number: u32, directory: &Path) -> io::Result<Store> {
    Ok(Store {
        number,
        path: word(&directory.join("path"))?,
        state: word(&directory.join("state"))?,
        cipher: word(&directory.join("cipher"))?,
        numbers: StoreNumbers::read(directory)?,
    })
}

fn word(file: &Path) -> io::Result<String> {
    let text = fs::read(file).map_err(|error| named(file, error))?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

fn number(file: &Path) -> io::Result<u64> {
    let no_number = |_| named(file, io::ErrorKind::InvalidData.into());
    word(file)?.parse().map_err(no_number)
}

fn number_of_root(file: &Path) -> io::Result<Option<u64>> {
    match number(file) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        other => other.map(Some),
    }
}

fn number_or_off(file: &Path) -> io::Result<Option<u64>> {
    match word(file)?.as_str() {
        "off" => Ok(None),
        _ => number(file).map(Some),
    }
}

/// The same error, with the name of the file.
fn named(file: &Path, error: io::Error) -> io::Error {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_loads_are_those_that_most_stay_below() {
        let times = LoadTimes(vec![(0, 0), (128, 50), (256, 49), (512, 1)]);
        assert_eq!(times.count(), 100);
        let below: Vec<_> = times.below().collect();
        assert_eq!(
            below,
            [
                (Some(128), 0),
                (Some(256), 50),
                (Some(512), 99),
                (None, 100)
            ]
        );
        assert_eq!(times.of_percent(50), Some(256));
        assert_eq!(times.of_percent(51), Some(512));
        assert_eq!(times.of_percent(99), Some(512));
        assert_eq!(times.of_percent(100), None);
        assert_eq!(LoadTimes::default().of_percent(50), None);
        assert_eq!(LoadTimes(vec![(0, 0), (128, 0)]).of_percent(50), None);
        let many = LoadTimes(vec![(0, u64::MAX / 2), (128, 1)]);
        assert_eq!(many.of_percent(50), Some(128));
    }
}
