// SPDX-License-Identifier: GPL-2.0

//! Swapfiles and swap partitions, claimed by a module as swapon(2) claims them.
//!
//! What is claimed can be neither swapped on nor claimed again, written, truncated or unlinked,
//! until it is released; then it is as before, but for the content. Its blocks are known, so
//! reading and writing them runs no filesystem's code.
//!
//! Follows `SYSCALL_DEFINE2(swapon)` in `mm/swapfile.c`.
//!
//! C header: [`include/linux/swap.h`](srctree/include/linux/swap.h)

use crate::kernel_ext::{
    bindings,
    fs::file::read_first_page,
    sort::{
        sort,
        Sortable, //
    },
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    alloc::KVVec,
    block::{
        PAGE_SECTORS_SHIFT,
        SECTOR_SHIFT, //
    },
    container_of,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::file::{
        flags,
        File, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    str::CString,
    sync::Arc,
};

/// Why something is not claimed.
#[derive(Clone, Copy)]
pub(crate) enum ClaimError {
    /// There is nothing at the path.
    NotFound,
    /// It is a directory, a pipe or a device of another kind.
    Kind,
    /// It, or what it is on, can only be read.
    ReadOnly,
    /// It is swapped on, claimed, or, for a device, in use otherwise.
    InUse,
    /// It is shorter than it was said to be.
    Short,
    /// It has less than two whole pages on the disk.
    Small,
    /// It is encrypted by its filesystem, which thus must read and write it.
    Encrypted,
    /// It is on a zoned device, which takes no random writes.
    Zoned,
    /// Some of its blocks are missing.
    Holes,
    /// Its filesystem has no swapfiles, or none on a block device.
    Filesystem,
    /// Its filesystem does not want it as a swapfile, and says why in the kernel's log.
    Rejected(Error),
    /// Something failed that is not its fault.
    Failed(Error),
}

impl ClaimError {
    /// The error that stands for it.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::NotFound => ENOENT,
            Self::ReadOnly => EROFS,
            Self::InUse => EBUSY,
            Self::Rejected(error) | Self::Failed(error) => error,
            _ => EINVAL,
        }
    }

    fn of_open(error: Error) -> Self {
        match error {
            e if e == ENOENT || e == ENOTDIR || e == ENXIO || e == ENODEV => Self::NotFound,
            e if e == EISDIR => Self::Kind,
            e if e == EROFS => Self::ReadOnly,
            e if e == EBUSY || e == ETXTBSY => Self::InUse,
            error => Self::Failed(error),
        }
    }
}

impl<E: Into<Error>> From<E> for ClaimError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

type Claimed<T> = core::result::Result<T, ClaimError>;

/// Pages that lie side by side on the device: `struct swap_extent` without its tree.
#[derive(Clone, Copy)]
struct Extent {
    /// The first of them in the file.
    page: u64,
    /// How many there are, at least 1.
    pages: u64,
    /// The first of them on the device, counted in pages.
    place: u64,
}

impl Sortable for Extent {
    type Key = u64;

    fn key(&self) -> u64 {
        self.page
    }
}

/// A swapfile or swap partition that was opened, to be claimed, or that is claimed. Dropping it
/// undoes what was done.
///
/// # Examples
///
/// ```ignore
/// let file = SwapFile::open(c"/swapfile").map_err(ClaimError::error)?;
/// let header = file.first_page()?.ok_or(EINVAL)?;
/// let swap = file.claim(2048).map_err(ClaimError::error)?;
/// // The first page is the header's.
/// swap.discard(1, swap.pages() - 1)?;
/// ```
///
/// # Invariants
///
/// `file` is a reference to an open file, owned by this value. `activated` says that its
/// filesystem's `swap_activate` succeeded, and `marked` that `S_SWAPFILE` of its inode was set by
/// this value.
pub(crate) struct SwapFile {
    /// Not an `ARef`: that would put a device, too, by fput().
    file: NonNull<bindings::file>,
    activated: bool,
    marked: bool,
}

