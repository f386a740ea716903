// SPDX-License-Identifier: GPL-2.0

//! What protects what is written to a store: it shows, to what reads it, that it is what was written
//! in that place at that time, and mostly hides it.
//!
//! What is a message, and by what it is known, is in [`crate::core::message`].

use crate::{
    core::{
        message::{
            self,
            Message,
            MessageError,
            Messages, //
        },
        segment::BLOCK,
    },
    kernel_ext::{
        block::buffer::Block,
        crypto::{
            aead::Aead,
            checksum::crc32c,
            random, //
        },
        sched::cond_resched, //
    },
};
use kernel::prelude::*;

/// What protects a store.
pub(crate) enum Protection {
    /// A checksum: the pool has `encrypt=off`.
    Plain,
    /// A cipher, with a key that no other store has or had.
    Encrypted(Aead),
}

impl Protection {
    /// The cipher's name; `none` without one.
    pub(crate) fn name(&self) -> &'static CStr {
        match self {
            Self::Plain => c"none",
            Self::Encrypted(aead) => aead.name().text(),
        }
    }

    /// Protects all that a writer put into `image`, the first blocks of a segment in generation
    /// `generation`. They are then to be written, once.
    ///
    /// Context: may sleep; allocates nothing. Errors: [`EINVAL`] if there is less than a writer writes;
    /// those of the cipher.
    pub(crate) fn protect(&self, generation: u64, image: &mut [Block]) -> Result {
        let mut messages = Messages::new(generation);
        while let Some(message) = messages.next(Block::bytes(image)) {
            cond_resched();
            let blocks = image.get_mut(message.block()..).ok_or(EINVAL)?;
            match self {
                Self::Plain => {
                    let bytes = Block::bytes_mut(blocks);
                    message::protect_plain(bytes, &message, crc32c).ok_or(EINVAL)?;
                }
                Self::Encrypted(aead) => aead.encrypt(message.nonce(), blocks, message.range())?,
            }
        }
        let end = messages.end().ok_or(EINVAL)?;
        if let Self::Encrypted(_) = self {
            // Zeros would tell to the byte how much there is.
            let tail = Block::bytes_mut(image).get_mut(end..end.next_multiple_of(BLOCK));
            random::fill(tail.ok_or(EINVAL)?);
        }
        Ok(())
    }

    /// What `message` says, which is in `blocks`, that begin with the one that it begins in. It passes
    /// through `room` if it was encrypted; [`None`] if there is none then.
    ///
    /// Context: any but interrupts; allocates nothing and does not sleep.
    pub(crate) fn verify<'a>(
        &self,
        message: &Message,
        blocks: &'a [Block],
        room: Option<&'a mut Block>,
    ) -> Option<Result<&'a [u8], MessageError>> {
        Some(match self {
            Self::Plain => message::verify_plain(Block::bytes(blocks), message, crc32c),
            Self::Encrypted(aead) => aead
                .decrypt(message.nonce(), blocks, message.range(), room?)
                // Errors of any other kind would be of the kernel, and are as bad.
                .map_err(|_| MessageError::Changed),
        })
    }
}
