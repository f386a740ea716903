// SPDX-License-Identifier: GPL-2.0

//! The compressed cache: pages in, objects out, and back.

use crate::{
    core::{
        entry::halves,
        payload::{
            Coder,
            Form, //
        },
        slot::Content, //
    },
    kernel_ext::{
        block::buffer::Block,
        cpu_hotplug::{
            CpuOnline,
            OnlineInstance,
            OnlineState, //
        },
        crypto::compressor::{
            Algorithm,
            Compressor,
            Decompressor,
            Stream,
            StreamGuard, //
        },
        mm::{
            swap_page::{
                DestPage,
                Filled,
                SourcePage,
                NO_NODE, //
            },
            zsmalloc::{
                ZsObject,
                ZsPool, //
            },
        },
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        Arc,
        Mutex,
        SetOnce, //
    },
};

/// A cache with a compressor, and perhaps a second one for what is old.
#[pin_data]
pub(crate) struct Cache {
    /// Made for the first area: what stores a page cannot wait for memory.
    inner: SetOnce<Pin<KBox<OnlineInstance<CacheInner>>>>,
    /// The task that makes it has this locked.
    #[pin]
    making: Mutex<()>,
    /// The name that zsmalloc's statistics show.
    name: CString,
    algorithm: Algorithm,
    /// That of the second compressor.
    second: Option<Algorithm>,
    cpus: Arc<OnlineState<CacheInner>>,
}

/// What holds and compresses pages.
pub(crate) struct CacheInner {
    objects: ZsPool,
    compressor: Compressor,
    second: Option<Compressor>,
}

impl CpuOnline for CacheInner {
    fn online(&self, cpu: usize) {
        self.compressor.make_stream(cpu);
        if let Some(second) = &self.second {
            second.make_stream(cpu);
        }
    }
}

impl Cache {
    /// A cache for objects compressed by `compressor`, and by `second`, shown as `name` in zsmalloc's
    /// statistics, whose CPUs come at the step `cpus`.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if there is no such compressor; [`ENOMEM`].
    pub(crate) fn new(
        name: &CStr,
        compressor: &CStr,
        second: Option<&CStr>,
        cpus: &Arc<OnlineState<CacheInner>>,
    ) -> Result<impl PinInit<Self>> {
        let name = name.to_cstring()?;
        let algorithm = Algorithm::new(compressor)?;
        let second = second.map(Algorithm::new).transpose()?;
        let cpus = cpus.clone();
        Ok(pin_init!(Self {
            inner: SetOnce::new(),
            making <- new_mutex!(()),
            name,
            algorithm,
            second,
            cpus,
        }))
    }

    /// Makes what pages go through, if it is not there yet. That stays to the end. Before it is there, no
    /// page comes.
    ///
    /// Context: may sleep, and waits for CPUs that come or go. Errors: [`ENOMEM`].
    pub(crate) fn prepare(&self) -> Result {
        let _making = self.making.lock();
        if self.inner.as_ref().is_some() {
            return Ok(());
        }
        let objects = ZsPool::new(&self.name)?;
        // Of that length it would be stored as it is.
        let room = objects.huge_class_size.saturating_sub(1);
        let inner = CacheInner {
            objects,
            compressor: Compressor::new(self.algorithm.clone(), room)?,
            second: (self.second.clone())
                .map(|second| Compressor::new(second, room))
                .transpose()?,
        };
        let inner = KBox::pin_init(OnlineInstance::new(self.cpus.clone(), inner), GFP_KERNEL)?;
        self.inner.populate(inner);
        Ok(())
    }

    #[inline]
    fn inner(&self) -> Option<&CacheInner> {
        let inner = self.inner.as_ref()?;
        Some(inner)
    }

    /// What pages go through, one after the other, into the cache and out of it.
    #[inline]
    pub(crate) fn stream(&self) -> CacheStream<'_> {
        CacheStream {
            cache: self,
            coder: Coder::First,
            taken: None,
        }
    }

    /// Writes to `page` the incompressible one that was stored as `object`.
    fn load_whole(&self, object: &ZsObject, page: &mut DestPage<'_>) -> Result<Filled> {
        self.inner().ok_or(EIO)?.objects.copy_to(object, page)
    }

    /// Writes to `room` what `object` holds. [`EINVAL`] if there is not room for just as much.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn copy_to(&self, object: &ZsObject, room: &mut [u8]) -> Result {
        let inner = self.inner().ok_or(EIO)?;
        inner.objects.copy_to_slice(object, room)
    }

    /// Keeps an object that holds `data`, which `coder` made.
    ///
    /// Context: waits for no memory. Errors: [`ENOMEM`], [`ERANGE`].
    pub(crate) fn store_again(&self, data: &[u8], coder: Coder) -> Result<ZsObject> {
        let inner = self.inner().ok_or(ENOMEM)?;
        inner.objects.store(data, coder, NO_NODE)
    }

    /// Returns whether there is a second compressor.
    pub(crate) fn has_second(&self) -> bool {
        self.second.is_some()
    }

    /// Has the second compressor make an object of the page that `object`, of `form`, holds, which the
    /// first made. Returns what that holds, in `room`, if it takes less.
    ///
    /// Context: may sleep for the CPU's streams, one after the other; none is taken.
    pub(crate) fn recode<'r>(
        &self,
        object: &[u8],
        form: Form,
        room: &'r mut Block,
    ) -> Option<&'r [u8]> {
        let inner = self.inner()?;
        let second = inner.second.as_ref()?;
        let mut stream = inner.compressor.stream();
        let (first, _) = stream.split();
        let loaded = first.decompress(object, &mut DestPage::of(room));
        drop(stream);
        // What is no page is left as it is: its load will say so.
        let _ = loaded.ok()?;
        let mut stream = second.stream();
        let packed = stream.compress(&SourcePage::of(room)).ok()?;
        if !form.is_larger_than(packed.len()) {
            return None;
        }
        let copy = room.array_mut().get_mut(..packed.len())?;
        copy.copy_from_slice(packed);
        Some(copy)
    }

    /// Frees `object`.
    ///
    /// Context: any but interrupts; never sleeps.
    #[inline]
    pub(crate) fn free(&self, object: ZsObject) {
        if let Some(inner) = self.inner() {
            inner.objects.free(object);
        }
    }

    /// Bytes of memory that the objects take, in whole pages.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.inner().map_or(0, |inner| inner.objects.bytes())
    }

    /// Bytes that the cache takes whatever it holds: none before it is prepared, then its streams.
    ///
    /// Context: may sleep.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.inner().map_or(0, |inner| {
            let second = inner.second.as_ref().map_or(0, Compressor::bytes);
            inner.compressor.bytes() + second
        })
    }
}