impl SwapFile {
    /// Opens what is at `path` as swapon(2) does, by the rights of the task: a block device is ours
    /// alone from then on.
    ///
    /// Context: may sleep.
    pub(crate) fn open(path: &CStr) -> Claimed<Self> {
        let flags = (flags::O_RDWR | flags::O_LARGEFILE | flags::O_EXCL) as c_int;
        // SAFETY: `path` is a C string.
        let file = from_err_ptr(unsafe { bindings::filp_open(path.as_char_ptr(), flags, 0) })
            .map_err(ClaimError::of_open)?;
        // INVARIANT: It was just opened, and nothing was done to it.
        let file = Self {
            file: NonNull::new(file).ok_or(ENOENT)?,
            activated: false,
            marked: false,
        };
        if !file.is_of(bindings::S_IFREG) && !file.is_device() {
            return Err(ClaimError::Kind);
        }
        Ok(file)
    }

    /// Returns whether it is on a filesystem of this type, as
    /// [`FileSystem::MAGIC`](crate::kernel_ext::fs::single_file::FileSystem::MAGIC).
    pub(crate) fn is_on(&self, magic: usize) -> bool {
        // SAFETY: The inode is valid as long as the file, and its superblock with it.
        unsafe { (*(*self.inode()).i_sb).s_magic == magic as c_ulong }
    }

    /// Its first page, which has the swap header; [`None`] if it is shorter.
    ///
    /// Context: may sleep. It takes no lock of ours, for xfs takes that of the inode.
    pub(crate) fn first_page(&self) -> Result<Option<KBox<[u8; PAGE_SIZE]>>> {
        // SAFETY: By the type invariants, the file is valid. No descriptor has it, so it is used by
        // no fdget_pos().
        read_first_page(unsafe { File::from_raw_file(self.file.as_ptr()) })
    }

    /// Claims it, with at most `slots` pages.
    ///
    /// Context: may sleep; takes the lock of its inode.
    pub(crate) fn claim(mut self, slots: u64) -> Claimed<ClaimedSwap> {
        let map = self.mark(slots)?;
        // INVARIANT: The map is that of the file, which keeps the device.
        Ok(ClaimedSwap {
            path: self.path()?,
            map,
            file: self,
        })
    }
}

/// A claimed swapfile or swap partition. It is released when this is dropped.
///
/// Its first page is the swap header, which is never written.
///
/// # Invariants
///
/// The pages `0..pages` of `map` are in its `extents`, in order, without gaps. Its `device` is valid
/// as long as `file`.
pub(crate) struct ClaimedSwap {
    map: Map,
    path: CString,
    file: SwapFile,
}

// SAFETY: A claimed file is not bound to a task, and neither is its device.
unsafe impl Send for ClaimedSwap {}
// SAFETY: Nothing in it changes while it is claimed; block devices lock themselves.
unsafe impl Sync for ClaimedSwap {}

impl ClaimedSwap {
    /// Pages that it has, the header's own included: at least 2. ext4 may give less than the header
    /// says.
    pub(crate) fn pages(&self) -> u64 {
        self.map.pages
    }

    /// Where it is, as `/proc/swaps` would show it.
    pub(crate) fn path(&self) -> &CStr {
        &self.path
    }

    /// Returns whether only root may read or write it; of a device, only root and its group. Swap
    /// may hold secrets, so swapon(8) warns where it is not.
    pub(crate) fn is_private_to_root(&self) -> bool {
        let others = if self.file.is_device() { 0o007 } else { 0o077 };
        // SAFETY: By the invariants of `SwapFile`, the file has an inode: of a device, that of the
        // node that it was opened by.
        unsafe {
            let inode = (*self.file.file.as_ptr()).f_inode;
            (*inode).i_uid.val == 0 && (*inode).i_mode & others == 0
        }
    }

