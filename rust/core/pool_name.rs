// SPDX-License-Identifier: GPL-2.0

//! What a pool may be called: the name is a folder in sysfs and a word in `/proc/mounts`, so it
//! must need no escaping in either.

use super::fmt::{
    self,
    Display,
    Formatter, //
};

/// The longest name, in bytes.
pub const MAX: usize = 32;

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolNameError {
    /// It is empty.
    Empty,
    /// It has more than [`MAX`] bytes.
    TooLong,
    /// It begins with a dot.
    Dot,
    /// It has a character that it may not have.
    Character,
}

/// Why, for the log, in words that follow "the name".
impl Display for PoolNameError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PoolNameError::Empty => "is empty",
            PoolNameError::TooLong => "is longer than 32 characters",
            PoolNameError::Dot => "begins with a dot",
            PoolNameError::Character => {
                "has characters other than letters, digits, '_', '.' and '-'"
            }
        })
    }
}

/// Checks that a pool may be called `name`.
pub fn check(name: &[u8]) -> Result<(), PoolNameError> {
    if name.is_empty() {
        Err(PoolNameError::Empty)
    } else if name.len() > MAX {
        Err(PoolNameError::TooLong)
    } else if name[0] == b'.' {
        Err(PoolNameError::Dot)
    } else if !name
        .iter()
        .all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(c))
    {
        Err(PoolNameError::Character)
    } else {
        Ok(())
    }
}
