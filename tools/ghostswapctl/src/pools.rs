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

/// Makes a structure of numbers, each of which is in a file of its name. Those that only root may read
/// are [`None`] for others.
macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident { $($all:ident),* ; $($root:ident),* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize)]
        pub struct $name {
            $(pub $all: u64,)*
            $(pub $root: Option<u64>,)*
        }

        impl $name {
            fn read(directory: &Path) -> io::Result<Self> {
                Ok(Self {
                    $($all: number(&directory.join(stringify!($all)))?,)*
                    $($root: number_of_root(&directory.join(stringify!($root)))?,)*
                })
            }
        }
    };
}

numbers! {
    /// What a pool counts.
    PoolNumbers {
        limit_bytes, areas, stored_pages, same_filled_pages, incompressible_pages, pool_bytes,
        table_bytes, fixed_bytes, redirected_pages, written_pages, returned_pages,
        read_in_vain_bytes, lost_pages, stores, loads, invalidates, failed_stores_limit,
        failed_stores_memory, failed_loads;
        compressed_bytes, redirected_bytes
    }
}

numbers! {
    /// What a backing store counts.
    StoreNumbers {
        size_bytes, used_bytes, free_segments, open_segments, sealed_segments, retired_segments,
        written_bytes, written_ios, read_bytes, read_ios, cleaned_bytes, discarded_bytes,
        write_errors, read_errors;
        live_bytes, garbage_bytes
    }
}

/// A pool.
#[derive(Clone, Debug, Serialize)]
pub struct Pool {
    /// The name in sysfs.
    pub id: String,
    /// The compressor.
    pub comp: String,
    #[serde(flatten)]
    pub numbers: PoolNumbers,
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

    /// A file of it in sysfs.
    pub fn file(&self, name: &str) -> String {
        format!("{SYSFS}/{}/{name}", self.id)
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
        numbers: PoolNumbers::read(directory)?,
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

/// The same error, with the name of the file.
fn named(file: &Path, error: io::Error) -> io::Error {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    io::Error::new(error.kind(), format!("{name}: {error}"))
}
