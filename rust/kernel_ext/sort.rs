// SPDX-License-Identifier: GPL-2.0

//! Sorting.
//!
//! That of `core` has code that panics where an order is none. objtool does not see that such code does
//! not return.
//!
//! C header: [`include/linux/sort.h`](srctree/include/linux/sort.h)

use crate::kernel_ext::bindings;
use core::cmp::Ordering;
use kernel::prelude::*;

/// What can be sorted. Any order is safe: one that contradicts itself leaves some sequence.
pub(crate) trait Sortable: Copy {
    /// What it is sorted by.
    type Key: Ord;

    /// Its key.
    fn key(&self) -> Self::Key;
}

/// Sorts `items` by their keys, in rising order. Those of equal keys are in no order.
///
/// Context: any; takes no memory.
///
/// # Examples
///
/// ```ignore
/// let mut numbers = [3u64, 1, 2];
/// sort(&mut numbers);
/// assert_eq!(numbers, [1, 2, 3]);
/// ```
pub(crate) fn sort<T: Sortable>(items: &mut [T]) {
    // SAFETY: There are so many items of that size, which can be copied, and the function compares two of
    // them. They are changed by nothing else meanwhile.
    unsafe {
        bindings::sort(
            items.as_mut_ptr().cast(),
            items.len(),
            size_of::<T>(),
            Some(compare::<T>),
            None,
        )
    };
}

/// # Safety
///
/// Both point to items, which are not changed for as long as this runs.
unsafe extern "C" fn compare<T: Sortable>(left: *const c_void, right: *const c_void) -> c_int {
    // SAFETY: By the requirement of this function.
    let (left, right) = unsafe { (&*left.cast::<T>(), &*right.cast::<T>()) };
    match left.key().cmp(&right.key()) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}
