// SPDX-License-Identifier: GPL-2.0

//! Workqueues: those that make progress while memory is reclaimed, and those that need not.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::kernel_ext::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Completion,
    },
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
pub(crate) struct ReclaimQueue(Pin<KBox<QueueInner>>);

/// # Invariants
///
/// `queue` is of `alloc_workqueue()`, and owned by this value. `guests` counts the [`Guest`]s, and
/// the [`ReclaimQueue`]; the one that takes it to 0 completes `left`.
#[pin_data]
struct QueueInner {
    queue: NonNull<bindings::workqueue_struct>,
    guests: Atomic<usize>,
    #[pin]
    left: Completion,
}

// SAFETY: A workqueue may be used and destroyed by any task.
unsafe impl Send for QueueInner {}
// SAFETY: As above.
unsafe impl Sync for QueueInner {}

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
        let queue = allocate(name, bindings::wq_flags_WQ_MEM_RECLAIM | flags)?;
        // INVARIANT: It was just allocated, and has no guests.
        let inner = KBox::pin_init(
            pin_init!(QueueInner {
                queue,
                guests: Atomic::new(1),
                left <- Completion::new(),
            }),
            GFP_KERNEL,
        );
        match inner {
            Ok(inner) => Ok(Self(inner)),
            Err(error) => {
                // SAFETY: It was just allocated, and has no other owner.
                unsafe { bindings::destroy_workqueue(queue.as_ptr()) };
                Err(error)
            }
        }
    }

    /// Waits until all work is done that was queued before this is called.
    ///
    /// Context: may sleep; not one of its own workers.
    pub(crate) fn flush(&self) {
        // SAFETY: The queue is valid by the invariants of `QueueInner`.
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

impl QueueInner {
    fn queue(&self) -> &Queue {
        // SAFETY: By the type invariants, it is valid as long as this value.
        unsafe { Queue::from_raw(self.queue.as_ptr()) }
    }

    /// Ends one of those that `guests` counts. The value may be gone when this returns.
    fn leave(&self) {
        if self.guests.fetch_sub(1usize, Full) == 1 {
            self.left.complete_all();
        }
    }
}

impl Drop for ReclaimQueue {
    fn drop(&mut self) {
        self.0.leave();
        self.0.left.wait_for_completion();
        // SAFETY: By the type invariants; no guest is left. It runs what is queued first.
        unsafe { bindings::destroy_workqueue(self.0.queue.as_ptr()) };
    }
}

/// Work that is not queued yet, but will be: the queue stays until this is dropped, though nothing
/// else of the queue's users is kept.
///
/// # Invariants
///
/// It is counted in `guests` of the `QueueInner` that it points to, which thus is valid.
pub(in crate::kernel_ext) struct Guest(NonNull<QueueInner>);

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
        unsafe { self.0.as_ref() }.leave();
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
