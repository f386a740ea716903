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

    /// Compresses `objects`, those of a bundle, into `packed`, together; returns the bytes that they take
    /// there. Errors: [`EOPNOTSUPP`] where it was not made for bundles.
    ///
    /// Context: never sleeps.
    fn pack(&mut self, _objects: &[u8], _packed: &mut [u8]) -> Result<usize> {
        Err(EOPNOTSUPP)
    }

    /// The reverse of [`Codec::pack`]; returns the bytes that the objects take.
    ///
    /// Context: never sleeps.
    fn unpack(&mut self, _packed: &[u8], _objects: &mut [u8]) -> Result<usize> {
        Err(EOPNOTSUPP)
    }

    /// Bytes that it takes, as far as they are its own.
    fn bytes(&self) -> usize;
}

/// Where a page cannot take more than its room when it is compressed, compressors need not check
/// every byte that they write; lz4's bound is 4,128 bytes. All of them are told the room, and keep
/// it. wlz puts objects together in the second half.
pub(in crate::kernel_ext) const BUFFER_SIZE: usize = 2 * PAGE_SIZE;

/// Room for a compressed page, or to put one together, in the direct map.
pub(in crate::kernel_ext) type CodecBuffer = KBox<[u8; BUFFER_SIZE]>;
