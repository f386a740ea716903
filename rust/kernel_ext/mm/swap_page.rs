// SPDX-License-Identifier: GPL-2.0

//! The pages of a folio on its way out to swap or in from it.
//!
//! Going out and coming in are two types: one can only be read, the other only be written.

use crate::kernel_ext::{
    bindings,
    block::buffer::Block, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::page::PAGE_SIZE;

/// No node in particular.
pub(crate) const NO_NODE: i32 = bindings::NUMA_NO_NODE;

const WORDS: usize = PAGE_SIZE / size_of::<u64>();

/// A page being swapped out.
///
/// # Invariants
///
/// For `'a`, `data` points to `PAGE_SIZE` readable, page-aligned bytes, which are not written:
/// their folio is under writeback to a disk that asks for stable writes, or they are borrowed.
///
/// One writer may break this: a task that got the page by `get_user_pages()` before, as ptrace does. It
/// marks the folio dirty after that, so the page goes out again. Meanwhile two reads of a byte may differ,
/// so no bound may rest on what is read.
pub(crate) struct SourcePage<'a> {
    data: NonNull<u64>,
    node: i32,
    _folio: PhantomData<&'a [u64; WORDS]>,
}

impl SourcePage<'_> {
    /// # Safety
    ///
    /// The type invariants must hold for `data`.
    pub(in crate::kernel_ext) unsafe fn new(data: NonNull<u64>, node: i32) -> Self {
        // INVARIANT: By the requirement of this function.
        Self {
            data,
            node,
            _folio: PhantomData,
        }
    }

    /// A page in a buffer, on no node in particular.
    pub(crate) fn of(block: &Block) -> SourcePage<'_> {
        // INVARIANT: A block is a page. It is borrowed, so nothing writes to it.
        SourcePage {
            data: NonNull::from(block).cast(),
            node: NO_NODE,
            _folio: PhantomData,
        }
    }

    /// Its bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8; PAGE_SIZE] {
        // SAFETY: By the type invariants, these are so many readable bytes that nothing writes while
        // this borrow of `self` lasts.
        unsafe { self.data.cast().as_ref() }
    }

    /// The NUMA node that the page lies on.
    pub(crate) fn node(&self) -> i32 {
        self.node
    }

    /// The word that the page repeats, if it does.
    #[inline]
    pub(crate) fn repeated_word(&self) -> Option<u64> {
        // SAFETY: By the type invariants, these are `WORDS` aligned, readable words that nothing
        // writes while this borrow of `self` lasts.
        let words: &[u64; WORDS] = unsafe { self.data.cast().as_ref() };
        let first = words[0];
        // Most pages that differ anywhere differ between their ends.
        if words[WORDS - 1] == first && words.iter().all(|word| *word == first) {
            Some(first)
        } else {
            None
        }
    }
}

/// A page being swapped in.
///
/// # Invariants
///
/// For `'a`, `data` points to `PAGE_SIZE` writable, page-aligned bytes, touched by nothing else:
/// their folio is locked and not up to date, or they are borrowed.
pub(crate) struct DestPage<'a> {
    data: NonNull<u8>,
    _folio: PhantomData<&'a mut [u64; WORDS]>,
}

/// That all of a page was filled: filling one returns this, and a load ends well only with it. A
/// page that is given to its user shows nothing of what its memory held before.
///
/// It does not say which page. Code that has several at once must keep them apart.
#[must_use]
pub(crate) struct Filled(());

impl DestPage<'_> {
    /// # Safety
    ///
    /// The type invariants must hold for `data`.
    pub(in crate::kernel_ext) unsafe fn new(data: NonNull<u8>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self {
            data,
            _folio: PhantomData,
        }
    }

    /// A page in a buffer.
    pub(crate) fn of(block: &mut Block) -> DestPage<'_> {
        // INVARIANT: A block is a page, and it is borrowed by this value alone.
        DestPage {
            data: NonNull::from(block).cast(),
            _folio: PhantomData,
        }
    }

    pub(in crate::kernel_ext) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.data.as_ptr()
    }

    /// Its bytes, to be written. What they are before does not matter to code that fills the page.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; PAGE_SIZE] {
        // SAFETY: By the type invariants, these are so many writable bytes that nothing else touches while
        // this borrow of `self` lasts. A page's memory has some bytes at any time.
        unsafe { self.data.cast().as_mut() }
    }

    /// All of the page was written, through [`DestPage::as_mut_ptr`] or [`DestPage::bytes_mut`].
    #[inline]
    pub(in crate::kernel_ext) fn filled(&mut self) -> Filled {
        Filled(())
    }

    /// Writes `word` over the whole page.
    pub(crate) fn fill(&mut self, word: u64) -> Filled {
        let words = self.data.cast::<u64>();
        for i in 0..WORDS {
            // SAFETY: By the type invariants, the page has `WORDS` aligned, writable words.
            unsafe { words.add(i).write(word) };
        }
        self.filled()
    }

    /// Writes `page` over the whole page.
    pub(crate) fn copy_from(&mut self, page: &[u8; PAGE_SIZE]) -> Filled {
        // SAFETY: By the type invariants, `PAGE_SIZE` bytes are writable at `data` and nothing else
        // touches them, so they do not overlap `page`.
        unsafe { core::ptr::copy_nonoverlapping(page.as_ptr(), self.data.as_ptr(), PAGE_SIZE) };
        self.filled()
    }
}
