// SPDX-License-Identifier: GPL-2.0

//! Bindings for what `kernel::bindings` lacks, made by bindgen at build time, see `Kbuild`.

#![allow(
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
    unknown_lints,
    unnecessary_transmutes,
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks
)]

// What the kernel crate has already comes from there; what it lacks, or knows only by name,
// comes after and takes precedence.
pub(in crate::kernel_ext) use kernel::bindings::*;
use kernel::ffi;
use pin_init::MaybeZeroable;

include!(env!("KERNEL_EXT_BINDINGS"));
