// SPDX-License-Identifier: GPL-2.0

//! `ghostswapctl estimate`: what memory would take in a pool, with each compressor.
//!
//! wlz is the very code of the module. lz4 and zstd are the libraries of this machine, if it has them:
//! they have the kernel's formats, and versions of their own.

use crate::{
    failure::{
        plain,
        Failure,
        Result, //
    },
    words::counted,
};
use ghostswap_core::wlz::{
    self,
    Level,
    Workspace,
    BUFFER, //
};
use ghostswap_core::PAGE_SIZE;
use std::{
    ffi::c_int,
    fmt,
    fs::{
        self,
        File, //
    },
    io::{
        self,
        Seek,
        SeekFrom, //
    },
    os::unix::fs::FileExt, //
};

/// As many pages as are read, from all over the memory.
const MOST: usize = 65536;

/// From so many bytes on, an object takes a whole page in zsmalloc, as the kernel is usually built.
const WHOLE: usize = 3264;

type Page = [u8; PAGE_SIZE];

/// What a page is compressed with: returns its length.
type Compress = Box<dyn FnMut(&Page) -> Option<usize>>;

fn own(level: Level) -> Compress {
    let mut work = Box::new(Workspace::new());
    let mut out = Box::new([0; BUFFER]);
    Box::new(move |page| wlz::compress(level, page, &mut out, WHOLE - 1, &mut work))
}

/// The compressors that this machine has, by name.
fn compressors() -> Vec<(&'static str, Compress)> {
    let mut found = vec![("wlz", own(Level::Fast)), ("wlz:dense", own(Level::Dense))];
    found.extend(libraries::lz4().map(|lz4| ("lz4", lz4)));
    found.extend(libraries::zstd().map(|zstd| ("zstd", zstd)));
    found
}

/// Compressors that this machine may have as libraries. They are found when the program runs, so that it
/// builds and runs without them. The types of C functions that are found so are what is written here; no
/// compiler compares them.
#[allow(unsafe_code)]
mod libraries {
    use super::*;
    use std::ffi::{
        c_char,
        c_void,
        CStr, //
    };

    extern "C" {
        fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
        fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    }

    /// As in dlfcn.h.
    const RTLD_NOW: c_int = 2;

    type Lz4 = unsafe extern "C" fn(*const u8, *mut u8, c_int, c_int) -> c_int;
    type Zstd = unsafe extern "C" fn(*mut u8, usize, *const u8, usize, c_int) -> usize;

    /// The function of that name and type `F`, if this machine has the library.
    ///
    /// # Safety
    ///
    /// `F` is the type of the function.
    unsafe fn function<F: Copy>(library: &CStr, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: Both are strings, and the library is never closed.
        let found = unsafe {
            let library = dlopen(library.as_ptr(), RTLD_NOW);
            if library.is_null() {
                return None;
            }
            dlsym(library, name.as_ptr())
        };
        // SAFETY: It is a pointer to such a function, by the caller.
        (!found.is_null()).then(|| unsafe { std::mem::transmute_copy(&found) })
    }

    /// lz4, with the kernel's level.
    pub fn lz4() -> Option<Compress> {
        // SAFETY: As in lz4.h.
        let lz4 = unsafe { function::<Lz4>(c"liblz4.so.1", c"LZ4_compress_default") }?;
        let mut out = vec![0; 2 * PAGE_SIZE];
        Some(Box::new(move |page| {
            let room = out.len() as c_int;
            // SAFETY: It reads so many bytes, and writes at most so many.
            let length = unsafe { lz4(page.as_ptr(), out.as_mut_ptr(), page.len() as c_int, room) };
            usize::try_from(length).ok().filter(|length| *length > 0)
        }))
    }

    /// zstd, with the kernel's level.
    pub fn zstd() -> Option<Compress> {
        // SAFETY: As in zstd.h.
        let zstd = unsafe { function::<Zstd>(c"libzstd.so.1", c"ZSTD_compress") }?;
        let mut out = vec![0; 2 * PAGE_SIZE];
        Some(Box::new(move |page| {
            // SAFETY: As above.
            let length = unsafe { zstd(out.as_mut_ptr(), out.len(), page.as_ptr(), page.len(), 3) };
            // Errors are the largest numbers.
            Some(length).filter(|length| *length <= out.len())
        }))
    }
}

