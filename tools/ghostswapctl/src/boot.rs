// SPDX-License-Identifier: GPL-2.0

//! What is there after the next boot: the lines of fstab that setup made follow the stores of their pool.
//! Lines that it did not make stay as they are.

use crate::{
    failure::Result,
    fstab::{
        as_it_was,
        backing,
        can_name,
        Fstab,
        Line, //
    },
    mounts::escape,
    pools::Pool,
    programs::reload_systemd,
    root::Root,
    words::say, //
};
use std::io;

/// Makes `store`, which is a backing store of `pool` now, one at each boot. Says how.
pub fn add_store(root: &Root, pool: &Pool, store: &str) -> Result {
    let option = escape(&backing(store));
    let failed = |error| {
        as_it_was(&error, &format!(", and the store is there until the next boot. For each boot, add {option} to the options of {} by hand.", pool.name()))
    };
    let fstab = Fstab::read(root).map_err(failed)?;
    let lines = lines_of(&fstab, pool);
    // A pool is made by the first of its mounts, and the others find the store there.
    let mut with = lines.iter().filter_map(|line| {
        let changed = fstab.with_store(root, &line.target, store)?;
        Some((&line.target, changed))
    });
    if lines.iter().any(|line| line.has_store(root, store)) {
        say!("/etc/fstab names it for each boot already.");
    } else if !can_name(store) {
        say!("It is gone after the next boot, for /etc/fstab cannot name a path with a comma or quotes.");
    } else if let Some((path, changed)) = with.next() {
        replace(root, &fstab, &changed).map_err(failed)?;
        say!("For each boot, the line of {path} in /etc/fstab has {option} now.");
    } else if let Some(line) = lines.first() {
        say!(
            "For each boot, add {option} to the options of {} in /etc/fstab, a line that setup did not make.",
            line.target
        );
    } else {
        say!(
            "It is gone after the next boot, as is {}: /etc/fstab has no line of that.",
            pool.name()
        );
    }
    Ok(())
}

/// Returns whether `store` is made a backing store of `pool` at each boot.
pub fn has_store(root: &Root, pool: &Pool, store: &str) -> bool {
    let has =
        |fstab: Fstab| (lines_of(&fstab, pool).iter()).any(|line| line.has_store(root, store));
    Fstab::read(root).is_ok_and(has)
}

/// Takes `store`, which `pool` had as a backing store, out of what is there at each boot. Says how.
pub fn remove_store(root: &Root, pool: &Pool, store: &str) -> Result {
    let option = escape(&backing(store));
    let failed = |error| {
        as_it_was(&error, &format!(". If the line of {} there has {option}, take it out by hand, or the store comes back.", pool.name()))
    };
    let fstab = Fstab::read(root).map_err(failed)?;
    let mut left = fstab.clone();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for line in lines_of(&fstab, pool) {
        if line.has_store(root, store) {
            match left.without_store(root, &line.target, store) {
                Some(without) => {
                    left = without;
                    own.push(line.target);
                }
                None => others.push(line.target),
            }
        }
    }
    if !own.is_empty() {
        replace(root, &fstab, &left).map_err(failed)?;
    }
    for path in own {
        say!("The line of {path} in /etc/fstab does not have it any more.");
    }
    for path in others {
        say!(
            "Take {option} out of the options of {path} in /etc/fstab, a line that setup did not make, \
             or it comes back."
        );
    }
    Ok(())
}

/// The lines that mount ghost files of `pool`.
fn lines_of(fstab: &Fstab, pool: &Pool) -> Vec<Line> {
    let is_of_pool = |line: &Line| pool.mounts.iter().any(|mount| line.mounts(&mount.path));
    fstab.lines().filter(is_of_pool).collect()
}

fn replace(root: &Root, before: &Fstab, after: &Fstab) -> io::Result<()> {
    after.replace(before, root)?;
    reload_systemd(root);
    Ok(())
}
