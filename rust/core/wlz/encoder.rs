// SPDX-License-Identifier: GPL-2.0

//! Pages into words.

use super::{
    super::PAGE_SIZE,
    access::Access,
    buffer::{
        Buffer,
        Workspace,
        DISTANCES_END,
        LAST_BYTE,
        LAST_EIGHT,
        MISSED,
        MISSES,
        TAGS, //
    },
    format::{
        predicted_after,
        span,
        BITS,
        BYTES,
        BY_SAME,
        BY_ZERO,
        FURTHEST,
        LAST_WORD,
        PLAIN_TAGS,
        SHIFT,
        TAG_FIVE,
        TAG_NEW,
        TAG_SAME,
        TAG_SAME_FOUR_HIGH,
        TAG_SAME_ONE,
        TAG_SAME_ONE_HIGH,
        TAG_SAME_THREE,
        TAG_ZERO,
        WORDS, //
    },
};

/// Words that are coded at one go. The code is there so many times: a loop for each word would take 4% more
/// instructions.
const RUN: usize = 16;

/// Words between two looks at what the page has come to.
const STRETCH: usize = 64;

/// The most that so many words write beside tags: 8 bytes, or fewer and a distance; and bytes in which the last
/// store may end.
const fn room_of(words: usize) -> usize {
    8 * words + 8
}

/// What became of a page.
pub(super) enum Encoded {
    /// Literal bytes up to here, and distances from here on.
    Words {
        literals: usize,
        first_distance: usize,
        /// How many tags are not predicted.
        misses: usize,
    },
    /// Nothing: it takes more than its room.
    TooLong,
    /// Nothing, and nothing will: it looks random.
    Random,
}

/// The last words seen with the same hash, in tables of 256.
///
/// The tables hold the numbers of words that were coded. Where they hold nothing, that is word 0.
struct Seen<'a> {
    /// By the whole word.
    whole: &'a mut [u16; 256],
    /// By all but its three low bytes.
    high: &'a mut [u16; 256],
    /// By all but its two low bytes.
    near: &'a mut [u16; 256],
}

#[inline(always)]
fn hash(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

/// The word that was seen with the same hash. From now on it is word `i`.
#[inline(always)]
fn exchange(table: &mut [u16; 256], hash: usize, i: usize) -> usize {
    let last = &mut table[hash];
    let seen = *last as usize;
    *last = i as u16;
    seen
}

struct Encoder<'a> {
    page: &'a [u8; PAGE_SIZE],
    out: &'a mut Buffer,
    seen: Seen<'a>,
    /// Where the next literal bytes go.
    at: usize,
    /// The word that the first of those in hand is compared with.
    source: usize,
    /// Where the last distance is; they are written from the end.
    first_distance: usize,
    /// Where the next tag goes that is not predicted.
    miss: usize,
}

