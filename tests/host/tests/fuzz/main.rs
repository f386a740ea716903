// SPDX-License-Identifier: GPL-2.0

//! Has libFuzzer draw inputs, guided by the code of `rust/core/` that they reach.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
#[path = "../common/guarded.rs"]
mod guarded;
#[cfg(fuzzing)]
#[path = "../common/input.rs"]
mod input;
#[cfg(fuzzing)]
#[path = "../common/model.rs"]
mod model;
#[cfg(fuzzing)]
#[path = "../common/pages.rs"]
mod pages;
#[cfg(fuzzing)]
#[path = "../common/wlz.rs"]
mod wlz_model;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| input::check(bytes));

#[cfg(not(fuzzing))]
fn main() {}
