// SPDX-License-Identifier: GPL-2.0

//! `ghostswapctl` on trees that were recorded by `tests/record`, some of them changed in a file or two.

mod boot;
mod dashboard;
mod fit;
mod metrics;
mod top;
mod tree;

use std::fs;
use tree::{
    bare,
    plain,
    store,
    Tree,
    FSTAB,
    POOL, //
};

#[test]
fn status_of_a_plain_pool() {
    assert_eq!(
        plain().says("status"),
        "\
Pool 0:53: compressor wlz, limit 64.0 MiB

  swap area       size      used  priority
  /swap.ghost  1.0 GiB  12.0 MiB        -1

  stored              12.0 MiB  3,072 pages
    in RAM            12.0 MiB  compressed to 6.0 MiB, 2.0 times smaller
      incompressible   3.0 MiB  kept as they are
  RAM saved            6.0 MiB  what the pages would take, less what they take
  limit used              9.4%  6.0 MiB of 64.0 MiB
  can be held          127 MiB  if pages to come take as much as those so far
  swapped out         12.0 MiB  3,072 pages so far
  swapped in           0 bytes  0 pages so far
  refused                never
"
    );
}

#[test]
fn status_of_a_pool_with_a_store() {
    assert_eq!(
        store().says("status /swap.ghost"),
        "\
Pool 0:53: compressor wlz, limit 64.0 MiB

  swap area       size      used  priority
  /swap.ghost  1.0 GiB  12.0 MiB        -1

  stored               9.6 MiB  2,458 pages
    in RAM             5.7 MiB  compressed to 2.0 MiB, 2.9 times smaller
      incompressible   4.0 KiB  kept as they are
    on disk            3.9 MiB  compressed to 2.9 MiB, 1.4 times smaller
  RAM saved            7.6 MiB  what the pages would take, less what they take
  limit used              3.1%  2.0 MiB of 64.0 MiB
  can be held          251 MiB  if pages to come take as much as those so far
  swapped out         19.2 MiB  4,916 pages so far
  swapped in           9.6 MiB  2,458 pages so far, at least 90.9% without reading a disk
    from RAM           9.4 MiB  half in less than 4.1 us, 99% in less than 4.1 us
    from disk          180 KiB  half in less than 1.0 ms, 99% in less than 8.4 ms
  written to disk      7.7 MiB  plain swap would have written 13.5 MiB
    needed soon        9.6 MiB  read again soon after they were written
  refused                never

  store       state      size     used  written     read  errors
  /dev/loop0  open   30.0 MiB  4.0 MiB  7.7 MiB  6.0 MiB       0
"
    );
}

#[test]
fn what_was_written_goes_with_the_last_store() {
    let text = store().without(&format!("{POOL}/backing0")).says("status");
    assert!(text.contains("swapped in"), "{text}");
    assert!(!text.contains("needed soon"), "{text}");
}

#[test]
fn status_says_why_pages_were_refused() {
    let tree = plain()
        .with(&format!("{POOL}/failed_stores_limit"), "1200\n")
        .with(&format!("{POOL}/failed_stores_memory"), "3\n");
    let text = tree.says("status");
    assert!(
        text.contains(
            "refused             1,203 times  1,200 at the limit, 3 no memory was free\n"
        ),
        "{text}"
    );
}

#[test]
fn status_says_how_long_loads_took() {
    let tree = plain().with(&format!("{POOL}/store_load_nsecs"), "0 0\n128 5\n256 5\n");
    let text = tree.says("status");
    let row = "    from disk         40.0 KiB  half in less than 256 ns, 99% in 256 ns or more\n";
    assert!(text.contains(row), "{text}");
    assert!(!text.contains("from RAM"), "{text}");
}

#[test]
fn status_of_an_area_that_is_off() {
    let tree = plain()
        .with("/proc/swaps", "Filename Type Size Used Priority\n")
        .with(&format!("{POOL}/areas"), "0\n");
    let text = tree.says("status 0:53");
    assert!(text.contains("\n  /swap.ghost  not swapped on\n"), "{text}");
}

