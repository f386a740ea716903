// SPDX-License-Identifier: GPL-2.0

//! What a pool may be called: the name is a folder in sysfs and a word in `/proc/mounts`, so it
//! must need no escaping in either.

/// The longest name, in bytes.
pub const MAX: usize = 32;

/// Why a name is refused, for the log; [`None`] if it is fine.
pub fn problem(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > MAX {
        Some("is longer than 32 characters")
    } else if name[0] == b'.' {
        Some("begins with a dot")
    } else if !name
        .iter()
        .all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(c))
    {
        Some("has characters other than letters, digits, '_', '.' and '-'")
    } else {
        None
    }
}
