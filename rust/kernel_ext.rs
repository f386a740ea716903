// SPDX-License-Identifier: GPL-2.0

//! Abstractions that `rust/kernel` lacks, written as it would write them, and in its folders.
//!
//! One file for each C concept; all of the module's unsafe code is here, behind types that say what
//! safe code may do with them. What the types cannot say yet:
//!
//! - An object of [`zsmalloc`](mm::zsmalloc), or a share of a bundle, goes back to the pool that it came from.
//! - A module with a [`sparse_array`](mm::sparse_array) has a barrier, and its elements are dropped
//!   without sleeping.
//! - What [`arc_slots`](sync::arc_slots) and [`sparse_array`](mm::sparse_array) call in an RCU read side
//!   does not sleep.
//!
//! Nothing in here knows what the module is for. Of the pure logic in `rust/core`, `zsmalloc` uses the
//! ownership of objects that a word names ([`crate::core::payload`]), `zs_bundle` the shares of a bundle
//! ([`crate::core::bundle`]), `sparse_array` the counts of pins
//! and uses ([`crate::core::pin_count`]), and `transfer` a pile ([`crate::core::pile`]): safety rests on
//! them, so they are model-checked on the host. `crypto` has the compressor of [`crate::core::wlz`] among
//! others.

mod bindings;
pub(crate) mod block;
pub(crate) mod clock;
pub(crate) mod cpu_hotplug;
pub(crate) mod cpus;
pub(crate) mod crypto;
pub(crate) mod fs;
pub(crate) mod mm;
pub(crate) mod power;
pub(crate) mod sched;
pub(crate) mod sort;
pub(crate) mod sync;
pub(crate) mod trace;
