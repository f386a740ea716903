// SPDX-License-Identifier: GPL-2.0

//! A slot: one entry that is read and changed by several at once, and owns the object it names.
//!
//! # Who races with whom
//!
//! The kernel does one thing at a time to a slot:
//!
//! - It stores a slot while the slot's folio is in the swap cache and under writeback. It loads a slot
//!   while its folio is in the swap cache and locked, and not up to date. The swap cache has one folio for
//!   a slot. A folio under writeback is not written again before that ends (`folio_wait_writeback()`), and
//!   a folio that is up to date is not read.
//! - It frees a slot only when the slot's folio is not in the swap cache (`__swap_cluster_free_entries()`
//!   finds a shadow there). A folio under writeback is not removed from the swap cache
//!   (`folio_swapcache_freeable()`, `__swap_cache_del_folio()`).
//! - `invalidate_area` is called when no slot of the area is in use any more.
//!
//! So [`Slot::replace`], which a store and a free call, never runs twice at once for one slot. What may
//! race with it are the module's own lookers: loads, workers that end loads that were put off, and the one
//! mover of the pool.
//!
//! # What may happen to an entry
//!
//! Every change but `replace` compares, and may come too late. Then the entry stays as another change
//! left it.
//!
//! | from | to | by |
//! |---|---|---|
//! | any | FREE, SAME or CACHED | [`Slot::replace`], for the kernel's side |
//! | CACHED, with M or not | CACHED with H | [`Slot::look`] |
//! | CACHED with H | CACHED | [`Hold::release`] |
//! | CACHED with H | CACHED with M | [`Hold::release_marked`], by the mover |
//! | CACHED with M | CACHED | [`Slot::unmark`], by the mover: it was not written |
//! | CACHED with M | REDIRECTED | [`Slot::commit`], by the mover: it was |
//! | REDIRECTED | REDIRECTED elsewhere | [`Slot::move_redirect`], by the mover |
//! | REDIRECTED | CACHED | [`Slot::recall`], by the mover |
//!
//! # Who owns the object
//!
//! An object in a slot is the slot's. [`Slot::replace`] exchanges the entry in one atomic step, and the old
//! word shows whether the object was held:
//!
//! - It was not. The object is now the displacer's, which frees it.
//! - It was. The object is now the holder's. [`Hold::release`] tries to put the entry back, finds it gone,
//!   and gives out the object to free.
//!
//! [`Slot::look`] sets H with a compare-and-exchange, so there is one holder at most; another looker finds
//! [`Look::Busy`] and looks again. [`Hold::release`] clears H in the same way. Each of the three is one
//! atomic step on one word. So exactly one step takes the object away from the slot while it is not held,
//! or else exactly one release finds it displaced: the object is freed once, and not before its last
//! reader is done.
//!
//! In Rust, an object is a value that is neither `Copy` nor `Clone`. Only this file makes one from the bits
//! of an entry: that takes a [`Key`], which no other file can make.
//!
//! `replace` never waits, so it can run where the kernel holds spinlocks.
//!
//! # In a store
//!
//! A redirected entry names a record and owns its place in its segment, not memory, so it is not held. The
//! record is counted in its segment's log, see [`super::log`], from before the entry names it. What makes
//! the entry name something else ends the record there, and so does what failed to make an entry name it.
//!
//! A reader looks, pins the segment that it was told, and asks whether the entry is [still](Slot::still) the
//! same. If it is, the record stays as it is until the segment is unpinned, wherever the entry goes
//! meanwhile. If it is not, or the segment cannot be pinned, the reader looks again.
//!
//! # From the cache to a store
//!
//! Writing takes long, and nothing may be kept waiting for it. So the mover holds the object only to copy
//! it, and [marks](Hold::release_marked) the entry as it lets go. When the copy is on disk, it
//! [commits](Slot::commit) the mark: if the entry is still marked, it is redirected to the copy, and the
//! object is the mover's to free. Looking takes the mark off, because a page that is wanted now had better
//! stay; and what is stored has none.
//!
//! # Why comparing the word is enough (ABA)
//!
//! *A hold.* [`Hold::release`] compares with the held word. It has the object's name, and as long as the
//! object is held it is not freed. So no other object has this name, and no later entry this word.
//!
//! *A look.* The word that [`Slot::look`] read may be of an object that was freed since, with another given
//! the same name, length and slot. Then the compare-and-exchange succeeds, and rightly: what is held is
//! what the slot has now.
//!
//! *A mark.* A mark outlives the hold, so the object may be freed and its name given to the same slot again.
//! Therefore one rule: **the last mark of a slot is the first to be committed**. One mover of a pool marks.
//! It commits or
//! [takes off](Slot::unmark) all marks of a batch before it marks anything for the next; and if it marked a
//! slot twice in one batch, it commits in the reverse order. So an entry that is marked has the last mark,
//! and after that none was committed.
//!
//! *A redirect.* A reader, and the mover when it moves or recalls a record, has the segment pinned while it
//! compares. A pinned segment is not filled again, and in one generation each place is filled once and
//! named by one slot once. So if the word is the same, the record is the same.
//!
//! # Order
//!
//! `replace`, and the steps of `look` and `release` that succeed, are fully ordered in the kernel. What was
//! written to an object is visible to all that find it in a slot. What a holder read was read before the
//! object is freed, by the holder or by a displacer that came after the hold.

