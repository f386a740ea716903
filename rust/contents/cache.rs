// SPDX-License-Identifier: GPL-2.0

//! The compressed cache: pages in, objects out, and back.

use crate::{
    core::{
        entry::halves,
        slot::Content,
        PAGE_SIZE, //
    },
    kernel_ext::{
        crypto::compressor::{
            Algorithm,
            Compressor,
            Stream,
            StreamGuard, //
        },
        mm::{
            swap_page::{
                DestPage,
                Filled,
                SourcePage, //
            },
            zsmalloc::{
                ZsObject,
                ZsPool,
                NO_NODE, //
            },
        },
        sync::{
            lazy_init::{
                LazyInit,
                Make, //
            },
            workqueue::ReclaimQueue,
        },
    },
};
use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// A cache with one compressor.
pub(crate) struct Cache {
    /// Made for the first page, because it takes memory even while it is empty.
    inner: Arc<LazyInit<CacheInner>>,
    queue: Arc<ReclaimQueue>,
}

/// What holds and compresses pages.
struct CacheInner {
    objects: ZsPool,
    compressor: Compressor,
}

impl Make for CacheInner {
    /// The name that zsmalloc's statistics show, and the compressor.
    type Seed = (CString, Algorithm);

    fn make((name, algorithm): &(CString, Algorithm)) -> Result<Self> {
        Ok(Self {
            objects: ZsPool::new(name)?,
            compressor: Compressor::new(algorithm)?,
        })
    }
}

impl Cache {
    /// A cache for objects compressed by `compressor`, shown as `name` in zsmalloc's statistics.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if there is no such compressor; [`ENOMEM`].
    pub(crate) fn new(name: &CStr, compressor: &CStr, queue: Arc<ReclaimQueue>) -> Result<Self> {
        let seed = (name.to_cstring()?, Algorithm::new(compressor)?);
        Ok(Self {
            inner: LazyInit::new(seed)?,
            queue,
        })
    }

    /// What pages go through, one after the other, into the cache and out of it.
    #[inline]
    pub(crate) fn stream(&self) -> CacheStream<'_> {
        CacheStream {
            cache: self,
            taken: None,
        }
    }

    /// Writes to `page` what was stored as an object that held `data`, and is not in the cache any
    /// more. [`EIO`] if that is no page.
    ///
    /// Context: may sleep for the CPU's stream, which an incompressible page does not take.
    pub(crate) fn unpack(&self, data: &[u8], page: &mut DestPage<'_>) -> Result<Filled> {
        if let Ok(whole) = data.try_into() {
            return Ok(page.copy_from(whole));
        }
        let inner = self.inner.get().ok_or(EIO)?;
        let mut stream = inner.compressor.stream();
        let (decompressor, _) = stream.split();
        decompressor.decompress(data, page)
    }

    /// Writes to `page` the incompressible one that was stored as `object`.
    fn load_whole(&self, object: &ZsObject, page: &mut DestPage<'_>) -> Result<Filled> {
        self.inner.get().ok_or(EIO)?.objects.copy_to(object, page)
    }

    /// Calls `with` with the bytes of `object`, which pass through `buffer` where they must.
    ///
    /// Context: `with` must not sleep.
    pub(crate) fn read<R>(
        &self,
        object: &ZsObject,
        buffer: &mut [u8; PAGE_SIZE],
        with: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let inner = self.inner.get()?;
        Some(with(&inner.objects.read(object, buffer)))
    }

    /// Takes an object that holds `data` back into the cache.
    ///
    /// Context: waits for no memory. Errors: [`ENOMEM`], [`ERANGE`].
    pub(crate) fn store_again(&self, data: &[u8]) -> Result<ZsObject> {
        let inner = self.inner.get().ok_or(ENOMEM)?;
        inner.objects.store(data, NO_NODE)
    }

    /// Frees `object`.
    ///
    /// Context: any but interrupts; never sleeps.
    #[inline]
    pub(crate) fn free(&self, object: ZsObject) {
        if let Some(inner) = self.inner.get() {
            inner.objects.free(object);
        }
    }

    /// Bytes of memory that the objects take, in whole pages.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.inner.get().map_or(0, |inner| inner.objects.bytes())
    }

    /// Bytes that the cache takes whatever it holds: none before it is used, then its streams.
    ///
    /// Context: may sleep.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.inner.get().map_or(0, |inner| inner.compressor.bytes())
    }
}

/// A CPU's stream of the compressor, taken when the first page needs it and kept for those that
/// follow.
///
/// No other code may want a stream meanwhile: before it might, [`CacheStream::pause`].
pub(crate) struct CacheStream<'a> {
    cache: &'a Cache,
    taken: Option<(&'a CacheInner, StreamGuard<'a>)>,
}

impl<'a> CacheStream<'a> {
    /// Gives the stream back, until the next page needs one.
    #[inline]
    pub(crate) fn pause(&mut self) {
        self.taken = None;
    }

    /// The stream, and what it is of. `inner` is called if it was not taken.
    #[inline]
    fn take(
        &mut self,
        inner: impl FnOnce(&'a Cache) -> Result<&'a CacheInner>,
    ) -> Result<&mut (&'a CacheInner, StreamGuard<'a>)> {
        match &mut self.taken {
            Some(taken) => Ok(taken),
            none => {
                let inner = inner(self.cache)?;
                Ok(none.insert((inner, inner.compressor.stream())))
            }
        }
    }

    /// Keeps `page`. Returns how.
    ///
    /// Context: may sleep for the CPU's stream; waits for no memory. Errors: [`ENOMEM`], [`ERANGE`].
    #[inline]
    pub(crate) fn store(&mut self, page: &SourcePage<'_>) -> Result<Content<ZsObject>> {
        if let Some(fill) = page.repeated_word().and_then(halves) {
            return Ok(Content::Same(fill));
        }
        let (inner, stream) = self.take(|cache| cache.inner.get_or_make(&cache.queue))?;
        inner.compress(stream, page).map(Content::Object)
    }

    /// Writes to `page` what was stored as `object`. [`EIO`] if that is no page.
    ///
    /// Context: may sleep for the CPU's stream, which an incompressible page does not take.
    #[inline]
    pub(crate) fn load(&mut self, object: &ZsObject, page: &mut DestPage<'_>) -> Result<Filled> {
        if object.length().is_incompressible() {
            return self.cache.load_whole(object, page);
        }
        let (inner, stream) = self.take(|cache| cache.inner.get().ok_or(EIO))?;
        let (decompressor, buffer) = stream.split();
        decompressor.decompress(&inner.objects.read(object, buffer), page)
    }
}

impl CacheInner {
    /// Stores `page` compressed, or as it is if it is incompressible: if zsmalloc would give it a page
    /// of its own anyway.
    #[inline]
    fn compress(&self, stream: &mut Stream, page: &SourcePage<'_>) -> Result<ZsObject> {
        let bytes: &[u8] = match stream.compress(page) {
            Ok(packed) if packed.len() < self.objects.huge_class_size => packed,
            // A compressor fails where its output would not fit.
            _ => page.bytes(),
        };
        self.objects.store(bytes, page.node())
    }
}
