// SPDX-License-Identifier: GPL-2.0

//! What is made for each CPU when the CPU comes.
//!
//! C header: [`include/linux/cpuhotplug.h`](srctree/include/linux/cpuhotplug.h)

use crate::kernel_ext::bindings;
use core::{
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    container_of,
    error::to_result,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// What is told of CPUs.
///
/// # Examples
///
/// ```ignore
/// struct Lamps(KVec<Atomic<bool>>);
///
/// impl CpuOnline for Lamps {
///     fn online(&self, cpu: usize) {
///         self.0[cpu].store(true, Relaxed);
///     }
/// }
///
/// let state = Arc::new(OnlineState::new(c"example:online")?, GFP_KERNEL)?;
/// // Those of the CPUs that are there burn.
/// let lamps = KBox::pin_init(OnlineInstance::new(state, lamps), GFP_KERNEL)?;
/// ```
pub(crate) trait CpuOnline: Send + Sync + 'static {
    /// CPU `cpu` is online, and may have been before.
    ///
    /// Context: a thread on that CPU, so memory is of its node; may sleep. Not two at a time for one
    /// value. CPUs do not come or go meanwhile.
    fn online(&self, cpu: usize);
}

/// A step of CPUs that come online, at which values of type `T` are told.
///
/// # Invariants
///
/// `state` is of `cpuhp_setup_state_multi()` with `Self::online`, and all instances in it are those of
/// an [`OnlineInstance<T>`].
pub(crate) struct OnlineState<T: CpuOnline> {
    state: c_int,
    _instances: PhantomData<fn(&T)>,
}

impl<T: CpuOnline> OnlineState<T> {
    /// A step called `name`, with nothing to tell yet.
    ///
    /// Context: may sleep. Errors: [`ENOSPC`] if the kernel has no more steps; [`ENOMEM`].
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name is static, and the function is one for instances as only `OnlineInstance`
        // adds them.
        let state = unsafe {
            bindings::kernel_ext_cpuhp_setup_state_multi(name.as_char_ptr(), Some(Self::online))
        };
        to_result(state)?;
        // INVARIANT: It was just set up.
        Ok(Self {
            state,
            _instances: PhantomData,
        })
    }

    /// # Safety
    ///
    /// Called by the CPU hotplug code, with an instance of this step, which stays for as long.
    unsafe extern "C" fn online(cpu: c_uint, node: *mut bindings::hlist_node) -> c_int {
        // SAFETY: By the requirement of this function, it is that field of an `OnlineInstance<T>`.
        let instance = unsafe { &*container_of!(Opaque::cast_from(node), OnlineInstance<T>, node) };
        instance.data.online(cpu as usize);
        0
    }
}

impl<T: CpuOnline> Drop for OnlineState<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; each instance has a reference, so there is none any more.
        unsafe { bindings::kernel_ext_cpuhp_remove_multi_state(self.state) };
    }
}

/// A `T` that is told of each CPU that is online, and of those that come.
///
/// # Invariants
///
/// `node` is an instance of `state`.
#[pin_data(PinnedDrop)]
pub(crate) struct OnlineInstance<T: CpuOnline> {
    data: T,
    state: Arc<OnlineState<T>>,
    #[pin]
    node: Opaque<bindings::hlist_node>,
}

// SAFETY: The node is only touched by the CPU hotplug code, which locks it; `T` can be sent.
unsafe impl<T: CpuOnline> Send for OnlineInstance<T> {}
// SAFETY: As above, and `T` can be shared.
unsafe impl<T: CpuOnline> Sync for OnlineInstance<T> {}

impl<T: CpuOnline> OnlineInstance<T> {
    /// Tells `data` of all CPUs at step `state`.
    ///
    /// Context: may sleep; waits for CPUs that come or go.
    pub(crate) fn new(state: Arc<OnlineState<T>>, data: T) -> impl PinInit<Self, Error> {
        let number = state.state;
        try_pin_init!(Self {
            data,
            state,
            node <- Opaque::try_ffi_init(|node: *mut bindings::hlist_node| {
                // SAFETY: `node` is memory for it, pinned from now on until it is removed, and a field
                // of a value whose others were initialised before it.
                unsafe {
                    node.write(pin_init::zeroed());
                    to_result(bindings::kernel_ext_cpuhp_state_add_instance(number, node))
                }
            }),
        }? Error)
    }
}

impl<T: CpuOnline> Deref for OnlineInstance<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.data
    }
}

#[pinned_drop]
impl<T: CpuOnline> PinnedDrop for OnlineInstance<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants. It waits for CPUs that come or go, and so for those that are
        // told to `data`.
        unsafe {
            bindings::kernel_ext_cpuhp_state_remove_instance(self.state.state, self.node.get())
        };
    }
}
