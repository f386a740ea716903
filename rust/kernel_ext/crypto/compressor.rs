// SPDX-License-Identifier: GPL-2.0

//! Compressors by name, with a stream for each CPU.
//!
//! All of them are the crypto API's but two. Its zstd is set up for inputs of 256 KiB, so pages are
//! compressed by the library that is behind it, set up for pages. And lz4, which is the fastest,
//! would pay most for the way through it.

use crate::kernel_ext::{
    crypto::{
        acomp,
        codec::{
            Codec,
            CodecBuffer,
            BUFFER_SIZE, //
        },
    },
    mm::swap_page::{
        DestPage,
        Filled,
        SourcePage, //
    },
};
use kernel::{
    cpu::{
        self,
        CpuId, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
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

/// Returns whether the kernel has, or can load, a compressor called `name`.
///
/// Context: may sleep.
pub(crate) fn exists(name: &CStr) -> bool {
    Algorithm::library(name).is_some() || acomp::exists(name)
}

/// What one CPU compresses with.
pub(crate) struct Stream {
    codec: KBox<dyn Codec>,
    buffer: CodecBuffer,
}

impl Stream {
    fn new(codec: impl Codec + 'static) -> Result<Pin<KBox<Mutex<Self>>>> {
        let stream = Self {
            codec: KBox::new(codec, GFP_KERNEL)?,
            buffer: KBox::zeroed(GFP_KERNEL)?,
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

    /// The two halves: what decompresses, and room to put together what it reads.
    #[inline]
    pub(crate) fn split(&mut self) -> (Decompressor<'_>, &mut [u8; PAGE_SIZE]) {
        // The first half of the buffer is a page.
        let Some(page) = self.buffer.first_chunk_mut() else {
            unreachable!()
        };
        (Decompressor(&mut *self.codec), page)
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

/// A compressor with a stream for each CPU that may ever be there, so CPUs may come and go.
///
/// # Examples
///
/// ```ignore
/// let compressor = Compressor::new(&Algorithm::new(c"lz4")?)?;
/// let mut stream = compressor.stream();
/// let object = pool.store(stream.compress(page)?, page.node())?;
/// ```
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
            Self::Lz4 => Stream::new(lz4::Lz4::new()?),
            #[cfg(all(CONFIG_ZSTD_COMPRESS, CONFIG_ZSTD_DECOMPRESS))]
            Self::Zstd => Stream::new(zstd::Zstd::new()?),
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
    /// Context: may sleep. The lock is innermost but for spinlocks, and those of the crypto API and of
    /// zsmalloc.
    #[inline]
    pub(crate) fn stream(&self) -> StreamGuard<'_> {
        // Any CPU's will do, even if it is not this one any more.
        self.streams[CpuId::current().as_u32() as usize].lock()
    }

    /// Bytes that the streams take. What the crypto API needs beside is shared with its other
    /// users.
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
