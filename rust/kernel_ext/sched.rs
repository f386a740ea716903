// SPDX-License-Identifier: GPL-2.0

//! What has long work to do gives way to other tasks.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::kernel_ext::bindings;

/// Lets another task run, if one is to. Most kernels take the CPU from a task in the kernel whenever they
/// want to, and this does nothing there; others wait for it.
///
/// Context: may sleep.
#[inline]
pub(crate) fn cond_resched() {
    // SAFETY: By the requirement on the context.
    unsafe { bindings::kernel_ext_cond_resched() };
}
