// SPDX-License-Identifier: GPL-2.0

//! Transfers and the loads that wait for them, against a model that keeps lists: random loads, reads
//! that end well or fail, and stores that are given up, one step at a time. Some maps read ahead.

use std::collections::VecDeque;

use ghostswap_core::blocks::{
    Blocks,
    MAX_AHEAD,
    ROW, //
};
use ghostswap_core::segment::BLOCKS;
use ghostswap_core::transfer_map::{
    Ended,
    InUse,
    Lookup,
    MapEntry,
    ReadingTransfer,
    TransferMap,
    NO_GROUP, //
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{
    config,
    loads::{
        blocks,
        Cell,
        Load,
        Queue, //
    },
};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Of a group. A map for reading ahead may read so many blocks.
    Load(Blocks, u64, usize),
    /// The user of one of those in use is done, or, if it read, has read.
    Done(Index),
    /// The same, but one that reads fails.
    Fail(Index),
    /// This store is given up.
    GiveUp(usize),
    /// There is memory for another transfer.
    Add,
}

fn any_step() -> impl Strategy<Value = Step> {
    // At the beginning of a row, and around its end.
    let first = prop_oneof![0..8usize, ROW - 4..ROW + 4];
    let any_blocks = (0..2usize, 0..2usize, 0..2u64, first, 1..=2usize).prop_map(
        |(store, segment, generation, first, count)| {
            blocks(store, segment, generation, first, count)
        },
    );
    prop_oneof![
        6 => (any_blocks, NO_GROUP..4, 1..=ROW)
            .prop_map(|(blocks, group, window)| Step::Load(blocks, group, window)),
        4 => any::<Index>().prop_map(Step::Done),
        1 => any::<Index>().prop_map(Step::Fail),
        1 => prop_oneof![(0..2usize).prop_map(Step::GiveUp), Just(Step::Add)],
    ]
}

/// A transfer: its number, and what it has.
#[derive(Debug, PartialEq)]
struct Transfer {
    number: usize,
    has: Option<Blocks>,
}

/// What a transfer is used for.
enum Use {
    /// To read.
    Reads(ReadingTransfer<Cell>),
    /// Its load was served from what it read, or, if it could not be read, has failed.
    HasRead(InUse<Cell>, bool),
    /// The load found its blocks there.
    Cached(InUse<Cell>),
}

impl Use {
    fn blocks(&self) -> Blocks {
        match self {
            Self::Reads(reading) => reading.blocks(),
            Self::HasRead(in_use, _) | Self::Cached(in_use) => in_use.blocks(),
        }
    }

    fn is_cached(&self) -> bool {
        matches!(self, Self::Cached(_))
    }

    fn reads(&self) -> bool {
        matches!(self, Self::Reads(_))
    }
}

/// A transfer in use.
struct User {
    used: Use,
    transfer: Transfer,
    /// The load that uses it.
    load: Load,
    /// Whether it was left to a device.
    left: bool,
}

/// What became of the loads, by number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Open,
    Served,
    Failed,
    /// It was given back, to be read by another map.
    Elsewhere,
}

type Map = TransferMap<Vec<MapEntry<Queue, Transfer>>, Queue, Transfer>;

struct World {
    map: Map,
    /// Whether the map is for reading ahead.
    ahead: bool,
    loads: Vec<Load>,
    /// What each transfer has, or reads.
    has: Vec<Option<Blocks>>,
    /// Those that are idle, in the order in which they will be used.
    idle: VecDeque<usize>,
    users: Vec<User>,
    /// How many were left to devices, and have no other in their place.
    missing: usize,
    /// How many there were at first.
    count: usize,
    fates: Vec<Fate>,
}

/// A group at a store.
fn party(load: &Load) -> (u64, usize) {
    (load.group, load.blocks.store())
}

/// Returns whether a load of `wanted` finds `has`. If that begins in another row, it may.
fn finds(has: &Blocks, wanted: &Blocks) -> bool {
    has.cover(wanted) && has.range().start / ROW == wanted.range().start / ROW
}

