// SPDX-License-Identifier: GPL-2.0

//! What add-store and remove-store make of fstab.

use crate::tree::{
    store,
    Tree,
    FSTAB,
    POOL, //
};

/// Lines of others around ours.
const OTHERS: &str = "# \u{e4}\n/dev/sda1\t/ ext4 defaults 0 1\n\n";

/// A pool with a store that takes orders, and this fstab.
fn tree(fstab: &str) -> Tree {
    store()
        .with("/etc/fstab", fstab)
        .with(&format!("{POOL}/add_backing"), "")
        .with(&format!("{POOL}/remove_backing"), "")
        .with("/run/systemd/system/x", "")
        .with("/x", "")
        .with("/x,y", "")
        .with("/a b", "")
}

/// The same with what setup makes for a pool with a store.
fn ours() -> String {
    let setup = FSTAB.replace("loop0,nofail", "loop0,nofail,x-systemd.requires=/dev/loop0");
    format!("{OTHERS}{setup}")
}

const ADDED: &str = "/x is a backing store of pool 0:53 now.\n";
const REMOVED: &str = "/dev/loop0 is free: it can be used for something else.\n";

#[test]
fn a_store_is_put_into_our_line_and_taken_out() {
    let tree = tree(&ours());
    assert_eq!(
        tree.says("add-store /x"),
        format!(
            "{ADDED}For each boot, the line of /swap.ghost in /etc/fstab has backing=/x now.\n"
        )
    );
    let added = ours()
        .replace(",nofail,x", ",backing=/x,nofail,x")
        .replace("loop0  0", "loop0,x-systemd.requires-mounts-for=/x  0");
    assert_eq!(tree.read("/etc/fstab"), added);
    // It is a matter of fstab alone now.
    assert_eq!(
        tree.says("add-store /x"),
        format!("{ADDED}/etc/fstab names it for each boot already.\n")
    );
    assert_eq!(tree.read("/etc/fstab"), added);
    assert_eq!(
        tree.says("remove-store /dev/loop0"),
        format!("{REMOVED}The line of /swap.ghost in /etc/fstab does not have it any more.\n")
    );
    let removed = added
        .replace("backing=/dev/loop0,", "")
        .replace("x-systemd.requires=/dev/loop0,", "");
    assert_eq!(tree.read("/etc/fstab"), removed);
    // And undo knows the lines.
    let gone = tree.with("/swap.ghost", &crate::own_page());
    let text = gone.says("setup --undo --dry-run");
    assert_eq!(text.matches("\n#   ").count(), 3, "{text}");
}

#[test]
fn a_store_of_another_name_is_known() {
    let tree = tree(&ours().replace("/dev/loop0", "/dev/disk/by-uuid/1-2")).with("/dev/loop0", "");
    let by_uuid = tree.path("/dev/disk/by-uuid");
    std::fs::create_dir_all(&by_uuid).unwrap();
    std::os::unix::fs::symlink("../../loop0", by_uuid.join("1-2")).unwrap();
    tree.says("remove-store /dev/loop0");
    let left = ours()
        .replace("backing=/dev/loop0,", "")
        .replace(",x-systemd.requires=/dev/loop0", "");
    assert_eq!(tree.read("/etc/fstab"), left);
}

#[test]
fn a_path_with_a_space_is_escaped() {
    let fstab = "/etc/fstab";
    let file = format!("{POOL}/add_backing");
    let tree = tree(&ours());
    let output = tree.command("add-store").arg("/a b").output().unwrap();
    assert!(output.status.success());
    assert_eq!(tree.read(&file), "/a b");
    let text = tree.read(fstab);
    assert!(text.contains(",backing=/a\\040b,nofail,"), "{text}");
    assert!(
        text.contains(",x-systemd.requires-mounts-for=/a\\040b  0  0\n"),
        "{text}"
    );
    let path = format!("{POOL}/backing0/path");
    let tree = tree.with(&path, "/a b\n");
    let output = tree.command("remove-store").arg("/a b").output().unwrap();
    assert!(output.status.success());
    assert_eq!(tree.read(fstab), ours());
}

