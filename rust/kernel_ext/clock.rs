// SPDX-License-Identifier: GPL-2.0

//! The kernel's coarse clock.
//!
//! C header: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h)

use crate::kernel_ext::bindings;

/// Jiffies since some time, modulo 2<sup>32</sup>.
///
/// Context: any.
#[inline]
pub(crate) fn ticks() -> u32 {
    // SAFETY: It is always there; the kernel's own code reads it so, too, while the timer writes
    // it.
    unsafe { (&raw const bindings::jiffies).read_volatile() as u32 }
}
