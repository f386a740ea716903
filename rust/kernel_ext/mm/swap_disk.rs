// SPDX-License-Identifier: GPL-2.0

//! The hidden disk of a swap area, which no page goes to or comes from: see [`SwapOps`] for those.
//!
//! The kernel asks the area's block device for three things:
//!
//! - `swap_slot_free_notify`, when a slot ends: `swap_range_free()`;
//! - slots for large folios, which only a block device gets: `cluster_alloc_swap_entry()`;
//! - its features: whether it is synchronous, has stable writes, and rotates: `swapon(2)`.
//!
//! [`SwapOps`]: super::swap_ops::SwapOps
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use crate::kernel_ext::{
    bindings,
    mm::swap::Hooks, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    block::PAGE_SECTORS_SHIFT,
    error::{
        from_err_ptr,
        to_result, //
    },
    page::PAGE_SIZE,
    prelude::*,
    str::NullTerminatedFormatter,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    },
    types::{
        ForeignOwnable,
        ScopeGuard, //
    },
};

const _: () = assert!(size_of::<bindings::block_device_operations>() <= PAGE_SIZE);

/// Numbers disks, for their names.
static NEXT: Atomic<u32> = Atomic::new(0);

/// A disk without a device node, of an area with hooks `H`.
///
/// # Invariants
///
/// `disk` was added with `device_add_disk()`; its `private_data` is an `Arc<H>` made foreign, which
/// this value owns.
pub(in crate::kernel_ext) struct SwapDisk<H: Hooks> {
    disk: NonNull<bindings::gendisk>,
    _hooks: PhantomData<Arc<H>>,
}

// SAFETY: A disk is not bound to a task, and the hooks can be sent.
unsafe impl<H: Hooks> Send for SwapDisk<H> {}

impl<H: Hooks> SwapDisk<H> {
    const OPERATIONS: &'static bindings::block_device_operations =
        &bindings::block_device_operations {
            submit_bio: Some(submit_bio),
            swap_slot_free_notify: Some(Self::slot_freed),
            ..pin_init::zeroed()
        };

