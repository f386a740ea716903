// SPDX-License-Identifier: GPL-2.0

//! Pools of objects of up to a page, packed tightly and compacted under way.
//!
//! C header: [`include/linux/zsmalloc.h`](srctree/include/linux/zsmalloc.h)

use crate::{
    core::{
        bundle::{
            Outline,
            Shares,
            MEMBERS,
            PARTS, //
        },
        payload::{
            Coder,
            Form,
            Key,
            Length,
            Payload, //
        },
    },
    kernel_ext::{
        bindings,
        mm::{
            swap_page::{
                DestPage,
                Filled,
                NO_NODE, //
            },
            zs_bundle::{
                Bundle,
                Bundled,
                NAME_SHIFT,
                SHARE, //
            },
        },
    },
};
use core::{
    marker::PhantomData,
    ops::{
        Deref,
        Range, //
    },
    ptr::NonNull, //
};
use kernel::{
    alloc::flags::{
        __GFP_NOWARN, //
        GFP_NOWAIT,
    },
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

/// An object of a [`ZsPool`], or a share of a [bundle](super::zs_bundle) there, owned by its bearer.
///
/// It belongs to the pool that made it and must go back there; code that has objects of several
/// pools must keep them apart.
///
/// # Invariants
///
/// Without [`SHARE`], `base + (offset << NAME_SHIFT)`, with the `base` of its pool, is a handle that
/// `zs_malloc()` returned for `form.length.bytes()` bytes and that was not freed since. With it, the rest
/// names a share of a bundle that is not free. There is one `ZsObject` for it, but for those that a slot lends
/// while it holds the object still.
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

    /// Returns whether it is a share of a bundle.
    #[inline]
    pub(crate) fn is_share(&self) -> bool {
        self.offset & SHARE != 0
    }

    /// The share that it is, if it is one.
    #[inline]
    pub(crate) fn share(&self) -> Option<Share<'_>> {
        // INVARIANT: It is borrowed as long as what this returns.
        self.is_share().then_some(Share {
            name: self.offset,
            _object: PhantomData,
        })
    }
}

/// A share that is borrowed. Unlike a reference to the object, it needs no memory to point to.
///
/// # Invariants
///
/// `name` is the `offset` of a [`ZsObject`] that is a share, and that is there for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Share<'a> {
    name: u64,
    _object: PhantomData<&'a ZsObject>,
}