impl Encoder<'_> {
    /// Bytes of what was written: all but tags.
    #[inline(always)]
    fn taken(&self) -> usize {
        self.at + DISTANCES_END - self.first_distance
    }

    #[inline(always)]
    fn page_word<A: Access>(&self, i: usize) -> u64 {
        A::load(self.page, 8 * i, LAST_WORD)
    }

    #[inline(always)]
    fn tag<A: Access>(&mut self, i: usize, tag: u8) {
        A::put(self.out, TAGS + i, tag, LAST_BYTE);
    }

    /// Writes the literal bytes of a word with the tag.
    #[inline(always)]
    fn literal<A: Access>(&mut self, i: usize, tag: u8, word: u64) {
        self.tag::<A>(i, tag);
        let shift = A::entry(&SHIFT, 8 * tag as usize) & 63;
        A::store(self.out, self.at, word >> shift, LAST_EIGHT);
        self.at += A::entry(&BYTES, 8 * tag as usize) as usize;
    }

    /// From now on the distance is that from word `i + j` to the word at `found`.
    #[inline(always)]
    fn new_distance<A: Access>(&mut self, i: usize, j: usize, found: usize) {
        self.source = found.wrapping_sub(j);
        self.first_distance -= 1;
        let distance = found.wrapping_sub(i + j) as u8;
        A::put(self.out, self.first_distance, distance, LAST_BYTE);
    }

    /// Writes the `bytes` lowest bytes of a word.
    #[inline(always)]
    fn low_bytes<A: Access>(&mut self, word: u64, bytes: usize) {
        A::store(self.out, self.at, word, LAST_EIGHT);
        self.at += bytes;
    }

    /// Codes word `i + j`, where `source` is for word `i`.
    #[inline(always)]
    fn word<A: Access>(&mut self, i: usize, j: usize) {
        let word = self.page_word::<A>(i + j);
        let before = self.page_word::<A>(self.source.wrapping_add(j));
        if word == before {
            return self.tag::<A>(i + j, TAG_SAME);
        }
        if word == 0 {
            return self.tag::<A>(i + j, TAG_ZERO);
        }
        let differs = word ^ before;
        if differs < 1 << 16 {
            let two = u8::from(differs >= 1 << 8);
            self.tag::<A>(i + j, TAG_SAME_ONE + two);
            return self.low_bytes::<A>(word, 1 + two as usize);
        }
        let tag = BY_SAME[span(differs)];
        if tag == TAG_SAME_ONE_HIGH {
            return self.literal::<A>(i + j, tag, word);
        }
        let found = exchange(self.seen.whole, hash(word), i + j);
        if self.page_word::<A>(found) == word && i + j - found <= FURTHEST {
            self.tag::<A>(i + j, TAG_NEW);
            return self.new_distance::<A>(i, j, found);
        }
        // A byte less at another distance takes longer to find than it is worth.
        if tag == TAG_SAME_THREE {
            self.tag::<A>(i + j, tag);
            return self.low_bytes::<A>(word, 3);
        }
        let found = exchange(self.seen.high, hash(word >> 24), i + j);
        let differs = self.page_word::<A>(found) ^ word;
        if differs < 1 << 24 && i + j - found <= FURTHEST {
            let bytes = 1 + u64::from((differs | 1).ilog2() / 8);
            if bytes + 1 < A::entry(&BYTES, 8 * tag as usize) {
                self.tag::<A>(i + j, TAG_NEW + bytes as u8);
                self.low_bytes::<A>(word, bytes as usize);
                return self.new_distance::<A>(i, j, found);
            }
        }
        if word >> 40 == 0 && tag > TAG_SAME_FOUR_HIGH {
            self.tag::<A>(i + j, TAG_FIVE);
            return self.low_bytes::<A>(word, 5);
        }
        self.literal::<A>(i + j, tag, word)
    }

    /// As [`Encoder::word`], with what takes the fewest bytes where tags are predicted. It compares with more
    /// words.
    #[inline(always)]
    fn best_word<A: Access>(&mut self, i: usize) {
        let word = self.page_word::<A>(i);
        let before = self.page_word::<A>(self.source);
        let predicted = predicted_after(A::get(self.out, TAGS + self.source, LAST_BYTE));
        // In half bytes. A tag that is not predicted takes one.
        let cost = |tag: u8| 2 * A::entry(&BYTES, 8 * tag as usize) + u64::from(tag != predicted);
        let mut best = match word ^ before {
            0 if word != 0 || predicted != TAG_ZERO => TAG_SAME,
            _ if word == 0 => TAG_ZERO,
            differs => BY_SAME[span(differs)],
        };
        let mut least = cost(best);
        if least > 3 {
            if least > cost(TAG_FIVE) && word >> 40 == 0 {
                (best, least) = (TAG_FIVE, cost(TAG_FIVE));
            }
            let whole = exchange(self.seen.whole, hash(word), i);
            let near = exchange(self.seen.near, hash(word >> 16), i);
            let high = exchange(self.seen.high, hash(word >> 24), i);
            let mut source = None;
            for found in [whole, near, high] {
                let differs = self.page_word::<A>(found) ^ word;
                if differs < 1 << 24 && i - found <= FURTHEST {
                    let tag = TAG_NEW + ((71 - differs.leading_zeros()) / 8) as u8;
                    // The distance takes two half bytes, and a change of it must win something.
                    if cost(tag) + 3 < least {
                        (best, least, source) = (tag, cost(tag) + 2, Some(found));
                    }
                }
            }
            if let Some(found) = source {
                self.new_distance::<A>(i, 0, found);
            }
        }
        self.literal::<A>(i, best, word);
        // If it is predicted, the next one is written over it.
        A::put(self.out, self.miss, best, LAST_BYTE);
        self.miss += usize::from(best != predicted);
        A::put(self.out, MISSED + i, u8::from(best != predicted), LAST_BYTE);
    }

    /// Codes the word after those that were coded.
    #[inline(always)]
    fn one_word<A: Access, const BEST: bool>(&mut self, i: usize) {
        if BEST {
            self.best_word::<A>(i);
        } else {
            self.word::<A>(i, 0);
        }
        self.source = self.source.wrapping_add(1);
    }

    /// Codes the run after those that were coded.
    #[inline(always)]
    fn run<A: Access, const BEST: bool>(&mut self, i: usize) {
        if BEST {
            for j in 0..RUN {
                self.one_word::<A, BEST>(i + j);
            }
        } else {
            macro_rules! word {
                ($($j:literal)*) => {
                    $( self.word::<A>(i, $j); )*
                };
            }
            word!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            self.source = self.source.wrapping_add(RUN);
        }
    }

    /// Codes word 0, which has none before it.
    fn first<A: Access>(&mut self) {
        let word = self.page_word::<A>(0);
        let tag = match word {
            0 => TAG_ZERO,
            _ => BY_ZERO[span(word)],
        };
        self.literal::<A>(0, tag, word);
        A::put(self.out, self.miss, tag, LAST_BYTE);
        self.miss += usize::from(tag != TAG_ZERO);
        A::put(self.out, MISSED, u8::from(tag != TAG_ZERO), LAST_BYTE);
    }
}

