// SPDX-License-Identifier: GPL-2.0

//! A sparse array whose elements come with their first use and go with their last.
//!
//! Looking up takes no lock: it is three loads in an RCU read side and one atomic addition to the
//! element. Only adding and removing an element takes the array's lock, which is innermost: nothing
//! else is locked while it is held.
//!
//! An XArray would do, but walking it would be a third of what freeing a slot costs. What this has
//! in its place are pointers to branches, and below them two levels of nodes, pages of pointers. Those
//! come with the first element below them and stay as long as the array: where an element is some
//! page's worth itself, that is 1 byte in 512.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::{
    core::pin_count::PinCount,
    kernel_ext::{
        bindings,
        sched::cond_resched, //
    },
};
use core::{
    ops::{
        ControlFlow,
        Deref,
        Range, //
    },
    ptr::NonNull,
};
use kernel::{
    alloc::flags::GFP_NOWAIT,
    container_of,
    new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed,
            Release, //
        },
        rcu,
        SpinLock, //
    },
    types::Opaque, //
};

/// The pointer that is in `place`: `rcu_dereference()`. What the pointer's writer stored before it,
/// with `Release`, is seen through it, because its reader gets there by way of it.
#[inline]
fn dereference<P>(place: &Atomic<*mut P>) -> *mut P {
    // SAFETY: It is a valid word, which others may write meanwhile; it is read once, and whole.
    // The kernel's own atomic loads are calls in Rust, and this is done three times for each page.
    unsafe { place.as_ptr().read_volatile() }
}

/// One element, with what keeps it alive.
///
/// # Invariants
///
/// While an element is in the array or pinned, it is valid. After that it stays so until the
/// readers of the time have left their RCU read sides.
struct Element<T> {
    /// Only for the deferred free.
    rcu: Opaque<bindings::callback_head>,
    pin_count: PinCount,
    index: usize,
    value: T,
}

/// Pointers in a node.
const FANOUT: usize = PAGE_SIZE / size_of::<*mut ()>();

/// Branches that an array may have.
const BRANCHES: usize = 32;

/// Indices that an array has: as many as clusters of 512 slots in 2^32.
const INDICES: usize = BRANCHES * FANOUT * FANOUT;

/// A page of pointers, or null.
///
/// # Invariants
///
/// A pointer that is not null is to a `C` made from a `KBox`, and the only one.
#[repr(transparent)]
struct ArrayNode<C>([Atomic<*mut C>; FANOUT]);

// SAFETY: Null pointers are zeros.
unsafe impl<C> pin_init::Zeroable for ArrayNode<C> {}

type Leaf<T> = ArrayNode<Element<T>>;
type Branch<T> = ArrayNode<Leaf<T>>;

/// The array.
///
/// # Examples
///
/// ```ignore
/// let array = KBox::pin_init(SparseArray::new(), GFP_KERNEL)?;
/// // The first use keeps the element, the last one ends it.
/// let flag = array.get_or_make(7, || Ok(Atomic::new(0u32)))?;
/// flag.add_use(|flag| ((), flag.xchg(1, Full) == 1));
/// drop(flag);
/// assert!(array.get(7).is_some());
/// array.end_use(7, |flag| ((), flag.xchg(0, Full) == 1));
/// assert!(array.get(7).is_none());
/// ```
///
/// # Invariants
///
/// Nodes stay until the array is dropped. What leaves point to are elements of this array, at their
/// index. Pointers are changed with the lock held.
#[pin_data(PinnedDrop)]
pub(crate) struct SparseArray<T: Send + Sync + 'static> {
    branches: [Atomic<*mut Branch<T>>; BRANCHES],
    nodes: Atomic<u64>,
    #[pin]
    lock: SpinLock<()>,
}

// SAFETY: It owns its elements, which can be sent.
unsafe impl<T: Send + Sync> Send for SparseArray<T> {}
// SAFETY: All access is under RCU and the array's lock; the elements can be shared.
unsafe impl<T: Send + Sync> Sync for SparseArray<T> {}

