// SPDX-License-Identifier: GPL-2.0

//! Pure logic: no kernel types, no I/O, and no unsafe code but the accesses of [`wlz`] to bytes.
//!
//! The kernel module compiles these files as a module of its own. On the host they are a crate,
//! tested with proptest, and with loom for every interleaving. Nothing differs between the two but
//! [`sync`] and [`fmt`]: [`sync`] maps the few atomic operations used here to the kernel's, std's
//! or loom's, and [`fmt`] names the traits that print.

#![deny(unsafe_code)]

pub mod ages;
pub mod batch_count;
pub mod blocks;
pub mod bundle;
pub mod compressor_name;
pub mod entry;
pub mod errors;
pub mod fit;
pub mod fmt;
pub mod header;
pub mod latency;
pub mod limit;
pub mod log;
pub mod message;
pub mod payload;
pub mod pile;
pub mod pin_count;
pub mod pool_name;
pub mod read_ahead;
pub mod returns;
pub mod segment;
pub mod slot;
pub mod store_state;
pub mod sync;
pub mod transfer_map;
pub mod victims;
pub mod wlz;
pub mod write_budget;

/// Bytes in a page. The entry's length field and the swap header's layout are made for this size.
pub const PAGE_SIZE: usize = 4096;
