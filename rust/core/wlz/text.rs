// SPDX-License-Identifier: GPL-2.0

//! Pages of text: literal bytes, and matches of bytes.

use super::{
    super::PAGE_SIZE,
    access::Access,
    buffer::{
        Buffer,
        Workspace,
        LAST_BYTE,
        LAST_EIGHT,
        TOKENS, //
    },
    format::{
        Damaged,
        KIND_TEXT,
        LAST_WORD, //
    },
};

/// The shortest match.
const SHORTEST: usize = 4;

/// The nearest match, so that 8 bytes can be copied at once.
const NEAREST: usize = 8;

/// A length that goes on in bytes of its own.
const LONG: usize = 15;

/// No match begins after it.
const LAST_MATCH: usize = PAGE_SIZE - 16;

/// Bytes before the literal ones: the kind, and how many there are.
const HEADER: usize = 3;

/// Bytes of a token while the page is compressed.
const LOOSE_TOKEN: usize = 3;

#[inline(always)]
fn hash(four: u32) -> usize {
    (four.wrapping_mul(0x9e37_79b1) >> 22) as usize
}

#[inline(always)]
fn four<A: Access>(page: &[u8; PAGE_SIZE], at: usize) -> u32 {
    A::load4(page, at, PAGE_SIZE - 4)
}

/// The end of the match of what begins at `p` with what is `distance` bytes before, of which
/// [`SHORTEST`] bytes are known to match.
#[inline(always)]
fn match_end<A: Access>(page: &[u8; PAGE_SIZE], p: usize, distance: usize) -> usize {
    let mut end = p + SHORTEST;
    while end <= LAST_WORD {
        let here = A::load(page, end, LAST_WORD);
        let differs = here ^ A::load(page, end - distance, LAST_WORD);
        if differs != 0 {
            return end + (differs.trailing_zeros() / 8) as usize;
        }
        end += 8;
    }
    while end < PAGE_SIZE && page[end] == page[end - distance] {
        end += 1;
    }
    end
}

/// Bytes that the longest stores write too many, and that two long lengths take.
const SLACK: usize = 40;

// Literal bytes, with what is written too much of them, end before tokens begin; and tokens, of which each
// stands for a match, before the buffer does.
const _: () = {
    let long_lengths = 2 + PAGE_SIZE / 255;
    assert!(long_lengths + 16 <= SLACK && PAGE_SIZE <= TOKENS);
    assert!(TOKENS + PAGE_SIZE / SHORTEST * LOOSE_TOKEN <= LAST_EIGHT);
};

/// Writes what is left of a long length at `at`. Returns where it ends.
fn put_long<A: Access>(out: &mut Buffer, mut at: usize, mut left: usize) -> usize {
    loop {
        A::put(out, at, left.min(255) as u8, LAST_BYTE);
        at += 1;
        if left < 255 {
            return at;
        }
        left -= 255;
    }
}

/// Writes the bytes from `from` to `to` of the page at `at`. Returns where they end.
fn put_literals<A: Access>(
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    mut at: usize,
    mut from: usize,
    to: usize,
) -> usize {
    let end = at + to - from;
    // At the end of the page there are no 8 bytes.
    while from < to && from <= LAST_WORD {
        A::store(out, at, A::load(page, from, LAST_WORD), LAST_EIGHT);
        from += 8;
        at += 8;
    }
    while from < to {
        A::put(out, at, page[from], LAST_BYTE);
        from += 1;
        at += 1;
    }
    end
}

/// Writes the bytes from `from` to `to`, before a match of `length` and the shortest. Returns where they end,
/// and the lengths as a token has them.
#[inline(never)]
fn put_long_sequence<A: Access>(
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    mut at: usize,
    from: usize,
    to: usize,
    length: usize,
) -> (usize, usize) {
    let literals = to - from;
    if literals >= LONG {
        at = put_long::<A>(out, at, literals - LONG);
    }
    at = put_literals::<A>(page, out, at, from, to);
    if length >= LONG {
        at = put_long::<A>(out, at, length - LONG);
    }
    (at, length.min(LONG) << 4 | literals.min(LONG))
}

/// A match, from the page's byte `p` on: where it ends, and how far back it is.
#[derive(Clone, Copy)]
struct Match {
    p: usize,
    end: usize,
    distance: usize,
}

