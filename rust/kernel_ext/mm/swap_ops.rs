// SPDX-License-Identifier: GPL-2.0

//! What swap calls to write and to read the folios of an area: `struct swap_ops`.
//!
//! C header: [`include/linux/swap_ops.h`](srctree/include/linux/swap_ops.h)

use crate::kernel_ext::{
    bindings,
    mm::{
        swap::Hooks,
        swap_batch::{
            LoadBatch,
            StoreBatch, //
        },
        swap_disk::SwapDisk,
        swap_iocb::SwapIocb,
    },
};
use core::marker::PhantomData;
use kernel::prelude::*;

/// The operations of areas with hooks `H`.
pub(in crate::kernel_ext) struct SwapOps<H>(PhantomData<H>);

impl<H: Hooks> SwapOps<H> {
    /// Reclaim need not keep out of filesystems, for the hooks wait for none.
    pub(in crate::kernel_ext) const OPERATIONS: &'static bindings::swap_ops = &bindings::swap_ops {
        flags: 0,
        can_merge: Some(Self::can_merge),
        submit_write: Some(Self::submit_write),
        submit_read: Some(Self::submit_read),
    };

    /// Any folios of an area go well in one batch: each fails alone.
    ///
    /// # Safety
    ///
    /// Called by swap. Touches nothing.
    unsafe extern "C" fn can_merge(
        _folio: *mut bindings::folio,
        _before: *mut bindings::folio,
        _size: usize,
        _rw: c_int,
    ) -> bool {
        true
    }

    /// # Safety
    ///
    /// Called by swap, with folios that are under writeback, for an area of `activate::<H>()`.
    unsafe extern "C" fn submit_write(context: *mut bindings::swap_io_ctx) {
        // SAFETY: The area is on while it has folios in flight, and its disk is that of a
        // `SwapDisk<H>`. The batch was just submitted.
        unsafe {
            let hooks = SwapDisk::<H>::hooks_of((*(*context).sis).bdev);
            let mut batch = StoreBatch::new(SwapIocb::begin(context, bindings::KERNEL_EXT_WRITE));
            hooks.store(&mut batch);
            batch.end();
        }
    }

    /// # Safety
    ///
    /// Called by swap, with folios that are locked and not up to date, for an area of
    /// `activate::<H>()`.
    unsafe extern "C" fn submit_read(context: *mut bindings::swap_io_ctx) {
        // SAFETY: As in `submit_write()`.
        unsafe {
            let hooks = SwapDisk::<H>::hooks_of((*(*context).sis).bdev);
            let mut batch = LoadBatch::new(SwapIocb::begin(context, bindings::KERNEL_EXT_READ));
            hooks.load(&mut batch);
            batch.end();
        }
    }
}
