// SPDX-License-Identifier: GPL-2.0

//! Authenticated encryption of messages that lie in blocks, with a random key that stays in the
//! cipher.
//!
//! It is AES-256-GCM of the crypto API, or ChaCha20-Poly1305 of the kernel's library. The latter needs no
//! instructions of the CPU that are made for it.

#[cfg(CONFIG_CRYPTO_LIB_CHACHA20POLY1305)]
use crate::kernel_ext::crypto::chacha::ChaCha;
use crate::kernel_ext::{
    bindings,
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

/// Which cipher it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AeadName {
    /// `gcm(aes)`.
    AesGcm,
    /// `chacha20poly1305`.
    ChaCha20Poly1305,
}

impl AeadName {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::AesGcm, Self::ChaCha20Poly1305];

    /// All of them, the one that is faster on this machine first.
    ///
    /// Context: any.
    pub(crate) fn by_speed() -> [Self; 2] {
        let [aes, chacha] = Self::ALL;
        // SAFETY: It only looks at what the kernel knows of the machine.
        if unsafe { bindings::kernel_ext_prefers_aes_gcm() } {
            [aes, chacha]
        } else {
            [chacha, aes]
        }
    }

    /// Its name as people write it.
    pub(crate) fn text(self) -> &'static CStr {
        match self {
            Self::AesGcm => c"aes-gcm",
            Self::ChaCha20Poly1305 => c"chacha20-poly1305",
        }
    }
}

/// A cipher with a random key, which lives only in here and is wiped when this is dropped.
///
/// # Examples
///
/// ```ignore
/// let aead = Aead::new(AeadName::AesGcm)?;
/// let mut buffer = BlockBuffer::new(2)?;
/// let (blocks, room) = buffer.blocks_mut().split_at_mut(1);
/// aead.encrypt(b"nonce number", blocks, 0..160)?;
/// let content = aead.decrypt(b"nonce number", blocks, 0..160, &mut room[0])?;
/// assert_eq!(content, [0; 160]);
/// assert!(aead.decrypt(b"nonce another", blocks, 0..160, &mut room[0]).is_err());
/// ```
pub(crate) struct Aead {
    cipher: KBox<dyn Cipher>,
    name: AeadName,
}

impl Aead {
    /// The cipher called `name`, with a new key.
    ///
    /// Context: may sleep; not where memory is reclaimed. Soon after boot it waits until what is
    /// random cannot be guessed. Errors: [`ENOENT`] if the kernel has none of that name; [`ENOMEM`];
    /// [`ERESTARTSYS`].
    pub(crate) fn new(name: AeadName) -> Result<Self> {
        let key = CipherKey::new()?;
        let cipher: KBox<dyn Cipher> = match name {
            AeadName::AesGcm => KBox::new(Gcm::new(&key)?, GFP_KERNEL)?,
            #[cfg(CONFIG_CRYPTO_LIB_CHACHA20POLY1305)]
            AeadName::ChaCha20Poly1305 => KBox::new(ChaCha::new(key), GFP_KERNEL)?,
            #[cfg(not(CONFIG_CRYPTO_LIB_CHACHA20POLY1305))]
            AeadName::ChaCha20Poly1305 => return Err(ENOENT),
        };
        Ok(Self { cipher, name })
    }

    /// Which it is.
    pub(crate) fn name(&self) -> AeadName {
        self.name
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
        unsafe { self.cipher.encrypt(nonce, bytes) }
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
        unsafe { self.cipher.decrypt(nonce, bytes, to)? };
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