/// The next place from `p` on that something before it matches, in the low half, and where that is, in
/// the high half; 0 if there is none. The longer nothing is found, the fewer places are looked at.
///
/// It stays a function: amid the others, the compiler keeps all that they compute from the place up to
/// date with it.
#[inline(never)]
fn find<A: Access>(page: &[u8; PAGE_SIZE], table: &mut [u16; 1024], mut p: usize) -> u64 {
    let mut look = |p: usize| {
        let here = four::<A>(page, p);
        let last = &mut table[hash(here)];
        let seen = *last as usize;
        if four::<A>(page, seen) != here {
            *last = p as u16;
            None
        } else if p - seen < NEAREST {
            None
        } else {
            *last = p as u16;
            Some(p as u64 | (seen as u64) << 32)
        }
    };
    let stop = (LAST_MATCH - 1).min(p + 32);
    while p < stop {
        if let Some(found) = look(p) {
            return found;
        }
        if let Some(found) = look(p + 1) {
            return found;
        }
        p += 2;
    }
    let mut step = 2;
    while p < LAST_MATCH {
        let stop = LAST_MATCH.min(p + 32 * step);
        while p < stop {
            if let Some(found) = look(p) {
                return found;
            }
            p += step;
        }
        step += 1;
    }
    0
}

/// A longer match that begins one byte after `found`.
fn longer<A: Access>(
    page: &[u8; PAGE_SIZE],
    table: &mut [u16; 1024],
    found: Match,
) -> Option<Match> {
    let p = found.p + 1;
    if p >= LAST_MATCH {
        return None;
    }
    let here = four::<A>(page, p);
    let last = &mut table[hash(here)];
    let seen = *last as usize;
    if four::<A>(page, seen) != here {
        *last = p as u16;
        return None;
    }
    let distance = p - seen;
    if distance < NEAREST {
        return None;
    }
    *last = p as u16;
    let end = match_end::<A>(page, p, distance);
    (end > found.end + 1).then_some(Match { p, end, distance })
}

/// Compresses a page to at most `room` bytes, which is at most a page; returns how many. With `LAZY`, a
/// match waits for a longer one.
#[inline(never)]
pub(super) fn compress<A: Access, const LAZY: bool>(
    page: &[u8; PAGE_SIZE],
    out: &mut Buffer,
    room: usize,
    work: &mut Workspace,
) -> Option<usize> {
    let table = &mut work.table;
    table.fill(0);
    let mut at = HEADER;
    let mut token = TOKENS;
    // What was not written yet begins here.
    let mut anchor = 0;
    // Where the literal bytes must end, in half bytes, so that there is room for tokens.
    let mut end = 2 * room.checked_sub(SLACK)?;
    loop {
        let found = find::<A>(page, table, anchor.max(1));
        if found == 0 {
            break;
        }
        let p = found as u32 as usize;
        let distance = p - (found >> 32) as usize;
        let mut found = Match {
            p,
            end: match_end::<A>(page, p, distance),
            distance,
        };
        if LAZY {
            while let Some(longer) = longer::<A>(page, table, found) {
                found = longer;
            }
        }
        // What was passed over because the last place with its hash was another.
        let seen = found.p - found.distance;
        if seen >= 8 {
            let before = A::load(page, found.p - 8, LAST_WORD);
            let differs = before ^ A::load(page, seen - 8, LAST_WORD);
            let matching = (differs | 1).leading_zeros() as usize / 8;
            found.p -= matching.min(found.p - anchor);
        }
        let literals = found.p - anchor;
        if 2 * (at + literals) > end {
            return None;
        }
        let length = found.end - found.p - SHORTEST;
        let lengths;
        if literals < LONG && length < LONG {
            // A match is at least 16 bytes before the end of the page.
            A::store(out, at, A::load(page, anchor, LAST_WORD), LAST_EIGHT);
            A::store(
                out,
                at + 8,
                A::load(page, anchor + 8, LAST_WORD),
                LAST_EIGHT,
            );
            at += literals;
            lengths = length << 4 | literals;
        } else {
            (at, lengths) = put_long_sequence::<A>(page, out, at, anchor, found.p, length);
        }
        A::store(
            out,
            token,
            ((found.distance - NEAREST) << 8 | lengths) as u64,
            LAST_EIGHT,
        );
        token += LOOSE_TOKEN;
        end -= 5;
        anchor = found.end;
    }
    if 2 * (at + PAGE_SIZE - anchor) > end {
        return None;
    }
    at = put_literals::<A>(page, out, at, anchor, PAGE_SIZE);
    let literals = at - HEADER;
    [out[0], out[1], out[2]] = [KIND_TEXT, literals as u8, (literals >> 8) as u8];
    // After the last one there is none.
    A::store(out, token, 0, LAST_EIGHT);
    let tokens_end = token;
    token = TOKENS;
    while token < tokens_end {
        let two = A::load(out, token, LAST_EIGHT);
        A::store(
            out,
            at,
            two & 0xf_ffff | (two >> 24 & 0xf_ffff) << 20,
            LAST_EIGHT,
        );
        token += 2 * LOOSE_TOKEN;
        at += 5;
    }
    // One token takes three bytes.
    Some(if token > tokens_end { at - 2 } else { at })
}

