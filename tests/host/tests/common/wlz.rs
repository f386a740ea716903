// SPDX-License-Identifier: GPL-2.0

//! What the codec for pages must do with any page and any bytes; and its format, stated a second time.

use ghostswap_core::wlz::{
    compress,
    compress_checked,
    decompress,
    decompress_checked,
    Damaged,
    Level,
    Workspace,
    BUFFER, //
};
use ghostswap_core::PAGE_SIZE;

use crate::guarded::Guarded;

type Page = [u8; PAGE_SIZE];

/// What tags stand for: the base (0: zero, 1: the last distance, 2: a new one), the first literal
/// byte, and how many there are.
const PATTERNS: [(u8, usize, usize); 16] = [
    (0, 0, 0),
    (1, 0, 0),
    (1, 0, 1),
    (1, 0, 2),
    (1, 0, 3),
    (1, 4, 1),
    (1, 0, 4),
    (1, 4, 4),
    (1, 0, 6),
    (1, 0, 7),
    (0, 0, 5),
    (0, 0, 8),
    (2, 0, 0),
    (2, 0, 1),
    (2, 0, 2),
    (2, 0, 3),
];

/// The tag that is predicted after each.
const NEXT: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2, 3, 4];

/// The page that an object stands for, byte by byte; [`None`] if it is damaged.
pub fn model(object: &[u8]) -> Option<Page> {
    match object.first()? {
        0 => {
            let (rest, tags) = object.split_last_chunk::<256>()?;
            words(rest, |i, _| {
                let byte = tags[i / 16 * 8 + i % 8];
                Some((if i % 16 < 8 { byte } else { byte >> 4 }) as usize % 16)
            })
        }
        1 => {
            let (rest, misses) = object.split_last_chunk::<64>()?;
            let count: usize = misses.iter().map(|byte| byte.count_ones() as usize).sum();
            let (rest, halves) = rest.split_at(rest.len().checked_sub(count.div_ceil(2))?);
            let mut halves = halves.iter().flat_map(|byte| [byte % 16, byte / 16]);
            let mut tags = Vec::new();
            words(rest, |i, distance| {
                let tag = match misses[i / 8] >> (i % 8) & 1 {
                    0 if distance > i => 0,
                    0 => NEXT[tags[i - distance]],
                    _ => halves.next()? as usize,
                };
                tags.push(tag);
                Some(tag)
            })
        }
        2 => text(object),
        _ => None,
    }
}

/// A page of words: literal bytes after the first byte, distances from the end. `tag` is told the word and
/// the distance of the one before.
fn words(rest: &[u8], mut tag: impl FnMut(usize, usize) -> Option<usize>) -> Option<Page> {
    let mut page = [0; PAGE_SIZE];
    let (mut literals, mut distance) = (rest.get(1..)?, 1);
    for i in 0..PAGE_SIZE / 8 {
        let (base, skip, bytes) = PATTERNS[tag(i, distance)?];
        if base == 2 {
            let (last, before) = literals.split_last()?;
            (literals, distance) = (before, 256 - *last as usize);
        }
        if base != 0 {
            if distance > i {
                return None;
            }
            page.copy_within(8 * (i - distance)..8 * (i - distance) + 8, 8 * i);
        }
        let (taken, left) = literals.split_at_checked(bytes)?;
        page[8 * i + skip..8 * i + skip + bytes].copy_from_slice(taken);
        literals = left;
    }
    literals.is_empty().then_some(page)
}

/// A page of text.
fn text(object: &[u8]) -> Option<Page> {
    let mut page = Vec::new();
    let (header, rest) = object.split_at_checked(3)?;
    let literals = header[1] as usize + 256 * header[2] as usize;
    let (mut literals, tokens) = rest.split_at_checked(literals)?;
    let halves: Vec<_> = (tokens.iter())
        .flat_map(|byte| [*byte as usize % 16, *byte as usize / 16])
        .collect();
    // Half a byte may be left over.
    if halves.len() % 5 > 1 {
        return None;
    }
    fn long(length: usize, literals: &mut &[u8]) -> Option<usize> {
        let mut length = length;
        if length == 15 {
            loop {
                let (more, left) = literals.split_first()?;
                *literals = left;
                length += *more as usize;
                if *more < 255 {
                    break;
                }
            }
        }
        Some(length)
    }
    for token in halves.chunks_exact(5) {
        let count = long(token[0], &mut literals)?;
        let (taken, left) = literals.split_at_checked(count)?;
        page.extend_from_slice(taken);
        literals = left;
        let length = long(token[1], &mut literals)? + 4;
        let distance = (token[2] | token[3] << 4 | token[4] << 8) + 8;
        if distance > page.len() || page.len() + length > PAGE_SIZE {
            return None;
        }
        for _ in 0..length {
            page.push(page[page.len() - distance]);
        }
    }
    page.extend_from_slice(literals);
    page.try_into().ok()
}

/// Bytes of a sequence that does not repeat soon, behind `bytes`.
fn push_any(bytes: &mut Vec<u8>, count: usize) {
    for _ in 0..count {
        bytes.push((bytes.len() * 37 ^ bytes.len() >> 5) as u8);
    }
}

/// Two half bytes in each byte.
fn push_halves(bytes: &mut Vec<u8>, halves: &[usize]) {
    let pairs = halves.chunks(2);
    bytes.extend(pairs.map(|pair| (pair[0] | pair.get(1).unwrap_or(&0) << 4) as u8));
}

