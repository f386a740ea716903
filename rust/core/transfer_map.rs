// SPDX-License-Identifier: GPL-2.0

//! Which transfers of a reader have which blocks, and which loads wait for them.
//!
//! A transfer is a buffer of some blocks, and what reading into it takes. Each is idle, or in use by
//! one thread or by the device. An idle one has what it read last. A load looks for its blocks here:
//!
//! - An idle transfer has them. The load uses it, and is done at once.
//! - A transfer in use has them, or reads them. The load waits for that.
//! - None has them. The load uses the transfer that was idle for longest, and reads them.
//! - Its party has its share of the transfers, or none is idle. The load waits for one.
//!
//! The buffers of most maps have two blocks, for those of one record. Those of a map for reading ahead are
//! larger, see [`super::read_ahead`]. There no load waits for a transfer: if none is idle, or what is ahead
//! cannot be read, the load is for the other map.
//!
//! So loads of the same blocks share one read. The load that it is for waits in a cell, from where
//! it is [taken](ReadingTransfer::done) without the lock when the blocks were read. When the user
//! of a transfer is done, the loads that wait for its blocks are served from it, as many as there
//! are by then. After them, it is given to a load that waits for a transfer, to read its blocks; or
//! else it is idle. So the lock is taken twice for a load that reads, unless others wait for the
//! same blocks: to find the transfer, and to give it back.
//!
//! A load has its segment pinned for as long as it is here, see [`super::log`]. So what is in the
//! blocks stays the same, wherever its page's entry goes meanwhile, and no load looks at its entry
//! again. What it keeps that by, and by what group, is its grant. A read that is in flight has that of its
//! load.
//!
//! A reader has several maps, with a lock for two of them: [`Blocks::shard`](super::blocks::Blocks::shard)
//! says which are for a load. The lock is held to look and to change links, and never while a transfer is used.
//!
//! # Parties
//!
//! A read may take long: its group is throttled, or its store hangs. That is nothing to other groups,
//! and to loads from other stores. So each read is that of a party: a group at a store.
//!
//! While more than a quarter of the transfers is idle, each party may use one more. From there on it
//! may only have fewer than are idle. So of 64 one party gets 48, the next 8, and so on: a party that has
//! none finds one, unless six others have all that they may have. A load whose party has its share waits
//! behind one of its party's transfers, for the next of them. If its party has none, it waits for any
//! transfer, and comes before those.
//!
//! A read is paid by its group, so no load of another group waits for it: it reads for itself. Only
//! what is paid by no group in particular, which is not throttled, is shared by all.
//!
//! # Stores that are given up
//!
//! A store may be [given up](TransferMap::abandon), because its device does not answer. The loads from there
//! end with an error. The device may still write to the transfers that it has, so these are left to it, and
//! are missing from then on. Others can be [added](TransferMap::add) in their place, or those that come
//! back after all.
//!
//! A read may end just then. Whichever takes the load out of its cell has it: what gives the store up, and
//! then the transfer is left; or what ends the read, and then it is served as always. For that each
//! transfer has a cell of its own, which stays with it. So what comes back late does not find the load of
//! the transfer in its place.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::blocks::Blocks;
//! use ghostswap_core::entry::Redirect;
//! use ghostswap_core::payload::{Coder, Form, Length};
//! use ghostswap_core::segment::Location;
//! use ghostswap_core::transfer_map::{
//!     Ended, LoadCell, LoadQueue, Lookup, MapEntry, TransferMap, Wants, NO_GROUP,
//! };
//! use std::{cell::RefCell, collections::VecDeque, rc::Rc};
//!
//! struct Load(Blocks);
//!
//! impl Wants for Load {
//!     type Grant = ();
//!
//!     fn blocks(&self) -> Blocks {
//!         self.0
//!     }
//!
//!     fn group(&self) -> u64 {
//!         NO_GROUP
//!     }
//!
//!     fn take_grant(&mut self) {}
//! }
//!
//! #[derive(Clone, Default)]
//! struct Cell(Rc<RefCell<Option<Load>>>);
//!
//! impl LoadCell for Cell {
//!     type Load = Load;
//!
//!     fn put(&self, load: Load) {
//!         *self.0.borrow_mut() = Some(load);
//!     }
//!
//!     fn take(&self) -> Option<Load> {
//!         self.0.borrow_mut().take()
//!     }
//! }
//!
//! #[derive(Default)]
//! struct Queue(VecDeque<Load>);
//!
//! impl LoadQueue for Queue {
//!     type Load = Load;
//!     type Cell = Cell;
//!
//!     fn push(&mut self, load: Load) {
//!         self.0.push_back(load);
//!     }
//!
//!     fn pop(&mut self) -> Option<Load> {
//!         self.0.pop_front()
//!     }
//!
//!     fn append(&mut self, mut others: Self) {
//!         self.0.append(&mut others.0);
//!     }
//!
//!     fn is_empty(&self) -> bool {
//!         self.0.is_empty()
//!     }
//! }
//!
//! let location = Location::new(0, 7, 40).expect("it is a place");
//! let length = Length::new(1000).expect("an object may have it");
//! let form = Form { length, coder: Coder::First };
//! let blocks = Blocks::of(Redirect { location, form }, 5);
//!
//! let entries = ["this transfer", "that transfer"].map(|one| MapEntry::new(one, Cell::default()));
//! let mut map = TransferMap::<_, Queue, _>::new(Vec::from(entries), false);
//! let Err(load) = map.look_up(Load(blocks)) else { unreachable!() };
//! let Lookup::Read(reading, transfer, ()) = map.read(load) else { unreachable!() };
//! assert!(matches!(map.look_up(Load(blocks)), Ok(Lookup::Waits)));
//! // It was read.
//! let Ok((in_use, first)) = reading.done() else { unreachable!() };
//! assert_eq!(first.0, in_use.blocks());
//! let Ended::Serve(in_use, transfer, loads) = map.end(in_use, transfer) else { unreachable!() };
//! assert_eq!(loads.0.len(), 1);
//! assert!(matches!(map.end(in_use, transfer), Ended::Idle));
//! assert!(matches!(map.look_up(Load(blocks)), Ok(Lookup::Cached(_, same, _)) if same == transfer));
//! ```

