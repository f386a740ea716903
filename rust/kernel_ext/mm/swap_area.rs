// SPDX-License-Identifier: GPL-2.0

//! Swap areas with [`Hooks`], as swapon(2) and swapoff(2) begin and end them.
//!
//! C header: [`include/linux/swap.h`](srctree/include/linux/swap.h)

use crate::kernel_ext::{
    bindings,
    mm::{
        swap::{
            AreaStatus,
            Hooks, //
        },
        swap_disk::SwapDisk,
        swap_ops::SwapOps,
    },
    power::{
        HibernationNotifier,
        NoImage, //
    },
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    types::ForeignOwnable, //
};

/// What an area has, from swapon(2) to swapoff(2).
struct ActiveArea<H: Hooks> {
    /// First, as it names the disk.
    _no_image: Pin<KBox<HibernationNotifier<NoImage>>>,
    disk: SwapDisk<H>,
}

/// Makes an area of the swap file that swapon(2) is activating, on a disk of its own.
///
/// Returns what is for [`deactivate`], and the number of extents.
///
/// # Safety
///
/// `swap_activate` was called with `sis` and `span`, for the file that `context` is of.
pub(in crate::kernel_ext) unsafe fn activate<H: Hooks>(
    context: &H::Context,
    sis: *mut bindings::swap_info_struct,
    span: *mut bindings::sector_t,
) -> Result<(*mut c_void, c_int)> {
    // SAFETY: swapon(2) is alone with `sis` until it is done.
    let (slots, flags) = unsafe { ((*sis).max, (*sis).flags) };
    if flags & bindings::SWP_USED as c_ulong == 0 {
        // It is asked where the file is, as by what claims a swapfile: nowhere.
        return Err(EINVAL);
    }
    // SAFETY: An area that is in use is one of swapon(2).
    let status = unsafe { AreaStatus::new(NonNull::new(sis).ok_or(EINVAL)?) };
    let hooks = H::init(context, slots as usize, status)?;
    let disk = SwapDisk::new(hooks, slots as usize)?;
    let device = disk.number();
    let no_image = KBox::pin_init(HibernationNotifier::new(NoImage { device }), GFP_KERNEL)?;
    let area = ActiveArea {
        _no_image: no_image,
        disk,
    };
    let area = KBox::new(area, GFP_KERNEL)?;
    // One extent is the whole area. With SWP_BLKDEV the kernel notifies of freed slots, and swaps
    // large folios out whole.
    //
    // SAFETY: As above; the disk outlives the area, for `deactivate` is called at its end.
    unsafe {
        let extents = bindings::swap_fs_activate(sis, SwapOps::<H>::OPERATIONS);
        to_result(extents)?;
        (*sis).bdev = area.disk.block_device();
        (*sis).flags |= bindings::SWP_BLKDEV as c_ulong;
        *span = u64::from(slots);
        Ok((area.into_foreign(), extents))
    }
}

/// Ends the area that [`activate`] made.
///
/// # Safety
///
/// `area` was returned by `activate::<H>()`, and `swap_deactivate` was called for it.
pub(in crate::kernel_ext) unsafe fn deactivate<H: Hooks>(area: NonNull<c_void>) {
    // SAFETY: By the requirement of this function.
    let area = unsafe { KBox::<ActiveArea<H>>::from_foreign(area.as_ptr()) };
    let hooks = area.disk.hooks();
    // First the disk, then what it would call.
    drop(area);
    hooks.invalidate_area();
}