impl Share<'_> {
    /// Which share of its bundle it is.
    fn member(self) -> usize {
        self.name as usize % MEMBERS
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
/// assert_eq!(pool.read(&object, &mut buffer).as_deref(), Some(&b"some bytes"[..]));
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
    /// The bundles in it.
    pub(crate) bundled: Bundled,
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
            bundled: Bundled::new(),
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

    /// Moves objects together, and gives back pages that are free by that.
    ///
    /// Context: may sleep; reads of objects wait for the move of a few.
    pub(crate) fn compact(&self) {
        // SAFETY: By the type invariants, the pool is valid.
        let _ = unsafe { bindings::zs_compact(self.ptr.as_ptr()) };
    }

    /// Stores `bytes`, of which there are 1 to 4,096, and which `coder` made, near `node`.
    ///
    /// Context: may be called while memory is reclaimed; it takes from the reserves then, and never
    /// reclaims itself. Errors: [`ENOMEM`]; [`ERANGE`] if the handle is too far from
    /// the beginning of the direct map; [`EINVAL`] if there are not so many bytes.
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
        let offset = handle.wrapping_sub(self.base) as u64 >> NAME_SHIFT;
        if offset & !(SHARE - 1) != 0 {
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
            .wrapping_add((object.offset as usize) << NAME_SHIFT) as c_ulong
    }

    /// Reads `object`, through `buffer` where it lies on two pages. [`None`] if it is a share.
    ///
    /// Context: may not be compacted away while the reading lasts, so keep that short.
    #[inline]
    pub(crate) fn read<'a>(
        &'a self,
        object: &'a ZsObject,
        buffer: &'a mut [u8; PAGE_SIZE],
    ) -> Option<Reading<'a>> {
        if object.is_share() {
            return None;
        }
        // SAFETY: It is no share. The buffer is a page, and borrowed as long as the reading lasts.
        Some(unsafe { self.begin_read(object, buffer.as_mut_ptr()) })
    }

    /// Writes to `page` the bytes of `object`, which is a whole page. [`EIO`] if it is not.
    ///
    /// Context: as [`ZsPool::read`].
    pub(crate) fn copy_to(&self, object: &ZsObject, page: &mut DestPage<'_>) -> Result<Filled> {
        if object.form.length.bytes() != PAGE_SIZE || object.is_share() {
            return Err(EIO);
        }
        // SAFETY: The page is borrowed, and the object is one, and no share.
        unsafe { self.copy(object, page.as_mut_ptr()) };
        Ok(page.filled())
    }

    /// Writes to `room` the bytes of `object`. [`EINVAL`] if there is not room for just as many.
    ///
    /// Context: as [`ZsPool::read`].
    pub(crate) fn copy_to_slice(&self, object: &ZsObject, room: &mut [u8]) -> Result {
        if object.form.length.bytes() != room.len() || object.is_share() {
            return Err(EINVAL);
        }
        // SAFETY: So many bytes are borrowed, and the object is no share.
        unsafe { self.copy(object, room.as_mut_ptr()) };
        Ok(())
    }

    /// Writes to `to` the bytes of `object`.
    ///
    /// # Safety
    ///
    /// It is no share. There are as many bytes at `to`, and nothing else touches them while this runs.
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
    /// It is no share. `buffer` has room for its bytes, and nothing else touches that while the reading lasts.
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

    /// Frees `object`, and with the last share of a bundle that.
    ///
    /// Context: any but interrupts; takes spinlocks, never sleeps.
    #[inline]
    pub(crate) fn free(&self, object: ZsObject) {
        if object.is_share() {
            // SAFETY: By the invariants of `ZsObject`, the share is not free. It is not used any more.
            return unsafe { self.free_share(object.offset) };
        }
        // SAFETY: By the invariants of `ZsObject`, for it is no share, the handle is valid, and not used any
        // more.
        unsafe { bindings::zs_free(self.ptr.as_ptr(), self.handle(&object)) };
    }
}

/// Bundles, see [`zs_bundle`](super::zs_bundle).
impl ZsPool {
    /// Keeps a bundle that takes `packed` and is as `outline` says. Returns its shares, in the order of its
    /// objects: as many as it has members.
    ///
    /// Context: as [`ZsPool::store`]. Errors: those of that.
    pub(crate) fn store_bundle(
        &self,
        packed: &[u8],
        outline: Outline,
    ) -> Result<[Option<ZsObject>; MEMBERS]> {
        let mut parts = [0; PARTS];
        let mut kept = Ok(());
        for (place, range) in parts.iter_mut().zip(outline.parts()) {
            let part = packed.get(range).ok_or(EINVAL);
            match part.and_then(|part| self.store(part, Coder::Second, NO_NODE)) {
                Ok(part) => *place = part.offset,
                Err(error) => {
                    kept = Err(error);
                    break;
                }
            }
        }
        let made = kept.and_then(|()| {
            let bundle = Bundle {
                left: Shares::new(outline.members()),
                parts,
                outline,
            };
            Ok(KBox::new(bundle, GFP_NOWAIT | __GFP_NOWARN)?)
        });
        let made = made.and_then(|bundle| {
            let address = (&raw const *bundle).addr();
            let offset = address.wrapping_sub(self.base) as u64 >> NAME_SHIFT;
            match offset & !(SHARE - 1) {
                0 => Ok((bundle, offset)),
                _ => Err(ERANGE),
            }
        });
        let (bundle, offset) = match made {
            Ok(made) => made,
            Err(error) => {
                self.free_parts(&parts, &outline);
                return Err(error);
            }
        };
        // The last share frees it.
        let bundle = KBox::into_raw(bundle);
        // SAFETY: It is an object of slab. Its name is kept shifted, in a page that kmemleak does not scan.
        unsafe { bindings::kernel_ext_kmemleak_ignore(bundle.cast()) };
        self.bundled.made(&outline);
        Ok(core::array::from_fn(|member| {
            let form = Form {
                length: outline.share(member)?,
                coder: Coder::Second,
            };
            // INVARIANT: The bundle was just made, and has as many shares as there are lengths of shares.
            Some(ZsObject {
                offset: SHARE | (offset + member as u64),
                form,
            })
        }))
    }

