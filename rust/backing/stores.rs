// SPDX-License-Identifier: GPL-2.0

//! The backing stores of a pool.
//!
//! Stores are tiers, in the order of their numbers. A store is found without a lock. What keeps it in
//! its place is what it holds: it is taken out when no segment of it is in use or pinned, and taking it
//! out waits for all that look at it then. That is so for one that was given up, too.

use crate::{
    backing::{
        protection::Protection,
        store::BackingStore, //
    },
    core::{
        entry::Redirect,
        log::PinnedSegment,
        segment::MAX_STORES, //
    },
    kernel_ext::{
        crypto::aead::{
            Aead,
            AeadName, //
        },
        fs::fs_context::FsLog,
        sync::arc_slots::ArcSlots, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// How what goes to the stores of a pool is encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// It is not.
    Off,
    /// With the cipher that is faster on this machine, of those that the kernel has.
    Fastest,
    /// With this one.
    With(AeadName),
}

impl Encryption {
    /// As the mount option `encrypt=` has it.
    pub(crate) fn text(self) -> &'static CStr {
        match self {
            Self::Off => c"off",
            Self::Fastest => c"on",
            Self::With(name) => name.text(),
        }
    }

    /// The inverse of [`Encryption::text`].
    pub(crate) fn parse(text: &CStr) -> Option<Self> {
        let [aes, chacha] = AeadName::ALL.map(Self::With);
        let all = [Self::Off, Self::Fastest, aes, chacha];
        all.into_iter().find(|encryption| encryption.text() == text)
    }
}

/// The backing stores of a pool.
#[pin_data]
pub(crate) struct BackingStores {
    places: ArcSlots<BackingStore, MAX_STORES>,
    count: Atomic<usize>,
    /// How what goes to the stores is encrypted.
    pub(crate) encrypt: Encryption,
    /// Whether the stores are told of free segments.
    pub(crate) discard: bool,
    /// The most that is written to each store in 24 hours, in bytes, if nothing else was set for it; 0 if
    /// there is no limit.
    write_limit: Atomic<u64>,
}

impl BackingStores {
    /// No stores. Those to come are encrypted as `encrypt` says, and told of free segments if `discard`.
    pub(crate) fn new(encrypt: Encryption, discard: bool) -> impl PinInit<Self> {
        pin_init!(Self {
            places: ArcSlots::new(),
            count: Atomic::new(0),
            encrypt,
            discard,
            write_limit: Atomic::new(0),
        })
    }

    /// The most that is written to each store in 24 hours, in bytes, as far as nothing else was set for it.
    pub(crate) fn write_limit(&self) -> Option<u64> {
        Some(self.write_limit.load(Relaxed)).filter(|limit| *limit > 0)
    }

    /// Sets that limit, for those that are there, and those to come.
    ///
    /// Context: any but interrupts; never waits.
    pub(crate) fn set_write_limit(&self, limit: Option<u64>) {
        self.write_limit.store(limit.unwrap_or(0), Relaxed);
        self.for_each(|store| store.set_write_limit(limit));
    }

