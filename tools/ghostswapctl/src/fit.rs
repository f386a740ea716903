// SPDX-License-Identifier: GPL-2.0

//! `ghostswapctl fit`: has the areas of a pool follow what it can hold.
//!
//! Further ghost files beside the one that setup made are swapped on, or off again if nothing is in them.
//! They are known by their label and their path. None is in fstab: after a boot they are made anew.

use crate::{
    area::{
        how_to_remove,
        not_removed,
        take_off,
        turn_off,
        NewArea,
        REMOVE_BY_HAND, //
    },
    failure::{
        plain,
        Failure,
        Result,
        BE_ROOT, //
    },
    fstab::Fstab,
    ghost_file,
    mounts::{
        self,
        Mount,
        Swap, //
    },
    pools::{
        self,
        Pool,
        PAGE, //
    },
    programs::shell,
    root::Root,
    words::{
        print,
        say,
        size, //
    },
};
use ghostswap_core::fit::Misfit;
use rustix::fs::{
    flock,
    FlockOperation, //
};
use std::{
    fs::{
        self,
        File, //
    },
    io, //
};

/// What is done. It is part of `--help`.
pub const RULE: &str = "\
What can be held is what is in use, and what is left of the limit and of two
thirds of the stores, divided by what a page took so far; df shows it. If the
areas have slots for less than seven eighths of that, a ghost file with what is
missing is swapped on: beside /swap.ghost that is /swap.ghost.1, and so on up to
/swap.ghost.12, each with a priority that is one less, so that the last are filled
last. If they have slots for more than nine eighths, those of these files that are
empty are swapped off, the last one first. A file with a page in it stays.
The udev rule 60-ghostswap.rules runs this whenever it has something to do.";

/// Ghost files that are added to one, at most. The kernel takes 24 areas or more in all.
pub const FILES: u32 = 12;

/// Where udev looks for rules.
const RULES: [&str; 5] = [
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
];

/// Returns whether udev runs fit.
pub fn is_automatic(root: &Root) -> bool {
    RULES
        .iter()
        .any(|directory| root.has(format!("{directory}/60-ghostswap.rules")))
}

/// The path of the ghost file that fit adds to `file` as the one with this number.
fn added_path(file: &str, number: u32) -> String {
    format!("{file}.{number}")
}

/// A ghost file that fit added.
pub struct Added {
    number: u32,
    pub path: String,
    /// Where it is mounted, if it is.
    pub mount: Option<Mount>,
}

/// The ghost files that fit added to `file`, the last one first. One that setup made by itself is in fstab.
pub fn added(root: &Root, fstab: &Fstab, file: &str) -> Vec<Added> {
    let mounts = mounts::ghost_files(root);
    let marked = fstab.marked();
    let numbers = (1..=FILES).rev();
    numbers
        .map(|number| (number, added_path(file, number)))
        .filter(|(_, path)| !marked.contains(path))
        .filter(|(_, path)| ghost_file::is_own(&root.path(path)).unwrap_or(false))
        .map(|(number, path)| Added {
            number,
            mount: mounts.iter().find(|mount| mount.path == path).cloned(),
            path,
        })
        .collect()
}

/// Returns whether a mounted ghost file is one that fit added to another one of these.
pub fn is_added(root: &Root, fstab: &Fstab, mounts: &[Mount], path: &str) -> bool {
    mounts.iter().any(|other| {
        path.starts_with(&other.path)
            && added(root, fstab, &other.path)
                .iter()
                .any(|added| added.path == path)
    })
}

/// The lock of a pool: of several that change its areas, one does at a time. It goes with the file.
pub fn lock(root: &Root, pool: &Pool) -> Result<File> {
    let locked = || {
        let directory = File::open(root.path(pool.file("")))?;
        flock(&directory, FlockOperation::LockExclusive)?;
        Ok(directory)
    };
    locked().map_err(|error: io::Error| {
        Failure::new(
            format!("{} cannot be locked: {}", pool.file(""), plain(&error)),
            BE_ROOT,
        )
    })
}

/// An area, in bytes.
struct Area {
    /// Its number, if fit added it.
    number: Option<u32>,
    size: u64,
    used: u64,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The ghost file with this number goes.
    Off(u32),
    /// One with this number comes, with an area of so many bytes.
    On(u32, u64),
}

