// SPDX-License-Identifier: GPL-2.0

//! What `rust/core/` promises to threads that race, tried in every interleaving, with every value
//! that a weakly ordered machine may read.

#![cfg(loom)]

mod batch_count;
mod heap;
#[path = "../common/loads.rs"]
mod loads;
#[path = "../common/object.rs"]
mod object;
mod pile;
mod pin_count;
mod redirect;
mod slot;
mod store_state;
mod tally;
mod transfer_map;
mod transitions;
mod world;
