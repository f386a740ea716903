// SPDX-License-Identifier: GPL-2.0

//! What `rust/core/` promises, tried with tables of cases and with random input.

#![cfg(not(loom))]

mod ages;
mod bundle;
mod cleaning;
mod corpus;
mod entry;
mod errors;
mod fit;
#[path = "../common/guarded.rs"]
mod guarded;
mod header;
mod heap;
#[path = "../common/input.rs"]
mod input;
mod latency;
#[path = "../common/loads.rs"]
mod loads;
mod log;
mod message;
#[path = "../common/model.rs"]
mod model;
#[path = "../common/object.rs"]
mod object;
mod options;
#[path = "../common/pages.rs"]
mod pages;
mod read_ahead;
mod redirect;
mod returns;
mod segment;
mod table;
mod transfer_map;
mod wlz;
#[path = "../common/wlz.rs"]
mod wlz_model;
mod write_budget;

use proptest::test_runner::Config;

/// Tries each property with `cases` inputs. A failure is printed, not written to a file.
fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}
