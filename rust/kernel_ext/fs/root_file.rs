// SPDX-License-Identifier: GPL-2.0

//! The one file of a [`FileSystem`]: root's, never written, read as a header and zeros, and a swap
//! file.
//!
//! Its size is two things. `stat(2)`, `read(2)` and `lseek(2)` show the area's, so that no tool
//! warns of a short file; the inode's own is 0, because swapon(2) takes a header of any size then,
//! see `read_swap_header()` in `mm/swapfile.c`.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::kernel_ext::{
    bindings,
    fs::single_file::{
        mount_of,
        FileSystem, //
    },
    mm::swap_area,
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::from_result,
    iov::IovIterDest,
    page::PAGE_SIZE,
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed,
        Release, //
    },
};

/// Mode of the file: a regular one, for its owner only.
const MODE: u32 = bindings::S_IFREG | 0o600;
/// Bytes in a block of `stat(2)`.
const STAT_BLOCK: u64 = 512;

static ZEROS: [u8; PAGE_SIZE] = [0; PAGE_SIZE];

/// Makes the root of `sb`.
///
/// # Safety
///
/// `sb` is being filled by the filesystem `T`, and has its data.
pub(in crate::kernel_ext) unsafe fn new<T: FileSystem>(
    sb: *mut bindings::super_block,
) -> Result<*mut bindings::dentry> {
    // SAFETY: The superblock is valid; a new inode is this side's to fill. `d_make_root()` takes
    // it, on failure too.
    let root = unsafe {
        let inode = bindings::new_inode(sb);
        if inode.is_null() {
            return Err(ENOMEM);
        }
        (*inode).i_ino = 1;
        (*inode).i_mode = MODE as bindings::umode_t;
        bindings::set_nlink(inode, 1);
        bindings::simple_inode_init_ts(inode);
        (*inode).i_op = RootFile::<T>::INODE_OPERATIONS;
        (*inode).__bindgen_anon_3.i_fop = RootFile::<T>::FILE_OPERATIONS;
        (*(*inode).i_mapping).a_ops = RootFile::<T>::ADDRESS_SPACE_OPERATIONS;
        bindings::d_make_root(inode)
    };
    NonNull::new(root).map(NonNull::as_ptr).ok_or(ENOMEM)
}

/// The operations of the file, for one type of filesystem.
struct RootFile<T>(PhantomData<T>);

