// SPDX-License-Identifier: GPL-2.0

//! How something is shown as text: the kernel's traits in the kernel, those of Rust's `core` on the host.

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
