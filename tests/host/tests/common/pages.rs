// SPDX-License-Identifier: GPL-2.0

//! Pages of memory as programs have it, made by a recipe of bytes.

use ghostswap_core::PAGE_SIZE;

pub const WORDS: usize = PAGE_SIZE / 8;

const TEXT: &[u8] = b"the quick brown fox jumps over the lazy dog; if (error) return -EINVAL; \
    {\"name\": \"value\", \"count\": 12}\n\x00\x00\x00\x00";

/// The page that `recipe` describes. Each step takes a few bytes of it; the page ends with zeros if
/// there are too few.
pub fn page(recipe: &[u8]) -> [u8; PAGE_SIZE] {
    let mut words = [0; WORDS];
    let mut recipe = recipe.iter().map(|byte| *byte as usize);
    let mut draw = 0x2545_f491_4f6c_dd1d_u64;
    let mut at = 0;
    while at < WORDS {
        let (Some(kind), Some(count), Some(what)) = (recipe.next(), recipe.next(), recipe.next())
        else {
            break;
        };
        let mut run = count % 32 + 1;
        while run > 0 && at < WORDS {
            draw = draw
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(what as u64 * 2 + 1);
            let random = draw >> 33 | draw << 31;
            let back = |distance: usize| match distance {
                1.. if distance <= at => words[at - distance],
                _ => 0,
            };
            words[at] = match kind % 12 {
                0 => 0,
                // The same record again, and again with other bytes.
                1 => back(what + 1),
                2 => back(what + 1) ^ random % 256 << (8 * (count % 8)),
                3 => back(what % 7 + 1).wrapping_add(16 * (random % 4096)),
                4 => back(what % 7 + 1) ^ random << 32,
                // Pointers, and small numbers in each half.
                5 => 0x7f00_1234_0000 + what as u64 * 0x1000 + random % 4096 / 8 * 8,
                6 => random % 1000,
                7 => random % 1000 << 32 | what as u64,
                8 => random % (1 << (8 * (what % 8) + 1)),
                9 | 10 => {
                    let place = (what * 7 + 8 * (at % 11)) % (TEXT.len() - 8);
                    let text: [u8; 8] = TEXT[place..place + 8].try_into().expect("there are 8");
                    u64::from_le_bytes(text)
                }
                _ => random,
            };
            at += 1;
            run -= 1;
        }
    }
    let mut page = [0; PAGE_SIZE];
    for (bytes, word) in page.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    // Not everything begins at a word.
    if let Some(shift) = recipe.next() {
        page.rotate_left(shift % 8);
    }
    page
}
