// SPDX-License-Identifier: GPL-2.0

//! The zstd library, set up for pages, and for bundles of objects.
//!
//! C header: [`include/linux/zstd.h`](srctree/include/linux/zstd.h)

use crate::{
    core::bundle,
    kernel_ext::{
        bindings,
        crypto::codec::{
            Codec,
            CodecBuffer, //
        },
        mm::swap_page::{
            DestPage,
            SourcePage, //
        },
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
/// `parameters`, and those for bundles, are such that the first workspace is large enough for them.
pub(in crate::kernel_ext) struct Zstd {
    parameters: bindings::zstd_parameters,
    /// Those for bundles, if it is to make some.
    for_bundles: Option<bindings::zstd_parameters>,
    compressor: NonNull<bindings::zstd_cctx>,
    decompressor: NonNull<bindings::zstd_dctx>,
    workspaces: [VVec<u8>; 2],
}

// SAFETY: A context is not bound to a task.
unsafe impl Send for Zstd {}

impl Zstd {
    /// New contexts, of a level that there is, for pages, and for bundles if it `makes_bundles`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(in crate::kernel_ext) fn new(level: i32, makes_bundles: bool) -> Result<Self> {
        let parameters = parameters(level, PAGE_SIZE);
        let for_bundles = makes_bundles.then(for_bundles);
        // SAFETY: These compute from their arguments.
        let (compressing, decompressing) = unsafe {
            let bound = |parameters: &bindings::zstd_parameters| {
                bindings::zstd_cctx_workspace_bound(&parameters.cParams)
            };
            (
                for_bundles
                    .as_ref()
                    .map_or(0, bound)
                    .max(bound(&parameters)),
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
            for_bundles,
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

/// The library's parameters of `level` for inputs of `bytes` bytes.
fn parameters(level: c_int, bytes: usize) -> bindings::zstd_parameters {
    // SAFETY: This computes from its arguments.
    unsafe { bindings::zstd_get_params(level, bytes as u64) }
}

/// Those for bundles. At the default level, 3, they would take a fifth more instructions and be 0.3% smaller.
/// The table would be 128 KiB, which is cleared each time; with one of 32 KiB they are 0.2% larger.
fn for_bundles() -> bindings::zstd_parameters {
    let mut parameters = parameters(2, bundle::BYTES);
    parameters.cParams.hashLog = 13;
    parameters
}

impl Zstd {
    /// Compresses `input` into `output`, by `parameters`, which are its own; returns the bytes there.
    fn compress_by(
        &mut self,
        parameters: &bindings::zstd_parameters,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize> {
        // SAFETY: By the type invariants, the context is valid, and large enough for its own parameters. The
        // input can be read; the output can be written.
        length(unsafe {
            bindings::zstd_compress_cctx(
                self.compressor.as_ptr(),
                output.as_mut_ptr().cast(),
                output.len(),
                input.as_ptr().cast(),
                input.len(),
                parameters,
            )
        })
    }
}

impl Codec for Zstd {
    fn compress(&mut self, page: &SourcePage<'_>, buffer: &mut CodecBuffer) -> Result<usize> {
        let parameters = self.parameters;
        self.compress_by(&parameters, page.bytes(), &mut buffer[..])
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

    fn pack(&mut self, objects: &[u8], packed: &mut [u8]) -> Result<usize> {
        let parameters = self.for_bundles.ok_or(EOPNOTSUPP)?;
        self.compress_by(&parameters, objects, packed)
    }

    fn unpack(&mut self, packed: &[u8], objects: &mut [u8]) -> Result<usize> {
        // SAFETY: By the type invariants, the context is valid. The objects can be written.
        length(unsafe {
            bindings::zstd_decompress_dctx(
                self.decompressor.as_ptr(),
                objects.as_mut_ptr().cast(),
                objects.len(),
                packed.as_ptr().cast(),
                packed.len(),
            )
        })
    }

    fn bytes(&self) -> usize {
        let workspaces: usize = self.workspaces.iter().map(VVec::capacity).sum();
        size_of::<Self>() + workspaces
    }
}
