// SPDX-License-Identifier: GPL-2.0

//! Pages being swapped in that are filled after the call that was to fill them returned.
//!
//! Every page that is put off counts once more in its batch, which ends when all are done. That
//! takes no memory; and loads that wait for something queue up in the pages that they wait to fill,
//! so that takes none either.

use crate::kernel_ext::mm::{
    swap_iocb::SwapIocb,
    swap_page::{
        DestPage,
        Filled, //
    },
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::atomic::{
        Atomic,
        Full, //
    },
};

/// That a page was filled, or put off.
#[must_use]
pub(crate) struct Loaded(());

impl From<Filled> for Loaded {
    #[inline]
    fn from(_: Filled) -> Self {
        Self(())
    }
}

/// A page to be swapped in, now or later.
///
/// # Invariants
///
/// As of [`DestPage`], for `'a`. The page is one of folio `folio` of `iocb`, which comes in, and has
/// a count for `'a`.
pub(crate) struct LoadTarget<'a> {
    data: NonNull<u8>,
    iocb: SwapIocb,
    folio: usize,
    _page: PhantomData<DestPage<'a>>,
}

impl LoadTarget<'_> {
    /// # Safety
    ///
    /// The type invariants must hold.
    #[inline]
    pub(in crate::kernel_ext) unsafe fn new(
        data: NonNull<u8>,
        iocb: SwapIocb,
        folio: usize,
    ) -> Self {
        // INVARIANT: By the requirement of this function.
        Self {
            data,
            iocb,
            folio,
            _page: PhantomData,
        }
    }

    /// The page, to be filled now.
    #[inline]
    pub(crate) fn page(&mut self) -> DestPage<'_> {
        // SAFETY: By the type invariants; while it is borrowed, there is no other.
        unsafe { DestPage::new(self.data) }
    }

    /// Puts the page off, to be filled by the owner of what this returns.
    ///
    /// Context: any.
    pub(crate) fn defer(self) -> (PendingPage, Loaded) {
        self.iocb.put_off();
        // INVARIANT: It was just counted, and the target is gone.
        let page = PendingPage {
            data: self.data,
            iocb: self.iocb,
            folio: self.folio,
        };
        (page, Loaded(()))
    }
}

/// A page that was put off. If this is dropped, loading it failed.
///
/// It keeps the area on: a slot is in use until its page was brought in, so swapoff(2) waits for
/// it. It does not keep the area's [`Hooks`](super::swap::Hooks), so code that needs them has an
/// `Arc`.
///
/// # Invariants
///
/// As of [`DestPage`]. The page is one of folio `folio` of `iocb`, which comes in, and of which this
/// value has a count.
pub(crate) struct PendingPage {
    data: NonNull<u8>,
    iocb: SwapIocb,
    folio: usize,
}

// SAFETY: A batch may be ended by any task, and the page is this value's alone.
unsafe impl Send for PendingPage {}

impl PendingPage {
    /// The page, to be filled.
    pub(crate) fn page(&mut self) -> DestPage<'_> {
        // SAFETY: By the type invariants; while it is borrowed, there is no other.
        unsafe { DestPage::new(self.data) }
    }

    /// Ends it: it is filled, or it failed, and the page's user gets SIGBUS.
    ///
    /// Context: process or softirq.
    pub(crate) fn finish(self, result: Result<Filled>) {
        ManuallyDrop::new(self).end(result);
    }

    fn end(&mut self, result: Result<Filled>) {
        let failed = u32::from(result.is_err()) << self.folio;
        // SAFETY: By the type invariants; the count is ended once, here.
        unsafe { self.iocb.end_read(failed) };
    }
}

impl Drop for PendingPage {
    fn drop(&mut self) {
        self.end(Err(EIO));
    }
}

/// Pages that wait, first come, first served, each with a `T` that says what for. If this is
/// dropped with pages in it, loading them failed.
///
/// # Examples
///
/// ```ignore
/// let mut queue = PendingQueue::new();
/// // A load puts its page off until block 7 is read.
/// let (page, loaded) = target.defer();
/// queue.push(page, 7);
///
/// // A worker has read the blocks.
/// while let Some((mut page, block)) = queue.pop() {
///     let filled = page.page().copy_from(&blocks[block]);
///     page.finish(Ok(filled));
/// }
/// ```
///
/// # Invariants
///
/// `first` and those that follow it are nodes in pages of which this value owns the `PendingPage`;
/// the next of `last` is null.
pub(crate) struct PendingQueue<T> {
    first: *mut QueueNode<T>,
    last: *mut QueueNode<T>,
}

/// What is written into a page that waits: its content is yet to come.
struct QueueNode<T> {
    next: *mut QueueNode<T>,
    page: PendingPage,
    what: T,
}