/// Literal bytes and distances of the first stretch above which a page may be random, or have no words.
const MAYBE_NO_WORDS: usize = 7 * STRETCH;

/// How many of 16 words, taken from all over the page, are 8 characters of ASCII, or end with fewer.
#[inline(always)]
pub(super) fn count_text<A: Access>(page: &[u8; PAGE_SIZE]) -> usize {
    let mut text = 0;
    for i in 0..16 {
        // Not at the same place of each record.
        let word = A::load(page, 8 * 31 * i, LAST_WORD);
        text += usize::from(word & 0x8080_8080_8080_8080 == 0 && word >> 56 != 0);
    }
    text
}

/// Returns whether half of 16 words, taken from all over the page, are neither pointers nor numbers: their
/// two highest bytes are not all the same bit.
#[cold]
pub(super) fn has_no_words<A: Access>(page: &[u8; PAGE_SIZE]) -> bool {
    let is_none = |i: &usize| !matches!(A::load(page, 8 * 31 * i, LAST_WORD) >> 48, 0 | 0xffff);
    (0..16).filter(is_none).count() >= 8
}

/// Returns whether bytes taken from all over the page differ as random bytes do.
#[cold]
fn is_random(page: &[u8; PAGE_SIZE]) -> bool {
    let mut seen = [0_u8; 256];
    for word in page.chunks_exact(8).step_by(WORDS / 16) {
        for byte in word {
            seen[*byte as usize] = 1;
        }
    }
    // Of 128 random bytes, 101 are different; 88 or fewer in one of a thousand pages.
    seen.iter().map(|seen| *seen as usize).sum::<usize>() > 88
}

/// Codes a page into literal bytes in `out`, from its second byte on, tags at [`TAGS`], and distances from
/// its end down. It stops where `room` bytes, at most a page, will not do.
pub(super) fn encode<A: Access, const BEST: bool>(
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    room: usize,
    work: &mut Workspace,
) -> Encoded {
    work.table[..if BEST { 3 } else { 2 } * 256].fill(0);
    let Some((whole, rest)) = work.table.split_first_chunk_mut() else {
        unreachable!()
    };
    let Some((high, rest)) = rest.split_first_chunk_mut() else {
        unreachable!()
    };
    let Some((near, _)) = rest.split_first_chunk_mut() else {
        unreachable!()
    };
    let mut encoder = Encoder {
        page,
        out,
        seen: Seen { whole, high, near },
        at: 1,
        source: 0,
        first_distance: DISTANCES_END,
        miss: MISSES,
    };
    encoder.first::<A>();
    for i in 1..RUN {
        encoder.one_word::<A, BEST>(i);
    }
    // The most that tags take.
    let tags = if BEST { PLAIN_TAGS + BITS } else { PLAIN_TAGS };
    let (Some(room_for_stretch), Some(room_for_run)) = (
        room.checked_sub(tags + room_of(STRETCH)),
        room.checked_sub(tags + room_of(RUN)),
    ) else {
        return Encoded::TooLong;
    };
    let mut i = RUN;
    for stretch in 0..WORDS / STRETCH {
        let taken = encoder.taken();
        if stretch == 1 && taken > MAYBE_NO_WORDS {
            if is_random(page) {
                return Encoded::Random;
            }
            if has_no_words::<A>(page) {
                return Encoded::TooLong;
            }
        }
        let is_tight = taken > room_for_stretch;
        while i < (stretch + 1) * STRETCH {
            if is_tight && encoder.taken() > room_for_run {
                return match is_random(page) {
                    true => Encoded::Random,
                    false => Encoded::TooLong,
                };
            }
            encoder.run::<A, BEST>(i);
            i += RUN;
        }
    }
    Encoded::Words {
        literals: encoder.at,
        first_distance: encoder.first_distance,
        misses: encoder.miss - MISSES,
    }
}