    /// Returns whether the device can be told that pages are not needed, see
    /// [`ClaimedSwap::discard`].
    pub(crate) fn supports_discard(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::kernel_ext_bdev_max_discard_sectors(self.device()) > 0 }
    }

    /// The device that it is on, valid as long as this value.
    pub(in crate::kernel_ext) fn device(&self) -> *mut bindings::block_device {
        self.map.device.as_ptr()
    }

    /// The sector of `page` on the device, and how many pages lie in a row from there. [`EINVAL`]
    /// if there is no such page.
    pub(in crate::kernel_ext) fn map(&self, page: u64) -> Result<(u64, u64)> {
        let Map { extents, pages, .. } = &self.map;
        if page >= *pages {
            return Err(EINVAL);
        }
        let after = extents.partition_point(|extent| extent.page <= page);
        let extent = after
            .checked_sub(1)
            .and_then(|index| extents.get(index))
            .ok_or(EINVAL)?;
        let skip = page - extent.page;
        let row = (extent.pages - skip).min(pages - page);
        Ok(((extent.place + skip) << PAGE_SECTORS_SHIFT, row))
    }

    /// Returns whether `pages` pages from `first` on are there and may be written, the header's not
    /// among them.
    pub(in crate::kernel_ext) fn may_write(&self, first: u64, pages: u64) -> bool {
        first > 0 && self.has(first, pages)
    }

    /// Returns whether `pages` pages from `first` on are there.
    pub(in crate::kernel_ext) fn has(&self, first: u64, pages: u64) -> bool {
        first
            .checked_add(pages)
            .is_some_and(|end| end <= self.map.pages)
    }

    /// Tells the device that what is in `pages` pages from `first` on is not needed any more. What
    /// they read as afterwards is undefined.
    ///
    /// Context: waits for I/O; allocates with `GFP_NOIO`. Errors:
    /// [`EINVAL`] if not all of them may be written; [`EOPNOTSUPP`]; those of the device.
    pub(crate) fn discard(&self, first: u64, pages: u64) -> Result {
        if !self.may_write(first, pages) {
            return Err(EINVAL);
        }
        let (mut page, end) = (first, first + pages);
        while page < end {
            let (sector, row) = self.map(page)?;
            let row = row.min(end - page);
            // SAFETY: By the type invariants, the device is valid, and the sectors are ours.
            to_result(unsafe {
                bindings::blkdev_issue_discard(
                    self.device(),
                    sector,
                    row << PAGE_SECTORS_SHIFT,
                    bindings::KERNEL_EXT_GFP_NOIO,
                )
            })?;
            page += row;
        }
        Ok(())
    }
}

/// A reference to claimed swap. With the last it is released.
///
/// Clones of a reference share a count. References that were split off have a count of their own, so
/// that CPUs which clone different ones do not write to the same memory.
///
/// # Examples
///
/// ```ignore
/// let swap = SwapRef::new(file.claim(2048).map_err(ClaimError::error)?)?;
/// let (here, there) = (swap.split()?, swap.split()?);
/// // These two have nothing to do with each other.
/// let (one, other) = (here.clone(), there.clone());
/// ```
#[derive(Clone)]
pub(crate) struct SwapRef(Arc<Arc<ClaimedSwap>>);

impl SwapRef {
    /// The first reference to `swap`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(swap: ClaimedSwap) -> Result<Self> {
        let swap = Arc::new(swap, GFP_KERNEL)?;
        Ok(Self(Arc::new(swap, GFP_KERNEL)?))
    }

    /// Another reference, with a count of its own.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn split(&self) -> Result<Self> {
        Ok(Self(Arc::new(Arc::clone(&*self.0), GFP_KERNEL)?))
    }
}

impl Deref for SwapRef {
    type Target = ClaimedSwap;

    fn deref(&self) -> &ClaimedSwap {
        &self.0
    }
}

/// Where the pages of a file are.
struct Map {
    extents: KVVec<Extent>,
    pages: u64,
    device: NonNull<bindings::block_device>,
}

