// SPDX-License-Identifier: GPL-2.0

//! Compressors of the crypto API, by name.
//!
//! C header: [`include/crypto/acompress.h`](srctree/include/crypto/acompress.h)

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
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// Returns whether the kernel has, or can load, a compressor called `name`.
///
/// Context: may sleep.
pub(crate) fn exists(name: &CStr) -> bool {
    // SAFETY: `name` is a C string.
    unsafe { bindings::kernel_ext_crypto_has_acomp(name.as_char_ptr()) }
}

/// A compressor of the crypto API, which any number of requests use at once.
///
/// # Invariants
///
/// The pointer is of `crypto_alloc_acomp_node()` and owned by this value.
pub(crate) struct Transform(NonNull<bindings::crypto_acomp>);

// SAFETY: A transformation is not bound to a task.
unsafe impl Send for Transform {}
// SAFETY: The crypto API lets any number of requests use one transformation at once.
unsafe impl Sync for Transform {}

impl Transform {
    /// The compressor called `name`.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if there is none; [`ENOMEM`].
    pub(in crate::kernel_ext) fn new(name: &CStr) -> Result<Arc<Self>> {
        // SAFETY: `name` is a C string.
        let transform = from_err_ptr(unsafe {
            bindings::crypto_alloc_acomp_node(name.as_char_ptr(), 0, 0, bindings::NUMA_NO_NODE)
        })?;
        // INVARIANT: It was just allocated.
        let transform = Self(NonNull::new(transform).ok_or(ENOMEM)?);
        Ok(Arc::new(transform, GFP_KERNEL)?)
    }
}

impl Drop for Transform {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; each request that uses it has a reference to it.
        unsafe { bindings::kernel_ext_crypto_free_acomp(self.0.as_ptr()) };
    }
}

/// A request of the crypto API, used again and again.
///
/// # Invariants
///
/// `ptr` is of `acomp_request_alloc()` for `_transform`, and owned by this value.
pub(in crate::kernel_ext) struct Request {
    ptr: NonNull<bindings::acomp_req>,
    _transform: Arc<Transform>,
}

// SAFETY: A request is not bound to a task.
unsafe impl Send for Request {}

impl Request {
    /// A request that uses `transform`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(in crate::kernel_ext) fn new(transform: Arc<Transform>) -> Result<Self> {
        // SAFETY: By its invariants, the transformation is valid.
        let ptr = unsafe { bindings::kernel_ext_acomp_request_alloc(transform.0.as_ptr()) };
        // INVARIANT: It was just allocated.
        Ok(Self {
            ptr: NonNull::new(ptr).ok_or(ENOMEM)?,
            _transform: transform,
        })
    }

    /// Compresses, or decompresses, from `src` into `dst`; returns the bytes that were written.
    ///
    /// # Safety
    ///
    /// `source` bytes can be read at `src`, and `room` written at `dst`, which lie in the direct
    /// map.
    unsafe fn run(
        &mut self,
        compress: bool,
        (src, source): (*const u8, usize),
        (dst, room): (*mut u8, usize),
    ) -> Result<usize> {
        // SAFETY: By the type invariants and the requirements of this function. `&mut self` shows
        // that the request has no other user; it is done when this returns.
        let written = unsafe {
            bindings::kernel_ext_acomp_run(
                self.ptr.as_ptr(),
                src,
                dst,
                source as c_uint,
                room as c_uint,
                compress,
            )
        };
        to_result(written)?;
        Ok(written as usize)
    }
}

impl Codec for Request {
    fn compress(&mut self, page: &SourcePage<'_>, buffer: &mut CodecBuffer) -> Result<usize> {
        let (room, buffer) = (buffer.len(), buffer.as_mut_ptr());
        // SAFETY: By its invariants, the page can be read. The buffer is from kmalloc, which is the
        // direct map, as are pages of a swapped folio on a 64-bit machine.
        unsafe { self.run(true, (page.bytes().as_ptr(), PAGE_SIZE), (buffer, room)) }
    }

    fn decompress(&mut self, object: &[u8], page: &mut DestPage<'_>) -> Result<usize> {
        // SAFETY: By its invariants, the page can be written, and as above it is in the direct map.
        // The object may be anywhere: in zsmalloc's pages, or vmalloc's.
        unsafe {
            self.run(
                false,
                (object.as_ptr(), object.len()),
                (page.as_mut_ptr(), PAGE_SIZE),
            )
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; no operation is in flight, see `Request::run`.
        unsafe { bindings::kernel_ext_acomp_request_free(self.ptr.as_ptr()) };
    }
}
