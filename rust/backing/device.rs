// SPDX-License-Identifier: GPL-2.0

//! The device of a backing store: a claimed swapfile or swap partition, and what protects what is
//! written to it.
//!
//! The first page is the swap header, which is never written. Segments follow, back to back.

use crate::{
    backing::protection::Protection,
    core::{
        header::{
            HeaderError,
            SwapHeader,
            FS_MAGIC, //
        },
        log::TakenSegment,
        segment::{
            BLOCKS,
            MAX_SEGMENTS, //
        },
    },
    kernel_ext::{
        block::transfer::{
            Transfer,
            TransferDone, //
        },
        mm::swapfile::{
            ClaimError,
            SwapFile,
            SwapRef, //
        },
    },
};
use kernel::{
    fmt,
    page::PAGE_SHIFT,
    prelude::*, //
};

/// The smallest backing store: 8 MiB, in pages.
const MIN_PAGES: u64 = (8 << 20) >> PAGE_SHIFT;

/// Why something does not become a backing store. As text, it follows the path.
pub(crate) enum Unusable {
    /// It cannot be claimed.
    Claim(ClaimError),
    /// Its swap header is missing or wrong.
    Header(HeaderError),
    /// It is a mounted ghost file.
    Own,
    /// It has less than 8 MiB.
    Small,
}

impl Unusable {
    /// The error that stands for it.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Claim(error) => error.error(),
            Self::Header(_) | Self::Own | Self::Small => EINVAL,
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header(HeaderError::BadPages(_)) => "the swap header lists bad pages",
            Self::Header(error) => return error.fmt(f),
            Self::Own => "is a mounted file of this module",
            Self::Small => "is smaller than 8 MiB",
            Self::Claim(error) => match error {
                ClaimError::NotFound => "not found",
                ClaimError::Kind => "is neither a regular file nor a block device",
                ClaimError::ReadOnly => "is read-only",
                ClaimError::InUse => "is in use, by swap or otherwise",
                ClaimError::Small => "is smaller than 8 MiB",
                ClaimError::Short => "is shorter than its swap header says",
                ClaimError::Encrypted => "is encrypted by its filesystem",
                ClaimError::Zoned => "is on a zoned device",
                ClaimError::Holes => "has holes",
                ClaimError::Filesystem => "its filesystem has no swapfiles on a block device",
                ClaimError::Rejected(_) => {
                    "its filesystem takes it for no swapfile (the kernel's log says why)"
                }
                ClaimError::Failed(_) => "cannot be claimed",
            },
        })
    }
}

impl<E: Into<ClaimError>> From<E> for Unusable {
    fn from(error: E) -> Self {
        Self::Claim(error.into())
    }
}

/// The device of a backing store.
pub(crate) struct Device {
    /// The number of its store in the pool.
    pub(crate) number: usize,
    pub(crate) swap: SwapRef,
    pub(crate) protection: Protection,
}

impl Device {
    /// Claims what is at `path`, by the rights of the task, for store `number` of a pool. What is written
    /// to it is protected by `protection`.
    ///
    /// Context: may sleep.
    pub(crate) fn claim(
        number: usize,
        path: &CStr,
        protection: Protection,
    ) -> Result<Self, Unusable> {
        let file = SwapFile::open(path)?;
        if file.is_on(FS_MAGIC) {
            return Err(Unusable::Own);
        }
        let page = file
            .first_page()?
            .ok_or(Unusable::Header(HeaderError::Magic))?;
        // Nothing of it goes into page tables, so there is no limit but that of the header's field.
        let header = SwapHeader::parse(&page, u64::from(u32::MAX)).map_err(Unusable::Header)?;
        if header.slots() < MIN_PAGES {
            return Err(Unusable::Small);
        }
        let swap = SwapRef::new(file.claim(header.slots())?)?;
        Ok(Self {
            number,
            swap,
            protection,
        })
    }

    /// Segments that it has room for.
    pub(crate) fn segments(&self) -> usize {
        let pages = self.swap.pages() - 1;
        (pages / BLOCKS as u64).min(MAX_SEGMENTS as u64) as usize
    }

    /// Tells it that `segment` is free.
    ///
    /// Context: waits for I/O. Errors: those of the device.
    pub(crate) fn discard(&self, segment: usize) -> Result {
        self.swap.discard(Self::page(segment, 0), BLOCKS as u64)
    }

    /// Reads all of `segment`, as it is there.
    ///
    /// Context: waits for I/O; not in a store or a load. Errors: those of the device.
    pub(crate) fn read<D: TransferDone>(
        &self,
        segment: usize,
        transfer: Pin<&mut Transfer<D>>,
    ) -> Result {
        transfer.read_and_wait(&self.swap, Self::page(segment, 0), 0..BLOCKS)
    }

    /// Writes the first `blocks` of `transfer`, which are protected, to `segment`.
    ///
    /// Context: as [`Device::read`]. Errors: those of the device.
    pub(crate) fn write<D: TransferDone>(
        &self,
        segment: usize,
        transfer: Pin<&mut Transfer<D>>,
        blocks: usize,
    ) -> Result {
        transfer.write_and_wait(&self.swap, Self::page(segment, 0), 0..blocks)
    }

    /// Protects what a writer put into the first `blocks` of `transfer`, which are then written to the
    /// segment `taken`, and to nothing else.
    ///
    /// Context: process. Errors: those of the protection.
    pub(crate) fn protect<D: TransferDone>(
        &self,
        taken: &TakenSegment,
        transfer: Pin<&mut Transfer<D>>,
        blocks: usize,
    ) -> Result {
        let image = transfer.blocks_mut().get_mut(..blocks).ok_or(EINVAL)?;
        self.protection.protect(taken.generation(), image)
    }

    /// The page of the file that `block` of `segment` is.
    pub(crate) fn page(segment: usize, block: usize) -> u64 {
        1 + (segment * BLOCKS + block) as u64
    }
}
