// SPDX-License-Identifier: GPL-2.0

//! Compressors by name, with a stream for each CPU.
//!
//! All of them are the crypto API's but two. Its zstd is set up for inputs of 256 KiB, so pages are
//! compressed by the library that is behind it, set up for pages. And lz4, which is the fastest, would
//! pay most for the way through it.

use super::{
    acomp,
    swap_page::{DestPage, Filled, SourcePage},
};
use kernel::{
    bindings, cpu, new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        lock::{mutex::MutexBackend, Guard},
        Arc, Mutex,
    },
};

#[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
use super::lz4;
#[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
use super::zstd;

/// If the kernel has, or can load, a compressor called `name`.
///
/// Context: may sleep.
pub(crate) fn exists(name: &CStr) -> bool {
    Algorithm::library(name).is_some() || acomp::exists(name)
}

/// What compresses and decompresses, one page at a time.
pub(super) trait Codec: Send {
    /// Compresses `page` into `buffer`; returns the bytes that it takes there.
    ///
    /// Context: may sleep, where the compressor is a device.
    fn compress(&mut self, page: &SourcePage<'_>, buffer: &mut Buffer) -> Result<usize>;

    /// Decompresses `object` into `page`; returns the bytes that were written there.
    ///
    /// Context: may sleep, where the compressor is a device.
    fn decompress(&mut self, object: &[u8], page: &mut DestPage<'_>) -> Result<usize>;

    /// Bytes that it takes, as far as they are its own.
    fn bytes(&self) -> usize;
}

/// Where a page cannot take more than its room when it is compressed, compressors need not check
/// every byte that they write; lz4's bound is 4,128 bytes. All of them are told the room, and keep it.
const BUFFER_SIZE: usize = 2 * PAGE_SIZE;

/// Room for a compressed page, or to put one together.
pub(super) struct Buffer(KBox<[u8; BUFFER_SIZE]>);

impl Buffer {
    fn new() -> Result<Self> {
        Ok(Self(KBox::init(pin_init::init_zeroed(), GFP_KERNEL)?))
    }

    /// Bytes of room.
    pub(super) fn len(&self) -> usize {
        BUFFER_SIZE
    }

    /// Where the room is: in the direct map.
    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Room for a page.
    #[inline]
    fn page(&mut self) -> &mut [u8; PAGE_SIZE] {
        // The first half of the buffer is a page.
        match self.0.first_chunk_mut() {
            Some(page) => page,
            None => unreachable!(),
        }
    }
}

/// What one CPU compresses with.
pub(crate) struct Stream {
    codec: KBox<dyn Codec>,
    buffer: Buffer,
}

impl Stream {
    fn new(codec: impl Codec + 'static) -> Result<Pin<KBox<Mutex<Self>>>> {
        let stream = Self {
            codec: KBox::new(codec, GFP_KERNEL)?,
            buffer: Buffer::new()?,
        };
        KBox::pin_init(new_mutex!(stream, "compressor_stream"), GFP_KERNEL)
    }

    /// `page`, compressed.
    ///
    /// Context: may sleep, where the compressor is a device.
    #[inline]
    pub(crate) fn compress(&mut self, page: &SourcePage<'_>) -> Result<&[u8]> {
        let length = self.codec.compress(page, &mut self.buffer)?;
        self.buffer.0.get(..length).ok_or(EOVERFLOW)
    }

    /// The two halves: what decompresses, and room to put together what it reads.
    #[inline]
    pub(crate) fn split(&mut self) -> (Decompressor<'_>, &mut [u8; PAGE_SIZE]) {
        (Decompressor(&mut *self.codec), self.buffer.page())
    }
}

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

/// A compressor with a stream for each CPU that may ever be there, so CPUs may come and go.
pub(crate) struct Compressor {
    streams: KVec<Pin<KBox<Mutex<Stream>>>>,
}

/// A compressor that was found, before there are streams.
pub(crate) enum Algorithm {
    /// One of the crypto API.
    Acomp(Arc<acomp::Transform>),
    /// The lz4 library.
    #[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
    Lz4,
    /// The zstd library.
    #[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
    Zstd,
}

impl Algorithm {
    /// The compressor called `name`.
    ///
    /// Context: may sleep. Errors: [`ENOENT`] if there is none; [`ENOMEM`].
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        match Self::library(name) {
            Some(library) => Ok(library),
            None => Ok(Self::Acomp(acomp::Transform::new(name)?)),
        }
    }

    /// The compressor called `name`, if it is one of the kernel's libraries.
    fn library(name: &CStr) -> Option<Self> {
        match name.to_bytes() {
            #[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
            b"lz4" => Some(Self::Lz4),
            #[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn stream(&self) -> Result<Pin<KBox<Mutex<Stream>>>> {
        match self {
            Self::Acomp(transform) => Stream::new(acomp::Request::new(transform.clone())?),
            #[cfg(all(CONFIG_LZ4_COMPRESS, CONFIG_LZ4_DECOMPRESS))]
            Self::Lz4 => Stream::new(lz4::Context::new()?),
            #[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
            Self::Zstd => Stream::new(zstd::Context::new()?),
        }
    }
}

impl Compressor {
    /// Streams of `algorithm`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(algorithm: &Algorithm) -> Result<Self> {
        let mut streams = KVec::with_capacity(cpu::nr_cpu_ids() as usize, GFP_KERNEL)?;
        for _ in 0..cpu::nr_cpu_ids() {
            streams.push(algorithm.stream()?, GFP_KERNEL)?;
        }
        Ok(Self { streams })
    }

    /// The stream of this CPU. The task may move to another while it has it.
    ///
    /// Context: may sleep. The lock is innermost but for those of the crypto API and of zsmalloc.
    #[inline]
    pub(crate) fn stream(&self) -> Guard<'_, Stream, MutexBackend> {
        // SAFETY: Any identifier of a CPU will do, even if it is not this one's any more.
        let cpu = unsafe { bindings::raw_smp_processor_id() };
        self.streams[cpu as usize].lock()
    }

    /// Bytes that the streams take. What the crypto API needs beside is shared with its other users.
    ///
    /// Context: may sleep.
    pub(crate) fn bytes(&self) -> u64 {
        self.streams
            .iter()
            .map(|stream| {
                (BUFFER_SIZE + size_of::<Mutex<Stream>>() + stream.lock().codec.bytes()) as u64
            })
            .sum()
    }
}
