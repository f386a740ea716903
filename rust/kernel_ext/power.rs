// SPDX-License-Identifier: GPL-2.0

//! A say in whether the machine may hibernate.
//!
//! C header: [`include/linux/suspend.h`](srctree/include/linux/suspend.h)

use crate::kernel_ext::bindings;
use kernel::{
    container_of,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// While this exists, hibernation is refused, and the log says why. Suspending to RAM or to idle is
/// not.
///
/// # Examples
///
/// ```ignore
/// let veto = KBox::pin_init(HibernationVeto::new("the image has no room"), GFP_KERNEL)?;
/// // The machine does not hibernate.
/// drop(veto);
/// ```
///
/// # Invariants
///
/// `notifier` is registered.
#[pin_data(PinnedDrop)]
pub(crate) struct HibernationVeto {
    #[pin]
    notifier: Opaque<bindings::notifier_block>,
    reason: &'static str,
}

// SAFETY: The kernel locks the notifier, and `reason` does not change.
unsafe impl Send for HibernationVeto {}
// SAFETY: As above.
unsafe impl Sync for HibernationVeto {}

impl HibernationVeto {
    /// Refuses hibernation for `reason`, from now on.
    ///
    /// Context: may sleep. Errors: those of `register_pm_notifier()`.
    pub(crate) fn new(reason: &'static str) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            reason,
            notifier <- Opaque::try_ffi_init(|notifier: *mut bindings::notifier_block| {
                // SAFETY: `notifier` is memory for it, pinned from now on until it is unregistered;
                // `reason` was initialised before it.
                unsafe {
                    notifier.write(pin_init::zeroed());
                    (*notifier).notifier_call = Some(Self::notify);
                    to_result(bindings::kernel_ext_register_pm_notifier(notifier))
                }
            }),
        }? Error)
    }

    /// # Safety
    ///
    /// Called by the power management, with the notifier of a `HibernationVeto`.
    unsafe extern "C" fn notify(
        notifier: *mut bindings::notifier_block,
        event: c_ulong,
        _data: *mut c_void,
    ) -> c_int {
        if event != bindings::PM_HIBERNATION_PREPARE as c_ulong {
            return bindings::NOTIFY_DONE as c_int;
        }
        // SAFETY: By the requirement of this function, `notifier` is that field of a value of this
        // type, which stays registered while this runs.
        let reason =
            unsafe { (*container_of!(Opaque::cast_from(notifier), Self, notifier)).reason };
        pr_err!("hibernation is refused: {reason}\n");
        bindings::NOTIFY_BAD as c_int
    }
}

#[pinned_drop]
impl PinnedDrop for HibernationVeto {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, it is registered. This waits for calls of it.
        unsafe { bindings::kernel_ext_unregister_pm_notifier(self.notifier.get()) };
    }
}
