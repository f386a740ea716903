// SPDX-License-Identifier: GPL-2.0

//! Tags and distances, as an object has them.

use super::{
    access::Access,
    buffer::{
        Buffer,
        DISTANCES_END,
        LAST_BYTE,
        LAST_EIGHT,
        MISSED,
        MISSES,
        TAGS, //
    },
    format::{
        Damaged,
        BITS,
        FURTHEST,
        LAST_TAG,
        PLAIN_TAGS,
        TAG_NEW,
        TAG_SAME,
        WORDS, //
    },
};

const LAST_TAGS: usize = WORDS - 8;

/// Writes the distances, which begin at `first` in the buffer, at `at`. Returns where they end.
#[inline(always)]
pub(super) fn put_distances<A: Access>(out: &mut Buffer, at: usize, first: usize) -> usize {
    let (mut from, mut to) = (first, at);
    // The last eight may be too many. Tags are written over them.
    while from < DISTANCES_END {
        let eight = A::load(out, from, LAST_EIGHT);
        A::store(out, to, eight, LAST_EIGHT);
        from += 8;
        to += 8;
    }
    at + DISTANCES_END - first
}

/// Two tags in each byte: those of words 0 to 7 of 16 in the low halves, those of words 8 to 15 in the
/// high ones. Returns where they end.
#[inline]
pub(super) fn pack_plain<A: Access>(out: &mut Buffer, at: usize) -> usize {
    for sixteen in 0..WORDS / 16 {
        let low = A::load(out, TAGS + 16 * sixteen, LAST_EIGHT);
        let high = A::load(out, TAGS + 16 * sixteen + 8, LAST_EIGHT);
        A::store(out, at + 8 * sixteen, low | high << 4, LAST_EIGHT);
    }
    at + PLAIN_TAGS
}

/// The reverse of [`pack_plain`], for the object's last bytes, to tags times 8. Returns where they begin.
#[inline]
pub(super) fn unpack_plain<A: Access>(
    object: &[u8],
    tags: &mut [u8; WORDS],
) -> Result<usize, Damaged> {
    const SCALED: u64 = 0x7878_7878_7878_7878;
    let start = object.len().checked_sub(PLAIN_TAGS).ok_or(Damaged)?;
    let last = object.len() - 8;
    for sixteen in 0..WORDS / 16 {
        let both = A::load(object, start + 8 * sixteen, last);
        A::store(tags, 16 * sixteen, both << 3 & SCALED, LAST_TAGS);
        A::store(tags, 16 * sixteen + 8, both >> 1 & SCALED, LAST_TAGS);
    }
    Ok(start)
}

/// A half byte for each of `misses` tags that are not as predicted, and then a bit for each tag, which says
/// whether it is not. Returns where they end.
#[inline]
pub(super) fn pack_predicted<A: Access>(out: &mut Buffer, at: usize, misses: usize) -> usize {
    let mut to = at;
    // Eight bytes at a time, each a tag, to four. Those too many are written over.
    for eight in 0..misses.div_ceil(8) {
        let tags = A::load(out, MISSES + 8 * eight, LAST_EIGHT);
        let pairs = (tags | tags >> 4) & 0x00ff_00ff_00ff_00ff;
        let pairs = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
        A::store(out, to, pairs & 0xffff | pairs >> 16, LAST_EIGHT);
        to += 4;
    }
    // A half that is left over is 0, not what was there before. If there is none, this is of the bits.
    let half = A::get(out, at + misses / 2, LAST_BYTE) & 0xf;
    A::put(out, at + misses / 2, half, LAST_BYTE);
    let at = at + misses.div_ceil(2);
    for group in 0..BITS {
        // The lowest bit of each byte, in the order of the bytes.
        let missed = A::load(out, MISSED + 8 * group, LAST_EIGHT);
        let bits = missed.wrapping_mul(0x0102_0408_1020_4080) >> 56;
        A::put(out, at + group, bits as u8, LAST_BYTE);
    }
    at + BITS
}

/// The reverse of [`pack_predicted`], for the object's last bytes, to tags times 8. Returns where they
/// begin, which is where the distances end.
#[inline(never)]
pub(super) fn unpack_predicted<A: Access>(
    object: &[u8],
    tags: &mut [u8; WORDS],
    missed: &mut [u8; WORDS + 8],
) -> Result<usize, Damaged> {
    const NEW: u8 = 8 * TAG_NEW;
    let (rest, bits) = object.split_last_chunk::<BITS>().ok_or(Damaged)?;
    let count: u32 = bits.iter().map(|bits| bits.count_ones()).sum();
    let count = count as usize;
    let start = rest.len().checked_sub(count.div_ceil(2)).ok_or(Damaged)?;
    // Eight tags at a time. After the last ones are the bits.
    for eight in 0..count.div_ceil(8) {
        let four = A::load(object, start + 4 * eight, object.len() - 8) & 0xffff_ffff;
        let pairs = (four | four << 16) & 0x0000_ffff_0000_ffff;
        let pairs = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
        let tags = (pairs | pairs << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        A::store(missed, 8 * eight, tags << 3, WORDS);
    }
    let mut next = 0;
    let mut end_of_distances = start;
    // Word 0 has none before it. As if there was a zero.
    let mut distance = 0;
    tags[0] = 0;
    for (group, bits) in bits.iter().enumerate() {
        macro_rules! tag {
            ($($j:literal)*) => {
                $(
                    let i = 8 * group + $j;
                    let before = A::get(tags, i - distance, LAST_TAG);
                    let mut tag = if before < NEW { before } else { before - (NEW - 8 * TAG_SAME) };
                    let miss = bits >> $j & 1;
                    if miss != 0 {
                        tag = A::get(missed, next, WORDS);
                    }
                    next += miss as usize;
                    A::put(tags, i, tag, LAST_TAG);
                    if tag >= NEW {
                        // The first byte is the kind.
                        if end_of_distances <= 1 {
                            return Err(Damaged);
                        }
                        end_of_distances -= 1;
                        let byte = A::get(object, end_of_distances, object.len() - 1);
                        distance = FURTHEST - byte as usize;
                        if distance > i {
                            return Err(Damaged);
                        }
                    }
                )*
            };
        }
        tag!(0);
        if group == 0 {
            distance = 1;
        }
        tag!(1 2 3 4 5 6 7);
    }
    Ok(start)
}
