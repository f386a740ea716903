// SPDX-License-Identifier: GPL-2.0

//! The compressed cache: pages in, objects out, and back.

use crate::{
    core::{
        bundle::{
            Outline,
            MEMBERS, //
        },
        entry::halves,
        payload::{
            Coder,
            Form,
            Length, //
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
            zs_bundle::Bundled,
            zsmalloc::{
                Share,
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

    /// Returns whether the second compressor makes bundles of objects, in memory.
    pub(crate) fn makes_bundles(&self) -> bool {
        (self.second.as_ref()).is_some_and(Algorithm::makes_bundles)
    }

    /// The bundles that it has. [`None`] before it is prepared.
    pub(crate) fn bundled(&self) -> Option<&Bundled> {
        self.inner().map(|inner| &inner.objects.bundled)
    }

    /// Returns whether `object` is a share of a bundle of which no more than half are left.
    pub(crate) fn is_of_sparse_bundle(&self, object: &ZsObject) -> bool {
        self.inner()
            .is_some_and(|inner| inner.objects.is_of_sparse_bundle(object))
    }

    /// Has the second compressor make a bundle of `objects`, which the first one made and the caller holds.
    /// Returns its shares, one for each object, in their order; [`None`] if it is not worth it, see
    /// [`Outline::new`].
    ///
    /// Context: may sleep for the CPU's stream; none is taken. Errors: [`ENOMEM`], [`ERANGE`].
    pub(crate) fn bundle<'a>(
        &self,
        objects: impl Iterator<Item = &'a ZsObject>,
    ) -> Result<Option<[Option<ZsObject>; MEMBERS]>> {
        let inner = self.inner().ok_or(ENOMEM)?;
        let second = inner.second.as_ref().ok_or(EINVAL)?;
        let (mut lengths, mut count) = ([0; MEMBERS], 0);
        let mut stream = second.stream();
        let packed = stream.pack(|room| {
            let mut end = 0;
            for (object, place) in objects.zip(&mut lengths) {
                let (start, length) = (end, object.form().length.bytes());
                end = start + length;
                let room = room.get_mut(start..end).ok_or(EINVAL)?;
                inner.objects.copy_to_slice(object, room)?;
                (*place, count) = (length, count + 1);
            }
            Ok(end)
        });
        // What the compressor finds no room for is not worth it.
        let outline = packed.ok().and_then(|packed| {
            let outline = Outline::new(lengths.get(..count)?, packed.len())?;
            Some((packed, outline))
        });
        (outline.map(|(packed, outline)| inner.objects.store_bundle(packed, outline))).transpose()
    }

    /// Writes to `room` the object of `share`, as the first compressor made it. Returns its length.
    ///
    /// Context: may sleep for the CPU's stream; none is taken. Errors: [`EINVAL`] if it is no share, or there
    /// is no room.
    pub(crate) fn unpack_to(&self, share: &ZsObject, room: &mut [u8]) -> Result<Length> {
        let inner = self.inner().ok_or(EIO)?;
        let mut stream = inner.second.as_ref().ok_or(EIO)?.stream();
        let object = inner.unpack(&mut stream, share.share().ok_or(EINVAL)?)?;
        let copy = room.get_mut(..object.len()).ok_or(EINVAL)?;
        copy.copy_from_slice(object);
        Length::new(object.len()).ok_or(EINVAL)
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

    /// Gives back memory that lies between objects.
    ///
    /// Context: may sleep.
    pub(crate) fn compact(&self) {
        if let Some(inner) = self.inner() {
            inner.objects.compact();
        }
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
        if let Some(object) = inner.objects.read(object, room.array_mut()) {
            return decompressor.decompress(&object, page);
        }
        self.load_share(object.share().ok_or(EIO)?, page)
    }

    /// As [`CacheStream::load`], for a share of a bundle.
    #[cold]
    #[inline(never)]
    fn load_share(&mut self, share: Share<'_>, page: &mut DestPage<'_>) -> Result<Filled> {
        let (inner, stream) = self.take(Coder::Second).ok_or(EIO)?;
        let object = inner.unpack(stream, share)?;
        let length = object.len();
        // By way of the page, as no task has two streams.
        let lent = page.bytes_mut().get_mut(..length).ok_or(EIO)?;
        lent.copy_from_slice(object);
        let (_, stream) = self.take(Coder::First).ok_or(EIO)?;
        let (decompressor, room) = stream.split();
        let copy = room.array_mut().get_mut(..length).ok_or(EIO)?;
        copy.copy_from_slice(page.bytes_mut().get(..length).ok_or(EIO)?);
        decompressor.decompress(copy, page)
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
    /// The object of `share`, which `stream`, of the second compressor, unpacks.
    fn unpack<'s>(&self, stream: &'s mut Stream, share: Share<'_>) -> Result<&'s [u8]> {
        let mut member = 0..0;
        let objects = stream.unpack(|room| {
            let (packed, range) = self.objects.copy_bundle(share, room)?;
            member = range;
            Ok(packed)
        })?;
        objects.get(member).ok_or(EIO)
    }

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
