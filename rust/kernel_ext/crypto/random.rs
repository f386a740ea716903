// SPDX-License-Identifier: GPL-2.0

//! Random numbers.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use crate::kernel_ext::bindings;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A random number.
///
/// Context: any.
pub(crate) fn number() -> u64 {
    // SAFETY: It may be called at any time.
    unsafe { bindings::get_random_u64() }
}

/// Fills `bytes` with what cannot be guessed, once [`wait`] has returned.
///
/// Context: any.
pub(crate) fn fill(bytes: &mut [u8]) {
    // SAFETY: So many bytes can be written there.
    unsafe { bindings::get_random_bytes(bytes.as_mut_ptr().cast(), bytes.len()) };
}

/// Waits until what is random cannot be guessed, which takes a while soon after boot.
///
/// Context: may sleep. Errors: [`ERESTARTSYS`].
pub(in crate::kernel_ext) fn wait() -> Result {
    // SAFETY: It may be called wherever sleeping is allowed.
    to_result(unsafe { bindings::wait_for_random_bytes() })
}
