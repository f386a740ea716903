// SPDX-License-Identifier: GPL-2.0

//! Words into pages.

use super::{
    super::PAGE_SIZE,
    access::Access,
    format::{
        Base,
        Damaged,
        BITS,
        BYTES,
        DISTANCES,
        FURTHEST,
        GROUP,
        KEPT,
        LAST_TAG,
        LAST_WORD,
        LITERAL,
        PATTERNS,
        PLACE,
        TAG_NEW,
        WORDS, //
    },
};

struct Decoder<'a> {
    object: &'a [u8],
    /// Tags times 8.
    tags: &'a [u8; WORDS],
    page: &'a mut [u8; PAGE_SIZE],
    state: State,
}

/// Where decoding is.
#[derive(Clone, Copy)]
struct State {
    /// Where the next literal bytes are.
    at: usize,
    /// Where the distances end that are left. The next one is the last of them.
    distances: usize,
    /// The last distance, as it is written down: see [`source`].
    distance: u8,
    /// Eight less than where all distances end, or 0. It stays.
    span: usize,
}

/// Where the word is, in bytes, that is at a distance before byte `p`. The distance is written down as what
/// it is less than [`FURTHEST`]. The result is negative, as it were, if it is before the page.
#[inline(always)]
fn source(p: usize, distance: u8) -> usize {
    p.wrapping_sub(8 * FURTHEST)
        .wrapping_add(8 * distance as usize)
}

/// A byte eight times.
#[inline(always)]
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

impl Decoder<'_> {
    /// Writes the word that begins at byte `p`, of which the tag was seen to.
    #[inline(always)]
    fn word<A: Access>(&mut self, p: usize, source: usize, tag: usize) {
        let kept = A::load(self.page, source, LAST_WORD) & A::entry(&KEPT, tag);
        let literal =
            A::load(self.object, self.state.at, self.object.len() - 8) & A::entry(&LITERAL, tag);
        let word = kept | literal.wrapping_mul(A::entry(&PLACE, tag));
        A::store(self.page, p, word, LAST_WORD);
        self.state.at += A::entry(&BYTES, tag) as usize;
    }

    /// Takes the next distance, for the word that begins at byte `p`.
    #[inline(always)]
    fn next_distance<A: Access>(&mut self, p: usize) -> Result<(), Damaged> {
        // There are none before the literal bytes.
        if self.state.distances <= self.state.at {
            return Err(Damaged);
        }
        self.state.distances -= 1;
        self.state.distance = A::get(self.object, self.state.distances, self.object.len() - 1);
        if source(p, self.state.distance) > p {
            return Err(Damaged);
        }
        Ok(())
    }

    /// Writes word `p / 8`, whatever it is.
    #[inline(always)]
    fn any_word<A: Access>(&mut self, p: usize) -> Result<(), Damaged> {
        let tag = A::get(self.tags, p / 8, LAST_TAG) as usize;
        if tag >= 8 * TAG_NEW as usize {
            self.next_distance::<A>(p)?;
        }
        self.word::<A>(p, source(p, self.state.distance), tag);
        Ok(())
    }

    /// Writes the group that begins at byte `p`.
    #[inline(always)]
    fn group<A: Access>(&mut self, p: usize) -> Result<(), Damaged> {
        let tags = A::peek(self.tags, p / 8, WORDS - 8);
        let new = (tags + each(0x80 - 8 * TAG_NEW)) & each(0x80);
        if new == 0 {
            let source = source(p, self.state.distance);
            macro_rules! word {
                ($($j:literal)*) => {
                    $(
                        let tag = A::get(self.tags, p / 8 + $j, LAST_TAG) as usize;
                        self.word::<A>(p + 8 * $j, source.wrapping_add(8 * $j), tag);
                    )*
                };
            }
            word!(0 1 2 3 4 5 6 7);
            return Ok(());
        }
        // Which words take a new distance follows no rule: a branch for each would be guessed wrong too often.
        if self.state.distances.wrapping_sub(GROUP) >= self.state.span
            || p < 8 * FURTHEST && !self.are_within::<A>(p / 8, new >> 7)
        {
            return self.any_group::<A>(p);
        }
        macro_rules! word {
            ($($j:literal)*) => {
                $(
                    let tag = A::get(self.tags, p / 8 + $j, LAST_TAG) as usize;
                    self.state.distances -= A::entry(&DISTANCES, tag) as usize;
                    let distance = A::get(self.object, self.state.distances, self.object.len() - 1);
                    self.word::<A>(p + 8 * $j, source(p + 8 * $j, distance), tag);
                )*
            };
        }
        word!(0 1 2 3 4 5 6 7);
        self.state.distance = A::get(self.object, self.state.distances, self.object.len() - 1);
        Ok(())
    }

    /// Returns whether the next distances, as many as there are ones in `new`, lead to words of the page from
    /// word `i` and those after it. It may say no where only some after it are far enough.
    #[inline(always)]
    fn are_within<A: Access>(&self, i: usize, new: u64) -> bool {
        const LOW: u64 = 0x00ff_00ff_00ff_00ff;
        const ONES: u64 = 0x0001_0001_0001_0001;
        // Each is one less than the distance. The first byte is the last one.
        let next = !A::load(
            self.object,
            self.state.distances - GROUP,
            self.object.len() - 8,
        );
        let taken =
            next.wrapping_shr(((new.wrapping_mul(each(1)) >> 56) as u32 * 8).wrapping_neg());
        // What is not less than `i` is 256 at least after this.
        let rest = (256 - i as u64) * ONES;
        let (even, odd) = ((taken & LOW) + rest, (taken >> 8 & LOW) + rest);
        (even | odd) & (0x100 * ONES) == 0
    }

    /// Writes the group that begins at byte `p`, whatever it has.
    #[inline(always)]
    fn any_group<A: Access>(&mut self, p: usize) -> Result<(), Damaged> {
        self.state = any_group::<A>(self.object, self.tags, self.page, self.state, p)?;
        Ok(())
    }
}