use core::{
    marker::PhantomData,
    ops::DerefMut, //
};

use super::{
    blocks::Blocks,
    read_ahead::Window,
    segment::MAX_STORES, //
};

/// The most transfers of a map. To look at what is known of each is quick.
pub const MAX_TRANSFERS: usize = 64;

/// What a link is at the end.
const NONE: u8 = u8::MAX;

const CHAIN_BITS: u32 = 6;

/// The group of what is charged to none in particular, and so is not throttled.
pub const NO_GROUP: u64 = 0;

/// Bits of the number of a group.
pub const GROUP_BITS: u32 = u64::BITS - STORE_BITS;

const STORE_BITS: u32 = MAX_STORES.ilog2();

/// Those whose reads may take long for the same reason: a group at a store. Or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Party(u64);

impl Party {
    /// No group has this number.
    const NONE: Self = Self(u64::MAX);

    /// That of `load`.
    fn of(load: &impl Wants) -> Self {
        Self(load.group() << STORE_BITS | load.blocks().store() as u64)
    }

    /// Returns whether it is one at store `number`.
    fn is_at(self, number: usize) -> bool {
        self != Self::NONE && self.0 % MAX_STORES as u64 == number as u64
    }

    /// Returns whether a load of `group` may wait for what it reads.
    fn is_for(self, group: u64) -> bool {
        let own = self.0 >> STORE_BITS;
        own == NO_GROUP || own == group
    }
}

/// A load.
pub trait Wants {
    /// What keeps its blocks as they are.
    type Grant;

    /// The blocks that it wants.
    fn blocks(&self) -> Blocks;

    /// A number of the group that its read is charged to, of [`GROUP_BITS`] bits which are not all set;
    /// or [`NO_GROUP`]. No other group has it as long as the load has its grant.
    fn group(&self) -> u64;

    /// Takes its grant, for what is about to read for it. It has one.
    fn take_grant(&mut self) -> Self::Grant;
}

/// Where a load waits while its blocks are read. A clone is the same cell.
pub trait LoadCell: Clone {
    /// A load.
    type Load;

    /// Has `load` wait there, where none does.
    fn put(&self, load: Self::Load);

    /// Takes the load. Of several that try at once, one gets it.
    ///
    /// Context: any; never waits.
    fn take(&self) -> Option<Self::Load>;
}

