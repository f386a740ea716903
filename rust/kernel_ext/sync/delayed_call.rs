// SPDX-License-Identifier: GPL-2.0

//! A call that is made some time after it was asked for, however often that was.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::kernel_ext::bindings;
use kernel::{
    container_of, impl_has_delayed_work, new_delayed_work, new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        barrier::smp_mb,
        Arc,
        Mutex, //
    },
    time::msecs_to_jiffies,
    workqueue::{
        DelayedWork,
        HasWork,
        Queue,
        Work,
        WorkItem, //
    },
};

/// What is called.
pub(crate) trait Callee: Send + Sync {
    /// Does what is to be done.
    ///
    /// Context: a worker, which may sleep, and wait for memory.
    fn call(&self);
}

/// A call that can be asked for from any context, and is made a moment later by a worker. Until then it is
/// not asked for again. No call is missed: what asks while the worker runs has it run once more.
///
/// # Examples
///
/// ```ignore
/// let call = DelayedCall::new(250)?;
/// call.begin(Arc::new(Printer, GFP_KERNEL)?);
/// call.ask();
/// // From here on, nothing is called any more.
/// call.end();
/// ```
#[pin_data]
pub(crate) struct DelayedCall {
    /// How long after it was asked for, in milliseconds.
    delay: u32,
    /// Whether it was asked for, and is to come.
    asked: Atomic<bool>,
    /// [`None`] before it begins, and after it ended.
    #[pin]
    callee: Mutex<Option<Arc<dyn Callee>>>,
    #[pin]
    work: DelayedWork<Self>,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for DelayedCall { self.work }
}

impl WorkItem for DelayedCall {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        // First, and fully ordered: what changes from here on asks again.
        this.asked.xchg(false, Full);
        let callee = this.callee.lock().clone();
        if let Some(callee) = callee {
            callee.call();
        }
    }
}

/// The kernel's own queue that is bound to no CPU.
fn queue() -> &'static Queue {
    // SAFETY: It is made before any module is loaded, and never changes or goes.
    unsafe { Queue::from_raw(bindings::system_dfl_wq) }
}

impl DelayedCall {
    /// A call of nothing yet, which comes so many milliseconds after it was asked for.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(delay: u32) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                delay,
                asked: Atomic::new(false),
                callee <- new_mutex!(None),
                work <- new_delayed_work!("DelayedCall::work"),
            }),
            GFP_KERNEL,
        )
    }

    /// From now on `callee` is called.
    ///
    /// Context: may sleep.
    pub(crate) fn begin(&self, callee: Arc<dyn Callee>) {
        *self.callee.lock() = Some(callee);
    }

    /// Asks for the call. Many that ask at once write nothing that others read.
    ///
    /// Context: any; never sleeps.
    pub(crate) fn ask(self: &Arc<Self>) {
        // Either the call sees what changed before this, or this sees that none is to come.
        smp_mb(Full);
        if !self.asked.load(Relaxed) && !self.asked.xchg(true, Full) {
            let delay = msecs_to_jiffies(self.delay);
            // It is given back, and dropped, if it is queued already, or ended.
            let _ = queue().enqueue_delayed(self.clone(), delay);
        }
    }

    /// Ends it, for good: when this returns, nothing is being called, and nothing will be.
    ///
    /// Context: may sleep, for as long as a call takes; not the callee.
    pub(crate) fn end(self: &Arc<Self>) {
        let this = Arc::as_ptr(self);
        // SAFETY: The value is valid, and its work is the first field of a `delayed_work`.
        let was_pending = unsafe {
            let work = Work::raw_get(<Self as HasWork<Self>>::raw_get_work(this.cast_mut()));
            bindings::disable_delayed_work_sync(container_of!(work, bindings::delayed_work, work))
        };
        if was_pending {
            // SAFETY: `enqueue_delayed()` leaked a reference for the run that does not come any more.
            drop(unsafe { Arc::from_raw(this) });
        }
        let callee = self.callee.lock().take();
        // Not under the lock: it may be the last reference.
        drop(callee);
    }
}