impl<T: Send + Sync> SparseArray<T> {
    /// An empty array.
    pub(crate) fn new() -> impl PinInit<Self> {
        // INVARIANT: There are neither nodes nor elements.
        pin_init!(Self {
            branches: [const { Atomic::new(core::ptr::null_mut()) }; BRANCHES],
            nodes: Atomic::new(0),
            lock <- new_spinlock!((), "sparse_array"),
        })
    }

    /// Bytes that the array takes beside its elements.
    pub(crate) fn bytes(&self) -> u64 {
        self.nodes.load(Relaxed) * PAGE_SIZE as u64
    }

    /// The element at `index`, if there is one.
    ///
    /// Context: any; never waits.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<PinnedElement<'_, T>> {
        let _guard = rcu::read_lock();
        // SAFETY: The RCU read side keeps what is found valid.
        self.pin(unsafe { self.find(index) }?)
    }

    /// The element at `index`, or the one that `make` makes for it.
    ///
    /// Context: may be called while memory is reclaimed; never sleeps. Errors: [`ENOMEM`], those of
    /// `make`, and [`ERANGE`] for an index that the array has not.
    #[inline]
    pub(crate) fn get_or_make(
        &self,
        index: usize,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<PinnedElement<'_, T>> {
        match self.get(index) {
            Some(pinned) => Ok(pinned),
            None => self.add(index, make()?),
        }
    }

    /// Calls `vacate` with the element at `index`, if there is one, and counts one use less of it
    /// if `vacate` says that one ended. Returns what else `vacate` says.
    ///
    /// Context: any but interrupts; never sleeps. `vacate` must not either.
    #[inline(always)]
    pub(crate) fn end_use<R>(
        &self,
        index: usize,
        vacate: impl FnOnce(&T) -> (R, bool),
    ) -> Option<R> {
        let _guard = rcu::read_lock();
        // SAFETY: The RCU read side keeps what is found valid.
        let element = unsafe { self.find(index) }?;
        let (said, ended) = vacate(&element.value);
        if ended {
            self.end_use_of(element);
        }
        Some(said)
    }

    /// Counts one use less of `element`, which the caller found in the RCU read side that it is in,
    /// or has pinned.
    #[inline]
    fn end_use_of(&self, element: &Element<T>) {
        if element.pin_count.end_use() {
            // SAFETY: It was just seen to die.
            unsafe { self.remove(element.into()) };
        }
    }

    /// What `place`, in the array or one of its nodes, points to.
    #[inline]
    fn node<'a, C>(&'a self, place: &'a Atomic<*mut ArrayNode<C>>) -> Option<&'a ArrayNode<C>> {
        // SAFETY: By the type invariants, it stays as long as the array.
        unsafe { dereference(place).as_ref() }
    }

    /// What `place`, in the array or one of its nodes, points to, which is made if nothing is
    /// there.
    ///
    /// Context: never sleeps. Errors: [`ENOMEM`].
    fn node_or_new<'a, C>(
        &'a self,
        place: &'a Atomic<*mut ArrayNode<C>>,
    ) -> Result<&'a ArrayNode<C>> {
        if self.node(place).is_none() {
            let new = KBox::init(pin_init::init_zeroed::<ArrayNode<C>>(), GFP_NOWAIT)?;
            let _locked = self.lock.lock();
            if place.load(Relaxed).is_null() {
                // INVARIANT: It is a box of a node of null pointers, and the lock is held.
                place.store(KBox::into_raw(new), Release);
                self.nodes.add(1u64, Relaxed);
            }
        }
        self.node(place).ok_or(ENOMEM)
    }

    /// Where the leaf of `index` has its element, if the leaf is there.
    #[inline]
    fn place(&self, index: usize) -> Option<&Atomic<*mut Element<T>>> {
        let branch = self.node(self.branches.get(index / FANOUT / FANOUT)?)?;
        let leaf = self.node(&branch.0[index / FANOUT % FANOUT])?;
        Some(&leaf.0[index % FANOUT])
    }

    /// Where the leaf of `index`, which is made if it is not there, has its element.
    ///
    /// Context: never sleeps. Errors: [`ENOMEM`]; [`ERANGE`] for an index that the array has not.
    fn place_or_new(&self, index: usize) -> Result<&Atomic<*mut Element<T>>> {
        let branch = self.branches.get(index / FANOUT / FANOUT).ok_or(ERANGE)?;
        let leaf = self.node_or_new(&self.node_or_new(branch)?.0[index / FANOUT % FANOUT])?;
        Ok(&leaf.0[index % FANOUT])
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
        unsafe { dereference(self.place(index)?).as_ref() }
    }

    /// What is at `*index` or, if nothing is, at the next index before `end` where something is;
    /// dead or alive.
    ///
    /// # Safety
    ///
    /// As for `find()`. `end` is [`INDICES`] at most.
    unsafe fn find_from<'a>(&self, index: &mut usize, end: usize) -> Option<&'a Element<T>> {
        while *index < end {
            // SAFETY: By the requirement of this function.
            if let Some(element) = unsafe { self.find(*index) } {
                return Some(element);
            }
            // Where there is no node, all that it would have is passed over.
            let step = match self.node(&self.branches[*index / FANOUT / FANOUT]) {
                None => FANOUT * FANOUT,
                Some(branch) => match self.node(&branch.0[*index / FANOUT % FANOUT]) {
                    None => FANOUT,
                    Some(_) => 1,
                },
            };
            *index = (*index / step + 1) * step;
        }
        None
    }

    /// Pins what a lookup found, if it is alive.
    #[inline]
    fn pin(&self, element: &Element<T>) -> Option<PinnedElement<'_, T>> {
        if element.pin_count.pin() {
            // INVARIANT: It was just pinned.
            Some(PinnedElement {
                array: self,
                element: element.into(),
            })
        } else {
            None
        }
    }

    #[cold]
    fn add(&self, index: usize, value: T) -> Result<PinnedElement<'_, T>> {
        let place = self.place_or_new(index)?;
        let new = KBox::new(
            Element {
                rcu: Opaque::zeroed(),
                pin_count: PinCount::new_pinned(),
                index,
                value,
            },
            GFP_NOWAIT,
        )?;
        let locked = self.lock.lock();
        // SAFETY: The lock is held, which keeps elements in the array, and so valid.
        let found = unsafe { self.find(index) };
        if let Some(pinned) = found.and_then(|element| self.pin(element)) {
            drop(locked);
            return Ok(pinned);
        }
        let element = NonNull::from(KBox::leak(new));
        // A dead element may still be there. Its killer finds it replaced, and only frees it.
        //
        // INVARIANT: It is an element for this index, made from a box, and the lock is held.
        place.store(element.as_ptr(), Release);
        drop(locked);
        // INVARIANT: New elements are pinned.
        Ok(PinnedElement {
            array: self,
            element,
        })
    }

    /// Calls `each` for all elements at `indices`, in order, until it breaks. Others may come and go
    /// meanwhile.
    ///
    /// Context: may sleep. An RCU read side is as long as it takes to look at a leaf, however large the array
    /// is, and `each` is called in none.
    pub(crate) fn for_each_at<B>(
        &self,
        indices: Range<usize>,
        mut each: impl FnMut(PinnedElement<'_, T>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut index = indices.start;
        let end = indices.end.min(INDICES);
        while index < end {
            cond_resched();
            let pinned = {
                let _guard = rcu::read_lock();
                let leaf_end = end.min(index + FANOUT);
                // SAFETY: The RCU read side keeps what is found valid.
                match unsafe { self.find_from(&mut index, leaf_end) } {
                    Some(element) => self.pin(element),
                    None => continue,
                }
            };
            if let Some(pinned) = pinned {
                each(pinned)?;
            }
            index += 1;
        }
        ControlFlow::Continue(())
    }

    /// Takes a dead element out of the array, and has it freed.
    ///
    /// # Safety
    ///
    /// The caller saw `element` of this array die.
    #[cold]
    unsafe fn remove(&self, element: NonNull<Element<T>>) {
        // SAFETY: Only the caller, which saw it die, frees it, below.
        let index = unsafe { element.as_ref() }.index;
        if let Some(place) = self.place(index) {
            let _locked = self.lock.lock();
            if place.load(Relaxed) == element.as_ptr() {
                // INVARIANT: The lock is held.
                place.store(core::ptr::null_mut(), Relaxed);
            }
        }
        // SAFETY: The element is out of the array, dead, and so not pinned. Lookups that still
        // read it are in an RCU read side that this waits for. The caller is the only one to get
        // here with it.
        unsafe {
            let rcu = Opaque::cast_into(&raw const (*element.as_ptr()).rcu);
            bindings::call_rcu(rcu, Some(reclaim::<T>));
        }
    }
}

