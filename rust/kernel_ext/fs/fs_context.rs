// SPDX-License-Identifier: GPL-2.0

//! What a mount tells: messages, and the text of its options.
//!
//! C header: [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h)

use crate::kernel_ext::bindings;
use core::{
    cell::Cell,
    marker::PhantomData, //
};
use kernel::{
    fmt,
    prelude::*,
    seq_file::SeqFile, //
};

/// Where the reason goes why something is refused: one line, for the user that asked for it. It is
/// the reader of a context's file descriptor, or, for mount(2) and for orders by sysfs, of the
/// kernel's log.
pub(crate) struct FsLog<'a> {
    /// [`None`] is the kernel's log.
    log: Option<bindings::p_log>,
    /// What failed, where nothing more is known.
    what: &'static str,
    /// Whether something was said.
    said: Cell<bool>,
    _context: PhantomData<&'a bindings::fs_context>,
}

impl FsLog<'_> {
    /// # Safety
    ///
    /// The log's context and prefix outlive `'a`.
    pub(in crate::kernel_ext) unsafe fn new(log: bindings::p_log) -> Self {
        Self {
            log: Some(log),
            ..Self::of_kernel("the mount fails")
        }
    }

    /// The kernel's log, for `what`.
    pub(crate) fn of_kernel(what: &'static str) -> Self {
        Self {
            log: None,
            what,
            said: Cell::new(false),
            _context: PhantomData,
        }
    }

    /// Makes sure that a failure has one line: if nothing was said of it, this names the error.
    pub(crate) fn conclude<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            if self.said.get() {
                error
            } else {
                self.error(error, fmt!("{}: {error:?}", self.what))
            }
        })
    }

    /// Says why it fails, and returns [`EINVAL`].
    ///
    /// Context: may sleep.
    pub(crate) fn invalid(&self, message: fmt::Arguments<'_>) -> Error {
        self.error(EINVAL, message)
    }

    /// Says why it fails, and returns `error`.
    ///
    /// Context: may sleep.
    pub(crate) fn error(&self, error: Error, message: fmt::Arguments<'_>) -> Error {
        self.said.set(true);
        let Some(log) = self.log else {
            pr_err!("{}\n", message);
            return error;
        };
        // SAFETY: The log is valid by the requirement of `new`; `%pA` takes a pointer to arguments.
        unsafe {
            bindings::logfc(
                log.log,
                log.prefix,
                b'e' as c_char,
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&message).cast::<c_void>(),
            );
        }
        error
    }
}

/// Prints the value of an option that may be any text, as `/proc/mounts` does: what would separate
/// it from others is escaped.
///
/// Context: may sleep. See `seq_show_option()` in `include/linux/seq_file.h`.
pub(crate) fn show_text(out: &SeqFile, text: &CStr) {
    let out = core::ptr::from_ref(out).cast_mut().cast();
    let text = text.to_bytes();
    // SAFETY: `SeqFile` has the layout of the `seq_file` that it was made from, which is valid, and
    // this task's. So many bytes can be read, and the last argument is a C string.
    unsafe {
        bindings::seq_escape_mem(
            out,
            text.as_ptr().cast(),
            text.len(),
            bindings::KERNEL_EXT_ESCAPE_OCTAL,
            c", \t\n\\".as_char_ptr(),
        );
    }
}
