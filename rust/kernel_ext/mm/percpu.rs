// SPDX-License-Identifier: GPL-2.0

//! Counters that each CPU keeps for itself.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use crate::kernel_ext::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    cpu,
    prelude::*, //
};

/// `N` counters, each the wrapping sum of what all CPUs added.
///
/// # Examples
///
/// ```ignore
/// let counters = Counters::<2>::new()?;
/// counters.add(0, 3);
/// counters.add(0, 1u64.wrapping_neg());
/// assert_eq!(counters.sum(0), 2);
/// ```
///
/// # Invariants
///
/// `ptr` is a per-CPU allocation of `N` words that this value owns.
pub(crate) struct Counters<const N: usize> {
    ptr: NonNull<u64>,
}

// SAFETY: A per-CPU allocation is not bound to a task.
unsafe impl<const N: usize> Send for Counters<N> {}
// SAFETY: A CPU adds to its own word in one instruction or with interrupts off, and others only
// read it, whole.
unsafe impl<const N: usize> Sync for Counters<N> {}

impl<const N: usize> Counters<N> {
    /// New counters, all zero.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Self> {
        build_assert!(N > 0);
        // SAFETY: The size is not zero, and may be anything else.
        let ptr = unsafe { bindings::kernel_ext_alloc_percpu(N * size_of::<u64>()) };
        // INVARIANT: It was just allocated.
        Ok(Self {
            ptr: NonNull::new(ptr.cast()).ok_or(ENOMEM)?,
        })
    }

    fn counter(&self, index: usize) -> *mut u64 {
        assert!(index < N);
        // A per-CPU pointer is an offset in disguise, so the arithmetic wraps.
        self.ptr.as_ptr().wrapping_add(index)
    }

    /// Adds `delta`, which may stand for a negative number, to counter `index`.
    ///
    /// Context: any.
    #[inline]
    pub(crate) fn add(&self, index: usize, delta: u64) {
        // SAFETY: By the type invariants and the check above, it is a per-CPU word of ours.
        unsafe { bindings::kernel_ext_this_cpu_add(self.counter(index), delta) };
    }

    /// Adds `delta` to counter `index`, and `next` to the one after it. As [`Counters::add`].
    ///
    /// Context: any.
    #[inline]
    pub(crate) fn add_pair(&self, index: usize, delta: u64, next: u64) {
        assert!(index + 1 < N);
        // SAFETY: As above, and so is the one after it.
        unsafe { bindings::kernel_ext_this_cpu_add_pair(self.counter(index), delta, next) };
    }

    /// The `M` counters from `first` on.
    #[inline]
    pub(crate) fn row<const M: usize>(&self, first: usize) -> CounterRow<'_, M> {
        assert!(first + M <= N);
        // INVARIANT: By the type invariants and the check above, there are so many.
        CounterRow {
            ptr: self.ptr.as_ptr().wrapping_add(first),
            _counters: PhantomData,
        }
    }

    /// The sum of counter `index` over all CPUs. Others may add meanwhile.
    pub(crate) fn sum(&self, index: usize) -> u64 {
        // SAFETY: As above.
        unsafe { bindings::kernel_ext_percpu_sum(self.counter(index)) }
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(cpu::nr_cpu_ids()) * (N * size_of::<u64>()) as u64
    }
}

/// `N` counters of some, for code that finds out late which of them it adds to: that takes it fewer
/// instructions.
///
/// # Invariants
///
/// For `'a`, `ptr` is the first of `N` words of a per-CPU allocation.
pub(crate) struct CounterRow<'a, const N: usize> {
    ptr: *mut u64,
    _counters: PhantomData<&'a u64>,
}

impl<const N: usize> CounterRow<'_, N> {
    /// Adds one to counter `index` of these.
    ///
    /// Context: any.
    #[inline]
    pub(crate) fn inc(&self, index: usize) {
        assert!(index < N);
        // SAFETY: By the type invariants and the check above, it is a per-CPU word.
        unsafe { bindings::kernel_ext_this_cpu_inc(self.ptr, index) };
    }
}

impl<const N: usize> Drop for Counters<N> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is ours to free.
        unsafe { bindings::free_percpu(self.ptr.as_ptr().cast()) };
    }
}