/// What has `areas` fit, where `capacity` bytes of pages can be held.
fn plan(areas: &[Area], capacity: u64) -> Vec<Step> {
    let mut promised = areas.iter().map(|area| area.size).sum();
    let misfit = |promised: u64| Misfit::of(promised / PAGE, capacity / PAGE);
    let mut taken: Vec<_> = areas.iter().filter_map(|area| area.number).collect();
    let mut empty: Vec<_> = areas
        .iter()
        .filter(|area| area.used == 0)
        .filter_map(|area| Some((area.number?, area.size)))
        .collect();
    // The last one, which is filled last, is at the end.
    empty.sort_unstable();
    let mut steps = Vec::new();
    while misfit(promised) == Some(Misfit::Long)
        // All numbers are taken: those that are empty make room for one that has what all have.
        || (misfit(promised) == Some(Misfit::Short) && taken.len() >= FILES as usize)
    {
        let Some((number, size)) = empty.pop() else {
            break;
        };
        taken.retain(|other| *other != number);
        promised -= size;
        steps.push(Step::Off(number));
    }
    if misfit(promised) == Some(Misfit::Short) {
        let missing = capacity.saturating_sub(promised).min(ghost_file::MAX_BYTES);
        let free = (1..=FILES).find(|number| !taken.contains(number));
        // A MiB is the least, and the header takes a page.
        if let Some(number) = free.filter(|_| missing >> 20 > 0) {
            steps.push(Step::On(number, missing >> 20 << 20));
        }
    }
    steps
}

/// A pool whose areas fit is to change.
struct Fitting<'a> {
    pool: &'a Pool,
    /// The ghost file that setup made, which is swapped on.
    first: &'a Mount,
    first_swap: &'a Swap,
    added: Vec<Added>,
}

impl<'a> Fitting<'a> {
    /// [`None`] if setup made none of its ghost files, or that is not swapped on.
    fn new(root: &Root, fstab: &Fstab, pool: &'a Pool) -> Option<Self> {
        let is_first = |mount: &&Mount| {
            ghost_file::is_own(&root.path(&mount.path)).unwrap_or(false)
                && !is_added(root, fstab, &pool.mounts, &mount.path)
        };
        let first = pool.mounts.iter().find(is_first)?;
        Some(Self {
            pool,
            first,
            first_swap: first.swap.as_ref()?,
            added: added(root, fstab, &first.path),
        })
    }

    fn plan(&self) -> Vec<Step> {
        let number = |path: &str| {
            let added = self.added.iter().find(|added| added.path == path);
            added.map(|added| added.number)
        };
        let areas = self.pool.mounts.iter().filter_map(|mount| {
            let swap = mount.swap.as_ref()?;
            Some(Area {
                number: number(&mount.path),
                size: swap.size_bytes,
                used: swap.used_bytes,
            })
        });
        plan(&areas.collect::<Vec<_>>(), self.pool.numbers.capacity_bytes)
    }

    /// Bytes of the pages that its areas have slots for.
    fn promised(&self) -> u64 {
        let swaps = self
            .pool
            .mounts
            .iter()
            .filter_map(|mount| mount.swap.as_ref());
        swaps.map(|swap| swap.size_bytes).sum()
    }

    /// The ghost file with this number, with an area of so many bytes.
    fn area(&self, root: &Root, number: u32, bytes: u64) -> NewArea {
        let is_ours = |swap: &Swap| self.pool.mounts.iter().any(|mount| mount.path == swap.path);
        let swaps = mounts::swaps(root);
        NewArea {
            file: added_path(&self.first.path, number),
            bytes,
            options: vec![format!("pool={}", self.pool.id)],
            priority: priority(
                self.first_swap.priority,
                number,
                swaps.iter().filter(|swap| !is_ours(swap)),
            ),
        }
    }

    fn execute(&self, root: &Root, step: &Step) -> Result {
        match *step {
            Step::Off(number) => {
                let gone = self.added.iter().find(|added| added.number == number);
                gone.map_or(Ok(()), |added| remove_empty(root, added))
            }
            Step::On(number, bytes) => {
                let area = self.area(root, number, bytes);
                remove_left(root, &area.file)?;
                area.turn_on(root, || Ok(()))?;
                say!(
                    "swapped on  {}, {}, priority {}",
                    area.file,
                    size(area.bytes),
                    area.priority
                );
                Ok(())
            }
        }
    }
}

/// One less for each number, but more than any other area has that comes after the first.
fn priority<'a>(first: i32, number: u32, others: impl Iterator<Item = &'a Swap>) -> i32 {
    let below = others
        .map(|swap| swap.priority)
        .filter(|priority| *priority < first)
        .max()
        .unwrap_or(-1)
        .max(-1);
    (first - number as i32).max(below + 1)
}

/// Takes a ghost file off and removes it, if nothing is in it.
fn remove_empty(root: &Root, added: &Added) -> Result {
    let path = &added.path;
    // What came into it since it was looked at would have to move.
    let mount = mounts::ghost_files(root)
        .into_iter()
        .find(|mount| mount.path == *path);
    let Some(mount) = mount else {
        return Ok(());
    };
    if mount.swap.as_ref().is_some_and(|swap| swap.used_bytes > 0) {
        say!("in use      {path}, so it stays");
        return Ok(());
    }
    take_off(root, &mount)?;
    ghost_file::remove(&root.path(path))
        .map_err(|error| not_removed(path, &error, REMOVE_BY_HAND))?;
    say!("swapped off {path}, which was empty");
    Ok(())
}

