// SPDX-License-Identifier: GPL-2.0

//! Orders to a pool: stores are added and removed, and pages written to them.

use crate::{
    failure::{
        plain,
        Failure,
        Result,
        BE_ROOT, //
    },
    kernel_log::{
        self,
        KernelLog, //
    },
    pools::{
        Pool,
        PAGE, //
    },
    programs::quote,
    root::Root,
    words::{
        counted,
        say,
        size,
        tell, //
    },
};
use rustix::io::Errno;
use std::{
    fs::OpenOptions,
    io::{
        self,
        IsTerminal,
        Write, //
    },
    path::{
        self,
        Path, //
    },
    sync::mpsc,
    thread,
    time::Duration,
};

/// How many pages are to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// All.
    All,
    /// So many.
    Pages(u64),
}

impl Amount {
    /// Reads `all`, a number of pages, or a size of pages with a suffix K, M, G or T.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let wrong = || "all, a number of pages, or a size such as 512M".to_owned();
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Pages).map_err(|_| wrong());
        }
        let bytes = crate::words::parse_size(text).map_err(|_| wrong())?;
        Ok(Self::Pages(bytes.div_ceil(PAGE)))
    }
}

/// Makes the swapfile or partition `store` a backing store of `pool`. Returns its path.
pub fn add_store(root: &Root, pool: &Pool, store: &str) -> Result<String> {
    let store = absolute(store)?;
    if !root.has(&store) {
        return Err(Failure::new(
            format!("{store}: there is no such file or device"),
            format!("Make one of 8 GiB, say: {}", how_to_make(&store)),
        ));
    }
    give(root, pool, "add_backing", &store)?;
    say!("{store} is a backing store of pool {} now.", pool.id);
    Ok(store)
}

/// How a swapfile is made that can be a store.
pub fn how_to_make(store: &str) -> String {
    let store = quote(store);
    format!("fallocate -l 8G {store} && chmod 600 {store} && mkswap {store}")
}

/// Moves all that is in `store` elsewhere, and gives it back. Shows how far that is. Returns the path
/// by which `pool` knew it.
pub fn remove_store(root: &Root, pool: &Pool, store: &str) -> Result<String> {
    let store = store_of(pool, store)?;
    let used = |pool: &Pool| {
        let stores = pool.backing.iter().find(|other| other.path == store);
        stores.map_or(0, |store| store.numbers.used_bytes)
    };
    let before = used(pool);
    give_and_show(root, pool, "remove_backing", &store, |pool| {
        let left = used(pool);
        let done = before.saturating_sub(left) as f64 / before.max(1) as f64;
        format!("{:3.0}% moved, {} left", done * 100.0, size(left))
    })?;
    say!("{store} is free: it can be used for something else.");
    Ok(store)
}

/// Writes pages of `pool` to its stores, and says how many.
pub fn write_back(root: &Root, pool: &Pool, amount: Amount) -> Result {
    let text = match amount {
        Amount::All => "all".to_owned(),
        Amount::Pages(pages) => pages.to_string(),
    };
    write_pages(root, pool, "writeback", &text)
}

/// Writes the pages of `pool` that were stored so many seconds ago, and says how many.
pub fn age(root: &Root, pool: &Pool, seconds: u64) -> Result {
    write_pages(root, pool, "age", &seconds.to_string())
}

/// Has the second compressor make the pages of `pool` smaller that are in RAM and were stored so many seconds
/// ago, and says how many.
pub fn recompress(root: &Root, pool: &Pool, seconds: u64) -> Result {
    if pool.second().is_none() {
        return Err(Failure::new(
            format!("pool {} has no second compressor", pool.name()),
            "Mount its ghost file with recomp=zstd, say, or set it up with --recomp zstd.",
        ));
    }
    let made = |now: &Pool| {
        let pages = now.numbers.recompressed_pages;
        counted(
            pages.saturating_sub(pool.numbers.recompressed_pages),
            "page",
        )
    };
    give_and_show(root, pool, "recompress", &seconds.to_string(), |now| {
        format!("{} made smaller", made(now))
    })?;
    // What was made smaller on its way to a store meanwhile is among it.
    if let Some(now) = pool.again(root)? {
        say!("{} made smaller by {}.", made(&now), now.recomp);
    }
    Ok(())
}

fn write_pages(root: &Root, pool: &Pool, order: &str, text: &str) -> Result {
    let written = |now: &Pool| {
        (
            now.numbers
                .written_pages
                .saturating_sub(pool.numbers.written_pages),
            now.derived
                .written_bytes
                .saturating_sub(pool.derived.written_bytes),
        )
    };
    give_and_show(root, pool, order, text, |now| {
        format!("{} written", counted(written(now).0, "page"))
    })?;
    // What others had written meanwhile is among it.
    if let Some(now) = pool.again(root)? {
        let (pages, bytes) = written(&now);
        say!("{} written, as {}.", counted(pages, "page"), size(bytes));
    }
    Ok(())
}

/// The path of `store`, if `pool` does not have it.
pub fn absent(pool: &Pool, store: &str) -> Result<Option<String>> {
    let absolute = absolute(store)?;
    Ok(known(pool, store, &absolute).is_none().then_some(absolute))
}