fn new_map(count: usize, ahead: bool) -> Map {
    let transfers = (0..count).map(|number| Transfer { number, has: None });
    let entries = transfers.map(|transfer| MapEntry::new(transfer, Cell::new()));
    TransferMap::new(entries.collect(), ahead)
}

fn map(count: usize) -> Map {
    new_map(count, false)
}

/// What becomes of `load` in a map that reads what is wanted.
fn look_up(map: &mut Map, load: Load) -> Lookup<Queue, Transfer> {
    map.look_up(load).unwrap_or_else(|load| map.read(load))
}

impl World {
    fn new(count: usize, ahead: bool) -> Self {
        Self {
            map: new_map(count, ahead),
            ahead,
            loads: Vec::new(),
            has: vec![None; count],
            idle: (0..count).collect(),
            users: Vec::new(),
            missing: 0,
            count,
            fates: Vec::new(),
        }
    }

    /// Those that have what `load` wants, or read it and not for another group, where it `finds` that.
    fn having(&self, load: &Load, finds: impl Fn(&Blocks, &Blocks) -> bool) -> Vec<usize> {
        (0..self.has.len())
            .filter(|&at| self.has[at].is_some_and(|has| finds(&has, &load.blocks)))
            .filter(|&at| {
                let user = self.users.iter().find(|user| user.transfer.number == at);
                user.is_none_or(|user| {
                    user.used.is_cached() || [NO_GROUP, load.group].contains(&user.load.group)
                })
            })
            .collect()
    }

    /// How many transfers the party of `load` has.
    fn of_party(&self, load: &Load) -> usize {
        let users = self.users.iter();
        users
            .filter(|user| !user.used.is_cached() && !user.left)
            .filter(|user| party(&user.load) == party(load))
            .count()
    }

    fn may_use(&self, load: &Load) -> bool {
        if self.ahead {
            return !self.idle.is_empty();
        }
        self.idle.len() > self.count / 4 || self.of_party(load) < self.idle.len()
    }

    fn use_idle(&mut self, number: usize) {
        let place = self.idle.iter().position(|&idle| idle == number);
        self.idle.remove(place.expect("it is idle"));
    }

    fn load(&mut self, blocks: Blocks, group: u64, window: usize) {
        let load = Load::new(self.fates.len(), blocks, group);
        self.fates.push(Fate::Open);
        self.loads.push(load);
        let having = self.having(&load, finds);
        let may_have = self.having(&load, Blocks::cover);
        let lookup = match self.map.look_up(load) {
            Ok(lookup) => lookup,
            Err(load) if !self.ahead => self.map.read(load),
            Err(load) => match self.map.read_ahead(load, window) {
                Ok(lookup) => lookup,
                Err(load) => {
                    assert!(having.is_empty() && self.idle.is_empty());
                    return self.settle(load, Fate::Elsewhere);
                }
            },
        };
        match lookup {
            Lookup::Cached(in_use, transfer, given_back) => {
                assert_eq!(given_back.number, load.number);
                assert!(may_have.contains(&transfer.number));
                assert_eq!(transfer.has, Some(in_use.blocks()));
                self.use_idle(transfer.number);
                self.users.push(User {
                    used: Use::Cached(in_use),
                    transfer,
                    load,
                    left: false,
                });
            }
            Lookup::Read(reading, transfer, grant) => {
                assert_eq!(grant, load.number);
                assert_eq!(having, [], "it is there");
                assert!(self.may_use(&load), "its party has its share");
                assert_eq!(
                    self.idle.front(),
                    Some(&transfer.number),
                    "another was idle for longer"
                );
                self.use_idle(transfer.number);
                self.read(reading, transfer, grant);
            }
            Lookup::Waits => {
                let in_use = |number| !self.idle.contains(number);
                assert!(
                    may_have.iter().any(in_use) || (!self.ahead && !self.may_use(&load)),
                    "it waits for nothing"
                );
            }
        }
    }

