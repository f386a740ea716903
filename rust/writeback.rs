// SPDX-License-Identifier: GPL-2.0

//! What moves objects between the cache and the backing stores, and reads them back.
//!
//! | file | what it does |
//! |---|---|
//! | [`mover`] | the worker of a pool: when, with what memory, and for which waiters |
//! | [`batch`] | writes the coldest objects of the cache to a segment |
//! | [`sweep`] | finds what is old |
//! | [`recompressor`] | has old objects in memory made smaller |
//! | [`recoder`] | makes an object smaller, on its way to a segment or in memory |
//! | [`gc`] | moves what is left of segments to others, so that there are free ones |
//! | [`recall`] | takes whole segments back into the cache |
//! | [`segment_io`] | whole segments, as they are read and written |
//! | [`lanes`] | the buffers for that, and batches on their way, while the mover fills the next |
//! | [`reader`] | loads single pages from the stores, beside the mover |
//! | [`shard`] | some of the transfers for that, and the loads that wait for them |
//! | [`load`] | a load that was put off, and its end |
//! | [`pressure`] | what the kernel wants to be freed when memory is short |
//! | [`backoff`] | a time in which nothing is tried again |
//!
//! Each of them knows those below it only.

pub(crate) mod backoff;
pub(crate) mod batch;
pub(crate) mod gc;
pub(crate) mod lanes;
pub(crate) mod load;
pub(crate) mod mover;
pub(crate) mod pressure;
pub(crate) mod reader;
pub(crate) mod recall;
pub(crate) mod recoder;
pub(crate) mod recompressor;
pub(crate) mod segment_io;
pub(crate) mod shard;
pub(crate) mod sweep;
