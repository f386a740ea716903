// SPDX-License-Identifier: GPL-2.0

//! Tasks that reclaim memory.
//!
//! C headers: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h),
//! [`include/linux/swap.h`](srctree/include/linux/swap.h)

use crate::kernel_ext::bindings;
use kernel::types::NotThreadSafe;

/// Returns whether this task is kswapd, which reclaims for all others of its node.
///
/// Context: any.
pub(crate) fn is_kswapd() -> bool {
    // SAFETY: Reads the flags of this task.
    unsafe { bindings::kernel_ext_current_is_kswapd() }
}

/// While this exists, the task does what frees memory: what it allocates may come from the
/// reserves, and it does not reclaim itself.
///
/// # Examples
///
/// ```ignore
/// let _scope = NoReclaimScope::new();
/// write_to_swap();
/// ```
pub(crate) struct NoReclaimScope {
    /// What the task's flags are put back by.
    flags: u32,
    /// They are this task's.
    _task: NotThreadSafe,
}

impl NoReclaimScope {
    /// Begins it. Scopes end in the reverse order.
    ///
    /// Context: process.
    pub(crate) fn new() -> Self {
        Self {
            // SAFETY: Changes the flags of this task, until they are put back.
            flags: unsafe { bindings::kernel_ext_memalloc_noreclaim_save() },
            _task: NotThreadSafe,
        }
    }
}

impl Drop for NoReclaimScope {
    fn drop(&mut self) {
        // SAFETY: The value does not leave its task, see `_task`; `flags` are what it had.
        unsafe { bindings::kernel_ext_memalloc_noreclaim_restore(self.flags) };
    }
}
