// SPDX-License-Identifier: GPL-2.0

//! The kernel's coarse clock, and one for short times.
//!
//! C headers: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h),
//! [`include/linux/sched/clock.h`](srctree/include/linux/sched/clock.h)

use crate::kernel_ext::bindings;
use kernel::prelude::*;

/// Seconds since some time before the boot.
///
/// Context: any.
#[inline]
pub(crate) fn seconds() -> u32 {
    (jiffies() / bindings::CONFIG_HZ as c_ulong) as u32
}

/// Jiffies since some time, modulo 2<sup>32</sup>.
///
/// Context: any.
#[inline]
pub(crate) fn ticks() -> u32 {
    jiffies() as u32
}

#[inline]
fn jiffies() -> c_ulong {
    // SAFETY: It is always there; the kernel's own code reads it so, too, while the timer writes
    // it.
    unsafe { (&raw const bindings::jiffies).read_volatile() }
}

/// A clock for short times, which takes as few instructions as there is one for: on x86-64 the time stamp
/// counter, elsewhere the scheduler's clock.
///
/// The counter is read as it is, so it may go on while instructions before it have yet to end, by some
/// ten nanoseconds. What begins on one CPU and ends on another sees what that one counts. Nearly all machines
/// have one time for all; where the kernel says that the counter is unstable, such a time means nothing.
///
/// # Examples
///
/// ```ignore
/// let clock = ShortClock::new();
/// let begun = clock.now();
/// do_something();
/// let nanos = clock.nanos(begun, clock.now());
/// ```
#[derive(Clone, Copy)]
pub(crate) struct ShortClock {
    /// Nanoseconds that one tick takes, times 2<sup>16</sup>.
    scale: u64,
}

/// A time of a [`ShortClock`].
#[derive(Clone, Copy)]
pub(crate) struct Ticks(u64);

impl ShortClock {
    /// The clock. If the kernel does not know how fast it goes, all times are 0.
    ///
    /// Context: any.
    pub(crate) fn new() -> Self {
        Self {
            scale: SCALE_OF_A_KHZ.checked_div(frequency()).unwrap_or(0),
        }
    }

    /// The time now.
    ///
    /// Context: any.
    #[inline(always)]
    pub(crate) fn now(&self) -> Ticks {
        #[cfg(all(CONFIG_X86_TSC, not(CONFIG_UML)))]
        {
            // SAFETY: Where the kernel is built with this option, all CPUs have the instruction.
            Ticks(unsafe { core::arch::x86_64::_rdtsc() })
        }
        #[cfg(not(all(CONFIG_X86_TSC, not(CONFIG_UML))))]
        {
            // SAFETY: May be called in any context.
            Ticks(unsafe { bindings::kernel_ext_local_clock() })
        }
    }

    /// Nanoseconds from `begun` to `ended`, for some days at most; 0 if the clock went back.
    #[inline(always)]
    pub(crate) fn nanos(&self, begun: Ticks, ended: Ticks) -> u64 {
        let ticks = ended.0.saturating_sub(begun.0);
        ticks.wrapping_mul(self.scale) >> SCALE_BITS
    }
}

const SCALE_BITS: u32 = 16;

/// The scale of a clock of one kHz.
const SCALE_OF_A_KHZ: u64 = 1_000_000 << SCALE_BITS;

/// How often the clock ticks in a second, in kHz; 0 if that is not known.
fn frequency() -> u64 {
    #[cfg(all(CONFIG_X86_TSC, not(CONFIG_UML)))]
    {
        // SAFETY: It is always there, and changes only while the machine boots.
        u64::from(unsafe { (&raw const bindings::tsc_khz).read_volatile() })
    }
    #[cfg(not(all(CONFIG_X86_TSC, not(CONFIG_UML))))]
    {
        1_000_000
    }
}
