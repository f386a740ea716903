// SPDX-License-Identifier: GPL-2.0

//! An array that fills one page exactly.
//!
//! C header: [`include/linux/gfp.h`](srctree/include/linux/gfp.h)

use crate::kernel_ext::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// As many `T` as one page has room for.
///
/// # Examples
///
/// ```ignore
/// let words = PageArray::new(|| Atomic::new(0u64))?;
/// assert_eq!(words.len(), PAGE_SIZE / 8);
/// words[0].store(1, Relaxed);
/// ```
///
/// # Invariants
///
/// `ptr` is a page of `get_free_pages()` that this value owns, with [`Self::LEN`] initialised `T`.
pub(crate) struct PageArray<T> {
    ptr: NonNull<T>,
}

// SAFETY: It owns its elements.
unsafe impl<T: Send> Send for PageArray<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for PageArray<T> {}

impl<T> PageArray<T> {
    /// Elements in the array.
    pub(crate) const LEN: usize = PAGE_SIZE / size_of::<T>();

    /// A new array of what `make` returns.
    ///
    /// Context: may be called while memory is reclaimed; never sleeps. Errors: [`ENOMEM`].
    pub(crate) fn new(make: impl Fn() -> T) -> Result<Self> {
        build_assert!(size_of::<T>() > 0 && PAGE_SIZE % size_of::<T>() == 0);
        build_assert!(!core::mem::needs_drop::<T>());
        // SAFETY: Any flags may be given.
        let page = unsafe { bindings::kernel_ext_get_free_page(bindings::KERNEL_EXT_GFP_NOWAIT) };
        let ptr = NonNull::new(page as *mut T).ok_or(ENOMEM)?;
        for i in 0..Self::LEN {
            // SAFETY: The page is ours, and has room for `LEN` elements from its beginning, which
            // is aligned to a page.
            unsafe { ptr.add(i).write(make()) };
        }
        // INVARIANT: All elements were just initialised.
        Ok(Self { ptr })
    }
}

impl<T> Deref for PageArray<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: By the type invariants.
        unsafe { core::slice::from_raw_parts(self.ptr.as_ptr(), Self::LEN) }
    }
}

impl<T> Drop for PageArray<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the page is ours, of order 0. The elements need no drop.
        unsafe { bindings::free_pages(self.ptr.as_ptr() as c_ulong, 0) };
    }
}