    fn read(&mut self, reading: ReadingTransfer<Cell>, mut transfer: Transfer, grant: usize) {
        let load = self.loads[grant];
        assert_eq!(self.fates[grant], Fate::Open);
        assert_eq!(reading.is_ahead(), self.ahead);
        let (blocks, wanted) = (reading.blocks(), load.blocks);
        if self.ahead {
            assert!(blocks.cover(&wanted) && blocks.range().start == wanted.range().start);
            assert!(blocks.range().len() <= MAX_AHEAD);
        } else {
            assert_eq!(blocks, wanted);
        }
        // What it has is overwritten.
        transfer.has = None;
        self.has[transfer.number] = Some(blocks);
        self.users.push(User {
            used: Use::Reads(reading),
            transfer,
            load,
            left: false,
        });
        let most = self.count - self.count / 4;
        assert!(
            self.ahead || self.of_party(&load) <= most,
            "a party has all"
        );
    }

    /// What becomes of a load that was read for in vain.
    fn failed(&self) -> Fate {
        if self.ahead {
            Fate::Elsewhere
        } else {
            Fate::Failed
        }
    }

    fn settle(&mut self, load: Load, fate: Fate) {
        assert_eq!(self.fates[load.number], Fate::Open, "load {}", load.number);
        self.fates[load.number] = fate;
    }

    fn serve(&mut self, load: Load, transfer: &Transfer) {
        assert!(transfer.has.is_some_and(|has| has.cover(&load.blocks)));
        self.settle(load, Fate::Served);
    }

    /// The user of `users[index]` goes on: with the load that it read for, which is served if that went
    /// `well`; or it is done.
    fn go_on_with(&mut self, index: usize, well: bool) {
        let User {
            used,
            mut transfer,
            load,
            left,
        } = self.users.swap_remove(index);
        let number = transfer.number;
        let ended = match used {
            Use::Reads(reading) => {
                transfer.has = well.then_some(reading.blocks());
                match reading.done() {
                    Ok((in_use, first)) => {
                        assert!(!left && first.number == load.number);
                        if well {
                            self.serve(first, &transfer);
                        } else {
                            self.settle(first, self.failed());
                        }
                        self.users.push(User {
                            used: Use::HasRead(in_use, well),
                            transfer,
                            load,
                            left,
                        });
                        return;
                    }
                    Err(cell) => {
                        assert!(left);
                        self.has[number] = None;
                        transfer.has = None;
                        let ended = self.map.add(transfer, cell);
                        self.filled(&ended);
                        ended
                    }
                }
            }
            Use::HasRead(in_use, true) => self.map.end(in_use, transfer),
            Use::HasRead(in_use, false) if self.ahead => {
                self.has[number] = None;
                let (ended, mut followers) = self.map.fail_ahead(in_use, transfer);
                while let Some(load) = followers.0.pop_front() {
                    assert!(!load.reads, "it has a grant");
                    self.settle(load, Fate::Elsewhere);
                }
                ended
            }
            Use::HasRead(in_use, false) => {
                self.has[number] = None;
                self.map.fail(in_use, transfer)
            }
            Use::Cached(in_use) => {
                self.serve(load, &transfer);
                self.map.end(in_use, transfer)
            }
        };
        self.go_on(number, ended);
    }

    /// A transfer came that may be in place of a missing one.
    fn filled(&mut self, ended: &Ended<Queue, Transfer>) {
        if matches!(ended, Ended::Surplus(_)) {
            assert_eq!(self.missing, 0, "one is missing");
        } else {
            assert!(self.missing > 0, "none is missing");
            self.missing -= 1;
        }
        assert_eq!(self.missing, self.map.missing());
    }

    fn go_on(&mut self, number: usize, mut ended: Ended<Queue, Transfer>) {
        loop {
            match ended {
                Ended::Serve(in_use, transfer, mut queue) => {
                    while let Some(load) = queue.0.pop_front() {
                        self.serve(load, &transfer);
                    }
                    ended = self.map.end(in_use, transfer);
                }
                Ended::Read(reading, transfer, grant) => {
                    assert_eq!(transfer.number, number);
                    return self.read(reading, transfer, grant);
                }
                Ended::Idle => {
                    match self.has[number] {
                        Some(_) => self.idle.push_back(number),
                        None => self.idle.push_front(number),
                    }
                    return;
                }
                Ended::Surplus(_) => return,
            }
        }
    }

