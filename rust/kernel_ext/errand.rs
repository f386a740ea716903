// SPDX-License-Identifier: GPL-2.0

//! Something that a worker does when it is asked to, as often as that is.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::workqueue::ReclaimQueue;
use kernel::{
    impl_has_work, new_spinlock, new_work,
    prelude::*,
    sync::{Arc, SpinLock},
    workqueue::{Work, WorkItem},
};

/// What can be asked for.
pub(crate) trait Run: Send + Sync + 'static {
    /// Does it. It is not run twice at the same time.
    ///
    /// Context: process, a worker of the queue that was given; may sleep.
    fn run(self: Arc<Self>);
}

/// One errand, of one `T`. It takes no memory to ask for it.
#[pin_data]
pub(crate) struct Errand<T: Run> {
    /// Whose it is, while it is asked for.
    #[pin]
    whose: SpinLock<Option<Arc<T>>>,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl{T: Run} HasWork<Self> for Errand<T> { self.work }
}

impl<T: Run> Errand<T> {
    /// An errand that nobody asked for yet.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                whose <- new_spinlock!(None),
                work <- new_work!("Errand::work"),
            }),
            GFP_KERNEL,
        )
    }

    /// Has a worker of `queue` do it for `whose`, after all that was done before this is called. If
    /// it is asked for already and not begun, that is enough.
    ///
    /// Context: any but interrupts; never sleeps. It is always asked for on the same queue, and for the
    /// same `whose`.
    pub(crate) fn ask(self: &Arc<Self>, queue: &ReclaimQueue, whose: &Arc<T>) {
        let before = self.whose.lock().replace(whose.clone());
        // The last reference cannot be this: it is of the same, of which the caller has one.
        drop(before);
        // If it is queued already, one is on its way.
        let _ = queue.queue().enqueue(self.clone());
    }
}

impl<T: Run> WorkItem for Errand<T> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let whose = this.whose.lock().take();
        if let Some(whose) = whose {
            whose.run();
        }
    }
}