/// Loads that wait, first come, first served.
pub trait LoadQueue: Default {
    /// A load.
    type Load: Wants;

    /// Where one waits by itself.
    type Cell: LoadCell<Load = Self::Load>;

    /// Appends `load`.
    fn push(&mut self, load: Self::Load);

    /// Takes the first.
    fn pop(&mut self) -> Option<Self::Load>;

    /// Appends all of `others`, in their order.
    fn append(&mut self, others: Self);

    /// Returns whether no load waits.
    fn is_empty(&self) -> bool;
}

/// What is known of one transfer, and the transfer itself while it is idle.
pub struct MapEntry<Q: LoadQueue, T> {
    idle: Option<(T, Q::Cell)>,
    /// That of its transfer. A load is there while it reads.
    cell: Q::Cell,
    /// What it has or, if it is in use, reads.
    blocks: Option<Blocks>,
    /// The next in the chain of its blocks.
    next: u8,
    /// Its neighbours in the list of idle ones.
    before: u8,
    after: u8,
    /// Whether it reads.
    reads: bool,
    /// Of its blocks, a bit for each that a load wanted.
    wanted: u64,
    /// The loads that wait for what it has or reads, but for the one that it reads for.
    followers: Q,
    /// Loads of the same party that wait for a transfer. They are all behind one of the party's.
    behind: Q,
}

impl<Q: LoadQueue, T> MapEntry<Q, T> {
    /// That of `transfer`, which read nothing yet, and of `cell`, which no other has.
    pub fn new(transfer: T, cell: Q::Cell) -> Self {
        Self {
            cell: cell.clone(),
            idle: Some((transfer, cell)),
            blocks: None,
            next: NONE,
            before: NONE,
            after: NONE,
            reads: false,
            wanted: 0,
            followers: Q::default(),
            behind: Q::default(),
        }
    }
}

/// Proof that a transfer is in use, by a load that is served from it. It goes back to the map of that
/// transfer.
#[must_use = "a transfer that is not ended is never idle again"]
pub struct InUse<C> {
    at: u8,
    ahead: bool,
    blocks: Blocks,
    cell: C,
}

impl<C> InUse<C> {
    /// What the transfer has, or failed to read.
    pub fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// Returns whether it is of a map for reading ahead.
    pub fn is_ahead(&self) -> bool {
        self.ahead
    }
}

/// Proof that a transfer is in use, to read.
#[must_use = "a load waits for what is read"]
pub struct ReadingTransfer<C>(InUse<C>);

impl<C: LoadCell> ReadingTransfer<C> {
    /// What the transfer is to read.
    pub fn blocks(&self) -> Blocks {
        self.0.blocks
    }

    /// Returns whether it is of a map for reading ahead.
    pub fn is_ahead(&self) -> bool {
        self.0.ahead
    }

    /// The device is done, well or not. Returns the load that it read for, to be ended before the transfer
    /// is. If that was ended because its store was given up, the transfer is none of the map any more:
    /// then returns its cell, to [add](TransferMap::add) it again.
    ///
    /// Context: any; the map need not be locked.
    pub fn done(self) -> Result<(InUse<C>, C::Load), C> {
        let in_use = self.0;
        match in_use.cell.take() {
            Some(load) => Ok((in_use, load)),
            None => Err(in_use.cell),
        }
    }
}

/// What becomes of a load.
pub enum Lookup<Q: LoadQueue, T> {
    /// This transfer, in use by this load from now on, has them. It may have another one beside.
    Cached(InUse<Q::Cell>, T, Q::Load),
    /// This transfer, in use from now on, is to read them, by the grant of the load, which waits for that.
    Read(ReadingTransfer<Q::Cell>, T, <Q::Load as Wants>::Grant),
    /// The load waits for them, or for a transfer.
    Waits,
}

/// What is to be done with a transfer whose user is done.
pub enum Ended<Q: LoadQueue, T> {
    /// It has what these loads want. When they were served, it is ended again.
    Serve(InUse<Q::Cell>, T, Q),
    /// It is to read what a load wants, which waits for that, by the grant of the load.
    Read(ReadingTransfer<Q::Cell>, T, <Q::Load as Wants>::Grant),
    /// Nothing: it is idle.
    Idle,
    /// It is one too many, as another is in its place.
    Surplus(T),
}

