// SPDX-License-Identifier: GPL-2.0

//! Encryption of blocks in place: AES-XTS, with a random key that stays in the cipher.
//!
//! C header: [`include/crypto/skcipher.h`](srctree/include/crypto/skcipher.h)

use crate::kernel_ext::{
    bindings,
    block::buffer::Block,
    crypto::random, //
};
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
};

/// Two keys of AES-256: one for the data, one for the place.
const KEY_BYTES: usize = 64;

/// AES-256-XTS with a random key, which lives only in here and is wiped when this is dropped.
///
/// # Examples
///
/// ```ignore
/// let cipher = Xts::new()?;
/// let mut buffer = BlockBuffer::new(1)?;
/// cipher.encrypt(7, &mut buffer.blocks_mut()[0])?;
/// cipher.decrypt(7, &mut buffer.blocks_mut()[0])?;
/// assert_eq!(buffer.bytes()[0], 0);
/// ```
///
/// # Invariants
///
/// The pointer is of `crypto_alloc_sync_skcipher()`, owned by this value, and has its key.
pub(crate) struct Xts(NonNull<bindings::crypto_sync_skcipher>);

// SAFETY: A transformation is not bound to a task.
unsafe impl Send for Xts {}
// SAFETY: Once it has its key, any number of requests may use a transformation at once.
unsafe impl Sync for Xts {}

impl Xts {
    /// A cipher with a new key.
    ///
    /// Context: may sleep; not where memory is reclaimed. Soon after boot it waits until what is
    /// random cannot be guessed. Errors: [`ENOENT`] if the kernel has no `xts(aes)`; [`ENOMEM`];
    /// [`ERESTARTSYS`].
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The name is a C string; any synchronous implementation will do.
        let cipher = from_err_ptr(unsafe {
            bindings::crypto_alloc_sync_skcipher(c"xts(aes)".as_char_ptr(), 0, 0)
        })?;
        // INVARIANT: It was just allocated; if it gets no key, it is not given out.
        let cipher = Self(NonNull::new(cipher).ok_or(ENOMEM)?);
        random::wait()?;
        let mut key = [0u8; KEY_BYTES];
        random::fill(&mut key);
        // SAFETY: The key has so many bytes, and the cipher copies what it needs of them.
        let set = unsafe {
            let set = bindings::kernel_ext_sync_skcipher_setkey(
                cipher.0.as_ptr(),
                key.as_ptr(),
                KEY_BYTES as c_uint,
            );
            bindings::kernel_ext_memzero_explicit(key.as_mut_ptr().cast(), KEY_BYTES);
            set
        };
        to_result(set)?;
        Ok(cipher)
    }

    /// Encrypts `block`, whose place is `sector`. A place counts: equal blocks at two places
    /// differ.
    ///
    /// Context: process; allocates nothing and does not sleep. Errors: those of the cipher, none of
    /// which is expected.
    pub(crate) fn encrypt(&self, sector: u64, block: &mut Block) -> Result {
        self.crypt(sector, block, true)
    }

    /// Undoes [`Xts::encrypt`]. There is no way to see that `block` was not encrypted so.
    ///
    /// Context and errors: as [`Xts::encrypt`].
    pub(crate) fn decrypt(&self, sector: u64, block: &mut Block) -> Result {
        self.crypt(sector, block, false)
    }

    fn crypt(&self, sector: u64, block: &mut Block, encrypt: bool) -> Result {
        // SAFETY: By the type invariants, the cipher is valid and has its key. The block is a page,
        // and is borrowed for this. A whole page is aligned for all ciphers, which thus need no
        // room to copy it to.
        to_result(unsafe {
            bindings::kernel_ext_sync_skcipher_page(self.0.as_ptr(), block.page(), sector, encrypt)
        })
    }
}

impl Drop for Xts {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is ours, and not used any more. Its memory is wiped.
        unsafe { bindings::kernel_ext_free_sync_skcipher(self.0.as_ptr()) };
    }
}
