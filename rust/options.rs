// SPDX-License-Identifier: GPL-2.0

//! Mount options: `comp=`, `limit=`, `pool=`, `cache=`, `backing=`, `nobacking=`, `encrypt=`, `discard`.

use crate::{
    kernel_ext::{
        compressor,
        fs_context::{self, Log},
    },
    logic::{limit::Limit, pool_name, segment::MAX_STORES},
    pool::{Manner, Pool},
};
use kernel::{
    fmt,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::{BStr, CString},
    sync::Arc,
};

/// The names, in the order that [`Options::parse`] knows them by.
pub(crate) const NAMES: &[&CStr] = &[
    c"comp",
    c"limit",
    c"pool",
    c"cache",
    c"encrypt",
    c"backing",
    c"nobacking",
    c"discard",
];

/// Those of them that have no value.
pub(crate) const FLAGS: &[&CStr] = &[c"discard"];

/// What is to be done with a backing store.
enum Change {
    Add(CString),
    Remove(CString),
}

/// The most that can be meant at once: mount(8) gives those again that are there, and then all of them
/// are replaced.
const MAX_CHANGES: usize = 3 * MAX_STORES;

/// The compressor where none is named.
const DEFAULT_COMPRESSOR: &CStr = c"lz4";

/// Compressors of the kernel, as of `crypto/Kconfig`, to name those that are there.
const KNOWN_COMPRESSORS: &[&CStr] = &[
    c"lz4", c"lz4hc", c"zstd", c"lzo", c"lzo-rle", c"deflate", c"842",
];

/// What was given; [`None`] is what was not.
#[derive(Default)]
pub(crate) struct Options {
    comp: Option<CString>,
    limit: Option<Limit>,
    pool: Option<CString>,
    cache: Option<bool>,
    encrypt: Option<bool>,
    discard: bool,
    /// In the order given.
    stores: KVec<Change>,
}

impl Options {
    /// Takes the option [`NAMES`]`[index]`.
    pub(crate) fn parse(&mut self, index: usize, value: &CStr, log: &Log<'_>) -> Result {
        match index {
            0 => self.comp = Some(value.to_cstring()?),
            1 => {
                let limit = Limit::parse(value.to_bytes()).map_err(|problem| {
                    let reason = problem.reason();
                    log.error(EINVAL, fmt!("limit={}: {reason}", value))
                })?;
                self.limit = Some(limit);
            }
            2 => {
                if let Some(problem) = pool_name::problem(value.to_bytes()) {
                    return Err(log.error(EINVAL, fmt!("pool: the name {problem}")));
                }
                self.pool = Some(value.to_cstring()?);
            }
            3 => self.cache = Some(on_or_off(c"cache", value, log)?),
            4 => self.encrypt = Some(on_or_off(c"encrypt", value, log)?),
            5 => self.change(Change::Add(value.to_cstring()?), log)?,
            6 => self.change(Change::Remove(value.to_cstring()?), log)?,
            _ => self.discard = true,
        }
        Ok(())
    }

    /// Takes a change of the stores. There is a bound, for any user may get here, with a context that is
    /// never mounted.
    fn change(&mut self, change: Change, log: &Log<'_>) -> Result {
        if self.stores.len() >= MAX_CHANGES {
            return Err(log.error(EINVAL, fmt!("backing: more than {MAX_CHANGES} are given")));
        }
        Ok(self.stores.push(change, GFP_KERNEL)?)
    }

    /// The pool that is asked for by name.
    pub(crate) fn pool(&self) -> Option<&CStr> {
        self.pool.as_deref()
    }

    /// The compressor for a new pool. [`EINVAL`] if the kernel has no such one.
    ///
    /// Context: may sleep; may load a module of the kernel.
    pub(crate) fn compressor(&self, log: &Log<'_>) -> Result<CString> {
        let name = self.comp.as_deref().unwrap_or(DEFAULT_COMPRESSOR);
        if compressor::exists(name) {
            return Ok(name.to_cstring()?);
        }
        let mut known = KVVec::new();
        for name in KNOWN_COMPRESSORS
            .iter()
            .filter(|name| compressor::exists(name))
        {
            known.push(b' ', GFP_KERNEL)?;
            known.extend_from_slice(name.to_bytes(), GFP_KERNEL)?;
        }
        Err(log.error(
            EINVAL,
            fmt!(
                "comp={}: no such compressor; there are:{}",
                name,
                BStr::from_bytes(&known)
            ),
        ))
    }

    /// How a new pool is to be.
    pub(crate) fn manner(&self) -> Manner {
        Manner {
            limit: self.limit,
            cached: self.cache.unwrap_or(true),
            encrypt: self.encrypt.unwrap_or(true),
            discard: self.discard,
        }
    }

