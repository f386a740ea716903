// SPDX-License-Identifier: GPL-2.0

//! Threads that load, with transfers that are too few: each load is served once, from its blocks, and no
//! transfer reads while a load is served from it. Some have transfers that read ahead, too.

use super::loads::{
    blocks,
    Cell,
    Load,
    Queue, //
};
use super::tally::{
    bound,
    Tally, //
};
use ghostswap_core::blocks::Blocks;
use ghostswap_core::transfer_map::{
    Ended,
    Lookup,
    MapEntry,
    ReadingTransfer,
    TransferMap,
    NO_GROUP, //
};
use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        Mutex,
        MutexGuard, //
    },
    thread,
};

/// What a read left in it.
type Buffer = Arc<UnsafeCell<Option<Blocks>>>;

/// What a load came to: whether it found its blocks. [`None`] while it waits.
type Page = UnsafeCell<Option<bool>>;

/// The store that is given up, if one is.
const LOST: usize = 1;

/// Blocks that are read ahead.
const WINDOW: usize = 4;

type Map = TransferMap<Vec<MapEntry<Queue, Buffer>>, Queue, Buffer>;

struct State {
    map: Map,
    /// The one for reading ahead.
    ahead: Map,
    /// How many reads fail yet.
    failures: usize,
    /// Whether store [`LOST`] was given up.
    is_given_up: bool,
}

impl State {
    fn map(&mut self, ahead: bool) -> &mut Map {
        if ahead {
            &mut self.ahead
        } else {
            &mut self.map
        }
    }

    /// What becomes of `load`, for which is read ahead if that can be.
    fn look_up(&mut self, load: Load) -> Lookup<Queue, Buffer> {
        (self.ahead.look_up(load))
            .or_else(|load| self.map.look_up(load))
            .or_else(|load| self.ahead.read_ahead(load, WINDOW))
            .unwrap_or_else(|load| self.map.read(load))
    }

    /// Returns whether the next read fails.
    fn fails(&mut self) -> bool {
        let fails = self.failures > 0;
        self.failures -= usize::from(fails);
        fails
    }
}

struct Shard {
    state: Mutex<State>,
    pages: Vec<Page>,
}

fn new_buffer() -> Buffer {
    Arc::new(UnsafeCell::new(None))
}

impl Shard {
    fn load(&self, load: Load) {
        let mut state = self.state.lock().unwrap();
        if state.is_given_up && load.blocks.store() == LOST {
            drop(state);
            return self.finish(&load, false);
        }
        let lookup = state.look_up(load);
        self.go_on_with(state, lookup);
    }

    /// The same for one for which could not be read ahead.
    fn load_alone(&self, load: Load) {
        let mut state = self.state.lock().unwrap();
        if state.is_given_up && load.blocks.store() == LOST {
            drop(state);
            return self.finish(&load, false);
        }
        let lookup = (state.map.look_up(load)).unwrap_or_else(|load| state.map.read(load));
        self.go_on_with(state, lookup);
    }

    fn go_on_with(&self, mut state: MutexGuard<'_, State>, lookup: Lookup<Queue, Buffer>) {
        match lookup {
            Lookup::Waits => (),
            Lookup::Cached(in_use, buffer, load) => {
                drop(state);
                self.serve(&load, &buffer);
                let mut state = self.state.lock().unwrap();
                let ended = state.map(in_use.is_ahead()).end(in_use, buffer);
                self.go_on(state, ended);
            }
            Lookup::Read(reading, buffer, _) => {
                let fails = state.fails();
                drop(state);
                self.read(reading, buffer, fails);
            }
        }
    }

    /// The thread is the device as well, and what is told when it is done.
    fn read(&self, reading: ReadingTransfer<Cell>, buffer: Buffer, fails: bool) {
        let (blocks, ahead) = (reading.blocks(), reading.is_ahead());
        // SAFETY: The transfer is this thread's. If another got at it at the same time, loom would see that.
        buffer.with_mut(|has| unsafe { *has = (!fails).then_some(blocks) });
        let done = match reading.done() {
            Ok((in_use, mut load)) if fails && ahead => {
                let mut state = self.state.lock().unwrap();
                let (ended, mut followers) = state.ahead.fail_ahead(in_use, buffer);
                drop(state);
                // It has its grant again.
                load.reads = false;
                self.load_alone(load);
                while let Some(load) = followers.0.pop_front() {
                    self.load_alone(load);
                }
                return self.go_on(self.state.lock().unwrap(), ended);
            }
            done => done,
        };
        if let Ok((_, load)) = &done {
            if fails {
                self.finish(load, false);
            } else {
                self.serve(load, &buffer);
            }
        }
        let mut state = self.state.lock().unwrap();
        let ended = match done {
            Ok((in_use, _)) if fails => state.map.fail(in_use, buffer),
            Ok((in_use, _)) => state.map(ahead).end(in_use, buffer),
            Err(cell) => state.map(ahead).add(buffer, cell),
        };
        self.go_on(state, ended);
    }

