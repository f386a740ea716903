// SPDX-License-Identifier: GPL-2.0

//! A few places for shared values, which are looked up without a lock.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::kernel_ext::bindings;
use kernel::sync::{
    atomic::{
        Acquire,
        Atomic,
        Full, //
    },
    rcu,
    Arc,
    ArcBorrow, //
};

/// `N` places, each empty or with a value.
///
/// # Examples
///
/// ```ignore
/// let slots = ArcSlots::<u32, 8>::new();
/// let before = slots.replace(3, Some(Arc::new(7, GFP_KERNEL)?));
/// assert!(before.is_none());
/// assert_eq!(slots.with(3, |value| *value), Some(7));
/// // No reader has it any more, unless it has a reference.
/// let value = slots.replace(3, None);
/// ```
///
/// # Invariants
///
/// What is in a place and not null is of [`Arc::into_raw`], and owns one reference. That is given
/// up no sooner than the RCU readers of the time when it was taken out have left their read sides.
pub(crate) struct ArcSlots<T: Send + Sync, const N: usize>([Atomic<*mut T>; N]);

// SAFETY: It owns references to what can be sent and shared.
unsafe impl<T: Send + Sync, const N: usize> Send for ArcSlots<T, N> {}
// SAFETY: As above; places are changed in one step.
unsafe impl<T: Send + Sync, const N: usize> Sync for ArcSlots<T, N> {}

impl<T: Send + Sync, const N: usize> ArcSlots<T, N> {
    /// All empty.
    pub(crate) fn new() -> Self {
        // INVARIANT: All are null.
        Self([const { Atomic::new(core::ptr::null_mut()) }; N])
    }

    /// Calls `with` with what is in place `index`; [`None`] if nothing is.
    ///
    /// Context: any. `with` must not sleep.
    #[inline]
    pub(crate) fn with<R>(&self, index: usize, with: impl FnOnce(&T) -> R) -> Option<R> {
        let _guard = rcu::read_lock();
        // SAFETY: By the type invariants, the read side keeps what it finds.
        let value = unsafe { self.0.get(index)?.load(Acquire).as_ref() }?;
        Some(with(value))
    }

    /// What is in place `index`.
    ///
    /// Context: any. The caller may have the last reference when it drops it.
    pub(crate) fn get(&self, index: usize) -> Option<Arc<T>> {
        let _guard = rcu::read_lock();
        let value = self.0.get(index)?.load(Acquire);
        if value.is_null() {
            return None;
        }
        // SAFETY: By the type invariants it is of `Arc::into_raw()`, and the read side keeps the
        // reference of the place.
        Some(unsafe { ArcBorrow::from_raw(value) }.into())
    }

    /// Puts `value` into place `index`, and returns what was there once no reader is left that may
    /// have found it there. There is one `index` fewer than `N` at most, or nothing happens.
    ///
    /// Context: may sleep.
    pub(crate) fn replace(&self, index: usize, value: Option<Arc<T>>) -> Option<Arc<T>> {
        let place = self.0.get(index)?;
        let new = value.map_or(core::ptr::null_mut(), |value| {
            Arc::into_raw(value).cast_mut()
        });
        let old = place.xchg(new, Full);
        if old.is_null() {
            return None;
        }
        // SAFETY: The caller may sleep.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: By the type invariants it is of `Arc::into_raw()`, and the place's reference is
        // now the caller's.
        Some(unsafe { Arc::from_raw(old) })
    }
}

impl<T: Send + Sync, const N: usize> Drop for ArcSlots<T, N> {
    fn drop(&mut self) {
        for index in 0..N {
            drop(self.replace(index, None));
        }
    }
}
