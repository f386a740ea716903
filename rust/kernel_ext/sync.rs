// SPDX-License-Identifier: GPL-2.0

//! Waiting, and what is shared without a lock.

pub(crate) mod arc_slots;
pub(crate) mod delayed_call;
pub(crate) mod event_count;
pub(crate) mod spin_wait;
pub(crate) mod workqueue;
