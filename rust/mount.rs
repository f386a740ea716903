// SPDX-License-Identifier: GPL-2.0

//! What a user has in hand: the filesystem, its options, and the files in sysfs.

pub(crate) mod filesystem;
pub(crate) mod options;
pub(crate) mod registry;
pub(crate) mod sysfs;
