// SPDX-License-Identifier: GPL-2.0

//! What `fit` would do, and what setup, undo and check say of the files that it adds.

use super::{
    own_page,
    tree::{
        bare,
        plain,
        Tree,
        FSTAB,
        POOL, //
    },
};

const RULE: &str = "/usr/lib/udev/rules.d/60-ghostswap.rules";

/// Areas of so many KiB, and how much is in use of them: `/swap.ghost` and those added to it. They are of
/// the pool `web`, which can hold so many MiB. Setup made the first.
fn fitted(areas: &[(u32, u32)], capacity: u64) -> Tree {
    let from = plain();
    let mut tree = plain().without(POOL);
    for file in std::fs::read_dir(from.path(POOL)).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let content = from.read(&format!("{POOL}/{name}"));
        tree = tree.with(&format!("/sys/fs/ghostswap/web/{name}"), &content);
    }
    let mut mounts = String::new();
    let mut swaps =
        String::from("Filename Type Size Used Priority\n/dev/sdb1 partition 1024 0 5\n");
    for (number, (size, used)) in areas.iter().enumerate() {
        let path = match number {
            0 => "/swap.ghost".to_owned(),
            _ => format!("/swap.ghost.{number}"),
        };
        mounts.push_str(&format!(
            "64 63 0:{number} / {path} rw,relatime - ghostswap {path} rw,comp=wlz,pool=web\n"
        ));
        swaps.push_str(&format!("{path} file {size} {used} {}\n", 100 - number));
        tree = tree.with(&path, &own_page());
    }
    tree.with("/proc/self/mountinfo", &mounts)
        .with("/proc/swaps", &swaps)
        .with("/etc/fstab", &FSTAB.replace("backing=/dev/loop0,", ""))
        .with(
            "/sys/fs/ghostswap/web/capacity_bytes",
            &format!("{}\n", capacity << 20),
        )
}

#[test]
fn what_is_missing_comes() {
    assert_eq!(
        fitted(&[(65532, 12288)], 100).says("fit --dry-run"),
        "\
# web has slots for 64.0 MiB, and 100 MiB can be held.
truncate -s 37748736 /swap.ghost.1
chmod 600 /swap.ghost.1
mkswap -L ghostswapctl /swap.ghost.1
truncate -s 4096 /swap.ghost.1
mount -t ghostswap -o pool=web /swap.ghost.1 /swap.ghost.1
swapon -p 99 /swap.ghost.1
"
    );
    assert_eq!(
        fitted(&[(65532, 12288)], 70).says("fit --dry-run --pool web"),
        "web has slots for 64.0 MiB, and 70.0 MiB can be held: nothing is to be done.\n"
    );
}

#[test]
fn what_is_empty_goes() {
    let areas = [(65532, 60000), (32764, 0), (32764, 0)];
    assert_eq!(
        fitted(&areas, 90).says("fit --dry-run"),
        "\
# web has slots for 128 MiB, and 90.0 MiB can be held.
swapoff /swap.ghost.2
umount /swap.ghost.2
rm /swap.ghost.2
"
    );
    // What fit did not make stays: it is of another label, or setup made it by itself.
    let page = own_page().replace("ghostswapctl", "ghost");
    let other = fitted(&areas[..2], 64).with("/swap.ghost.1", &page);
    assert!(other
        .says("fit --dry-run")
        .ends_with("nothing is to be done.\n"));
    let fstab = FSTAB.to_owned() + &FSTAB.replace("/swap.ghost", "/swap.ghost.1");
    let other = fitted(&areas[..2], 64).with("/etc/fstab", &fstab);
    assert!(other
        .says("fit --dry-run")
        .ends_with("nothing is to be done.\n"));
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    fitted(&[(65532, 0)], 100).refuses(
        "fit",
        "GHOSTSWAP_ROOT names a copy, where nothing can be mounted",
        "Unset it, or give --dry-run.",
    );
    plain().refuses(
        "fit --dry-run",
        "/swap.ghost has no ghost file on that setup made",
        "Make one with \"ghostswapctl setup\", and swap it on.",
    );
    plain().with("/swap.ghost", &own_page()).with(&format!("{POOL}/capacity_bytes"), "9999999999\n").refuses(
        "fit --dry-run",
        "the pool of /swap.ghost has no name, by which other ghost files could share it",
        "Add pool=swap to its options in /etc/fstab; swap it off, unmount it, and \"mount -a && swapon -a\".",
    );
}

#[test]
fn setup_leaves_room_for_what_is_added() {
    let tree = bare().with(RULE, "");
    let text = tree.says("setup --dry-run");
    assert!(
        text.contains("Its area has 198 MiB = 1 x (limit 198 MiB + 2/3 of stores 0 bytes)."),
        "{text}"
    );
    assert!(
        text.ends_with("\nghostswapctl fit --pool /swap.ghost\n"),
        "{text}"
    );
    // A name that another pool has is not taken.
    let taken = bare().with("/sys/fs/ghostswap/swap.ghost/comp", "wlz\n");
    assert!(taken
        .says("setup --dry-run")
        .contains(" -o pool=swap.ghost-2 "));
}

#[test]
fn undo_takes_back_what_was_added() {
    let tree = fitted(&[(65532, 0), (32764, 0)], 96)
        // Left of the time before a boot, and of somebody else.
        .with("/swap.ghost.7", &own_page())
        .with("/swap.ghost.8", "mine");
    let text = tree.says("setup --undo --dry-run");
    let commands: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        commands,
        [
            "swapoff /swap.ghost.1",
            "umount /swap.ghost.1",
            "swapoff /swap.ghost",
            "umount /swap.ghost",
            "rm /swap.ghost.7",
            "rm /swap.ghost.1",
            "rm /swap.ghost"
        ]
    );
}

#[test]
fn a_check_says_whether_areas_fit() {
    let areas = [(65532, 0), (32764, 0)];
    let well = fitted(&areas, 96).says("check");
    assert!(well.contains("ok      fstab: /swap.ghost is there for the next boot"));
    assert!(!well.contains("/swap.ghost.1 is"), "{well}");
    let finding = "size: web has slots for 96.0 MiB, and 200 MiB can be held";
    fitted(&areas, 200).finds(
        finding,
        "Run ghostswapctl fit, or have udev do it: install 60-ghostswap.rules, see the admin guide.",
    );
    fitted(&areas, 200).with(RULE, "").finds(
        finding,
        "udev has not run ghostswapctl fit yet: run it, or see udev's log.",
    );
}