/// What an object of text is made of, beside its tokens.
#[derive(Clone, Copy)]
struct Literals<'a> {
    object: &'a [u8],
    /// Where they end.
    end: usize,
}

/// How far an object of text was read, and its page written.
#[derive(Clone, Copy)]
struct Progress {
    /// The next literal byte in the object.
    at: usize,
    /// The next byte of the page.
    p: usize,
}

/// What a token writes and reads at most, where no length is long, with what a copy does too much.
const SHORT_WRITTEN: usize = LONG - 1 + 24;
const SHORT_READ: usize = 16;

/// The same for two tokens.
const TWO_WRITTEN: usize = LONG - 1 + LONG - 1 + SHORTEST + SHORT_WRITTEN;
const TWO_READ: usize = LONG - 1 + SHORT_READ;

impl Literals<'_> {
    /// The rest of a long length at `at`, and where it ends.
    #[inline(always)]
    fn long(&self, mut at: usize) -> Option<(usize, usize)> {
        let mut length = LONG;
        loop {
            let more = *self.object.get(at)?;
            at += 1;
            length += more as usize;
            if more < 255 {
                return Some((length, at));
            }
        }
    }

    /// Copies literal bytes, looking at each bound.
    #[inline(always)]
    fn copy<A: Access>(
        &self,
        page: &mut [u8; PAGE_SIZE],
        now: Progress,
        length: usize,
    ) -> Option<Progress> {
        let (at, p) = (now.at + length, now.p + length);
        if at > self.end || p > PAGE_SIZE {
            return None;
        }
        // Eight bytes at a time go too far by seven.
        if p <= LAST_WORD && at + 8 <= self.object.len() {
            let mut done = 0;
            while done < length {
                let copied = A::load(self.object, now.at + done, self.object.len() - 8);
                A::store(page, now.p + done, copied, LAST_WORD);
                done += 8;
            }
        } else {
            page[now.p..p].copy_from_slice(&self.object[now.at..at]);
        }
        Some(Progress { at, p })
    }

    /// Writes what a token says, looking at each bound.
    fn any_token<A: Access>(
        &self,
        page: &mut [u8; PAGE_SIZE],
        mut now: Progress,
        token: usize,
    ) -> Option<Progress> {
        let mut literals = token & 15;
        if literals == LONG {
            (literals, now.at) = self.long(now.at)?;
        }
        now = self.copy::<A>(page, now, literals)?;
        let mut length = token >> 4 & 15;
        if length == LONG {
            (length, now.at) = self.long(now.at)?;
        }
        let source = now.p.checked_sub((token >> 8 & 0xfff) + NEAREST)?;
        length += SHORTEST;
        let end = now.p + length;
        if end > PAGE_SIZE {
            return None;
        }
        let mut done = 0;
        if end <= LAST_WORD {
            while done < length {
                let copied = A::load(page, source + done, LAST_WORD);
                A::store(page, now.p + done, copied, LAST_WORD);
                done += 8;
            }
        }
        while done < length {
            page[now.p + done] = page[source + done];
            done += 1;
        }
        now.p = end;
        Some(now)
    }

    /// As [`Literals::any_token`]. Where that returns nothing, this is after the end of the page.
    #[inline(never)]
    fn long_token<A: Access>(
        &self,
        page: &mut [u8; PAGE_SIZE],
        now: Progress,
        token: usize,
    ) -> Progress {
        self.any_token::<A>(page, now, token).unwrap_or(NEVER)
    }

    /// Writes what a token says. It is after the end of the page if it says what cannot be.
    #[inline(always)]
    fn token<A: Access>(
        &self,
        page: &mut [u8; PAGE_SIZE],
        now: Progress,
        token: usize,
    ) -> Progress {
        if any_long(token as u64 & 0xff)
            || now.p + SHORT_WRITTEN > PAGE_SIZE
            || now.at + SHORT_READ > self.object.len()
        {
            self.long_token::<A>(page, now, token)
        } else {
            self.short_token::<A>(page, now, token)
        }
    }

    /// Writes what a token says, with lengths that are not long: there is room for the longest.
    #[inline(always)]
    fn short_token<A: Access>(
        &self,
        page: &mut [u8; PAGE_SIZE],
        mut now: Progress,
        token: usize,
    ) -> Progress {
        let last = self.object.len() - 8;
        let literals = token & 15;
        A::store(page, now.p, A::load(self.object, now.at, last), LAST_WORD);
        A::store(
            page,
            now.p + 8,
            A::load(self.object, now.at + 8, last),
            LAST_WORD,
        );
        now.p += literals;
        now.at += literals;
        let Some(source) = now.p.checked_sub((token >> 8 & 0xfff) + NEAREST) else {
            return NEVER;
        };
        for step in [0, 8, 16] {
            let copied = A::load(page, source + step, LAST_WORD);
            A::store(page, now.p + step, copied, LAST_WORD);
        }
        now.p += (token >> 4 & 15) + SHORTEST;
        now
    }
}

