// SPDX-License-Identifier: GPL-2.0

//! Compressors by name, with a stream for each CPU that is there.
//!
//! All of them are the crypto API's but three. Its zstd is set up for inputs of 256 KiB, so pages are
//! compressed by the library that is behind it, set up for pages. And lz4, which is the fastest of the
//! kernel's, would pay most for the way through it. wlz is our own.

use crate::{
    core::{
        bundle,
        compressor_name,
        wlz::Level, //
    },
    kernel_ext::{
        block::buffer::{
            Block,
            BlockBuffer, //
        },
        crypto::{
            acomp,
            codec::{
                Codec,
                CodecBuffer,
                BUFFER_SIZE, //
            },
            wlz::Wlz,
        },
        mm::swap_page::{
            DestPage,
            Filled,
            SourcePage, //
        },
    },
};
use core::{
    ops::RangeInclusive,
    ptr::NonNull, //
};
use kernel::{
    cpu::{
        self,
        CpuId, //
    },
    fmt, new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Arc,
        Mutex, //
    },
};

#[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
use crate::kernel_ext::crypto::lz4;
#[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
use crate::kernel_ext::crypto::zstd;

/// Why a name is of no compressor.
pub(crate) enum NameError {
    /// The kernel has none of that name, and cannot load one.
    Unknown,
    /// It is followed by a level, and is not one that has levels.
    NoLevels,
    /// It has these levels, and not the one that follows it.
    NoSuchLevel(RangeInclusive<i32>),
}

/// Prints words that follow the name.
impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such compressor"),
            Self::NoLevels => f.write_str("only lz4 and zstd have levels"),
            Self::NoSuchLevel(levels) => {
                write!(f, "the levels are {} to {}", levels.start(), levels.end())
            }
        }
    }
}

/// Checks that the kernel has, or can load, a compressor called `name`.
///
/// Context: may sleep.
pub(crate) fn check(name: &CStr) -> Result<(), NameError> {
    match Algorithm::library(name)? {
        Some(_) => Ok(()),
        None if acomp::exists(name) => Ok(()),
        None => Err(NameError::Unknown),
    }
}

/// The level to use: the one that was given, if it is one of `levels`, else `default`.
fn choose(given: Option<i32>, levels: RangeInclusive<i32>, default: i32) -> Result<i32, NameError> {
    match given {
        None => Ok(default),
        Some(level) if levels.contains(&level) => Ok(level),
        Some(_) => Err(NameError::NoSuchLevel(levels)),
    }
}

/// Returns whether the compressor called `name` makes bundles of objects. Then pages are not stored with it at
/// first.
pub(crate) fn makes_bundles(name: &CStr) -> bool {
    matches!(Algorithm::library(name), Ok(Some(algorithm)) if algorithm.makes_bundles())
}

/// What one CPU compresses with.
pub(crate) struct Stream {
    codec: KBox<dyn Codec>,
    buffer: CodecBuffer,
    /// If it makes bundles.
    bundle: Option<BundleRoom>,
}

/// Room for a bundle.
struct BundleRoom {
    objects: BlockBuffer,
    packed: BlockBuffer,
}

impl BundleRoom {
    const BLOCKS: usize = bundle::BYTES / PAGE_SIZE;

    fn new() -> Result<Self> {
        Ok(Self {
            objects: BlockBuffer::new(Self::BLOCKS)?,
            packed: BlockBuffer::new(Self::BLOCKS)?,
        })
    }
}

impl Stream {
    /// One that uses `codec`, of the node that the task is on.
    fn new(codec: impl Codec + 'static, makes_bundles: bool) -> Result<Pin<KBox<Mutex<Self>>>> {
        let stream = Self {
            codec: KBox::new(codec, GFP_KERNEL)?,
            buffer: KBox::zeroed(GFP_KERNEL)?,
            bundle: makes_bundles.then(BundleRoom::new).transpose()?,
        };
        KBox::pin_init(new_mutex!(stream, "compressor_stream"), GFP_KERNEL)
    }

    /// `page`, compressed.
    ///
    /// Context: may sleep, where the compressor is a device.
    #[inline]
    pub(crate) fn compress(&mut self, page: &SourcePage<'_>) -> Result<&[u8]> {
        let length = self.codec.compress(page, &mut self.buffer)?;
        self.buffer.get(..length).ok_or(EOVERFLOW)
    }

