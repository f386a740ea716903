// SPDX-License-Identifier: GPL-2.0

//! Threads that load, with transfers that are too few: each load is served once, from its blocks, and no
//! transfer reads while a load is served from it.

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

struct State {
    map: TransferMap<Vec<MapEntry<Queue, Buffer>>, Queue, Buffer>,
    /// How many reads fail yet.
    failures: usize,
    /// Whether store [`LOST`] was given up.
    is_given_up: bool,
}

impl State {
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
        match state.map.look_up(load) {
            Lookup::Waits => (),
            Lookup::Cached(in_use, buffer, load) => {
                drop(state);
                self.serve(&load, &buffer);
                let mut state = self.state.lock().unwrap();
                let ended = state.map.end(in_use, buffer);
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
        let blocks = reading.blocks();
        // SAFETY: The transfer is this thread's. If another got at it at the same time, loom would see that.
        buffer.with_mut(|has| unsafe { *has = (!fails).then_some(blocks) });
        let done = reading.done();
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
            Ok((in_use, _)) => state.map.end(in_use, buffer),
            Err(cell) => state.map.add(buffer, cell),
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
                    ended = state.map.end(in_use, buffer);
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
        let missing = state.map.missing();
        drop(state);
        while let Some(load) = loads.0.pop_front() {
            assert_eq!(load.blocks.store(), LOST);
            self.finish(&load, false);
        }
        for _ in 0..missing.min(memory) {
            let mut state = self.state.lock().unwrap();
            let ended = state.map.add(new_buffer(), Cell::new());
            self.go_on(state, ended);
        }
    }
}

/// The store of a load, and its blocks: the first, and how many.
type Place = (usize, usize, usize);

/// What is played.
#[derive(Clone, Copy, Debug)]
struct Play {
    transfers: usize,
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
        threads,
        failures,
        memory,
    } = played;
    let run = move || {
        let entries = (0..transfers).map(|_| MapEntry::new(new_buffer(), Cell::new()));
        let places: Vec<Place> = threads.concat();
        let shard = Arc::new(Shard {
            state: Mutex::new(State {
                map: TransferMap::new(entries.collect()),
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
        } else {
            assert_eq!(lost.count(), failures);
        }
    };
    tally.explore(bound(None, 3), run);
}

/// Nothing is given up.
fn loads(transfers: usize, threads: &'static [&'static [Place]], failures: usize) {
    play(Play {
        transfers,
        threads,
        failures,
        memory: None,
    });
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
    for memory in [0, 1] {
        for threads in THREADS {
            play(Play {
                transfers: 1,
                threads,
                failures: 0,
                memory: Some(memory),
            });
        }
    }
}