    /// There is memory for another transfer.
    fn add(&mut self) {
        let number = self.has.len();
        self.has.push(None);
        let ended = (self.map).add(Transfer { number, has: None }, Cell::new());
        self.filled(&ended);
        self.go_on(number, ended);
    }

    /// Gives up store `store`.
    fn give_up(&mut self, store: usize) {
        let mut loads = self.map.abandon(store);
        while let Some(load) = loads.0.pop_front() {
            assert_eq!(load.blocks.store(), store);
            self.settle(load, Fate::Failed);
        }
        for user in &mut self.users {
            if user.load.blocks.store() == store && user.used.reads() && !user.left {
                user.left = true;
                self.missing += 1;
            }
        }
        assert_eq!(self.missing, self.map.missing());
        for has in &mut self.has {
            if has.is_some_and(|has| has.store() == store) {
                *has = None;
            }
        }
        // Those that wait for one that was served, or has failed, are next.
        let are_served = (self.users.iter())
            .any(|user| !user.used.reads() && user.used.blocks().store() == store);
        let waits =
            |load: &Load| load.blocks.store() == store && self.fates[load.number] == Fate::Open;
        assert!(
            are_served || !self.loads.iter().any(waits),
            "a load waits for a store that was given up"
        );
    }
}

proptest! {
    #![proptest_config(config(2000))]

    /// Each load is served once, from its blocks, or was read for in vain, once; and it does not wait for
    /// a store that was given up.
    #[test]
    fn each_load_is_served_once(
        count in 1..6usize,
        ahead in any::<bool>(),
        steps in proptest::collection::vec(any_step(), 1..200),
    ) {
        let mut world = World::new(count, ahead);
        for step in steps {
            match step {
                Step::Load(blocks, group, window) => world.load(blocks, group, window),
                Step::Done(index) if !world.users.is_empty() => {
                    world.go_on_with(index.index(world.users.len()), true);
                }
                Step::Fail(index) if !world.users.is_empty() => {
                    world.go_on_with(index.index(world.users.len()), false);
                }
                Step::GiveUp(store) => world.give_up(store),
                Step::Add => world.add(),
                _ => (),
            }
            let in_use = world.users.iter().filter(|user| !user.left).count();
            assert_eq!(in_use + world.idle.len() + world.missing, count);
        }
        while !world.users.is_empty() {
            world.go_on_with(0, true);
        }
        assert!(world.fates.iter().all(|fate| *fate != Fate::Open), "a load still waits");
    }

    /// Each block has a map, and those of a row have the same one.
    #[test]
    fn maps_share_the_blocks(maps in 1..65usize, segment in 0..1usize << 27, store in 0..8usize) {
        let mut loads = vec![0; maps];
        for first in 0..BLOCKS {
            let shard = blocks(store, segment, 0, first, 1).shard(maps);
            assert_eq!(shard, blocks(store, segment, 1, first / ROW * ROW, 1).shard(maps));
            loads[shard] += 1;
        }
        // No map has much more than its part.
        let most = loads.iter().max().copied().unwrap_or(0);
        assert!(most <= BLOCKS / maps * 2 + 4 * ROW, "{most} of {BLOCKS} in one of {maps} maps");
    }
}

/// The load `number` of block `first`.
fn load(number: usize, group: u64, store: usize, first: usize) -> Load {
    Load::new(number, blocks(store, 0, 0, first, 1), group)
}

/// Begins `load`. Returns what it uses, or [`None`] if it waits.
fn begin(map: &mut Map, load: Load) -> Option<(Use, Transfer)> {
    match look_up(map, load) {
        Lookup::Cached(in_use, transfer, _) => Some((Use::Cached(in_use), transfer)),
        Lookup::Read(reading, transfer, _) => Some((Use::Reads(reading), transfer)),
        Lookup::Waits => None,
    }
}

/// Reads what was begun. Returns the use of the transfer by the load that is served from it.
fn read(used: Use) -> InUse<Cell> {
    match used {
        Use::Reads(reading) => match reading.done() {
            Ok((in_use, _)) => in_use,
            Err(_) => panic!("its store was given up"),
        },
        Use::HasRead(in_use, _) | Use::Cached(in_use) => in_use,
    }
}

