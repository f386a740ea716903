// SPDX-License-Identifier: GPL-2.0

//! The zstd library, set up for pages.
//!
//! C header: [`include/linux/zstd.h`](srctree/include/linux/zstd.h)

use crate::kernel_ext::{
    bindings,
    crypto::codec::{
        Codec,
        CodecBuffer, //
    },
    mm::swap_page::{
        DestPage,
        SourcePage, //
    },
};
use core::{
    ops::RangeInclusive,
    ptr::NonNull, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// The levels that there are.
pub(in crate::kernel_ext) fn levels() -> RangeInclusive<i32> {
    // SAFETY: They return numbers.
    unsafe { bindings::zstd_min_clevel()..=bindings::zstd_max_clevel() }
}

/// The level where none is given.
pub(in crate::kernel_ext) fn default_level() -> i32 {
    // SAFETY: It returns a number.
    unsafe { bindings::zstd_default_clevel() }
}

/// A context to compress and one to decompress with.
///
/// # Invariants
///
/// `compressor` and `decompressor` are contexts in the workspaces, which are not used otherwise.
/// `parameters` are those that the first workspace is large enough for.
pub(in crate::kernel_ext) struct Zstd {
    parameters: bindings::zstd_parameters,
    compressor: NonNull<bindings::zstd_cctx>,
    decompressor: NonNull<bindings::zstd_dctx>,
    workspaces: [VVec<u8>; 2],
}

// SAFETY: A context is not bound to a task.
unsafe impl Send for Zstd {}

impl Zstd {
    /// New contexts, of a level that there is.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(in crate::kernel_ext) fn new(level: i32) -> Result<Self> {
        // SAFETY: These compute from their arguments.
        let (parameters, compressing, decompressing) = unsafe {
            let parameters = bindings::zstd_get_params(level, PAGE_SIZE as u64);
            (
                parameters,
                bindings::zstd_cctx_workspace_bound(&parameters.cParams),
                bindings::zstd_dctx_workspace_bound(),
            )
        };
        let mut workspaces = [
            VVec::<u8>::with_capacity(compressing, GFP_KERNEL)?,
            VVec::<u8>::with_capacity(decompressing, GFP_KERNEL)?,
        ];
        let [first, second] = &mut workspaces;
        // SAFETY: The workspaces are of that size, and aligned to a page. They are on the heap, and
        // do not move with the vectors.
        let (compressor, decompressor) = unsafe {
            (
                bindings::zstd_init_cctx(first.as_mut_ptr().cast(), compressing),
                bindings::zstd_init_dctx(second.as_mut_ptr().cast(), decompressing),
            )
        };
        // INVARIANT: They were just initialised, with these parameters in mind.
        Ok(Self {
            parameters,
            compressor: NonNull::new(compressor).ok_or(ENOMEM)?,
            decompressor: NonNull::new(decompressor).ok_or(ENOMEM)?,
            workspaces,
        })
    }
}

/// The length that a function of the library returned, if it is not an error.
fn length(returned: usize) -> Result<usize> {
    // SAFETY: Any number may be asked for.
    if unsafe { bindings::zstd_is_error(returned) } == 0 {
        Ok(returned)
    } else {
        Err(EINVAL)
    }
}

impl Codec for Zstd {
    fn compress(&mut self, page: &SourcePage<'_>, buffer: &mut CodecBuffer) -> Result<usize> {
        // SAFETY: By the type invariants, the context is valid. By its invariants, the page can be
        // read; the buffer can be written.
        length(unsafe {
            bindings::zstd_compress_cctx(
                self.compressor.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                page.bytes().as_ptr().cast(),
                PAGE_SIZE,
                &self.parameters,
            )
        })
    }

    fn decompress(&mut self, object: &[u8], page: &mut DestPage<'_>) -> Result<usize> {
        // SAFETY: By the type invariants, the context is valid. By its invariants, the page can be
        // written.
        length(unsafe {
            bindings::zstd_decompress_dctx(
                self.decompressor.as_ptr(),
                page.as_mut_ptr().cast(),
                PAGE_SIZE,
                object.as_ptr().cast(),
                object.len(),
            )
        })
    }

    fn bytes(&self) -> usize {
        let workspaces: usize = self.workspaces.iter().map(VVec::capacity).sum();
        size_of::<Self>() + workspaces
    }
}
