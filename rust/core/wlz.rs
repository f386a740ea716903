// SPDX-License-Identifier: GPL-2.0

//! wlz, a codec for pages of memory: words that are like words before them, and text.
//!
//! The format of an object is drawn, and each choice has the figure that decided it, in
//! `Documentation/mm/ghostswap.rst`. Here, [`format`] has the tags of words, [`encoder`] and [`decoder`] take
//! pages to words and back, [`tags`] writes tags and distances down, and [`text`] has pages of text.
//!
//! # Safety
//!
//! Any bytes may be decompressed. The result is the page that they stand for, or an error, and depends on
//! nothing else. [`access`] has the reads and writes whose bounds are not looked at each time: their callers
//! establish them for a group of words, or for a token, at once.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::wlz::{compress, decompress, Level, Workspace, BUFFER};
//! use ghostswap_core::PAGE_SIZE;
//!
//! let mut page = [0; PAGE_SIZE];
//! page[8] = 1;
//! let (mut out, mut work) = ([0; BUFFER], Workspace::new());
//! let length = compress(Level::Fast, &page, &mut out, PAGE_SIZE, &mut work).expect("it fits");
//! let mut back = [0xff; PAGE_SIZE];
//! assert_eq!(decompress(&out[..length], &mut back, &mut work), Ok(()));
//! assert!(back == page);
//! ```

mod access;
mod buffer;
mod decoder;
mod encoder;
mod format;
mod tags;
mod text;

pub use buffer::{
    Buffer,
    Workspace,
    BUFFER, //
};
pub use format::Damaged;

use super::PAGE_SIZE;
use access::{
    Access,
    Checked,
    Unchecked, //
};
use encoder::Encoded;
use format::{
    KIND_PLAIN,
    KIND_PREDICTED,
    KIND_TEXT, //
};

/// How much is done to make a page small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Little: for pages that may be wanted soon.
    Fast,
    /// More: for pages that are kept for long.
    Dense,
}

/// Compresses `page` to at most `room` bytes at the beginning of `out`; returns how many, or [`None`]
/// if that will not do.
#[inline]
pub fn compress(
    level: Level,
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    room: usize,
    work: &mut Workspace,
) -> Option<usize> {
    compress_with::<Unchecked>(level, page, out, room, work)
}

/// As [`compress`], and looks at each bound. For tests: the results are the same.
pub fn compress_checked(
    level: Level,
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    room: usize,
    work: &mut Workspace,
) -> Option<usize> {
    compress_with::<Checked>(level, page, out, room, work)
}

/// Writes the page that `object` stands for to all of `page`.
///
/// # Errors
///
/// [`Damaged`] if it stands for none. Then `page` may still have bytes that it had before.
#[inline]
pub fn decompress(
    object: &[u8],
    page: &mut [u8; PAGE_SIZE],
    work: &mut Workspace,
) -> Result<(), Damaged> {
    decompress_with::<Unchecked>(object, page, work)
}

/// As [`decompress`], and looks at each bound. For tests: the results are the same.
pub fn decompress_checked(
    object: &[u8],
    page: &mut [u8; PAGE_SIZE],
    work: &mut Workspace,
) -> Result<(), Damaged> {
    decompress_with::<Checked>(object, page, work)
}

/// Of 16 words, so many are text on a page that is taken for text at once. Of pages with 6 or more, all but a
/// few of a thousand are smaller so, and of those with 4 only two in three.
const MANY_TEXT: usize = 6;

/// Bytes of words above which a page is tried as text, too.
const MAYBE_TEXT: usize = 1600;

/// The same for [`Level::Fast`], if it has no words. It is worth the time where most of the page is literal
/// bytes.
const MAYBE_TEXT_FAST: usize = 2500;

fn compress_with<A: Access>(
    level: Level,
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    room: usize,
    work: &mut Workspace,
) -> Option<usize> {
    let room = room.min(PAGE_SIZE);
    match level {
        Level::Fast => compress_to::<A, false>(page, out, room, work),
        Level::Dense => compress_to::<A, true>(page, out, room, work),
    }
}

/// The same, at the dense level if `BEST`, to `room` bytes, which is at most a page.
#[inline(always)]
fn compress_to<A: Access, const BEST: bool>(
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    room: usize,
    work: &mut Workspace,
) -> Option<usize> {
    if encoder::count_text::<A>(page) >= MANY_TEXT {
        return text::compress::<A, BEST>(page, out, room, work);
    }
    match words::<A, BEST>(page, out, room, work) {
        Ok(length) if may_be_text::<A, BEST>(page, length) => {
            or_text::<A, BEST>(page, out, room, work, length)
        }
        Ok(length) => Some(length),
        Err(Encoded::TooLong) => text::compress::<A, BEST>(page, out, room, work),
        Err(_) => None,
    }
}

/// Returns whether a page that takes `length` bytes of words is worth trying as text.
#[inline(always)]
fn may_be_text<A: Access, const BEST: bool>(page: &[u8; PAGE_SIZE], length: usize) -> bool {
    if BEST {
        length > MAYBE_TEXT
    } else {
        length > MAYBE_TEXT_FAST && encoder::has_no_words::<A>(page)
    }
}

/// Compresses a page as text if that takes less than the `length` bytes of words in `out`.
#[inline(always)]
fn or_text<A: Access, const BEST: bool>(
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    room: usize,
    work: &mut Workspace,
    length: usize,
) -> Option<usize> {
    // What is smaller as text is written over the words. If it is not, they are written again.
    text::compress::<A, BEST>(page, out, length, work)
        .or_else(|| words::<A, BEST>(page, out, room, work).ok())
}

/// Compresses a page to words; returns the length, or why not.
#[inline(never)]
fn words<A: Access, const BEST: bool>(
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    room: usize,
    work: &mut Workspace,
) -> Result<usize, Encoded> {
    match encoder::encode::<A, BEST>(page, out, room, work) {
        Encoded::Words {
            literals,
            first_distance,
            misses,
        } => {
            out[0] = if BEST { KIND_PREDICTED } else { KIND_PLAIN };
            let at = tags::put_distances::<A>(out, literals, first_distance);
            Ok(if BEST {
                tags::pack_predicted::<A>(out, at, misses)
            } else {
                tags::pack_plain::<A>(out, at)
            })
        }
        failed => Err(failed),
    }
}

fn decompress_with<A: Access>(
    object: &[u8],
    page: &mut [u8; PAGE_SIZE],
    work: &mut Workspace,
) -> Result<(), Damaged> {
    let tags = &mut work.tags;
    let distances = match object.first() {
        Some(&KIND_PLAIN) => tags::unpack_plain::<A>(object, tags)?,
        Some(&KIND_PREDICTED) => tags::unpack_predicted::<A>(object, tags, &mut work.missed)?,
        Some(&KIND_TEXT) => return text::decompress::<A>(object, page),
        _ => return Err(Damaged),
    };
    decoder::decode::<A>(object, distances, tags, page)
}