impl SwapFile {
    fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: By the type invariants, the file is valid, and an open file has a mapping.
        unsafe { (*self.file.as_ptr()).f_mapping }
    }

    /// The inode of its content: for a device that of the device, not of its node.
    fn inode(&self) -> *mut bindings::inode {
        // SAFETY: The mapping is valid as long as the file, and has an inode.
        unsafe { (*self.mapping()).host }
    }

    fn is_of(&self, kind: u32) -> bool {
        // SAFETY: The inode is valid as long as the file.
        u32::from(unsafe { (*self.inode()).i_mode }) & bindings::S_IFMT == kind
    }

    fn is_device(&self) -> bool {
        self.is_of(bindings::S_IFBLK)
    }

    /// Its path, as far as the task can see it.
    fn path(&self) -> Result<CString> {
        let mut room = KVVec::<u8>::with_capacity(bindings::PATH_MAX as usize, GFP_KERNEL)?;
        // SAFETY: By the type invariants, the file is valid; there is so much room.
        let path = from_err_ptr(unsafe {
            bindings::file_path(
                self.file.as_ptr(),
                room.as_mut_ptr().cast(),
                bindings::PATH_MAX as c_int,
            )
        })?;
        // SAFETY: It is a C string, somewhere in the room.
        Ok(unsafe { CStr::from_char_ptr(path) }.to_cstring()?)
    }

    /// Makes it an active swapfile, of at most `slots` pages.
    fn mark(&mut self, slots: u64) -> Claimed<Map> {
        let inode = self.inode();
        // SAFETY: The inode is valid as long as the file.
        unsafe { bindings::kernel_ext_inode_lock(inode) };
        let map = self.mark_locked(slots);
        // SAFETY: As above; it was locked above.
        unsafe { bindings::kernel_ext_inode_unlock(inode) };
        map
    }

    fn mark_locked(&mut self, slots: u64) -> Claimed<Map> {
        let inode = self.inode();
        // SAFETY: The file, its inode and its mapping are valid, and the inode is locked.
        let (flags, size) = unsafe {
            if bindings::kernel_ext_file_unlinked(self.file.as_ptr()) {
                return Err(ClaimError::NotFound);
            }
            if bindings::kernel_ext_mapping_min_folio_order(self.mapping()) > 0 {
                return Err(ClaimError::Filesystem);
            }
            ((*inode).i_flags, (*inode).i_size as u64)
        };
        if flags & bindings::S_SWAPFILE != 0 {
            return Err(ClaimError::InUse);
        }
        if flags & bindings::S_ENCRYPTED != 0 {
            return Err(ClaimError::Encrypted);
        }
        if size >> PAGE_SHIFT < slots {
            return Err(ClaimError::Short);
        }
        let map = if self.is_device() {
            self.map_device(slots)?
        } else {
            self.map_file(slots)?
        };
        // SAFETY: The device is valid as long as the file.
        unsafe {
            if bindings::kernel_ext_bdev_is_zoned(map.device.as_ptr()) {
                return Err(ClaimError::Zoned);
            }
            if bindings::kernel_ext_bdev_read_only(map.device.as_ptr()) {
                return Err(ClaimError::ReadOnly);
            }
        }
        // INVARIANT: It is set here; when this value is dropped, it is cleared.
        self.marked = true;
        // SAFETY: The inode is valid and locked. Once it is marked it is not written to; what was
        // written before is waited for here.
        unsafe {
            (*inode).i_flags |= bindings::S_SWAPFILE;
            to_result(bindings::kernel_ext_inode_drain_writes(inode))?;
        }
        Ok(map)
    }

    fn map_device(&self, slots: u64) -> Claimed<Map> {
        let mut extents = KVVec::with_capacity(1, GFP_KERNEL)?;
        extents.push(
            Extent {
                page: 0,
                pages: slots,
                place: 0,
            },
            GFP_KERNEL,
        )?;
        Ok(Map {
            extents,
            pages: slots,
            // SAFETY: The inode is that of a block device, which it keeps.
            device: NonNull::new(unsafe { bindings::I_BDEV(self.inode()) }).ok_or(ENXIO)?,
        })
    }

    /// Lets the filesystem say where the pages of the file are, as `setup_swap_extents()` does.
    fn map_file(&mut self, slots: u64) -> Claimed<Map> {
        let mut area = ProbeArea::new(slots)?;
        // SAFETY: The mapping is valid as long as the file; all mappings have operations.
        let Some(activate) = (unsafe { (*(*self.mapping()).a_ops).swap_activate }) else {
            // `generic_swapfile_activate()` would ask bmap(); it is not exported. What has no
            // `swap_activate` is FAT and the like.
            return Err(ClaimError::Filesystem);
        };
        // SAFETY: The inode is valid as long as the file, and so is its superblock.
        area.0.bdev = unsafe { (*(*self.inode()).i_sb).s_bdev };
        let mut span = 0;
        // SAFETY: The area is as swapon(2) would have it at this point: its size, its device, and
        // an empty tree. It is in no list of the kernel, but filesystems do not look there. The
        // inode is locked.
        let activated = unsafe { activate(&mut *area.0, self.file.as_ptr(), &mut span) };
        if activated < 0 {
            let error = Error::from_errno(activated);
            return Err(if error == ENOMEM || error == EINTR {
                ClaimError::Failed(error)
            } else if self.has_holes() {
                ClaimError::Holes
            } else {
                ClaimError::Rejected(error)
            });
        }
        // INVARIANT: It just succeeded.
        self.activated = true;
        // Set where pages would have to go through the filesystem: `swap_fs_activate()`.
        if !area.0.ops.is_null() {
            return Err(ClaimError::Filesystem);
        }
        let device = NonNull::new(area.0.bdev).ok_or(ClaimError::Filesystem)?;
        let extents = area.take_extents()?;
        let mut known = 0;
        for extent in &extents {
            // What is between two of them would not be of the file.
            if extent.page != known {
                return Err(ClaimError::Holes);
            }
            known += extent.pages;
        }
        // ext4 shortens it where the end of the file has no whole page on the disk.
        let pages = known.min(u64::from(area.0.max));
        if pages < 2 {
            return Err(ClaimError::Small);
        }
        Ok(Map {
            extents,
            pages,
            device,
        })
    }

    /// Returns whether it has fewer blocks than its length takes: how swapon(8) knows holes. Blocks
    /// of 512 bytes.
    fn has_holes(&self) -> bool {
        // SAFETY: The inode is valid as long as the file.
        unsafe { (*self.inode()).i_blocks << SECTOR_SHIFT < (*self.inode()).i_size as u64 }
    }
}

