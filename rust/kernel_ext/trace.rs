// SPDX-License-Identifier: GPL-2.0

//! The events that tracers can attach to: tracepoints `ghostswap:ghostswap_<name>`.
//!
//! [`tell!`] tells of one. While no tracer has it on, that costs one instruction that does nothing, where
//! the kernel has `CONFIG_JUMP_LABEL`. So what is told is a macro's to evaluate: of a closure, the compiler
//! would put down what it captures each time. Where the kernel has no `CONFIG_TRACEPOINTS`, there are no
//! events.
//!
//! The kernel's `declare_trace!` is for events that the kernel's own bindings know. This does the same
//! for those of a module.
//!
//! C headers: `trace.h` beside this file,
//! [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)

#[cfg(CONFIG_TRACEPOINTS)]
use crate::kernel_ext::bindings;
use crate::{
    core::{
        latency::LoadedFrom,
        payload::Length,
        segment::{
            Location,
            Owner, //
        },
    }, //
};
use kernel::prelude::*;

/// Whose page an event is about.
pub(crate) struct TracedSlot<'a> {
    /// The name of its pool.
    pub(crate) pool: &'a CStr,
    /// Its area and slot.
    pub(crate) owner: Owner,
}

/// What could not be done with a page. The numbers are those in `trace.h`.
#[derive(Clone, Copy)]
pub(crate) enum FailedOp {
    /// It was not stored, and stays in memory.
    Store = 0,
    /// It was not loaded, and its user gets SIGBUS.
    Load = 1,
}

/// How a page is kept, by the numbers in `trace.h`. `length` is that of its object, if it is one.
fn kind(length: Option<Length>) -> u32 {
    match length {
        None => 0,
        Some(length) if !length.is_incompressible() => 1,
        Some(_) => 2,
    }
}

fn bytes(length: Option<Length>) -> u32 {
    length.map_or(0, |length| length.bytes() as u32)
}

/// Where a load found its page, by the numbers in `trace.h`.
fn place(from: LoadedFrom) -> u32 {
    match from {
        LoadedFrom::Ram => 0,
        LoadedFrom::Store => 1,
    }
}

/// Makes a module for each event: whether it is on, and what tells of it; what the tracepoint is given
/// after the slot is to the right of each.
macro_rules! events {
    ($(
        $(#[$attr:meta])*
        $name:ident($($arg:ident: $type:ty),*) => ($($value:expr),*);
    )*) => {$(
        $(#[$attr])*
        pub(crate) mod $name {
            use super::*;

            /// Returns whether a tracer has it on.
            ///
            /// Context: any.
            #[inline(always)]
            pub(crate) fn is_on() -> bool {
                #[cfg(CONFIG_TRACEPOINTS)]
                kernel::macros::paste! {
                    // SAFETY: It is the key of a tracepoint that C defines.
                    unsafe {
                        kernel::jump_label::static_branch_unlikely!(
                            bindings::[< __tracepoint_ghostswap_ $name >],
                            kernel::bindings::tracepoint,
                            key
                        )
                    }
                }
                #[cfg(not(CONFIG_TRACEPOINTS))]
                false
            }

            /// Tells of it.
            ///
            /// Context: any; never sleeps.
            #[cold]
            #[inline(never)]
            pub(crate) fn tell(slot: TracedSlot<'_>, $($arg: $type),*) {
                let TracedSlot { pool, owner } = slot;
                let (pool, area, slot) = (pool.as_char_ptr(), u32::from(owner.area), owner.slot);
                #[cfg(CONFIG_TRACEPOINTS)]
                kernel::macros::paste! {
                    // SAFETY: The name of the pool is a C string. All else are numbers.
                    unsafe {
                        bindings::[< rust_do_trace_ghostswap_ $name >](pool, area, slot, $($value),*)
                    };
                }
                #[cfg(not(CONFIG_TRACEPOINTS))]
                let _ = (pool, area, slot, $($value),*);
            }
        }
    )*};
}

events! {
    /// A page was stored: it is kept as an object of this length, or as a repeated word.
    store(length: Option<Length>) => (kind(length), bytes(length));

    /// A page was loaded, from there, which took so many nanoseconds.
    load(length: Option<Length>, from: LoadedFrom, nanos: u64) =>
        (kind(length), bytes(length), place(from), nanos);

    /// An object went from memory to its record there.
    write_back(length: Length, to: Location) =>
        (kind(Some(length)), bytes(Some(length)), to.store() as u32, to.segment() as u32);

    /// An object came back to memory from its record there, and no load asked for it.
    read_back(length: Length, from: Location) =>
        (kind(Some(length)), bytes(Some(length)), from.store() as u32, from.segment() as u32);

    /// A record moved, so that its segment can be filled again, or its store removed.
    clean(length: Length, from: Location, to: Location) =>
        (kind(Some(length)), bytes(Some(length)), from.store() as u32, from.segment() as u32,
        to.store() as u32, to.segment() as u32);

    /// The second compressor made an object of this length, of a page that had one of length `before`.
    recompress(length: Length, before: Length) => (bytes(Some(length)), bytes(Some(before)));

    /// That failed with this error.
    fail(op: FailedOp, error: Error) => (op as u32, error.to_errno());
}

/// Tells of an event, if a tracer has it on. What it is given is evaluated only then.
macro_rules! tell {
    ($event:ident: $($value:expr),* $(,)?) => {
        if $crate::kernel_ext::trace::$event::is_on() {
            $crate::kernel_ext::trace::$event::tell($($value),*);
        }
    };
}
pub(crate) use tell;
