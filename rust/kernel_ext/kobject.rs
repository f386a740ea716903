// SPDX-License-Identifier: GPL-2.0

//! Directories in sysfs, whose files show one value each, or take one.
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
pub(crate) trait Attributes: Send + Sync + Sized + 'static {
    /// The names of the files that show something.
    const NAMES: &'static [&'static CStr];

    /// The names of the files that take something.
    const COMMANDS: &'static [&'static CStr] = &[];

    /// What the file [`Self::NAMES`]`[index]` shows now.
    ///
    /// Context: may sleep.
    fn show(&self, index: usize) -> Value<'_>;

    /// Does what the file [`Self::COMMANDS`]`[index]` is for. `text` is what was written to it, without
    /// the newline at its end.
    ///
    /// Context: may sleep; by a task that has `CAP_SYS_ADMIN` where the machine's users are told apart, as
    /// `swapon(2)` wants it. Others, even root, get [`EPERM`].
    fn command(self: &Arc<Self>, _index: usize, _text: &[u8]) -> Result {
        Err(EINVAL)
    }
}

/// Makes the two halves of a directory: the names of its files, and what each shows of a `$of`.
macro_rules! files {
    ($of:ty: $($name:literal => $show:expr,)*) => {
        const NAMES: &[&CStr] = &[$($name),*];
        const SHOW: &[for<'a> fn(&'a $of) -> Value<'a>] = &[$($show),*];
    };
}
pub(crate) use files;

/// What directories can be made in.
///
/// # Safety
///
/// What [`Parent::kobject`] returns is a kobject that was added, valid as long as `self`.
pub(crate) unsafe trait Parent {
    /// Its kobject.
    #[doc(hidden)]
    fn kobject(&self) -> *mut kernel::bindings::kobject;
}

// SAFETY: By the type invariants.
unsafe impl Parent for FsDirectory {
    fn kobject(&self) -> *mut kernel::bindings::kobject {
        self.0.as_ptr()
    }
}

// SAFETY: By the type invariants; where it could not be added, no value is given out.
unsafe impl<T: Attributes> Parent for Directory<T> {
    fn kobject(&self) -> *mut kernel::bindings::kobject {
        self.inner.kobject.get()
    }
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

/// A directory with the files of a `T`. It goes when this is dropped, which waits for those in it: they
/// go first.
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
    const SYSFS_OPERATIONS: &'static bindings::sysfs_ops = &bindings::sysfs_ops {
        show: Some(Self::show),
        store: Some(Self::store),
    };

    const TYPE: &'static bindings::kobj_type = &bindings::kobj_type {
        release: Some(Self::release),
        sysfs_ops: Self::SYSFS_OPERATIONS,
        ..pin_init::zeroed()
    };

    /// Makes the directory `name` in `parent`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`]; [`EEXIST`] if the name is taken.
    pub(crate) fn new(
        parent: &impl Parent,
        name: fmt::Arguments<'_>,
        data: Arc<T>,
    ) -> Result<Self> {
        let count = T::NAMES.len() + T::COMMANDS.len();
        let mut attributes = KVec::with_capacity(count, GFP_KERNEL)?;
        let shown = T::NAMES.iter().map(|name| (name, 0o444));
        let taken = T::COMMANDS.iter().map(|name| (name, 0o200));
        for (name, mode) in Iterator::chain(shown, taken) {
            let mut attribute: bindings::attribute = pin_init::zeroed();
            attribute.name = name.as_char_ptr();
            attribute.mode = mode;
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
        // move. The parent is valid, and the kobject takes a reference to it.
        unsafe {
            to_result(bindings::kobject_init_and_add(
                kobject,
                Self::TYPE,
                parent.kobject(),
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
                .offset_from(inner.attributes.as_ptr()) as usize;
            // Root can change the mode of a file, and then read a command.
            if index >= T::NAMES.len() {
                return EIO.to_errno() as isize;
            }
            let value = inner.data.show(index);
            bindings::sysfs_emit(
                out,
                c"%pA\n".as_char_ptr(),
                core::ptr::from_ref(&fmt!("{value}")).cast::<c_void>(),
            ) as isize
        }
    }

    /// # Safety
    ///
    /// Called by sysfs, with a kobject of this type, one of its attributes, and `length` bytes at
    /// `text` that were written.
    unsafe extern "C" fn store(
        kobject: *mut bindings::kobject,
        attribute: *mut bindings::attribute,
        text: *const c_char,
        length: usize,
    ) -> isize {
        // SAFETY: As in `show()`; so many bytes can be read.
        let (inner, index, text) = unsafe {
            let inner = &*kobject.cast::<Inner<T>>();
            let index = attribute
                .cast_const()
                .offset_from(inner.attributes.as_ptr());
            (
                inner,
                index as usize,
                core::slice::from_raw_parts(text.cast::<u8>(), length),
            )
        };
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        // The mode of the file keeps out who is not root; this, who is in a container, and who was given
        // an open file.
        //
        // SAFETY: Any capability may be asked for.
        let may = unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) };
        let done = match index.checked_sub(T::NAMES.len()) {
            Some(command) if may => inner.data.command(command, text),
            _ => Err(EPERM),
        };
        match done {
            Ok(()) => length as isize,
            Err(error) => error.to_errno() as isize,
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
