// SPDX-License-Identifier: GPL-2.0

//! Memory that the codec works with.

use super::{
    super::PAGE_SIZE,
    format::WORDS, //
};

/// Bytes of a [`Buffer`].
pub const BUFFER: usize = 2 * PAGE_SIZE;

/// Room for an object, and to put it together. An object is in its first half.
///
/// ```text
///  0           4096      4608       5120        5632                           8184  8192
///  |- object -|- tags -|- misses -|- missed -|          ...       |- distances -|    |
///  |- object -|- tokens -> ...                                                       |
/// ```
pub type Buffer = [u8; BUFFER];

/// Where the last byte is, and where the last eight begin.
pub(super) const LAST_BYTE: usize = BUFFER - 1;
pub(super) const LAST_EIGHT: usize = BUFFER - 8;

/// Where tags are, one in each byte.
pub(super) const TAGS: usize = PAGE_SIZE;

/// Where those are that are not predicted, one in each byte.
pub(super) const MISSES: usize = TAGS + WORDS;

/// Where there is, for each tag, a byte of 1 if it is not predicted, and of 0 if it is.
pub(super) const MISSED: usize = MISSES + WORDS;

/// Where distances end; they are written from there down. Eight bytes can be loaded where the last one is.
pub(super) const DISTANCES_END: usize = LAST_EIGHT;

/// Where tokens begin.
pub(super) const TOKENS: usize = PAGE_SIZE;

/// Tables, and tags of an object that is decompressed. What they hold from before does not matter.
pub struct Workspace {
    /// Tags times 8.
    pub(super) tags: [u8; WORDS],
    /// Those that are not predicted, times 8. Eight are written at once.
    pub(super) missed: [u8; WORDS + 8],
    /// Where something was seen, by its hash.
    pub(super) table: [u16; 1024],
}

impl Workspace {
    /// New memory.
    pub const fn new() -> Self {
        Self {
            tags: [0; WORDS],
            missed: [0; WORDS + 8],
            table: [0; 1024],
        }
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}
