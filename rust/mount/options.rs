// SPDX-License-Identifier: GPL-2.0

//! Mount options: `comp=`, `recomp=`, `limit=`, `pool=`, `cache=`, `batch=`, `backing=`, `nobacking=`,
//! `encrypt=`, `discard`, `write_limit=`.

use crate::{
    backing::{
        store::LEAST_WRITE_LIMIT,
        stores::Encryption, //
    },
    contents::PoolConfig,
    core::{
        limit::{
            self,
            Limit, //
        },
        pool_name,
        segment::MAX_STORES, //
    },
    kernel_ext::{
        crypto::compressor::{
            self,
            NameError, //
        },
        fs::fs_context::{
            self,
            FsLog, //
        },
    },
    pool::Pool,
};
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::{
        BStr,
        CString, //
    },
    sync::Arc,
};

/// What is to be done with a backing store.
enum StoreChange {
    Add(CString),
    Remove(CString),
}

/// The most that can be meant at once: mount(8) gives those again that are there, and then all of them
/// are replaced.
const MAX_CHANGES: usize = 3 * MAX_STORES;

/// The compressor where none is named.
const DEFAULT_COMPRESSOR: &CStr = c"wlz";

/// What there is instead of a second compressor where none is wanted, which is the default.
pub(super) const NO_SECOND: &CStr = c"off";

/// The option that names a second one.
const SECOND: &str = "recomp";

/// Our own compressor, and those of the kernel, as of `crypto/Kconfig`, to name those that are there.
const KNOWN_COMPRESSORS: &[&CStr] = &[
    c"wlz",
    c"wlz:dense",
    c"lz4",
    c"lz4hc",
    c"zstd",
    c"zstd:bundles",
    c"lzo",
    c"lzo-rle",
    c"deflate",
    c"842",
];

/// What was given; [`None`] is what was not.
#[derive(Default)]
pub(crate) struct Options {
    comp: Option<CString>,
    recomp: Option<CString>,
    limit: Option<Limit>,
    pool: Option<CString>,
    cache: Option<bool>,
    batch: Option<bool>,
    encrypt: Option<Encryption>,
    discard: bool,
    /// [`None`] within is none at all.
    write_limit: Option<Option<u64>>,
    /// In the order given.
    stores: KVec<StoreChange>,
}

