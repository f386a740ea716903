// SPDX-License-Identifier: GPL-2.0

//! Checksums.
//!
//! C header: [`include/linux/crc32.h`](srctree/include/linux/crc32.h)

use crate::kernel_ext::bindings;

/// CRC-32C (Castagnoli).
///
/// Context: any.
///
/// # Examples
///
/// ```ignore
/// assert_eq!(crc32c(b"123456789"), 0xe306_9283);
/// ```
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    // SAFETY: So many bytes can be read there.
    !unsafe { bindings::crc32c(!0, bytes.as_ptr().cast(), bytes.len()) }
}
