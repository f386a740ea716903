// SPDX-License-Identifier: GPL-2.0

//! `ghostswapctl setup`: makes a ghost file, swaps it on, now and at each boot, and takes that back.

use crate::{
    area::{
        how_to_remove,
        not_removed,
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
    fit,
    fstab::{
        self,
        Fstab, //
    },
    ghost_file,
    mounts::{
        self,
        escape, //
    },
    orders::how_to_make,
    pools::{
        self,
        PAGE, //
    },
    programs::{
        has_systemd,
        quote,
        reload_systemd,
        run,
        shell,
        RELOAD_SYSTEMD, //
    },
    root::Root,
    words::{
        print,
        say,
        size, //
    },
};
use ghostswap_core::{
    fit::{
        Holdings,
        GUESS, //
    },
    limit::Limit,
};
use std::{
    fs::File,
    io::{
        self,
        Seek,
        SeekFrom, //
    },
};

/// How the size of the area is found. It is part of `--help` and of the guide.
pub const RULE: &str = "\
The area gets the size of what can really be held: 2 times the sum of the limit
and two thirds of all stores. 2 is a low guess of how many times smaller pages
get, with all that is lost beside them: the memory of programs becomes 2 to 5
times smaller. A third of a store is left free, so that it is cleaned seldom.
Without --limit, the limit is the module's default: 20% of RAM, or 50% with a
store. If udev has the rule 60-ghostswap.rules, the area gets half of that, and
what more can be held is added, and taken off, by \"ghostswapctl fit\".";

/// The area's priority, unless another area has as much. As of zram's usual set-up.
const PRIORITY: i32 = 100;

/// The largest priority that swapon(8) takes.
const MAX_PRIORITY: i32 = 32767;

/// What is asked for.
pub struct Wish {
    /// The path of the ghost file, which may go through links.
    pub file: String,
    pub limit: Option<Limit>,
    pub comp: Option<String>,
    pub recomp: Option<String>,
    /// The paths of the backing stores.
    pub stores: Vec<String>,
}

/// What is to be done for it.
struct Plan {
    area: NewArea,
    /// Where its size is from.
    size: String,
    fstab: Fstab,
    /// The new lines of it.
    lines: Vec<String>,
    /// Whether fit adds to it by itself.
    is_fitted: bool,
}

/// Sets up what `wish` says, or only prints how.
pub fn set_up(root: &Root, wish: &Wish, dry_run: bool) -> Result {
    let plan = Plan::new(root, wish)?;
    if dry_run {
        return print(&plan.text(root));
    }
    root.may_change()?;
    plan.execute(root)
}

impl Plan {
    fn new(root: &Root, wish: &Wish) -> Result<Self> {
        check_path(&wish.file)?;
        let file = root.resolve(&wish.file).map_err(|error| {
            Failure::new(
                format!("{}: its directory: {}", wish.file, plain(&error)),
                "Make the directory first, or name another file with --file.",
            )
        })?;
        check_path(&file)?;
        let fstab = read_fstab(root)?;
        let is_set_up = fstab.lines().any(|line| line.mounts(&file))
            || mounts::ghost_files(root)
                .iter()
                .any(|mount| mount.path == file);
        if is_set_up {
            return Err(Failure::new(
                format!("{file} is set up already"),
                "Turn it on with \"mount -a && swapon -a\", or take it back first with \"ghostswapctl setup --undo\".",
            ));
        }
        if root.path(&file).symlink_metadata().is_ok() {
            return Err(if ghost_file::is_own(&root.path(&file)).unwrap_or(false) {
                Failure::new(
                    format!("{file} is left of a setup that did not come to its end"),
                    format!(
                        "Take it back first: ghostswapctl setup --undo --file {}",
                        quote(&file)
                    ),
                )
            } else {
                Failure::new(
                    format!("{file} exists already, and setup did not make it"),
                    "Remove it, or name another file with --file.",
                )
            });
        }
        let limit = wish.limit.unwrap_or(match wish.stores[..] {
            [] => Limit::default(),
            _ => Limit::CEILING,
        });
        let ram = root
            .ram()
            .ok_or_else(|| Failure::new("/proc/meminfo has no MemTotal", "Mount /proc."))?;
        let limit_bytes = limit.resolve(ram);
        let mut options = vec![format!("pool={}", fit::pool_name(root, &file))];
        if let Some(comp) = &wish.comp {
            options.push(format!("comp={comp}"));
        }
        if let Some(recomp) = &wish.recomp {
            options.push(format!("recomp={recomp}"));
        }
        if let Some(limit) = wish.limit {
            options.push(format!("limit={}", short(limit)));
        }
        let mut requires = Vec::new();
        let mut stores_bytes = 0;
        for store in &wish.stores {
            check_path(store)?;
            stores_bytes += store_size(root, store)?;
            options.push(fstab::backing(store));
            requires.push(fstab::requires(root, store));
        }
        let is_fitted = fit::is_automatic(root);
        let ratio = if is_fitted { 1 } else { GUESS };
        let bytes = area_size(limit_bytes, stores_bytes, ratio);
        let priority = priority(&mounts::swaps(root));
        let mut in_fstab = options.clone();
        in_fstab.push("nofail".to_owned());
        in_fstab.extend(requires);
        let path = escape(&file);
        let lines = vec![
            format!(
                "{path}  {path}  ghostswap  {}  0  0",
                escape(&in_fstab.join(","))
            ),
            format!("{path}  none  swap  pri={priority},nofail  0  0"),
        ];
        Ok(Self {
            area: NewArea {
                file,
                bytes,
                options,
                priority,
            },
            size: format!(
                "{ratio} x (limit {} + 2/3 of stores {})",
                size(limit_bytes),
                size(stores_bytes)
            ),
            fstab,
            lines,
            is_fitted,
        })
    }

    /// What a person would type for it.
    fn text(&self, root: &Root) -> String {
        let area = &self.area;
        let mut text = format!(
            "# The ghost file, of 4096 bytes. Its area has {} = {}.\n\
             {}\n\
             # Now\n\
             {}\n\
             # At each boot: these lines at the end of /etc/fstab\n",
            size(area.bytes),
            self.size,
            area.how_to_make(),
            area.how_to_turn_on(),
        );
        for line in self.fstab.added(&area.file, &self.lines) {
            text.push_str(&line);
            text.push('\n');
        }
        if has_systemd(root) {
            text.push_str(&format!(
                "\n# For systemd\n{}\n",
                shell(&RELOAD_SYSTEMD.map(str::to_owned))
            ));
        }
        if self.is_fitted {
            text.push_str(&format!(
                "\n# As udev does when more, or less, can be held\nghostswapctl fit --pool {}\n",
                quote(&area.file)
            ));
        }
        text
    }

    fn execute(&self, root: &Root) -> Result {
        self.area.turn_on(root, || {
            let fstab = self.fstab.with(&self.area.file, &self.lines);
            replace_fstab(root, &self.fstab, &fstab)
        })?;
        reload_systemd(root);
        let area = &self.area;
        say!("made        {}, a ghost file of 4096 bytes", area.file);
        say!("mounted     with {}", area.options.join(","));
        say!(
            "swapped on  {} = {}, priority {}",
            size(area.bytes),
            self.size,
            area.priority
        );
        say!(
            "for boots   {} lines at the end of /etc/fstab",
            1 + self.lines.len()
        );
        if self.is_fitted {
            fit::fit(root, Some(&area.file), false)?;
        }
        Ok(())
    }
}

/// Takes back what setup made: with the ghost file `file`, or with all that fstab names. `dry_run` only
/// prints how.
pub fn undo(root: &Root, file: Option<&str>, default: &str, dry_run: bool) -> Result {
    let files = match file {
        // If its directory is gone, it may be in fstab all the same.
        Some(file) => vec![root.resolve(file).unwrap_or_else(|_| file.to_owned())],
        None => match read_fstab(root)?.marked() {
            marked if marked.is_empty() => vec![default.to_owned()],
            marked => marked,
        },
    };
    if !dry_run {
        root.may_change()?;
    }
    for file in files {
        undo_one(root, &file, dry_run)?;
    }
    Ok(())
}

fn undo_one(root: &Root, file: &str, dry_run: bool) -> Result {
    let path = root.path(file);
    let fstab = read_fstab(root)?;
    let without = fstab.without(file);
    let mount = mounts::ghost_files(root)
        .into_iter()
        .find(|mount| mount.path == file);
    let is_own = match ghost_file::is_own(&path) {
        Ok(is_own) => is_own,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            return Err(Failure::new(
                format!("{file} cannot be read: {}", plain(&error)),
                BE_ROOT,
            ))
        }
    };
    if !is_own && (mount.is_some() || without == fstab) {
        return Err(Failure::new(
            format!("{file}: setup did not make that"),
            "Name what it made with --file, or swapoff, umount and remove the file, and its lines in \
             /etc/fstab, by hand.",
        ));
    }
    let pool = mount
        .as_ref()
        .and_then(|_| pools::one(root, Some(file)).ok());
    let _lock = pool
        .filter(|_| !dry_run)
        .map(|pool| fit::lock(root, &pool))
        .transpose()?;
    let added = fit::added(root, &fstab, file);
    let mounts = added.iter().filter_map(|added| added.mount.as_ref());
    let commands: Vec<_> = mounts.chain(&mount).flat_map(turn_off).collect();
    if dry_run {
        for command in &commands {
            say!("{}", shell(command));
        }
        if without != fstab {
            say!("# These lines of /etc/fstab go:");
            for line in without.added_by(&fstab) {
                say!("#   {line}");
            }
        }
        for added in &added {
            say!("{}", how_to_remove(&added.path));
        }
        if is_own {
            say!("{}", how_to_remove(file));
        }
        return Ok(());
    }
    for command in &commands {
        run(root, command)?;
        say!("{}", shell(command));
    }
    if without != fstab {
        replace_fstab(root, &fstab, &without)?;
        reload_systemd(root);
        say!("/etc/fstab is as it was, but for what others changed");
    }
    for path in added.iter().map(|added| &added.path as &str).chain([file]) {
        match ghost_file::remove(&root.path(path)) {
            Ok(true) => say!("{}", how_to_remove(path)),
            Ok(false) => say!("{path} stays: setup did not make it"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(not_removed(path, &error, REMOVE_BY_HAND)),
        }
    }
    Ok(())
}

/// The size of the area, in whole MiB, if pages get `ratio` times smaller: see [`RULE`].
fn area_size(limit: u64, stores: u64, ratio: u64) -> u64 {
    let empty = Holdings {
        limit,
        stores,
        ..Holdings::default()
    };
    let bytes = empty.capacity() * PAGE / GUESS * ratio;
    (bytes.min(ghost_file::MAX_BYTES) >> 20).max(1) << 20
}

/// A limit as a person would write it.
fn short(limit: Limit) -> String {
    let Limit::Bytes(bytes) = limit else {
        return limit.to_string();
    };
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let fits = units
        .iter()
        .find(|(shift, _)| bytes.trailing_zeros() >= *shift);
    fits.map_or(limit.to_string(), |(shift, unit)| {
        format!("{}{unit}", bytes >> shift)
    })
}

/// More than any other area has, with room for those that fit adds.
fn priority(swaps: &[mounts::Swap]) -> i32 {
    let highest = swaps.iter().map(|swap| swap.priority).max();
    highest.map_or(PRIORITY, |highest| {
        (highest.saturating_add(1 + fit::FILES as i32)).clamp(PRIORITY, MAX_PRIORITY)
    })
}

/// The bytes of a store.
fn store_size(root: &Root, store: &str) -> Result<u64> {
    let measure = || File::open(root.path(store))?.seek(SeekFrom::End(0));
    measure().map_err(|error: io::Error| {
        Failure::new(
            format!("{store}: {}", plain(&error)),
            match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("Make one of 8 GiB, say: {}", how_to_make(store))
                }
                _ => BE_ROOT.to_owned(),
            },
        )
    })
}