    fn serve(&self, load: &Load, buffer: &Buffer) {
        // SAFETY: As above.
        let has = buffer.with(|has| unsafe { *has });
        assert!(
            has.is_some_and(|has| has.cover(&load.blocks)),
            "the blocks are others"
        );
        self.finish(load, true);
    }

    fn finish(&self, load: &Load, found: bool) {
        self.pages[load.number].with_mut(|page| {
            // SAFETY: The page is that of the load. Likewise.
            let before = unsafe { (*page).replace(found) };
            assert!(before.is_none(), "load {} is served twice", load.number);
        });
    }

    fn go_on<'a>(&'a self, mut state: MutexGuard<'a, State>, mut ended: Ended<Queue, Buffer>) {
        loop {
            match ended {
                Ended::Idle | Ended::Surplus(_) => return,
                Ended::Serve(in_use, buffer, mut loads) => {
                    drop(state);
                    while let Some(load) = loads.0.pop_front() {
                        self.serve(&load, &buffer);
                    }
                    state = self.state.lock().unwrap();
                    ended = state.map(in_use.is_ahead()).end(in_use, buffer);
                }
                Ended::Read(reading, buffer, _) => {
                    let fails = state.fails();
                    drop(state);
                    return self.read(reading, buffer, fails);
                }
            }
        }
    }

    /// Gives up store [`LOST`]. There is memory for so many transfers.
    fn give_up(&self, memory: usize) {
        let mut state = self.state.lock().unwrap();
        state.is_given_up = true;
        let mut loads = state.map.abandon(LOST);
        loads.0.append(&mut state.ahead.abandon(LOST).0);
        let missing = [false, true].map(|ahead| (ahead, state.map(ahead).missing()));
        drop(state);
        while let Some(load) = loads.0.pop_front() {
            assert_eq!(load.blocks.store(), LOST);
            self.finish(&load, false);
        }
        for (ahead, missing) in missing {
            for _ in 0..missing.min(memory) {
                let mut state = self.state.lock().unwrap();
                let ended = state.map(ahead).add(new_buffer(), Cell::new());
                self.go_on(state, ended);
            }
        }
    }
}

/// The store of a load, and its blocks: the first, and how many.
type Place = (usize, usize, usize);

/// What is played.
#[derive(Clone, Copy, Debug)]
struct Play {
    transfers: usize,
    /// Those that read ahead.
    ahead: usize,
    /// The loads of each thread.
    threads: &'static [&'static [Place]],
    /// So many reads fail.
    failures: usize,
    /// Whether a thread gives up store [`LOST`], with memory for so many transfers.
    memory: Option<usize>,
}

/// Plays it with loads that are all charged to no group, and with those of each thread charged to another.
fn play(played: Play) {
    let tally = Tally::start();
    for groups in [0, 1] {
        play_in(&tally, groups, played);
    }
    tally.tell(&format!("{played:?}"));
}

fn play_in(tally: &Tally, groups: u64, played: Play) {
    let Play {
        transfers,
        ahead,
        threads,
        failures,
        memory,
    } = played;
    let run = move || {
        let map = |count, ahead| {
            let entries = (0..count).map(|_| MapEntry::new(new_buffer(), Cell::new()));
            TransferMap::new(entries.collect(), ahead)
        };
        let places: Vec<Place> = threads.concat();
        let shard = Arc::new(Shard {
            state: Mutex::new(State {
                map: map(transfers, false),
                ahead: map(ahead, true),
                failures,
                is_given_up: false,
            }),
            pages: places.iter().map(|_| UnsafeCell::new(None)).collect(),
        });
        let mut number = 0;
        let mut running = Vec::new();
        for (thread, wanted) in threads.iter().enumerate() {
            let first = number;
            number += wanted.len();
            let group = NO_GROUP + groups * (1 + thread as u64);
            let shard = shard.clone();
            running.push(thread::spawn(move || {
                for (at, (store, block, count)) in wanted.iter().enumerate() {
                    let blocks = blocks(*store, 0, 0, *block, *count);
                    shard.load(Load::new(first + at, blocks, group));
                }
            }));
        }
        if let Some(memory) = memory {
            shard.give_up(memory);
        }
        for thread in running {
            thread.join().unwrap();
        }
        // SAFETY: All have ended.
        let fates = (shard.pages.iter()).map(|page| page.with(|page| unsafe { *page }));
        let found: Vec<bool> = fates
            .map(|fate| fate.expect("a load still waits"))
            .collect();
        let lost = (found.iter().zip(&places)).filter(|(found, _)| !**found);
        if memory.is_some() {
            assert!(
                lost.into_iter().all(|(_, (store, _, _))| *store == LOST),
                "a load from another store failed"
            );
        } else if ahead == 0 {
            assert_eq!(lost.count(), failures);
        } else {
            // Reading ahead may have failed, and then what is wanted is read.
            assert!(lost.count() <= failures);
        }
    };
    tally.explore(bound(None, 3), run);
}