/// After the end of any page.
const NEVER: Progress = Progress {
    at: usize::MAX / 2,
    p: usize::MAX / 2,
};

/// Returns whether one of two tokens has a long length: four bits that are all set.
#[inline(always)]
fn any_long(two: u64) -> bool {
    let pairs = two & two >> 1;
    pairs & pairs >> 2 & 0x0110_0011 != 0
}

/// Writes `page` of an object of text.
#[inline(never)]
pub(super) fn decompress<A: Access>(
    object: &[u8],
    page: &mut [u8; PAGE_SIZE],
) -> Result<(), Damaged> {
    let &[_, low, high, ..] = object else {
        return Err(Damaged);
    };
    let end = HEADER + low as usize + 256 * high as usize;
    let bytes = object.len().checked_sub(end).ok_or(Damaged)?;
    // What is left of a pair must be a token.
    if !matches!(bytes % 5, 0 | 3) {
        return Err(Damaged);
    }
    let literals = Literals { object, end };
    // Where two tokens can be read, and where what two short ones stand for can be.
    let last_pair = object.len().saturating_sub(8);
    let last_at = object.len().saturating_sub(TWO_READ);
    let mut now = Progress { at: HEADER, p: 0 };
    let mut pair = end;
    loop {
        while pair < last_pair && now.at < last_at && now.p < PAGE_SIZE - TWO_WRITTEN {
            let two = A::load(object, pair, object.len() - 8);
            if any_long(two) {
                break;
            }
            now = literals.short_token::<A>(page, now, two as usize);
            if now.p > PAGE_SIZE {
                return Err(Damaged);
            }
            now = literals.short_token::<A>(page, now, (two >> 20) as usize);
            if now.p > PAGE_SIZE {
                return Err(Damaged);
            }
            pair += 5;
        }
        match object[pair..] {
            [a, b, c, d, e, ..] => {
                let two = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
                now = literals.token::<A>(page, now, two as usize);
                now = literals.token::<A>(page, now, (two >> 20) as usize);
                pair += 5;
            }
            [a, b, c] => {
                let one = u32::from_le_bytes([a, b, c, 0]) as usize;
                now = literals.token::<A>(page, now, one);
                break;
            }
            _ => break,
        }
        if now.p > PAGE_SIZE {
            return Err(Damaged);
        }
    }
    let left = end.checked_sub(now.at).ok_or(Damaged)?;
    now = literals.copy::<A>(page, now, left).ok_or(Damaged)?;
    match now.p == PAGE_SIZE {
        true => Ok(()),
        false => Err(Damaged),
    }
}