/// Where pages are.
#[derive(Default)]
pub struct Memory {
    /// Files, and where in them.
    files: Vec<(String, Vec<u64>)>,
    /// How many pages are swapped out, and so not among them.
    swapped: usize,
}

impl Memory {
    /// The pages of files, or of block devices.
    pub fn of_files(names: &[String]) -> Result<Self> {
        let mut memory = Self::default();
        for name in names {
            let length = length(name).map_err(|error| {
                Failure::new(
                    format!("{name}: {}", plain(&error)),
                    "Name a file that can be read; a program is named by --pid.",
                )
            })?;
            let pages = length / PAGE_SIZE as u64;
            let places = (0..pages).map(|page| page * PAGE_SIZE as u64).collect();
            memory.files.push((name.clone(), places));
        }
        Ok(memory)
    }

    /// The anonymous pages of programs that are in memory: to read others would swap them in.
    pub fn of_programs(pids: &[u32]) -> Result<Self> {
        let mut all = Self::default();
        for pid in pids {
            let program = Self::of_program(*pid).map_err(|error| {
                Failure::new(
                    format!("process {pid}: {}", plain(&error)),
                    "Name a program that runs; to read the memory of others' programs, run it as root.",
                )
            })?;
            all.add(program);
        }
        Ok(all)
    }

    fn of_program(pid: u32) -> io::Result<Self> {
        const PRESENT: u64 = 1 << 63;
        const SWAPPED: u64 = 1 << 62;
        const OF_FILE: u64 = 1 << 61;
        let pagemap = File::open(format!("/proc/{pid}/pagemap"))?;
        let mut pages = Vec::new();
        let mut swapped = 0;
        // Names of files need not be text.
        let maps = fs::read(format!("/proc/{pid}/maps"))?;
        for line in String::from_utf8_lossy(&maps).lines() {
            // Of the kernel's own there is nothing to swap.
            if line.ends_with("[vsyscall]") || line.ends_with("[vvar]") {
                continue;
            }
            let range = line
                .split([' ', '-'])
                .take(2)
                .map(|end| u64::from_str_radix(end, 16));
            let [Ok(begin), Ok(end)] = range.collect::<Vec<_>>()[..] else {
                continue;
            };
            for address in (begin..end).step_by(PAGE_SIZE << 10) {
                let count = ((end - address) as usize / PAGE_SIZE).min(1 << 10);
                let mut words = vec![0; 8 * count];
                // Parts of it end where the program's memory does.
                if pagemap
                    .read_exact_at(&mut words, address / PAGE_SIZE as u64 * 8)
                    .is_err()
                {
                    break;
                }
                for (i, word) in words.chunks_exact(8).enumerate() {
                    let word = word.try_into().map_or(0, u64::from_le_bytes);
                    if word & SWAPPED != 0 {
                        swapped += 1;
                    } else if word & PRESENT != 0 && word & OF_FILE == 0 {
                        pages.push(address + (i * PAGE_SIZE) as u64);
                    }
                }
            }
        }
        // It must be readable, too.
        let memory = format!("/proc/{pid}/mem");
        File::open(&memory)?;
        Ok(Self {
            files: vec![(memory, pages)],
            swapped,
        })
    }

    /// The same of all programs that may be read, except this one. A page that programs share is one of
    /// each.
    pub fn of_all_programs() -> Result<Self> {
        let processes = fs::read_dir("/proc")
            .map_err(|error| Failure::new(format!("/proc: {}", plain(&error)), "Mount /proc."))?;
        let mut all = Self::default();
        for entry in processes.flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok());
            let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else {
                continue;
            };
            if let Ok(program) = Self::of_program(pid) {
                all.add(program);
            }
        }
        Ok(all)
    }

    /// Takes the pages of `other`, too.
    fn add(&mut self, other: Self) {
        self.files.extend(other.files);
        self.swapped += other.swapped;
    }

    fn len(&self) -> usize {
        self.files.iter().map(|(_, pages)| pages.len()).sum()
    }

    /// At most [`MOST`] pages, one after the other. Those that are gone meanwhile are left out.
    fn sample(&self) -> impl Iterator<Item = Page> + '_ {
        let step = self.len().div_ceil(MOST).max(1);
        let mut before = 0usize;
        self.files.iter().flat_map(move |(name, pages)| {
            let first = before.next_multiple_of(step) - before;
            before += pages.len();
            let file = File::open(name).ok();
            let pages = pages.iter().skip(first).step_by(step);
            pages.filter_map(move |at| {
                let mut page = [0; PAGE_SIZE];
                file.as_ref()?.read_exact_at(&mut page, *at).ok()?;
                Some(page)
            })
        })
    }
}