/// Ends the use of a transfer, for as long as it has what loads want. Returns what comes of it then.
fn end(map: &mut Map, (used, mut transfer): (Use, Transfer)) -> Ended<Queue, Transfer> {
    let mut in_use = read(used);
    loop {
        match map.end(in_use, transfer) {
            Ended::Serve(again, same, _) => (in_use, transfer) = (again, same),
            ended => return ended,
        }
    }
}

/// The same of one for which a load waits. Returns its new use, and the number of the load.
fn end_and_read(map: &mut Map, user: (Use, Transfer)) -> ((Use, Transfer), usize) {
    match end(map, user) {
        Ended::Read(reading, transfer, grant) => ((Use::Reads(reading), transfer), grant),
        _ => panic!("loads wait"),
    }
}

#[test]
fn a_load_finds_what_has_its_block_and_the_one_before() {
    let load = |first, count| Load::new(0, blocks(0, 0, 0, first, count), NO_GROUP);
    let mut map = map(2);
    let user = begin(&mut map, load(4, 2)).expect("all are idle");
    assert!(matches!(end(&mut map, user), Ended::Idle));
    let Lookup::Cached(in_use, _, _) = look_up(&mut map, load(5, 1)) else {
        panic!("it was read")
    };
    assert_eq!(in_use.blocks(), load(4, 2).blocks);
    assert!(matches!(look_up(&mut map, load(4, 1)), Lookup::Waits));
    assert!(matches!(look_up(&mut map, load(5, 2)), Lookup::Read(..)));
}

/// One party wants more than there is, and nothing of it ends: its group is throttled, or its store
/// hangs.
#[test]
fn others_find_transfers_beside_one_that_hangs() {
    for (group, store) in [(1, 1), (NO_GROUP, 1), (1, 0)] {
        let mut map = map(64);
        let hanging: Vec<_> = (0..500)
            .filter_map(|first| begin(&mut map, load(first, 1, 0, first)))
            .collect();
        assert_eq!(hanging.len(), 48, "three quarters");
        if (group, store) == (1, 0) {
            assert!(begin(&mut map, load(500, group, store, 500)).is_none());
            continue;
        }
        for number in 0..1000 {
            let user = begin(&mut map, load(number, group, store, number % 500))
                .expect("there are transfers for others");
            assert!(matches!(end(&mut map, user), Ended::Idle));
        }
        // What waited is next.
        for user in hanging {
            let _ = end_and_read(&mut map, user);
        }
    }
}

#[test]
fn six_parties_have_all() {
    let mut map = map(64);
    let shares: Vec<_> = (1..8)
        .map(|group| {
            let loads = (0..100).map(|first| load(first, group, 0, first));
            loads.filter_map(|load| begin(&mut map, load)).count()
        })
        .collect();
    assert_eq!(shares, [48, 8, 4, 2, 1, 1, 0]);
}

/// Whichever transfer of a party is next, the load is that which came first.
#[test]
fn a_party_is_served_in_order() {
    let mut map = map(64);
    let mut users: VecDeque<_> = (0..300)
        .filter_map(|first| begin(&mut map, load(first, 1, 0, first)))
        .collect();
    // From both ends.
    for number in 48..300 {
        let next = if number % 2 == 0 {
            users.pop_front()
        } else {
            users.pop_back()
        };
        let (user, next) = end_and_read(&mut map, next.expect("they are in use"));
        assert_eq!(next, number);
        users.push_back(user);
    }
}

#[test]
fn a_party_without_transfers_is_next() {
    let mut map = map(4);
    // Each has one, and loads behind it. Their numbers are their groups.
    let load = |group: usize, first| load(group, group as u64, 0, first);
    let mut users: Vec<_> = (1..5)
        .map(|group| begin(&mut map, load(group, group)).expect("one is idle"))
        .collect();
    for group in 1..5 {
        for first in 10..15 {
            assert!(begin(&mut map, load(group, 10 * first + group)).is_none());
        }
    }
    assert!(begin(&mut map, load(9, 9)).is_none());
    assert_eq!(end_and_read(&mut map, users.remove(2)).1, 9);
    // Those that were behind it are the next that have none.
    assert_eq!(end_and_read(&mut map, users.remove(0)).1, 3);
    // Now they have one, and the others of them wait for that.
    assert_eq!(end_and_read(&mut map, users.remove(0)).1, 1);
}

