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

/// The limit as it was given, if it was, and what it is if not.
struct GivenLimit {
    given: Option<Limit>,
    default: Limit,
}

impl GivenLimit {
    fn in_effect(&self) -> Limit {
        self.given.unwrap_or(self.default)
    }
}

/// The limit of a pool.
#[pin_data]
pub(crate) struct PoolLimit {
    /// Two that change limit or mark at once exclude each other by its lock.
    #[pin]
    limit: SpinLock<GivenLimit>,
    /// The limit in effect, in bytes.
    bytes: Atomic<u64>,
    mark: Atomic<u64>,
    /// Whether the pool has a cache, and is more than a stage on the way to the backing stores.
    pub(crate) cached: bool,
}

impl PoolLimit {
    /// The limit `given`, or the default, of a pool that has no backing stores yet.
    pub(crate) fn new(given: Option<Limit>, cached: bool) -> impl PinInit<Self> {
        let default = if cached {
            Limit::default()
        } else {
            Limit::Bytes(STAGE)
        };
        let limit = GivenLimit { given, default };
        let bytes = limit.in_effect().resolve(total_ram());
        pin_init!(Self {
            limit <- new_spinlock!(limit),
            mark: Atomic::new(bytes),
            bytes: Atomic::new(bytes),
            cached,
        })
    }

    /// The limit as it was given, if it was.
    pub(crate) fn given(&self) -> Option<Limit> {
        self.limit.lock().given
    }

    /// The limit in effect: as it was given, or the default.
    pub(crate) fn in_effect(&self) -> Limit {
        self.limit.lock().in_effect()
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

    /// Sets the limit to what is given, or to the default, and the mark. If the pool holds more, it keeps
    /// that, and takes no more. `has_stores` as for [`PoolLimit::update`].
    pub(crate) fn set(&self, given: Option<Limit>, has_stores: impl FnOnce() -> bool) {
        let mut limit = self.limit.lock();
        limit.given = given;
        self.bytes
            .store(limit.in_effect().resolve(total_ram()), Relaxed);
        self.set_mark(&mut limit, has_stores());
    }

    /// Sets the mark, and the default, for a pool that has backing stores, or has none, from now on: of
    /// several tasks that change that, the last to ask `has_stores` sets the mark.
    pub(crate) fn update(&self, has_stores: impl FnOnce() -> bool) {
        let mut limit = self.limit.lock();
        self.set_mark(&mut limit, has_stores());
    }

    /// Sets the mark, and the default: from its first store on, a pool may grow until memory is short. It
    /// may then keep what it has when its last store goes.
    fn set_mark(&self, limit: &mut GivenLimit, has_stores: bool) {
        if has_stores && self.cached && limit.default != Limit::CEILING {
            limit.default = Limit::CEILING;
            // One that was given stays at so many bytes.
            if limit.given.is_none() {
                self.bytes
                    .store(Limit::CEILING.resolve(total_ram()), Relaxed);
            }
        }
        let limit = self.bytes();
        let mark = if !has_stores {
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
