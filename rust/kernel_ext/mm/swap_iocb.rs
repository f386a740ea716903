// SPDX-License-Identifier: GPL-2.0

//! A batch of folios as swap submits it: `struct swap_iocb`.
//!
//! swap completes a batch as a whole: well, or failed. Its folios fail alone all the same, because
//! what the kernel would do with each folio of a failed batch is done here, with those that failed:
//!
//! - one going out is marked dirty before its writeback ends, as `swap_write_end()` does it;
//! - one coming in is not marked up to date. The others are, before `swap_read_end()` unlocks all.
//!
//! The completion is that of a request of a filesystem, which `swap_fs_prepare_rw()` sets. In the
//! request's `private`, which is for the code that serves it, a batch that comes in has its
//! [`BatchCount`].
//!
//! C header: [`include/linux/swap_ops.h`](srctree/include/linux/swap_ops.h)

use crate::{
    core::batch_count::{
        BatchCount,
        MAX_FOLIOS, //
    },
    kernel_ext::bindings,
};
use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    page::{
        BorrowedPage,
        PAGE_SIZE, //
    },
    prelude::*, //
};

const _: () = assert!(bindings::KERNEL_EXT_SWAP_CLUSTER_MAX as usize <= MAX_FOLIOS);
const _: () = assert!(size_of::<BatchCount>() == size_of::<*mut c_void>());

/// A folio of a batch.
pub(in crate::kernel_ext) struct BatchFolio {
    /// The slot of its first page. The others have the slots after it.
    pub(in crate::kernel_ext) slot: usize,
    /// Its first byte; its pages are mapped side by side.
    pub(in crate::kernel_ext) data: NonNull<u8>,
    /// How many pages it has.
    pub(in crate::kernel_ext) pages: usize,
}

/// A batch that was submitted and is not completed. Copies of it are the same batch.
///
/// # Invariants
///
/// While a count of this side's is not ended, the batch is valid, and this side's.
#[derive(Clone, Copy)]
pub(in crate::kernel_ext) struct SwapIocb(NonNull<bindings::swap_iocb>);

impl SwapIocb {
    /// Takes the batch of `context`, with one count: that of the caller. `rw` is `WRITE` for one
    /// that goes out: its folios are under writeback. It is `READ` for one that comes in: its folios
    /// are locked, and not up to date.
    ///
    /// # Safety
    ///
    /// Called once for each batch that swap submits, in the direction given.
    #[inline]
    pub(in crate::kernel_ext) unsafe fn begin(
        context: *mut bindings::swap_io_ctx,
        rw: u32,
    ) -> Self {
        let mut unused = MaybeUninit::uninit();
        // SAFETY: By the requirement of this function, the context is valid and has a batch. The
        // iterator is written, and forgotten: it borrows from the batch.
        let this = unsafe {
            bindings::swap_fs_prepare_rw(context, rw as c_int, unused.as_mut_ptr());
            // INVARIANT: It was submitted, and is counted once, below.
            Self(NonNull::new_unchecked((*context).sio))
        };
        // SAFETY: No other thread knows the batch yet, and the word is of the same size.
        unsafe { this.count_ptr().write(BatchCount::new()) };
        this
    }

    fn kiocb(self) -> *mut bindings::kiocb {
        // SAFETY: By the type invariants, it is valid; the union has both from its beginning.
        unsafe { (&raw mut (*self.0.as_ptr()).__bindgen_anon_1).cast() }
    }

    fn count_ptr(self) -> *mut BatchCount {
        // SAFETY: By the type invariants, the batch is valid.
        unsafe { (&raw mut (*self.kiocb()).private).cast() }
    }

    fn count(&self) -> &BatchCount {
        // SAFETY: By the type invariants, the batch is valid while this is used; `begin()` wrote it.
        unsafe { &*self.count_ptr() }
    }

    fn vector(self, at: usize) -> bindings::bio_vec {
        // SAFETY: By the type invariants; swap does not change a batch that it submitted.
        unsafe { (*self.0.as_ptr()).bvecs[at] }
    }

    /// How many folios it has.
    #[inline]
    pub(in crate::kernel_ext) fn len(self) -> usize {
        // SAFETY: As above.
        unsafe { (*self.0.as_ptr()).nr_bvecs as usize }
    }

    /// Its folio `at`, which is less than [`SwapIocb::len`].
    #[inline]
    pub(in crate::kernel_ext) fn folio(self, at: usize) -> BatchFolio {
        let vector = self.vector(at);
        // SAFETY: `bvec_set_folio()` made the vector of a folio in the swap cache, from its first
        // page. On a 64-bit machine all of it is mapped.
        unsafe {
            let data = bindings::kernel_ext_page_address(vector.bv_page).cast();
            BatchFolio {
                slot: bindings::kernel_ext_folio_swap_offset(vector.bv_page.cast()) as usize,
                data: NonNull::new_unchecked(data),
                pages: vector.bv_len as usize / PAGE_SIZE,
            }
        }
    }

    /// The NUMA node that folio `at`, which is less than [`SwapIocb::len`], lies on.
    #[inline]
    pub(in crate::kernel_ext) fn node(self, at: usize) -> i32 {
        // SAFETY: The vector has the first page of a folio, which stays as long as the batch.
        unsafe { BorrowedPage::from_raw(NonNull::new_unchecked(self.vector(at).bv_page)) }.nid()
    }

    /// Has folio `at` stay in memory: the kernel tries it again later.
    ///
    /// # Safety
    ///
    /// The batch goes out.
    #[cold]
    pub(in crate::kernel_ext) unsafe fn keep_in_memory(self, at: usize) {
        // SAFETY: By the requirement of this function, the folio is under writeback, and so valid.
        unsafe { bindings::folio_mark_dirty(self.vector(at).bv_page.cast()) };
    }

    /// Counts a page that is put off: the batch waits for one [`SwapIocb::end_read`] more.
    pub(in crate::kernel_ext) fn put_off(self) {
        self.count().add();
    }

    /// Ends one count of a batch that comes in. `failed` has bits of folios of which a page failed.
    ///
    /// # Safety
    ///
    /// The batch comes in, and the caller has a count of it. All pages that the count is for were
    /// filled, but for those of folios that failed.
    pub(in crate::kernel_ext) unsafe fn end_read(self, failed: u32) {
        let Some(failed) = self.count().end(failed) else {
            return;
        };
        if failed != 0 {
            for at in (0..self.len()).filter(|at| failed & (1 << at) == 0) {
                // SAFETY: The folio is locked, and all its pages were filled.
                unsafe { bindings::kernel_ext_folio_mark_uptodate(self.vector(at).bv_page.cast()) };
            }
        }
        // SAFETY: This was the last count.
        unsafe { self.complete(failed == 0) };
    }

    /// Gives the batch back to swap.
    ///
    /// # Safety
    ///
    /// Called once, with no count left but that of the caller; the batch is not touched after this.
    pub(in crate::kernel_ext) unsafe fn complete(self, well: bool) {
        let kiocb = self.kiocb();
        // SAFETY: By the type invariants, it is valid; `begin()` had the completion set.
        unsafe {
            let result = if well {
                (*self.0.as_ptr()).len as c_long
            } else {
                EIO.to_errno() as c_long
            };
            if let Some(complete) = (*kiocb).ki_complete {
                complete(kiocb, result);
            }
        }
    }
}
