// SPDX-License-Identifier: GPL-2.0

//! Filesystems of one file: the root is a regular file, mounted over a regular file, which can be
//! read by root, and swapped on.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::kernel_ext::{
    bindings,
    fs::fs_context::FsLog,
    mm::swap::Hooks, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    types::ForeignOwnable, //
};

/// A type of filesystem. `self` is what all mounts of the type share.
pub(crate) trait FileSystem: Send + Sync + Sized + 'static {
    /// Its name, as in `mount -t`.
    const NAME: &'static CStr;
    /// Its magic number, as `statfs(2)` shows it.
    const MAGIC: usize;

    /// Options given so far.
    type Options: Default + Send + 'static;
    /// What belongs to one mount.
    type Mount: Send + Sync + 'static;
    /// A swap area on the file.
    type Area: Hooks;

    /// Takes the option `key`, if the filesystem has it; returns whether it does. If no value was
    /// given, `value` is empty.
    ///
    /// Context: may sleep. Any user may get here; what is taken is used only if they may mount.
    fn parse(
        options: &mut Self::Options,
        key: &CStr,
        value: &CStr,
        log: &FsLog<'_>,
    ) -> Result<bool>;

    /// Mounts the file at `source`. `number` is that of the superblock: major and minor, as in
    /// `/proc/self/mountinfo`.
    ///
    /// Context: may sleep.
    fn mount(
        &self,
        options: &Self::Options,
        source: Option<&CStr>,
        number: (u32, u32),
        log: &FsLog<'_>,
    ) -> Result<KBox<Self::Mount>>;

    /// Changes the options of a mount.
    ///
    /// Context: may sleep.
    fn remount(&self, mount: &Self::Mount, options: &Self::Options, log: &FsLog<'_>) -> Result;

    /// Ends a mount, which is not in use any more.
    ///
    /// Context: may sleep; the superblock is not locked.
    fn unmount(&self, mount: KBox<Self::Mount>);

    /// What an area on the file is given.
    fn area_context(mount: &Self::Mount) -> &<Self::Area as Hooks>::Context;

    /// Prints the options in effect, each after a comma, as in `/proc/mounts`.
    fn show_options(mount: &Self::Mount, out: &SeqFile);

    /// The space that `statfs(2)` shows, in bytes: all there is, and what is free of it.
    fn space(mount: &Self::Mount) -> (u64, u64);

    /// The file's first page. Zeros come after it.
    fn header(mount: &Self::Mount) -> &[u8; PAGE_SIZE];

    /// The length in bytes that `stat(2)` shows.
    fn size(mount: &Self::Mount) -> u64;
}

/// The data of a mount.
///
/// # Safety
///
/// `sb` was filled by a [`Registration`](super::registration::Registration) of `T`, and is in use
/// for `'a`.
pub(in crate::kernel_ext) unsafe fn mount_of<'a, T: FileSystem>(
    sb: *mut bindings::super_block,
) -> &'a T::Mount {
    // SAFETY: By the requirement of this function.
    unsafe { KBox::<T::Mount>::borrow((*sb).s_fs_info) }
}
