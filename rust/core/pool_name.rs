// SPDX-License-Identifier: GPL-2.0

//! What a pool may be called: the name is a folder in sysfs and a word in `/proc/mounts`, so it
//! must need no escaping in either.

use super::fmt;

/// The longest name, in bytes.
pub const MAX: usize = 32;

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolNameError {
    /// It has no characters.
    Empty,
    /// It has more than [`MAX`] bytes.
    TooLong,
    /// It begins with a dot.
    Hidden,
    /// It has characters that may need escaping.
    Characters,
}

/// Prints words that follow "the name".
impl fmt::Display for PoolNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => write!(f, "is longer than {MAX} characters"),
            Self::Hidden => f.write_str("begins with a dot"),
            Self::Characters => {
                f.write_str("has characters other than letters, digits, '_', '.' and '-'")
            }
        }
    }
}

/// Checks that a pool may be called `name`.
///
/// # Examples
///
/// ```
/// use ghostswap_core::pool_name::{check, PoolNameError};
///
/// assert_eq!(check(b"web-01.pool"), Ok(()));
/// assert_eq!(check(b"a/b"), Err(PoolNameError::Characters));
/// ```
pub fn check(name: &[u8]) -> Result<(), PoolNameError> {
    if name.is_empty() {
        Err(PoolNameError::Empty)
    } else if name.len() > MAX {
        Err(PoolNameError::TooLong)
    } else if name[0] == b'.' {
        Err(PoolNameError::Hidden)
    } else if !name
        .iter()
        .all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(c))
    {
        Err(PoolNameError::Characters)
    } else {
        Ok(())
    }
}
