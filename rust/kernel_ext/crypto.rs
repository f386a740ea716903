// SPDX-License-Identifier: GPL-2.0

//! Compressors, a cipher, a checksum and random numbers.

mod acomp;
pub(crate) mod checksum;
pub(crate) mod cipher;
mod codec;
pub(crate) mod compressor;
#[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
mod lz4;
pub(crate) mod random;
#[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
mod zstd;
