// SPDX-License-Identifier: GPL-2.0

//! Checksums.
//!
//! C header: [`include/linux/crc32.h`](srctree/include/linux/crc32.h)

use crate::kernel_ext::bindings;

/// CRC-32C (Castagnoli), of bytes that come piece by piece.
///
/// # Examples
///
/// ```ignore
/// let sum = Crc32c::new().and(b"12345").and(b"6789");
/// assert_eq!(sum.value(), 0xe306_9283);
/// ```
#[derive(Clone, Copy)]
pub(crate) struct Crc32c(u32);

impl Crc32c {
    /// Of no byte so far.
    pub(crate) const fn new() -> Self {
        Self(!0)
    }

    /// With `bytes` after those before.
    ///
    /// Context: any.
    #[must_use]
    pub(crate) fn and(self, bytes: &[u8]) -> Self {
        // SAFETY: So many bytes can be read there.
        Self(unsafe { bindings::crc32c(self.0, bytes.as_ptr().cast(), bytes.len()) })
    }

    /// The checksum.
    pub(crate) const fn value(self) -> u32 {
        !self.0
    }
}