/// Frees what `places` point to.
///
/// # Safety
///
/// What they point to are boxes, which have no other pointer to them and no other user any more.
unsafe fn free_all<C>(places: &[Atomic<*mut C>]) {
    for place in places {
        let child = place.load(Relaxed);
        if !child.is_null() {
            // SAFETY: By the requirement of this function.
            drop(unsafe { KBox::from_raw(child) });
        }
    }
}

impl<C> Drop for ArrayNode<C> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. There is no pin and no read side when the array goes, and
        // only then do nodes.
        unsafe { free_all(&self.0) };
    }
}

#[pinned_drop]
impl<T: Send + Sync> PinnedDrop for SparseArray<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: They were made from boxes, and the array has no other user any more. Its elements
        // are not used: no pin outlives the array.
        unsafe { free_all(&self.branches) };
    }
}

/// Frees an element when its last readers are gone.
///
/// # Safety
///
/// `head` is that of an `Element<T>` made from a box, which is not used any more.
unsafe extern "C" fn reclaim<T>(head: *mut bindings::callback_head) {
    // SAFETY: By the requirement of this function.
    drop(unsafe {
        let element = container_of!(Opaque::cast_from(head), Element<T>, rcu);
        KBox::from_raw(element.cast_mut())
    });
}

/// An element that stays while this exists.
///
/// Dropping it lets an element go that has no uses.
///
/// # Invariants
///
/// `element` is of `array`, and pinned by this value.
pub(crate) struct PinnedElement<'a, T: Send + Sync + 'static> {
    array: &'a SparseArray<T>,
    element: NonNull<Element<T>>,
}

