// SPDX-License-Identifier: GPL-2.0

//! Directories in sysfs, whose files show one value each.
//!
//! C headers: [`include/linux/kobject.h`](srctree/include/linux/kobject.h),
//! [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use super::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    fmt,
    prelude::*,
    sync::{Arc, Completion},
    types::Opaque,
};

/// A directory in `/sys/fs` that only holds others.
///
/// # Invariants
///
/// The pointer is of `kobject_create_and_add()`, and owned by this value.
pub(crate) struct FsDirectory(NonNull<bindings::kobject>);

// SAFETY: A kobject may be used and put by any task.
unsafe impl Send for FsDirectory {}
// SAFETY: As above; nothing of it is written through a shared reference.
unsafe impl Sync for FsDirectory {}

impl FsDirectory {
    /// Makes `/sys/fs/<name>`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`], also if the name is taken.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a C string, and is copied; `fs_kobj` is always there.
        let kobject =
            unsafe { bindings::kobject_create_and_add(name.as_char_ptr(), bindings::fs_kobj) };
        // INVARIANT: It was just made.
        Ok(Self(NonNull::new(kobject).ok_or(ENOMEM)?))
    }
}

impl Drop for FsDirectory {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is ours to put, which deletes it.
        unsafe { bindings::kobject_put(self.0.as_ptr()) };
    }
}

/// What a file shows.
pub(crate) enum Value<'a> {
    /// A number, in decimal.
    Number(u64),
    /// A word.
    Text(&'a CStr),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => f.write_fmt(fmt!("{number}")),
            Value::Text(text) => f.write_fmt(fmt!("{}", text)),
        }
    }
}

/// What has files in sysfs.
pub(crate) trait Attributes: Send + Sync + 'static {
    /// The names of the files.
    const NAMES: &'static [&'static CStr];

    /// What the file [`Self::NAMES`]`[index]` shows now.
    ///
    /// Context: may sleep.
    fn show(&self, index: usize) -> Value<'_>;
}

/// The kernel's side of a directory. Its place in memory is known to the kernel.
#[pin_data]
#[repr(C)]
struct Inner<T: Attributes> {
    /// First, so that a pointer to it is one to all.
    #[pin]
    kobject: Opaque<bindings::kobject>,
    attributes: KVec<bindings::attribute>,
    data: Arc<T>,
    #[pin]
    released: Completion,
}

/// A directory with the files of a `T`. It goes when this is dropped.
///
/// # Invariants
///
/// The kobject is initialised, and this value has its first reference.
pub(crate) struct Directory<T: Attributes> {
    inner: Pin<KBox<Inner<T>>>,
}

// SAFETY: A kobject may be used and put by any task; names do not change, and `T` can be shared.
unsafe impl<T: Attributes> Send for Directory<T> {}
// SAFETY: As above.
unsafe impl<T: Attributes> Sync for Directory<T> {}

impl<T: Attributes> Directory<T> {
    const SYSFS_OPERATIONS: bindings::sysfs_ops = bindings::sysfs_ops {
        show: Some(Self::show),
        store: None,
    };

    const TYPE: bindings::kobj_type = bindings::kobj_type {
        release: Some(Self::release),
        sysfs_ops: &Self::SYSFS_OPERATIONS,
        ..pin_init::zeroed()
    };

    /// Makes the directory `name` in `parent`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`]; [`EEXIST`] if the name is taken.
    pub(crate) fn new(
        parent: &FsDirectory,
        name: fmt::Arguments<'_>,
        data: Arc<T>,
    ) -> Result<Self> {
        let mut attributes = KVec::with_capacity(T::NAMES.len(), GFP_KERNEL)?;
        for name in T::NAMES {
            let mut attribute: bindings::attribute = pin_init::zeroed();
            attribute.name = name.as_char_ptr();
            attribute.mode = 0o444;
            // SAFETY: `attribute` is valid. It gets a lock class that is static, where there are
            // such, so it may be moved.
            unsafe { bindings::kernel_ext_sysfs_attr_init(&mut attribute) };
            attributes.push(attribute, GFP_KERNEL)?;
        }
        let inner = KBox::pin_init(
            try_pin_init!(Inner {
                // `kobject_init_and_add()` wants it zeroed, and pinned.
                kobject: Opaque::zeroed(),
                attributes,
                data,
                released <- Completion::new(),
            }),
            GFP_KERNEL,
        )?;
        // INVARIANT: Initialised on the next lines; on failure too, the reference must be put.
        let directory = Self { inner };
        let kobject = directory.inner.kobject.get();
        // SAFETY: The kobject is zeroed and pinned, and lives until it is released, see `drop()`.
        // `%pA` takes a pointer to arguments. The attributes live as long as the kobject, and do not
        // move.
        unsafe {
            to_result(bindings::kobject_init_and_add(
                kobject,
                &Self::TYPE,
                parent.0.as_ptr(),
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&name).cast::<c_void>(),
            ))?;
            for attribute in &directory.inner.attributes {
                to_result(bindings::sysfs_create_file_ns(
                    kobject,
                    attribute,
                    core::ptr::null(),
                ))?;
            }
        }
        Ok(directory)
    }

    /// # Safety
    ///
    /// Called by sysfs, with a kobject of this type and one of its attributes, to fill a page at
    /// `out`.
    unsafe extern "C" fn show(
        kobject: *mut bindings::kobject,
        attribute: *mut bindings::attribute,
        out: *mut c_char,
    ) -> isize {
        // SAFETY: By the requirement of this function: the kobject is the first field of an
        // `Inner<T>` with the layout of C, and sysfs keeps it while this runs. `%pA` takes a
        // pointer to arguments.
        unsafe {
            let inner = &*kobject.cast::<Inner<T>>();
            let index = attribute
                .cast_const()
                .offset_from(inner.attributes.as_ptr());
            let value = inner.data.show(index as usize);
            bindings::sysfs_emit(
                out,
                c"%pA\n".as_char_ptr(),
                core::ptr::from_ref(&fmt!("{value}")).cast::<c_void>(),
            ) as isize
        }
    }

    /// # Safety
    ///
    /// Called when the last reference to a kobject of this type goes.
    unsafe extern "C" fn release(kobject: *mut bindings::kobject) {
        // SAFETY: As in `show()`; the memory is freed only after this.
        unsafe { &*kobject.cast::<Inner<T>>() }
            .released
            .complete_all();
    }
}

impl<T: Attributes> Drop for Directory<T> {
    fn drop(&mut self) {
        let kobject = self.inner.kobject.get();
        // SAFETY: By the type invariants, it is initialised and the reference is ours. Deleting it
        // waits for those who read its files.
        unsafe {
            bindings::kobject_del(kobject);
            bindings::kobject_put(kobject);
        }
        // Somebody else may have a reference for a moment, and releasing it runs our code.
        self.inner.released.wait_for_completion();
    }
}