impl Options {
    /// Takes the option `key`, if there is one of this name; returns whether there is.
    pub(crate) fn parse(&mut self, key: &CStr, value: &CStr, log: &FsLog<'_>) -> Result<bool> {
        let text = || {
            if value.is_empty() {
                Err(log.invalid(fmt!("option '{}' needs a value", key)))
            } else {
                Ok(value)
            }
        };
        match key.to_bytes() {
            b"comp" => self.comp = Some(text()?.to_cstring()?),
            b"recomp" => self.recomp = Some(text()?.to_cstring()?),
            b"limit" => {
                let limit = Limit::parse(text()?.to_bytes())
                    .map_err(|error| log.invalid(fmt!("limit={}: {error}", value)))?;
                self.limit = Some(limit);
            }
            b"pool" => {
                pool_name::check(text()?.to_bytes())
                    .map_err(|error| log.invalid(fmt!("pool: the name {error}")))?;
                self.pool = Some(value.to_cstring()?);
            }
            b"cache" => self.cache = Some(on_or_off(key, text()?, log)?),
            b"batch" => self.batch = Some(on_or_off(key, text()?, log)?),
            b"encrypt" => {
                let encryption = Encryption::parse(text()?).ok_or_else(|| {
                    log.invalid(fmt!(
                        "encrypt={}: neither on, off, aes-gcm nor chacha20-poly1305",
                        value
                    ))
                })?;
                self.encrypt = Some(encryption);
            }
            b"backing" => self.change(StoreChange::Add(text()?.to_cstring()?), log)?,
            b"nobacking" => self.change(StoreChange::Remove(text()?.to_cstring()?), log)?,
            b"write_limit" => {
                let limit = write_limit(text()?.to_bytes());
                self.write_limit = Some(limit.ok_or_else(|| {
                    log.invalid(fmt!(
                        "write_limit={}: neither off nor a number of bytes (K, M, G, T), at least {}M",
                        value,
                        LEAST_WRITE_LIMIT >> 20
                    ))
                })?);
            }
            b"discard" if value.is_empty() => self.discard = true,
            b"discard" => return Err(log.invalid(fmt!("option '{}' has no value", key))),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a change of the stores. There is a bound, for any user may get here, with a context that is
    /// never mounted.
    fn change(&mut self, change: StoreChange, log: &FsLog<'_>) -> Result {
        if self.stores.len() >= MAX_CHANGES {
            return Err(log.invalid(fmt!("backing: more than {MAX_CHANGES} are given")));
        }
        Ok(self.stores.push(change, GFP_KERNEL)?)
    }

    /// The pool that is asked for by name.
    pub(crate) fn pool(&self) -> Option<&CStr> {
        self.pool.as_deref()
    }

    /// How a new pool is to be. [`EINVAL`] if the kernel has no such compressor.
    ///
    /// Context: may sleep; may load a module of the kernel.
    pub(crate) fn config(&self, log: &FsLog<'_>) -> Result<PoolConfig> {
        Ok(PoolConfig {
            compressor: self.compressor(log)?,
            second: self.second(log)?,
            limit: self.limit,
            cached: self.cache.unwrap_or(true),
            batched: self.batch.unwrap_or(false),
            encrypt: self.encrypt.unwrap_or(Encryption::Fastest),
            discard: self.discard,
        })
    }

    fn compressor(&self, log: &FsLog<'_>) -> Result<CString> {
        let name = self.comp.as_deref().unwrap_or(DEFAULT_COMPRESSOR);
        if compressor::makes_bundles(name) {
            return Err(log.invalid(fmt!(
                "comp={name}: pages become bundles only later, so give recomp={name}"
            )));
        }
        known("comp", name, log)
    }

    /// The second compressor, if one is wanted.
    fn second(&self, log: &FsLog<'_>) -> Result<Option<CString>> {
        (self.recomp.as_deref())
            .filter(|name| *name != NO_SECOND)
            .map(|name| known(SECOND, name, log))
            .transpose()
    }

    /// Adds the stores that were given to a new pool, and sets what may be written to them.
    ///
    /// Context: may sleep. Errors: [`EINVAL`] if one is to be removed; those of [`Pool::add_store`].
    pub(crate) fn add_stores(&self, pool: &Pool, log: &FsLog<'_>) -> Result {
        pool.contents
            .stores
            .set_write_limit(self.write_limit.flatten());
        for change in &self.stores {
            match change {
                StoreChange::Add(path) => pool.add_store(path, log)?,
                StoreChange::Remove(path) => {
                    return Err(log.invalid(fmt!(
                        "nobacking={}: there is nothing to remove it from",
                        &**path
                    )))
                }
            }
        }
        if !pool.contents.limit.cached && pool.contents.stores.is_empty() {
            return Err(log.invalid(fmt!(
                "cache=off: the pages must go somewhere, so give backing="
            )));
        }
        Ok(())
    }

    /// Checks that what was given is what `pool` has. [`EINVAL`] if not.
    pub(crate) fn match_pool(&self, pool: &Pool, log: &FsLog<'_>) -> Result {
        let has = pool.contents.limit.in_effect();
        if let Some(limit) = self.limit.filter(|limit| *limit != has) {
            return Err(log.invalid(fmt!("pool {} has limit={has}, not {limit}", pool.id())));
        }
        let has = pool.contents.stores.write_limit();
        if self.write_limit.is_some_and(|given| given != has) {
            return Err(log.invalid(fmt!(
                "write_limit: pool {} has another, which is changed by remount",
                pool.id()
            )));
        }
        for change in &self.stores {
            let (StoreChange::Add(path) | StoreChange::Remove(path)) = change;
            if pool.contents.stores.has(path) != matches!(change, StoreChange::Add(_)) {
                return Err(log.invalid(fmt!(
                    "pool {}: its stores are changed by remount, and {} would be one",
                    pool.id(),
                    &**path
                )));
            }
        }
        self.match_config(pool, log)
    }

    /// Changes what can be changed of `pool`: its limit, its stores, and what may be written to them. To remove
    /// a store is only begun. [`EINVAL`], and nothing is changed, if anything else was given that is not as it
    /// is. `name` is the pool's, if it has one.
    pub(crate) fn apply(&self, pool: &Arc<Pool>, name: Option<&CStr>, log: &FsLog<'_>) -> Result {
        self.match_config(pool, log)?;
        if self.pool().is_some() && self.pool() != name {
            return Err(log.invalid(fmt!("pool: cannot be changed by remount")));
        }
        let before = pool.contents.limit.given();
        // mount(8) may give again what is shown, which is not given by anybody then.
        let shown = pool.contents.limit.in_effect();
        let given = self
            .limit
            .filter(|limit| before.is_some() || *limit != shown);
        let limit = given.or(before);
        if limit.is_some_and(|limit| pool.contents.limit.would_rise(limit)) {
            // What comes back from a store may need it.
            pool.contents.set_limit(limit);
        }
        let changed = self.stores.iter().try_for_each(|change| match change {
            StoreChange::Add(path) => pool.add_store(path, log),
            StoreChange::Remove(path) => pool.begin_removal(path, log),
        });
        // mount(8) may give again what is shown; another may have been set for one store meanwhile.
        let write_limit = (self.write_limit)
            .filter(|given| changed.is_ok() && *given != pool.contents.stores.write_limit());
        if let Some(given) = write_limit {
            pool.contents.stores.set_write_limit(given);
        }
        let limit = if changed.is_ok() { limit } else { before };
        if limit != pool.contents.limit.given() {
            pool.contents.set_limit(limit);
        }
        changed
    }

    /// Checks what is given to a pool once.
    fn match_config(&self, pool: &Pool, log: &FsLog<'_>) -> Result {
        for (option, given, has) in [
            ("comp", &self.comp, pool.compressor()),
            ("recomp", &self.recomp, pool.second().unwrap_or(NO_SECOND)),
        ] {
            if let Some(given) = given.as_deref().filter(|given| *given != has) {
                return Err(log.invalid(fmt!("pool {} has {option}={has}, not {given}", pool.id())));
            }
        }
        let encrypt = pool.contents.stores.encrypt;
        let differs = |given: Option<bool>, is: bool| given.is_some_and(|given| given != is);
        let option = if differs(self.cache, pool.contents.limit.cached) {
            "cache"
        } else if differs(self.batch, pool.batched) {
            "batch"
        } else if self.encrypt.is_some_and(|given| given != encrypt) {
            "encrypt"
        } else if self.discard && !pool.contents.stores.discard {
            "discard"
        } else {
            return Ok(());
        };
        Err(log.invalid(fmt!(
            "{option}: can be given to a new pool only, and pool {} is there",
            pool.id()
        )))
    }
}

/// The compressor called `name`, which `option` gives. [`EINVAL`] if the kernel has none of that name, or not
/// at that level.
///
/// Context: may sleep; may load a module of the kernel.
fn known(option: &str, name: &CStr, log: &FsLog<'_>) -> Result<CString> {
    match compressor::check(name) {
        Ok(()) => return Ok(name.to_cstring()?),
        Err(NameError::Unknown) => (),
        Err(error) => return Err(log.invalid(fmt!("{option}={}: {error}", name))),
    }
    let mut known = KVVec::new();
    for name in KNOWN_COMPRESSORS
        .iter()
        .filter(|name| compressor::check(name).is_ok())
        .filter(|name| option == SECOND || !compressor::makes_bundles(name))
    {
        known.push(b' ', GFP_KERNEL)?;
        known.extend_from_slice(name.to_bytes(), GFP_KERNEL)?;
    }
    Err(log.invalid(fmt!(
        "{option}={}: {}; there are:{}",
        name,
        NameError::Unknown,
        BStr::from_bytes(&known)
    )))
}

/// The limit of what is written to a store in a day that `text` is: [`None`] within is none.
pub(super) fn write_limit(text: &[u8]) -> Option<Option<u64>> {
    match text {
        b"off" => Some(None),
        bytes => limit::bytes(bytes)
            .ok()
            .filter(|bytes| *bytes >= LEAST_WRITE_LIMIT)
            .map(Some),
    }
}

/// What an option says that is `on` or `off`.
fn on_or_off(name: &CStr, value: &CStr, log: &FsLog<'_>) -> Result<bool> {
    match value.to_bytes() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(log.invalid(fmt!("{}={}: neither on nor off", name, value))),
    }
}

/// Prints the options in effect, as in `/proc/mounts`.
pub(crate) fn show(pool: &Pool, name: Option<&CStr>, out: &SeqFile) {
    seq_print!(out, ",comp={}", pool.compressor());
    if let Some(second) = pool.second() {
        seq_print!(out, ",recomp={}", second);
    }
    seq_print!(out, ",limit={}", pool.contents.limit.in_effect());
    if let Some(name) = name {
        seq_print!(out, ",pool={}", name);
    }
    if !pool.contents.limit.cached {
        seq_print!(out, ",cache=off");
    }
    if pool.batched {
        seq_print!(out, ",batch=on");
    }
    if pool.contents.stores.discard {
        seq_print!(out, ",discard");
    }
    if let Some(bytes) = pool.contents.stores.write_limit() {
        seq_print!(out, ",write_limit={bytes}");
    }
    let encrypt = pool.contents.stores.encrypt;
    if encrypt != Encryption::Fastest {
        seq_print!(out, ",encrypt={}", encrypt.text());
    }
    pool.contents.stores.for_each(|store| {
        // What is given to another mount, or again, is what is wanted.
        if store.is_wanted() {
            seq_print!(out, ",backing=");
            fs_context::show_text(out, store.path());
        }
    });
}
