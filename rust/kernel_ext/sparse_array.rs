// SPDX-License-Identifier: GPL-2.0

//! A sparse array whose elements come with their first use and go with their last.
//!
//! Looking up takes no lock: it is an RCU walk of an XArray and one atomic addition to the element.
//! Only adding and removing an element takes the array's lock, which is innermost: nothing else is
//! locked while it is held.
//!
//! C headers: [`include/linux/xarray.h`](srctree/include/linux/xarray.h),
//! [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use super::bindings;
use crate::logic::usage::Usage;
use core::{marker::PhantomData, ops::Deref, ptr::NonNull};
use kernel::{alloc::flags::GFP_NOWAIT, error::to_result, prelude::*, sync::rcu, types::Opaque};

/// One element, with what keeps it alive.
///
/// # Invariants
///
/// While an element is in the array or pinned, it is valid. After that it stays so until the readers
/// of the time have left their RCU read sides.
#[repr(C)]
struct Element<T> {
    /// Only for the deferred free; [`reclaim`] relies on it being first.
    rcu: Opaque<bindings::callback_head>,
    usage: Usage,
    index: usize,
    value: T,
}

/// The array.
///
/// # Invariants
///
/// All entries of `xa` are elements of this array, made from a `KBox`, at their index.
#[pin_data(PinnedDrop)]
pub(crate) struct SparseArray<T: Send + Sync + 'static> {
    #[pin]
    xa: Opaque<bindings::xarray>,
    _elements: PhantomData<T>,
}

// SAFETY: It owns its elements, which can be sent.
unsafe impl<T: Send + Sync> Send for SparseArray<T> {}
// SAFETY: All access is under RCU and the array's lock; the elements can be shared.
unsafe impl<T: Send + Sync> Sync for SparseArray<T> {}

