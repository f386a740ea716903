// SPDX-License-Identifier: GPL-2.0

//! What is done with a backing store.
//!
//! ```text
//!                  close(), after errors
//!          OPEN --------------------------> CLOSED
//!          |  ^ <--------------------------  |  ^
//!          |  |           reopen()           |  |
//!  remove()|  |keep()                remove()|  |keep()
//!          v  |                              v  |
//!      REMOVING_OPEN ----------------> REMOVING_CLOSED
//!                         close()
//!
//!  REMOVING... ---- finish_removal() ----> REMOVED
//!  all four ---- give_up() ----> GIVEN_UP ---- finish_giving_up() ----> ABANDONED
//! ```
//!
//! Tasks that manage the stores of a pool exclude each other; the mover closes a store at any time.
//!
//! # Why nothing goes to a store that was given up
//!
//! A store that was given up, and is idle, is taken out of its pool at once, so from then on the mover
//! must not fill a segment of it. The mover takes a segment first, [asks](StoreState::confirm_open) for
//! the state after that, and gives the segment back if the store is not open. Asking is a
//! read-modify-write operation, as [`StoreState::give_up`] is. So either the mover finds that the store
//! was given up, or the task that gives it up finds the segment taken, and the store not idle.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::store_state::{StoreState, StoreStatus};
//!
//! let state = StoreState::new();
//! assert!(state.remove());
//! state.close();
//! state.keep();
//! assert_eq!(state.status(), StoreStatus::Closed);
//! assert!(state.give_up() && !state.give_up());
//! ```

use super::sync::Word;

/// What is done with a backing store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StoreStatus {
    /// New segments are filled there.
    Open,
    /// Nothing new goes there, as too much could not be written.
    Closed,
    /// What is there is moved elsewhere, and then it is given back; else it is open again.
    RemovingOpen,
    /// The same, but else it is closed.
    RemovingClosed,
    /// It was given up, with all that is there, and is given back once it is idle.
    GivenUp,
    /// It was emptied, and is about to be given back.
    Removed,
    /// It was given up, and is about to be given back.
    Abandoned,
}

use StoreStatus::{Abandoned, Closed, GivenUp, Open, Removed, RemovingClosed, RemovingOpen};

impl StoreStatus {
    fn decode(word: u64) -> Self {
        match word {
            0 => Open,
            1 => Closed,
            2 => RemovingOpen,
            3 => RemovingClosed,
            4 => GivenUp,
            5 => Removed,
            _ => Abandoned,
        }
    }

    /// Returns whether the store is being removed.
    pub fn is_removing(self) -> bool {
        matches!(self, RemovingOpen | RemovingClosed)
    }
}

/// The state of a backing store.
pub struct StoreState(Word);

impl StoreState {
    /// Open.
    pub fn new() -> Self {
        Self(Word::new(Open as u64))
    }

    /// What is done with it now.
    pub fn status(&self) -> StoreStatus {
        StoreStatus::decode(self.0.load())
    }

    /// Returns whether it is open, for the mover, which has just taken a segment of it.
    pub fn confirm_open(&self) -> bool {
        StoreStatus::decode(self.0.add(0)) == Open
    }

    /// Changes it as `to` says, if that says something. Returns whether it did.
    fn change(&self, to: impl Fn(StoreStatus) -> Option<StoreStatus>) -> bool {
        loop {
            let word = self.0.load();
            let Some(new) = to(StoreStatus::decode(word)) else {
                return false;
            };
            if self.0.replace(word, new as u64) {
                return true;
            }
        }
    }

    /// Too much could not be written. Returns whether it was open before, or is to be again.
    pub fn close(&self) -> bool {
        self.change(|status| match status {
            Open => Some(Closed),
            RemovingOpen => Some(RemovingClosed),
            _ => None,
        })
    }

    /// Opens it, if it is closed.
    pub fn reopen(&self) {
        self.change(|status| (status == Closed).then_some(Open));
    }

    /// Begins its removal. Returns whether it did: it was neither being removed nor given up.
    #[must_use]
    pub fn remove(&self) -> bool {
        self.change(|status| match status {
            Open => Some(RemovingOpen),
            Closed => Some(RemovingClosed),
            _ => None,
        })
    }

    /// Ends its removal: it stays. Returns whether it was being removed.
    pub fn keep(&self) -> bool {
        self.change(|status| match status {
            RemovingOpen => Some(Open),
            RemovingClosed => Some(Closed),
            _ => None,
        })
    }

    /// Gives it up. Returns whether it was not before.
    #[must_use]
    pub fn give_up(&self) -> bool {
        self.change(|status| (!matches!(status, GivenUp | Removed | Abandoned)).then_some(GivenUp))
    }

    /// It was emptied. Returns whether it was still being removed.
    #[must_use]
    pub fn finish_removal(&self) -> bool {
        self.change(|status| status.is_removing().then_some(Removed))
    }

    /// It was given up, and is idle. Returns whether no other caller did this.
    #[must_use]
    pub fn finish_giving_up(&self) -> bool {
        self.change(|status| (status == GivenUp).then_some(Abandoned))
    }
}