/// Removes the ghost file that is left at `path`, if there is one: of a time before the last boot, or of a
/// fit that did not come to its end.
fn remove_left(root: &Root, path: &str) -> Result {
    let mounts = mounts::ghost_files(root);
    if let Some(mount) = mounts.iter().find(|mount| mount.path == path) {
        // It did not come to be swapped on.
        take_off(root, mount)?;
    }
    let removed = match ghost_file::remove(&root.path(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other,
    };
    match removed {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(
            format!("{path} exists already, and fit did not make it"),
            "Remove it, or call it by another name.",
        )),
        Err(error) => Err(not_removed(path, &error, BE_ROOT)),
    }
}

/// Has the areas of the pool `name`, or of the only one, fit. `dry_run` only prints how.
pub fn fit(root: &Root, name: Option<&str>, dry_run: bool) -> Result {
    let pool = pools::one(root, name)?;
    let _lock = if dry_run {
        None
    } else {
        root.may_change()?;
        Some(lock(root, &pool)?)
    };
    // Another one may have changed its areas meanwhile, or taken them back.
    let Some(pool) = pool.again(root)? else {
        return Ok(());
    };
    let fstab = Fstab::read(root).unwrap_or_default();
    let Some(fitting) = Fitting::new(root, &fstab, &pool) else {
        return Err(Failure::new(
            format!("{} has no ghost file on that setup made", pool.name()),
            "Make one with \"ghostswapctl setup\", and swap it on.",
        ));
    };
    let steps = fitting.plan();
    if steps.is_empty() {
        say!(
            "{} has slots for {}, and {} can be held: nothing is to be done.",
            pool.name(),
            size(fitting.promised()),
            size(pool.numbers.capacity_bytes)
        );
        return Ok(());
    }
    if pool.id.contains(':') {
        return Err(Failure::new(
            format!("the pool of {} has no name, by which other ghost files could share it", pool.name()),
            "Add pool=swap to its options in /etc/fstab; swap it off, unmount it, and \"mount -a && swapon -a\".",
        ));
    }
    if dry_run {
        return print(&text(root, &fitting, &steps));
    }
    for step in &steps {
        fitting.execute(root, step)?;
    }
    Ok(())
}

/// What a person would type for it.
fn text(root: &Root, fitting: &Fitting<'_>, steps: &[Step]) -> String {
    let mut text = format!(
        "# {} has slots for {}, and {} can be held.\n",
        fitting.pool.name(),
        size(fitting.promised()),
        size(fitting.pool.numbers.capacity_bytes)
    );
    for step in steps {
        match *step {
            Step::Off(number) => {
                let gone = fitting.added.iter().find(|added| added.number == number);
                let commands = gone.and_then(|added| added.mount.as_ref()).map(turn_off);
                for command in commands.into_iter().flatten() {
                    text.push_str(&format!("{}\n", shell(&command)));
                }
                let path = added_path(&fitting.first.path, number);
                text.push_str(&format!("{}\n", how_to_remove(&path)));
            }
            Step::On(number, bytes) => {
                let area = fitting.area(root, number, bytes);
                text.push_str(&area.how_to_make());
                text.push_str(&area.how_to_turn_on());
            }
        }
    }
    text
}

/// How the areas of a pool do not fit what it can hold, if fit can change that: the bytes that they have
/// slots for.
pub fn misfit(root: &Root, fstab: &Fstab, pool: &Pool) -> Option<u64> {
    let fitting = Fitting::new(root, fstab, pool)?;
    (!fitting.plan().is_empty()).then(|| fitting.promised())
}

