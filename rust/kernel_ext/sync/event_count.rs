// SPDX-License-Identifier: GPL-2.0

//! Waiting for events, for a limited time.
//!
//! `kernel::sync::CondVar` has no wait that ends with a time but not with a signal, and wants a
//! lock that its notifier takes, too.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

use crate::kernel_ext::bindings;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full, //
    },
    time::{
        msecs_to_jiffies,
        Jiffies, //
    },
    types::Opaque,
};

/// A task that waits for as long as it takes looks again after this time, in milliseconds, so that it is
/// not taken for hung.
const LOOK_AGAIN_MS: u32 = 1000;

/// A count of events, and a queue for tasks that wait for the next.
///
/// A task that waits for a state reads the count, looks at the state, and waits for the count to
/// change. What changes the state does so before it counts an event. So no event is missed: one
/// that comes after the count was read ends the wait.
///
/// # Examples
///
/// ```ignore
/// if !events.wait_until(msecs_to_jiffies(100), || is_done()) {
///     return Err(ETIMEDOUT);
/// }
/// ```
///
/// # Invariants
///
/// `queue` is initialised.
#[pin_data]
pub(crate) struct EventCount {
    count: Atomic<u32>,
    #[pin]
    queue: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A wait queue locks itself.
unsafe impl Send for EventCount {}
// SAFETY: As above.
unsafe impl Sync for EventCount {}

impl EventCount {
    /// No events yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            count: Atomic::new(0),
            // SAFETY: It is memory for a wait queue, pinned from now on.
            queue <- Opaque::ffi_init(|queue| unsafe {
                bindings::kernel_ext_init_waitqueue_head(queue)
            }),
        })
    }

    /// Events so far, wrapping.
    ///
    /// Context: any.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Acquire)
    }

    /// Counts an event, and wakes all tasks that wait.
    ///
    /// Context: any. A waiter may go on before this returns. So the caller keeps the value alive
    /// until then, by a reference of its own or in an RCU read side.
    pub(crate) fn signal(&self) {
        self.count.fetch_add(1u32, Full);
        // SAFETY: By the type invariants.
        unsafe { bindings::kernel_ext_wake_up_all(self.queue.get()) };
    }

    /// Waits until the count is not `seen`, for `left` jiffies at most, whatever signals the task
    /// has. Returns the jiffies that are left, at least 1; [`None`] if the count is `seen` still.
    ///
    /// Context: may sleep.
    pub(crate) fn wait(&self, seen: u32, left: Jiffies) -> Option<Jiffies> {
        // SAFETY: By the type invariants; the count lives as long.
        let left = unsafe {
            bindings::kernel_ext_wait_timeout(
                self.queue.get(),
                self.count.as_ptr(),
                seen,
                c_long::try_from(left).unwrap_or(c_long::MAX),
            )
        };
        Jiffies::try_from(left).ok().filter(|left| *left > 0)
    }

    /// Waits until `is_done`, which is looked at after each event, for `left` jiffies at most,
    /// whatever signals the task has. Returns whether it is.
    ///
    /// Context: may sleep.
    pub(crate) fn wait_until(&self, mut left: Jiffies, is_done: impl Fn() -> bool) -> bool {
        loop {
            let seen = self.count();
            if is_done() {
                return true;
            }
            match self.wait(seen, left) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
    }

    /// Waits until `look`, which is called after each event, finds something, however long that takes and
    /// whatever signals the task has.
    ///
    /// Context: may sleep.
    pub(crate) fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let seen = self.count();
            if let Some(found) = look() {
                return found;
            }
            self.wait(seen, msecs_to_jiffies(LOOK_AGAIN_MS));
        }
    }

    /// As [`EventCount::wait_for`], but ends with [`EINTR`] if the task has a signal.
    ///
    /// Context: may sleep.
    pub(crate) fn wait_for_interruptible<T>(
        &self,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        loop {
            let seen = self.count();
            if let Some(found) = look() {
                return Ok(found);
            }
            let waited = self.wait_interruptible(seen, msecs_to_jiffies(LOOK_AGAIN_MS));
            waited.map_err(|_| EINTR)?;
        }
    }

    /// As [`EventCount::wait`], but ends with [`ERESTARTSYS`] if the task has a signal.
    ///
    /// Context: may sleep.
    pub(crate) fn wait_interruptible(&self, seen: u32, left: Jiffies) -> Result<Option<Jiffies>> {
        // SAFETY: As for `wait()`.
        let left = unsafe {
            bindings::kernel_ext_wait_interruptible_timeout(
                self.queue.get(),
                self.count.as_ptr(),
                seen,
                c_long::try_from(left).unwrap_or(c_long::MAX),
            )
        };
        match Jiffies::try_from(left) {
            Ok(0) => Ok(None),
            Ok(left) => Ok(Some(left)),
            Err(_) => Err(ERESTARTSYS),
        }
    }
}