    /// Returns whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// Calls `with` with store `number`; [`None`] if there is none.
    ///
    /// Context: any. `with` must not sleep.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        number: usize,
        with: impl FnOnce(&BackingStore) -> R,
    ) -> Option<R> {
        self.places.with(number, with)
    }

    /// Store `number`. The mover of the pool has let go of it when the store is taken out, unless the
    /// store was given up: then the mover may be the last to have it.
    pub(crate) fn get(&self, number: usize) -> Option<Arc<BackingStore>> {
        self.places.get(number)
    }

    /// All stores, in order, as [`BackingStores::get`].
    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<BackingStore>> + '_ {
        (0..MAX_STORES).filter_map(|number| self.get(number))
    }

    /// Calls `each` with all stores, in order.
    ///
    /// Context: any. `each` must not sleep.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&BackingStore)) {
        for number in 0..MAX_STORES {
            self.with(number, &mut each);
        }
    }

    /// Returns whether there is one at `path` that the pool is to have.
    pub(crate) fn has(&self, path: &CStr) -> bool {
        let mut found = false;
        self.for_each(|store| found |= store.is_wanted() && store.is_at(path));
        found
    }

    /// Returns whether one has room.
    ///
    /// Context: any; never waits.
    pub(crate) fn have_room(&self) -> bool {
        let mut found = false;
        self.for_each(|store| found |= store.has_room());
        found
    }

    /// Returns whether one was given up, and is there still.
    pub(crate) fn any_given_up(&self) -> bool {
        let mut found = false;
        self.for_each(|store| found |= store.is_given_up());
        found
    }

    /// Ends the record where `redirect` says: no slot names it any more. Returns whether a segment is
    /// free by that which had better be discarded.
    ///
    /// Context: any but interrupts; never waits.
    #[inline]
    pub(crate) fn end_record(&self, redirect: Redirect) -> bool {
        let Redirect { location, form } = redirect;
        // The record kept the store in its place until now.
        self.with(location.store(), |store| {
            store.end_record(location.segment(), form.length)
        })
        .unwrap_or(false)
    }

    /// Pins the segment where `redirect` says; [`None`] if nothing is there any more.
    ///
    /// Context: any; never waits.
    pub(crate) fn pin(&self, redirect: Redirect) -> Option<PinnedSegment> {
        let location = redirect.location;
        self.with(location.store(), |store| store.log.pin(location.segment()))?
    }

    /// Ends a pin of a segment of store `number`.
    ///
    /// Context: any but interrupts; never waits.
    pub(crate) fn unpin(&self, number: usize, pinned: PinnedSegment) {
        // The pin kept the store in its place until now.
        self.with(number, |store| store.unpin(pinned));
    }

    /// Claims what is at `path`, by the rights of the task, as store `number`. It is not one of the
    /// stores before it is [inserted](BackingStores::insert).
    ///
    /// Context: may sleep, for as long as the device takes. Errors: those of
    /// [`Unusable`](super::device::Unusable); [`ENOENT`] if the kernel has no cipher for an encrypted
    /// store; [`ENOMEM`]. `log` is told why.
    pub(crate) fn claim(
        &self,
        number: usize,
        path: &CStr,
        log: &FsLog<'_>,
    ) -> Result<Arc<BackingStore>> {
        let protection = self.protection(log)?;
        let store =
            BackingStore::claim(number, path, protection, self.discard).map_err(|unusable| {
                log.error(unusable.error(), fmt!("backing={}: {}", path, unusable))
            })?;
        if !store.device.swap.is_private_to_root() {
            pr_warn!(
                "backing={}: should be root's and closed to others, for it will hold what is in memory\n",
                path
            );
        }
        Ok(store)
    }

    /// What protects a new store: if it is encrypted, with a key of its own.
    fn protection(&self, log: &FsLog<'_>) -> Result<Protection> {
        let aead = match self.encrypt {
            Encryption::Off => return Ok(Protection::Plain),
            Encryption::With(name) => Aead::new(name),
            Encryption::Fastest => {
                let [first, second] = AeadName::by_speed();
                match Aead::new(first) {
                    Err(error) if error == ENOENT => Aead::new(second),
                    other => other,
                }
            }
        };
        let aead = aead.map_err(|error| {
            let reason = if error == ENOENT {
                "the kernel has no such cipher; give encrypt=off to do without"
            } else {
                "the cipher cannot be set up"
            };
            log.error(error, fmt!("encrypt={}: {reason}", self.encrypt.text()))
        })?;
        Ok(Protection::Encrypted(aead))
    }

    /// Makes `store`, which was [claimed](BackingStores::claim), one of the stores.
    ///
    /// Context: may sleep. Only a task that has the stores of the pool locked calls this.
    pub(crate) fn insert(&self, store: Arc<BackingStore>) {
        store.set_write_limit(self.write_limit());
        drop(self.places.replace(store.number(), Some(store)));
        self.count.fetch_add(1usize, Relaxed);
    }

    /// A store will be taken out, and does not count any more.
    pub(crate) fn discount(&self) {
        self.count.fetch_sub(1usize, Relaxed);
    }

    /// Takes store `number` out, which holds nothing and takes nothing.
    ///
    /// Context: may sleep; the mover is locked, which may have it in its hands otherwise, unless the
    /// store was given up.
    pub(crate) fn take(&self, number: usize) -> Option<Arc<BackingStore>> {
        self.places.replace(number, None)
    }

    /// How many bytes of records there can be in those that take pages.
    ///
    /// Context: any; never waits.
    pub(crate) fn usable_bytes(&self) -> u64 {
        let mut usable = 0;
        self.for_each(|store| usable += store.usable_bytes());
        usable
    }
}