#[test]
fn no_group_waits_for_the_read_of_another() {
    let mut map = map(8);
    let (first, transfer) = begin(&mut map, load(0, 1, 0, 3)).expect("all are idle");
    assert!(
        begin(&mut map, load(1, 1, 0, 3)).is_none(),
        "the same group"
    );
    let (second, _) = begin(&mut map, load(2, 2, 0, 3)).expect("it reads for itself");
    assert_eq!(second.blocks(), first.blocks());
    // Once it was read, it is for all.
    let Ended::Serve(first, transfer, followers) = map.end(read(first), transfer) else {
        panic!("a load waits")
    };
    assert_eq!(followers.0.len(), 1);
    assert!(
        begin(&mut map, load(3, 5, 0, 3)).is_none(),
        "it is being unpacked"
    );
    assert!(matches!(map.end(first, transfer), Ended::Serve(..)));
    // And so is what no group pays for.
    let _read = begin(&mut map, load(4, NO_GROUP, 0, 7)).expect("some are idle");
    assert!(begin(&mut map, load(5, 5, 0, 7)).is_none());
}

#[test]
fn nothing_is_kept_of_a_store_that_is_forgotten() {
    let load = |store, first| load(0, NO_GROUP, store, first);
    let mut map = map(8);
    for (store, first) in [(0, 4), (0, 7), (1, 4), (1, 7)] {
        let user = begin(&mut map, load(store, first)).expect("all are idle");
        assert!(matches!(end(&mut map, user), Ended::Idle));
    }
    // One load was served, and has not ended its transfer yet.
    let Lookup::Cached(in_use, transfer, _) = look_up(&mut map, load(0, 4)) else {
        panic!("it was read")
    };
    map.forget_store(0);
    assert!(matches!(map.end(in_use, transfer), Ended::Idle));
    for first in [4, 7] {
        assert!(
            matches!(look_up(&mut map, load(0, first)), Lookup::Read(..)),
            "it was kept"
        );
        assert!(
            matches!(look_up(&mut map, load(1, first)), Lookup::Cached(..)),
            "it is another store's"
        );
    }
}

#[test]
fn what_is_behind_something_forgotten_in_a_chain_is_found() {
    // Each in a row of its own.
    let load = |store, number| {
        let (segment, row) = (number / (BLOCKS / ROW), number % (BLOCKS / ROW));
        Load::new(0, blocks(store, segment, 0, ROW * row, 1), NO_GROUP)
    };
    let mut map = map(64);
    // So many that chains have some of both stores.
    for store in [1, 0] {
        for number in 0..32 {
            let user = begin(&mut map, load(store, number)).expect("one is idle");
            assert!(matches!(end(&mut map, user), Ended::Idle));
        }
    }
    map.forget_store(0);
    for number in 0..32 {
        let Lookup::Cached(in_use, transfer, _) = look_up(&mut map, load(1, number)) else {
            panic!("it was lost")
        };
        assert!(matches!(map.end(in_use, transfer), Ended::Idle));
    }
}

