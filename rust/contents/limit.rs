// SPDX-License-Identifier: GPL-2.0

//! The limit of a pool, and the marks below it.
//!
//! A store looks at one number, the mark. Without backing stores it is the limit; with them it is
//! 15/16 of it, at which writing back begins. Writing back goes on down to the low mark.

use crate::{
    core::{
        limit::Limit,
        segment::SEGMENT, //
    },
    kernel_ext::mm::ram::total_ram,
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SpinLock,
    },
};

/// What a pool without a cache holds at most on its way to the backing stores, in bytes, where no
/// limit is given.
const STAGE: u64 = 8 << 20;

/// The limit of a pool.
#[pin_data]
pub(crate) struct PoolLimit {
    /// As it was given. Two that change limit or mark at once exclude each other by its lock.
    #[pin]
    given: SpinLock<Limit>,
    /// The same in bytes.
    bytes: Atomic<u64>,
    mark: Atomic<u64>,
    /// Whether the pool has a cache, and is more than a stage on the way to the backing stores.
    pub(crate) cached: bool,
}

impl PoolLimit {
    /// The limit `given`, or the default, of a pool that has no backing stores yet.
    pub(crate) fn new(given: Option<Limit>, cached: bool) -> impl PinInit<Self> {
        let given = given.unwrap_or(if cached {
            Limit::default()
        } else {
            Limit::Bytes(STAGE)
        });
        let bytes = given.resolve(total_ram());
        pin_init!(Self {
            given <- new_spinlock!(given),
            mark: Atomic::new(bytes),
            bytes: Atomic::new(bytes),
            cached,
        })
    }

    /// The limit as it was given.
    pub(crate) fn given(&self) -> Limit {
        *self.given.lock()
    }

    /// The limit in bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The most bytes of which a store takes no notice.
    #[inline]
    pub(crate) fn mark(&self) -> u64 {
        self.mark.load(Relaxed)
    }

    /// Bytes that writing back leaves, if it can: seven eighths of the limit. Without a cache, as much
    /// as a segment takes, so that segments are full.
    pub(crate) fn low_mark(&self) -> u64 {
        let limit = self.bytes();
        if self.cached {
            limit - limit / 8
        } else {
            (limit / 2).min(SEGMENT as u64)
        }
    }

    /// Sets the limit, if one is given, and the mark, for a pool that has backing stores, or has none,
    /// from now on: of several tasks that change that, the last to ask `has_stores` sets the mark. If the
    /// pool holds more, it keeps that, and takes no more.
    pub(crate) fn set(&self, limit: Option<Limit>, has_stores: impl FnOnce() -> bool) {
        let mut given = self.given.lock();
        if let Some(limit) = limit {
            *given = limit;
            self.bytes.store(limit.resolve(total_ram()), Relaxed);
        }
        let limit = self.bytes();
        let mark = if !has_stores() {
            limit
        } else if self.cached {
            limit - limit / 16
        } else {
            self.low_mark()
        };
        self.mark.store(mark, Relaxed);
    }

    /// Returns whether `limit` is more than the limit is now.
    pub(crate) fn would_rise(&self, limit: Limit) -> bool {
        limit.resolve(total_ram()) > self.bytes()
    }
}
