// SPDX-License-Identifier: GPL-2.0

//! Workqueues: those that make progress while memory is reclaimed, and those that need not.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::kernel_ext::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    workqueue::{
        Queue,
        RawWorkItem, //
    },
};

/// A workqueue with a worker set aside, so that it makes progress while memory is reclaimed.
///
/// It goes when its work is done, so its last user must not be one of its own workers.
///
/// # Examples
///
/// ```ignore
/// let queue = ReclaimQueue::new(c"example")?;
/// queue.enqueue(work.clone());
/// // Until here, `work` has run.
/// queue.flush();
/// ```
///
/// # Invariants
///
/// The pointer is of `alloc_workqueue()`, and owned by this value.
pub(crate) struct ReclaimQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be used and destroyed by any task.
unsafe impl Send for ReclaimQueue {}
// SAFETY: As above.
unsafe impl Sync for ReclaimQueue {}

impl ReclaimQueue {
    /// A new queue, for work that may wait for its turn.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        Self::with_flags(name, 0)
    }

    /// A new queue, for work that a task waits for.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new_urgent(name: &CStr) -> Result<Self> {
        Self::with_flags(name, bindings::wq_flags_WQ_HIGHPRI)
    }

    fn with_flags(name: &CStr, flags: bindings::wq_flags) -> Result<Self> {
        // INVARIANT: It was just allocated.
        Ok(Self(allocate(
            name,
            bindings::wq_flags_WQ_MEM_RECLAIM | flags,
        )?))
    }

    /// Waits until all work is done that was queued before this is called.
    ///
    /// Context: may sleep; not one of its own workers.
    pub(crate) fn flush(&self) {
        // SAFETY: By the type invariants, the queue is valid.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) };
    }

    /// Queues `work`. If it is queued already, it is given back, and dropped.
    ///
    /// Context: any; never sleeps.
    pub(crate) fn enqueue<W, const ID: u64>(&self, work: W)
    where
        W: RawWorkItem<ID> + Send + 'static,
    {
        // SAFETY: By the type invariants, the queue is valid as long as this value.
        let _ = unsafe { Queue::from_raw(self.0.as_ptr()) }.enqueue(work);
    }
}

impl Drop for ReclaimQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. It runs what is queued first.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// A workqueue for what takes long, or needs memory: nothing that frees memory may wait for it.
///
/// It goes when its work is done, so its last user must not be one of its own workers.
///
/// # Examples
///
/// ```ignore
/// let queue = BackgroundQueue::new(c"example")?;
/// queue.spawn(move || empty(&store))?;
/// ```
///
/// # Invariants
///
/// The pointer is of `alloc_workqueue()`, and owned by this value.
pub(crate) struct BackgroundQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be used and destroyed by any task.
unsafe impl Send for BackgroundQueue {}
// SAFETY: As above.
unsafe impl Sync for BackgroundQueue {}

impl BackgroundQueue {
    /// A new queue.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // INVARIANT: It was just allocated.
        Ok(Self(allocate(name, 0)?))
    }

    /// Has a worker call `work`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`]; `work` is dropped then.
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'static) -> Result {
        // SAFETY: By the type invariants, it is valid as long as this value.
        let queue = unsafe { Queue::from_raw(self.0.as_ptr()) };
        Ok(queue.try_spawn(GFP_KERNEL, work)?)
    }

    /// Waits until all work is done that was queued before this is called.
    ///
    /// Context: may sleep; not one of its own workers.
    pub(crate) fn flush(&self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) };
    }
}

impl Drop for BackgroundQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. It runs what is queued first.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// Allocates an unbound workqueue.
fn allocate(name: &CStr, flags: bindings::wq_flags) -> Result<NonNull<bindings::workqueue_struct>> {
    // SAFETY: `name` is a C string, and there is nothing in the format to expand but it.
    let queue = unsafe {
        bindings::alloc_workqueue_noprof(
            c"%s".as_char_ptr(),
            bindings::wq_flags_WQ_UNBOUND | flags,
            0,
            name.as_char_ptr(),
        )
    };
    NonNull::new(queue).ok_or(ENOMEM)
}
