// SPDX-License-Identifier: GPL-2.0

//! Compressors, ciphers, a checksum and random numbers.

mod acomp;
pub(crate) mod aead;
#[cfg(CONFIG_CRYPTO_LIB_CHACHA20POLY1305)]
mod chacha;
pub(crate) mod checksum;
mod cipher;
mod codec;
pub(crate) mod compressor;
mod gcm;
#[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
mod lz4;
pub(crate) mod random;
mod wlz;
#[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
mod zstd;
