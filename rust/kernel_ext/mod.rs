// SPDX-License-Identifier: GPL-2.0

//! Abstractions that `rust/kernel` lacks, written as it would write them.
//!
//! One file for each C concept; all of the module's unsafe code is here, behind types that say what
//! safe code may do with them. What the types cannot say yet: a [`zsmalloc`] object goes back to the
//! pool that it came from, an implementation of a slot's `Payload` keeps no key, a module with a
//! [`sparse_array`] has a barrier, and drops elements without sleeping, and what [`arc_slots`] and
//! [`sparse_array`] call in an RCU read side does not sleep either. Nothing in here knows what the module
//! is for. Of the pure logic in `rust/core`, [`zsmalloc`] uses the ownership protocol of a slot, and
//! [`sparse_array`] the usage counts: safety rests on both, so both are model-checked on the host.

#[allow(
    clippy::all,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unnecessary_transmutes,
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks
)]
mod bindings {
    // What the kernel crate has already comes from there; what it lacks, or knows only by name,
    // comes after and takes precedence.
    pub(super) use kernel::bindings::*;
    use kernel::ffi;
    use pin_init::MaybeZeroable;

    include!(env!("GHOSTSWAP_BINDINGS"));
}

mod acomp;
pub(crate) mod arc_slots;
pub(crate) mod block_io;
pub(crate) mod buffer;
pub(crate) mod checksum;
pub(crate) mod cipher;
pub(crate) mod clock;
pub(crate) mod compressor;
pub(crate) mod debugfs;
pub(crate) mod errand;
pub(crate) mod filesystem;
pub(crate) mod fs_context;
pub(crate) mod hibernation;
pub(crate) mod kobject;
#[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
mod lz4;
pub(crate) mod mm;
pub(crate) mod on_demand;
pub(crate) mod page_array;
pub(crate) mod pending_page;
pub(crate) mod percpu;
pub(crate) mod root_file;
pub(crate) mod source_file;
pub(crate) mod sparse_array;
pub(crate) mod swap;
pub(crate) mod swap_disk;
pub(crate) mod swap_page;
pub(crate) mod swap_store;
pub(crate) mod workqueue;
pub(crate) mod zsmalloc;
#[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
mod zstd;