    /// Adds a disk of `slots` pages.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(in crate::kernel_ext) fn new(hooks: Arc<H>, slots: usize) -> Result<Self> {
        let mut limits: bindings::queue_limits = pin_init::zeroed();
        limits.logical_block_size = PAGE_SIZE as u32;
        limits.physical_block_size = PAGE_SIZE as u32;
        // Stable writes: a page does not change while it is stored. Not rotational: clusters are
        // allocated per CPU.
        limits.features = bindings::KERNEL_EXT_BLK_FEAT_STABLE_WRITES;
        if hooks.is_synchronous() {
            // Swapped in directly, without readahead.
            limits.features |= bindings::KERNEL_EXT_BLK_FEAT_SYNCHRONOUS;
        }
        // SAFETY: `limits` is valid.
        let disk = from_err_ptr(unsafe { bindings::kernel_ext_blk_alloc_disk(&mut limits) })?;
        let cleanup = ScopeGuard::new_with_data(disk, |disk| {
            // SAFETY: It was just allocated, and is not added yet where this is run.
            unsafe { bindings::put_disk(disk) };
        });
        // SAFETY: The disk is not known elsewhere yet.
        unsafe {
            (*disk).flags |= (bindings::GENHD_FL_HIDDEN | bindings::GENHD_FL_NO_PART) as c_int;
            (*disk).fops = Self::OPERATIONS;
            bindings::set_capacity(disk, (slots as u64) << PAGE_SECTORS_SHIFT);
            let mut name = NullTerminatedFormatter::new(&mut (*disk).disk_name).ok_or(EINVAL)?;
            let number = NEXT.fetch_add(1, Relaxed);
            kernel::fmt::Write::write_fmt(&mut name, fmt!("{}{number}", H::DISK_NAME))?;
        }
        let hooks = hooks.into_foreign();
        // SAFETY: As above; adding the disk is the last step, so it is complete. There is no
        // parent, and there are no groups.
        let added = to_result(unsafe {
            (*disk).private_data = hooks;
            bindings::device_add_disk(core::ptr::null_mut(), disk, core::ptr::null_mut())
        });
        if added.is_err() {
            // SAFETY: It was made foreign above, and the disk will not be used.
            drop(unsafe { Arc::<H>::from_foreign(hooks) });
            // All that the disk was given is right, so it can only be memory that is missing; but
            // a device that got none for its name calls it invalid.
            return Err(ENOMEM);
        }
        cleanup.dismiss();
        // INVARIANT: Both were just done.
        Ok(Self {
            disk: NonNull::new(disk).ok_or(ENOMEM)?,
            _hooks: PhantomData,
        })
    }

    /// The whole disk as a block device, which lives as long as the disk.
    pub(in crate::kernel_ext) fn block_device(&self) -> *mut bindings::block_device {
        // SAFETY: By the type invariants, the disk is valid.
        unsafe { (*self.disk.as_ptr()).part0 }
    }

    /// The number of its block device.
    pub(in crate::kernel_ext) fn number(&self) -> bindings::dev_t {
        // SAFETY: The block device is valid as long as the disk, and its number does not change.
        unsafe { (*self.block_device()).bd_dev }
    }

    /// What the disk calls.
    pub(in crate::kernel_ext) fn hooks(&self) -> Arc<H> {
        // SAFETY: The block device is that of this disk.
        unsafe { Self::hooks_of(self.block_device()) }.into()
    }

    /// What the disk of `bdev` calls.
    ///
    /// # Safety
    ///
    /// `bdev` is that of a `SwapDisk<H>` which outlives `'a`.
    #[inline]
    pub(in crate::kernel_ext) unsafe fn hooks_of<'a>(
        bdev: *mut bindings::block_device,
    ) -> ArcBorrow<'a, H> {
        // SAFETY: By the requirement of this function, and the type invariants.
        unsafe { Arc::<H>::borrow((*(*bdev).bd_disk).private_data) }
    }

    /// # Safety
    ///
    /// Called by swap, for a disk that has these operations.
    unsafe extern "C" fn slot_freed(bdev: *mut bindings::block_device, slot: c_ulong) {
        // SAFETY: The block device is the disk's, which outlives the area.
        unsafe { Self::hooks_of(bdev) }.invalidate_page(slot);
    }
}

impl<H: Hooks> Drop for SwapDisk<H> {
    fn drop(&mut self) {
        let disk = self.disk.as_ptr();
        // SAFETY: By the type invariants, the disk was added and the hooks are ours. A page that
        // was put off has its slot in use, so swapoff(2) did not come here before that was done.
        //
        // The reference that is put need not be the last: a task that was throttled by the disk has
        // one until it returns to user space (`current->throttle_disk`), and that may be after the
        // module is gone. `disk_release()` then asks the operations for `free_disk`. Nothing else
        // asks a disk for them that was deleted, was hidden, and is no area's: the rest is for what
        // opens the block device, submits bios to it, or reads the disk's files. So all operations
        // may be null from here on, and the page of zeros is so many nulls: each of them is an
        // option or a pointer, it is large enough, it is never written, and it outlives the module.
        // What takes the last reference sees it, for putting ours is ordered after this.
        unsafe {
            let hooks = (*disk).private_data;
            bindings::del_gendisk(disk);
            (*disk).private_data = core::ptr::null_mut();
            (*disk).fops = bindings::kernel_ext_zero_page().cast();
            bindings::put_disk(disk);
            drop(Arc::<H>::from_foreign(hooks));
        }
    }
}

/// Refuses all bios: the disk is hidden, so none is expected.
///
/// # Safety
///
/// Called by the block layer, with a bio.
unsafe extern "C" fn submit_bio(bio: *mut bindings::bio) {
    // SAFETY: A bio that is submitted is valid, and this side's until it is ended.
    unsafe {
        (*bio).bi_status = bindings::KERNEL_EXT_BLK_STS_NOTSUPP;
        bindings::bio_endio(bio);
    }
}
