// SPDX-License-Identifier: GPL-2.0

//! Control groups that I/O is charged to.
//!
//! C header: [`include/linux/blk-cgroup.h`](srctree/include/linux/blk-cgroup.h)

use crate::kernel_ext::bindings;
use kernel::prelude::*;

/// A control group that I/O is charged to, and throttled for.
///
/// The block layer charges a bio to the group of the task that makes it. So what a worker reads for a
/// task would be charged to the root group; this has it charged to the group of that task.
///
/// # Examples
///
/// ```ignore
/// // In the task that wants the page.
/// let group = IoGroup::current();
/// // In a worker, in front of submit_bio().
/// unsafe { group.charge(bio) };
/// ```
///
/// # Invariants
///
/// The pointer is null, for the root group, or of a group of the io controller, to which this value has
/// a reference.
pub(crate) struct IoGroup(*mut c_void);

/// The root group, which has no limits.
// INVARIANT: Null is for the root group.
pub(crate) static ROOT: IoGroup = IoGroup(core::ptr::null_mut());

// SAFETY: A reference to a group is not bound to a task.
unsafe impl Send for IoGroup {}
// SAFETY: As above; groups lock themselves.
unsafe impl Sync for IoGroup {}

impl IoGroup {
    /// The group of this task.
    ///
    /// Context: process; never sleeps.
    pub(crate) fn current() -> Self {
        // INVARIANT: The function returns a reference, or null for the root group.
        // SAFETY: This task is valid.
        Self(unsafe { bindings::kernel_ext_current_get_io_css() })
    }

    /// A number of 61 bits, not all set, that no other group has while this value exists; 0 for the root
    /// group, which is not throttled.
    pub(crate) fn number(&self) -> u64 {
        // The first bits of all addresses of the kernel's are the same.
        self.0 as u64 & u64::MAX >> 3
    }

    /// Charges `bio` to the group.
    ///
    /// Context: any. What it allocates is `GFP_NOWAIT`; where that fails, an ancestor of the group is
    /// charged.
    ///
    /// # Safety
    ///
    /// `bio` is initialised, has its device, and is not submitted.
    pub(in crate::kernel_ext) unsafe fn charge(&self, bio: *mut bindings::bio) {
        // SAFETY: By the requirement of this function, and the type invariants.
        unsafe { bindings::kernel_ext_bio_charge(bio, self.0) };
    }
}

impl Drop for IoGroup {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: By the type invariants; the reference is this value's.
            unsafe { bindings::kernel_ext_css_put(self.0) };
        }
    }
}