    /// The objects that `fill` writes to the beginning of some room, compressed together. `fill` returns how
    /// many bytes they are.
    ///
    /// Context: never sleeps. Errors: [`EOPNOTSUPP`] if it makes no bundles; those of `fill`.
    pub(crate) fn pack(&mut self, fill: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<&[u8]> {
        let room = self.bundle.as_mut().ok_or(EOPNOTSUPP)?;
        let (objects, packed) = (room.objects.bytes_mut(), room.packed.bytes_mut());
        let length = fill(objects)?;
        let objects = objects.get(..length).ok_or(EINVAL)?;
        let length = self.codec.pack(objects, packed)?;
        packed.get(..length).ok_or(EOVERFLOW)
    }

    /// The reverse: the objects that were compressed to what `fill` writes.
    ///
    /// Context: never sleeps. Errors: [`EOPNOTSUPP`] if it makes no bundles; those of `fill`; [`EINVAL`] if it
    /// is no bundle.
    pub(crate) fn unpack(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Result<&[u8]> {
        let room = self.bundle.as_mut().ok_or(EOPNOTSUPP)?;
        let (objects, packed) = (room.objects.bytes_mut(), room.packed.bytes_mut());
        let length = fill(packed)?;
        let packed = packed.get(..length).ok_or(EINVAL)?;
        let length = self.codec.unpack(packed, objects)?;
        objects.get(..length).ok_or(EOVERFLOW)
    }

    /// The two halves: what decompresses, and room to put together what it reads.
    #[inline]
    pub(crate) fn split(&mut self) -> (Decompressor<'_>, &mut Block) {
        let room = Block::first_of(&mut self.buffer);
        (Decompressor(&mut *self.codec), room)
    }
}

/// A stream that was taken. It is given back when this is dropped.
pub(crate) type StreamGuard<'a> = Guard<'a, Stream, MutexBackend>;

/// The half of a stream that decompresses.
pub(crate) struct Decompressor<'a>(&'a mut dyn Codec);

impl Decompressor<'_> {
    /// Decompresses `object` into `page`. [`EIO`] if it is not a whole page.
    ///
    /// Context: may sleep, where the compressor is a device.
    #[inline]
    pub(crate) fn decompress(self, object: &[u8], page: &mut DestPage<'_>) -> Result<Filled> {
        match self.0.decompress(object, page)? {
            PAGE_SIZE => Ok(page.filled()),
            _ => Err(EIO),
        }
    }
}

/// A compressor with a stream for each CPU that it was told of. One that goes leaves its stream, so CPUs
/// may come and go. The others share the first stream.
///
/// # Examples
///
/// ```ignore
/// let compressor = Compressor::new(Algorithm::new(c"lz4")?, PAGE_SIZE)?;
/// // On CPU 3.
/// compressor.make_stream(3);
/// let mut stream = compressor.stream();
/// let object = pool.store(stream.compress(page)?, page.node())?;
/// ```
///
/// # Invariants
///
/// There is a place for each CPU that there may ever be. Each points to a stream of
/// [`Algorithm::stream`] that this value owns, and that stays as long as this value: to the first one, or
/// to one of its own. A place changes from the one to the other, and not again.
pub(crate) struct Compressor {
    streams: KVec<Atomic<*mut Mutex<Stream>>>,
    first: NonNull<Mutex<Stream>>,
    /// Whose stream that is.
    first_cpu: usize,
    algorithm: Algorithm,
    /// The most that an object may take, in bytes.
    room: usize,
}

// SAFETY: It owns its streams, which can be sent and shared.
unsafe impl Send for Compressor {}
// SAFETY: As above; a place is changed in one step.
unsafe impl Sync for Compressor {}

/// A compressor that was found, before there are streams.
#[derive(Clone)]
pub(crate) enum Algorithm {
    /// One of the crypto API.
    Acomp(Arc<acomp::Transform>),
    /// The lz4 library, at a level.
    #[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
    Lz4(i32),
    /// The zstd library, at a level.
    #[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
    Zstd {
        level: i32,
        /// Whether it is for bundles, too.
        makes_bundles: bool,
    },
    /// wlz, at a level.
    Wlz(Level),
}

impl Algorithm {
    /// The compressor called `name`.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if there is none; [`ENOMEM`].
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        match Self::library(name).map_err(|_| ENOENT)? {
            Some(library) => Ok(library),
            None => Ok(Self::Acomp(acomp::Transform::new(name)?)),
        }
    }

    /// The compressor called `name`, if it is one of the kernel's libraries, or our own. The crypto API
    /// has no levels.
    fn library(name: &CStr) -> Result<Option<Self>, NameError> {
        let (library, level) = compressor_name::split(name.to_bytes());
        Ok(Some(match (library, level) {
            #[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
            (b"lz4", level) => Self::Lz4(choose(level, lz4::LEVELS, lz4::DEFAULT_LEVEL)?),
            #[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
            (b"zstd", level) => Self::Zstd {
                level: choose(level, zstd::levels(), zstd::default_level())?,
                makes_bundles: false,
            },
            #[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
            (b"zstd:bundles", None) => Self::Zstd {
                level: zstd::default_level(),
                makes_bundles: true,
            },
            (b"wlz", None) => Self::Wlz(Level::Fast),
            (b"wlz:dense", None) => Self::Wlz(Level::Dense),
            (_, None) => return Ok(None),
            (_, Some(_)) => return Err(NameError::NoLevels),
        }))
    }

    /// Returns whether it makes bundles.
    pub(crate) fn makes_bundles(&self) -> bool {
        match self {
            #[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
            Self::Zstd { makes_bundles, .. } => *makes_bundles,
            _ => false,
        }
    }

    fn stream(&self, room: usize) -> Result<Pin<KBox<Mutex<Stream>>>> {
        match self {
            Self::Acomp(transform) => Stream::new(acomp::Request::new(transform.clone())?, false),
            #[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
            Self::Lz4(level) => Stream::new(lz4::Lz4::new(*level)?, false),
            #[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
            Self::Zstd {
                level,
                makes_bundles,
            } => Stream::new(zstd::Zstd::new(*level, *makes_bundles)?, *makes_bundles),
            Self::Wlz(level) => Stream::new(Wlz::new(*level, room)?, false),
        }
    }
}

