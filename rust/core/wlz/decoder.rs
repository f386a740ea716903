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
    /// Where the next literal bytes are.
    at: usize,
    /// Where the distances end that are left. The next one is the last of them.
    distances: usize,
    /// The last distance, in bytes.
    distance: usize,
}

impl Decoder<'_> {
    /// Writes the word that begins at byte `p`, of which the tag was seen to.
    #[inline(always)]
    fn word<A: Access>(&mut self, p: usize, source: usize, tag: usize) {
        let kept = A::load(self.page, source, LAST_WORD) & A::entry(&KEPT, tag);
        let literal =
            A::load(self.object, self.at, self.object.len() - 8) & A::entry(&LITERAL, tag);
        let word = kept | literal.wrapping_mul(A::entry(&PLACE, tag));
        A::store(self.page, p, word, LAST_WORD);
        self.at += A::entry(&BYTES, tag) as usize;
    }

    /// Takes the next distance, for the word that begins at byte `p`.
    #[inline(always)]
    fn next_distance<A: Access>(&mut self, p: usize) -> Result<(), Damaged> {
        // There are none before the literal bytes.
        if self.distances <= self.at {
            return Err(Damaged);
        }
        self.distances -= 1;
        let byte = A::get(self.object, self.distances, self.object.len() - 1);
        self.distance = 8 * (FURTHEST - byte as usize);
        if self.distance > p {
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
        self.word::<A>(p, p.wrapping_sub(self.distance), tag);
        Ok(())
    }

    /// Writes the group that begins at byte `p`.
    #[inline(always)]
    fn group<A: Access>(&mut self, p: usize) -> Result<(), Damaged> {
        let tags = A::peek(self.tags, p / 8, WORDS - 8);
        if (tags + 0x2020_2020_2020_2020) & 0x8080_8080_8080_8080 == 0 {
            let source = p.wrapping_sub(self.distance);
            macro_rules! word {
                ($($j:literal)*) => {
                    $(
                        let tag = A::get(self.tags, p / 8 + $j, LAST_TAG) as usize;
                        self.word::<A>(p + 8 * $j, source.wrapping_add(8 * $j), tag);
                    )*
                };
            }
            word!(0 1 2 3 4 5 6 7);
        } else {
            macro_rules! any_word {
                ($($j:literal)*) => {
                    $( self.any_word::<A>(p + 8 * $j)?; )*
                };
            }
            any_word!(0 1 2 3 4 5 6 7);
        }
        Ok(())
    }
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
    let mut decoder = Decoder {
        object,
        tags,
        page,
        at: 1,
        distances,
        distance: 8,
    };
    // Word 0 has none before it.
    let tag = tags[0] as usize;
    if decoder.at > distances || PATTERNS[tag / 8 % 16].base != Base::Zero {
        return Err(Damaged);
    }
    decoder.word::<A>(0, 0, tag);
    for i in 1..GROUP {
        decoder.any_word::<A>(8 * i)?;
    }
    let mut p = 8 * GROUP;
    while p < PAGE_SIZE {
        // A group has at most 64 literal bytes, so each load ends within 64 bytes after the distances.
        if decoder.at > decoder.distances {
            return Err(Damaged);
        }
        decoder.group::<A>(p)?;
        p += 8 * GROUP;
    }
    // Everything was used, and once.
    match decoder.at == decoder.distances {
        true => Ok(()),
        false => Err(Damaged),
    }
}
