// SPDX-License-Identifier: GPL-2.0

//! The memory limit of a pool, as an option: bytes, or percent of RAM.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::limit::{Limit, LimitError};
//!
//! assert_eq!(Limit::parse(b"20%"), Ok(Limit::Percent(20)));
//! assert_eq!(Limit::parse(b"64M"), Ok(Limit::Bytes(64 << 20)));
//! assert_eq!(Limit::parse(b"101%"), Err(LimitError::OverHundred));
//! assert_eq!(Limit::Percent(20).to_string(), "20%");
//! ```

use super::fmt;

/// A limit, as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes, at least 1.
    Bytes(u64),
    /// Percent of RAM, 1 to 100.
    Percent(u8),
}

/// Why a limit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// It is neither a number of bytes nor a percentage.
    NotANumber,
    /// It is zero or less.
    NotPositive,
    /// It is over 100%.
    OverHundred,
    /// It does not fit in 64 bits.
    TooLarge,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "not a number of bytes (K, M, G, T) or a percentage of RAM",
            Self::NotPositive => "must be more than 0",
            Self::OverHundred => "over 100% of RAM",
            Self::TooLarge => "does not fit in 64 bits",
        })
    }
}

/// Prints what [`Limit::parse`] reads.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Default for Limit {
    /// 20% of RAM, which is zswap's `max_pool_percent`.
    fn default() -> Self {
        Limit::Percent(20)
    }
}

impl Limit {
    /// The default of a pool with backing stores, where how much it has is decided by how short memory
    /// is: half of RAM, as programs that need what they had swapped out need the other half for it.
    pub const CEILING: Self = Limit::Percent(50);

    /// Reads `20%`, or bytes with an optional suffix K, M, G or T (powers of 1,024).
    pub fn parse(text: &[u8]) -> Result<Self, LimitError> {
        if let Some(digits) = text.strip_suffix(b"%") {
            return match number(digits)? {
                0 => Err(LimitError::NotPositive),
                percent @ 1..=100 => Ok(Limit::Percent(percent as u8)),
                _ => Err(LimitError::OverHundred),
            };
        }
        bytes(text).map(Limit::Bytes)
    }

    /// The limit in bytes, on a machine with `ram` bytes of memory.
    pub fn resolve(self, ram: u64) -> u64 {
        match self {
            Limit::Bytes(bytes) => bytes,
            Limit::Percent(percent) => ram / 100 * u64::from(percent),
        }
    }
}

/// Reads bytes, at least 1, with an optional suffix K, M, G or T (powers of 1,024).
pub fn bytes(text: &[u8]) -> Result<u64, LimitError> {
    let (digits, shift) = match text.split_last() {
        Some((b'k' | b'K', digits)) => (digits, 10),
        Some((b'm' | b'M', digits)) => (digits, 20),
        Some((b'g' | b'G', digits)) => (digits, 30),
        Some((b't' | b'T', digits)) => (digits, 40),
        _ => (text, 0),
    };
    match number(digits)?.checked_mul(1 << shift) {
        None => Err(LimitError::TooLarge),
        Some(0) => Err(LimitError::NotPositive),
        Some(bytes) => Ok(bytes),
    }
}

/// Reads a decimal number. A minus may stand before it, so that a negative number is refused as not
/// positive and other text as no number.
fn number(text: &[u8]) -> Result<u64, LimitError> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() {
        return Err(LimitError::NotANumber);
    }
    let sum = digits.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'9' => sum
            .checked_mul(10)
            .and_then(|sum| sum.checked_add(u64::from(digit - b'0')))
            .ok_or(LimitError::TooLarge),
        _ => Err(LimitError::NotANumber),
    })?;
    if digits.len() < text.len() {
        return Err(LimitError::NotPositive);
    }
    Ok(sum)
}
