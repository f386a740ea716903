// SPDX-License-Identifier: GPL-2.0

//! The mover of a pool: all that moves objects between the cache and the stores, one thing at a time.
//!
//! It [writes back](crate::writeback) when the pool passes a mark under its limit, and what is in segments
//! it [moves to others](crate::relocate), or [takes back](crate::recall) into the cache.
//!
//! It is a worker, or whoever asks by hand, and has the mover's lock for as long as one segment takes. Its
//! memory was set aside when the first store was added, so that it gets on where memory is short. Lock
//! order: the stores' `shown`, the mover, a store's cursor; spinlocks are innermost.

use crate::{
    kernel_ext::{block_io::Transfer, clock, errand::Run},
    logic::segment::BLOCKS,
    pool::Pool,
    recall::Recalling,
    relocate::Relocating,
    writeback::Desk,
};
use core::convert::Infallible;
use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    time::msecs_to_jiffies,
};

/// How long the mover rests when it could do nothing.
pub(crate) const REST_MS: u32 = 100;

/// What the mover works with.
pub(crate) struct Gear {
    pub(crate) input: Pin<KBox<Transfer<Infallible>>>,
    pub(crate) output: Pin<KBox<Transfer<Infallible>>>,
    pub(crate) desk: Desk,
    pub(crate) relocating: Relocating,
    pub(crate) recalling: Recalling,
}

impl Gear {
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<KBox<Self>> {
        Ok(KBox::new(
            Self {
                input: Transfer::new(BLOCKS)?,
                output: Transfer::new(BLOCKS)?,
                desk: Desk::new()?,
                relocating: Relocating::new()?,
                recalling: Recalling::new(),
            },
            GFP_KERNEL,
        )?)
    }
}

/// A time in which something is not tried again, after nothing could be done: until when, and how many
/// ticks that takes.
pub(crate) struct Rest(Atomic<u32>, u32);

impl Rest {
    /// It does not rest yet, and later for `ms` milliseconds.
    pub(crate) fn new(ms: u32) -> Self {
        let ticks = msecs_to_jiffies(ms) as u32;
        Self(Atomic::new(clock::ticks()), ticks)
    }

    /// It is not tried for as long as that takes.
    pub(crate) fn begin(&self) {
        self.0.store(clock::ticks().wrapping_add(self.1), Relaxed);
    }

    /// It is tried again at once.
    pub(crate) fn end(&self) {
        self.0.store(clock::ticks(), Relaxed);
    }

    /// If it rests.
    pub(crate) fn is_on(&self) -> bool {
        let left = self.0.load(Relaxed).wrapping_sub(clock::ticks());
        // What is over long since may seem to be of the future, but not of the near one.
        (1..=self.1 + 1).contains(&left)
    }
}

impl Run for Pool {
    fn run(self: Arc<Self>) {
        loop {
            self.recall_all();
            if self.bytes() <= self.low_mark() || self.stores.is_empty() {
                break;
            }
            let mut mover = self.mover.lock();
            let Some(gear) = mover.as_deref_mut() else {
                break;
            };
            match self.write_batch(gear, usize::MAX) {
                Ok(written) if written > 0 => (),
                // Another segment, or another store, until there is none.
                Err(error) if error != ENOSPC => (),
                _ => {
                    drop(mover);
                    self.rest.begin();
                    self.tell_waiters();
                    return;
                }
            }
            drop(mover);
            self.tell_waiters();
        }
        self.rest.end();
        self.tell_waiters();
        if self.discard_one() {
            // After others that may have asked meanwhile.
            self.ask_mover();
        }
    }
}

impl Pool {
    /// Writes `pages` pages to the stores, or as many as there are now.
    ///
    /// Context: may sleep, for long. Errors: [`ENXIO`] if there is no store; [`ENOSPC`] if there is no
    /// room; [`EINTR`]; those of the device.
    pub(crate) fn write_back(&self, pages: usize) -> Result {
        if self.stores.is_empty() {
            return Err(ENXIO);
        }
        // What comes meanwhile is not meant.
        let mut left = pages.min(self.figures.pages_in_cache() as usize);
        while left > 0 {
            let mut mover = self.mover.lock();
            let gear = mover.as_deref_mut().ok_or(ENXIO)?;
            let written = match self.write_batch(gear, left) {
                Err(error) if error != ENOSPC && error != ENXIO => continue,
                result => result?,
            };
            if written == 0 {
                break;
            }
            left -= written.min(left);
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
        }
        Ok(())
    }

    /// Tells a device of one free segment, if there is one that it was not told of.
    fn discard_one(&self) -> bool {
        let _mover = self.mover.lock();
        self.stores.all().any(|store| store.discard_one())
    }

    /// Sets aside what moving takes.
    ///
    /// Context: may sleep; the stores are locked. Errors: [`ENOMEM`].
    pub(crate) fn equip(&self) -> Result {
        if self.mover.lock().is_some() {
            return Ok(());
        }
        let gear = Gear::new()?;
        self.readback.equip()?;
        *self.mover.lock() = Some(gear);
        Ok(())
    }

    /// Has the mover do what there is to do.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn ask_mover(self: &Arc<Self>) {
        self.errand.ask(&self.queue, self);
    }
}
