// SPDX-License-Identifier: GPL-2.0

//! Loads that want blocks, and wait in lists.

use std::collections::VecDeque;
use std::sync::{
    Arc,
    Mutex, //
};

use ghostswap_core::blocks::Blocks;
use ghostswap_core::entry::Redirect;
use ghostswap_core::payload::{
    Coder,
    Form,
    Length, //
};
use ghostswap_core::segment::{
    Location,
    BLOCK,
    UNIT, //
};
use ghostswap_core::sync::Word;
use ghostswap_core::transfer_map::{
    LoadCell,
    LoadQueue,
    Wants,
    NO_GROUP, //
};

#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub number: usize,
    pub blocks: Blocks,
    pub group: u64,
    /// What reads for it has its grant.
    pub reads: bool,
}

impl Load {
    pub fn new(number: usize, blocks: Blocks, group: u64) -> Self {
        Self {
            number,
            blocks,
            group,
            reads: false,
        }
    }
}

impl Wants for Load {
    /// The number of the load.
    type Grant = usize;

    fn blocks(&self) -> Blocks {
        self.blocks
    }

    fn group(&self) -> u64 {
        // That went with the grant.
        if self.reads {
            NO_GROUP
        } else {
            self.group
        }
    }

    fn take_grant(&mut self) -> usize {
        assert!(!self.reads, "load {} reads twice", self.number);
        self.reads = true;
        self.number
    }
}

/// A place for one load, which is that of the thread that finds the word set.
#[derive(Clone)]
pub struct Cell(Arc<(Word, Mutex<Option<Load>>)>);

impl Cell {
    pub fn new() -> Self {
        Self(Arc::new((Word::new(0), Mutex::new(None))))
    }
}

impl LoadCell for Cell {
    type Load = Load;

    fn put(&self, load: Load) {
        let (word, place) = &*self.0;
        let before = place.lock().unwrap().replace(load);
        assert!(before.is_none() && word.swap(1) == 0, "a load is there");
    }

    fn take(&self) -> Option<Load> {
        let (word, place) = &*self.0;
        let taken = || place.lock().unwrap().take().expect("the word was set");
        (word.swap(0) == 1).then(taken)
    }
}

#[derive(Default)]
pub struct Queue(pub VecDeque<Load>);

impl LoadQueue for Queue {
    type Load = Load;
    type Cell = Cell;

    fn push(&mut self, load: Load) {
        self.0.push_back(load);
    }

    fn pop(&mut self) -> Option<Load> {
        self.0.pop_front()
    }

    fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `count` blocks from `first` on, as a record touches them.
pub fn blocks(store: usize, segment: usize, generation: u64, first: usize, count: usize) -> Blocks {
    let units = BLOCK / UNIT;
    // In the first unit of the first block, or in the last.
    let unit = first * units + if count == 2 { units - 1 } else { 0 };
    let location = Location::new(store, segment, unit).expect("it is a place");
    let form = Form {
        length: Length::new(100).expect("an object may have it"),
        coder: Coder::First,
    };
    let blocks = Blocks::of(Redirect { location, form }, generation);
    assert_eq!(blocks.range(), first..first + count);
    blocks
}
