// SPDX-License-Identifier: GPL-2.0

//! `ghostswapctl check`: what keeps ghostswap from working as it should, and what to do about it.

use crate::{
    failure::plain,
    fit,
    fstab::{
        backing,
        Fstab,
        Line, //
    },
    mounts::{
        self,
        escape,
        Mount,
        Swap, //
    },
    pools::{
        self,
        Pool,
        Store,
        PAGE, //
    },
    programs::quote,
    root::Root,
    words::{
        count,
        counted,
        size,
        times, //
    },
};
use std::{
    fs,
    os::unix::fs::MetadataExt, //
};

/// The first kernel that the module is for.
const KERNEL: (u32, u32) = (7, 3);

/// What was looked at: a line, and a remedy if it is not as it should be.
pub struct Finding {
    text: String,
    remedy: Option<String>,
}

/// All that was looked at, in the order in which things are needed.
#[derive(Default)]
pub struct Report(Vec<Finding>);

impl Report {
    fn good(&mut self, text: impl Into<String>) {
        self.0.push(Finding {
            text: text.into(),
            remedy: None,
        });
    }

    fn bad(&mut self, text: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding {
            text: text.into(),
            remedy: Some(remedy.into()),
        });
    }

    /// Returns whether all is as it should be.
    pub fn is_well(&self) -> bool {
        self.0.iter().all(|finding| finding.remedy.is_none())
    }

    /// A line for each finding, and one for its remedy.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.0 {
            match &finding.remedy {
                None => text.push_str(&format!("ok      {}\n", finding.text)),
                Some(remedy) => {
                    text.push_str(&format!("NOT OK  {}\n          {remedy}\n", finding.text));
                }
            }
        }
        text
    }
}

/// Looks at everything.
pub fn check(root: &Root) -> Report {
    let mut report = Report::default();
    let mounts = mounts::ghost_files(root);
    let swaps = mounts::swaps(root);
    let fstab = Fstab::read(root);
    let lines: Vec<_> = (fstab.iter().flat_map(Fstab::lines)).collect();
    permissions(root, &mut report);
    kernel(root, &mut report);
    module(root, &mut report);
    areas(&mounts, &lines, &mut report);
    priorities(&mounts, &swaps, &mut report);
    zswap(root, &mounts, &mut report);
    swappiness(root, &mut report);
    match &fstab {
        Ok(fstab) => {
            let is_made_then = |mount: &Mount| !fit::is_added(root, fstab, &mounts, &mount.path);
            let asked: Vec<_> = mounts
                .iter()
                .filter(|mount| is_made_then(mount))
                .cloned()
                .collect();
            next_boot(root, &asked, &lines, &mut report);
        }
        Err(error) => report.bad(
            format!("fstab: it cannot be read: {}", plain(error)),
            "Run ghostswapctl as root, for instance with sudo.",
        ),
    }
    match pools::all(root) {
        Ok(pools) => {
            for pool in &pools {
                memory(root, pool, &mut report);
                if let Ok(fstab) = &fstab {
                    slots(root, fstab, pool, &mut report);
                }
                refusals(pool, &mut report);
                stores(root, pool, &lines, &mut report);
            }
        }
        Err(failure) => report.bad(failure.what, failure.remedy),
    }
    report
}

