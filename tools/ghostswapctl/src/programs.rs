// SPDX-License-Identifier: GPL-2.0

//! Programs of the system that setup runs: mount, swapon and the like.

use crate::{
    failure::{
        plain,
        Failure,
        Result, //
    },
    kernel_log::{
        self,
        KernelLog, //
    },
    root::Root,
};
use std::{
    env,
    process::Command, //
};

/// Where programs are that only root has in the path.
const FOR_ROOT: &str = "/usr/sbin:/sbin";

/// `words` as a command, also where only root looks for programs.
pub fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    // An empty part of a path would be the working directory.
    let path = match env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:{FOR_ROOT}"),
        _ => FOR_ROOT.to_owned(),
    };
    // What programs say is looked at.
    command
        .args(&words[1..])
        .env("LC_ALL", "C")
        .env("PATH", path);
    command
}

/// Runs a program; if it fails, the reason is the module's, if it gives one.
pub fn run(root: &Root, words: &[String]) -> Result {
    let log = KernelLog::from_now(root);
    let output = command(words).output().map_err(|error| {
        Failure::new(
            format!("{}: {}", words[0], plain(&error)),
            format!(
                "Install {}: on Debian it is in the package mount.",
                words[0]
            ),
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let reason = log.reason();
    let remedy = if said.contains("unknown filesystem type") {
        "The module is not there: \"ghostswapctl check\" says more."
    } else if words[0] == "swapoff" {
        "What is swapped out does not fit into memory: end some programs first. Nothing was taken back yet."
    } else if words[0] == "umount" {
        "A process has the file open (fuser), or it is swapped on by another name: swapoff it first."
    } else {
        reason.as_deref().and_then(kernel_log::remedy).unwrap_or(
            "Nothing is left of it. See the kernel's log (dmesg), and \"What to do when\" in the admin guide.",
        )
    };
    Err(Failure::new(
        format!("{}: {}", shell(words), reason.unwrap_or(said)),
        remedy,
    ))
}

/// Has systemd read fstab anew, of which it made units.
pub const RELOAD_SYSTEMD: [&str; 2] = ["systemctl", "daemon-reload"];

/// Returns whether systemd runs the system.
pub fn has_systemd(root: &Root) -> bool {
    root.has("/run/systemd/system")
}

/// Does as [`RELOAD_SYSTEMD`] says, if there is a systemd. It reads fstab at each boot, so a failure is no
/// matter.
pub fn reload_systemd(root: &Root) {
    if has_systemd(root) && !root.is_copy() {
        let _ = command(&RELOAD_SYSTEMD.map(str::to_owned)).status();
    }
}

/// A command line for a shell.
pub fn shell(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

/// A word for a shell.
pub fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/.,:=_-+%@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell_are_quoted() {
        assert_eq!(quote("/swap.ghost"), "/swap.ghost");
        assert_eq!(quote("/a b"), "'/a b'");
        assert_eq!(quote("it's"), "'it'\\''s'");
        assert_eq!(quote(""), "''");
    }
}
