// SPDX-License-Identifier: GPL-2.0

//! Backing stores: real swapfiles and swap partitions, to which cold pages go.

pub(crate) mod device;
pub(crate) mod protection;
pub(crate) mod store;
pub(crate) mod stores;
