// SPDX-License-Identifier: GPL-2.0

//! ghostswap: swap whose file is only a header.
//!
//! How a page travels: [`mount`] makes an [`area`] of a mounted ghost file when it is swapped on. The
//! area's hooks are calls of its [`pool`], whose [`contents`] hold the page, compressed, until
//! [`writeback`] takes it to one of the [`backing`] stores and reads it from there. Each knows only what
//! comes after it. [`core`](crate::core) is what needs no kernel; [`kernel_ext`] is what needs unsafe
//! code.

#![deny(unsafe_code)]

mod admin;
mod area;
mod backing;
mod contents;
mod mount;
mod pool;
mod writeback;

// On the host this is a crate, with tests outside it, which use more of it than the module does.
#[allow(unreachable_pub, dead_code)]
#[path = "core/lib.rs"]
mod core;
#[allow(unsafe_code)]
mod kernel_ext;

use kernel::prelude::*;
use kernel_ext::{
    fs::registration::Registration,
    mm::sparse_array::Barrier, //
};
use mount::filesystem::GhostSwap;

#[cfg(not(CONFIG_64BIT))]
compile_error!("ghostswap's entries hold addresses of 64-bit machines");

/// The module.
#[pin_data]
struct GhostSwapModule {
    #[pin]
    filesystem: Registration<GhostSwap>,
    // After the filesystem, so that nothing more leaves an array when it is dropped.
    _barrier: Barrier,
}

impl kernel::InPlaceModule for GhostSwapModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            filesystem <- Registration::new(module, GhostSwap::new()?),
            _barrier: Barrier,
        })
    }
}

/// What the kernel's macros put before each line of the log; they look for it in the crate's root.
const __LOG_PREFIX: &[u8] = b"ghostswap\0";

// In a module of its own, because the macro makes unsafe code.
#[allow(unsafe_code)]
mod glue {
    use super::*;

    module! {
        type: GhostSwapModule,
        name: "ghostswap",
        authors: ["The ghostswap developers"],
        description: "Swap whose file is only a header: a compressed cache behind a mount",
        license: "GPL",
        alias: ["fs-ghostswap"],
    }
}
