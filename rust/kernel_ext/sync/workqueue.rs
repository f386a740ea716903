// SPDX-License-Identifier: GPL-2.0

//! Workqueues: those that make progress while memory is reclaimed, and those that need not.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::kernel_ext::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    workqueue::{
        Queue,
        RawWorkItem, //
    },
};

/// A workqueue.
///
/// It goes when its work is done, so its last user must not be one of its own workers.
///
/// # Invariants
///
/// The pointer is of `alloc_workqueue()`, and owned by this value.
struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be used and destroyed by any task.
unsafe impl Send for OwnedQueue {}
// SAFETY: As above.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// A new queue that is not bound to CPUs.
    fn new(name: &CStr, flags: bindings::wq_flags) -> Result<Self> {
        // SAFETY: `name` is a C string, and there is nothing in the format to expand but it.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND | flags,
                0,
                name.as_char_ptr(),
            )
        };
        // INVARIANT: It was just allocated.
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }

    fn flush(&self) {
        // SAFETY: By the type invariants, the queue is valid.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) };
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariants, the queue is valid as long as this value.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. It runs what is queued first.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

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
pub(crate) struct ReclaimQueue(OwnedQueue);

impl ReclaimQueue {
    /// A new queue, for work that may wait for its turn.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        Self::with_flags(name, 0)
    }

    /// A new queue, for work that is not done while the image of a hibernating machine is made and written, nor
    /// while the machine is suspended. The kernel waits for what is being done then, for 20 seconds, and
    /// gives up.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new_freezable(name: &CStr) -> Result<Self> {
        Self::with_flags(name, bindings::wq_flags_WQ_FREEZABLE)
    }

    /// A new queue, for work that a task waits for.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new_urgent(name: &CStr) -> Result<Self> {
        Self::with_flags(name, bindings::wq_flags_WQ_HIGHPRI)
    }

    fn with_flags(name: &CStr, flags: bindings::wq_flags) -> Result<Self> {
        let queue = OwnedQueue::new(name, bindings::wq_flags_WQ_MEM_RECLAIM | flags)?;
        Ok(Self(queue))
    }

    /// Waits until all work is done that was queued before this is called.
    ///
    /// Context: may sleep; not one of its own workers.
    pub(crate) fn flush(&self) {
        self.0.flush();
    }

    /// Queues `work`. If it is queued already, it is given back, and dropped.
    ///
    /// Context: any; never sleeps.
    pub(crate) fn enqueue<W, const ID: u64>(&self, work: W)
    where
        W: RawWorkItem<ID> + Send + 'static,
    {
        let _ = self.0.enqueue(work);
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
pub(crate) struct BackgroundQueue(OwnedQueue);

impl BackgroundQueue {
    /// A new queue.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        Ok(Self(OwnedQueue::new(name, 0)?))
    }

    /// Has a worker call `work`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`]; `work` is dropped then.
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'static) -> Result {
        Ok(self.0.try_spawn(GFP_KERNEL, work)?)
    }

    /// Waits until all work is done that was queued before this is called.
    ///
    /// Context: may sleep; not one of its own workers.
    pub(crate) fn flush(&self) {
        self.0.flush();
    }
}