/// Nothing is given up.
fn loads(transfers: usize, threads: &'static [&'static [Place]], failures: usize) {
    play(Play {
        transfers,
        ahead: 0,
        threads,
        failures,
        memory: None,
    });
}

/// Store [`LOST`] is given up, with memory for a transfer or not, in each of these `plays`, with one transfer
/// and so many that read ahead.
fn given_up(ahead: usize, failures: usize, plays: &[&'static [&'static [Place]]]) {
    for memory in [0, 1] {
        for &threads in plays {
            play(Play {
                transfers: 1,
                ahead,
                threads,
                failures,
                memory: Some(memory),
            });
        }
    }
}

#[test]
fn each_load_is_served() {
    loads(1, &[&[(0, 1, 1)], &[(0, 4, 1)]], 0);
    loads(1, &[&[(0, 1, 1)], &[(0, 4, 1)], &[(0, 1, 1)]], 0);
    loads(2, &[&[(0, 1, 1)], &[(0, 4, 1)], &[(0, 6, 1)]], 0);
    loads(1, &[&[(0, 1, 1), (0, 4, 1)], &[(0, 4, 1), (0, 1, 1)]], 0);
}

#[test]
fn loads_of_the_same_blocks_are_served() {
    loads(2, &[&[(0, 1, 2)], &[(0, 2, 1)], &[(0, 1, 1)]], 0);
    loads(1, &[&[(0, 1, 2), (0, 2, 1)], &[(0, 2, 1), (0, 1, 2)]], 0);
}

#[test]
fn each_load_is_served_where_a_read_fails() {
    loads(1, &[&[(0, 1, 1)], &[(0, 1, 1)], &[(0, 1, 1)]], 1);
    loads(2, &[&[(0, 1, 1), (0, 1, 1)], &[(0, 1, 1), (0, 4, 1)]], 1);
}

#[test]
fn each_load_ends_where_a_store_is_given_up() {
    const THREADS: [&[&[Place]]; 4] = [
        &[&[(LOST, 1, 1)], &[(LOST, 1, 1)]],
        &[&[(LOST, 1, 1)], &[(0, 1, 1)]],
        &[&[(LOST, 1, 1), (0, 1, 1)], &[(0, 1, 1)]],
        &[&[(LOST, 1, 1)], &[(LOST, 4, 1), (0, 4, 1)]],
    ];
    given_up(0, 0, &THREADS);
}

#[test]
fn each_load_is_served_where_others_read_ahead() {
    const THREADS: [&[&[Place]]; 4] = [
        &[&[(0, 1, 1)], &[(0, 2, 1)]],
        &[&[(0, 1, 1), (0, 2, 1)], &[(0, 3, 1), (0, 8, 1)]],
        &[&[(0, 1, 1)], &[(0, 2, 1)], &[(0, 4, 1)]],
        &[&[(0, 1, 1), (0, 8, 1)], &[(0, 2, 1)]],
    ];
    for threads in THREADS {
        for failures in [0, 1] {
            play(Play {
                transfers: 1,
                ahead: 1,
                threads,
                failures,
                memory: None,
            });
        }
    }
}

#[test]
fn each_load_ends_where_what_is_read_ahead_is_given_up() {
    const THREADS: [&[&[Place]]; 3] = [
        &[&[(LOST, 1, 1)], &[(LOST, 2, 1)]],
        &[&[(LOST, 1, 1)], &[(0, 1, 1)]],
        &[&[(LOST, 1, 1), (0, 1, 1)], &[(0, 2, 1)]],
    ];
    for failures in [0, 1] {
        given_up(1, failures, &THREADS);
    }
}
