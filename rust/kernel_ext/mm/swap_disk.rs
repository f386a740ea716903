// SPDX-License-Identifier: GPL-2.0

//! The hidden disk of a swap area: bios come in, [`Hooks`] are called.
//!
//! One bio is one folio, of any order. It is done when `submit_bio` returns, but for pages that
//! [`Hooks::load`] puts off.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use crate::kernel_ext::{
    bindings,
    mm::{
        pending_page::{
            fail,
            LoadTarget, //
        },
        swap::Hooks,
        swap_page::SourcePage,
    },
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
    page::{
        BorrowedPage,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
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

/// The operation among the flags of a bio.
const REQ_OP_MASK: bindings::blk_opf_t = (1 << bindings::REQ_OP_BITS) - 1;

/// Numbers disks, for their names.
static NEXT: Atomic<u32> = Atomic::new(0);

/// A disk without a device node, whose pages are in the care of `H`.
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
            submit_bio: Some(Self::submit_bio),
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

    /// What the disk calls.
    pub(in crate::kernel_ext) fn hooks(&self) -> Arc<H> {
        // SAFETY: By the type invariants.
        unsafe { Self::of(self.disk.as_ptr()) }.into()
    }

    /// # Safety
    ///
    /// `disk` is that of a `SwapDisk<H>` which outlives `'a`.
    unsafe fn of<'a>(disk: *mut bindings::gendisk) -> ArcBorrow<'a, H> {
        // SAFETY: By the type invariants.
        unsafe { Arc::<H>::borrow((*disk).private_data) }
    }

    /// # Safety
    ///
    /// Called by the block layer, with a bio for a disk that has these operations.
    unsafe extern "C" fn submit_bio(bio: *mut bindings::bio) {
        // SAFETY: A bio that is submitted is valid, and this side's until it is ended. The disk
        // stays while its bios are in flight.
        unsafe {
            let hooks = Self::of((*(*bio).bi_bdev).bd_disk);
            let status = match (*bio).bi_opf & REQ_OP_MASK {
                bindings::req_op_REQ_OP_WRITE => Self::write(&hooks, &*bio),
                bindings::req_op_REQ_OP_READ => Self::read(hooks, bio),
                _ => bindings::KERNEL_EXT_BLK_STS_NOTSUPP,
            };
            // Nothing is written for success: a page that was put off may have failed by now.
            if status != 0 {
                fail(bio, status);
            }
            bindings::bio_endio(bio);
        }
    }

    /// # Safety
    ///
    /// `bio` was submitted to be written: its pages are under writeback.
    unsafe fn write(hooks: &H, bio: &bindings::bio) -> bindings::blk_status_t {
        // SAFETY: By the requirement of this function.
        let stored = unsafe {
            each_page(bio, |slot, data, node| {
                hooks.store(slot, &SourcePage::new(data.cast(), node))
            })
        };
        if stored.is_err() {
            // The kernel keeps the whole folio, so none of its slots is of use.
            let first = first_slot(&bio.bi_iter);
            for slot in first..first + (bio.bi_iter.bi_size as usize >> PAGE_SHIFT) {
                hooks.invalidate_page(slot);
            }
            return bindings::KERNEL_EXT_BLK_STS_NOSPC;
        }
        0
    }

    /// # Safety
    ///
    /// `bio` was submitted to be read: its pages are locked, and touched by nothing else.
    unsafe fn read(hooks: ArcBorrow<'_, H>, bio: *mut bindings::bio) -> bindings::blk_status_t {
        // SAFETY: By the requirement of this function; the bio is ended after this returned.
        let loaded = unsafe {
            let this = NonNull::new_unchecked(bio);
            each_page(bio, |slot, data, _| {
                hooks.load(slot, LoadTarget::new(data, this)).map(|_| ())
            })
        };
        match loaded {
            Ok(()) => 0,
            Err(_) => bindings::KERNEL_EXT_BLK_STS_IOERR,
        }
    }

    /// # Safety
    ///
    /// Called by swap, for a disk that has these operations.
    unsafe extern "C" fn slot_freed(bdev: *mut bindings::block_device, slot: c_ulong) {
        // SAFETY: The block device is the disk's, which outlives the area.
        unsafe { Self::of((*bdev).bd_disk) }.invalidate_page(slot);
    }
}

impl<H: Hooks> Drop for SwapDisk<H> {
    fn drop(&mut self) {
        let disk = self.disk.as_ptr();
        // SAFETY: By the type invariants, the disk was added and the hooks are ours. Once it is
        // deleted no bio comes. One that waits for a page that was put off has its slots in use, so
        // swapoff(2) did not come here before it ended.
        unsafe {
            let hooks = (*disk).private_data;
            bindings::del_gendisk(disk);
            bindings::put_disk(disk);
            drop(Arc::<H>::from_foreign(hooks));
        }
    }
}

fn first_slot(iter: &bindings::bvec_iter) -> usize {
    iter.bi_sector as usize >> PAGE_SECTORS_SHIFT
}

/// Calls `each` with the slot, the data and the NUMA node of every page of `bio`, until one fails.
/// [`EIO`] if the bio is not made of whole pages.
///
/// # Safety
///
/// The bio is valid, and not completed.
#[inline]
unsafe fn each_page(
    bio: *const bindings::bio,
    mut each: impl FnMut(usize, NonNull<u8>, i32) -> Result,
) -> Result {
    // SAFETY: By the requirement of this function. A bio's iterator is within its vector.
    let (mut slot, mut left, mut skip, mut vec) = unsafe {
        let iter = (*bio).bi_iter;
        (
            first_slot(&iter),
            iter.bi_size as usize,
            iter.bi_bvec_done as usize,
            (*bio).bi_io_vec.add(iter.bi_idx as usize),
        )
    };
    while left > 0 {
        // SAFETY: As above, while bytes are left.
        let bindings::bio_vec {
            bv_page,
            bv_len,
            bv_offset,
        } = unsafe { *vec };
        let offset = bv_offset as usize + skip;
        let length = left.min(bv_len as usize - skip);
        if length == 0 || !(offset | length).is_multiple_of(PAGE_SIZE) {
            return Err(EIO);
        }
        // SAFETY: The pages of a bio are valid. On a 64-bit machine all of them are mapped, those
        // of one vector side by side.
        let (data, node) = unsafe {
            let page = BorrowedPage::from_raw(NonNull::new_unchecked(bv_page));
            (
                bindings::kernel_ext_page_address(bv_page).cast::<u8>(),
                page.nid(),
            )
        };
        for at in (offset..offset + length).step_by(PAGE_SIZE) {
            // SAFETY: As above, and `at` is within the vector.
            let data = unsafe { data.add(at) };
            each(slot, NonNull::new(data).ok_or(EIO)?, node)?;
            slot += 1;
        }
        left -= length;
        skip = 0;
        vec = vec.wrapping_add(1);
    }
    Ok(())
}
