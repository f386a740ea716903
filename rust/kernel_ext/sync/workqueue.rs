// SPDX-License-Identifier: GPL-2.0

//! Workqueues that make progress while memory is reclaimed.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::kernel_ext::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::atomic::{Acquire, Atomic, Relaxed, Release},
    time::{delay::fsleep, Delta},
    workqueue::{Queue, RawWorkItem},
};

/// A workqueue with a worker set aside, so that it makes progress while memory is reclaimed.
///
/// It goes when its work is done, so its last user must not be one of its own workers.
pub(crate) struct ReclaimQueue(KBox<Inner>);

/// # Invariants
///
/// `queue` is of `alloc_workqueue()`, and owned by this value. `guests` counts the [`Guest`]s.
struct Inner {
    queue: NonNull<bindings::workqueue_struct>,
    guests: Atomic<usize>,
}

// SAFETY: A workqueue may be used and destroyed by any task.
unsafe impl Send for Inner {}
// SAFETY: As above.
unsafe impl Sync for Inner {}

impl ReclaimQueue {
    /// A new queue, for work that may wait for its turn.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        Self::with_flags(name, 0)
    }

    /// A new queue, for work that somebody waits for.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new_urgent(name: &CStr) -> Result<Self> {
        Self::with_flags(name, bindings::wq_flags_WQ_HIGHPRI)
    }

    fn with_flags(name: &CStr, flags: bindings::wq_flags) -> Result<Self> {
        // SAFETY: `name` is a C string, and there is nothing in the format to expand but it.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                bindings::wq_flags_WQ_MEM_RECLAIM | bindings::wq_flags_WQ_UNBOUND | flags,
                0,
                name.as_char_ptr(),
            )
        };
        // INVARIANT: It was just allocated, and has no guests.
        let inner = Inner {
            queue: NonNull::new(queue).ok_or(ENOMEM)?,
            guests: Atomic::new(0),
        };
        Ok(Self(KBox::new(inner, GFP_KERNEL)?))
    }

    /// Waits until all work is done that was queued before this is called.
    ///
    /// Context: may sleep; not one of its own workers.
    pub(crate) fn flush(&self) {
        // SAFETY: The queue is valid by the invariants of `Inner`.
        unsafe { bindings::__flush_workqueue(self.0.queue.as_ptr()) };
    }

    /// Queues `work`. If it is queued already, it is given back, and dropped.
    ///
    /// Context: any; never sleeps.
    pub(crate) fn enqueue<W, const ID: u64>(&self, work: W)
    where
        W: RawWorkItem<ID> + Send + 'static,
    {
        let _ = self.0.queue().enqueue(work);
    }

    /// Announces work that is queued later.
    pub(in crate::kernel_ext) fn guest(&self) -> Guest {
        self.0.guests.fetch_add(1usize, Relaxed);
        // INVARIANT: It was just counted.
        Guest(NonNull::from(&*self.0))
    }
}

impl Inner {
    fn queue(&self) -> &Queue {
        // SAFETY: By the type invariants, it is valid as long as this value.
        unsafe { Queue::from_raw(self.queue.as_ptr()) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        while self.guests.load(Acquire) != 0 {
            fsleep(Delta::from_millis(1));
        }
        // SAFETY: By the type invariants. It runs what is queued first.
        unsafe { bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}

/// Work that is not queued yet, but will be: the queue stays until this is dropped, though nothing
/// else of the queue's users is kept.
///
/// # Invariants
///
/// It is counted in `guests` of the `Inner` that it points to, which thus is valid.
pub(in crate::kernel_ext) struct Guest(NonNull<Inner>);

// SAFETY: It is a reference to what can be shared.
unsafe impl Send for Guest {}

impl Guest {
    pub(in crate::kernel_ext) fn queue(&self) -> &Queue {
        // SAFETY: By the type invariants.
        unsafe { self.0.as_ref() }.queue()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; nothing touches the queue through this value afterwards.
        unsafe { self.0.as_ref() }.guests.fetch_sub(1usize, Release);
    }
}
