// SPDX-License-Identifier: GPL-2.0

//! A compressor for pages of memory, which is no library of the kernel's: see [`crate::core::wlz`].

use crate::{
    core::wlz::{
        self,
        Level,
        Workspace, //
    },
    kernel_ext::{
        crypto::codec::{
            Codec,
            CodecBuffer,
            BUFFER_SIZE, //
        },
        mm::swap_page::{
            DestPage,
            SourcePage, //
        },
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

const _: () = assert!(BUFFER_SIZE == wlz::BUFFER);

// SAFETY: It has numbers and nothing else, as `Workspace::new()` says.
unsafe impl pin_init::Zeroable for Workspace {}

/// What wlz works with.
pub(in crate::kernel_ext) struct Wlz {
    level: Level,
    /// The most that an object may take.
    room: usize,
    work: KBox<Workspace>,
}

impl Wlz {
    /// A new context, for objects of at most `room` bytes.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(in crate::kernel_ext) fn new(level: Level, room: usize) -> Result<Self> {
        Ok(Self {
            level,
            room,
            work: KBox::zeroed(GFP_KERNEL)?,
        })
    }
}

impl Codec for Wlz {
    fn compress(&mut self, page: &SourcePage<'_>, buffer: &mut CodecBuffer) -> Result<usize> {
        wlz::compress(self.level, page.bytes(), buffer, self.room, &mut self.work).ok_or(E2BIG)
    }

    fn decompress(&mut self, object: &[u8], page: &mut DestPage<'_>) -> Result<usize> {
        match wlz::decompress(object, page.bytes_mut(), &mut self.work) {
            Ok(()) => Ok(PAGE_SIZE),
            Err(wlz::Damaged) => Err(EINVAL),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of::<Workspace>()
    }
}
