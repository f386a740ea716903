// SPDX-License-Identifier: GPL-2.0

//! Directories in sysfs, whose files show one value each, or a table of one kind of values, or take one.
//!
//! C headers: [`include/linux/kobject.h`](srctree/include/linux/kobject.h),
//! [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use crate::kernel_ext::bindings;
use core::ptr::NonNull;
use kernel::{
    container_of,
    error::to_result,
    fmt,
    prelude::*,
    sync::{
        Arc,
        Completion, //
    },
    types::Opaque,
};

/// A directory in `/sys/fs` that only holds others. They are of a subsystem of its name, for what listens to
/// [events](KobjectDir::tell_change) of them.
///
/// # Invariants
///
/// The pointer is of `kset_create_and_add()`, and owned by this value.
pub(crate) struct FsDir(NonNull<bindings::kset>);

// SAFETY: A kset may be used and put by any task.
unsafe impl Send for FsDir {}
// SAFETY: As above; nothing of it is written through a shared reference.
unsafe impl Sync for FsDir {}

impl FsDir {
    /// Makes `/sys/fs/<name>`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`], also if the name is taken.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a C string, and is copied; `fs_kobj` is always there. A kset needs no
        // operations.
        let kset = unsafe {
            bindings::kset_create_and_add(name.as_char_ptr(), core::ptr::null(), bindings::fs_kobj)
        };
        // INVARIANT: It was just made.
        Ok(Self(NonNull::new(kset).ok_or(ENOMEM)?))
    }
}

impl Drop for FsDir {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is ours to put, and to delete.
        unsafe { bindings::kset_unregister(self.0.as_ptr()) };
    }
}

