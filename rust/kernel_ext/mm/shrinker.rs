// SPDX-License-Identifier: GPL-2.0

//! Shrinkers: what the kernel asks to free memory when memory is short.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)

use crate::kernel_ext::bindings;
use core::ptr::NonNull;
use kernel::{
    fmt,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
};

/// What can free memory that it holds, in objects of a size of its own.
///
/// Context of all here: memory is being reclaimed, for any purpose, by many tasks at once. So they wait
/// for nothing that may wait for memory, and for no lock that is held where memory is allocated.
///
/// # Examples
///
/// ```ignore
/// struct Pantry(Atomic<usize>);
///
/// impl Shrinkable for Pantry {
///     fn count(&self) -> usize {
///         self.0.load(Relaxed)
///     }
///
///     fn shrink(pantry: ArcBorrow<'_, Self>, wanted: usize) -> Option<usize> {
///         pantry.eat(wanted)
///     }
/// }
///
/// let pantry = Arc::new(Pantry(Atomic::new(7)), GFP_KERNEL)?;
/// let shrinker = Shrinker::new(fmt!("pantry"), DEFAULT_SEEKS, pantry)?;
/// ```
pub(crate) trait Shrinkable: Send + Sync + 'static {
    /// Returns how many objects can be freed now. With 0, it is not asked for any this time.
    fn count(&self) -> usize;

    /// Frees `wanted` objects at most, or has that done. Returns how many; [`None`] if it is of no use to
    /// ask for more now.
    fn shrink(this: ArcBorrow<'_, Self>, wanted: usize) -> Option<usize>;
}

/// What an object costs that is needed again, if nothing better is known.
pub(crate) const DEFAULT_SEEKS: usize = bindings::DEFAULT_SEEKS as usize;

/// A `T` that the kernel asks to shrink when the memory of the whole machine is short, not that of a
/// control group, until this is dropped.
///
/// # Invariants
///
/// `raw` is a registered shrinker, whose functions are those of this type, and whose private data is
/// `_data`.
pub(crate) struct Shrinker<T: Shrinkable> {
    raw: NonNull<bindings::shrinker>,
    _data: Arc<T>,
}

// SAFETY: A shrinker is called by any task, and may be freed by any; `T` can be sent and shared.
unsafe impl<T: Shrinkable> Send for Shrinker<T> {}
// SAFETY: As above; nothing is done through a shared reference.
unsafe impl<T: Shrinkable> Sync for Shrinker<T> {}

impl<T: Shrinkable> Shrinker<T> {
    /// Registers a shrinker of `data`, called `name`. The more `seeks` an object costs that is needed
    /// again, the fewer are asked for.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(name: fmt::Arguments<'_>, seeks: usize, data: Arc<T>) -> Result<Self> {
        // SAFETY: `%pA` takes a pointer to arguments. What is made of them is copied.
        let raw = unsafe {
            bindings::shrinker_alloc(
                0,
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&name).cast::<c_void>(),
            )
        };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: It was just made, and nothing else knows of it before it is registered, which is done
        // once. Its data stays as long as it, as this value has a reference to it.
        unsafe {
            let shrinker = raw.as_ptr();
            (*shrinker).count_objects = Some(Self::count_objects);
            (*shrinker).scan_objects = Some(Self::scan_objects);
            (*shrinker).seeks = seeks as c_int;
            (*shrinker).private_data = Arc::as_ptr(&data).cast_mut().cast();
            bindings::shrinker_register(shrinker);
        }
        // INVARIANT: It was just registered, with these functions and this data.
        Ok(Self { raw, _data: data })
    }

    /// The data of `shrinker`.
    ///
    /// # Safety
    ///
    /// `shrinker` is one of this type, and is not freed for `'a`.
    unsafe fn data<'a>(shrinker: *mut bindings::shrinker) -> ArcBorrow<'a, T> {
        // SAFETY: By the requirement of this function and the type invariants, it is from
        // `Arc::as_ptr()`, and that `Arc` is not dropped before the shrinker is freed.
        unsafe { ArcBorrow::from_raw((*shrinker).private_data.cast::<T>()) }
    }

    /// # Safety
    ///
    /// Called by the shrinker code, with a shrinker of this type.
    unsafe extern "C" fn count_objects(
        shrinker: *mut bindings::shrinker,
        _control: *mut bindings::shrink_control,
    ) -> c_ulong {
        // SAFETY: By the requirement of this function; it is not freed while it is called.
        let data = unsafe { Self::data(shrinker) };
        // What is greater has a meaning of its own.
        data.count().min(c_long::MAX as usize) as c_ulong
    }

    /// # Safety
    ///
    /// Called by the shrinker code, with a shrinker of this type, and what is wanted.
    unsafe extern "C" fn scan_objects(
        shrinker: *mut bindings::shrinker,
        control: *mut bindings::shrink_control,
    ) -> c_ulong {
        // SAFETY: By the requirement of this function; it is not freed while it is called.
        let (data, control) = unsafe { (Self::data(shrinker), &mut *control) };
        match T::shrink(data, control.nr_to_scan) {
            Some(freed) => {
                control.nr_scanned = freed as c_ulong;
                freed as c_ulong
            }
            None => bindings::SHRINK_STOP as c_ulong,
        }
    }
}

impl<T: Shrinkable> Drop for Shrinker<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. It waits for those that call it, and is called no more after
        // that; `_data` is dropped later.
        unsafe { bindings::shrinker_free(self.raw.as_ptr()) };
    }
}
