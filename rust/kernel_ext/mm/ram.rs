// SPDX-License-Identifier: GPL-2.0

//! How much RAM there is, and how large a swap area may be.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/swapops.h`](srctree/include/linux/swapops.h)

use crate::kernel_ext::bindings;
use kernel::page::PAGE_SIZE;

/// RAM in bytes, as `totalram_pages()` counts it.
pub(crate) fn total_ram() -> u64 {
    // SAFETY: Reads a counter; it may be called at any time.
    let pages = unsafe { bindings::kernel_ext_totalram_pages() };
    pages as u64 * PAGE_SIZE as u64
}

/// The most pages, the header's own included, that this kernel takes in one swap area.
///
/// See `arch_max_swapfile_size()` in `mm/swapfile.c`.
pub(crate) fn max_swap_pages() -> u64 {
    // SAFETY: Computes from constants and boot-time facts of the CPU; it may be called at any time.
    unsafe { bindings::kernel_ext_max_swap_pages() as u64 }
}