impl Compressor {
    /// Streams of `algorithm`: one for now, of this CPU. A page is of no use compressed if it takes more
    /// than `room` bytes, and compressing it may fail.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(algorithm: Algorithm, room: usize) -> Result<Self> {
        let count = cpu::nr_cpu_ids() as usize;
        let mut streams = KVec::with_capacity(count, GFP_KERNEL)?;
        let first_cpu = this_cpu();
        let first = into_raw(algorithm.stream(room)?);
        for _ in 0..count {
            // There is room.
            let _ = streams.push_within_capacity(Atomic::new(first.as_ptr()));
        }
        // INVARIANT: The stream was just made, and all places point to it.
        Ok(Self {
            streams,
            first,
            first_cpu,
            algorithm,
            room,
        })
    }

    /// Makes a stream for CPU `cpu`, if it has none. Without memory it shares the first one.
    ///
    /// Context: may sleep, on that CPU, so that the stream is of its node; not two for one CPU at a time.
    pub(crate) fn make_stream(&self, cpu: usize) {
        let Some(place) = self.streams.get(cpu) else {
            return;
        };
        if cpu == self.first_cpu || place.load(Relaxed) != self.first.as_ptr() {
            return;
        }
        if let Ok(stream) = self.algorithm.stream(self.room) {
            // INVARIANT: It changes for the first time, from the first one to its own.
            place.store(into_raw(stream).as_ptr(), Release);
        }
    }

    /// The stream of this CPU. The task may move to another while it has it.
    ///
    /// Context: may sleep. The lock is innermost but for spinlocks, and those of the crypto API and of
    /// zsmalloc.
    #[inline]
    pub(crate) fn stream(&self) -> StreamGuard<'_> {
        // Any CPU's will do, even if it is not this one any more.
        let stream = self.streams[this_cpu()].load(Acquire);
        // SAFETY: By the type invariants, it is valid as long as this value.
        unsafe { &*stream }.lock()
    }

    /// The streams, each once.
    fn each(&self) -> impl Iterator<Item = NonNull<Mutex<Stream>>> + '_ {
        let own = (self.streams.iter())
            .filter_map(|place| NonNull::new(place.load(Acquire)))
            .filter(|stream| *stream != self.first);
        // Not a method, for all that initialises a value has one of that name.
        Iterator::chain(core::iter::once(self.first), own)
    }

    /// Bytes that the streams take. What the crypto API needs beside is shared with its other
    /// users.
    ///
    /// Context: may sleep.
    pub(crate) fn bytes(&self) -> u64 {
        let places = self.streams.capacity() * size_of::<*mut Mutex<Stream>>();
        let streams = self.each().map(|stream| {
            // SAFETY: By the type invariants, it is valid as long as this value.
            let stream = unsafe { stream.as_ref() }.lock();
            let bundle = stream.bundle.as_ref().map_or(0, |_| 2 * bundle::BYTES);
            BUFFER_SIZE + size_of::<Mutex<Stream>>() + bundle + stream.codec.bytes()
        });
        (places + streams.sum::<usize>()) as u64
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        for stream in self.each() {
            // SAFETY: By the type invariants, it is owned by this value, and is of `into_raw()`. Each
            // comes once, and is not used any more. It does not move.
            drop(unsafe { Pin::new_unchecked(KBox::from_raw(stream.as_ptr())) });
        }
    }
}

fn this_cpu() -> usize {
    CpuId::current().as_u32() as usize
}

fn into_raw(stream: Pin<KBox<Mutex<Stream>>>) -> NonNull<Mutex<Stream>> {
    // SAFETY: It stays where it is, until it is made a pinned box again.
    let stream = unsafe { Pin::into_inner_unchecked(stream) };
    NonNull::from(KBox::leak(stream))
}
