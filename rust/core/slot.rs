// SPDX-License-Identifier: GPL-2.0

//! A slot: one entry that several threads read and change at once. It owns the object that it
//! names.
//!
//! # Which threads race
//!
//! The kernel serialises what it does to one slot: it loads it with the slot's folio locked, stores
//! it with the folio under writeback, and frees no slot whose folio is either, in the swap cache
//! (`mm/swapfile.c`). So against one slot there is at most one call of the kernel's side at a time,
//! and any number of ours: lookers, which [look](Slot::look) at it, and movers, which take its
//! object from the cache to the backing stores or back. Of a pool's movers one fills batches and
//! marks; any thread may end a batch.
//!
//! # Which thread owns the object
//!
//! The slot owns it, until [`Slot::replace`] displaces it. If it is not held then, the displacer
//! frees it. If a looker [holds](Hold) it, the holder frees it: [`Hold::release`] finds the entry
//! gone and hands the object over. A held entry is never equal to a later one of the same slot,
//! because its object is not free, so no other can be given the same payload: comparing the word is
//! enough. So each object is freed once, and not before the last reader is done.
//!
//! A holder makes nothing wait but another looker, which finds [`Look::Busy`] and looks again.
//! Displacing never waits: it runs where the kernel holds spinlocks.
//!
//! # Which objects are old
//!
//! The mover comes by each object now and then, and [ages](Slot::age) it if it leaves it. What is stored
//! or looked at is not aged any more. So an object that is aged when the mover comes by again was not
//! needed since. The mover ages what it saw in the entry, and the object may have been freed meanwhile,
//! and another one have its payload. Then that one is older than it should be, which is no error: the
//! bit tells what had better go first, and nothing else looks at it.
//!
//! # From the cache to a backing store
//!
//! Writing takes long, and must make nothing wait. So the mover holds the object only to copy it,
//! and [marks](Hold::release_marked) the entry as it lets go. When the copy is on disk, it
//! [commits](Slot::commit) the mark: if the entry is still marked, it is redirected to the copy,
//! and the mover frees the object. Looking takes the mark off, because a page that is read now had
//! better stay; and what is stored has none.
//!
//! While a batch is written, the next is filled. Each has a [`Lane`], which its marks tell, and its
//! lane has no other batch until all its marks are committed or [taken off](Slot::unmark). Batches
//! in two lanes may end in any order, and at once.
//!
//! The object of a marked entry may be freed, and its payload given to the same slot again. So a
//! marked entry may be equal to a later one, but only if that was marked in the same lane, too. For
//! comparing the word there is one rule: **of a slot's marks in a lane the last is the first to be
//! committed**. Between two batches in one lane, all marks of the first are gone before the second
//! begins. If the mover marked a slot twice in one batch, the batch is committed in the reverse
//! order: an entry that is marked in this lane has the last mark, and no mark of the lane is
//! committed after that one. A mark of the other lane is another word. To that batch, the entry is
//! as one that was replaced, whether its object still is what was copied or not.
//!
//! # In another form
//!
//! The copy in a store may have been made by the second compressor. So what commits a mark is told the
//! form that the copy has. In memory, a holder may make such a copy, and let go of the object by
//! [putting](Hold::release_for) the copy in its place. Then the holder frees the object, which nothing
//! names any more.
//!
//! # Shares of a bundle
//!
//! What a slot owns may be a share of a bundle, see [`super::bundle`]. To the slot it is an object: all of
//! the above holds for it. It is freed once, and not while it is held, so a task that holds it may read the
//! bundle; and no other share is given its name before. The bundle is freed with its last share.
//!
//! # In a backing store
//!
//! A redirected entry names a record and owns its place in its segment, not memory, so no looker
//! holds it. The record is counted in its segment's log, see [`super::log`], from before the entry
//! names it. The caller that makes the entry name something else ends the record, and so does a
//! caller that failed to make an entry name it.
//!
//! A reader looks, pins the segment that it was told, and asks whether the entry is
//! [still](Slot::still) the same. If it is, the record stays as it is until the segment is
//! unpinned, wherever the entry goes meanwhile. If it is not, or the segment cannot be pinned, the
//! reader looks again.
//!
//! A caller that [moves](Slot::move_redirect) or [recalls](Slot::recall) an object is such a
//! reader, and keeps the segment pinned until it has changed the entry. While a segment is pinned
//! it is not filled anew, and in one generation of it each place is filled once and named by one
//! slot once. So if the entry names the place, it names the record that was read: comparing the
//! word is enough.
//!
//! A caller that [gives up](Slot::lose) an object pins nothing. If the entry was changed meanwhile,
//! and is equal again, it names a record at the same place, and the caller ends that one. It gives up
//! all that is in a backing store, so whose record it is does not matter.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::payload::{Coder, Form, Key, Length, Payload};
//! use ghostswap_core::slot::{Content, Displaced, Look, Slot};
//!
//! /// The name of an object.
//! struct Object(u64, Form);
//!
//! impl Payload for Object {
//!     fn into_parts(self) -> (u64, Form) {
//!         (self.0, self.1)
//!     }
//!
//!     fn from_parts(name: u64, form: Form, _: Key) -> Self {
//!         Self(name, form)
//!     }
//! }
//!
//! let length = Length::new(1000).expect("an object may have it");
//! let form = Form { length, coder: Coder::First };
//! let slot = Slot::new();
//! assert!(slot.replace(Content::Object(Object(5, form))).was_free());
//!
//! let Look::Object(hold) = slot.look() else { unreachable!() };
//! assert!(matches!(slot.replace(Content::Free).displaced(), Displaced::Held(_)));
//! let object = hold.release().expect("it was displaced, so the holder frees it");
//! assert_eq!(object.0, 5);
//! ```