/// Some transfers, and what they have. `S` holds an entry of each: a vector, say.
pub struct TransferMap<S, Q, T> {
    entries: S,
    /// Whether its transfers read ahead.
    ahead: bool,
    window: Window,
    /// Blocks that were read ahead and not wanted, since that was last asked.
    in_vain: usize,
    /// The first transfer of each chain.
    chains: [u8; 1 << CHAIN_BITS],
    /// The idle transfer to use first, and the one to use last.
    first_idle: u8,
    last_idle: u8,
    /// How many are idle.
    idle: usize,
    /// Whose each transfer is, that reads or has read and is in use.
    parties: [Party; MAX_TRANSFERS],
    /// Those that have loads behind them, a bit each.
    crowded: u64,
    /// Those that were left to a device, a bit each.
    missing: u64,
    /// Loads whose party has no transfer. While there are some, a transfer is in use, or missing.
    waiting: Q,
    _idle: PhantomData<T>,
}

impl<S, Q, T> TransferMap<S, Q, T>
where
    S: DerefMut<Target = [MapEntry<Q, T>]>,
    Q: LoadQueue,
{
    /// A map of transfers with these `entries`, which are new: at most [`MAX_TRANSFERS`]. They read what
    /// loads want, or, of a map for reading `ahead`, more than that.
    pub fn new(entries: S, ahead: bool) -> Self {
        let mut map = Self {
            entries,
            ahead,
            window: Window::default(),
            in_vain: 0,
            chains: [NONE; 1 << CHAIN_BITS],
            first_idle: NONE,
            last_idle: NONE,
            idle: 0,
            parties: [Party::NONE; MAX_TRANSFERS],
            crowded: 0,
            missing: 0,
            waiting: Q::default(),
            _idle: PhantomData,
        };
        for at in 0..map.entries.len().min(MAX_TRANSFERS) {
            map.append_idle(at as u8);
        }
        map
    }

    /// Looks for the blocks that `load` wants. If they have to be waited for, the load does. If they are
    /// not here, it is given back.
    ///
    /// Context: the map is locked.
    pub fn look_up(&mut self, load: Q::Load) -> Result<Lookup<Q, T>, Q::Load> {
        let Some((at, blocks)) = self.find(&load.blocks(), load.group()) else {
            return Err(load);
        };
        Ok(match self.take_idle(at) {
            Some((transfer, cell)) => Lookup::Cached(self.used(at, blocks, cell), transfer, load),
            None => {
                self.entry(at).followers.push(load);
                Lookup::Waits
            }
        })
    }

    /// Has the blocks read that `load` wants, and are not here; or has it wait for a transfer.
    ///
    /// Context: the map is locked. Not for a map for reading ahead.
    pub fn read(&mut self, load: Q::Load) -> Lookup<Q, T> {
        let party = Party::of(&load);
        if self.may_use(party) {
            let at = self.first_idle;
            if let Some((transfer, cell)) = self.take_idle(at) {
                let blocks = load.blocks();
                let (reading, grant) = self.begin(at, cell, load, blocks);
                return Lookup::Read(reading, transfer, grant);
            }
        }
        match self.place_behind(party) {
            Some(at) => self.put_behind(at, load),
            None => self.waiting.push(load),
        }
        Lookup::Waits
    }

    /// Has the blocks read that `load` wants, and are not here, with others after them: `window` in all,
    /// or less where reading so much was in vain. If no transfer is idle, the load is given back.
    ///
    /// Context: the map is locked. Only for a map for reading ahead.
    pub fn read_ahead(&mut self, load: Q::Load, window: usize) -> Result<Lookup<Q, T>, Q::Load> {
        let at = self.first_idle;
        let Some((transfer, cell)) = self.take_idle(at) else {
            return Err(load);
        };
        let entry = self.entry(at);
        let (wanted, read) = (entry.wanted.count_ones() as usize, entry.blocks);
        if let Some(read) = read.map(|blocks| blocks.range().len()) {
            self.window.learn(read, wanted);
            self.in_vain += read - wanted;
        }
        let blocks = load.blocks().ahead(self.window.limit(window));
        let (reading, grant) = self.begin(at, cell, load, blocks);
        Ok(Lookup::Read(reading, transfer, grant))
    }

    /// How many blocks were read ahead and not wanted before the memory was used again, since this was
    /// last asked.
    ///
    /// Context: the map is locked.
    pub fn take_in_vain(&mut self) -> usize {
        core::mem::take(&mut self.in_vain)
    }

    /// The user of `transfer` is done, which has its blocks.
    ///
    /// Context: the map is locked.
    pub fn end(&mut self, in_use: InUse<Q::Cell>, transfer: T) -> Ended<Q, T> {
        let entry = self.entry(in_use.at);
        entry.reads = false;
        let followers = core::mem::take(&mut entry.followers);
        if !followers.is_empty() {
            return Ended::Serve(in_use, transfer, followers);
        }
        self.pass_on(in_use.at, transfer, in_use.cell)
    }

    /// The same of one that could not read its blocks. Loads that wait for them wait for any transfer from
    /// now on: each tries for itself.
    ///
    /// Context: the map is locked.
    pub fn fail(&mut self, in_use: InUse<Q::Cell>, transfer: T) -> Ended<Q, T> {
        let followers = self.forget_failed(in_use.at);
        self.waiting.append(followers);
        self.pass_on(in_use.at, transfer, in_use.cell)
    }

    /// The same of one that read ahead, and could not. Returns the loads that wait for its blocks, which
    /// are not here any more. Others may be read where these cannot.
    ///
    /// Context: the map is locked.
    pub fn fail_ahead(&mut self, in_use: InUse<Q::Cell>, transfer: T) -> (Ended<Q, T>, Q) {
        let followers = self.forget_failed(in_use.at);
        (self.pass_on(in_use.at, transfer, in_use.cell), followers)
    }

    /// Transfer `at` could not read its blocks, and has them no more. Returns the loads that wait for them.
    fn forget_failed(&mut self, at: u8) -> Q {
        self.forget(at);
        let entry = self.entry(at);
        entry.reads = false;
        core::mem::take(&mut entry.followers)
    }

    /// Adds `transfer`, and `cell`, which no other has, in place of one that is
    /// [missing](TransferMap::missing).
    ///
    /// Context: the map is locked.
    pub fn add(&mut self, transfer: T, cell: Q::Cell) -> Ended<Q, T> {
        if self.missing == 0 {
            return Ended::Surplus(transfer);
        }
        let at = self.missing.trailing_zeros() as u8;
        self.missing &= !(1 << at);
        self.entry(at).cell = cell.clone();
        self.pass_on(at, transfer, cell)
    }

    /// How many transfers were left to devices and have no other in their place.
    pub fn missing(&self) -> usize {
        self.missing.count_ones() as usize
    }

    /// Gives transfer `at`, which is in use and for which no load waits, to one that waits for any.
    fn pass_on(&mut self, at: u8, transfer: T, cell: Q::Cell) -> Ended<Q, T> {
        // It is no party's, unless it is used again below.
        let party = core::mem::replace(self.party_of(at), Party::NONE);
        while let Some(load) = self.waiting.pop() {
            let Some((load, has)) = self.follow(at, load) else {
                continue;
            };
            if has.is_none() {
                if let Some(other) = self.place_behind(Party::of(&load)) {
                    self.put_behind(other, load);
                    continue;
                }
                if party != Party::of(&load) {
                    self.hand_on(at, party);
                }
            }
            return self.give(at, transfer, cell, party, load, has);
        }
        while let Some(load) = self.next_of(at, party) {
            if let Some((load, has)) = self.follow(at, load) {
                return self.give(at, transfer, cell, party, load, has);
            }
        }
        let entry = self.entry(at);
        entry.idle = Some((transfer, cell));
        if entry.blocks.is_some() {
            self.append_idle(at);
        } else {
            self.prepend_idle(at);
        }
        Ended::Idle
    }

    /// Has `load` wait for another transfer than `at` that is in use and has or reads its blocks. If there
    /// is none, returns it, and what transfer `at` has if it has these.
    fn follow(&mut self, at: u8, load: Q::Load) -> Option<(Q::Load, Option<Blocks>)> {
        match self.find(&load.blocks(), load.group()) {
            Some((same, blocks)) if same == at => Some((load, Some(blocks))),
            Some((other, _)) if self.entry(other).idle.is_none() => {
                self.entry(other).followers.push(load);
                None
            }
            _ => Some((load, None)),
        }
    }

    /// Gives transfer `at`, which was that of `party`, to `load`: to be served if it `has` its blocks, else to
    /// read them.
    fn give(
        &mut self,
        at: u8,
        transfer: T,
        cell: Q::Cell,
        party: Party,
        load: Q::Load,
        has: Option<Blocks>,
    ) -> Ended<Q, T> {
        match has {
            Some(blocks) => {
                *self.party_of(at) = party;
                let mut loads = Q::default();
                loads.push(load);
                Ended::Serve(self.used(at, blocks, cell), transfer, loads)
            }
            None => {
                let blocks = load.blocks();
                let (reading, grant) = self.begin(at, cell, load, blocks);
                Ended::Read(reading, transfer, grant)
            }
        }
    }

    /// Gives up store `number`: the transfers that read there are left to its device. Returns the loads that
    /// wait for what is there, which are not here any more. Those that wait for a load that is being served
    /// are.
    ///
    /// Context: the map is locked. No load of the store comes any more.
    pub fn abandon(&mut self, number: usize) -> Q {
        self.forget_store(number);
        let mut loads = Q::default();
        for at in 0..self.entries.len().min(MAX_TRANSFERS) {
            if !self.parties[at].is_at(number) {
                continue;
            }
            self.crowded &= !(1 << at);
            let entry = &mut self.entries[at];
            loads.append(core::mem::take(&mut entry.behind));
            if !entry.reads {
                continue;
            }
            // If not, the read has just ended.
            if let Some(load) = entry.cell.take() {
                loads.push(load);
                loads.append(core::mem::take(&mut entry.followers));
                entry.reads = false;
                self.parties[at] = Party::NONE;
                self.missing |= 1 << at;
            }
        }
        let mut waiting = core::mem::take(&mut self.waiting);
        while let Some(load) = waiting.pop() {
            if load.blocks().store() == number {
                loads.push(load);
            } else {
                self.waiting.push(load);
            }
        }
        loads
    }

    /// A transfer of `party`, behind which its loads wait.
    fn place_behind(&self, party: Party) -> Option<u8> {
        self.crowd_of(party).or_else(|| self.one_of(party))
    }

    fn put_behind(&mut self, at: u8, load: Q::Load) {
        self.entry(at).behind.push(load);
        self.crowded |= 1 << at;
    }

    /// The next load of `party`, which had transfer `at`, that waits for one.
    fn next_of(&mut self, at: u8, party: Party) -> Option<Q::Load> {
        let at = if self.crowded & 1 << at != 0 {
            at
        } else {
            self.crowd_of(party)?
        };
        let behind = &mut self.entry(at).behind;
        let load = behind.pop();
        if behind.is_empty() {
            self.crowded &= !(1 << at);
        }
        load
    }

    /// Has the loads behind transfer `at`, which was that of `party`, wait for another one.
    fn hand_on(&mut self, at: u8, party: Party) {
        if self.crowded & 1 << at == 0 {
            return;
        }
        self.crowded &= !(1 << at);
        let behind = core::mem::take(&mut self.entry(at).behind);
        match self.one_of(party) {
            Some(other) => {
                self.entry(other).behind.append(behind);
                self.crowded |= 1 << other;
            }
            None => self.waiting.append(behind),
        }
    }

    /// Nothing is kept of what was read of store `number`: another may have that number next.
    ///
    /// Context: the map is locked. No load waits for what is there, but one that was served may be about to
    /// end its transfer.
    pub fn forget_store(&mut self, number: usize) {
        for at in 0..self.entries.len().min(MAX_TRANSFERS) {
            let has = self.entries[at].blocks;
            if has.is_some_and(|blocks| blocks.store() == number) {
                self.forget(at as u8);
            }
        }
    }

    fn used(&self, at: u8, blocks: Blocks, cell: Q::Cell) -> InUse<Q::Cell> {
        InUse {
            at,
            ahead: self.ahead,
            blocks,
            cell,
        }
    }

    fn entry(&mut self, at: u8) -> &mut MapEntry<Q, T> {
        &mut self.entries[usize::from(at)]
    }

    /// A transfer that has or reads all that are `wanted`, for which a load of `group` need not wait for
    /// the sake of another group; and all that it has or reads.
    fn find(&mut self, wanted: &Blocks, group: u64) -> Option<(u8, Blocks)> {
        let mut at = self.chains[wanted.row_hash(CHAIN_BITS)];
        while at != NONE {
            let is_for_all = self.parties[usize::from(at)].is_for(group);
            let entry = self.entry(at);
            match entry.blocks {
                Some(blocks) if blocks.cover(wanted) && (!entry.reads || is_for_all) => {
                    entry.wanted |= blocks.bits_of(wanted);
                    return Some((at, blocks));
                }
                _ => at = entry.next,
            }
        }
        None
    }

    /// Returns whether `party` may use one more transfer, and there is one.
    fn may_use(&self, party: Party) -> bool {
        // Only if few are idle it matters how many it has.
        self.idle > self.entries.len() / 4 || self.of(party) < self.idle
    }

    /// How many transfers `party` has.
    fn of(&self, party: Party) -> usize {
        self.parties.iter().filter(|one| **one == party).count()
    }

    /// One of the transfers that `party` has.
    fn one_of(&self, party: Party) -> Option<u8> {
        let at = self.parties.iter().position(|one| *one == party)?;
        Some(at as u8)
    }

    /// The transfer of `party` that has loads behind it.
    fn crowd_of(&self, party: Party) -> Option<u8> {
        let mut left = self.crowded;
        while left != 0 {
            let at = left.trailing_zeros();
            if self.parties[at as usize] == party {
                return Some(at as u8);
            }
            left &= left - 1;
        }
        None
    }

    fn party_of(&mut self, at: u8) -> &mut Party {
        &mut self.parties[usize::from(at)]
    }

    /// Has transfer `at`, which is in use, read `blocks`, and among them what `load` wants, which waits for
    /// that in `cell`.
    fn begin(
        &mut self,
        at: u8,
        cell: Q::Cell,
        mut load: Q::Load,
        blocks: Blocks,
    ) -> (ReadingTransfer<Q::Cell>, <Q::Load as Wants>::Grant) {
        self.forget(at);
        let chain = blocks.row_hash(CHAIN_BITS);
        let next = core::mem::replace(&mut self.chains[chain], at);
        *self.party_of(at) = Party::of(&load);
        let grant = load.take_grant();
        let wanted = blocks.bits_of(&load.blocks());
        let entry = self.entry(at);
        entry.blocks = Some(blocks);
        entry.next = next;
        entry.reads = true;
        entry.wanted = wanted;
        cell.put(load);
        (ReadingTransfer(self.used(at, blocks, cell)), grant)
    }

    /// Transfer `at` has no blocks any more.
    fn forget(&mut self, at: u8) {
        let entry = self.entry(at);
        let next = core::mem::replace(&mut entry.next, NONE);
        let Some(blocks) = entry.blocks.take() else {
            return;
        };
        let chain = blocks.row_hash(CHAIN_BITS);
        let mut link = self.chains[chain];
        if link == at {
            self.chains[chain] = next;
            return;
        }
        while link != NONE {
            let entry = self.entry(link);
            if entry.next == at {
                entry.next = next;
                return;
            }
            link = entry.next;
        }
    }

    /// Takes transfer `at` out of the list of idle ones, if it is there.
    fn take_idle(&mut self, at: u8) -> Option<(T, Q::Cell)> {
        let entry = self.entries.get_mut(usize::from(at))?;
        let idle = entry.idle.take()?;
        let (before, after) = (entry.before, entry.after);
        self.idle -= 1;
        self.join(before, after);
        Some(idle)
    }

    /// Puts transfer `at` at the end of the list of idle ones.
    fn append_idle(&mut self, at: u8) {
        self.idle += 1;
        self.join(self.last_idle, at);
        self.join(at, NONE);
    }

    /// Puts transfer `at`, which has nothing that a load may want, at the beginning of the list of idle
    /// ones.
    fn prepend_idle(&mut self, at: u8) {
        self.idle += 1;
        self.join(at, self.first_idle);
        self.join(NONE, at);
    }

    /// Has `after` follow `before` in the list of idle ones. [`NONE`] is in front of the first and behind
    /// the last.
    fn join(&mut self, before: u8, after: u8) {
        match before {
            NONE => self.first_idle = after,
            before => self.entry(before).after = after,
        }
        match after {
            NONE => self.last_idle = before,
            after => self.entry(after).before = before,
        }
    }
}
