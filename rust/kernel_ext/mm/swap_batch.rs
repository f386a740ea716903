// SPDX-License-Identifier: GPL-2.0

//! Pages that go out to swap, or come in from it, many at once.
//!
//! A batch has folios of one area, in any order and of any size. Each is kept or filled whole, or
//! fails, whatever becomes of the others.

use crate::kernel_ext::mm::{
    pending_page::{
        LoadTarget,
        Loaded, //
    },
    swap_iocb::SwapIocb,
    swap_page::SourcePage,
};
use core::marker::PhantomData;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Folios on their way out.
///
/// # Invariants
///
/// For `'a`, `iocb` is a batch that goes out and is not completed. The folios before `next` were
/// kept, or marked to stay in memory.
pub(crate) struct StoreBatch<'a> {
    iocb: SwapIocb,
    next: usize,
    _folios: PhantomData<&'a [u8]>,
}

impl StoreBatch<'_> {
    /// # Safety
    ///
    /// `iocb` was submitted to be written, and is not completed while the batch is used.
    #[inline]
    pub(in crate::kernel_ext) unsafe fn new(iocb: SwapIocb) -> Self {
        // INVARIANT: By the requirement of this function; no folio is before the first.
        Self {
            iocb,
            next: 0,
            _folios: PhantomData,
        }
    }

    /// Calls `keep` with the slot and the content of each page. If one is not kept, its folio stays
    /// in memory: the others of its pages are passed over, and `forget` is called with all its
    /// slots, those included that were just kept.
    ///
    /// Context: as that of `keep` and `forget`.
    #[inline]
    pub(crate) fn each_page(
        &mut self,
        mut keep: impl FnMut(usize, &SourcePage<'_>) -> Result,
        forget: impl Fn(usize),
    ) {
        while self.next < self.iocb.len() {
            let folio = self.iocb.folio(self.next);
            let node = self.iocb.node(self.next);
            let kept = (0..folio.pages).try_for_each(|at| {
                let data = folio.data.cast::<u64>();
                // SAFETY: The folio is under writeback, to a disk that asks for stable writes, and
                // has as many pages.
                let page = unsafe { SourcePage::new(data.byte_add(at * PAGE_SIZE), node) };
                keep(folio.slot + at, &page)
            });
            if kept.is_err() {
                (folio.slot..folio.slot + folio.pages).for_each(&forget);
                // SAFETY: By the type invariants, it goes out.
                unsafe { self.iocb.keep_in_memory(self.next) };
            }
            // INVARIANT: One of both was just done.
            self.next += 1;
        }
    }

    /// Ends the batch. Folios that were not looked at stay in memory.
    ///
    /// # Safety
    ///
    /// The batch is this one's to complete.
    #[inline]
    pub(in crate::kernel_ext) unsafe fn end(mut self) {
        self.each_page(|_, _| Err(EIO), |_| ());
        // SAFETY: By the type invariants, it goes out, so it has one count; it is not used after
        // this.
        unsafe { self.iocb.complete(true) };
    }
}

/// Folios on their way in.
///
/// # Invariants
///
/// For `'a`, `iocb` is a batch that comes in, of which this value has a count. The folios before
/// `next` have their bit in `failed`, or were filled, but for the pages that were put off.
pub(crate) struct LoadBatch<'a> {
    iocb: SwapIocb,
    next: usize,
    failed: u32,
    _folios: PhantomData<&'a mut [u8]>,
}

impl LoadBatch<'_> {
    /// # Safety
    ///
    /// `iocb` was submitted to be read, and this value gets a count of it.
    #[inline]
    pub(in crate::kernel_ext) unsafe fn new(iocb: SwapIocb) -> Self {
        // INVARIANT: By the requirement of this function; no folio is before the first.
        Self {
            iocb,
            next: 0,
            failed: 0,
            _folios: PhantomData,
        }
    }

    /// Calls `load` with the slot of each page, and the page, to be filled or put off. If it fails,
    /// the folio's user gets SIGBUS.
    ///
    /// Context: as that of `load`.
    #[inline]
    pub(crate) fn each_page(
        &mut self,
        mut load: impl FnMut(usize, LoadTarget<'_>) -> Result<Loaded>,
    ) {
        while self.next < self.iocb.len() {
            let folio = self.iocb.folio(self.next);
            for at in 0..folio.pages {
                // SAFETY: The folio is locked and not up to date, and has as many pages. Each is
                // given out once.
                let target = unsafe {
                    LoadTarget::new(folio.data.byte_add(at * PAGE_SIZE), self.iocb, self.next)
                };
                if load(folio.slot + at, target).is_err() {
                    self.failed |= 1 << self.next;
                    break;
                }
            }
            // INVARIANT: All its pages were loaded or put off, or its bit is set.
            self.next += 1;
        }
    }

    /// Ends this side's count. Folios that were not looked at fail.
    ///
    /// # Safety
    ///
    /// The count is this value's to end.
    #[inline]
    pub(in crate::kernel_ext) unsafe fn end(mut self) {
        self.each_page(|_, _| Err(EIO));
        // SAFETY: By the type invariants, and the requirement of this function.
        unsafe { self.iocb.end_read(self.failed) };
    }
}