impl<T: Send + Sync> PinnedElement<'_, T> {
    #[inline]
    fn element(&self) -> &Element<T> {
        // SAFETY: By the type invariants, the element is pinned, and so valid.
        unsafe { self.element.as_ref() }
    }

    /// Where the element is.
    #[inline]
    pub(crate) fn index(&self) -> usize {
        self.element().index
    }

    /// Calls `occupy` with the element, and counts one use more of it, unless `occupy` says that
    /// there was one already. Returns what else `occupy` says.
    ///
    /// Context: as that of `occupy`.
    #[inline]
    pub(crate) fn add_use<R>(&self, occupy: impl FnOnce(&T) -> (R, bool)) -> R {
        let element = self.element();
        // It is pinned, so it is alive.
        let _ = element.pin_count.add_use();
        let (said, was_used) = occupy(&element.value);
        if was_used {
            self.array.end_use_of(element);
        }
        said
    }
}

impl<T: Send + Sync> Deref for PinnedElement<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.element().value
    }
}

impl<T: Send + Sync> Drop for PinnedElement<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Others may see it die, and take it out, before the unpinning is done.
        let _guard = rcu::read_lock();
        if self.element().pin_count.unpin() {
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
        // SAFETY: It may be called wherever sleeping is allowed, as it is where modules are
        // unloaded.
        unsafe { bindings::rcu_barrier() };
    }
}