impl Drop for SwapFile {
    fn drop(&mut self) {
        let inode = self.inode();
        // SAFETY: By the type invariants: what is undone was done, and the reference is ours. This
        // is what swapoff(2) does, in its order.
        unsafe {
            if self.activated {
                if let Some(deactivate) = (*(*self.mapping()).a_ops).swap_deactivate {
                    deactivate(self.file.as_ptr());
                }
            }
            if self.marked {
                bindings::kernel_ext_inode_lock(inode);
                (*inode).i_flags &= !bindings::S_SWAPFILE;
                bindings::kernel_ext_inode_unlock(inode);
            }
            // A file may be closed later than it is put; a device is to be free at once.
            if self.is_device() {
                bindings::bdev_fput(self.file.as_ptr());
            } else {
                bindings::fput(self.file.as_ptr());
            }
        }
    }
}

/// A swap area that only its filesystem is shown.
///
/// # Invariants
///
/// Its tree consists of `struct swap_extent` that `add_swap_extent()` allocated.
struct ProbeArea(KBox<bindings::swap_info_struct>);

impl ProbeArea {
    fn new(slots: u64) -> Result<Self> {
        // INVARIANT: An empty tree is zero.
        let mut area =
            KBox::<bindings::swap_info_struct>::init(pin_init::init_zeroed(), GFP_KERNEL)?;
        area.max = u32::try_from(slots)?;
        area.pages = area.max - 1;
        Ok(Self(area))
    }

    /// Takes the next extent out of the tree, as `destroy_swap_extents()` does.
    fn take_extent(&mut self) -> Option<Extent> {
        let root = &mut self.0.swap_extent_root;
        let node = root.rb_node;
        if node.is_null() {
            return None;
        }
        // SAFETY: By the type invariants, it is the node of an extent that is ours to free once it
        // is out of the tree.
        unsafe {
            bindings::rb_erase(node, root);
            let extent = container_of!(node, bindings::swap_extent, rb_node);
            let taken = Extent {
                page: (*extent).start_page as u64,
                pages: (*extent).nr_pages as u64,
                place: (*extent).start_block,
            };
            bindings::kfree(extent.cast());
            Some(taken)
        }
    }

    /// The extents in order.
    fn take_extents(&mut self) -> Result<KVVec<Extent>> {
        let mut extents = KVVec::new();
        while let Some(extent) = self.take_extent() {
            extents.push(extent, GFP_KERNEL)?;
        }
        sort(&mut extents);
        Ok(extents)
    }
}

impl Drop for ProbeArea {
    fn drop(&mut self) {
        while self.take_extent().is_some() {}
    }
}