    /// Adds the stores that were given to a new pool.
    ///
    /// Context: may sleep. Errors: [`EINVAL`] if one is to be removed; those of [`Pool::add_store`].
    pub(crate) fn add_stores(&self, pool: &Arc<Pool>, log: &Log<'_>) -> Result {
        for change in &self.stores {
            match change {
                Change::Add(path) => pool.add_store(path, log)?,
                Change::Remove(path) => {
                    return Err(log.error(
                        EINVAL,
                        fmt!("nobacking={}: there is nothing to remove it from", &**path),
                    ))
                }
            }
        }
        if !pool.is_cached() && pool.stores.is_empty() {
            return Err(log.error(
                EINVAL,
                fmt!("cache=off: the pages must go somewhere, so give backing="),
            ));
        }
        Ok(())
    }

    /// Checks that what was given is what `pool` has. [`EINVAL`] if not.
    pub(crate) fn match_pool(&self, pool: &Pool, log: &Log<'_>) -> Result {
        if let Some(limit) = self.limit {
            if limit != pool.limit() {
                return Err(log.error(
                    EINVAL,
                    fmt!(
                        "pool {} has limit={}, not {}",
                        pool.id(),
                        pool.limit(),
                        limit
                    ),
                ));
            }
        }
        for change in &self.stores {
            let (Change::Add(path) | Change::Remove(path)) = change;
            if pool.stores.has(path) != matches!(change, Change::Add(_)) {
                return Err(log.error(
                    EINVAL,
                    fmt!(
                        "pool {}: its stores are changed by remount, and {} would be one",
                        pool.id(),
                        &**path
                    ),
                ));
            }
        }
        self.match_manner(pool, log)?;
        self.match_compressor(pool, log)
    }

    /// Changes what can be changed of `pool`: its limit, and its stores. [`EINVAL`], and nothing is
    /// changed, if anything else was given that is not as it is. `name` is the pool's, if it has one.
    pub(crate) fn apply(&self, pool: &Arc<Pool>, name: Option<&CStr>, log: &Log<'_>) -> Result {
        self.match_compressor(pool, log)?;
        self.match_manner(pool, log)?;
        if self.pool().is_some() && self.pool() != name {
            return Err(log.error(EINVAL, fmt!("pool: cannot be changed by remount")));
        }
        let before = pool.limit();
        let limit = self.limit.unwrap_or(before);
        if pool.would_raise(limit) {
            // What comes back from a store may need it.
            pool.set_limit(limit);
        }
        let changed = self.stores.iter().try_for_each(|change| match change {
            Change::Add(path) => pool.add_store(path, log),
            Change::Remove(path) => pool.remove_store(path, log),
        });
        let limit = if changed.is_ok() { limit } else { before };
        if limit != pool.limit() {
            pool.set_limit(limit);
        }
        changed
    }

    /// Checks what is given to a pool once.
    fn match_manner(&self, pool: &Pool, log: &Log<'_>) -> Result {
        let differs = |given: Option<bool>, is: bool| given.is_some_and(|given| given != is);
        let option = if differs(self.cache, pool.is_cached()) {
            "cache"
        } else if differs(self.encrypt, pool.stores.encrypt()) {
            "encrypt"
        } else if self.discard && !pool.stores.discard() {
            "discard"
        } else {
            return Ok(());
        };
        Err(log.error(
            EINVAL,
            fmt!(
                "{option}: can be given to a new pool only, and pool {} is there",
                pool.id()
            ),
        ))
    }

    fn match_compressor(&self, pool: &Pool, log: &Log<'_>) -> Result {
        match self.comp.as_deref() {
            Some(comp) if comp != pool.compressor() => Err(log.error(
                EINVAL,
                fmt!(
                    "pool {} has comp={}, not {}",
                    pool.id(),
                    pool.compressor(),
                    comp
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// What an option says that is `on` or `off`.
fn on_or_off(name: &CStr, value: &CStr, log: &Log<'_>) -> Result<bool> {
    match value.to_bytes() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(log.error(EINVAL, fmt!("{}={}: neither on nor off", name, value))),
    }
}

/// Prints the options in effect, as in `/proc/mounts`.
pub(crate) fn show(pool: &Pool, name: Option<&CStr>, out: &SeqFile) {
    seq_print!(out, ",comp={},limit={}", pool.compressor(), pool.limit());
    if let Some(name) = name {
        seq_print!(out, ",pool={}", name);
    }
    if !pool.is_cached() {
        seq_print!(out, ",cache=off");
    }
    if pool.stores.discard() {
        seq_print!(out, ",discard");
    }
    if !pool.stores.encrypt() {
        seq_print!(out, ",encrypt=off");
    }
    pool.stores.for_each(|store| {
        seq_print!(out, ",backing=");
        fs_context::show_text(out, store.path());
    });
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Bytes(bytes) => f.write_fmt(fmt!("{bytes}")),
            Limit::Percent(percent) => f.write_fmt(fmt!("{percent}%")),
        }
    }
}
