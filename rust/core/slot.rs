// SPDX-License-Identifier: GPL-2.0

//! A slot: one entry that is read and changed by several at once, and owns the object it names.
//!
//! # Who races with whom
//!
//! The kernel serialises what it does to one slot: it loads it with the slot's folio locked, stores
//! it with the folio under writeback, and frees no slot whose folio is either, in the swap cache
//! (`mm/swapfile.c`). So against
//! one slot there is at most one call of the kernel's side at a time, and any number of ours that
//! [look](Slot::look) at it.
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

use core::marker::PhantomData;

use super::entry::{Entry, Form};
use super::sync::Word;

/// Shows that a payload's bits come out of a slot that was given them. Only this file makes one.
pub struct Key(());

/// An object that its bearer owns.
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
}

/// What a looker finds in a slot.
pub enum Look<'s, P: Payload> {
    /// No page.
    Free,
    /// A page whose every aligned 32 bits are these.
    Same(u32),
    /// An object, now held still by the looker.
    Object(Hold<'s, P>),
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
                Entry::Object {
                    payload,
                    form,
                    held: false,
                }
            }
        };
        match Entry::decode_own(self.entry.swap(entry.encode_own())) {
            Entry::Free => Displaced::Free,
            Entry::Same { .. } => Displaced::Same,
            Entry::Object {
                form, held: true, ..
            } => Displaced::Held(form),
            Entry::Object {
                payload,
                form,
                held: false,
            } => Displaced::Object(P::from_parts(payload, form, Key(())), form),
        }
    }

    /// Looks at the slot, and holds its object still if it has one.
    ///
    /// Context: any; never waits.
    #[inline]
    pub fn look(&self) -> Look<'_, P> {
        let word = self.entry.load();
        match Entry::decode_own(word) {
            Entry::Free => Look::Free,
            Entry::Same { fill } => Look::Same(fill),
            Entry::Object { held: true, .. } => Look::Busy,
            Entry::Object { payload, form, .. } => {
                let held = Entry::hold(word);
                if self.entry.replace(word, held) {
                    Look::Object(Hold {
                        slot: self,
                        held,
                        free: word,
                        object: P::from_parts(payload, form, Key(())),
                    })
                } else {
                    Look::Busy
                }
            }
        }
    }

    /// The entry as it is now, for reports: it may have changed when this returns.
    pub fn peek(&self) -> Entry {
        Entry::decode(self.entry.load()).unwrap_or(Entry::Free)
    }
}

/// An object held still: while this exists, nobody frees it.
#[must_use = "a hold that is not released keeps the object for ever"]
pub struct Hold<'s, P: Payload> {
    slot: &'s Slot<P>,
    held: u64,
    free: u64,
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
        if self.slot.entry.replace(self.held, self.free) {
            // The slot owns the object again: what it lent must not be used any more.
            let _ = self.object.into_parts();
            None
        } else {
            Some(self.object)
        }
    }
}
