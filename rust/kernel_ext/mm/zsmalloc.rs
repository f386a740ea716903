// SPDX-License-Identifier: GPL-2.0

//! Pools of objects of up to a page, packed tightly and compacted under way.
//!
//! C header: [`include/linux/zsmalloc.h`](srctree/include/linux/zsmalloc.h)

use crate::{
    core::payload::{
        Coder,
        Form,
        Key,
        Length,
        Payload,
        PAYLOAD_BITS, //
    },
    kernel_ext::{
        bindings,
        mm::swap_page::{
            DestPage,
            Filled, //
        },
    },
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Handles are addresses of this alignment.
const HANDLE_SHIFT: u32 = 3;

/// An object of a [`ZsPool`], owned by its bearer.
///
/// It belongs to the pool that made it and must go back there; code that has objects of several
/// pools must keep them apart.
///
/// # Invariants
///
/// `base + (offset << HANDLE_SHIFT)`, with the `base` of its pool, is a handle that `zs_malloc()`
/// returned for `form.length.bytes()` bytes and that was not freed since. There is one `ZsObject` for
/// it, but for those that a slot lends while it holds the object still.
pub(crate) struct ZsObject {
    offset: u64,
    form: Form,
}

impl ZsObject {
    /// Its form.
    #[inline]
    pub(crate) fn form(&self) -> Form {
        self.form
    }
}

impl Payload for ZsObject {
    fn into_parts(self) -> (u64, Form) {
        (self.offset, self.form)
    }

    fn from_parts(offset: u64, form: Form, _: Key) -> Self {
        // INVARIANT: Only a slot has a `Key`, and it gives what it got from `into_parts()`, once or
        // while it holds the object still. That it does is model-checked.
        Self { offset, form }
    }
}

/// A pool.
///
/// # Examples
///
/// ```ignore
/// let pool = ZsPool::new(c"example")?;
/// let object = pool.store(b"some bytes", Coder::First, NO_NODE)?;
/// let mut buffer = KBox::new([0; PAGE_SIZE], GFP_KERNEL)?;
/// assert_eq!(*pool.read(&object, &mut buffer), *b"some bytes");
/// pool.free(object);
/// ```
///
/// # Invariants
///
/// `ptr` is a pool of `zs_create_pool()` that this value owns. `base` is where the direct map
/// begins.
pub(crate) struct ZsPool {
    ptr: NonNull<bindings::zs_pool>,
    base: usize,
    /// The smallest length in bytes that takes a page of its own, and gains nothing.
    pub(crate) huge_class_size: usize,
}

// SAFETY: The functions of zsmalloc lock what they touch; a pool is not bound to a task.
unsafe impl Send for ZsPool {}
// SAFETY: As above: all of them may be called at once from several tasks.
unsafe impl Sync for ZsPool {}

impl ZsPool {
    /// A new pool, called `name` in debugfs.
    ///
    /// It takes some 60 KiB, for its size classes.
    ///
    /// Context: may sleep; not where memory is reclaimed. Errors: [`ENOMEM`].
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a C string, and is copied.
        let ptr = unsafe { bindings::zs_create_pool(name.as_char_ptr()) };
        // INVARIANT: It was just created, and is not known elsewhere.
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        Ok(Self {
            ptr,
            // SAFETY: Reads a boot-time constant.
            base: unsafe { bindings::kernel_ext_direct_map_start() as usize },
            // SAFETY: The pool is valid.
            huge_class_size: unsafe { bindings::zs_huge_class_size(ptr.as_ptr()) },
        })
    }

    /// Bytes of memory that the pool takes, in whole pages.
    pub(crate) fn bytes(&self) -> u64 {
        // SAFETY: By the type invariants, the pool is valid.
        let pages = unsafe { bindings::zs_get_total_pages(self.ptr.as_ptr()) };
        pages as u64 * PAGE_SIZE as u64
    }

    /// Stores `bytes`, of which there are 1 to 4,096, and which `coder` made, near `node`.
    ///
    /// Context: may be called while memory is reclaimed; it takes from the reserves then, and never
    /// reclaims itself. Errors: [`ENOMEM`]; [`ERANGE`] if the handle does not fit into
    /// [`PAYLOAD_BITS`] bits; [`EINVAL`] if there are not so many bytes.
    #[inline]
    pub(crate) fn store(&self, bytes: &[u8], coder: Coder, node: i32) -> Result<ZsObject> {
        let pool = self.ptr.as_ptr();
        let (data, size) = (bytes.as_ptr(), bytes.len());
        let length = Length::new(size).ok_or(EINVAL)?;
        // SAFETY: By the type invariants, the pool is valid.
        let handle =
            unsafe { bindings::zs_malloc(pool, size, bindings::KERNEL_EXT_GFP_OBJECT, node) }
                as usize;
        if handle > usize::MAX - bindings::MAX_ERRNO as usize {
            to_result(handle as i32)?;
        }
        let offset = handle.wrapping_sub(self.base) as u64 >> HANDLE_SHIFT;
        if offset >> PAYLOAD_BITS != 0 {
            // SAFETY: The handle was just returned for this pool.
            unsafe { bindings::zs_free(pool, handle as c_ulong) };
            return Err(ERANGE);
        }
        // SAFETY: The handle is an object of slab.
        unsafe { bindings::kernel_ext_kmemleak_ignore(handle as *const c_void) };
        // SAFETY: The handle is for `size` bytes, and `data` has as many to read. The function only
        // reads them, though its prototype does not say so.
        unsafe { bindings::zs_obj_write(pool, handle as c_ulong, data.cast_mut().cast(), size) };
        let form = Form { length, coder };
        // INVARIANT: The handle was just returned for `form.length.bytes()` bytes.
        Ok(ZsObject { offset, form })
    }

    fn handle(&self, object: &ZsObject) -> c_ulong {
        self.base
            .wrapping_add((object.offset as usize) << HANDLE_SHIFT) as c_ulong
    }

    /// Reads `object`, through `buffer` where it lies on two pages.
    ///
    /// Context: may not be compacted away while the reading lasts, so keep that short.
    #[inline]
    pub(crate) fn read<'a>(
        &'a self,
        object: &'a ZsObject,
        buffer: &'a mut [u8; PAGE_SIZE],
    ) -> Reading<'a> {
        // SAFETY: The buffer is a page, and borrowed as long as the reading lasts.
        unsafe { self.begin_read(object, buffer.as_mut_ptr()) }
    }

    /// Writes to `page` the bytes of `object`, which is a whole page. [`EIO`] if it is not.
    ///
    /// Context: as [`ZsPool::read`].
    pub(crate) fn copy_to(&self, object: &ZsObject, page: &mut DestPage<'_>) -> Result<Filled> {
        if object.form.length.bytes() != PAGE_SIZE {
            return Err(EIO);
        }
        // SAFETY: The page is borrowed, and the object is one.
        unsafe { self.copy(object, page.as_mut_ptr()) };
        Ok(page.filled())
    }

    /// Writes to `room` the bytes of `object`. [`EINVAL`] if there is not room for just as many.
    ///
    /// Context: as [`ZsPool::read`].
    pub(crate) fn copy_to_slice(&self, object: &ZsObject, room: &mut [u8]) -> Result {
        if object.form.length.bytes() != room.len() {
            return Err(EINVAL);
        }
        // SAFETY: So many bytes are borrowed.
        unsafe { self.copy(object, room.as_mut_ptr()) };
        Ok(())
    }

    /// Writes to `to` the bytes of `object`.
    ///
    /// # Safety
    ///
    /// There are as many bytes at `to`, and nothing else touches them while this runs.
    #[inline(always)]
    unsafe fn copy(&self, object: &ZsObject, to: *mut u8) {
        // SAFETY: By the requirement of this function; what is there is written through `to` only.
        let reading = unsafe { self.begin_read(object, to) };
        let length = object.form.length.bytes();
        // If it lies on two pages, it was put together there.
        if reading.data == to {
            return;
        }
        if length == PAGE_SIZE && (reading.data.addr() | to.addr()) % PAGE_SIZE == 0 {
            // Where the CPU has no better way to copy, this takes a third of the instructions.
            // SAFETY: As below; both are whole pages.
            unsafe { bindings::kernel_ext_copy_page(to.cast(), reading.data.cast()) };
        } else {
            // SAFETY: By the invariants of `Reading`, so many bytes can be read there. They are the
            // object's own, which nothing else borrows to write.
            unsafe { core::ptr::copy_nonoverlapping(reading.data, to, length) };
        }
    }

    /// Begins to read `object`.
    ///
    /// # Safety
    ///
    /// `buffer` has room for its bytes, and nothing else touches that while the reading lasts.
    #[inline(always)]
    unsafe fn begin_read<'a>(&'a self, object: &'a ZsObject, buffer: *mut u8) -> Reading<'a> {
        let handle = self.handle(object);
        let length = object.form.length.bytes();
        // SAFETY: By the invariants of `ZsObject`, the handle is valid and has `length` bytes. Of the
        // buffer no more are written, and it has room for them, by the requirement of this function.
        let data = unsafe {
            bindings::zs_obj_read_begin(self.ptr.as_ptr(), handle, length, buffer.cast())
        };
        // INVARIANT: The reading just began.
        Reading {
            pool: self,
            handle,
            data: data.cast(),
            length,
        }
    }

    /// Frees `object`.
    ///
    /// Context: any but interrupts; takes spinlocks, never sleeps.
    #[inline]
    pub(crate) fn free(&self, object: ZsObject) {
        // SAFETY: By the invariants of `ZsObject`, the handle is valid, and not used any more.
        unsafe { bindings::zs_free(self.ptr.as_ptr(), self.handle(&object)) };
    }
}

impl Drop for ZsPool {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the pool is valid and owned; nothing borrows it. Objects
        // left in it are lost, and zsmalloc warns.
        unsafe { bindings::zs_destroy_pool(self.ptr.as_ptr()) };
    }
}

/// The bytes of an object, while they are read.
///
/// # Invariants
///
/// `zs_obj_read_begin()` returned `data` for `length` bytes of `handle`, and the reading has not
/// ended.
pub(crate) struct Reading<'a> {
    pool: &'a ZsPool,
    handle: c_ulong,
    data: *mut u8,
    length: usize,
}

impl Deref for Reading<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: By the type invariants, so many bytes are at `data` until the reading ends. They
        // are the object's own or the buffer's, which is borrowed; an object is written only before
        // it is known elsewhere.
        unsafe { core::slice::from_raw_parts(self.data, self.length) }
    }
}

impl Drop for Reading<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the reading began with these and has not ended.
        unsafe {
            bindings::zs_obj_read_end(
                self.pool.ptr.as_ptr(),
                self.handle,
                self.length,
                self.data.cast(),
            )
        };
    }
}
