// SPDX-License-Identifier: GPL-2.0

//! Memory that block devices read into and write from.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::kernel_ext::bindings;
use kernel::{
    alloc::{
        flags::{
            __GFP_ZERO,
            GFP_KERNEL, //
        },
        KVVec,
    },
    page::PAGE_SIZE,
    prelude::*,
};

/// The bytes of one page.
///
/// # Invariants
///
/// It is a whole page, mapped by kmalloc or vmalloc.
#[repr(C, align(4096))]
pub(crate) struct Block([u8; PAGE_SIZE]);

// The attribute takes no constant.
const _: () = assert!(align_of::<Block>() == PAGE_SIZE && size_of::<Block>() == PAGE_SIZE);

impl Block {
    /// The bytes of `blocks`, which are side by side.
    pub(crate) fn bytes(blocks: &[Self]) -> &[u8] {
        // SAFETY: Blocks are bytes.
        unsafe { core::slice::from_raw_parts(blocks.as_ptr().cast(), size_of_val(blocks)) }
    }

    /// As [`Block::bytes`].
    pub(crate) fn bytes_mut(blocks: &mut [Self]) -> &mut [u8] {
        // SAFETY: As above.
        unsafe { core::slice::from_raw_parts_mut(blocks.as_mut_ptr().cast(), size_of_val(blocks)) }
    }

    /// The first page of `memory`.
    #[inline]
    pub(in crate::kernel_ext) fn first_of<const BYTES: usize>(
        memory: &mut KBox<[u8; BYTES]>,
    ) -> &mut Self {
        const { assert!(BYTES >= PAGE_SIZE && BYTES.is_power_of_two()) };
        // SAFETY: A block is bytes, and there are as many. They are borrowed as long as the block.
        // INVARIANT: It is kmalloc's, which aligns what has a power of two of bytes to its size, see
        // Documentation/core-api/memory-allocation.rst.
        unsafe { &mut *memory.as_mut_ptr().cast() }
    }

    /// Its bytes.
    #[inline]
    pub(crate) fn array_mut(&mut self) -> &mut [u8; PAGE_SIZE] {
        &mut self.0
    }

    /// The address of its first byte.
    pub(in crate::kernel_ext) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// The page that it is. `VmallocPageIter` does not find it where the memory is kmalloc's.
    pub(in crate::kernel_ext) fn page(&mut self) -> *mut bindings::page {
        // SAFETY: By the type invariants, the address is kmalloc's or vmalloc's.
        unsafe { bindings::kernel_ext_kvmalloc_page((&raw mut self.0).cast()) }
    }
}

/// A row of blocks, side by side.
pub(crate) struct BlockBuffer(KVVec<Block>);

impl BlockBuffer {
    /// `blocks` blocks of zeros.
    ///
    /// Context: may sleep, and reclaim memory. Errors: [`ENOMEM`].
    pub(crate) fn new(blocks: usize) -> Result<Self> {
        let mut vec = KVVec::with_capacity(blocks, GFP_KERNEL | __GFP_ZERO)?;
        // SAFETY: There is room for as many, all of it zeroed, which is a value of a `Block`.
        // INVARIANT: `KVVec` takes from kmalloc or vmalloc, and aligns to a page here.
        unsafe { vec.inc_len(blocks) };
        Ok(Self(vec))
    }

    /// All blocks.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.0
    }

    /// All blocks.
    pub(crate) fn blocks_mut(&mut self) -> &mut [Block] {
        &mut self.0
    }

    /// All bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        Block::bytes_mut(&mut self.0)
    }
}