impl<T: Send + Sync> SparseArray<T> {
    /// An empty array.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            xa <- Opaque::ffi_init(|xa| {
                // SAFETY: `xa` is memory for an XArray, pinned from now on.
                unsafe { bindings::xa_init_flags(xa, 0) }
            }),
            _elements: PhantomData,
        })
    }

    /// The element at `index`, if there is one.
    ///
    /// Context: any; never waits.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<Pinned<'_, T>> {
        let _guard = rcu::read_lock();
        // SAFETY: The RCU read side keeps what is found valid.
        self.pin(unsafe { self.find(index) }?)
    }

    /// Calls `occupy` with the element at `index`, or with the one that `make` makes for it, and
    /// counts one use more of it, unless `occupy` says that there was one already.
    ///
    /// Context: may be called while memory is reclaimed; never sleeps. `occupy` must not either.
    /// Errors: [`ENOMEM`] and those of `make`; `occupy` was not called then.
    #[inline]
    pub(crate) fn add_use(
        &self,
        index: usize,
        make: impl FnOnce() -> Result<T>,
        occupy: impl FnOnce(&T) -> bool,
    ) -> Result {
        let guard = rcu::read_lock();
        // SAFETY: The RCU read side keeps what is found valid.
        let found = unsafe { self.find(index) };
        match found {
            Some(element) if element.usage.add_use() => {
                if occupy(&element.value) {
                    self.end_use_of(element);
                }
                Ok(())
            }
            _ => {
                drop(guard);
                let pinned = self.add(index, make()?)?;
                let element = pinned.element();
                // It is pinned, so it is alive.
                if element.usage.add_use() && occupy(&element.value) {
                    self.end_use_of(element);
                }
                Ok(())
            }
        }
    }

    /// Calls `vacate` with the element at `index`, if there is one, and counts one use less of it if
    /// `vacate` says that one ended.
    ///
    /// Context: any but interrupts; never sleeps. `vacate` must not either.
    #[inline]
    pub(crate) fn end_use(&self, index: usize, vacate: impl FnOnce(&T) -> bool) {
        let _guard = rcu::read_lock();
        // SAFETY: The RCU read side keeps what is found valid.
        if let Some(element) = unsafe { self.find(index) } {
            if vacate(&element.value) {
                self.end_use_of(element);
            }
        }
    }

    /// Counts one use less of `element`, which the caller found in the RCU read side that it is in,
    /// or has pinned.
    #[inline]
    fn end_use_of(&self, element: &Element<T>) {
        if element.usage.end_use() {
            // SAFETY: It was just seen to die.
            unsafe { self.remove(element.into()) };
        }
    }

    /// What is at `index`, dead or alive.
    ///
    /// # Safety
    ///
    /// The caller is in an RCU read side, and `'a` ends before that does; or it has the lock, and
    /// `'a` ends before it lets go of it.
    #[inline]
    unsafe fn find<'a>(&self, index: usize) -> Option<&'a Element<T>> {
        // SAFETY: By the invariants of the array and of `Element`, and the requirement of this
        // function.
        unsafe {
            bindings::xa_load(self.xa.get(), index)
                .cast::<Element<T>>()
                .as_ref()
        }
    }

    /// What is at `*index` or, if nothing is, at the next index where something is; dead or alive.
    ///
    /// # Safety
    ///
    /// As for `find()`.
    unsafe fn find_from<'a>(&self, index: &mut c_ulong) -> Option<&'a Element<T>> {
        // SAFETY: As in `find()`.
        unsafe {
            bindings::xa_find(self.xa.get(), index, c_ulong::MAX, bindings::XA_PRESENT)
                .cast::<Element<T>>()
                .as_ref()
        }
    }

    /// Pins what a lookup found, if it is alive.
    #[inline]
    fn pin(&self, element: &Element<T>) -> Option<Pinned<'_, T>> {
        if element.usage.pin() {
            // INVARIANT: It was just pinned.
            Some(Pinned {
                array: self,
                element: element.into(),
            })
        } else {
            None
        }
    }

    #[cold]
    fn add(&self, index: usize, value: T) -> Result<Pinned<'_, T>> {
        let new = KBox::new(
            Element {
                rcu: Opaque::zeroed(),
                usage: Usage::new_pinned(),
                index,
                value,
            },
            GFP_NOWAIT,
        )?;
        let xa = self.xa.get();
        // SAFETY: The XArray is valid. The lock is released below, on every path.
        unsafe { bindings::xa_lock(xa) };
        // SAFETY: The lock is held, which keeps elements in the array, and so valid.
        let found = unsafe { self.find(index) };
        if let Some(pinned) = found.and_then(|element| self.pin(element)) {
            // SAFETY: It was locked above.
            unsafe { bindings::xa_unlock(xa) };
            return Ok(pinned);
        }
        let element = NonNull::from(KBox::leak(new));
        // A dead element may still be there. Its killer finds it replaced, and only frees it.
        //
        // SAFETY: The lock is held, and these flags do not let it go. The element is aligned as an
        // entry must be.
        let old = unsafe {
            bindings::__xa_store(
                xa,
                index,
                element.as_ptr().cast(),
                bindings::KERNEL_EXT_GFP_NOWAIT,
            )
        };
        // SAFETY: It was locked above.
        unsafe { bindings::xa_unlock(xa) };
        // SAFETY: `old` is what `__xa_store()` returned.
        if let Err(error) = to_result(unsafe { bindings::xa_err(old) }) {
            // SAFETY: It was leaked above, and nobody else got to know it.
            drop(unsafe { KBox::from_raw(element.as_ptr()) });
            return Err(error);
        }
        // INVARIANT: New elements are pinned.
        Ok(Pinned {
            array: self,
            element,
        })
    }

    /// Calls `each` for all elements in order of index. Others may come and go meanwhile.
    ///
    /// Context: as that of `each`.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Pinned<'_, T>)) {
        let mut index: c_ulong = 0;
        loop {
            let pinned = {
                let _guard = rcu::read_lock();
                // SAFETY: The RCU read side keeps what is found valid.
                match unsafe { self.find_from(&mut index) } {
                    Some(element) => self.pin(element),
                    None => return,
                }
            };
            if let Some(pinned) = pinned {
                each(pinned);
            }
            match index.checked_add(1) {
                Some(next) => index = next,
                None => return,
            }
        }
    }

    /// Takes a dead element out of the array, and has it freed.
    ///
    /// # Safety
    ///
    /// The caller saw `element` of this array die.
    #[cold]
    unsafe fn remove(&self, element: NonNull<Element<T>>) {
        let xa = self.xa.get();
        // SAFETY: Only who saw it die frees it, and that is the caller, below.
        let index = unsafe { element.as_ref() }.index;
        // SAFETY: The XArray is valid.
        unsafe { bindings::xa_lock(xa) };
        // SAFETY: The lock is held.
        if unsafe { bindings::xa_load(xa, index) } == element.as_ptr().cast() {
            // SAFETY: The lock is held.
            unsafe { bindings::__xa_erase(xa, index) };
        }
        // SAFETY: It was locked above.
        unsafe { bindings::xa_unlock(xa) };
        // SAFETY: The element is out of the array, dead, and so pinned by nobody. Those who still
        // read it are in an RCU read side that this waits for. The caller is the only one to get
        // here with it.
        unsafe { bindings::call_rcu(element.cast().as_ptr(), Some(reclaim::<T>)) };
    }
}

