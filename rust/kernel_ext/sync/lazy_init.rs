// SPDX-License-Identifier: GPL-2.0

//! Values that are made when they are first wanted, even where memory is being reclaimed.
//!
//! A task that reclaims memory must not take locks that are held while memory is allocated. So a
//! worker makes the value, and the task waits a moment.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::kernel_ext::{
    mm::reclaim::NoReclaimScope,
    sync::{
        event_count::EventCount,
        workqueue::ReclaimQueue, //
    },
};
use kernel::{
    impl_has_work,
    new_work,
    prelude::*,
    sync::{
        Arc,
        SetOnce, //
    },
    time::msecs_to_jiffies,
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// How long a worker is waited for, in milliseconds.
///
/// Making a value takes a thousandth of that, but more than 100 ms were seen on a debug kernel with
/// busy CPUs. If it takes much longer, the worker may wait for the very memory that the waiter is
/// to free. So the waiter gives up, and tries again another time.
const WAIT_MS: u32 = 500;

/// What can be made on demand.
pub(crate) trait Make: Send + Sync + Sized + 'static {
    /// What it is made from.
    type Seed: Send + Sync + 'static;

    /// Makes it.
    ///
    /// Context: may sleep; memory comes from the reserves, so it should not take much.
    fn make(seed: &Self::Seed) -> Result<Self>;
}

/// A value, if it was wanted so far.
///
/// # Examples
///
/// ```ignore
/// struct Table(KVec<u8>);
///
/// impl Make for Table {
///     type Seed = usize;
///
///     fn make(bytes: &usize) -> Result<Self> {
///         Ok(Self(KVec::with_capacity(*bytes, GFP_KERNEL)?))
///     }
/// }
///
/// let table = LazyInit::<Table>::new(4096)?;
/// assert!(table.get().is_none());
/// let bytes = table.get_or_make(&queue)?.0.capacity();
/// ```
#[pin_data]
pub(crate) struct LazyInit<T: Make> {
    seed: T::Seed,
    value: SetOnce<T>,
    /// Counts how often a worker tried to make it.
    #[pin]
    tries: EventCount,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl{T: Make} HasWork<Self> for LazyInit<T> { self.work }
}

impl<T: Make> LazyInit<T> {
    /// Nothing yet, to be made from `seed`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(seed: T::Seed) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                seed,
                value: SetOnce::new(),
                tries <- EventCount::new(),
                work <- new_work!("LazyInit::work"),
            }),
            GFP_KERNEL,
        )
    }

    /// The value, if it was made.
    ///
    /// Context: any.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// The value, made by a worker of `queue` if need be.
    ///
    /// Context: may sleep, but not for long; memory may be being reclaimed. Errors: [`ENOMEM`].
    #[inline]
    pub(crate) fn get_or_make<'a>(self: &'a Arc<Self>, queue: &ReclaimQueue) -> Result<&'a T> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.wait(queue),
        }
    }

    #[cold]
    fn wait<'a>(self: &'a Arc<Self>, queue: &ReclaimQueue) -> Result<&'a T> {
        let seen = self.tries.count();
        // If it is queued already, one is on its way.
        queue.enqueue(self.clone());
        let _ = self.tries.wait(seen, msecs_to_jiffies(WAIT_MS));
        self.get().ok_or(ENOMEM)
    }
}

impl<T: Make> WorkItem for LazyInit<T> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        if this.get().is_none() {
            // The tasks that wait are about to free memory, so this may take from the reserves, as
            // they do, and does not reclaim itself: that would be to wait for itself.
            let _scope = NoReclaimScope::new();
            if let Ok(value) = T::make(&this.seed) {
                this.value.populate(value);
            }
        }
        this.tries.signal();
    }
}