/// The path by which `pool` knows `store`.
fn store_of(pool: &Pool, store: &str) -> Result<String> {
    if let Some(path) = known(pool, store, &absolute(store)?) {
        return Ok(path.to_owned());
    }
    let paths: Vec<_> = (pool.backing.iter())
        .map(|store| store.path.as_str())
        .collect();
    Err(if paths.is_empty() {
        Failure::new(
            format!("pool {} has no backing store", pool.id),
            "There is nothing to remove.",
        )
    } else {
        Failure::new(
            format!("pool {} has no backing store {store}", pool.id),
            format!("Name one of these: {}.", paths.join(", ")),
        )
    })
}

/// The path by which `pool` knows `store`, whose path from `/` is `absolute`, if it has that.
fn known<'a>(pool: &'a Pool, store: &str, absolute: &str) -> Option<&'a str> {
    let real = std::fs::canonicalize(store).ok();
    let is_meant = |path: &&str| {
        *path == store
            || *path == absolute
            || real.as_deref().is_some_and(|real| real == Path::new(path))
    };
    (pool.backing.iter())
        .map(|store| store.path.as_str())
        .find(is_meant)
}

/// The kernel takes a path from its own directory, not from ours.
fn absolute(path: &str) -> Result<String> {
    let absolute = path::absolute(path).map_err(|error| {
        Failure::new(
            format!("{path}: {error}"),
            "Give a path that begins with /.",
        )
    })?;
    Ok(absolute.to_string_lossy().into_owned())
}

/// Writes `text` to the file of the `order`, and returns when it is done.
fn give(root: &Root, pool: &Pool, order: &str, text: &str) -> Result {
    let log = KernelLog::from_now(root);
    let file = root.path(pool.file(order));
    let write = || {
        let mut file = OpenOptions::new().write(true).open(file)?;
        // As the kernel wants it: in one piece.
        file.write_all(text.as_bytes())
    };
    write().map_err(|error| {
        let reason = log.reason();
        let reason = reason.as_deref().map(|reason| {
            let own = format!("{order}: ");
            reason.strip_prefix(&own).unwrap_or(reason).to_owned()
        });
        let what = reason
            .clone()
            .unwrap_or_else(|| format!("{order} {text}: {}", plain(&error)));
        Failure::new(
            what,
            remedy(&error, reason.as_deref().unwrap_or_default(), order, text),
        )
    })
}

/// The same, and shows meanwhile what `progress` says of the pool.
fn give_and_show(
    root: &Root,
    pool: &Pool,
    order: &str,
    text: &str,
    progress: impl Fn(&Pool) -> String,
) -> Result {
    let is_terminal = io::stderr().is_terminal();
    let each = Duration::from_millis(if is_terminal { 200 } else { 5000 });
    let mut has_shown = false;
    let result = thread::scope(|scope| {
        let (done, is_done) = mpsc::channel();
        scope.spawn(move || done.send(give(root, pool, order, text)));
        loop {
            match is_done.recv_timeout(each) {
                Ok(result) => return result,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(
                        "the order has no end",
                        "Report this as a bug.",
                    ))
                }
                Err(mpsc::RecvTimeoutError::Timeout) => (),
            }
            let Ok(Some(now)) = pool.again(root) else {
                continue;
            };
            if is_terminal {
                tell!("\r  {}\x1b[K", progress(&now));
                has_shown = true;
            } else {
                tell!("  {}\n", progress(&now));
            }
        }
    });
    if has_shown {
        tell!("\r\x1b[K");
    }
    result
}

/// What to do if an order fails with `error`, and the module gives that `reason`.
fn remedy(error: &io::Error, reason: &str, order: &str, text: &str) -> String {
    if let Some(remedy) = kernel_log::remedy(reason) {
        return remedy.to_owned();
    }
    match Errno::from_io_error(error) {
        Some(Errno::PERM | Errno::ACCESS) => BE_ROOT.to_owned(),
        Some(Errno::NXIO) => {
            "The pool has no store to write to: add one with \"ghostswapctl add-store\".".to_owned()
        }
        Some(Errno::NOSPC) if order == "remove_backing" => format!(
            "Nothing is lost, and it stays. Make room: add another store, raise the limit \
             (mount -o remount,limit=...), or end what is swapped out. Then remove {text} again."
        ),
        Some(Errno::NOSPC) => {
            "The stores are full: add one with \"ghostswapctl add-store\".".to_owned()
        }
        Some(Errno::INTR) => "A signal ended it; order it again to go on.".to_owned(),
        Some(Errno::CANCELED) => "It was added again meanwhile, and so it stays.".to_owned(),
        Some(Errno::NOENT) => {
            "The pool is gone, or has no such store; see \"ghostswapctl status\".".to_owned()
        }
        Some(Errno::IO) => {
            "The disk cannot be read or written; see the kernel's log (dmesg).".to_owned()
        }
        _ => "See the kernel's log (dmesg), and \"What to do when\" in the admin guide.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_pages_or_sizes() {
        assert_eq!(Amount::parse("all"), Ok(Amount::All));
        assert_eq!(Amount::parse("512"), Ok(Amount::Pages(512)));
        assert_eq!(Amount::parse("1M"), Ok(Amount::Pages(256)));
        assert_eq!(Amount::parse("0"), Ok(Amount::Pages(0)));
        for wrong in ["", "half", "-1", "50%"] {
            assert!(Amount::parse(wrong).is_err(), "{wrong}");
        }
    }
}
