// SPDX-License-Identifier: GPL-2.0

//! Fills the heap of a Rust program, says so, and waits to be ended.
//!
//! usage: corpus PAGES

use std::collections::{
    BTreeMap,
    HashMap,
    VecDeque, //
};
use std::env;
use std::fs;
use std::hash::{
    BuildHasherDefault,
    DefaultHasher, //
};
use std::io;

/// The same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }
}

struct Item {
    price: f64,
    name: String,
    parts: Option<Box<[u32]>>,
}

#[derive(Default)]
struct Heap {
    /// By a hash that is the same each time.
    words: HashMap<String, Vec<u32>, BuildHasherDefault<DefaultHasher>>,
    index: BTreeMap<u64, (u32, Box<[u16]>)>,
    items: Vec<Option<Box<Item>>>,
    queues: Vec<VecDeque<u64>>,
}

impl Heap {
    fn grow(&mut self, numbers: &mut Numbers, i: u32) {
        let word = format!("key/{}/{}", numbers.below(500), numbers.below(3000));
        self.words.entry(word).or_default().push(i);
        let list = vec![i as u16; numbers.below(9) as usize];
        self.index.insert(numbers.next(), (i, list.into()));
        self.items.push((numbers.below(3) > 0).then(|| {
            let parts = (0..numbers.below(12)).map(|part| i + part as u32);
            Box::new(Item {
                price: numbers.below(100_000) as f64 / 100.0,
                name: format!("item {i}"),
                parts: (i % 2 == 0).then(|| parts.collect()),
            })
        }));
        if i % 50 == 0 {
            let count = numbers.below(20);
            self.queues
                .push((0..count).map(|_| numbers.next()).collect());
        }
    }
}

/// Bytes of anonymous memory.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) * 1024
}

fn main() {
    let pages: usize = env::args()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    let (mut heap, mut numbers, mut i) = (Heap::default(), Numbers(1), 0);
    while i % 1000 != 0 || resident() < pages * 4096 * 5 / 4 {
        heap.grow(&mut numbers, i);
        i += 1;
    }
    println!("ready");
    let _ = io::stdin().read_line(&mut String::new());
    let items = heap.items.iter().flatten();
    let sum: f64 = items
        .map(|item| item.price + (item.name.len() + item.parts.iter().count()) as f64)
        .sum();
    println!(
        "{sum} {} {}",
        heap.words.len(),
        heap.index.len() + heap.queues.len()
    );
}
