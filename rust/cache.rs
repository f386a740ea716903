// SPDX-License-Identifier: GPL-2.0

//! The compressed cache: pages in, objects out, and back.

use crate::{
    kernel_ext::{
        compressor::{Algorithm, Compressor, Decompressor},
        on_demand::{Make, OnDemand},
        swap_page::{DestPage, Filled, SourcePage},
        workqueue::ReclaimQueue,
        zsmalloc::{self, Object},
    },
    logic::{
        entry::{halves, Form},
        slot::Content,
        PAGE_SIZE,
    },
};
use kernel::{prelude::*, str::CString, sync::Arc};

/// A cache with one compressor.
pub(crate) struct Cache {
    /// Made for the first page, because it takes memory even while it is empty.
    store: Arc<OnDemand<Store>>,
    queue: Arc<ReclaimQueue>,
}

/// What holds and compresses pages.
struct Store {
    objects: zsmalloc::Pool,
    compressor: Compressor,
}

impl Make for Store {
    /// The name that zsmalloc's statistics show, and the compressor.
    type Seed = (CString, Algorithm);

    fn make((name, algorithm): &(CString, Algorithm)) -> Result<Self> {
        Ok(Self {
            objects: zsmalloc::Pool::new(name)?,
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
            store: OnDemand::new(seed)?,
            queue,
        })
    }

    /// Keeps `page`, and says how.
    ///
    /// Context: may sleep for the CPU's stream; waits for no memory. Errors: [`ENOMEM`], [`ERANGE`].
    #[inline]
    pub(crate) fn store(&self, page: &SourcePage<'_>) -> Result<Content<Object>> {
        let word = page.repeated_word();
        if let Some(fill) = word.and_then(halves) {
            return Ok(Content::Same(fill));
        }
        let store = self.store.get_or_make(&self.queue)?;
        let object = match word {
            Some(word) => store.objects.store_fill(word, page.node()),
            None => store.compress(page),
        };
        object.map(Content::Object)
    }

    /// Writes to `page` what was stored as `object`. [`EIO`] if that is no page.
    ///
    /// Context: may sleep for the CPU's stream.
    #[inline]
    pub(crate) fn load(&self, object: &Object, page: &mut DestPage<'_>) -> Result<Filled> {
        let store = self.store.get().ok_or(EIO)?;
        let mut stream = store.compressor.stream();
        let (decompressor, buffer) = stream.split();
        let data = store.objects.read(object, buffer);
        unpack(object.form(), &data, decompressor, page)
    }

    /// Writes to `page` what was stored as an object of `form` that held `data`, and is not in the
    /// cache any more. [`EIO`] if that is no page.
    ///
    /// Context: may sleep for the CPU's stream.
    pub(crate) fn unpack(
        &self,
        form: Form,
        data: &[u8],
        page: &mut DestPage<'_>,
    ) -> Result<Filled> {
        let store = self.store.get().ok_or(EIO)?;
        let mut stream = store.compressor.stream();
        let (decompressor, _) = stream.split();
        unpack(form, data, decompressor, page)
    }

    /// Calls `with` with the bytes of `object`, which pass through `buffer` where they must.
    ///
    /// Context: `with` must not sleep.
    pub(crate) fn read<R>(
        &self,
        object: &Object,
        buffer: &mut [u8; PAGE_SIZE],
        with: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let store = self.store.get()?;
        Some(with(&store.objects.read(object, buffer)))
    }

    /// Takes an object of `form` that holds `data` back into the cache.
    ///
    /// Context: waits for no memory. Errors: [`ENOMEM`], [`ERANGE`].
    pub(crate) fn store_again(&self, form: Form, data: &[u8]) -> Result<Object> {
        let store = self.store.get().ok_or(ENOMEM)?;
        store.objects.store_again(form, data)
    }

    /// Frees `object`.
    ///
    /// Context: any but interrupts; never sleeps.
    #[inline]
    pub(crate) fn free(&self, object: Object) {
        if let Some(store) = self.store.get() {
            store.objects.free(object);
        }
    }

    /// Bytes of memory that the objects take, in whole pages.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.store.get().map_or(0, |store| store.objects.bytes())
    }

    /// Bytes that the cache takes whatever it holds: none before it is used, then its streams.
    ///
    /// Context: may sleep.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.store.get().map_or(0, |store| store.compressor.bytes())
    }
}

/// Writes to `page` what an object of `form` that holds `data` stands for.
#[inline]
fn unpack(
    form: Form,
    data: &[u8],
    decompressor: Decompressor<'_>,
    page: &mut DestPage<'_>,
) -> Result<Filled> {
    match form {
        Form::Packed(_) => decompressor.decompress(data, page),
        Form::Whole => data
            .first_chunk()
            .map(|data| page.copy_from(data))
            .ok_or(EIO),
        Form::Fill => data
            .first_chunk()
            .map(|word| page.fill(u64::from_ne_bytes(*word)))
            .ok_or(EIO),
    }
}

impl Store {
    /// Stores `page` compressed, or, if it compresses to so much that zsmalloc would give it a page
    /// of its own, as it is.
    #[inline]
    fn compress(&self, page: &SourcePage<'_>) -> Result<Object> {
        let mut stream = self.compressor.stream();
        match stream.compress(page) {
            Ok(packed) if packed.len() < self.objects.huge_length() => {
                self.objects.store_packed(packed, page.node())
            }
            // A compressor fails where its output would not fit.
            _ => self.objects.store_whole(page),
        }
    }
}