use core::marker::PhantomData;

use super::{
    entry::{
        Entry,
        Lane,
        ObjectState,
        Redirect,
        FREE, //
    },
    payload::{
        Form,
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

/// What a slot held before, for the caller that displaced it, as it was in the entry.
#[must_use = "an object that was displaced is freed, and a record ended"]
pub struct Replaced<P> {
    word: u64,
    _owns: PhantomData<P>,
}

impl<P: Payload> Replaced<P> {
    /// Returns whether that is nothing.
    #[inline]
    pub fn was_free(&self) -> bool {
        self.word == FREE
    }

    /// What it is.
    #[inline]
    pub fn displaced(self) -> Displaced<P> {
        match Entry::decode_valid(self.word) {
            Entry::Free => Displaced::Free,
            Entry::Same { .. } => Displaced::Same,
            Entry::Redirected(redirect) => Displaced::Redirected(redirect),
            Entry::Lost => Displaced::Lost,
            Entry::Cached {
                form,
                state: ObjectState::Held,
                ..
            } => Displaced::Held(form.length),
            Entry::Cached { payload, form, .. } => {
                Displaced::Object(P::from_parts(payload, form, Key(())), form.length)
            }
        }
    }
}

/// What a slot held before.
pub enum Displaced<P> {
    /// Nothing.
    Free,
    /// A page kept in the entry itself.
    Same,
    /// An object of this length, now the caller's.
    Object(P, Length),
    /// An object of this length, which its holder will free.
    Held(Length),
    /// An object in a backing store, whose record the caller ends.
    Redirected(Redirect),
    /// A page that was lost.
    Lost,
}

/// What a slot holds, for its looker.
pub enum Look<'s, P: Payload> {
    /// No page.
    Free,
    /// A page whose every aligned 32 bits are these.
    Same(u32),
    /// An object, now held still by the looker.
    Object(Hold<'s, P>),
    /// An object in a backing store, if it is [still](Slot::still) there once its segment is
    /// pinned.
    Redirected(Redirect),
    /// A page that was lost.
    Lost,
    /// Another looker holds the object, or the entry just changed. Look again.
    Busy,
}

/// One slot. New ones are free.
pub struct Slot<P> {
    entry: Word,
    _owns: PhantomData<P>,
}

impl<P: Payload> Slot<P> {
    /// A free slot.
    pub fn new() -> Self {
        Self {
            entry: Word::new(FREE),
            _owns: PhantomData,
        }
    }

    /// Gives the slot `content` and takes what it held.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn replace(&self, content: Content<P>) -> Replaced<P> {
        let word = match content {
            Content::Free => FREE,
            Content::Same(fill) => Entry::Same { fill }.encode_valid(),
            Content::Object(object) => {
                let (payload, form) = object.into_parts();
                cached(payload, form, ObjectState::Idle)
            }
        };
        Replaced {
            word: self.entry.swap(word),
            _owns: PhantomData,
        }
    }

    /// Looks at the slot, and holds its object still if that is in memory.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn look(&self) -> Look<'_, P> {
        let word = self.entry.load();
        match Entry::decode_valid(word) {
            Entry::Free => Look::Free,
            Entry::Same { fill } => Look::Same(fill),
            Entry::Redirected(redirect) => Look::Redirected(redirect),
            Entry::Lost => Look::Lost,
            Entry::Cached {
                state: ObjectState::Held,
                ..
            } => Look::Busy,
            Entry::Cached { payload, form, .. } => {
                let held = Entry::with_state(word, ObjectState::Held);
                if self.entry.replace(word, held) {
                    Look::Object(Hold {
                        slot: self,
                        held,
                        form,
                        object: P::from_parts(payload, form, Key(())),
                    })
                } else {
                    Look::Busy
                }
            }
        }
    }

    /// Notes that the mover came by and left the object, if there is one in memory and nothing goes on
    /// with it. It is so until the object is looked at, or the slot is given something else.
    ///
    /// Context: any; never waits.
    pub fn age(&self) {
        let word = self.entry.load();
        if let Entry::Cached {
            state: ObjectState::Idle,
            ..
        } = Entry::decode_valid(word)
        {
            // If it fails, something goes on with it.
            let _ = (self.entry).replace(word, Entry::with_state(word, ObjectState::Aged));
        }
    }

    /// Redirects the entry of the object that was marked to the copy where `redirect` says, and returns
    /// the object, for the caller to free. [`None`] if the entry is not marked any more: then nothing
    /// changes, and the caller ends the record there. The copy holds the same page, and may have another
    /// form.
    ///
    /// Context: any; never waits. Only what ends a batch calls this; it counted the record before.
    #[must_use]
    pub fn commit(&self, mark: Mark, redirect: Redirect) -> Option<P> {
        let Entry::Cached { payload, form, .. } = Entry::decode_valid(mark.0) else {
            return None;
        };
        self.entry
            .replace(mark.0, redirected(redirect))
            .then(|| P::from_parts(payload, form, Key(())))
    }

    /// Takes the mark off again, if it is still there: the copy could not be written.
    ///
    /// Context: any; never waits. Only what ends a batch calls this.
    pub fn unmark(&self, mark: Mark) {
        // If it fails, there is no mark any more.
        let _ = self
            .entry
            .replace(mark.0, Entry::with_state(mark.0, ObjectState::Idle));
    }

    /// Returns whether the slot's object is where `redirect` says.
    ///
    /// Context: any; never waits. The caller has pinned the segment there; the record stays as it
    /// is until the caller unpins it.
    #[inline]
    pub fn still(&self, redirect: Redirect) -> bool {
        self.entry.load() == redirected(redirect)
    }

    /// Redirects the object that is where `from` says to its copy at `to`. Returns whether it was
    /// there: then the caller ends the record at `from`, else the record at `to`.
    ///
    /// Context: any; never waits. The caller has had the segment of `from` pinned since before it
    /// saw that the object is there, and counted the record at `to`.
    #[must_use]
    pub fn move_redirect(&self, from: Redirect, to: Location) -> bool {
        let to = Redirect {
            location: to,
            ..from
        };
        self.entry.replace(redirected(from), redirected(to))
    }

    /// Puts `object`, a copy in memory of the one where `from` says, in its place; then the caller
    /// ends the record. Errors: `object`, if the slot's object was not there any more.
    ///
    /// Context: any; never waits. The caller has had the segment of `from` pinned since before it
    /// saw that the object is there.
    pub fn recall(&self, from: Redirect, object: P) -> Result<(), P> {
        let (payload, form) = object.into_parts();
        let cached = cached(payload, form, ObjectState::Idle);
        if self.entry.replace(redirected(from), cached) {
            Ok(())
        } else {
            Err(P::from_parts(payload, form, Key(())))
        }
    }

    /// Gives up the object that is where `from` says. Returns whether it was there: then the caller
    /// ends the record.
    ///
    /// Context: any; never waits.
    #[must_use]
    pub fn lose(&self, from: Redirect) -> bool {
        self.entry
            .replace(redirected(from), Entry::Lost.encode_valid())
    }

    /// The entry as it is now, for reports and for callers that compare it later. It may have
    /// changed when this returns.
    #[inline]
    pub fn peek(&self) -> Entry {
        Entry::decode_valid(self.entry.load())
    }
}

