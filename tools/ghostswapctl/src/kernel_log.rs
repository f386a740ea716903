// SPDX-License-Identifier: GPL-2.0

//! What the module says in the kernel's log, which has the reason where an errno is not enough.

use crate::root::Root;
use rustix::fs::OFlags;
use std::{
    fs::{
        File,
        OpenOptions, //
    },
    io::{
        ErrorKind,
        Read,
        Seek,
        SeekFrom, //
    },
    os::unix::fs::OpenOptionsExt,
};

/// A place in the log, from which on it is read.
pub struct KernelLog(Option<File>);

impl KernelLog {
    /// The end of the log as it is now. Without the right to read it, nothing will be found.
    pub fn from_now(root: &Root) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(root.path("/dev/kmsg"));
        Self(file.ok().and_then(|mut file| {
            file.seek(SeekFrom::End(0)).ok()?;
            Some(file)
        }))
    }

    /// What the module said since: the last line, without its name.
    pub fn reason(mut self) -> Option<String> {
        let file = self.0.as_mut()?;
        let mut reason = None;
        // A read returns one record, or fails if there is no other one.
        let mut record = [0; 8192];
        loop {
            match file.read(&mut record) {
                Ok(length @ 1..) => {
                    let record = String::from_utf8_lossy(&record[..length]);
                    reason = message(&record).or(reason);
                }
                // Records were lost before this one was read; the next read returns the first there is.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => (),
                _ => return reason,
            }
        }
    }
}

/// What to do about a reason that the module gives, if more can be said than it says.
pub fn remedy(reason: &str) -> Option<&'static str> {
    let is_part = |(part, _): &&(&str, _)| reason.contains(part);
    REMEDIES.iter().find(is_part).map(|(_, remedy)| *remedy)
}

/// Parts of what the module says, and what to do.
const REMEDIES: [(&str, &str); 10] = [
    ("is in use, by swap", "Swap it off, unmount it, and take it out of /etc/fstab as swap; or it is a store already, by another name."),
    ("make one with mkswap", "Run mkswap on it; what is there is lost by that."),
    ("has holes", "Make it with fallocate and mkswap; on btrfs with \"chattr +C\" before it has content."),
    ("the pool has 8 stores", "Remove one first, with \"ghostswapctl remove-store\"."),
    ("gcm(aes)", "Load the kernel's modules gcm and aes, or mount with encrypt=off."),
    ("is smaller than 8 MiB", "Make it larger, and run mkswap on it."),
    ("is read-only", "Make it writable, or take another one."),
    ("its swap header says", "Run mkswap on it anew; what is there is lost by that."),
    ("given up", "Give the order again when its device answers."),
    ("is being removed", "Add it again, so that it stays."),
];

/// The module's message in a record, as in `Documentation/ABI/testing/dev-kmsg`.
fn message(record: &str) -> Option<String> {
    let (_, text) = record.split_once(';')?;
    let line = text.lines().next()?;
    Some(line.strip_prefix("ghostswap: ")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        path::Path, //
    };

    /// The text of all files below `directory`.
    fn source(directory: &Path) -> String {
        let entries = fs::read_dir(directory).unwrap();
        let texts = entries.map(|entry| match entry.unwrap().path() {
            path if path.is_dir() => source(&path),
            path => fs::read_to_string(path).unwrap(),
        });
        texts.collect()
    }

    #[test]
    fn the_module_says_what_has_a_remedy() {
        let source = source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rust"));
        let code = source.lines().filter(|line| !line.trim().starts_with("//"));
        let code: String = code.collect();
        for (part, _) in REMEDIES {
            assert!(code.contains(part), "the module does not say \"{part}\"");
            assert_eq!(
                REMEDIES
                    .iter()
                    .filter(|(other, _)| part.contains(other))
                    .count(),
                1,
                "{part}: another part is in it"
            );
        }
        let reason = "backing=/x: no swap header (make one with mkswap)";
        assert_eq!(
            remedy(reason),
            Some("Run mkswap on it; what is there is lost by that.")
        );
        assert_eq!(remedy("limit=0: must be more than 0"), None);
    }

    #[test]
    fn a_message_is_found_in_its_record() {
        let record = "4,339,5140900,-;ghostswap: backing=/x: not found\n SUBSYSTEM=acpi\n";
        assert_eq!(message(record).as_deref(), Some("backing=/x: not found"));
        assert_eq!(message("6,1,2,-;Linux version 7.3; ghostswap: no"), None);
    }
}