/// Writes the group that begins at byte `p`, whatever it has. Not inlined, and without the decoder, so that
/// the state is in registers elsewhere.
#[cold]
#[inline(never)]
fn any_group<A: Access>(
    object: &[u8],
    tags: &[u8; WORDS],
    page: &mut [u8; PAGE_SIZE],
    state: State,
    p: usize,
) -> Result<State, Damaged> {
    let mut decoder = Decoder {
        object,
        tags,
        page,
        state,
    };
    for j in 0..GROUP {
        decoder.any_word::<A>(p + 8 * j)?;
    }
    Ok(decoder.state)
}

/// Writes `page`, of which the literal bytes begin at the second byte of `object`, and the distances end
/// at `distances`, [`BITS`] bytes at least before the object's end.
#[inline(never)]
pub(super) fn decode<A: Access>(
    object: &[u8],
    distances: usize,
    tags: &[u8; WORDS],
    page: &mut [u8; PAGE_SIZE],
) -> Result<(), Damaged> {
    const _: () = assert!(8 * GROUP <= BITS);
    let state = State {
        at: 1,
        distances,
        distance: (FURTHEST - 1) as u8,
        span: distances.saturating_sub(GROUP),
    };
    let mut decoder = Decoder {
        object,
        tags,
        page,
        state,
    };
    // Word 0 has none before it.
    let tag = tags[0] as usize;
    if decoder.state.at > distances || PATTERNS[tag / 8 % 16].base != Base::Zero {
        return Err(Damaged);
    }
    decoder.word::<A>(0, 0, tag);
    for i in 1..GROUP {
        decoder.any_word::<A>(8 * i)?;
    }
    let mut p = 8 * GROUP;
    while p < PAGE_SIZE {
        // A group has at most 64 literal bytes, so each load ends within 64 bytes after the distances.
        if decoder.state.at > decoder.state.distances {
            return Err(Damaged);
        }
        decoder.group::<A>(p)?;
        p += 8 * GROUP;
    }
    // Everything was used, and once.
    match decoder.state.at == decoder.state.distances {
        true => Ok(()),
        false => Err(Damaged),
    }
}