/// An object that stands for a page of words with these tags, and distances less 1, again and again,
/// whether or not any page is compressed to it.
pub fn object_of_words(tags: &[u8], distances: &[u8], is_predicted: bool) -> Vec<u8> {
    let mut object = vec![u8::from(is_predicted)];
    let mut wanted = distances.iter().map(|less| *less as usize + 1).cycle();
    let (mut all, mut missed, mut bits) = (Vec::new(), Vec::new(), [0; 64]);
    let (mut new, mut distance) = (Vec::new(), 1);
    for i in 0..PAGE_SIZE / 8 {
        let predicted = if distance > i {
            0
        } else {
            NEXT[all[i - distance]]
        };
        let mut tag = tags[i % tags.len()] as usize;
        if i == 0 && PATTERNS[tag].0 != 0 {
            tag = 0;
        }
        if tag != predicted {
            missed.push(tag);
            bits[i / 8] |= 1_u8 << (i % 8);
        }
        if PATTERNS[tag].0 == 2 {
            distance = wanted.next().map_or(1, |wanted| wanted.min(i));
            new.push((256 - distance) as u8);
        }
        push_any(&mut object, PATTERNS[tag].2);
        all.push(tag);
    }
    object.extend(new.iter().rev());
    if is_predicted {
        push_halves(&mut object, &missed);
        object.extend(bits);
    } else {
        for tags in all.chunks(16) {
            object.extend((0..8).map(|j| (tags[j] | tags[j + 8] << 4) as u8));
        }
    }
    object
}

/// An object that stands for a page of text with these tokens: literal bytes, length less 4 and distance
/// less 8. They are fitted to the page, whose end is literal bytes.
pub fn object_of_text(tokens: &[(usize, usize, usize)]) -> Vec<u8> {
    fn half(count: usize, literals: &mut Vec<u8>) -> usize {
        if count >= 15 {
            let more = count - 15;
            literals.extend(std::iter::repeat(255).take(more / 255));
            literals.push((more % 255) as u8);
        }
        count.min(15)
    }
    let (mut literals, mut halves, mut p) = (Vec::new(), Vec::new(), 0);
    for (count, length, distance) in tokens {
        let count = *count.max(&8_usize.saturating_sub(p));
        let Some(room) = PAGE_SIZE.checked_sub(p + count + 4) else {
            break;
        };
        halves.push(half(count, &mut literals));
        push_any(&mut literals, count);
        p += count;
        let length = *length.min(&room);
        halves.push(half(length, &mut literals));
        let distance = *distance.min(&(p - 8));
        halves.extend([distance % 16, distance / 16 % 16, distance / 256]);
        p += length + 4;
    }
    push_any(&mut literals, PAGE_SIZE - p);
    let mut object = vec![2, literals.len() as u8, (literals.len() >> 8) as u8];
    object.extend(literals);
    push_halves(&mut object, &halves);
    object
}

/// What objects before may have left.
fn used_workspace() -> Workspace {
    let mut work = Workspace::new();
    for object in [
        [&[0][..], &[0xff; 256]].concat(),
        [&[1][..], &[0xdd; 300]].concat(),
    ] {
        let done = decompress_checked(&object, &mut [0; PAGE_SIZE], &mut work);
        assert_eq!(done, Err(Damaged));
    }
    work
}

/// Checks that `object` gives what the model says, with and without looking at bounds, whatever was in
/// the page and in the workspace before, and that nothing is read or written beside them.
pub fn check_object(object: &[u8]) {
    let expected = model(object);
    let mut memory = Guarded::new(object.len());
    let mut page = Guarded::new(PAGE_SIZE);
    let page: &mut Page = page.first(PAGE_SIZE).try_into().expect("it is a page");
    for (old, is_first) in [(0x00, true), (0xff, false), (0xa5, true)] {
        let object = match is_first {
            true => {
                memory.first(object.len()).copy_from_slice(object);
                memory.first(object.len())
            }
            false => {
                memory.last(object.len()).copy_from_slice(object);
                memory.last(object.len())
            }
        };
        let mut whatever = None;
        for decompress in [decompress_checked, decompress] {
            page.fill(old);
            let mut work = if is_first {
                Workspace::new()
            } else {
                used_workspace()
            };
            let result = decompress(object, page, &mut work);
            match &expected {
                Some(expected) => {
                    assert_eq!(result, Ok(()));
                    assert!(*page == *expected, "another page");
                }
                None => assert_eq!(result, Err(Damaged)),
            }
            // Also of what is not to be looked at.
            let before = whatever.replace(page.to_vec());
            assert!(
                before.is_none_or(|before| before == *page),
                "it matters whether bounds are looked at"
            );
        }
    }
}

/// What `page` is compressed to, with and without looking at bounds, and whatever was in the buffer before.
pub fn compressed(level: Level, page: &Page, room: usize) -> Option<Vec<u8>> {
    let [checked, unchecked] = [(true, 0x5a), (false, 0xa5)].map(|(is_checked, old)| {
        let mut out = Box::new([old; BUFFER]);
        let compress = match is_checked {
            true => compress_checked,
            false => compress,
        };
        let length = compress(level, page, &mut out, room, &mut Workspace::new())?;
        Some(out[..length].to_vec())
    });
    assert_eq!(
        checked, unchecked,
        "it matters whether bounds are looked at, or what was there before"
    );
    unchecked
}

/// Checks that `page` comes back at each level. Returns the objects.
pub fn check_page(page: &Page, room: usize) -> Vec<Vec<u8>> {
    let mut objects = Vec::new();
    for level in [Level::Fast, Level::Dense] {
        let Some(object) = compressed(level, page, room) else {
            continue;
        };
        assert!(object.len() <= room);
        assert!(model(&object).as_ref() == Some(page), "another page");
        check_object(&object);
        objects.push(object);
    }
    objects
}
