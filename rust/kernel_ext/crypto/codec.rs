// SPDX-License-Identifier: GPL-2.0

//! What a compressor is to [`compressor`](super::compressor).

use crate::kernel_ext::mm::swap_page::{
    DestPage,
    SourcePage, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// What compresses and decompresses, one page at a time.
pub(in crate::kernel_ext) trait Codec: Send {
    /// Compresses `page` into `buffer`; returns the bytes that it takes there.
    ///
    /// Context: may sleep, where the compressor is a device.
    fn compress(&mut self, page: &SourcePage<'_>, buffer: &mut CodecBuffer) -> Result<usize>;

    /// Decompresses `object` into `page`; returns the bytes that were written there. Whatever the
    /// object holds, so many are written, so that the page shows nothing of what its memory held
    /// before.
    ///
    /// Context: may sleep, where the compressor is a device.
    fn decompress(&mut self, object: &[u8], page: &mut DestPage<'_>) -> Result<usize>;

    /// Bytes that it takes, as far as they are its own.
    fn bytes(&self) -> usize;
}

/// Where a page cannot take more than its room when it is compressed, compressors need not check
/// every byte that they write; lz4's bound is 4,128 bytes. All of them are told the room, and keep
/// it.
pub(in crate::kernel_ext) const BUFFER_SIZE: usize = 2 * PAGE_SIZE;

/// Room for a compressed page, or to put one together.
pub(in crate::kernel_ext) struct CodecBuffer(KBox<[u8; BUFFER_SIZE]>);

impl CodecBuffer {
    pub(in crate::kernel_ext) fn new() -> Result<Self> {
        Ok(Self(KBox::init(pin_init::init_zeroed(), GFP_KERNEL)?))
    }

    /// Bytes of room.
    pub(in crate::kernel_ext) fn len(&self) -> usize {
        BUFFER_SIZE
    }

    /// The first `length` bytes of the room.
    #[inline]
    pub(in crate::kernel_ext) fn get(&self, length: usize) -> Option<&[u8]> {
        self.0.get(..length)
    }

    /// Where the room is: in the direct map.
    pub(in crate::kernel_ext) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Room for a page.
    #[inline]
    pub(in crate::kernel_ext) fn page(&mut self) -> &mut [u8; PAGE_SIZE] {
        // The first half of the buffer is a page.
        match self.0.first_chunk_mut() {
            Some(page) => page,
            None => unreachable!(),
        }
    }
}
