// SPDX-License-Identifier: GPL-2.0

//! Where a reason goes why something is refused: one line, for the user that asked for it.

use crate::kernel_ext::fs::fs_context::FsLog;
use core::cell::Cell;
use kernel::prelude::*;

/// What takes the reason for a failure.
pub(crate) trait Report {
    /// Takes it, and returns `error`.
    fn error(&self, error: Error, message: kernel::fmt::Arguments<'_>) -> Error;
}

impl Report for FsLog<'_> {
    fn error(&self, error: Error, message: kernel::fmt::Arguments<'_>) -> Error {
        FsLog::error(self, error, message)
    }
}

/// The kernel's log.
pub(crate) struct KernelLog {
    /// Whether it has a line.
    reported: Cell<bool>,
}

impl KernelLog {
    /// Calls `act` with the log, and makes sure that a failure has one line: if `act` reports none, the
    /// line names `what`, and the error.
    pub(crate) fn of(what: &str, act: impl FnOnce(&Self) -> Result) -> Result {
        let log = Self {
            reported: Cell::new(false),
        };
        act(&log).map_err(|error| {
            if log.reported.get() {
                error
            } else {
                log.error(error, fmt!("{what}: {error:?}"))
            }
        })
    }
}

impl Report for KernelLog {
    fn error(&self, error: Error, message: kernel::fmt::Arguments<'_>) -> Error {
        self.reported.set(true);
        pr_err!("{}\n", message);
        error
    }
}
