// SPDX-License-Identifier: GPL-2.0

//! Bundles in a [`ZsPool`](super::zsmalloc::ZsPool): objects that were compressed together, kept as one, and
//! named by shares.
//!
//! A bundle is kept in objects of zsmalloc, its parts. What finds them is in slab, takes 64 bytes, and lies at
//! a multiple of that. So there is an address for each share that no other share has: it is the name of the
//! share. A bit beside it says that it is not the name of an object.

use crate::core::{
    bundle::{
        Outline,
        Shares,
        MEMBERS,
        PARTS, //
    },
    payload::{
        Length,
        PAYLOAD_BITS, //
    },
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Names are addresses of this alignment.
pub(super) const NAME_SHIFT: u32 = 3;

/// In a name, that it is that of a share.
pub(super) const SHARE: u64 = 1 << (PAYLOAD_BITS - 1);

/// What finds the parts of a bundle.
#[repr(align(64))]
pub(super) struct Bundle {
    pub(super) left: Shares,
    /// The names of its parts, as many as it has.
    pub(super) parts: [u64; PARTS],
    pub(super) outline: Outline,
}

// An address for each member.
const _: () = assert!(size_of::<Bundle>() == MEMBERS << NAME_SHIFT);
const _: () = assert!(align_of::<Bundle>() == size_of::<Bundle>());

/// What the bundles of a pool come to.
pub(crate) struct Bundled {
    /// Shares that are not free.
    pages: Atomic<u64>,
    /// Bytes that the bundles take.
    bytes: Atomic<u64>,
    /// How much of that is for shares that are.
    wasted: Atomic<u64>,
}

impl Bundled {
    pub(super) const fn new() -> Self {
        Self {
            pages: Atomic::new(0),
            bytes: Atomic::new(0),
            wasted: Atomic::new(0),
        }
    }

    /// Pages that are in bundles.
    pub(crate) fn pages(&self) -> u64 {
        self.pages.load(Relaxed)
    }

    /// Bytes that bundles take for pages that are not there any more.
    pub(crate) fn wasted(&self) -> u64 {
        self.wasted.load(Relaxed)
    }

    /// Bytes that bundles take, [`Bundled::wasted`] among them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// There is a bundle more, and all its shares.
    pub(super) fn made(&self, outline: &Outline) {
        self.pages.add(outline.members() as u64, Relaxed);
        self.bytes.add(outline.packed() as u64, Relaxed);
    }

    /// The share of `member` ended, which was the last one if `is_last`.
    pub(super) fn ended(&self, outline: &Outline, member: usize, is_last: bool) {
        let length = outline.share(member).map_or(0, Length::bytes) as u64;
        let packed = outline.packed() as u64;
        self.pages.add(1_u64.wrapping_neg(), Relaxed);
        if is_last {
            self.bytes.add(packed.wrapping_neg(), Relaxed);
            self.wasted.add(length.wrapping_sub(packed), Relaxed);
        } else {
            self.wasted.add(length, Relaxed);
        }
    }
}
