// SPDX-License-Identifier: GPL-2.0

//! The lz4 library.
//!
//! C header: [`include/linux/lz4.h`](srctree/include/linux/lz4.h)

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
use core::ops::RangeInclusive;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

const TABLE_SIZE: usize = size_of::<bindings::LZ4_stream_t>();

/// The levels that there are. Here they say how much faster it is to be, and so how much less dense.
pub(in crate::kernel_ext) const LEVELS: RangeInclusive<i32> = 1..=65_537;

/// The level where none is given.
pub(in crate::kernel_ext) const DEFAULT_LEVEL: i32 = 1;

/// What lz4 compresses with.
pub(in crate::kernel_ext) struct Lz4 {
    /// Memory for a table, which it clears for each page.
    table: VVec<u8>,
    level: i32,
}

impl Lz4 {
    /// A new context, of a level that there is.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(in crate::kernel_ext) fn new(level: i32) -> Result<Self> {
        Ok(Self {
            table: VVec::with_capacity(TABLE_SIZE, GFP_KERNEL)?,
            level,
        })
    }
}

impl Codec for Lz4 {
    fn compress(&mut self, page: &SourcePage<'_>, buffer: &mut CodecBuffer) -> Result<usize> {
        // SAFETY: By its invariants, the page can be read; the buffer can be written. The memory is
        // as large as the library's table, and aligned to a page; what is in it does not matter.
        let length = unsafe {
            bindings::LZ4_compress_fast(
                page.bytes().as_ptr().cast(),
                buffer.as_mut_ptr().cast(),
                PAGE_SIZE as c_int,
                buffer.len() as c_int,
                self.level,
                self.table.as_mut_ptr().cast(),
            )
        };
        match length {
            1.. => Ok(length as usize),
            _ => Err(EINVAL),
        }
    }

    fn decompress(&mut self, object: &[u8], page: &mut DestPage<'_>) -> Result<usize> {
        // SAFETY: By its invariants, the page can be written. The library reads and writes within
        // both lengths, whatever is in the object. A length that an int does not hold is taken for
        // less, or is negative, and then all input is too long.
        let length = unsafe {
            bindings::LZ4_decompress_safe(
                object.as_ptr().cast(),
                page.as_mut_ptr().cast(),
                object.len() as c_int,
                PAGE_SIZE as c_int,
            )
        };
        usize::try_from(length).map_err(|_| EINVAL)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.table.capacity()
    }
}