use core::marker::PhantomData;

use super::{
    entry::{
        Entry,
        ObjectState,
        Redirect, //
    },
    payload::{
        Key,
        Length,
        Payload, //
    },
    segment::Location,
    sync::Word,
};

/// What a slot can be given.
pub enum Content<P> {
    /// No page.
    Free,
    /// A page whose every aligned 32 bits are these.
    Same(u32),
    /// A page kept as an object, owned by the slot from now on.
    Object(P),
}

/// What a slot held before, for its displacer.
pub enum Displaced<P> {
    /// Nothing.
    Free,
    /// A page kept in the entry itself.
    Same,
    /// An object of this length, now the displacer's.
    Object(P, Length),
    /// An object of this length, which its holder will free.
    Held(Length),
    /// An object in a backing store, whose record the displacer ends.
    Redirected(Redirect),
}

/// What a looker finds in a slot.
pub enum Look<'s, P: Payload> {
    /// No page.
    Free,
    /// A page whose every aligned 32 bits are these.
    Same(u32),
    /// An object, now held still by the looker.
    Object(Hold<'s, P>),
    /// An object in a backing store, if it is [still](Slot::still) there once its segment is pinned.
    Redirected(Redirect),
    /// Somebody else holds the object, or just changed the entry. Look again.
    Busy,
}

/// One slot. New ones are free.
pub struct Slot<P> {
    entry: Word,
    _owns: PhantomData<P>,
}

impl<P: Payload> Default for Slot<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Payload> Slot<P> {
    /// A free slot.
    pub fn new() -> Self {
        Self {
            entry: Word::new(0),
            _owns: PhantomData,
        }
    }

