// SPDX-License-Identifier: GPL-2.0

//! AES-256-GCM of the crypto API.
//!
//! C header: [`include/crypto/aead.h`](srctree/include/crypto/aead.h)

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
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// AES-256-GCM, with its key.
///
/// # Invariants
///
/// The pointer is of `crypto_alloc_sync_aead()`, owned by this value, and has its key. It may not
/// allocate memory where its messages are those of a [`Cipher`].
pub(in crate::kernel_ext) struct Gcm(NonNull<bindings::crypto_sync_aead>);

// SAFETY: A transformation is not bound to a task.
unsafe impl Send for Gcm {}
// SAFETY: Once it has its key, any number of requests may use a transformation at once.
unsafe impl Sync for Gcm {}

impl Gcm {
    /// A cipher with `key`.
    ///
    /// Context: may sleep; not where memory is reclaimed. Errors: [`ENOENT`] if the kernel has no
    /// `gcm(aes)`; [`ENOMEM`].
    pub(in crate::kernel_ext) fn new(key: &CipherKey) -> Result<Self> {
        // SAFETY: The name is a C string. By its name, nonces have 12 bytes and tags 16.
        let aead = from_err_ptr(unsafe {
            bindings::kernel_ext_alloc_sync_aead(
                c"gcm(aes)".as_char_ptr(),
                bindings::CRYPTO_ALG_ALLOCATES_MEMORY,
            )
        })?;
        // INVARIANT: It was just allocated; if it gets no key, it is not given out.
        let gcm = Self(NonNull::new(aead).ok_or(ENOMEM)?);
        // SAFETY: The key has so many bytes, and the cipher copies what it needs of them.
        to_result(unsafe {
            bindings::kernel_ext_sync_aead_setkey(
                gcm.0.as_ptr(),
                key.bytes().as_ptr(),
                CipherKey::BYTES as c_uint,
            )
        })?;
        Ok(gcm)
    }

    /// Encrypts, or decrypts, `length` bytes from `src` to `dst`.
    ///
    /// # Safety
    ///
    /// The scatterlists have so many bytes, and room for the tag, or without it, in `dst`. Nothing
    /// else touches them meanwhile.
    unsafe fn crypt(
        &self,
        nonce: &[u8; NONCE],
        src: *mut bindings::scatterlist,
        dst: *mut bindings::scatterlist,
        length: usize,
        encrypt: bool,
    ) -> Result {
        let mut iv = Iv([0; 16]);
        iv.0[..NONCE].copy_from_slice(nonce);
        // SAFETY: By the type invariants, the cipher is valid and has its key. Its nonces have 12
        // bytes. The rest by the requirements of this function; it is done when this returns.
        to_result(unsafe {
            bindings::kernel_ext_sync_aead_crypt(
                self.0.as_ptr(),
                src,
                dst,
                length as c_uint,
                iv.0.as_mut_ptr(),
                encrypt,
            )
        })
    }
}

/// A nonce, aligned for all ciphers.
#[repr(align(16))]
struct Iv([u8; 16]);

/// A scatterlist of memory on two pages at most.
struct TwoPages([bindings::scatterlist; 2]);

impl TwoPages {
    /// Of `length` bytes at `bytes`.
    ///
    /// # Safety
    ///
    /// They lie in blocks, on two pages at most.
    unsafe fn new(bytes: *const u8, length: usize) -> Self {
        let mut list = Self([bindings::scatterlist::default(); 2]);
        let offset = bytes.addr() % PAGE_SIZE;
        let first = length.min(PAGE_SIZE - offset);
        let entries = if first < length { 2 } else { 1 };
        // SAFETY: The list has so many entries, and by the requirements of this function the memory
        // is kmalloc's or vmalloc's, and ends on the second page.
        unsafe {
            bindings::sg_init_table(list.0.as_mut_ptr(), entries);
            let [near, far] = &mut list.0;
            let page = bindings::kernel_ext_kvmalloc_page(bytes.cast());
            bindings::kernel_ext_sg_set_page(near, page, first as c_uint, offset as c_uint);
            if first < length {
                let page = bindings::kernel_ext_kvmalloc_page(bytes.add(first).cast());
                bindings::kernel_ext_sg_set_page(far, page, (length - first) as c_uint, 0);
            }
        }
        list
    }
}

impl Cipher for Gcm {
    unsafe fn encrypt(&self, nonce: &[u8; NONCE], message: &mut [u8]) -> Result {
        let length = message.len().checked_sub(TAG).ok_or(EINVAL)?;
        // SAFETY: By the requirements of this function.
        let mut list = unsafe { TwoPages::new(message.as_mut_ptr(), message.len()) };
        let list = list.0.as_mut_ptr();
        // SAFETY: The list is of the message, which is borrowed for this and has room for the tag.
        unsafe { self.crypt(nonce, list, list, length, true) }
    }

    unsafe fn decrypt(&self, nonce: &[u8; NONCE], message: &[u8], to: &mut Block) -> Result {
        let length = message.len().checked_sub(TAG).ok_or(EINVAL)?;
        // SAFETY: By the requirements of this function.
        let mut src = unsafe { TwoPages::new(message.as_ptr(), message.len()) };
        // SAFETY: It is a block, and `length` is a page at most.
        let mut dst = unsafe { TwoPages::new(to.as_mut_ptr(), length) };
        let (src, dst) = (src.0.as_mut_ptr(), dst.0.as_mut_ptr());
        // SAFETY: The lists are of the message, which is only read, and of `to`; both are borrowed for
        // this.
        unsafe { self.crypt(nonce, src, dst, message.len(), false) }
    }
}

impl Drop for Gcm {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is ours, and not used any more. Its memory is wiped.
        unsafe { bindings::kernel_ext_free_sync_aead(self.0.as_ptr()) };
    }
}
