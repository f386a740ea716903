// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs that show what a value prints.
//!
//! `kernel::debugfs` does the same, but its files have no owner: one that is open when the module is
//! removed is released through operations that are gone. Here an open file keeps the module.
//!
//! C headers: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h),
//! [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use super::bindings;
use crate::MODULE;
use core::marker::PhantomData;
use kernel::{prelude::*, seq_file::SeqFile, sync::Arc, types::ForeignOwnable};

/// A directory. It goes when this is dropped.
///
/// Like all of debugfs it fails silently: then there is just nothing to see.
///
/// # Invariants
///
/// `dentry` is of `debugfs_create_dir()`, which may be an error that debugfs knows to ignore. It goes
/// before its parent, which would take it along.
pub(crate) struct Directory {
    dentry: *mut bindings::dentry,
    _parent: Option<Arc<Directory>>,
}

// SAFETY: debugfs locks what it does to a dentry, which is not bound to a task.
unsafe impl Send for Directory {}
// SAFETY: As above.
unsafe impl Sync for Directory {}

impl Directory {
    /// Makes the directory `name` at the top.
    ///
    /// Context: may sleep.
    pub(crate) fn new(name: &CStr) -> Result<Arc<Self>> {
        Self::make(name, core::ptr::null_mut(), None)
    }

    /// Makes the directory `name` in this one.
    ///
    /// Context: may sleep.
    pub(crate) fn subdirectory(self: &Arc<Self>, name: &CStr) -> Result<Arc<Self>> {
        Self::make(name, self.dentry, Some(self.clone()))
    }

    fn make(
        name: &CStr,
        place: *mut bindings::dentry,
        parent: Option<Arc<Self>>,
    ) -> Result<Arc<Self>> {
        // SAFETY: `name` is a C string, and is copied; by the type invariants, debugfs knows the
        // parent. Null is the top.
        let dentry = unsafe { bindings::kernel_ext_debugfs_create_dir(name.as_char_ptr(), place) };
        // INVARIANT: It was just made, and the reference keeps its parent.
        let directory = Self {
            dentry,
            _parent: parent,
        };
        Ok(Arc::new(directory, GFP_KERNEL)?)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. Whatever is left in it goes too, and those who read are
        // waited for.
        unsafe { bindings::kernel_ext_debugfs_remove(self.dentry) };
    }
}

/// What can be shown.
pub(crate) trait Show: Send + Sync + 'static {
    /// Prints it.
    ///
    /// Context: may sleep. Called again, from the start, if there was not room for all; it need not
    /// go on once there is none.
    fn show(&self, out: &SeqFile);
}

/// A file that shows a `T`. It goes when this is dropped.
///
/// # Invariants
///
/// `file` is of `debugfs_create_file()`, with `data` as its data, which is an `Arc<T>` made foreign
/// and owned by this value. It goes before its parent.
pub(crate) struct File<T: Show> {
    file: *mut bindings::dentry,
    data: *mut c_void,
    _data: PhantomData<Arc<T>>,
    _parent: Arc<Directory>,
}

// SAFETY: As for `Directory`; the `T` can be sent and shared.
unsafe impl<T: Show> Send for File<T> {}
// SAFETY: As above.
unsafe impl<T: Show> Sync for File<T> {}

impl<T: Show> File<T> {
    const OPERATIONS: &'static bindings::file_operations = &bindings::file_operations {
        owner: MODULE.as_ptr(),
        open: Some(Self::open),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        ..pin_init::zeroed()
    };

    /// Makes the file `name` in `parent`, for root to read.
    ///
    /// Context: may sleep.
    pub(crate) fn new(parent: &Arc<Directory>, name: &CStr, data: Arc<T>) -> Self {
        let data = data.into_foreign();
        // SAFETY: `name` is a C string, and is copied. The data is valid until the file is removed,
        // and the operations for ever.
        let file = unsafe {
            bindings::kernel_ext_debugfs_create_file(
                name.as_char_ptr(),
                0o400,
                parent.dentry,
                data,
                Self::OPERATIONS,
            )
        };
        // INVARIANT: It was just made.
        Self {
            file,
            data,
            _data: PhantomData,
            _parent: parent.clone(),
        }
    }

    /// Opens the file.
    ///
    /// # Safety
    ///
    /// Called by debugfs, for a file with these operations.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: Both are valid; the inode has the data that the file was made with.
        unsafe { bindings::single_open(file, Some(Self::show), (*inode).i_private) }
    }

    /// Shows the data.
    ///
    /// # Safety
    ///
    /// Called by `seq_read()`, for a file that `open()` opened, while it is not removed.
    unsafe extern "C" fn show(out: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        // SAFETY: By the requirement of this function: debugfs lets no reader in once the file is
        // removed, and removing waits for those who are, so the data is valid.
        unsafe {
            let data = Arc::<T>::borrow((*out).private);
            data.show(SeqFile::from_raw(out));
        }
        0
    }
}

impl<T: Show> Drop for File<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. Once it is removed, nobody uses the data.
        unsafe {
            bindings::kernel_ext_debugfs_remove(self.file);
            drop(Arc::<T>::from_foreign(self.data));
        }
    }
}
