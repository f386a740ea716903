// SPDX-License-Identifier: GPL-2.0

//! A slot: one entry that is read and changed by several at once, and owns the object it names.
//!
//! # Who races with whom
//!
//! The kernel serialises what it does to one slot: it loads it with the slot's folio locked, stores
//! it with the folio under writeback, and frees no slot whose folio is either, in the swap cache
//! (`mm/swapfile.c`). So against one slot there is at most one call of the kernel's side at a time,
//! and any number of ours that [look](Slot::look) at it, or move its object between the cache and the
//! backing stores.
//!
//! # Who owns the object
//!
//! The slot does, until [`Slot::replace`] displaces it. If nobody holds it then, it is the
//! displacer's to free. If somebody [holds](Hold) it, it is the holder's: [`Hold::release`] finds
//! the entry gone and hands the object over. A held entry is never equal to a later one of the same
//! slot, because its object is not free, so no other can be given the same payload: comparing the
//! word is enough. So each object is freed once, and not before the last reader is done.
//!
//! A holder keeps nobody waiting but another looker, who finds [`Look::Busy`] and looks again.
//! Displacing never waits: it runs where the kernel holds spinlocks.
//!
//! # From the cache to a store
//!
//! Writing takes long, and nobody may be kept waiting for it. So a worker holds the object only to
//! copy it, and [marks](Hold::release_marked) the entry as it lets go. When the copy is on disk, it
//! [commits](Slot::commit) the mark: if the entry is still marked, it is redirected to the copy, and
//! the object is the worker's to free. Looking takes the mark off, because a page that is wanted
//! now had better stay; and what is stored has none.
//!
//! The object of a marked entry may be freed, and its payload given to the same slot again. So a
//! marked entry may be equal to a later one only if that was marked, too, and to comparing the word
//! there is one rule: **the last mark of a slot is the first to be committed**. One worker of a pool
//! marks. It commits or [takes off](Slot::unmark) all marks of a batch before it marks anything for the
//! next; and if it marked a slot twice in one batch, it commits in the reverse order: an entry that is
//! marked has the last mark, and after that was committed none.
//!
//! # In a store
//!
//! A redirected entry names a record and owns its place in its segment, not memory, so nobody holds
//! it. The record is counted in its segment's log, see [`super::log`], from before the entry names it;
//! whoever makes the entry name something else ends it there, and so does whoever failed to make an
//! entry name it.
//!
//! A reader looks, pins the segment that it was told, and asks if the entry is [still](Slot::still)
//! the same. If it is, the record stays as it is until the segment is unpinned, wherever the entry
//! goes meanwhile. If it is not, or the segment cannot be pinned, the reader looks again.
//!
//! A worker that [relocates](Slot::relocate) or [recalls](Slot::recall) an object is such a reader, and
//! keeps the segment pinned until it has changed the entry. While a segment is pinned it is not filled
//! anew, and in one life of it each place is filled once and named by one slot once. So if the entry
//! names the place, it names the record that was read: comparing the word is enough.

use core::marker::PhantomData;

use super::{
    entry::{Entry, Form, Redirect, State},
    segment::Location,
    sync::Word,
};

/// Shows that a payload's bits come out of a slot that was given them. Only this file makes one.
pub struct Key(());

/// An object in memory that its bearer owns.
///
/// It is neither `Copy` nor `Clone`: there is one bearer for each object.
pub trait Payload: Sized {
    /// Gives up the object for its name, of [`super::entry::PAYLOAD_BITS`] bits, and its form, with
    /// a length that is in its range.
    fn into_parts(self) -> (u64, Form);

    /// The object that [`Payload::into_parts`] gave up. A slot calls this, once for what it was
    /// given, or, while it holds the object still, to lend it.
    fn from_parts(bits: u64, form: Form, key: Key) -> Self;
}

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
    /// An object of this form, now the displacer's.
    Object(P, Form),
    /// An object of this form, which its holder will free.
    Held(Form),
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
                let (payload, form) = object.into_parts();
                idle(payload, form)
            }
        };
        match Entry::decode_own(self.entry.swap(entry.encode_own())) {
            Entry::Free => Displaced::Free,
            Entry::Same { .. } => Displaced::Same,
            Entry::Redirected(redirect) => Displaced::Redirected(redirect),
            Entry::Cached {
                form,
                state: State::Held,
                ..
            } => Displaced::Held(form),
            Entry::Cached { payload, form, .. } => {
                Displaced::Object(P::from_parts(payload, form, Key(())), form)
            }
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
                state: State::Held, ..
            } => Look::Busy,
            Entry::Cached { payload, form, .. } => {
                let held = Entry::with_state(word, State::Held);
                if self.entry.replace(word, held) {
                    Look::Object(Hold {
                        slot: self,
                        held,
                        object: P::from_parts(payload, form, Key(())),
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
        let Entry::Cached { payload, form, .. } = Entry::decode_own(mark.0) else {
            return None;
        };
        let redirect = Redirect { location, form };
        self.entry
            .replace(mark.0, redirected(redirect))
            .then(|| P::from_parts(payload, form, Key(())))
    }

    /// Takes the mark off again, if it is still there: the copy could not be written.
    ///
    /// Context: any; never waits. The caller marks.
    pub fn unmark(&self, mark: Mark) {
        // If it fails, there is no mark any more.
        let _ = self
            .entry
            .replace(mark.0, Entry::with_state(mark.0, State::Idle));
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
    pub fn relocate(&self, from: Redirect, to: Location) -> bool {
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
        let (payload, form) = object.into_parts();
        let cached = idle(payload, form).encode_own();
        if self.entry.replace(redirected(from), cached) {
            Ok(())
        } else {
            Err(P::from_parts(payload, form, Key(())))
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
fn idle(payload: u64, form: Form) -> Entry {
    Entry::Cached {
        payload,
        form,
        state: State::Idle,
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
    object: P,
}

impl<P: Payload> Hold<'_, P> {
    /// The object.
    #[inline]
    pub fn object(&self) -> &P {
        &self.object
    }

    /// Lets go of the object. If the slot was given something else meanwhile, the object is now
    /// the caller's, to free.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn release(self) -> Option<P> {
        self.leave(State::Idle).err()
    }

    /// Lets go of the object, of which the caller made a copy, and marks the entry. If the slot was
    /// given something else meanwhile, the object is now the caller's, to free.
    ///
    /// Context: any; never waits. If the slot has another mark that the caller may still commit, this one
    /// is committed first.
    pub fn release_marked(self) -> Result<Mark, P> {
        self.leave(State::Marked).map(Mark)
    }

    /// Leaves the entry in `state`, and returns its word.
    #[inline]
    fn leave(self, state: State) -> Result<u64, P> {
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