/// The word of the entry of an object in memory.
#[inline]
fn cached(payload: u64, form: Form, state: ObjectState) -> u64 {
    let entry = Entry::Cached {
        payload,
        form,
        state,
    };
    entry.encode_valid()
}

/// The word of the entry of an object that is where `redirect` says.
#[inline]
fn redirected(redirect: Redirect) -> u64 {
    Entry::Redirected(redirect).encode_valid()
}

/// An object held still: while this exists, it is not freed.
#[must_use = "a hold that is not released keeps the object for ever"]
pub struct Hold<'s, P: Payload> {
    slot: &'s Slot<P>,
    held: u64,
    form: Form,
    object: P,
}

impl<P: Payload> Hold<'_, P> {
    /// The object.
    #[inline]
    pub fn object(&self) -> &P {
        &self.object
    }

    /// The form of the object.
    #[inline]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Lets go of the object, and returns it if it is now the caller's to free, because the slot
    /// was given something else meanwhile.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn release(self) -> Option<P> {
        self.leave(ObjectState::Idle).err()
    }

    /// Lets go of the object, and puts `object`, which holds the same page, in its place, as one that was
    /// not looked at since the mover came by. Returns what was held, for the caller to free. Errors: that
    /// and `object`, both for the caller to free, because the slot was given something else meanwhile.
    ///
    /// Context: any; never waits.
    pub fn release_for(self, object: P) -> Result<P, [P; 2]> {
        let (payload, form) = object.into_parts();
        let word = cached(payload, form, ObjectState::Aged);
        if self.slot.entry.replace(self.held, word) {
            Ok(self.object)
        } else {
            Err([self.object, P::from_parts(payload, form, Key(()))])
        }
    }

    /// Lets go of the object, of which the caller made a copy for the batch in `lane`, and marks the
    /// entry. Errors: the object, which is now the caller's to free, if the slot was given something
    /// else meanwhile.
    ///
    /// Context: any; never waits. Only the mover calls this. If the slot has another mark in `lane`
    /// that may still be committed, this one is committed first.
    pub fn release_marked(self, lane: Lane) -> Result<Mark, P> {
        self.leave(ObjectState::Marked(lane)).map(Mark)
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

/// Proof that the mover marked an entry. It goes back to the slot of that entry.
#[must_use = "a mark is committed or taken off"]
pub struct Mark(u64);
