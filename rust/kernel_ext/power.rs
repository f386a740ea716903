// SPDX-License-Identifier: GPL-2.0

//! What is told before the machine hibernates, and after, and where its image goes.
//!
//! C header: [`include/linux/suspend.h`](srctree/include/linux/suspend.h)

use crate::kernel_ext::{
    bindings,
    fs::file::FoundFile, //
};
use kernel::{
    container_of,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// What is told of hibernation. Of suspending, it is not.
///
/// Context of all: may sleep. One is told after the other.
pub(crate) trait HibernationListener: Send + Sync {
    /// What has more is told first that the machine is about to hibernate.
    const PRIORITY: c_int = 0;

    /// The machine is about to hibernate; tasks run still. If this fails, or that of another, it does not;
    /// then [`HibernationListener::ended`] is called of those for which this was successful.
    fn begins(&self) -> Result;

    /// The machine goes on, from its image or without; before tasks run again. It may be called though
    /// [`HibernationListener::begins`] was not.
    fn ended(&self) {}
}

/// While this exists, its listener is told.
///
/// # Examples
///
/// ```ignore
/// struct Lamp;
///
/// impl HibernationListener for Lamp {
///     fn begins(&self) -> Result {
///         pr_info!("good night\n");
///         Ok(())
///     }
/// }
///
/// let lamp = KBox::pin_init(HibernationNotifier::new(Lamp), GFP_KERNEL)?;
/// ```
///
/// # Invariants
///
/// `notifier` is registered.
#[pin_data(PinnedDrop)]
pub(crate) struct HibernationNotifier<L: HibernationListener> {
    #[pin]
    notifier: Opaque<bindings::notifier_block>,
    listener: L,
}

// SAFETY: The kernel locks the notifier, and the listener can be sent.
unsafe impl<L: HibernationListener> Send for HibernationNotifier<L> {}
// SAFETY: As above; the listener can be shared.
unsafe impl<L: HibernationListener> Sync for HibernationNotifier<L> {}

impl<L: HibernationListener> HibernationNotifier<L> {
    /// Has `listener` told from now on.
    ///
    /// Context: may sleep, for as long as others take that are being told. Errors: those of
    /// `register_pm_notifier()`.
    pub(crate) fn new(listener: L) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            listener,
            notifier <- Opaque::try_ffi_init(|notifier: *mut bindings::notifier_block| {
                // SAFETY: `notifier` is memory for it, pinned from now on until it is unregistered;
                // `listener` was initialised before it.
                unsafe {
                    notifier.write(pin_init::zeroed());
                    (*notifier).notifier_call = Some(Self::notify);
                    (*notifier).priority = L::PRIORITY;
                    to_result(bindings::kernel_ext_register_pm_notifier(notifier))
                }
            }),
        }? Error)
    }

    /// # Safety
    ///
    /// Called by the power management, with the notifier of a `HibernationNotifier<L>`.
    unsafe extern "C" fn notify(
        notifier: *mut bindings::notifier_block,
        event: c_ulong,
        _data: *mut c_void,
    ) -> c_int {
        // SAFETY: By the requirement of this function, `notifier` is that field of a value of this
        // type, which stays registered while this runs.
        let listener =
            unsafe { &(*container_of!(Opaque::cast_from(notifier), Self, notifier)).listener };
        let told = match event as u32 {
            bindings::PM_HIBERNATION_PREPARE => listener.begins(),
            bindings::PM_POST_HIBERNATION => {
                listener.ended();
                Ok(())
            }
            _ => return bindings::NOTIFY_DONE as c_int,
        };
        let error = told.err().map_or(0, |error| error.to_errno());
        // SAFETY: It may be called with any error, and 0 is none.
        unsafe { bindings::kernel_ext_notifier_from_errno(error) }
    }
}

#[pinned_drop]
impl<L: HibernationListener> PinnedDrop for HibernationNotifier<L> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, it is registered. This waits for calls of it.
        unsafe { bindings::kernel_ext_unregister_pm_notifier(self.notifier.get()) };
    }
}

/// Refuses hibernation, if the image could go to the swap area on `device`, which cannot keep it. The log
/// says why.
///
/// The kernel takes the area that is on the resume device; or, if none is set, the first of all, which it
/// makes the resume device.
pub(in crate::kernel_ext) struct NoImage {
    pub(in crate::kernel_ext) device: bindings::dev_t,
}

impl HibernationListener for NoImage {
    // Before what takes long.
    const PRIORITY: c_int = 1;

    fn begins(&self) -> Result {
        let reason = match resume_device() {
            Ok(Some(device)) if device != self.device => return Ok(()),
            Ok(Some(_)) => "the resume device is that of a ghost file, which cannot keep the image",
            Ok(None) => {
                "no resume device is set, and a ghost file cannot keep the image: set /sys/power/resume, \
                 or swapoff all ghost files"
            }
            Err(_) => "/sys/power/resume cannot be read, which is to say where the image goes",
        };
        pr_err!("hibernation is refused: {reason}\n");
        Err(EPERM)
    }
}

/// The device that the machine resumes from; [`None`] if none is set.
///
/// Context: may sleep; the calling task has the file. Errors: as open(2) and read(2); [`EINVAL`] if it reads
/// otherwise than `MAJOR:MINOR`.
fn resume_device() -> Result<Option<bindings::dev_t>> {
    // The kernel exports neither the variable nor a function that tells it.
    let file = FoundFile::new(c"/sys/power/resume")?.open()?;
    let mut text = [0; 24];
    let length = file.read_start(&mut text)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| EINVAL);
    let text = core::str::from_utf8(text.get(..length).ok_or(EINVAL)?).map_err(|_| EINVAL)?;
    let (major, minor) = text.trim_end().split_once(':').ok_or(EINVAL)?;
    let device = number(major)? << bindings::MINORBITS | number(minor)?;
    Ok((device != 0).then_some(device))
}
