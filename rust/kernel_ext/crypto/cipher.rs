// SPDX-License-Identifier: GPL-2.0

//! What a cipher is to [`aead`](super::aead).

use crate::kernel_ext::{
    bindings,
    block::buffer::Block,
    crypto::random, //
};
use kernel::prelude::*;

/// Bytes of a nonce.
pub(in crate::kernel_ext) const NONCE: usize = 12;
/// Bytes of the tag that follows a message.
pub(in crate::kernel_ext) const TAG: usize = 16;

/// A key. It is wiped when this is dropped.
pub(in crate::kernel_ext) struct CipherKey(KBox<[u8; Self::BYTES]>);

impl CipherKey {
    /// Bytes of a key.
    pub(in crate::kernel_ext) const BYTES: usize = 32;

    /// A new one.
    ///
    /// Context: may sleep. Soon after boot it waits until what is random cannot be guessed. Errors:
    /// [`ENOMEM`]; [`ERESTARTSYS`].
    pub(in crate::kernel_ext) fn new() -> Result<Self> {
        let mut key = Self(KBox::init(pin_init::init_zeroed(), GFP_KERNEL)?);
        random::wait()?;
        random::fill(&mut *key.0);
        Ok(key)
    }

    /// Its bytes.
    pub(in crate::kernel_ext) fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl Drop for CipherKey {
    fn drop(&mut self) {
        // SAFETY: So many bytes can be written there.
        unsafe { bindings::kernel_ext_memzero_explicit(self.0.as_mut_ptr().cast(), Self::BYTES) };
    }
}

/// What encrypts and authenticates messages.
///
/// A message begins at a multiple of 16 of its page, and has a multiple of 16 bytes, 4,096 at most. So
/// with its tag it lies on two pages at most.
pub(in crate::kernel_ext) trait Cipher: Send + Sync {
    /// Encrypts `message` in place, but for the room for the tag at its end, and makes the tag there.
    ///
    /// Context: any but interrupts; allocates nothing and does not sleep. Errors: those of the cipher,
    /// none of which is expected.
    ///
    /// # Safety
    ///
    /// `message` is as above, and lies in blocks.
    unsafe fn encrypt(&self, nonce: &[u8; NONCE], message: &mut [u8]) -> Result;

    /// Decrypts `message`, without the tag at its end, into the beginning of `to`.
    ///
    /// Context: as for [`Cipher::encrypt`]. Errors: [`EBADMSG`] if the tag is not that of the message
    /// and the nonce.
    ///
    /// # Safety
    ///
    /// As for [`Cipher::encrypt`].
    unsafe fn decrypt(&self, nonce: &[u8; NONCE], message: &[u8], to: &mut Block) -> Result;
}
