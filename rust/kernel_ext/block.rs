// SPDX-License-Identifier: GPL-2.0

//! Blocks of claimed swap: memory for them, and their I/O.

pub(crate) mod buffer;
pub(crate) mod io_group;
pub(crate) mod transfer;