#[test]
fn other_lines_stay() {
    let with = |fstab: &str, arguments: &str, said: &str| {
        let tree = tree(fstab);
        assert_eq!(tree.says(arguments), said, "{arguments} of {fstab}");
        assert_eq!(tree.read("/etc/fstab"), fstab);
    };
    // Without its mark, no line is ours.
    let ours = ours();
    let others = ours.replace("# Made", "# made");
    with(
        &others,
        "add-store /x",
        &format!(
            "{ADDED}For each boot, add backing=/x to the options of /swap.ghost in /etc/fstab, \
             a line that setup did not make.\n"
        ),
    );
    with(
        &others,
        "remove-store /dev/loop0",
        &format!(
            "{REMOVED}Take backing=/dev/loop0 out of the options of /swap.ghost in /etc/fstab, \
             a line that setup did not make, or it comes back.\n"
        ),
    );
    with(
        OTHERS,
        "add-store /x",
        &format!(
            "{ADDED}It is gone after the next boot, as is /swap.ghost: /etc/fstab has no line of that.\n"
        ),
    );
    with(OTHERS, "remove-store /dev/loop0", REMOVED);
    with(&ours, "add-store --no-fstab /x", ADDED);
    with(&ours, "remove-store --no-fstab /dev/loop0", REMOVED);
    // Of another ghost file.
    let another = ours.replace("/swap.ghost", "/other.ghost");
    with(&another, "remove-store /dev/loop0", REMOVED);
    with(
        &ours,
        "add-store /x,y",
        "/x,y is a backing store of pool 0:53 now.\n\
         It is gone after the next boot, for /etc/fstab cannot name a path with a comma or quotes.\n",
    );
}

#[test]
fn an_order_that_fails_leaves_fstab() {
    let tree = tree(&ours()).without(&format!("{POOL}/add_backing"));
    assert_eq!(tree.run("add-store /x").status, 1);
    assert_eq!(tree.run("remove-store /y").status, 1);
    assert_eq!(tree.read("/etc/fstab"), ours());
}

#[test]
fn what_an_interrupted_order_left_is_taken_out() {
    // The pool gave the store back, and fstab did not follow.
    let left = |fstab: &str| tree(fstab).without(&format!("{POOL}/backing0"));
    let ours = ours();
    let tree = left(&ours);
    tree.finds(
        "fstab: /swap.ghost has the store /dev/loop0 at the next boot, and not now",
        "Run ghostswapctl remove-store /dev/loop0 to take it out of /etc/fstab, or add-store /dev/loop0.",
    );
    let (none, nothing) = (
        "pool 0:53 has no backing store",
        "There is nothing to remove.",
    );
    tree.refuses("remove-store --no-fstab /dev/loop0", none, nothing);
    tree.refuses("remove-store /x", none, nothing);
    assert_eq!(tree.read("/etc/fstab"), ours);
    let gone = "Pool 0:53 does not have /dev/loop0 any more.\n";
    assert_eq!(
        tree.says("remove-store /dev/loop0"),
        format!("{gone}The line of /swap.ghost in /etc/fstab does not have it any more.\n")
    );
    assert_eq!(
        tree.read("/etc/fstab"),
        ours.replace("backing=/dev/loop0,", "")
            .replace(",x-systemd.requires=/dev/loop0", "")
    );
    assert_eq!(tree.read(&format!("{POOL}/remove_backing")), "");
    tree.refuses("remove-store /dev/loop0", none, nothing);
    // A line that setup did not make stays.
    let others = ours.replace("# Made", "# made");
    let tree = left(&others);
    assert_eq!(
        tree.says("remove-store /dev/loop0"),
        format!(
            "{gone}Take backing=/dev/loop0 out of the options of /swap.ghost in /etc/fstab, \
             a line that setup did not make, or it comes back.\n"
        )
    );
    assert_eq!(tree.read("/etc/fstab"), others);
}

#[test]
fn an_fstab_that_cannot_be_changed_is_told() {
    let tree = tree("").without("/etc/fstab").with("/etc/fstab/x", "");
    for (order, said, remedy) in [
        (
            "add-store /x",
            ADDED,
            "It is as it was, and the store is there until the next boot. For each boot, add backing=/x to the options of \
             /swap.ghost by hand.",
        ),
        (
            "remove-store /dev/loop0",
            REMOVED,
            "It is as it was. If the line of /swap.ghost there has backing=/dev/loop0, take it out by hand, or the store \
             comes back.",
        ),
    ] {
        let result = tree.run(order);
        assert_eq!((result.status, result.out.as_str()), (1, said));
        assert_eq!(
            result.err,
            format!("ghostswapctl: /etc/fstab cannot be changed: Is a directory\n  {remedy}\n")
        );
    }
}
