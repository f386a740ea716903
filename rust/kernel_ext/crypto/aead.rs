// SPDX-License-Identifier: GPL-2.0

//! Authenticated encryption of messages that lie in blocks, with a random key that stays in the
//! cipher.
//!
//! It is AES-256-GCM of the crypto API.

use crate::kernel_ext::{
    block::buffer::Block,
    crypto::{
        cipher::{
            Cipher,
            CipherKey,
            NONCE,
            TAG, //
        },
        gcm::Gcm, //
    },
};
use core::ops::Range;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// A message begins at a multiple of this in its block. So ciphers that go by such steps need no
/// memory to put together what lies on two pages.
const ALIGN: usize = 16;

/// A cipher with a random key, which lives only in here and is wiped when this is dropped.
///
/// # Examples
///
/// ```ignore
/// let aead = Aead::new()?;
/// let mut buffer = BlockBuffer::new(2)?;
/// let (blocks, room) = buffer.blocks_mut().split_at_mut(1);
/// aead.encrypt(b"nonce number", blocks, 0..160)?;
/// let content = aead.decrypt(b"nonce number", blocks, 0..160, &mut room[0])?;
/// assert_eq!(content, [0; 160]);
/// assert!(aead.decrypt(b"nonce another", blocks, 0..160, &mut room[0]).is_err());
/// ```
pub(crate) struct Aead(KBox<dyn Cipher>);

impl Aead {
    /// A cipher with a new key.
    ///
    /// Context: may sleep; not where memory is reclaimed. Soon after boot it waits until what is
    /// random cannot be guessed. Errors: [`ENOENT`] if the kernel has no `gcm(aes)`; [`ENOMEM`];
    /// [`ERESTARTSYS`].
    pub(crate) fn new() -> Result<Self> {
        let gcm = Gcm::new(&CipherKey::new()?)?;
        Ok(Self(KBox::new(gcm, GFP_KERNEL)?))
    }

    /// Encrypts the bytes `message` of `blocks` in place, and writes their tag after them. `message`
    /// begins and ends at multiples of 16 and is a page at most.
    ///
    /// In the life of the cipher, no two messages have the same first eight bytes of `nonce`: two of
    /// one nonce would show what differs between them, and let others be forged.
    ///
    /// Context: any but interrupts; allocates nothing and does not sleep. Errors: [`EINVAL`] if
    /// `message` is not as above, or not within `blocks`; those of the cipher, none of which is
    /// expected.
    pub(crate) fn encrypt(
        &self,
        nonce: &[u8; NONCE],
        blocks: &mut [Block],
        message: Range<usize>,
    ) -> Result {
        let whole = with_tag(message)?;
        let bytes = Block::bytes_mut(blocks).get_mut(whole).ok_or(EINVAL)?;
        // SAFETY: It lies in blocks, and `with_tag()` checked the rest.
        unsafe { self.0.encrypt(nonce, bytes) }
    }

    /// What the bytes `message` of `blocks` were before [`Aead::encrypt`], with the same nonce, wrote
    /// them and their tag there. It is written to `to`.
    ///
    /// Context: as for [`Aead::encrypt`]. Errors: [`EBADMSG`] if they are anything else; then `to`
    /// holds nothing of use. Otherwise as [`Aead::encrypt`].
    pub(crate) fn decrypt<'a>(
        &self,
        nonce: &[u8; NONCE],
        blocks: &[Block],
        message: Range<usize>,
        to: &'a mut Block,
    ) -> Result<&'a [u8]> {
        let length = message.len();
        let whole = with_tag(message)?;
        let bytes = Block::bytes(blocks).get(whole).ok_or(EINVAL)?;
        // SAFETY: It lies in blocks, and `with_tag()` checked the rest.
        unsafe { self.0.decrypt(nonce, bytes, to)? };
        let to: &[Block] = core::slice::from_ref(to);
        Block::bytes(to).get(..length).ok_or(EINVAL)
    }
}

/// `message` and its tag, if it is as a [`Cipher`] wants it.
fn with_tag(message: Range<usize>) -> Result<Range<usize>> {
    let Range { start, end } = message;
    let is_right = start % ALIGN == 0
        && end % ALIGN == 0
        && (1..=PAGE_SIZE).contains(&end.saturating_sub(start));
    if is_right {
        Ok(start..end.saturating_add(TAG))
    } else {
        Err(EINVAL)
    }
}
