// SPDX-License-Identifier: GPL-2.0

//! Memory that ends a process that reads or writes beside it.

use ghostswap_core::PAGE_SIZE;
use std::slice;

/// Memory between two pages that cannot be read or written.
pub struct Guarded {
    begin: *mut u8,
    pages: usize,
}

/// As in sys/mman.h, on Linux.
mod mman {
    use std::ffi::{
        c_int,
        c_void, //
    };

    pub(super) const PROT_READ_WRITE: c_int = 3;
    pub(super) const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;

    extern "C" {
        pub(super) fn mmap(
            address: *mut c_void,
            length: usize,
            protection: c_int,
            flags: c_int,
            file: c_int,
            offset: i64,
        ) -> *mut c_void;
        pub(super) fn mprotect(address: *mut c_void, length: usize, protection: c_int) -> c_int;
        pub(super) fn munmap(address: *mut c_void, length: usize) -> c_int;
    }
}

impl Guarded {
    /// Memory for `size` bytes, or more to be a number of pages.
    pub fn new(size: usize) -> Self {
        let pages = size.div_ceil(PAGE_SIZE).max(1);
        let (whole, inner) = ((pages + 2) * PAGE_SIZE, pages * PAGE_SIZE);
        // SAFETY: New memory, at any place; then the part of it that is not a guard.
        unsafe {
            let flags = mman::MAP_PRIVATE_ANONYMOUS;
            let whole = mman::mmap(std::ptr::null_mut(), whole, 0, flags, -1, 0);
            assert!(whole as isize != -1, "there is memory");
            let begin = whole.cast::<u8>().add(PAGE_SIZE);
            let status = mman::mprotect(begin.cast(), inner, mman::PROT_READ_WRITE);
            assert_eq!(status, 0);
            Self { begin, pages }
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: So many bytes can be read and written there, and are borrowed with `self`.
        unsafe { slice::from_raw_parts_mut(self.begin, self.pages * PAGE_SIZE) }
    }

    /// The first bytes. Before them is nothing.
    pub fn first(&mut self, size: usize) -> &mut [u8] {
        &mut self.bytes()[..size]
    }

    /// The last bytes. After them is nothing.
    pub fn last(&mut self, size: usize) -> &mut [u8] {
        let bytes = self.bytes();
        let start = bytes.len() - size;
        &mut bytes[start..]
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: It was mapped in `Guarded::new()`, a page before these, and nothing borrows it any more.
        unsafe {
            let whole = self.begin.sub(PAGE_SIZE);
            mman::munmap(whole.cast(), (self.pages + 2) * PAGE_SIZE);
        }
    }
}