/// All transfers may be with a device that does not answer, and its store is given up.
#[test]
fn a_store_that_is_given_up_leaves_none_waiting() {
    let mut map = map(4);
    let left: Vec<_> = (1..5)
        .map(|group| begin(&mut map, load(0, group, 1, group as usize)).expect("one is idle"))
        .collect();
    // Behind one of those, or for any, or for the same blocks.
    for (number, (group, store, first)) in [(1, 1, 10), (9, 1, 10), (1, 0, 10), (2, 1, 2)]
        .into_iter()
        .enumerate()
    {
        assert!(begin(&mut map, load(10 + number, group, store, first)).is_none());
    }
    let mut ended: Vec<_> = (map.abandon(1).0.into_iter())
        .map(|load| load.number)
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, [0, 0, 0, 0, 10, 11, 13]);
    assert_eq!(map.missing(), 4);
    // What waits for another store goes on as soon as there is a transfer.
    let new = |number| Transfer { number, has: None };
    let Ended::Read(reading, transfer, 12) = map.add(new(4), Cell::new()) else {
        panic!("a load waits")
    };
    // Or when one comes back after all: it has nothing.
    let mut left = left.into_iter().map(|(used, back)| match used {
        Use::Reads(reading) => (back, reading.done().map(drop).expect_err("it was left")),
        _ => panic!("all read"),
    });
    let (back, cell) = left.next().expect("there are four");
    assert!(matches!(map.add(back, cell), Ended::Idle));
    assert_eq!(map.missing(), 2);
    assert!(matches!(map.add(new(5), Cell::new()), Ended::Idle));
    assert!(matches!(map.add(new(6), Cell::new()), Ended::Idle));
    assert!(matches!(map.add(new(7), Cell::new()), Ended::Surplus(_)));
    // In its place is another.
    for (back, cell) in left {
        assert!(matches!(map.add(back, cell), Ended::Surplus(_)));
    }
    let user = (Use::Reads(reading), transfer);
    assert!(matches!(end(&mut map, user), Ended::Idle));
    assert!(matches!(
        look_up(&mut map, load(0, NO_GROUP, 0, 10)),
        Lookup::Cached(..)
    ));
    for group in 1..4 {
        let read = look_up(&mut map, load(0, group, 1, group as usize));
        assert!(matches!(read, Lookup::Read(..)), "nothing was kept");
    }
}

#[test]
fn another_generation_or_store_is_something_else() {
    let has = blocks(1, 7, 3, 4, 2);
    assert!(has.cover(&blocks(1, 7, 3, 5, 1)));
    for other in [
        blocks(0, 7, 3, 5, 1),
        blocks(1, 6, 3, 5, 1),
        blocks(1, 7, 4, 5, 1),
        blocks(1, 7, 3, 6, 1),
        blocks(1, 7, 3, 5, 2),
        blocks(1, 7, 3, 3, 1),
    ] {
        assert!(!has.cover(&other), "{other:?}");
    }
}

#[test]
fn what_was_read_ahead_in_vain_is_counted() {
    let load = |first, count| Load::new(0, blocks(0, 0, 0, first, count), NO_GROUP);
    let read_ahead = |map: &mut Map, load, window| {
        let Err(load) = map.look_up(load) else {
            panic!("it is there")
        };
        match map.read_ahead(load, window) {
            Ok(Lookup::Read(reading, transfer, _)) => (Use::Reads(reading), transfer),
            _ => panic!("it is idle"),
        }
    };
    let mut map = new_map(1, true);
    let user = read_ahead(&mut map, load(0, 1), 8);
    assert_eq!(user.0.blocks().range(), 0..8);
    // Of these, the second and the third are wanted while it reads, and the last after that.
    assert!(matches!(map.look_up(load(1, 2)), Ok(Lookup::Waits)));
    assert!(map.look_up(load(7, 2)).is_err());
    assert!(matches!(end(&mut map, user), Ended::Idle));
    for _ in 0..2 {
        let Ok(Lookup::Cached(in_use, transfer, _)) = map.look_up(load(7, 1)) else {
            panic!("it was read")
        };
        assert!(matches!(map.end(in_use, transfer), Ended::Idle));
    }
    let user = read_ahead(&mut map, load(100, 1), 8);
    assert_eq!((map.take_in_vain(), map.take_in_vain()), (4, 0));
    assert!(map.read_ahead(load(200, 1), 8).is_err(), "it is in use");
    // Where most was in vain, less is read.
    assert!(matches!(end(&mut map, user), Ended::Idle));
    let user = read_ahead(&mut map, load(0, 1), 32);
    assert_eq!(user.0.blocks().range(), 0..16);
    assert_eq!(map.take_in_vain(), 7);
    assert!(matches!(end(&mut map, user), Ended::Idle));
}
