// SPDX-License-Identifier: GPL-2.0

//! How many CPUs there are.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use crate::kernel_ext::bindings;

/// How many CPUs are online, at least 1. Others may come, and these may go.
///
/// Context: any.
pub(crate) fn online_cpus() -> usize {
    // SAFETY: Reads a number.
    unsafe { bindings::kernel_ext_num_online_cpus() as usize }
}
