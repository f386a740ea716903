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

/// The module's message in a record, as in `Documentation/ABI/testing/dev-kmsg`.
fn message(record: &str) -> Option<String> {
    let (_, text) = record.split_once(';')?;
    let line = text.lines().next()?;
    Some(line.strip_prefix("ghostswap: ")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_in_its_record() {
        let record = "4,339,5140900,-;ghostswap: backing=/x: not found\n SUBSYSTEM=acpi\n";
        assert_eq!(message(record).as_deref(), Some("backing=/x: not found"));
        assert_eq!(message("6,1,2,-;Linux version 7.3; ghostswap: no"), None);
    }
}
