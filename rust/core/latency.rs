// SPDX-License-Identifier: GPL-2.0

//! How long loads take, told apart by powers of two.
//!
//! ```text
//!  bucket            0        1        2     ...        26             27
//!  nanoseconds    0-127  128-255  256-511    ...  4.3 to 8.6 s  longer than that
//! ```
//!
//! The first is less than any load that unpacks something. The last begins where a device hangs.
//!
//! What counts has a counter for each octave: more of them than buckets, as nothing limits a time then. A
//! bucket is an octave, but the last one is all that are left.
//!
//! # Examples
//!
//! ```
//! use ghostswap_core::latency::{least_nanos, octave, octaves};
//!
//! assert_eq!(octave(1_000), 3);
//! assert_eq!(octaves(3), 3..4);
//! assert_eq!(least_nanos(3), 512);
//! ```

use core::ops::Range;

/// Where a load finds its page when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadedFrom {
    /// In memory, as an object or as a repeated word.
    Ram,
    /// In a backing store.
    Store,
}

/// The buckets.
pub const BUCKETS: usize = 28;

/// What takes less than 2 to this power of nanoseconds is not told apart.
const LEAST_BITS: u32 = 7;

/// The octaves.
pub const OCTAVES: usize = (u64::BITS - (LEAST_BITS - 1)) as usize;

/// The octave of what took so many nanoseconds, less than [`OCTAVES`].
#[inline]
pub fn octave(nanos: u64) -> usize {
    (nanos >> (LEAST_BITS - 1) | 1).ilog2() as usize
}

/// The octaves of bucket `bucket`, which is less than [`BUCKETS`].
pub fn octaves(bucket: usize) -> Range<usize> {
    let end = if bucket == BUCKETS - 1 {
        OCTAVES
    } else {
        bucket + 1
    };
    bucket..end
}

/// The least time of bucket `bucket`, in nanoseconds. `bucket` is less than [`BUCKETS`].
pub fn least_nanos(bucket: usize) -> u64 {
    match bucket {
        0 => 0,
        _ => 1 << (LEAST_BITS as usize - 1 + bucket),
    }
}