#[pinned_drop]
impl<T: Send + Sync> PinnedDrop for SparseArray<T> {
    fn drop(self: Pin<&mut Self>) {
        let mut index: c_ulong = 0;
        // SAFETY: Nobody else has the array any more, so what is found stays.
        while let Some(element) = unsafe { self.find_from(&mut index) } {
            let element = NonNull::from(element);
            // SAFETY: The XArray is valid, and the element is not used any more.
            unsafe { bindings::xa_erase(self.xa.get(), index) };
            // SAFETY: By the type invariants, it was made from a box; no pin outlives the array.
            drop(unsafe { KBox::from_raw(element.as_ptr()) });
        }
        // SAFETY: The XArray is valid, and empty.
        unsafe { bindings::xa_destroy(self.xa.get()) };
    }
}

/// Frees an element when its last readers are gone.
///
/// # Safety
///
/// `head` is the first field of an `Element<T>` made from a box, which nobody uses any more.
unsafe extern "C" fn reclaim<T>(head: *mut bindings::callback_head) {
    // SAFETY: By the requirement of this function. `Element` has C layout, so its first field and
    // itself have one address.
    drop(unsafe { KBox::from_raw(head.cast::<Element<T>>()) });
}

/// An element that stays while this exists.
///
/// Dropping it lets an element go that has no uses.
///
/// # Invariants
///
/// `element` is of `array`, and pinned by this value.
pub(crate) struct Pinned<'a, T: Send + Sync + 'static> {
    array: &'a SparseArray<T>,
    element: NonNull<Element<T>>,
}

impl<T: Send + Sync> Pinned<'_, T> {
    fn element(&self) -> &Element<T> {
        // SAFETY: By the type invariants, the element is pinned, and so valid.
        unsafe { self.element.as_ref() }
    }

    /// Where the element is.
    pub(crate) fn index(&self) -> usize {
        self.element().index
    }

    /// Its uses. Others may use it meanwhile.
    pub(crate) fn uses(&self) -> u64 {
        self.element().usage.uses()
    }
}

impl<T: Send + Sync> Deref for Pinned<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.element().value
    }
}

impl<T: Send + Sync> Drop for Pinned<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.element().usage.unpin() {
            // SAFETY: It was just seen to die.
            unsafe { self.array.remove(self.element) };
        }
    }
}

/// Waits, when it is dropped, until all elements that left their arrays are freed.
///
/// A module has one, to be dropped before it is unloaded: freeing elements runs its code.
pub(crate) struct Barrier;

impl Drop for Barrier {
    fn drop(&mut self) {
        // SAFETY: It may be called wherever sleeping is allowed, as it is where modules are unloaded.
        unsafe { bindings::rcu_barrier() };
    }
}
