// SPDX-License-Identifier: GPL-2.0

//! The kernel's coarse clock.
//!
//! C header: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h)

use crate::kernel_ext::bindings;
use kernel::prelude::*;

/// Seconds since some time before the boot.
///
/// Context: any.
#[inline]
pub(crate) fn seconds() -> u32 {
    (jiffies() / bindings::CONFIG_HZ as c_ulong) as u32
}

/// Jiffies since some time, modulo 2<sup>32</sup>.
///
/// Context: any.
#[inline]
pub(crate) fn ticks() -> u32 {
    jiffies() as u32
}

#[inline]
fn jiffies() -> c_ulong {
    // SAFETY: It is always there; the kernel's own code reads it so, too, while the timer writes
    // it.
    unsafe { (&raw const bindings::jiffies).read_volatile() }
}
