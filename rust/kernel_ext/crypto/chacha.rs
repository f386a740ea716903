// SPDX-License-Identifier: GPL-2.0

//! ChaCha20-Poly1305 of the kernel's library.
//!
//! C header: [`include/crypto/chacha20poly1305.h`](srctree/include/crypto/chacha20poly1305.h)

use crate::kernel_ext::{
    bindings,
    block::buffer::Block,
    crypto::cipher::{
        Cipher,
        CipherKey,
        NONCE,
        TAG, //
    },
};
use kernel::prelude::*;

const _: () = {
    assert!(
        CipherKey::BYTES == bindings::chacha20poly1305_lengths_CHACHA20POLY1305_KEY_SIZE as usize
    );
    assert!(TAG == bindings::chacha20poly1305_lengths_CHACHA20POLY1305_AUTHTAG_SIZE as usize);
};

/// ChaCha20-Poly1305, with its key.
pub(in crate::kernel_ext) struct ChaCha(CipherKey);

impl ChaCha {
    /// A cipher with `key`.
    pub(in crate::kernel_ext) fn new(key: CipherKey) -> Self {
        Self(key)
    }
}

/// The nonce of the library, which has eight bytes, and the rest, which is authenticated beside the
/// message.
fn split(nonce: &[u8; NONCE]) -> (u64, &[u8]) {
    let (first, rest) = nonce.split_at(8);
    let first = first
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    (first, rest)
}

impl Cipher for ChaCha {
    unsafe fn encrypt(&self, nonce: &[u8; NONCE], message: &mut [u8]) -> Result {
        let length = message.len().checked_sub(TAG).ok_or(EINVAL)?;
        let (nonce, rest) = split(nonce);
        let message = message.as_mut_ptr();
        // SAFETY: The message is borrowed for this, and has room for the tag. It may be encrypted in
        // place, as in the kernel's own users. The key has as many bytes as the library wants.
        unsafe {
            bindings::chacha20poly1305_encrypt(
                message,
                message,
                length,
                rest.as_ptr(),
                rest.len(),
                nonce,
                self.0.bytes().as_ptr(),
            )
        };
        Ok(())
    }

    unsafe fn decrypt(&self, nonce: &[u8; NONCE], message: &[u8], to: &mut Block) -> Result {
        let (nonce, rest) = split(nonce);
        // SAFETY: The message is borrowed for this, and without the tag it is a block at most, by the
        // requirements of this function, so it fits into `to`. The key as above.
        let is_right = unsafe {
            bindings::chacha20poly1305_decrypt(
                to.as_mut_ptr(),
                message.as_ptr(),
                message.len(),
                rest.as_ptr(),
                rest.len(),
                nonce,
                self.0.bytes().as_ptr(),
            )
        };
        if is_right {
            Ok(())
        } else {
            Err(EBADMSG)
        }
    }
}