/// The bytes of a file, or of a block device.
fn length(name: &str) -> io::Result<u64> {
    let mut file = File::open(name)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    file.seek(SeekFrom::End(0))
}

/// Returns whether a pool keeps no more of it than one word.
fn is_one_word(page: &Page) -> bool {
    page[4..] == page[..PAGE_SIZE - 4]
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What one compressor makes of the pages.
struct Outcome {
    name: &'static str,
    bytes: usize,
    /// How many pages do not get smaller.
    whole: u32,
}

/// What each compressor makes of memory; printed as a table.
pub struct Comparison {
    /// The pages of all the memory, and those of them that are swapped out and not read.
    pages: usize,
    swapped: usize,
    /// The pages that were read, and those of them that are one word again and again.
    read: usize,
    same: usize,
    outcomes: Vec<Outcome>,
}

impl Comparison {
    /// Compresses pages of `memory`. It fails if there are none.
    pub fn new(memory: &Memory) -> Result<Self> {
        let (mut read, mut same) = (0, 0);
        let mut tried: Vec<_> = (compressors().into_iter())
            .map(|(name, compress)| {
                let (bytes, whole) = (0, 0);
                (compress, Outcome { name, bytes, whole })
            })
            .collect();
        for page in memory.sample() {
            read += 1;
            if is_one_word(&page) {
                same += 1;
                continue;
            }
            for (compress, outcome) in &mut tried {
                outcome.bytes += match compress(&page) {
                    Some(length) if length < WHOLE => length,
                    _ => {
                        outcome.whole += 1;
                        PAGE_SIZE
                    }
                };
            }
        }
        if read == 0 {
            let names: Vec<_> = (memory.files.iter())
                .map(|(name, _)| name.as_str())
                .collect();
            let what = match names.len() {
                1..=8 => format!("{}: there are no pages to read", names.join(", ")),
                _ => "there are no pages to read".to_owned(),
            };
            return Err(Failure::new(
                what,
                "Name programs that run, or files of at least a page; to read the memory of others' \
                 programs, run it as root.",
            ));
        }
        Ok(Self {
            pages: memory.len(),
            swapped: memory.swapped,
            read,
            same,
            outcomes: tried.into_iter().map(|(_, outcome)| outcome).collect(),
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each page that was read stands for so many.
        let weight = self.pages as f64 / self.read as f64;
        let whole = mib(self.pages * PAGE_SIZE);
        let counted = |pages: f64| counted(pages.round() as u64, "page");
        writeln!(f, "{}, {whole:.1} MiB", counted(self.pages as f64))?;
        if self.swapped > 0 {
            let swapped = counted(self.swapped as f64);
            writeln!(f, "not read: {swapped} more, swapped out already")?;
        }
        let same = counted(self.same as f64 * weight);
        writeln!(f, "of one word: {same}, which would take no memory")?;
        if self.read == self.same {
            return Ok(());
        }
        writeln!(
            f,
            "\n{:10} {:>12} {:>10} {:>14} {:>8}",
            "", "bytes a page", "MiB", "times smaller", "whole"
        )?;
        for outcome in &self.outcomes {
            let mean = outcome.bytes as f64 / (self.read - self.same) as f64;
            let taken = mib(outcome.bytes) * weight;
            writeln!(
                f,
                "{:10} {mean:12.0} {taken:10.1} {:14.2} {:8.0}",
                outcome.name,
                whole / taken,
                f64::from(outcome.whole) * weight
            )?;
        }
        writeln!(
            f,
            "\nBytes a page are of those that are compressed; whole are those that do not get smaller.\n\
             A pool takes a tenth more, for what zsmalloc loses and for its tables."
        )
    }
}