    /// Gives the slot `content` and takes what it held.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn replace(&self, content: Content<P>) -> Displaced<P> {
        let entry = match content {
            Content::Free => Entry::Free,
            Content::Same(fill) => Entry::Same { fill },
            Content::Object(object) => {
                let (payload, length) = object.into_parts();
                idle(payload, length)
            }
        };
        match Entry::decode_own(self.entry.swap(entry.encode_own())) {
            Entry::Free => Displaced::Free,
            Entry::Same { .. } => Displaced::Same,
            Entry::Redirected(redirect) => Displaced::Redirected(redirect),
            Entry::Cached {
                length,
                state: ObjectState::Held,
                ..
            } => Displaced::Held(length),
            Entry::Cached {
                payload, length, ..
            } => Displaced::Object(P::from_parts(payload, length, Key(())), length),
        }
    }

    /// Looks at the slot, and holds its object still if it has one in memory.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn look(&self) -> Look<'_, P> {
        let word = self.entry.load();
        match Entry::decode_own(word) {
            Entry::Free => Look::Free,
            Entry::Same { fill } => Look::Same(fill),
            Entry::Redirected(redirect) => Look::Redirected(redirect),
            Entry::Cached {
                state: ObjectState::Held,
                ..
            } => Look::Busy,
            Entry::Cached {
                payload, length, ..
            } => {
                let held = Entry::with_state(word, ObjectState::Held);
                if self.entry.replace(word, held) {
                    Look::Object(Hold {
                        slot: self,
                        held,
                        length,
                        object: P::from_parts(payload, length, Key(())),
                    })
                } else {
                    Look::Busy
                }
            }
        }
    }

    /// Redirects the object that was marked to its copy at `location`, and returns it, for the
    /// caller to free. If the entry is not marked any more, nothing changes: what is at `location`
    /// is not wanted, and the caller ends that record.
    ///
    /// Context: any; never waits. The caller marks, and counted the record.
    #[must_use]
    pub fn commit(&self, mark: Mark, location: Location) -> Option<P> {
        let Entry::Cached {
            payload, length, ..
        } = Entry::decode_own(mark.0)
        else {
            return None;
        };
        let redirect = Redirect { location, length };
        self.entry
            .replace(mark.0, redirected(redirect))
            .then(|| P::from_parts(payload, length, Key(())))
    }

    /// Takes the mark off again, if it is still there: the copy could not be written.
    ///
    /// Context: any; never waits. The caller marks.
    pub fn unmark(&self, mark: Mark) {
        // If it fails, there is no mark any more.
        let _ = self
            .entry
            .replace(mark.0, Entry::with_state(mark.0, ObjectState::Idle));
    }

    /// If the slot's object is where `redirect` says.
    ///
    /// Context: any; never waits. The caller has pinned the segment there, and this stays of use
    /// until it is unpinned.
    #[inline]
    pub fn still(&self, redirect: Redirect) -> bool {
        self.entry.load() == redirected(redirect)
    }

    /// Redirects the object that is where `from` says to its copy at `to`; says if it was there.
    /// Then the caller ends the record at `from`, else that at `to`.
    ///
    /// Context: any; never waits. The caller has had the segment of `from` pinned since before it saw
    /// that the object is there, and counted the record at `to`.
    #[must_use]
    pub fn move_redirect(&self, from: Redirect, to: Location) -> bool {
        let to = Redirect {
            location: to,
            ..from
        };
        self.entry.replace(redirected(from), redirected(to))
    }

    /// Puts `object`, a copy in memory of the one where `from` says, in its place; then the caller
    /// ends the record. Gives `object` back if nothing of the slot's was there any more.
    ///
    /// Context: any; never waits. The caller has had the segment of `from` pinned since before it saw
    /// that the object is there.
    pub fn recall(&self, from: Redirect, object: P) -> Result<(), P> {
        let (payload, length) = object.into_parts();
        let cached = idle(payload, length).encode_own();
        if self.entry.replace(redirected(from), cached) {
            Ok(())
        } else {
            Err(P::from_parts(payload, length, Key(())))
        }
    }

    /// The entry as it is now, for reports and for what compares it later: it may have changed when
    /// this returns.
    pub fn peek(&self) -> Entry {
        Entry::decode(self.entry.load()).unwrap_or(Entry::Free)
    }
}

/// The entry of an object in memory with which nothing goes on.
#[inline]
fn idle(payload: u64, length: Length) -> Entry {
    Entry::Cached {
        payload,
        length,
        state: ObjectState::Idle,
    }
}

/// The word of an object where `redirect` says.
#[inline]
fn redirected(redirect: Redirect) -> u64 {
    Entry::Redirected(redirect).encode_own()
}

/// An object held still: while this exists, nobody frees it.
#[must_use = "a hold that is not released keeps the object for ever"]
pub struct Hold<'s, P: Payload> {
    slot: &'s Slot<P>,
    held: u64,
    length: Length,
    object: P,
}

impl<P: Payload> Hold<'_, P> {
    /// The object.
    #[inline]
    pub fn object(&self) -> &P {
        &self.object
    }

    /// The length of the object.
    #[inline]
    pub fn length(&self) -> Length {
        self.length
    }

    /// Lets go of the object. If the slot was given something else meanwhile, the object is now
    /// the caller's, to free.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn release(self) -> Option<P> {
        self.leave(ObjectState::Idle).err()
    }

    /// Lets go of the object, of which the caller made a copy, and marks the entry. If the slot was
    /// given something else meanwhile, the object is now the caller's, to free.
    ///
    /// Context: any; never waits. If the slot has another mark that the caller may still commit, this one
    /// is committed first.
    pub fn release_marked(self) -> Result<Mark, P> {
        self.leave(ObjectState::Marked).map(Mark)
    }

    /// Leaves the entry in `state`, and returns its word.
    #[inline]
    fn leave(self, state: ObjectState) -> Result<u64, P> {
        let word = Entry::with_state(self.held, state);
        if self.slot.entry.replace(self.held, word) {
            // The slot owns the object again: what it lent must not be used any more.
            let _ = self.object.into_parts();
            Ok(word)
        } else {
            Err(self.object)
        }
    }
}

/// That a worker marked an entry. It goes back to the slot that it is of.
#[must_use = "a mark is committed or taken off"]
pub struct Mark(u64);
