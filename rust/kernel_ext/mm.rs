// SPDX-License-Identifier: GPL-2.0

//! Memory and swap.

pub(crate) mod page_array;
pub(crate) mod pending_page;
pub(crate) mod percpu;
pub(crate) mod ram;
pub(crate) mod reclaim;
pub(crate) mod shrinker;
pub(crate) mod sparse_array;
pub(crate) mod swap;
pub(in crate::kernel_ext) mod swap_area;
pub(crate) mod swap_batch;
mod swap_disk;
mod swap_iocb;
mod swap_ops;
pub(crate) mod swap_page;
pub(crate) mod swapfile;
pub(crate) mod zs_bundle;
pub(crate) mod zsmalloc;