/// A path must be what fstab and mount can name.
fn check_path(path: &str) -> Result {
    if !fstab::can_name(path) {
        return Err(Failure::new(
            format!("{path}: mount cannot take this path"),
            "Give one that begins with / and has neither a comma nor quotes.",
        ));
    }
    Ok(())
}

fn read_fstab(root: &Root) -> Result<Fstab> {
    Fstab::read(root).map_err(|error| {
        Failure::new(
            format!("/etc/fstab cannot be read: {}", plain(&error)),
            BE_ROOT,
        )
    })
}

fn replace_fstab(root: &Root, before: &Fstab, after: &Fstab) -> Result {
    let remedy = ". See what --dry-run prints, and do that by hand.";
    (after.replace(before, root)).map_err(|error| fstab::as_it_was(&error, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mounts::Swap;

    #[test]
    fn the_size_is_what_can_be_held() {
        const GIB: u64 = 1 << 30;
        assert_eq!(area_size(4 * GIB, 0, 2), 8 * GIB);
        assert_eq!(area_size(4 * GIB, 0, 1), 4 * GIB);
        assert_eq!(area_size(8 * GIB, 12 * GIB, 2), 32 * GIB);
        assert_eq!(area_size(1, 0, 2), 1 << 20);
        assert_eq!(area_size(u64::MAX, u64::MAX, 2), 16 << 40);
    }

    #[test]
    fn the_priority_is_the_highest() {
        let swap = |priority| Swap {
            path: String::new(),
            size_bytes: 0,
            used_bytes: 0,
            priority,
        };
        assert_eq!(priority(&[]), 100);
        assert_eq!(priority(&[swap(-2), swap(-1)]), 100);
        assert_eq!(priority(&[swap(100), swap(5)]), 113);
        assert_eq!(priority(&[swap(32767)]), 32767);
    }

    #[test]
    fn limits_are_written_as_they_were_typed() {
        for text in ["48M", "1G", "1025K", "4097", "30%", "16T"] {
            assert_eq!(short(Limit::parse(text.as_bytes()).unwrap()), text);
        }
    }
}