fn permissions(root: &Root, report: &mut Report) {
    if root.may_manage() {
        report.good("permissions: this process may mount, swap on and give orders");
    } else {
        report.bad(
            "permissions: this process may look, but neither mount nor give orders",
            "Run ghostswapctl as root, for instance with sudo. In a container it has no rights to swap.",
        );
    }
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn release(root: &Root) -> String {
    root.line("/proc/sys/kernel/osrelease").unwrap_or_default()
}

fn kernel(root: &Root, report: &mut Report) {
    let release = release(root);
    let (major, minor) = KERNEL;
    match version(&release) {
        Some(version) if version >= KERNEL => report.good(format!("kernel: {release}")),
        _ => report.bad(
            format!("kernel: {release} is older than {major}.{minor}"),
            format!("Boot Linux {major}.{minor} or later."),
        ),
    }
}

fn module(root: &Root, report: &mut Report) {
    let release = release(root);
    let is_loaded = root.has("/sys/module/ghostswap")
        || root
            .text("/proc/filesystems")
            .unwrap_or_default()
            .lines()
            .any(|line| line.ends_with("\tghostswap"));
    if is_loaded {
        return report.good("module: loaded");
    }
    let found = |file: &str| {
        let text = root.text(format!("/lib/modules/{release}/{file}"));
        text.unwrap_or_default().lines().any(|line| {
            let name = line.split(':').next().unwrap_or_default();
            name.rsplit('/')
                .next()
                .unwrap_or_default()
                .starts_with("ghostswap.ko")
        })
    };
    if found("modules.dep") {
        return report.good("module: there; mount loads it");
    }
    if has_module(root, &release) {
        return report.bad(
            format!("module: in /lib/modules/{release}/updates, but modprobe does not know it"),
            "Run depmod -a.",
        );
    }
    let others: Vec<_> = fs::read_dir(root.path("/lib/modules"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|other| has_module(root, other))
        .collect();
    if !others.is_empty() {
        return report.bad(
            format!("module: built for {}, and not for this kernel", others.join(", ")),
            format!(
                "Build it for {release}: dkms autoinstall -k {release}, or make and make install. Or boot the other \
                 kernel."
            ),
        );
    }
    match config(root, &release, "CONFIG_RUST") {
        Some(false) => report.bad(
            "module: not there, and this kernel was built without CONFIG_RUST",
            "Boot a kernel that has it, such as Debian's of trixie-backports, and build the module for that.",
        ),
        _ => report.bad(
            "module: not there",
            "Install the package ghostswap-dkms, or build it with make, and make install: see the README.",
        ),
    }
}

/// Returns whether the module is where it is installed, by make or by dkms, for the kernel `release`.
fn has_module(root: &Root, release: &str) -> bool {
    let files = ["ghostswap.ko", "dkms/ghostswap.ko", "dkms/ghostswap.ko.xz"];
    (files.iter()).any(|file| root.has(format!("/lib/modules/{release}/updates/{file}")))
}

/// Whether the kernel has an option, if that can be found out.
fn config(root: &Root, release: &str, option: &str) -> Option<bool> {
    let files = [
        format!("/boot/config-{release}"),
        format!("/lib/modules/{release}/config"),
    ];
    let text = files.iter().find_map(|file| root.text(file).ok())?;
    Some(text.lines().any(|line| {
        line.strip_prefix(option)
            .is_some_and(|rest| matches!(rest, "=y" | "=m"))
    }))
}

fn areas(mounts: &[Mount], fstab: &[Line], report: &mut Report) {
    if mounts.is_empty() {
        let is_in_fstab = fstab.iter().any(|line| line.kind == "ghostswap");
        return report.bad(
            "area: no ghost file is mounted",
            if is_in_fstab {
                "Run mount -a && swapon -a; if it fails, dmesg says why."
            } else {
                "Run ghostswapctl setup."
            },
        );
    }
    for mount in mounts {
        match &mount.swap {
            Some(swap) => report.good(format!("area: {}, {}", mount.path, size(swap.size_bytes))),
            None => report.bad(
                format!("area: {} is mounted, but not swapped on", mount.path),
                format!("Run swapon {}.", quote(&mount.path)),
            ),
        }
    }
}

fn priorities(mounts: &[Mount], swaps: &[Swap], report: &mut Report) {
    let is_ghost = |swap: &Swap| mounts.iter().any(|mount| mount.path == swap.path);
    let Some(lowest) = swaps
        .iter()
        .filter(|swap| is_ghost(swap))
        .min_by_key(|swap| swap.priority)
    else {
        return;
    };
    let others = swaps.iter().filter(|swap| !is_ghost(swap));
    let first: Vec<_> = others
        .filter(|other| other.priority >= lowest.priority)
        .collect();
    if first.is_empty() {
        return report.good("priority: no other swap area comes before");
    }
    for other in first {
        let when = if other.priority > lowest.priority {
            "before"
        } else {
            "as often as"
        };
        report.bad(
            format!(
                "priority: {} ({}) is filled {when} {} ({})",
                other.path, other.priority, lowest.path, lowest.priority
            ),
            format!(
                "Run swapoff {}, and make it a store with \"ghostswapctl add-store\" if it is a file or a partition; \
                 or give {} a higher pri= in /etc/fstab.",
                quote(&other.path), lowest.path
            ),
        );
    }
}

fn zswap(root: &Root, mounts: &[Mount], report: &mut Report) {
    let line = root.line("/sys/module/zswap/parameters/enabled");
    let is_on = line.as_deref() == Some("Y");
    let is_uncached = |mount: &&Mount| mount.has_option("cache=off");
    if is_on && mounts.iter().any(|mount| !is_uncached(&mount)) {
        report.bad(
            "zswap: it is on, and compresses pages that are compressed again",
            "Boot with zswap.enabled=0, or echo N >/sys/module/zswap/parameters/enabled.",
        );
    } else if let Some(mount) = mounts.iter().find(is_uncached).filter(|_| !is_on) {
        report.bad(
            format!(
                "zswap: it is off, and {} has cache=off, so nothing is kept in RAM",
                mount.path
            ),
            "Mount without cache=off, or turn zswap on.",
        );
    } else {
        report.good(format!("zswap: {}", if is_on { "on" } else { "off" }));
    }
}

fn swappiness(root: &Root, report: &mut Report) {
    let line = root.line("/proc/sys/vm/swappiness");
    if line.as_deref() == Some("0") {
        report.bad(
            "vm.swappiness: 0, so hardly anything is swapped out",
            "Set it to 60 or more: sysctl vm.swappiness=100, and in /etc/sysctl.d for each boot.",
        );
    }
}

fn next_boot(root: &Root, mounts: &[Mount], fstab: &[Line], report: &mut Report) {
    for mount in mounts {
        let path = &mount.path;
        let word = escape(path);
        let mount_line = format!("{word}  {word}  ghostswap  defaults  0  0");
        let swap_line = format!("{word}  none  swap  defaults  0  0");
        let (line, swap) = (
            fstab.iter().position(|line| line.mounts(path)),
            fstab.iter().position(|line| line.swaps_on(path)),
        );
        match (line, swap) {
            (Some(line), Some(swap)) if line < swap => {
                report.good(format!("fstab: {path} is there for the next boot"));
            }
            (Some(_), Some(_)) => report.bad(
                format!("fstab: {path} is swapped on before it is mounted"),
                "Put the line of the mount before that of the swap.",
            ),
            (Some(_), None) => report.bad(
                format!("fstab: {path} is mounted at the next boot, but not swapped on"),
                format!("Add the line: {swap_line}"),
            ),
            (None, Some(_)) => report.bad(
                format!("fstab: {path} is swapped on at the next boot, but not mounted"),
                format!("Add, before that line: {mount_line}"),
            ),
            (None, None) => report.bad(
                format!("fstab: {path} is gone after the next boot"),
                format!("Add the lines: {mount_line}, and {swap_line}"),
            ),
        }
    }
    for line in fstab.iter().filter(|line| line.kind == "ghostswap") {
        if !mounts.iter().any(|mount| mount.path == line.target) {
            ghost_file(root, line, report);
        }
        for store in line.stores() {
            if fstab
                .iter()
                .any(|line| line.kind == "swap" && root.is_same(&line.source, store))
            {
                report.bad(
                    format!(
                        "fstab: {store} is a store of {}, and swapped on by itself",
                        line.target
                    ),
                    "Take its line of swap out: it can be only one of them.",
                );
            }
        }
    }
}

/// Looks at the ghost file of a line that is not mounted.
fn ghost_file(root: &Root, line: &Line, report: &mut Report) {
    let file = &line.source;
    let Ok(metadata) = fs::metadata(root.path(file)) else {
        return report.bad(
            format!("fstab: the ghost file {file} is not there"),
            "Take its lines out of /etc/fstab and run ghostswapctl setup, or make it with scripts/mkghost.",
        );
    };
    if metadata.is_file() && metadata.len() != PAGE {
        report.bad(
            format!(
                "fstab: {file} has {}, and a ghost file has {}",
                counted(metadata.len(), "byte"),
                count(PAGE)
            ),
            "Make it anew with scripts/mkghost, or swapon it as it is if it is a real swapfile.",
        );
    }
    if metadata.is_file() && !is_private(root, &metadata) {
        report.bad(
            format!("fstab: {file} is open to others than root"),
            close_to_others(file),
        );
    }
}

/// The command that makes `file` root's, and closes it to others.
fn close_to_others(file: &str) -> String {
    let file = quote(file);
    format!("Run chown root {file} && chmod 600 {file}")
}

/// The command that changes options of `pool`.
fn remount(pool: &Pool, options: &str) -> String {
    let path = pool.mounts.first().map_or("PATH", |mount| &mount.path);
    format!("mount -o remount,{options} {}", quote(path))
}

/// Returns whether a file is root's and closed to others. In a copy all files are those of the copy's user.
fn is_private(root: &Root, metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o077 == 0 && (metadata.uid() == 0 || root.is_copy())
}

fn memory(root: &Root, pool: &Pool, report: &mut Report) {
    let name = pool.name();
    let limit = pool.numbers.limit_bytes;
    if let Some(ram) = root.ram().filter(|ram| limit > *ram) {
        return report.bad(
            format!(
                "memory: the limit of {name} is {}, more than the {} of RAM",
                size(limit),
                size(ram)
            ),
            format!("Set a limit that fits: {}.", remount(pool, "limit=50%")),
        );
    }
    let held = pool.derived.held_bytes;
    // So much of it the mover leaves free.
    let is_full = held > limit / 16 * 15;
    if is_full && pool.backing.is_empty() {
        return report.bad(
            format!(
                "memory: {name} has {} of its limit of {}",
                size(held),
                size(limit)
            ),
            format!(
                "Add a store with \"ghostswapctl add-store\", or raise the limit: {}.",
                remount(pool, "limit=...")
            ),
        );
    }
    report.good(format!(
        "memory: {name} has {} of its limit of {}",
        size(held),
        size(limit)
    ));
}

fn slots(root: &Root, fstab: &Fstab, pool: &Pool, report: &mut Report) {
    if let Some(promised) = fit::misfit(root, fstab, pool) {
        report.bad(
            format!(
                "size: {} has slots for {}, and {} can be held",
                pool.name(),
                size(promised),
                size(pool.numbers.capacity_bytes)
            ),
            if fit::is_automatic(root) {
                "udev has not run ghostswapctl fit yet: run it, or see udev's log."
            } else {
                "Run ghostswapctl fit, or have udev do it: install 60-ghostswap.rules, see the admin guide."
            },
        );
    }
}

/// A few failures do no harm, so they are looked at as a share: one in so many.
const FEW: u64 = 100;

fn refusals(pool: &Pool, report: &mut Report) {
    let name = pool.name();
    let numbers = &pool.numbers;
    let is_often = |times: u64| times > 0 && times >= numbers.stores / FEW;
    if is_often(numbers.failed_stores_limit) {
        report.bad(
            format!(
                "refused: {name} refused a page {}, because it was at its limit",
                times(numbers.failed_stores_limit)
            ),
            if pool.backing.is_empty() {
                "Add a store with \"ghostswapctl add-store\", raise the limit, or make the area smaller."
            } else {
                "The stores are full or slow: add one with \"ghostswapctl add-store\", or make the area smaller."
            },
        );
    }
    if is_often(numbers.failed_stores_memory) {
        report.bad(
            format!(
                "refused: {name} refused a page {}, because no memory was free",
                times(numbers.failed_stores_memory)
            ),
            "Let reclaim begin earlier: sysctl vm.watermark_scale_factor=100, or raise vm.min_free_kbytes.",
        );
    }
    if numbers.stored_pages > 0 && numbers.incompressible_pages > pool.derived.ram_pages / 2 {
        report.bad(
            format!("contents: more than half of what {name} has in RAM does not get smaller"),
            "Keep the program that has it from swapping (memory.swap.max), or add a store.",
        );
    }
    if !pool.backing.is_empty()
        && numbers.written_pages > 0
        && numbers.returned_pages > numbers.written_pages / 8
    {
        report.bad(
            format!("contents: more than one in 8 pages that {name} writes is needed soon after"),
            "Programs need more memory than there is: end some, raise the limit, or add RAM.",
        );
    }
    if numbers.lost_pages > 0 {
        report.bad(
            format!(
                "faults: {name} lost {} with a store that was given up",
                counted(numbers.lost_pages, "page")
            ),
            "Programs that needed them were ended (SIGBUS): start them anew.",
        );
    }
    if numbers.failed_loads > 0 {
        report.bad(
            format!(
                "faults: {name} could not load a page, {}",
                times(numbers.failed_loads)
            ),
            "A disk fails, or it is a bug: see the kernel's log, and keep it for a report.",
        );
    }
}

fn stores(root: &Root, pool: &Pool, fstab: &[Line], report: &mut Report) {
    let own: Vec<_> = pool
        .mounts
        .iter()
        .filter_map(|mount| fstab.iter().find(|line| line.mounts(&mount.path)))
        .collect();
    for store in &pool.backing {
        let path = &store.path;
        let before = report.0.len();
        state(store, report);
        if let Ok(metadata) = fs::metadata(root.path(path)) {
            if metadata.is_file() && !is_private(root, &metadata) {
                report.bad(
                    format!("store: {path} is open to others than root"),
                    close_to_others(path),
                );
            }
        }
        if !own.is_empty()
            && store.state == "open"
            && !own.iter().any(|line| line.has_store(root, path))
        {
            report.bad(
                format!("fstab: the store {path} is gone after the next boot"),
                format!(
                    "Add {} to the options of {}, or run ghostswapctl add-store {} if setup made that line.",
                    escape(&backing(path)),
                    own[0].target,
                    quote(path)
                ),
            );
        }
        if report.0.len() == before {
            report.good(format!(
                "store: {path}, {} of {}",
                size(store.numbers.used_bytes),
                size(store.numbers.size_bytes)
            ));
        }
    }
    let is_there = |path: &str| (pool.backing.iter()).any(|store| root.is_same(&store.path, path));
    for path in own.iter().flat_map(|line| line.stores()) {
        if !is_there(path) {
            report.bad(
                format!("fstab: {} has the store {path} at the next boot, and not now", pool.name()),
                format!(
                    "Run ghostswapctl remove-store {0} to take it out of /etc/fstab, or add-store {0}.",
                    quote(path)
                ),
            );
        }
    }
}

fn state(store: &Store, report: &mut Report) {
    let (path, numbers) = (&store.path, &store.numbers);
    match store.state.as_str() {
        "closed" => report.bad(
            format!("store: {path} takes no more pages, after errors"),
            "Mend the disk, then write its path to reopen_backing; or \"ghostswapctl remove-store\" it.",
        ),
        "given_up" => report.bad(
            format!("store: {path} is given up, and its device does not answer yet"),
            "It is given back when it answers.",
        ),
        "removing" => report.good(format!("store: {path} is being removed")),
        _ => {
            if numbers.write_errors + numbers.read_errors > 0 {
                report.bad(
                    format!(
                        "store: {path} has {} of writes and {} of reads",
                        counted(numbers.write_errors, "error"),
                        count(numbers.read_errors)
                    ),
                    "Look at the disk (dmesg, smartctl), and take it out with \"ghostswapctl remove-store\".",
                );
            }
            let segments = numbers.free_segments + numbers.open_segments + numbers.sealed_segments;
            if numbers.free_segments <= segments / 64 && segments > 64 {
                report.bad(
                    format!("store: {path} is nearly full"),
                    "Add another one with \"ghostswapctl add-store\".",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(version("7.3.4-amd64"), Some((7, 3)));
        assert_eq!(version("7.13.0"), Some((7, 13)));
        assert_eq!(version("7.3-rc1"), Some((7, 3)));
        assert_eq!(version(""), None);
        assert!(version("7.13.0") > Some(KERNEL) && version("6.12.1") < Some(KERNEL));
    }
}
