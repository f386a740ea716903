// SPDX-License-Identifier: GPL-2.0

//! What printing takes: the kernel's traits in the module, those of the language on the host.
//!
//! The kernel has a `Display` of its own, which its `fmt!` asks for.

#[cfg(not(CONFIG_RUST))]
pub use core::fmt::{
    Display,
    Formatter,
    Result, //
};
#[cfg(CONFIG_RUST)]
pub use kernel::fmt::{
    Display,
    Formatter,
    Result, //
};
