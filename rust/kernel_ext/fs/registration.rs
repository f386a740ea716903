// SPDX-License-Identifier: GPL-2.0

//! Registering a [`FileSystem`], and what the VFS calls of it.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::kernel_ext::{
    bindings,
    fs::{
        fs_context::FsLog,
        root_file,
        single_file::{
            mount_of,
            FileSystem, //
        },
    },
};
use core::ptr::NonNull;
use kernel::{
    container_of,
    error::{
        from_result,
        to_result, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    seq_file::SeqFile,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// A type of filesystem, from registration to the end of the module.
///
/// # Examples
///
/// ```ignore
/// #[pin_data]
/// struct ExampleModule {
///     #[pin]
///     filesystem: Registration<ExampleFs>,
/// }
///
/// impl InPlaceModule for ExampleModule {
///     fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
///         try_pin_init!(Self {
///             filesystem <- Registration::new(module, ExampleFs),
///         })
///     }
/// }
/// ```
///
/// # Invariants
///
/// `fs_type` is registered, and `data` is initialised and not written any more.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: FileSystem> {
    #[pin]
    fs_type: Opaque<bindings::file_system_type>,
    data: T,
}

// SAFETY: `fs_type` is only touched by the kernel, which locks it; `T` can be sent.
unsafe impl<T: FileSystem> Send for Registration<T> {}
// SAFETY: As above, and `T` can be shared.
unsafe impl<T: FileSystem> Sync for Registration<T> {}

impl<T: FileSystem> Registration<T> {
    /// Registers `data` as a filesystem of `module`.
    pub(crate) fn new(module: &'static ThisModule, data: T) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            data,
            fs_type <- Opaque::try_ffi_init(|fs_type: *mut bindings::file_system_type| {
                // SAFETY: `fs_type` is memory for it, pinned from now on until it is unregistered.
                // `data` was initialised before it.
                unsafe {
                    fs_type.write(pin_init::zeroed());
                    (*fs_type).name = T::NAME.as_char_ptr();
                    (*fs_type).owner = module.as_ptr();
                    (*fs_type).init_fs_context = Some(Self::init_fs_context);
                    (*fs_type).kill_sb = Some(Self::kill_sb);
                    to_result(bindings::register_filesystem(fs_type))
                }
            }),
        }? Error)
    }

    /// # Safety
    ///
    /// `fs_type` is that of a `Registration<T>`, and it is in use, so the module stays for `'a`.
    unsafe fn of<'a>(fs_type: *mut bindings::file_system_type) -> &'a T {
        // SAFETY: By the requirement of this function, it is that field of a value of this type.
        unsafe { &(*container_of!(Opaque::cast_from(fs_type), Self, fs_type)).data }
    }

    const CONTEXT_OPERATIONS: &'static bindings::fs_context_operations =
        &bindings::fs_context_operations {
            free: Some(Self::free),
            parse_param: Some(Self::parse_param),
            get_tree: Some(Self::get_tree),
            reconfigure: Some(Self::reconfigure),
            ..pin_init::zeroed()
        };

    const SUPER_OPERATIONS: &'static bindings::super_operations = &bindings::super_operations {
        statfs: Some(Self::statfs),
        show_options: Some(Self::show_options),
        ..pin_init::zeroed()
    };

    /// Sets up a context for mounting.
    ///
    /// # Safety
    ///
    /// Called by the VFS, with a new context for a filesystem of this type.
    unsafe extern "C" fn init_fs_context(fc: *mut kernel::bindings::fs_context) -> c_int {
        let fc = fc.cast::<bindings::fs_context>();
        from_result(|| {
            // SAFETY: The context is valid, and this side's to fill.
            unsafe {
                let options = FsLog::new((*fc).log)
                    .conclude(KBox::new(T::Options::default(), GFP_KERNEL).map_err(Error::from))?;
                (*fc).fs_private = options.into_foreign();
                (*fc).ops = Self::CONTEXT_OPERATIONS;
            }
            Ok(0)
        })
    }

    /// Frees what `init_fs_context()` made.
    ///
    /// # Safety
    ///
    /// Called by the VFS, once, at the end of a context that `init_fs_context()` set up.
    unsafe extern "C" fn free(fc: *mut bindings::fs_context) {
        // SAFETY: `init_fs_context()` made it, and this is called once.
        drop(unsafe { KBox::<T::Options>::from_foreign((*fc).fs_private) });
    }

    /// Takes one option.
    ///
    /// # Safety
    ///
    /// Called by the VFS, with a context that `init_fs_context()` set up, and a parameter.
    unsafe extern "C" fn parse_param(
        fc: *mut bindings::fs_context,
        param: *mut bindings::fs_parameter,
    ) -> c_int {
        from_result(|| {
            // SAFETY: Both are valid while this runs, and the context's user is locked out. The
            // options are of `init_fs_context()`. The key is a string, and so is the value of a
            // parameter of that type.
            let (log, options, key, value) = unsafe {
                let param = &*param;
                let is_text = param.type_() == bindings::fs_value_type_fs_value_is_string;
                (
                    FsLog::new((*fc).log),
                    &mut *KBox::<T::Options>::borrow_mut((*fc).fs_private),
                    CStr::from_char_ptr(param.key),
                    is_text.then(|| CStr::from_char_ptr(param.__bindgen_anon_1.string)),
                )
            };
            let value = value.unwrap_or(c"");
            if log.conclude(T::parse(options, key, value, &log))? {
                Ok(0)
            } else {
                // The VFS names the option.
                Ok(-(bindings::ENOPARAM as c_int))
            }
        })
    }

    /// Makes the superblock and its root.
    ///
    /// # Safety
    ///
    /// Called by the VFS, with a context that `init_fs_context()` set up.
    unsafe extern "C" fn get_tree(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: The context is valid.
        unsafe { bindings::get_tree_nodev(fc, Some(Self::fill_super)) }
    }

    /// Fills a new superblock.
    ///
    /// # Safety
    ///
    /// Called by `get_tree_nodev()`, with a new superblock and the context given to it.
    unsafe extern "C" fn fill_super(
        sb: *mut bindings::super_block,
        fc: *mut bindings::fs_context,
    ) -> c_int {
        from_result(|| {
            // SAFETY: Both are valid, and the superblock is this side's to fill. The options are of
            // `init_fs_context()`. What is set up here is undone by `kill_sb()`, on failure too.
            unsafe {
                let log = FsLog::new((*fc).log);
                let source = NonNull::new((*fc).source.cast_mut())
                    .map(|source| CStr::from_char_ptr(source.as_ptr()));
                let (number, minors) = ((*sb).s_dev, 1u32 << bindings::MINORBITS);
                let mount = log.conclude(Self::of((*fc).fs_type).mount(
                    KBox::<T::Options>::borrow((*fc).fs_private),
                    source,
                    (number / minors, number % minors),
                    &log,
                ))?;
                (*sb).s_fs_info = mount.into_foreign();
                (*sb).s_magic = T::MAGIC as c_ulong;
                (*sb).s_op = Self::SUPER_OPERATIONS;
                (*sb).s_blocksize = PAGE_SIZE as c_ulong;
                (*sb).s_blocksize_bits = PAGE_SHIFT as u8;
                (*sb).s_maxbytes = i64::MAX;
                (*sb).s_time_gran = 1;
                (*sb).s_iflags |= (bindings::SB_I_NOEXEC | bindings::SB_I_NODEV) as c_ulong;
                (*sb).s_root = log.conclude(root_file::new::<T>(sb))?;
            }
            Ok(0)
        })
    }

    /// Changes the options of a superblock.
    ///
    /// # Safety
    ///
    /// Called by the VFS, with a context that `init_fs_context()` set up, for a filled superblock.
    unsafe extern "C" fn reconfigure(fc: *mut bindings::fs_context) -> c_int {
        from_result(|| {
            // SAFETY: The context is valid, and so is the superblock that it changes, which has
            // been filled.
            unsafe {
                let log = FsLog::new((*fc).log);
                log.conclude(Self::of((*fc).fs_type).remount(
                    mount_of::<T>((*(*fc).root).d_sb),
                    KBox::<T::Options>::borrow((*fc).fs_private),
                    &log,
                ))?;
            }
            Ok(0)
        })
    }

    /// Ends a superblock, filled or not, as `kill_anon_super()` does. Its mount ends in between: the
    /// superblock is not locked any more, for which sync(2) and others would wait, and its number, by
    /// which the mount may be known, is not another's yet.
    ///
    /// # Safety
    ///
    /// Called by the VFS, once, for a superblock of this type that is not in use any more.
    unsafe extern "C" fn kill_sb(sb: *mut bindings::super_block) {
        // SAFETY: The superblock is valid until this returns, and has a number of its own. Its data is
        // of `fill_super()`, if that came so far, and is not used any more when the inodes are gone.
        // The type is in use until this is done.
        unsafe {
            let number = (*sb).s_dev;
            bindings::generic_shutdown_super(sb);
            let mount = core::mem::replace(&mut (*sb).s_fs_info, core::ptr::null_mut());
            if !mount.is_null() {
                let mount = KBox::<T::Mount>::from_foreign(mount);
                Self::of((*sb).s_type).unmount(mount);
            }
            bindings::free_anon_bdev(number);
        }
    }

    /// Answers `statfs(2)`.
    ///
    /// # Safety
    ///
    /// Called by the VFS, with a dentry of a filled superblock, and memory for the answer.
    unsafe extern "C" fn statfs(
        dentry: *mut bindings::dentry,
        statfs: *mut kernel::bindings::kstatfs,
    ) -> c_int {
        // SAFETY: Both are valid, and the superblock has been filled.
        let ((total, free), statfs) = unsafe {
            (
                T::space(mount_of::<T>((*dentry).d_sb)),
                &mut *statfs.cast::<bindings::kstatfs>(),
            )
        };
        statfs.f_type = T::MAGIC as c_long;
        statfs.f_bsize = PAGE_SIZE as c_long;
        statfs.f_blocks = total / PAGE_SIZE as u64;
        statfs.f_bfree = free / PAGE_SIZE as u64;
        statfs.f_bavail = statfs.f_bfree;
        statfs.f_files = 1;
        statfs.f_namelen = bindings::NAME_MAX as c_long;
        0
    }

    /// Prints the options in effect.
    ///
    /// # Safety
    ///
    /// Called by the VFS, with the root of a filled superblock.
    unsafe extern "C" fn show_options(
        out: *mut bindings::seq_file,
        root: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: Both are valid, and this task's while this runs; the superblock has been filled.
        unsafe { T::show_options(mount_of::<T>((*root).d_sb), SeqFile::from_raw(out)) };
        0
    }
}

#[pinned_drop]
impl<T: FileSystem> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, it is registered. No mount is left, for each keeps the
        // module.
        unsafe { bindings::unregister_filesystem(self.fs_type.get()) };
    }
}
