// SPDX-License-Identifier: GPL-2.0

//! Says what pages take with WKdm, beside which other compressors can be seen. It was made for
//! memory, too, and Linux does not have it: P. Wilson, S. Kaplan, Y. Smaragdakis, "The Case for
//! Compressed Caching in Virtual Memory Systems", 1999.
//!
//! A page is 1,024 words of 4 bytes. A dictionary has 16 places, and each word has one of them, by a
//! hash of its high 22 bits. The word that was there last is compared with it, and is replaced. In an
//! object are, one after the other:
//!
//! - tags, 2 bits for each word: it is zero; it is the word of the dictionary; it differs from that in
//!   the low 10 bits only; or it is any other;
//! - indexes, 4 bits for each word that the dictionary helps with: its place there;
//! - low bits, 10 for each word that differs in them, three times 10 in 4 bytes;
//! - 4 bytes for each other word.
//!
//! Each part is filled up to 4 bytes. Their lengths follow from the tags; the authors' program has
//! a header with them as well.
//!
//! usage: wkdm FILE
//!
//! Prints a figure as the benchmark does. What it counts is what ghostswap counts: nothing for a
//! page of one word, and a whole page for what takes a whole page in zsmalloc.

use std::env;
use std::fs::File;
use std::io::{
    self,
    BufReader,
    ErrorKind,
    Read, //
};
use std::process::ExitCode;

const PAGE: usize = 4096;
const WORDS: usize = PAGE / 4;
const PLACES: usize = 16;
const LOW_BITS: u32 = 10;

/// From so many bytes on, an object takes a whole page in zsmalloc, as the kernel is usually built.
const WHOLE: usize = 3264;

type Page = [u32; WORDS];

#[derive(Clone, Copy, PartialEq)]
enum Tag {
    Zero,
    Exact,
    Partial,
    Miss,
}

/// The parts of an object, before they are packed.
#[derive(Default)]
struct Object {
    tags: Vec<Tag>,
    indexes: Vec<usize>,
    low_bits: Vec<u32>,
    words: Vec<u32>,
}

impl Object {
    /// Bytes.
    fn len(&self) -> usize {
        self.tags.len() / 4
            + self.indexes.len().div_ceil(8) * 4
            + self.low_bits.len().div_ceil(3) * 4
            + self.words.len() * 4
    }
}

/// The place of a word in the dictionary.
fn place(word: u32) -> usize {
    let high = word >> LOW_BITS;
    // By the golden ratio, as in the kernel's hash_32().
    (high.wrapping_mul(0x61c8_8647) >> (u32::BITS - PLACES.ilog2())) as usize
}

fn compress(page: &Page) -> Object {
    let mut dictionary = [0; PLACES];
    let mut object = Object::default();
    for &word in page {
        let place = place(word);
        let known = dictionary[place];
        let tag = if word == 0 {
            Tag::Zero
        } else if word == known {
            Tag::Exact
        } else if word >> LOW_BITS == known >> LOW_BITS {
            Tag::Partial
        } else {
            Tag::Miss
        };
        object.tags.push(tag);
        if matches!(tag, Tag::Exact | Tag::Partial) {
            object.indexes.push(place);
        }
        if tag == Tag::Partial {
            object.low_bits.push(word & ((1 << LOW_BITS) - 1));
        }
        if tag == Tag::Miss {
            object.words.push(word);
        }
        if tag != Tag::Zero {
            dictionary[place] = word;
        }
    }
    object
}

/// The page, or `None` if the object is not one.
fn decompress(object: &Object) -> Option<Page> {
    let mut dictionary = [0; PLACES];
    let mut page = [0; WORDS];
    let mut indexes = object.indexes.iter();
    let mut low_bits = object.low_bits.iter();
    let mut words = object.words.iter();
    for (word, tag) in page.iter_mut().zip(&object.tags) {
        let place = match tag {
            Tag::Zero => continue,
            Tag::Exact | Tag::Partial => *indexes.next()?,
            Tag::Miss => {
                *word = *words.next()?;
                place(*word)
            }
        };
        match tag {
            Tag::Exact => *word = dictionary[place],
            Tag::Partial => {
                *word = dictionary[place] >> LOW_BITS << LOW_BITS | low_bits.next()?;
            }
            _ => {}
        }
        dictionary[place] = *word;
    }
    Some(page)
}

/// Bytes that a page takes in a pool, all pages but those of zeros counted.
fn mean(mut file: impl Read) -> io::Result<f64> {
    let (mut bytes, mut count) = (0, 0);
    let mut read = [0; PAGE];
    loop {
        match file.read_exact(&mut read) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            result => result?,
        }
        let mut page = [0; WORDS];
        for (word, bytes) in page.iter_mut().zip(read.chunks_exact(4)) {
            *word = bytes.try_into().map_or(0, u32::from_le_bytes);
        }
        let is_zero = page.iter().all(|word| *word == 0);
        if page[1..] != page[..WORDS - 1] {
            let object = compress(&page);
            assert!(decompress(&object) == Some(page), "a page came back wrong");
            let length = object.len();
            bytes += if length < WHOLE { length } else { PAGE };
        }
        count += usize::from(!is_zero);
    }
    Ok(bytes as f64 / count.max(1) as f64)
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [path] = &arguments[..] else {
        eprintln!("usage: wkdm FILE");
        return ExitCode::from(2);
    };
    match File::open(path).and_then(|file| mean(BufReader::new(file))) {
        Ok(mean) => println!("figure host WKdm objects {mean:.4}"),
        Err(error) => {
            eprintln!("wkdm: {path}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