/// A name for the pool of the ghost file `file` that no pool has.
pub fn pool_name(root: &Root, file: &str) -> String {
    const ROOM: usize = ghostswap_core::pool_name::MAX - 4;
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "_.-".contains(*c);
    let name = file.rsplit('/').next().unwrap_or_default();
    let name: String = name.chars().filter(allowed).take(ROOM).collect();
    let name = match name.trim_start_matches('.') {
        "" => "swap",
        name => name,
    };
    let is_taken = |name: &str| fs::exists(root.path(pools::directory(name))).unwrap_or(false);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = [name.to_owned()].into_iter().chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Areas of so many MiB; of what is in use of them, in MiB.
    fn areas(sizes: &[(Option<u32>, u64, u64)]) -> Vec<Area> {
        let area = |(number, size, used): &(Option<u32>, u64, u64)| Area {
            number: *number,
            // The header takes a page.
            size: size * MIB - PAGE,
            used: used * MIB,
        };
        sizes.iter().map(area).collect()
    }

    fn planned(sizes: &[(Option<u32>, u64, u64)], capacity: u64) -> Vec<Step> {
        plan(&areas(sizes), capacity * MIB)
    }

    #[test]
    fn what_is_missing_comes() {
        assert_eq!(planned(&[(None, 100, 100)], 112), []);
        assert_eq!(planned(&[(None, 100, 100)], 120), [Step::On(1, 20 * MIB)]);
        let two = [(None, 100, 0), (Some(1), 100, 0), (Some(3), 50, 0)];
        assert_eq!(planned(&two, 800), [Step::On(2, 550 * MIB)]);
        // Less than a MiB is no area.
        assert_eq!(plan(&[], PAGE * 255), []);
    }

    #[test]
    fn what_is_empty_goes_the_last_one_first() {
        let three = [(None, 100, 0), (Some(1), 50, 0), (Some(2), 50, 0)];
        assert_eq!(planned(&three, 180), []);
        assert_eq!(planned(&three, 150), [Step::Off(2)]);
        assert_eq!(planned(&three, 100), [Step::Off(2), Step::Off(1)]);
        // Never the one that setup made, nor one that is in use.
        assert_eq!(planned(&three, 10), [Step::Off(2), Step::Off(1)]);
        let used = [(None, 100, 100), (Some(1), 50, 1), (Some(2), 50, 0)];
        assert_eq!(planned(&used, 100), [Step::Off(2)]);
        assert_eq!(planned(&used[..2], 100), []);
        // One that is too large becomes smaller.
        let large = [(None, 100, 100), (Some(1), 400, 0)];
        assert_eq!(planned(&large, 300), [Step::Off(1), Step::On(1, 200 * MIB)]);
    }

    #[test]
    fn empty_ones_become_one_where_there_are_many() {
        let mut many = vec![(None, 100, 100)];
        many.extend((1..=FILES).map(|number| (Some(number), 10, u64::from(number < FILES))));
        let on = Step::On(FILES, 210 * MIB);
        assert_eq!(planned(&many, 420), [Step::Off(FILES), on]);
        many[FILES as usize].2 = 1;
        assert_eq!(planned(&many, 420), []);
    }

    #[test]
    fn what_was_planned_leaves_nothing_to_do() {
        let mut state = 1u64;
        let mut draw = |below: u64| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for _ in 0..20_000 {
            let mut sizes = vec![(None, 1 + draw(200), draw(2))];
            for number in 1..=FILES {
                if draw(3) == 0 {
                    sizes.push((Some(number), 1 + draw(100), draw(2)));
                }
            }
            let capacity = draw(2000);
            let steps = planned(&sizes, capacity);
            for step in &steps {
                match *step {
                    Step::Off(number) => {
                        let at = sizes.iter().position(|area| area.0 == Some(number));
                        assert_eq!(sizes.remove(at.unwrap()).2, 0);
                    }
                    Step::On(number, bytes) => {
                        assert!(sizes.iter().all(|area| area.0 != Some(number)));
                        sizes.push((Some(number), bytes / MIB, 0));
                    }
                }
            }
            assert_eq!(planned(&sizes, capacity), [], "{sizes:?} {capacity}");
            let promised: u64 = sizes.iter().map(|area| area.1).sum();
            // Only what is in use keeps it from fitting, or the first one.
            let fixed: u64 = sizes
                .iter()
                .filter(|a| a.2 > 0 || a.0.is_none())
                .map(|a| a.1)
                .sum();
            let most = fixed.max(capacity + capacity / 8);
            assert!(promised <= most + 1, "{sizes:?} {capacity}");
            assert!(
                promised + capacity / 8 + 2 >= capacity,
                "{sizes:?} {capacity}"
            );
        }
    }

    #[test]
    fn the_last_are_filled_last_and_all_before_others() {
        let other = |priority| Swap {
            path: "/other".to_owned(),
            size_bytes: 0,
            used_bytes: 0,
            priority,
        };
        assert_eq!(priority(100, 1, [].iter()), 99);
        assert_eq!(priority(100, 12, [other(-2), other(120)].iter()), 88);
        assert_eq!(priority(100, 12, [other(95)].iter()), 96);
        assert_eq!(priority(3, 12, [].iter()), 0);
        assert_eq!(priority(101, 1, [other(100)].iter()), 101);
    }

    #[test]
    fn a_pool_is_named_after_its_file() {
        let root = Root::from_environment();
        assert_eq!(pool_name(&root, "/swap.ghost"), "swap.ghost");
        assert_eq!(pool_name(&root, "/a/..my file:é,x"), "myfilex");
        assert_eq!(pool_name(&root, "/é"), "swap");
        let long = format!("/{}", "x".repeat(60));
        assert_eq!(pool_name(&root, &long).len(), 28);
    }
}