impl<T: FileSystem> RootFile<T> {
    const INODE_OPERATIONS: &'static bindings::inode_operations = &bindings::inode_operations {
        getattr: Some(Self::getattr),
        setattr: Some(Self::setattr),
        ..pin_init::zeroed()
    };

    const FILE_OPERATIONS: &'static bindings::file_operations = &bindings::file_operations {
        llseek: Some(Self::llseek),
        read_iter: Some(Self::read_iter),
        write_iter: Some(Self::write_iter),
        splice_read: Some(bindings::copy_splice_read),
        ..pin_init::zeroed()
    };

    const ADDRESS_SPACE_OPERATIONS: &'static bindings::address_space_operations =
        &bindings::address_space_operations {
            read_folio: Some(Self::read_folio),
            swap_activate: Some(Self::swap_activate),
            swap_deactivate: Some(Self::swap_deactivate),
            ..pin_init::zeroed()
        };

    /// The bytes of the file from `position` to the end of its page.
    fn bytes(mount: &T::Mount, position: u64) -> &[u8] {
        let page = match position / PAGE_SIZE as u64 {
            0 => T::header(mount),
            _ => &ZEROS,
        };
        &page[(position % PAGE_SIZE as u64) as usize..]
    }

    /// # Safety
    ///
    /// `file` is an open file of this filesystem.
    unsafe fn mount<'a>(file: *mut bindings::file) -> &'a T::Mount {
        // SAFETY: By the requirement of this function; an open file keeps its superblock.
        unsafe { mount_of::<T>((*(*file).f_inode).i_sb) }
    }

    /// Answers `stat(2)`.
    ///
    /// # Safety
    ///
    /// Called by the VFS, with a path of this filesystem, and memory for the answer.
    unsafe extern "C" fn getattr(
        idmap: *mut bindings::mnt_idmap,
        path: *const bindings::path,
        stat: *mut bindings::kstat,
        mask: u32,
        _flags: c_uint,
    ) -> c_int {
        // SAFETY: All are valid, and the path is of this filesystem.
        unsafe {
            let inode = (*(*path).dentry).d_inode;
            bindings::generic_fillattr(idmap, mask, inode, stat);
            let size = T::size(mount_of::<T>((*inode).i_sb));
            (*stat).size = size as i64;
            (*stat).blocks = size / STAT_BLOCK;
            (*stat).blksize = PAGE_SIZE as u32;
        }
        0
    }

    /// Nothing about the file can be changed: neither its size nor its mode, owner or times.
    ///
    /// # Safety
    ///
    /// Called by the VFS. Touches nothing.
    unsafe extern "C" fn setattr(
        _idmap: *mut bindings::mnt_idmap,
        _dentry: *mut bindings::dentry,
        _attributes: *mut bindings::iattr,
    ) -> c_int {
        EPERM.to_errno()
    }

    /// Moves the position of an open file, within the size that `stat(2)` shows.
    ///
    /// # Safety
    ///
    /// Called by the VFS, with an open file of this filesystem.
    unsafe extern "C" fn llseek(file: *mut bindings::file, offset: i64, whence: c_int) -> i64 {
        // SAFETY: The file is valid, and of this filesystem.
        unsafe {
            bindings::fixed_size_llseek(file, offset, whence, T::size(Self::mount(file)) as i64)
        }
    }

    /// Reads.
    ///
    /// # Safety
    ///
    /// Called by the VFS, with a request for an open file of this filesystem, and an iterator to
    /// write to.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: Both are valid, and this side's while this runs; the iterator is one to write to,
        // and the file is of this filesystem.
        let (mount, position, iter) = unsafe {
            (
                Self::mount((*kiocb).ki_filp),
                &mut (*kiocb).ki_pos,
                IovIterDest::from_raw(iter),
            )
        };
        let mut done = 0;
        while !iter.is_empty() && (*position as u64) < T::size(mount) {
            let bytes = Self::bytes(mount, *position as u64);
            let copied = iter.copy_to_iter(bytes);
            *position += copied as i64;
            done += copied;
            if copied < bytes.len() && !iter.is_empty() {
                // The reader's memory faulted.
                return if done > 0 {
                    done as isize
                } else {
                    EFAULT.to_errno() as isize
                };
            }
        }
        done as isize
    }

    /// Refuses to write, as on a file that is immutable.
    ///
    /// # Safety
    ///
    /// Called by the VFS. Touches nothing.
    unsafe extern "C" fn write_iter(
        _kiocb: *mut bindings::kiocb,
        _iter: *mut bindings::iov_iter,
    ) -> isize {
        EPERM.to_errno() as isize
    }

    /// Fills a folio of the page cache: swapon(2) reads the header through it.
    ///
    /// # Safety
    ///
    /// Called with a locked folio of a mapping of this filesystem, which is in use.
    unsafe extern "C" fn read_folio(
        _file: *mut bindings::file,
        folio: *mut bindings::folio,
    ) -> c_int {
        // SAFETY: The folio is locked, and of the file's mapping, whose superblock is in use.
        unsafe {
            let inode = bindings::kernel_ext_folio_inode(folio);
            let position = bindings::kernel_ext_folio_pos(folio) as u64;
            let bytes = Self::bytes(mount_of::<T>((*inode).i_sb), position);
            bindings::kernel_ext_folio_fill_tail(folio, bytes.as_ptr().cast(), bytes.len());
            bindings::folio_end_read(folio, true);
        }
        0
    }

    /// Where the file's area is kept, from activation to deactivation.
    ///
    /// # Safety
    ///
    /// `file` is an open file of this filesystem, for `'a`.
    unsafe fn area<'a>(file: *mut bindings::file) -> &'a Atomic<*mut c_void> {
        // SAFETY: An open file has an inode, whose `i_private` is the filesystem's. It is only
        // accessed through this.
        unsafe { Atomic::from_ptr(&raw mut (*(*file).f_inode).i_private) }
    }

    /// Begins an area. One file has one at a time: swapon(2) takes no file that is swapped on, but
    /// a swapon(2) that fails late deactivates without the inode's lock, so another may get here
    /// first.
    ///
    /// # Safety
    ///
    /// Called by swapon(2), with an open file of this filesystem and the area being set up.
    unsafe extern "C" fn swap_activate(
        sis: *mut bindings::swap_info_struct,
        file: *mut bindings::file,
        span: *mut bindings::sector_t,
    ) -> c_int {
        let activated = || {
            // SAFETY: The file is valid, and of this filesystem.
            let kept = unsafe { Self::area(file) };
            if !kept.load(Relaxed).is_null() {
                return Err(EBUSY);
            }
            // SAFETY: The file is of this filesystem.
            let context = T::area_context(unsafe { Self::mount(file) });
            // SAFETY: All are valid, and the context is of the file.
            let (area, extents) =
                unsafe { swap_area::activate::<T::Area>(context, sis.cast(), span) }?;
            // The inode is locked, so no other was kept meanwhile.
            kept.store(area, Release);
            Ok(extents)
        };
        from_result(|| {
            activated().inspect_err(|error| pr_err!("swapon: no area can be made: {error:?}\n"))
        })
    }

    /// Ends the area of a file.
    ///
    /// # Safety
    ///
    /// Called by swap, for a file that was activated, when its disk is not used any more.
    unsafe extern "C" fn swap_deactivate(file: *mut bindings::file) {
        // SAFETY: The file was activated, so what is kept is of `swap_area::activate()`, and it is
        // taken once.
        unsafe {
            let area = Self::area(file).xchg(core::ptr::null_mut(), Full);
            if let Some(area) = NonNull::new(area) {
                swap_area::deactivate::<T::Area>(area);
            }
        }
    }
}