#[test]
fn status_of_nothing() {
    let text = Tree::empty().says("status");
    assert!(
        text.starts_with("No ghost file is mounted. \"ghostswapctl setup\""),
        "{text}"
    );
    assert_eq!(
        Tree::empty().says("status --json"),
        "{\n  \"pools\": []\n}\n"
    );
}

#[test]
fn json_has_the_names_of_sysfs() {
    let tree = store();
    let json: serde_json::Value = serde_json::from_str(&tree.says("status --json")).unwrap();
    let pool = &json["pools"][0];
    assert_eq!(
        (&pool["id"], &pool["comp"]),
        (&"0:53".into(), &"wlz".into())
    );
    let compare = |directory: String, shown: &serde_json::Value| {
        for entry in fs::read_dir(tree.path(&directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.starts_with("backing") {
                let text = tree.read(&format!("{directory}/{name}"));
                let text = text.trim_end();
                let value: serde_json::Value = if name.ends_with("_load_nsecs") {
                    let pairs = text.replace('\n', "],[").replace(' ', ",");
                    serde_json::from_str(&format!("[[{pairs}]]")).unwrap()
                } else if name == "write_limit" && text == "off" {
                    serde_json::Value::Null
                } else {
                    text.parse::<u64>().map_or(text.into(), Into::into)
                };
                assert_eq!(shown[&name], value, "{name}");
            }
        }
    };
    compare(POOL.to_owned(), pool);
    compare(format!("{POOL}/backing0"), &pool["backing"][0]);
    let mount = &pool["mounts"][0];
    assert_eq!(mount["path"], "/swap.ghost");
    assert_eq!(mount["swap"]["size_bytes"], ((1 << 30) - 4096));
    let number = |name: &str| pool[name].as_u64().unwrap();
    let derived = &pool["derived"];
    assert_eq!(
        derived["ram_pages"],
        number("stored_pages") - number("redirected_pages")
    );
    assert_eq!(
        derived["held_bytes"],
        number("pool_bytes") + number("table_bytes")
    );
    assert!((0.0..=1.0).contains(&derived["hit_ratio"].as_f64().unwrap()));
}

#[test]
fn a_module_of_another_version_is_told() {
    plain().without(&format!("{POOL}/stores")).refuses(
        "status",
        "/sys/fs/ghostswap/0:53: stores: No such file or directory (os error 2)",
        "Take the ghostswapctl of the same source as the module.",
    );
}

#[test]
fn orders_write_what_sysfs_takes() {
    for (arguments, file, text) in [
        ("writeback", "writeback", "all"),
        ("writeback 256", "writeback", "256"),
        ("writeback 1M --pool 0:53", "writeback", "256"),
        ("age 1d", "age", "86400"),
        ("age 0 --pool /swap.ghost", "age", "0"),
        ("remove-store /dev/loop0", "remove_backing", "/dev/loop0"),
        ("add-store /dev/loop1", "add_backing", "/dev/loop1"),
    ] {
        let file = format!("{POOL}/{file}");
        let tree = store().with(&file, "").with("/dev/loop1", "");
        tree.says(arguments);
        assert_eq!(tree.read(&file), text, "{arguments}");
    }
}

#[test]
fn old_pages_are_compressed_again() {
    let (order, recomp) = (format!("{POOL}/recompress"), format!("{POOL}/recomp"));
    plain().with(&order, "").refuses(
        "recompress 5m",
        "pool /swap.ghost has no second compressor",
        "Mount its ghost file with recomp=zstd, say, or set it up with --recomp zstd.",
    );
    let tree = (plain().with(&order, "").with(&recomp, "zstd\n"))
        .with(&format!("{POOL}/recompressed_pages"), "1024\n");
    tree.says("recompress 5m");
    assert_eq!(tree.read(&order), "300");
    let text = tree.says("status");
    for line in [
        "Pool 0:53: compressor wlz, of what is old zstd, limit 64.0 MiB\n",
        "made smaller   4.0 MiB  by zstd, so far\n",
    ] {
        let found = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(found.contains(&line), "{text}");
    }
}

#[test]
fn what_cannot_be_done_has_a_remedy() {
    let none =
        "Set one up with \"ghostswapctl setup\"; \"ghostswapctl check\" says what is missing.";
    Tree::empty().refuses("writeback", "no ghost file is mounted", none);
    Tree::empty().refuses("status /swap.ghost", "no ghost file is mounted", none);
    plain().refuses(
        "age 0 --pool x",
        "there is no pool x",
        "Name one of these: /swap.ghost.",
    );
    plain().refuses(
        "remove-store /x",
        "pool 0:53 has no backing store",
        "There is nothing to remove.",
    );
    store().refuses(
        "remove-store /x",
        "pool 0:53 has no backing store /x",
        "Name one of these: /dev/loop0.",
    );
    plain().refuses(
        "add-store /x",
        "/x: there is no such file or device",
        "Make one of 8 GiB, say: fallocate -l 8G /x && chmod 600 /x && mkswap /x",
    );
    plain().refuses(
        "setup",
        "/swap.ghost is set up already",
        "Turn it on with \"mount -a && swapon -a\", or take it back first with \"ghostswapctl setup --undo\".",
    );
    plain().refuses(
        "setup --file /other",
        "GHOSTSWAP_ROOT names a copy, where nothing can be mounted",
        "Unset it, or give --dry-run.",
    );
    plain().refuses(
        "setup --file other",
        "other: mount cannot take this path",
        "Give one that begins with / and has neither a comma nor quotes.",
    );
    plain().refuses(
        "top",
        "top needs a terminal",
        "Run it in a terminal; \"ghostswapctl status\" prints what is now.",
    );
    // What clap refuses names what can be given.
    for arguments in [
        "age",
        "age x",
        "writeback x",
        "setup --limit 0",
        "setup --undo --limit 5%",
        "none",
        "",
    ] {
        assert_eq!(plain().run(arguments).status, 2, "{arguments}");
    }
}

#[test]
fn a_dry_run_of_setup_says_all_that_it_would_do() {
    assert_eq!(
        bare().says("setup --dry-run"),
        "\
# The ghost file, of 4096 bytes. Its area has 396 MiB = 2 x (limit 198 MiB + 2/3 of stores 0 bytes).
truncate -s 415236096 /swap.ghost
chmod 600 /swap.ghost
mkswap -L ghostswapctl /swap.ghost
truncate -s 4096 /swap.ghost

# Now
mount -t ghostswap -o pool=swap.ghost /swap.ghost /swap.ghost
swapon -p 113 /swap.ghost

# At each boot: these lines at the end of /etc/fstab
# Made by \"ghostswapctl setup\", which takes it back with --undo: /swap.ghost
/swap.ghost  /swap.ghost  ghostswap  pool=swap.ghost,nofail  0  0
/swap.ghost  none  swap  pri=113,nofail  0  0
"
    );
}

#[test]
fn a_dry_run_with_a_store_and_systemd() {
    let tree = bare()
        .with("/run/systemd/system/x", "")
        .with("/data/swapfile", &"x".repeat(3 << 20));
    let text = tree
        .says("setup --dry-run --limit 64M --comp zstd --recomp wlz:dense --store /data/swapfile --file /my.ghost");
    for part in [
        " 132 MiB = 2 x (limit 64.0 MiB + 2/3 of stores 3.0 MiB).\n",
        "mount -t ghostswap -o pool=my.ghost,comp=zstd,recomp=wlz:dense,limit=64M,backing=/data/swapfile /my.ghost /my.ghost\n",
        "\n/my.ghost  /my.ghost  ghostswap  pool=my.ghost,comp=zstd,recomp=wlz:dense,limit=64M,backing=/data/swapfile,nofail,\
         x-systemd.requires-mounts-for=/data/swapfile  0  0\n",
        "\n# For systemd\nsystemctl daemon-reload\n",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    tree.refuses(
        "setup --dry-run --store /data/none",
        "/data/none: No such file or directory",
        "Make one of 8 GiB, say: fallocate -l 8G /data/none && chmod 600 /data/none && mkswap /data/none",
    );
}

/// What a ghost file has that setup made.
fn own_page() -> String {
    let mut page = vec![0; 4096];
    page[1024..1032].copy_from_slice(&[1, 0, 0, 0, 9, 0, 0, 0]);
    page[1052..1064].copy_from_slice(b"ghostswapctl");
    page[4086..].copy_from_slice(b"SWAPSPACE2");
    String::from_utf8(page).unwrap()
}

#[test]
fn setup_takes_the_path_without_links() {
    let tree = bare().with("/real/x", "");
    std::os::unix::fs::symlink("real", tree.path("/link")).unwrap();
    let text = tree.says("setup --dry-run --file /link/../link//swap.ghost");
    assert!(
        text.contains(
            "\n/real/swap.ghost  /real/swap.ghost  ghostswap  pool=swap.ghost,nofail  0  0\n"
        ),
        "{text}"
    );
    let fstab = FSTAB.replace("/swap.ghost", "/real/swap.ghost");
    let tree = tree
        .with("/etc/fstab", &fstab)
        .with("/real/swap.ghost", &own_page());
    let text = tree.says("setup --undo --dry-run --file /link/swap.ghost");
    assert!(text.ends_with("rm /real/swap.ghost\n"), "{text}");
    assert_eq!(text.matches("#   ").count(), 3, "{text}");
    tree.refuses(
        "setup --dry-run --file /none/swap.ghost",
        "/none/swap.ghost: its directory: No such file or directory",
        "Make the directory first, or name another file with --file.",
    );
    tree.refuses(
        "setup --dry-run --file /real/..",
        "/real/..: its directory: invalid input parameter",
        "Make the directory first, or name another file with --file.",
    );
    // A pool is found by such a path, too.
    let tree = plain()
        .with("/swap.ghost", "")
        .with(&format!("{POOL}/age"), "");
    std::os::unix::fs::symlink(".", tree.path("/link")).unwrap();
    tree.says("age 7 --pool /link/swap.ghost");
    assert_eq!(tree.read(&format!("{POOL}/age")), "7");
}

#[test]
fn words_of_fstab_and_of_a_shell_are_escaped() {
    let mountinfo = "64 63 0:53 / /my\\040swap.ghost rw - ghostswap file rw,limit=67108864\n";
    let swaps = "Filename Type Size Used Priority\n/my\\040swap.ghost file 1024 0 -1\n";
    let tree = plain()
        .with("/proc/self/mountinfo", mountinfo)
        .with("/proc/swaps", swaps);
    tree.finds(
        "fstab: /my swap.ghost is gone after the next boot",
        "Add the lines: /my\\040swap.ghost  /my\\040swap.ghost  ghostswap  defaults  0  0, \
         and /my\\040swap.ghost  none  swap  defaults  0  0",
    );
    let tree = tree.with("/proc/swaps", "Filename Type Size Used Priority\n");
    tree.finds(
        "area: /my swap.ghost is mounted, but not swapped on",
        "Run swapon '/my swap.ghost'.",
    );
    let full = tree.with(&format!("{POOL}/limit_bytes"), "99999999999\n");
    full.finds(
        "memory: the limit of /my swap.ghost is 93.1 GiB, more than the 990 MiB of RAM",
        "Set a limit that fits: mount -o remount,limit=50% '/my swap.ghost'.",
    );
}

#[test]
fn an_estimate_that_fails_names_what_it_is_of() {
    let tree = Tree::empty()
        .with("/empty", "")
        .with("/page", &"x".repeat(4096));
    let path = |name: &str| tree.path(name).display().to_string();
    let file = "Name a file that can be read; a program is named by --pid.";
    let (page, none, empty) = (path("/page"), path("/none"), path("/empty"));
    tree.refuses(
        &format!("estimate {page} {none}"),
        &format!("{none}: No such file or directory"),
        file,
    );
    tree.refuses("estimate /", "/: is a directory", file);
    tree.refuses(
        &format!("estimate {empty}"),
        &format!("{empty}: there are no pages to read"),
        "Name programs that run, or files of at least a page; to read the memory of others' \
         programs, run it as root.",
    );
    // As no process has.
    tree.refuses(
        "estimate -p 4294967295",
        "process 4294967295: No such file or directory",
        "Name a program that runs; to read the memory of others' programs, run it as root.",
    );
    let text = tree.says(&format!("estimate {page}"));
    assert!(
        text.starts_with("1 page, 0.0 MiB\nof one word: 1 page, which would take no memory\n"),
        "{text}"
    );
}

#[test]
fn what_is_left_of_a_setup_is_told() {
    bare().with("/swap.ghost", &own_page()).refuses(
        "setup",
        "/swap.ghost is left of a setup that did not come to its end",
        "Take it back first: ghostswapctl setup --undo --file /swap.ghost",
    );
    bare().with("/swap.ghost", "").refuses(
        "setup",
        "/swap.ghost exists already, and setup did not make it",
        "Remove it, or name another file with --file.",
    );
}

#[test]
fn a_dry_run_of_undo_says_what_goes() {
    let page = own_page();
    let tree = plain()
        .with(
            "/etc/fstab",
            &format!("/dev/sda1 / ext4 defaults 0 1\n{FSTAB}"),
        )
        .with("/swap.ghost", &page);
    let mut lines = FSTAB.lines();
    let expected = format!(
        "swapoff /swap.ghost\numount /swap.ghost\n# These lines of /etc/fstab go:\n#   {}\n#   {}\n#   {}\nrm /swap.ghost\n",
        lines.next().unwrap(),
        lines.next().unwrap(),
        lines.next().unwrap()
    );
    assert_eq!(tree.says("setup --undo --dry-run"), expected);
    // What has no label is not ours.
    let other = plain().with("/swap.ghost", &page.replace("ghostswapctl", "ghost"));
    other.refuses(
        "setup --undo --dry-run",
        "/swap.ghost: setup did not make that",
        "Name what it made with --file, or swapoff, umount and remove the file, and its lines in /etc/fstab, by hand.",
    );
}

#[test]
fn a_check_of_what_works_finds_nothing() {
    assert_eq!(
        store()
            .with("/etc/fstab", FSTAB)
            .with(&format!("{POOL}/returned_pages"), "0\n")
            .says("check"),
        "\
ok      permissions: this process may mount, swap on and give orders
ok      kernel: 7.3.4
ok      module: loaded
ok      area: /swap.ghost, 1.0 GiB
ok      priority: no other swap area comes before
ok      zswap: off
ok      fstab: /swap.ghost is there for the next boot
ok      memory: /swap.ghost has 2.0 MiB of its limit of 64.0 MiB
ok      store: /dev/loop0, 4.0 MiB of 30.0 MiB
"
    );
}

#[test]
fn a_check_finds_why_it_does_not_work() {
    let osrelease = "/proc/sys/kernel/osrelease";
    let module = "/sys/module/ghostswap";
    let gone = || bare().without(module).with("/proc/filesystems", "\text4\n");
    bare().with(osrelease, "6.12.1\n").finds(
        "kernel: 6.12.1 is older than 7.3",
        "Boot Linux 7.3 or later.",
    );
    bare().with("/proc/self/status", "CapEff:\t0000000000000000\n").finds(
        "permissions: this process may look, but neither mount nor give orders",
        "Run ghostswapctl as root, for instance with sudo. In a container it has no rights to swap.",
    );
    bare().finds("area: no ghost file is mounted", "Run ghostswapctl setup.");
    bare()
        .with("/etc/fstab", FSTAB)
        .with("/swap.ghost", &"x".repeat(4095))
        .finds(
            "fstab: /swap.ghost has 4,095 bytes, and a ghost file has 4,096",
            "Make it anew with scripts/mkghost, or swapon it as it is if it is a real swapfile.",
        );
    gone().finds(
        "module: not there",
        "Install the package ghostswap-dkms, or build it with make, and make install: see the README.",
    );
    gone().with("/boot/config-7.3.4", "# CONFIG_RUST is not set\n").finds(
        "module: not there, and this kernel was built without CONFIG_RUST",
        "Boot a kernel that has it, such as Debian's of trixie-backports, and build the module for that.",
    );
    gone()
        .with("/lib/modules/7.3.4/updates/ghostswap.ko", "")
        .finds(
            "module: in /lib/modules/7.3.4/updates, but modprobe does not know it",
            "Run depmod -a.",
        );
    for file in ["ghostswap.ko", "dkms/ghostswap.ko.xz"] {
        gone().with(&format!("/lib/modules/7.3.3/updates/{file}"), "").finds(
            "module: built for 7.3.3, and not for this kernel",
            "Build it for 7.3.4: dkms autoinstall -k 7.3.4, or make and make install. Or boot the other kernel.",
        );
    }
    let there = gone().with(
        "/lib/modules/7.3.4/modules.dep",
        "updates/ghostswap.ko: kernel/mm/zsmalloc.ko\n",
    );
    assert!(there
        .run("check")
        .out
        .contains("ok      module: there; mount loads it\n"));
}

#[test]
fn a_check_finds_what_is_in_the_way() {
    let zswap = "/sys/module/zswap/parameters/enabled";
    let swaps = "Filename Type Size Used Priority\n/swap.ghost file 1048572 0 5\n";
    plain().with(zswap, "Y\n").finds(
        "zswap: it is on, and compresses pages that are compressed again",
        "Boot with zswap.enabled=0, or echo N >/sys/module/zswap/parameters/enabled.",
    );
    plain().with("/proc/swaps", &format!("{swaps}/dev/zram0 partition 4 0 100\n")).finds(
        "priority: /dev/zram0 (100) is filled before /swap.ghost (5)",
        "Run swapoff /dev/zram0, and make it a store with \"ghostswapctl add-store\" if it is a file or a partition; \
         or give /swap.ghost a higher pri= in /etc/fstab.",
    );
    plain().with("/proc/sys/vm/swappiness", "0\n").finds(
        "vm.swappiness: 0, so hardly anything is swapped out",
        "Set it to 60 or more: sysctl vm.swappiness=100, and in /etc/sysctl.d for each boot.",
    );
    plain()
        .with("/proc/swaps", "Filename Type Size Used Priority\n")
        .finds(
            "area: /swap.ghost is mounted, but not swapped on",
            "Run swapon /swap.ghost.",
        );
    plain().finds(
        "fstab: /swap.ghost is gone after the next boot",
        "Add the lines: /swap.ghost  /swap.ghost  ghostswap  defaults  0  0, and /swap.ghost  none  swap  defaults  0  0",
    );
    let mut lines: Vec<_> = FSTAB.lines().collect();
    lines.swap(1, 2);
    plain().with("/etc/fstab", &lines.join("\n")).finds(
        "fstab: /swap.ghost is swapped on before it is mounted",
        "Put the line of the mount before that of the swap.",
    );
    plain()
        .with(
            "/etc/fstab",
            &format!("{FSTAB}/dev/loop0 none swap defaults 0 0\n"),
        )
        .finds(
            "fstab: /dev/loop0 is a store of /swap.ghost, and swapped on by itself",
            "Take its line of swap out: it can be only one of them.",
        );
    store()
        .with("/etc/fstab", &FSTAB.replace("backing=/dev/loop0,", ""))
        .finds(
            "fstab: the store /dev/loop0 is gone after the next boot",
            "Add backing=/dev/loop0 to the options of /swap.ghost, or run ghostswapctl add-store /dev/loop0 if setup made that line.",
        );
}

#[test]
fn a_check_finds_what_pools_suffer_from() {
    let plain = |file: &str, text: &str| plain().with(&format!("{POOL}/{file}"), text);
    let store = |file: &str, text: &str| store().with(&format!("{POOL}/{file}"), text);
    plain("limit_bytes", "99999999999\n").finds(
        "memory: the limit of /swap.ghost is 93.1 GiB, more than the 990 MiB of RAM",
        "Set a limit that fits: mount -o remount,limit=50% /swap.ghost.",
    );
    plain("pool_bytes", "66000000\n").finds(
        "memory: /swap.ghost has 63.0 MiB of its limit of 64.0 MiB",
        "Add a store with \"ghostswapctl add-store\", or raise the limit: mount -o remount,limit=... /swap.ghost.",
    );
    plain("failed_stores_limit", "5000\n").finds(
        "refused: /swap.ghost refused a page 5,000 times, because it was at its limit",
        "Add a store with \"ghostswapctl add-store\", raise the limit, or make the area smaller.",
    );
    plain("failed_stores_memory", "5000\n").finds(
        "refused: /swap.ghost refused a page 5,000 times, because no memory was free",
        "Let reclaim begin earlier: sysctl vm.watermark_scale_factor=100, or raise vm.min_free_kbytes.",
    );
    plain("incompressible_pages", "3000\n").finds(
        "contents: more than half of what /swap.ghost has in RAM does not get smaller",
        "Keep the program that has it from swapping (memory.swap.max), or add a store.",
    );
    plain("failed_loads", "1\n").finds(
        "faults: /swap.ghost could not load a page, once",
        "A disk fails, or it is a bug: see the kernel's log, and keep it for a report.",
    );
    store("lost_pages", "1\n").finds(
        "faults: /swap.ghost lost 1 page with a store that was given up",
        "Programs that needed them were ended (SIGBUS): start them anew.",
    );
    store("lost_pages", "7\n").finds(
        "faults: /swap.ghost lost 7 pages with a store that was given up",
        "Programs that needed them were ended (SIGBUS): start them anew.",
    );
    store("returned_pages", "9999\n").finds(
        "contents: more than one in 8 pages that /swap.ghost writes is needed soon after",
        "Programs need more memory than there is: end some, raise the limit, or add RAM.",
    );
    store("backing0/state", "closed\n").finds(
        "store: /dev/loop0 takes no more pages, after errors",
        "Mend the disk, then write its path to reopen_backing; or \"ghostswapctl remove-store\" it.",
    );
    store("backing0/read_errors", "2\n").finds(
        "store: /dev/loop0 has 0 errors of writes and 2 of reads",
        "Look at the disk (dmesg, smartctl), and take it out with \"ghostswapctl remove-store\".",
    );
    store("backing0/write_errors", "1\n").finds(
        "store: /dev/loop0 has 1 error of writes and 0 of reads",
        "Look at the disk (dmesg, smartctl), and take it out with \"ghostswapctl remove-store\".",
    );
    store("backing0/sealed_segments", "5000\n").finds(
        "store: /dev/loop0 is nearly full",
        "Add another one with \"ghostswapctl add-store\".",
    );
}

#[test]
fn each_command_has_a_man_page_and_completions() {
    let tree = Tree::empty();
    tree.says(&format!("documents {}", tree.0.display()));
    let help = tree.says("help");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names: Vec<_> = commands
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(names.contains(&"status") && !names.contains(&"documents"));
    for name in names.into_iter().filter(|name| *name != "help") {
        let page = tree.read(&format!("/man/ghostswapctl-{name}.8"));
        assert!(
            page.contains(&format!(".TH ghostswapctl-{name} 8")),
            "{page}"
        );
        for shell in ["ghostswapctl.bash", "_ghostswapctl", "ghostswapctl.fish"] {
            assert!(tree.read(&format!("/completions/{shell}")).contains(name));
        }
    }
    assert!(tree
        .read("/man/ghostswapctl.8")
        .contains("ghostswapctl\\-status(8)"));
}

#[test]
fn a_write_limit_is_shown_with_what_counts_for_it() {
    let tree = store();
    let file = format!("{POOL}/backing0/write_limit");
    assert!(!tree.says("status").contains("today"));
    assert!(!tree.says("metrics").contains("write_limit"));
    let tree = tree.with(&file, "10485760\n");
    let text = tree.says("status");
    assert!(text.contains("open, 7.7 MiB of 10.0 MiB today"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&tree.says("status --json")).unwrap();
    assert_eq!(json["pools"][0]["backing"][0]["write_limit"], 10_485_760);
    let metrics = tree.says("metrics");
    let metric = "\nghostswap_store_write_limit_bytes{";
    assert!(metrics.contains(metric), "{metrics}");
}
