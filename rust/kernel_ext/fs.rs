// SPDX-License-Identifier: GPL-2.0

//! Filesystems of one file, their options, files that the kernel opens, and sysfs.

pub(crate) mod file;
pub(crate) mod fs_context;
pub(crate) mod kobject;
pub(crate) mod registration;
mod root_file;
pub(crate) mod single_file;
