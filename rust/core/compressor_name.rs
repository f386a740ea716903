// SPDX-License-Identifier: GPL-2.0

//! The name of a compressor, and the level that may follow it.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::compressor_name::split;
//!
//! assert_eq!(split(b"zstd:3"), (&b"zstd"[..], Some(3)));
//! assert_eq!(split(b"zstd:-5"), (&b"zstd"[..], Some(-5)));
//! assert_eq!(split(b"lz4"), (&b"lz4"[..], None));
//! assert_eq!(split(b"wlz:dense"), (&b"wlz:dense"[..], None));
//! ```

/// Takes the level off `name`: a decimal number after a colon, perhaps negative. Where there is none, all of
/// it is the name. A number that is too large is the largest, with its sign.
pub fn split(name: &[u8]) -> (&[u8], Option<i32>) {
    let whole = (name, None);
    let Some(colon) = name.iter().rposition(|byte| *byte == b':') else {
        return whole;
    };
    let (before, after) = name.split_at(colon);
    let text = after.get(1..).unwrap_or_default();
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return whole;
    }
    let level = digits.iter().fold(0i32, |level, digit| {
        level
            .saturating_mul(10)
            .saturating_add(i32::from(digit - b'0'))
    });
    let sign = if digits.len() < text.len() { -1 } else { 1 };
    (before, Some(sign * level))
}