/// A CPU's stream of a compressor, taken when the first page needs it and kept for those that
/// follow, as long as they need the same.
///
/// No other code may want a stream meanwhile: before it might, [`CacheStream::pause`].
pub(crate) struct CacheStream<'a> {
    cache: &'a Cache,
    /// Which compressor's stream is taken, if one is.
    coder: Coder,
    taken: Option<(&'a CacheInner, StreamGuard<'a>)>,
}

impl<'a> CacheStream<'a> {
    /// Gives the stream back, until the next page needs one.
    #[inline]
    pub(crate) fn pause(&mut self) {
        self.taken = None;
    }

    /// The stream of `coder`, and what it is of.
    #[inline]
    fn take(&mut self, coder: Coder) -> Option<&mut (&'a CacheInner, StreamGuard<'a>)> {
        if self.coder != coder {
            self.switch(coder);
        }
        match &mut self.taken {
            Some(taken) => Some(taken),
            none => {
                let inner = self.cache.inner()?;
                let compressor = match coder {
                    Coder::First => &inner.compressor,
                    Coder::Second => inner.second.as_ref()?,
                };
                Some(none.insert((inner, compressor.stream())))
            }
        }
    }

    /// Has the next stream be one of `coder`. No task has two.
    #[cold]
    fn switch(&mut self, coder: Coder) {
        self.pause();
        self.coder = coder;
    }

    /// Keeps `page`. Returns how.
    ///
    /// Context: may sleep for the CPU's stream; waits for no memory. Errors: [`ENOMEM`], [`ERANGE`].
    #[inline]
    pub(crate) fn store(&mut self, page: &SourcePage<'_>) -> Result<Content<ZsObject>> {
        if let Some(fill) = page.repeated_word().and_then(halves) {
            return Ok(Content::Same(fill));
        }
        let (inner, stream) = self.take(Coder::First).ok_or(ENOMEM)?;
        inner.compress(stream, page).map(Content::Object)
    }

    /// Writes to `page` what was stored as `object`. [`EIO`] if that is no page.
    ///
    /// Context: may sleep for the CPU's stream, which an incompressible page does not take.
    #[inline]
    pub(crate) fn load(&mut self, object: &ZsObject, page: &mut DestPage<'_>) -> Result<Filled> {
        let Form { length, coder } = object.form();
        if length.is_incompressible() {
            return self.cache.load_whole(object, page);
        }
        let (inner, stream) = self.take(coder).ok_or(EIO)?;
        let (decompressor, room) = stream.split();
        decompressor.decompress(&inner.objects.read(object, room.array_mut()), page)
    }

    /// What unpacks an object that `coder` made and that is not in the cache any more, and room for that
    /// object.
    ///
    /// Context: may sleep for the CPU's stream. Errors: [`EIO`] if the cache was not prepared.
    pub(crate) fn unpacker(&mut self, coder: Coder) -> Result<(Unpacker<'_>, &mut Block)> {
        let (_, stream) = self.take(coder).ok_or(EIO)?;
        let (decompressor, room) = stream.split();
        Ok((Unpacker(decompressor), room))
    }
}

/// What unpacks one object.
pub(crate) struct Unpacker<'a>(Decompressor<'a>);

impl Unpacker<'_> {
    /// Writes to `page` what was stored as an object that held `data`. [`EIO`] if that is no page.
    ///
    /// Context: may sleep, where the compressor is a device.
    pub(crate) fn unpack(self, data: &[u8], page: &mut DestPage<'_>) -> Result<Filled> {
        match data.try_into() {
            Ok(whole) => Ok(page.copy_from(whole)),
            Err(_) => self.0.decompress(data, page),
        }
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
        self.objects.store(bytes, Coder::First, page.node())
    }
}
