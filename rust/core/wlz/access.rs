// SPDX-License-Identifier: GPL-2.0

//! What the codec reads and writes without looking at a bound each time.

#![allow(unsafe_code)]

/// Reads and writes at places that the caller has bounded.
///
/// Each function takes the place, and the last place that there may be: the bound that the caller
/// established for a whole group of words or tokens. By [`Unchecked`], a place after it is read or written
/// all the same, outside of `bytes`.
pub trait Access {
    /// The 8 bytes at `at`, of which the first is the lowest. `at <= last`, and `bytes` has at least
    /// `last + 8`.
    fn load(bytes: &[u8], at: usize, last: usize) -> u64;

    /// As [`Access::load`], and what is loaded from the same place later is loaded again.
    fn peek(bytes: &[u8], at: usize, last: usize) -> u64;

    /// The 4 bytes at `at`. `at <= last`, and `bytes` has at least `last + 4`.
    fn load4(bytes: &[u8], at: usize, last: usize) -> u32;

    /// Writes the 8 bytes at `at`. `at <= last`, and `bytes` has at least `last + 8`.
    fn store(bytes: &mut [u8], at: usize, value: u64, last: usize);

    /// The byte at `at`. `at <= last`, and `bytes` has at least `last + 1`.
    fn get(bytes: &[u8], at: usize, last: usize) -> u8;

    /// Writes the byte at `at`. `at <= last`, and `bytes` has at least `last + 1`.
    fn put(bytes: &mut [u8], at: usize, value: u8, last: usize);

    /// The entry of `table` for a tag, 0 to 15, that is given times 8.
    fn entry(table: &[u64; 16], tag: usize) -> u64;
}

/// Looks at each bound. Tests run with it what the kernel runs without.
pub struct Checked;

/// Relies on the caller's bounds.
pub struct Unchecked;

impl Access for Checked {
    fn load(bytes: &[u8], at: usize, last: usize) -> u64 {
        assert!(at <= last && last + 8 <= bytes.len());
        bytes[at..]
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn peek(bytes: &[u8], at: usize, last: usize) -> u64 {
        Self::load(bytes, at, last)
    }

    fn load4(bytes: &[u8], at: usize, last: usize) -> u32 {
        assert!(at <= last && last + 4 <= bytes.len());
        bytes[at..]
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    fn store(bytes: &mut [u8], at: usize, value: u64, last: usize) {
        assert!(at <= last && last + 8 <= bytes.len());
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn get(bytes: &[u8], at: usize, last: usize) -> u8 {
        assert!(at <= last && last < bytes.len());
        bytes[at]
    }

    fn put(bytes: &mut [u8], at: usize, value: u8, last: usize) {
        assert!(at <= last && last < bytes.len());
        bytes[at] = value;
    }

    fn entry(table: &[u64; 16], tag: usize) -> u64 {
        assert!(tag % 8 == 0);
        table[tag / 8]
    }
}

impl Access for Unchecked {
    #[inline(always)]
    fn load(bytes: &[u8], at: usize, _last: usize) -> u64 {
        // SAFETY: The caller has `at + 8 <= bytes.len()`.
        u64::from_le(unsafe { bytes.as_ptr().add(at).cast::<u64>().read_unaligned() })
    }

    #[inline(always)]
    fn peek(bytes: &[u8], at: usize, _last: usize) -> u64 {
        /// A word at any place.
        #[repr(C, packed)]
        struct Unaligned(u64);
        // SAFETY: The caller has `at + 8 <= bytes.len()`; a packed structure needs no alignment.
        u64::from_le(unsafe { bytes.as_ptr().add(at).cast::<Unaligned>().read_volatile() }.0)
    }

    #[inline(always)]
    fn load4(bytes: &[u8], at: usize, _last: usize) -> u32 {
        // SAFETY: The caller has `at + 4 <= bytes.len()`.
        u32::from_le(unsafe { bytes.as_ptr().add(at).cast::<u32>().read_unaligned() })
    }

    #[inline(always)]
    fn store(bytes: &mut [u8], at: usize, value: u64, _last: usize) {
        // SAFETY: The caller has `at + 8 <= bytes.len()`.
        unsafe {
            bytes
                .as_mut_ptr()
                .add(at)
                .cast::<u64>()
                .write_unaligned(value.to_le())
        }
    }

    #[inline(always)]
    fn get(bytes: &[u8], at: usize, _last: usize) -> u8 {
        // SAFETY: The caller has `at < bytes.len()`.
        unsafe { *bytes.get_unchecked(at) }
    }

    #[inline(always)]
    fn put(bytes: &mut [u8], at: usize, value: u8, _last: usize) {
        // SAFETY: The caller has `at < bytes.len()`.
        unsafe { *bytes.get_unchecked_mut(at) = value }
    }

    #[inline(always)]
    fn entry(table: &[u64; 16], tag: usize) -> u64 {
        // SAFETY: A tag is one of 16; times 8 it is the distance of its entry in bytes.
        unsafe { *table.as_ptr().cast::<u8>().add(tag).cast::<u64>() }
    }
}
