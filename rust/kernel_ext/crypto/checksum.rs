// SPDX-License-Identifier: GPL-2.0

//! Checksums.
//!
//! C header: [`include/linux/crc32.h`](srctree/include/linux/crc32.h)

use crate::kernel_ext::bindings;

/// CRC-32C (Castagnoli), of bytes that come in parts.
///
/// Context: any.
///
/// # Examples
///
/// ```ignore
/// assert_eq!(crc32c(&[&b"12345"[..], b"6789"]), 0xe306_9283);
/// ```
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    !parts.iter().fold(!0, |sum, part| {
        // SAFETY: So many bytes can be read there.
        unsafe { bindings::crc32c(sum, part.as_ptr().cast(), part.len()) }
    })
}