/// A file in sysfs, of a `T`: its name, and a function for it, which may sleep.
pub(crate) enum Attribute<T: 'static> {
    /// It shows the number that the function returns, in decimal.
    Number(&'static CStr, fn(&T) -> u64),
    /// The same, for root only: the number says more of what others store than they may know.
    RootNumber(&'static CStr, fn(&T) -> u64),
    /// It shows pairs of numbers, one a line: what the function returns for 0, 1 and so on, up to the first
    /// [`None`]. There is room for a page of text; what is beyond is left out.
    Pairs(&'static CStr, fn(&T, usize) -> Option<(u64, u64)>),
    /// It shows the word that the function returns.
    Text(&'static CStr, fn(&T) -> &CStr),
    /// It shows the number that the first function returns, or `off` where there is none, and takes what it is
    /// to be, with the second, as an [order](Attribute::Order) does.
    Setting(
        &'static CStr,
        fn(&T) -> Option<u64>,
        fn(&Arc<T>, &[u8]) -> Result,
    ),
    /// It is an order. The function does it; it is given what was written to the file, without the
    /// newline at its end.
    ///
    /// Context: a task that has `CAP_SYS_ADMIN` where the machine's users are told apart, as
    /// swapon(2) wants it. Others, even root, get [`EPERM`].
    Order(&'static CStr, fn(&Arc<T>, &[u8]) -> Result),
}

/// What has files in sysfs.
///
/// # Examples
///
/// ```ignore
/// struct Lamp(Atomic<u64>);
///
/// impl Attributes for Lamp {
///     const ATTRIBUTES: &'static [Attribute<Self>] = &[
///         Attribute::Number(c"brightness", |lamp| lamp.0.load(Relaxed)),
///         Attribute::Order(c"off", |lamp, _| {
///             lamp.0.store(0, Relaxed);
///             Ok(())
///         }),
///     ];
/// }
///
/// let lamp = Arc::new(Lamp(Atomic::new(1)), GFP_KERNEL)?;
/// let dir = KobjectDir::new(&FsDir::new(c"lamps")?, fmt!("desk"), lamp)?;
/// ```
pub(crate) trait Attributes: Send + Sync + Sized + 'static {
    /// The files.
    const ATTRIBUTES: &'static [Attribute<Self>];
}

/// What directories can be made in.
///
/// # Safety
///
/// What [`Parent::kobject`] returns is a kobject that was added, valid as long as `self`; what
/// [`Parent::kset`] returns is null, or the kset that this kobject is of.
pub(crate) unsafe trait Parent {
    /// Its kobject.
    #[doc(hidden)]
    fn kobject(&self) -> *mut kernel::bindings::kobject;

    /// The kset that directories in it are members of, or null.
    #[doc(hidden)]
    fn kset(&self) -> *mut kernel::bindings::kset {
        core::ptr::null_mut()
    }
}

// SAFETY: By the type invariants.
unsafe impl Parent for FsDir {
    fn kobject(&self) -> *mut kernel::bindings::kobject {
        // SAFETY: The kset is valid; only the place of its field is taken.
        unsafe { &raw mut (*self.0.as_ptr()).kobj }
    }

    fn kset(&self) -> *mut kernel::bindings::kset {
        self.0.as_ptr()
    }
}

// SAFETY: By the type invariants; where it could not be added, no value is given out.
unsafe impl<T: Attributes> Parent for KobjectDir<T> {
    fn kobject(&self) -> *mut kernel::bindings::kobject {
        self.inner.kobject.get()
    }
}

/// An attribute as the kernel knows it, and what it is of.
struct DirAttribute<T: 'static> {
    raw: Opaque<bindings::attribute>,
    attribute: &'static Attribute<T>,
}

/// The kernel's side of a directory. Its place in memory is known to the kernel.
#[pin_data]
struct KobjectInner<T: Attributes> {
    #[pin]
    kobject: Opaque<bindings::kobject>,
    attributes: KVec<DirAttribute<T>>,
    data: Arc<T>,
    #[pin]
    released: Completion,
}

/// A directory with the files of a `T`. It goes when this is dropped, which waits for those in it:
/// they go first.
///
/// # Invariants
///
/// The kobject is initialised, and this value has its first reference.
pub(crate) struct KobjectDir<T: Attributes> {
    inner: Pin<KBox<KobjectInner<T>>>,
}

// SAFETY: A kobject may be used and put by any task; names do not change, and `T` can be shared.
unsafe impl<T: Attributes> Send for KobjectDir<T> {}
// SAFETY: As above.
unsafe impl<T: Attributes> Sync for KobjectDir<T> {}

impl<T: Attributes> KobjectDir<T> {
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
        let mut attributes = KVec::with_capacity(T::ATTRIBUTES.len(), GFP_KERNEL)?;
        for attribute in T::ATTRIBUTES {
            let mut raw: bindings::attribute = pin_init::zeroed();
            // SAFETY: `raw` is valid. It gets a lock class that is static, where there are such, so
            // it may be moved. Orders have one of their own, for they may remove other files.
            unsafe {
                match attribute {
                    Attribute::Number(name, _)
                    | Attribute::Pairs(name, _)
                    | Attribute::Text(name, _) => {
                        raw.name = name.as_char_ptr();
                        raw.mode = 0o444;
                        bindings::kernel_ext_sysfs_attr_init(&mut raw);
                    }
                    Attribute::RootNumber(name, _) => {
                        raw.name = name.as_char_ptr();
                        raw.mode = 0o400;
                        bindings::kernel_ext_sysfs_attr_init(&mut raw);
                    }
                    Attribute::Setting(name, ..) => {
                        raw.name = name.as_char_ptr();
                        raw.mode = 0o644;
                        bindings::kernel_ext_sysfs_attr_init(&mut raw);
                    }
                    Attribute::Order(name, _) => {
                        raw.name = name.as_char_ptr();
                        raw.mode = 0o200;
                        bindings::kernel_ext_sysfs_order_init(&mut raw);
                    }
                }
            }
            let raw = Opaque::new(raw);
            attributes.push(DirAttribute { raw, attribute }, GFP_KERNEL)?;
        }
        let inner = KBox::pin_init(
            try_pin_init!(KobjectInner {
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
        // `%pA` takes a pointer to arguments. The attributes live as long as the kobject, and do
        // not move. The parent is valid, and the kobject takes a reference to it, and to the kset.
        unsafe {
            (*kobject).kset = parent.kset();
            let added = to_result(bindings::kobject_init_and_add(
                kobject,
                Self::TYPE,
                parent.kobject(),
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&name).cast::<c_void>(),
            ));
            // It has given the kset's reference back then, and deleting it would do so once more.
            added.inspect_err(|_| (*kobject).kset = core::ptr::null_mut())?;
            for attribute in &directory.inner.attributes {
                to_result(bindings::sysfs_create_file_ns(
                    kobject,
                    attribute.raw.get(),
                    core::ptr::null(),
                ))?;
            }
        }
        Ok(directory)
    }

    /// Tells tasks that poll the file `name` that it shows something else now.
    ///
    /// Context: may sleep.
    pub(crate) fn notify(&self, name: &CStr) {
        // SAFETY: By the type invariants, the kobject is valid; the names are C strings or null.
        unsafe {
            bindings::sysfs_notify(
                self.inner.kobject.get(),
                core::ptr::null(),
                name.as_char_ptr(),
            )
        };
    }

    /// Tells programs that listen to events of the subsystem, such as udev, that it changed, with a
    /// `variable` that says how: `NAME=value`. It must be one of a subsystem: in an [`FsDir`].
    ///
    /// Context: may sleep, and wait for memory. Errors: [`ENOMEM`], and others if no program can be told.
    pub(crate) fn tell_change(&self, variable: &CStr) -> Result {
        let mut environment = [variable.as_char_ptr().cast_mut(), core::ptr::null_mut()];
        // SAFETY: By the type invariants, the kobject is valid, and was added; the environment is a list
        // of C strings that ends with null, and is copied.
        to_result(unsafe {
            bindings::kobject_uevent_env(
                self.inner.kobject.get(),
                bindings::kobject_action_KOBJ_CHANGE,
                environment.as_mut_ptr(),
            )
        })
    }

    /// The directory of a kobject, and one of its attributes.
    ///
    /// # Safety
    ///
    /// `kobject` is of this type, and stays for `'a`; `attribute` is one that was given to sysfs
    /// for it.
    unsafe fn of<'a>(
        kobject: *mut bindings::kobject,
        attribute: *mut bindings::attribute,
    ) -> (&'a KobjectInner<T>, &'static Attribute<T>) {
        // SAFETY: By the requirement of this function, they are those fields of a `KobjectInner<T>`
        // and of a `DirAttribute<T>` that it has.
        unsafe {
            let inner = container_of!(Opaque::cast_from(kobject), KobjectInner<T>, kobject);
            let entry = container_of!(Opaque::cast_from(attribute), DirAttribute<T>, raw);
            (&*inner, (*entry).attribute)
        }
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
        // SAFETY: By the requirement of this function; sysfs keeps the kobject while this runs.
        let (inner, attribute) = unsafe { Self::of(kobject, attribute) };
        let emit_at = |at: c_int, value: fmt::Arguments<'_>| {
            // SAFETY: There is a page at `out`, and the function looks whether `at` is in it. `%pA` takes
            // a pointer to arguments.
            unsafe {
                bindings::sysfs_emit_at(
                    out,
                    at,
                    c"%pA\n".as_char_ptr(),
                    core::ptr::from_ref(&value).cast::<c_void>(),
                )
            }
        };
        let emit = |value: fmt::Arguments<'_>| emit_at(0, value) as isize;
        match attribute {
            Attribute::Number(_, show) | Attribute::RootNumber(_, show) => {
                emit(fmt!("{}", show(&inner.data)))
            }
            Attribute::Pairs(_, show) => {
                let mut at = 0;
                for (first, second) in (0..).map_while(|line| show(&inner.data, line)) {
                    at += emit_at(at, fmt!("{first} {second}"));
                }
                at as isize
            }
            Attribute::Text(_, show) => emit(fmt!("{}", show(&inner.data))),
            Attribute::Setting(_, show, _) => match show(&inner.data) {
                Some(number) => emit(fmt!("{number}")),
                None => emit(fmt!("off")),
            },
            // Root can change the mode of a file, and then read an order.
            Attribute::Order(..) => EIO.to_errno() as isize,
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
        let ((inner, attribute), text) = unsafe {
            (
                Self::of(kobject, attribute),
                core::slice::from_raw_parts(text.cast::<u8>(), length),
            )
        };
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        // The mode of the file keeps out tasks that are not root's; this, those in a container, and
        // those that were given an open file.
        //
        // SAFETY: Any capability may be asked for.
        let may = unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) };
        let done = match attribute {
            Attribute::Order(_, act) | Attribute::Setting(_, _, act) if may => {
                act(&inner.data, text)
            }
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
        // SAFETY: It is that field of a `KobjectInner<T>`, whose memory is freed only after this.
        let inner =
            unsafe { &*container_of!(Opaque::cast_from(kobject), KobjectInner<T>, kobject) };
        inner.released.complete_all();
    }
}

impl<T: Attributes> Drop for KobjectDir<T> {
    fn drop(&mut self) {
        let kobject = self.inner.kobject.get();
        // SAFETY: By the type invariants, it is initialised and the reference is ours. Deleting it
        // waits for tasks that read its files.
        unsafe {
            bindings::kobject_del(kobject);
            bindings::kobject_put(kobject);
        }
        // Something else may have a reference for a moment, and releasing it runs our code.
        self.inner.released.wait_for_completion();
    }
}