    /// The bundle of the share called `name`.
    fn bundle_of(&self, name: u64) -> *mut Bundle {
        let first = (name & !SHARE) as usize & !(MEMBERS - 1);
        self.base.wrapping_add(first << NAME_SHIFT) as *mut Bundle
    }

    /// The bundle of `share`.
    fn bundle<'a>(&'a self, share: Share<'a>) -> &'a Bundle {
        // SAFETY: By the invariants of `Share` and `ZsObject`, the share is not free, and so the bundle is there.
        // It is not changed but for the count of its shares.
        unsafe { &*self.bundle_of(share.name) }
    }

    /// Returns whether `object` is a share of a bundle of which no more than half are left.
    pub(crate) fn is_of_sparse_bundle(&self, object: &ZsObject) -> bool {
        object.share().is_some_and(|share| {
            let bundle = self.bundle(share);
            2 * bundle.left.left() <= bundle.outline.members()
        })
    }

    /// Writes to the beginning of `room` what the bundle of `share` takes. Returns how much that is, and
    /// which of the bytes that it unpacks to are those of the share. [`EINVAL`] if there is no room.
    ///
    /// Context: as [`ZsPool::read`].
    pub(crate) fn copy_bundle(
        &self,
        share: Share<'_>,
        room: &mut [u8],
    ) -> Result<(usize, Range<usize>)> {
        let bundle = self.bundle(share);
        for (part, range) in self.parts(&bundle.parts, &bundle.outline) {
            self.copy_to_slice(&part, room.get_mut(range).ok_or(EINVAL)?)?;
        }
        let member = bundle.outline.member(share.member()).ok_or(EINVAL)?;
        Ok((bundle.outline.packed(), member))
    }

    /// The objects that the parts are of a bundle that is as `outline` says, and which of its bytes each has.
    /// They are lent, or, to the caller that frees the bundle, given.
    fn parts<'a>(
        &self,
        parts: &'a [u64; PARTS],
        outline: &'a Outline,
    ) -> impl Iterator<Item = (ZsObject, Range<usize>)> + 'a {
        parts
            .iter()
            .zip(outline.parts())
            .filter_map(|(part, range)| {
                let form = Form {
                    length: Length::new(range.len())?,
                    coder: Coder::Second,
                };
                // INVARIANT: The part was stored with this length.
                let part = ZsObject {
                    offset: *part,
                    form,
                };
                Some((part, range))
            })
    }

    /// Frees those parts that there are of a bundle that is as `outline` says. The others are 0: no handle is
    /// where the direct map begins.
    fn free_parts(&self, parts: &[u64; PARTS], outline: &Outline) {
        for (part, _) in self.parts(parts, outline) {
            if part.offset != 0 {
                self.free(part);
            }
        }
    }

    /// Frees the share called `name`, and with the last one its bundle.
    ///
    /// Context: as [`ZsPool::free`].
    ///
    /// # Safety
    ///
    /// It is the `offset` of a share that is not free, and that is not used any more.
    #[cold]
    #[inline(never)]
    unsafe fn free_share(&self, name: u64) {
        let bundle = self.bundle_of(name);
        let (outline, is_last) = {
            // SAFETY: By the requirement of this function, the share is not free, and so the bundle is there
            // until the share ends.
            let bundle = unsafe { &*bundle };
            (bundle.outline, bundle.left.end())
        };
        let member = name as usize % MEMBERS;
        self.bundled.ended(&outline, member, is_last);
        if is_last {
            // SAFETY: It was made by `KBox::into_raw()`. No share is left, so nothing else reads it, or will.
            let bundle = unsafe { KBox::from_raw(bundle) };
            self.free_parts(&bundle.parts, &outline);
        }
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