impl<T> QueueNode<T> {
    /// Writes one of `page` into that page, and gives the page away with it.
    fn write(page: PendingPage, what: T) -> NonNull<Self> {
        build_assert!(size_of::<Self>() <= PAGE_SIZE && align_of::<Self>() <= PAGE_SIZE);
        let node: NonNull<Self> = page.data.cast();
        // SAFETY: By the invariants of `PendingPage`, the page is ours, writable, and aligned; it has
        // room for a node.
        unsafe {
            node.write(Self {
                next: core::ptr::null_mut(),
                page,
                what,
            });
        }
        node
    }

    /// Takes what [`QueueNode::write`] wrote, if there is anything.
    ///
    /// # Safety
    ///
    /// `node` is null, or a node that is the caller's and is not used any more.
    unsafe fn read(node: *mut Self) -> Option<Self> {
        if node.is_null() {
            return None;
        }
        // SAFETY: By the requirement of this function; it is read once.
        Some(unsafe { node.read() })
    }
}

// SAFETY: It owns what is in it.
unsafe impl<T: Send> Send for PendingQueue<T> {}

impl<T> PendingQueue<T> {
    /// With no page in it.
    pub(crate) const fn new() -> Self {
        Self {
            first: core::ptr::null_mut(),
            last: core::ptr::null_mut(),
        }
    }

    /// Appends `page`.
    ///
    /// Context: any; takes no memory.
    pub(crate) fn push(&mut self, page: PendingPage, what: T) {
        let node = QueueNode::write(page, what).as_ptr();
        // INVARIANT: The node is now the last, and its page is owned by this value.
        if self.first.is_null() {
            self.first = node;
        } else {
            // SAFETY: By the type invariants, `last` is a node, as there is a first.
            unsafe { (*self.last).next = node };
        }
        self.last = node;
    }

    /// Appends the pages of `others`, in their order.
    ///
    /// Context: any; takes no memory.
    pub(crate) fn append(&mut self, mut others: Self) {
        let first = core::mem::replace(&mut others.first, core::ptr::null_mut());
        if first.is_null() {
            return;
        }
        if self.first.is_null() {
            self.first = first;
        } else {
            // SAFETY: By the type invariants, `last` is a node, as there is a first.
            // INVARIANT: The nodes of `others` are owned by this value, and `others` has none.
            unsafe { (*self.last).next = first };
        }
        self.last = others.last;
    }

    /// Returns whether no page is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// What the first page waits for.
    ///
    /// Context: any.
    pub(crate) fn first(&self) -> Option<&T> {
        // SAFETY: By the type invariants, it is null or a node that this value owns.
        Some(unsafe { &self.first.as_ref()?.what })
    }

    /// Takes the first page.
    ///
    /// Context: any.
    pub(crate) fn pop(&mut self) -> Option<(PendingPage, T)> {
        // SAFETY: By the type invariants; if there is a node, it leaves the queue.
        let node = unsafe { QueueNode::read(self.first) }?;
        // INVARIANT: As above.
        self.first = node.next;
        Some((node.page, node.what))
    }
}

impl<T> Default for PendingQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PendingQueue<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// A place where one page waits, for whichever thread takes it first. If this is dropped with the page in
/// it, loading that failed.
///
/// # Examples
///
/// ```ignore
/// let cell = Arc::new(PendingCell::new(), GFP_KERNEL)?;
/// cell.put(page, 7);
///
/// // A thread that has read block 7, while another may give up waiting for it.
/// if let Some((mut page, block)) = cell.take() {
///     let filled = page.page().copy_from(&blocks[block]);
///     page.finish(Ok(filled));
/// }
/// ```
///
/// # Invariants
///
/// The pointer is null, or of a node in a page of which this value owns the `PendingPage`.
pub(crate) struct PendingCell<T>(Atomic<*mut QueueNode<T>>);

// SAFETY: It owns what is in it.
unsafe impl<T: Send> Send for PendingCell<T> {}
// SAFETY: As above; shared, it gives that to one thread only.
unsafe impl<T: Send> Sync for PendingCell<T> {}

impl<T> PendingCell<T> {
    /// With no page in it.
    pub(crate) fn new() -> Self {
        // INVARIANT: It is null.
        Self(Atomic::new(core::ptr::null_mut()))
    }

    /// Has `page` wait there. If another one is there, that fails.
    ///
    /// Context: any; takes no memory.
    pub(crate) fn put(&self, page: PendingPage, what: T) {
        // INVARIANT: It was just written, and its page is owned by this value.
        let before = self.0.xchg(QueueNode::write(page, what).as_ptr(), Full);
        // SAFETY: By the type invariants, and only this thread took it.
        drop(unsafe { QueueNode::read(before) });
    }

    /// Takes the page.
    ///
    /// Context: any.
    pub(crate) fn take(&self) -> Option<(PendingPage, T)> {
        // INVARIANT: It is null.
        let node = self.0.xchg(core::ptr::null_mut(), Full);
        // SAFETY: By the type invariants. Only this thread took it, after it was written.
        let node = unsafe { QueueNode::read(node) }?;
        Some((node.page, node.what))
    }
}

impl<T> Drop for PendingCell<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
