// SPDX-License-Identifier: GPL-2.0

//! A file that the kernel reads by its path.
//!
//! C headers: [`include/linux/namei.h`](srctree/include/linux/namei.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::kernel_ext::bindings;
use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::file::{
        flags,
        File, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// What a path leads to, as far as reading is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A block device.
    BlockDevice,
    /// A character device, a pipe or a socket.
    Special,
}

/// A path that was looked up, by the rights of the task.
///
/// # Invariants
///
/// `path` is of `kern_path()`, and its references are owned by this value.
pub(crate) struct FoundFile {
    path: bindings::path,
}

impl FoundFile {
    /// Looks `path` up, following links.
    ///
    /// Context: may sleep. Errors: as open(2).
    pub(crate) fn new(path: &CStr) -> Result<Self> {
        let mut found = MaybeUninit::uninit();
        // SAFETY: `path` is a C string, and `found` has room for what is found.
        to_result(unsafe {
            bindings::kern_path(
                path.as_char_ptr(),
                bindings::KERNEL_EXT_LOOKUP_FOLLOW,
                found.as_mut_ptr(),
            )
        })?;
        // INVARIANT: It was just found.
        Ok(Self {
            // SAFETY: The lookup succeeded, so it is initialised.
            path: unsafe { found.assume_init() },
        })
    }

    /// What it is.
    pub(crate) fn kind(&self) -> FileKind {
        // SAFETY: By the type invariants, the path is valid, and what `kern_path()` found has an
        // inode.
        let mode = u32::from(unsafe { (*(*self.path.dentry).d_inode).i_mode });
        match mode & bindings::S_IFMT {
            bindings::S_IFREG => FileKind::Regular,
            bindings::S_IFDIR => FileKind::Directory,
            bindings::S_IFBLK => FileKind::BlockDevice,
            _ => FileKind::Special,
        }
    }

    /// Opens it for reading.
    ///
    /// Context: may sleep. Errors: as open(2).
    pub(crate) fn open(self) -> Result<SourceFile> {
        // SAFETY: By the type invariants, the path is valid. The task has credentials, which only
        // it changes.
        let file = from_err_ptr(unsafe {
            bindings::dentry_open(
                &self.path,
                (flags::O_RDONLY | flags::O_LARGEFILE) as c_int,
                (*Task::current_raw()).cred,
            )
        })?;
        let file = NonNull::new(file).ok_or(ENOENT)?;
        // SAFETY: It was just opened, and the reference is ours. No descriptor has it, so it is
        // used by no fdget_pos().
        let file = unsafe { ARef::from_raw(file.cast::<File>()) };
        Ok(SourceFile { file })
    }
}

impl Drop for FoundFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the references are ours.
        unsafe { bindings::path_put(&self.path) };
    }
}

/// A file, or a block device, open for reading. It stays the same whatever becomes of its path.
///
/// # Examples
///
/// ```ignore
/// let file = FoundFile::new(c"/etc/swap-header")?.open()?;
/// if file.is_private_to_root() && file.size() == PAGE_SIZE as u64 {
///     let page = file.read_page()?;
/// }
/// ```
pub(crate) struct SourceFile {
    file: ARef<File>,
}

impl SourceFile {
    /// The inode of its content: for a device that of the device, not of its node.
    fn inode(&self) -> *const bindings::inode {
        // SAFETY: The file is valid, and an open file has a mapping, which has an inode.
        unsafe { (*(*self.file.as_ptr()).f_mapping).host }
    }

    /// Its length in bytes.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: The inode is valid as long as the file.
        unsafe { (*self.inode()).i_size as u64 }
    }

    /// Returns whether it is root's, and only root may read or write it; of a device, only root and
    /// its group.
    pub(crate) fn is_private_to_root(&self) -> bool {
        // SAFETY: The file is valid, and has an inode: of a device, that of the node that it was
        // opened by.
        let (owner, mode) = unsafe {
            let inode = (*self.file.as_ptr()).f_inode;
            ((*inode).i_uid.val, (*inode).i_mode)
        };
        let others = match u32::from(mode) & bindings::S_IFMT {
            bindings::S_IFBLK => 0o007,
            _ => 0o077,
        };
        owner == 0 && mode & others == 0
    }

    /// Returns whether it is on a filesystem of this type, as
    /// [`super::single_file::FileSystem::MAGIC`].
    pub(crate) fn is_on(&self, magic: usize) -> bool {
        // SAFETY: The inode is valid as long as the file, and its superblock with it.
        unsafe { (*(*self.inode()).i_sb).s_magic == magic as c_ulong }
    }

    /// Returns whether `other` is open on the same file, or device.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.inode() == other.inode()
    }

    /// Reads the first page. [`EIO`] if the file is shorter.
    ///
    /// Context: may sleep. Errors: as read(2).
    pub(crate) fn read_page(&self) -> Result<KBox<[u8; PAGE_SIZE]>> {
        read_first_page(&self.file)?.ok_or(EIO)
    }

    /// Reads what it begins with into `buffer`. Returns how many bytes: as many as there is room for, unless
    /// the file has less.
    ///
    /// Context: may sleep. Errors: as read(2).
    pub(in crate::kernel_ext) fn read_start(&self, buffer: &mut [u8]) -> Result<usize> {
        read_start(&self.file, buffer)
    }
}

/// Reads the first page of `file`; [`None`] if it is shorter.
///
/// Context: may sleep; takes locks of the file's inode. Errors: as read(2); [`EINVAL`] if it is not
/// open for reading; [`ENOMEM`].
pub(in crate::kernel_ext) fn read_first_page(file: &File) -> Result<Option<KBox<[u8; PAGE_SIZE]>>> {
    let mut page = KBox::<[u8; PAGE_SIZE]>::init(pin_init::init_zeroed(), GFP_KERNEL)?;
    let length = read_start(file, &mut *page)?;
    Ok((length == PAGE_SIZE).then_some(page))
}

/// As [`SourceFile::read_start`]; [`EINVAL`] if it is not open for reading.
fn read_start(file: &File, buffer: &mut [u8]) -> Result<usize> {
    let mut position = 0;
    // SAFETY: The file is valid; the buffer has that many bytes to write.
    let read = unsafe {
        bindings::kernel_read(
            file.as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &mut position,
        )
    };
    usize::try_from(read).map_err(|_| Error::from_errno(read as c_int))
}
