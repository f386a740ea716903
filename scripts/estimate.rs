// SPDX-License-Identifier: GPL-2.0

//! Estimates what memory would take in a pool, with each compressor.
//!
//! wlz is the very code of the module. lz4 and zstd are the libraries of this machine, if it has them:
//! they have the kernel's formats, and versions of their own.

use ghostswap_core::wlz::{
    self,
    Level,
    Workspace,
    BUFFER, //
};
use ghostswap_core::PAGE_SIZE;
use std::env;
use std::ffi::{
    c_char,
    c_int,
    c_void,
    CStr, //
};
use std::fs::{
    self,
    File, //
};
use std::io;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

const USAGE: &str = "\
usage: scripts/estimate -p PID | FILE...

Estimate what memory would take in a pool of ghostswap, with each compressor. PID is a
running program, of which the anonymous memory is read that is not swapped out. That
needs the right to trace it; the program is not stopped. FILE has pages of 4,096 bytes.
Of more than 65,536 pages so many are read, from all over the memory.";

/// As many pages as are read.
const MOST: usize = 65536;

/// From so many bytes on, an object takes a whole page in zsmalloc, as the kernel is usually built.
const WHOLE: usize = 3264;

type Page = [u8; PAGE_SIZE];

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
    // SAFETY: As in lz4.h.
    if let Some(lz4) = unsafe { function::<Lz4>(c"liblz4.so.1", c"LZ4_compress_default") } {
        let mut out = vec![0; 2 * PAGE_SIZE];
        found.push((
            "lz4",
            Box::new(move |page| {
                let room = out.len() as c_int;
                // SAFETY: It reads so many bytes, and writes at most so many.
                let length =
                    unsafe { lz4(page.as_ptr(), out.as_mut_ptr(), page.len() as c_int, room) };
                usize::try_from(length).ok().filter(|length| *length > 0)
            }),
        ));
    }
    // SAFETY: As in zstd.h.
    if let Some(zstd) = unsafe { function::<Zstd>(c"libzstd.so.1", c"ZSTD_compress") } {
        let mut out = vec![0; 2 * PAGE_SIZE];
        found.push((
            "zstd",
            Box::new(move |page| {
                // SAFETY: As above.
                let length =
                    unsafe { zstd(out.as_mut_ptr(), out.len(), page.as_ptr(), page.len(), 3) };
                // Errors are the largest numbers.
                Some(length).filter(|length| *length <= out.len())
            }),
        ));
    }
    found
}

/// Where pages are.
struct Memory {
    files: Vec<(File, Vec<u64>)>,
    swapped: usize,
}

impl Memory {
    /// The pages of files.
    fn of_files(names: &[String]) -> io::Result<Self> {
        let mut files = Vec::new();
        for name in names {
            let file = File::open(name)?;
            let pages = file.metadata()?.len() / PAGE_SIZE as u64;
            files.push((
                file,
                (0..pages).map(|page| page * PAGE_SIZE as u64).collect(),
            ));
        }
        Ok(Self { files, swapped: 0 })
    }

    /// The anonymous pages of a program that are in memory: to read others would swap them in.
    fn of_program(pid: &str) -> io::Result<Self> {
        const PRESENT: u64 = 1 << 63;
        const SWAPPED: u64 = 1 << 62;
        const OF_FILE: u64 = 1 << 61;
        let pagemap = File::open(format!("/proc/{pid}/pagemap"))?;
        let mut pages = Vec::new();
        let mut swapped = 0;
        for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
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
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        Ok(Self {
            files: vec![(memory, pages)],
            swapped,
        })
    }

    fn len(&self) -> usize {
        self.files.iter().map(|(_, pages)| pages.len()).sum()
    }

    /// At most [`MOST`] pages, one after the other. Those that are gone meanwhile are left out.
    fn sample(&self) -> impl Iterator<Item = Page> + '_ {
        let all = self.files.iter();
        let all = all.flat_map(|(file, pages)| pages.iter().map(move |at| (file, *at)));
        let step = self.len().div_ceil(MOST).max(1);
        all.step_by(step).filter_map(|(file, at)| {
            let mut page = [0; PAGE_SIZE];
            file.read_exact_at(&mut page, at).ok().map(|()| page)
        })
    }
}

/// Returns whether a pool keeps no more of it than one word.
fn is_one_word(page: &Page) -> bool {
    page[4..] == page[..PAGE_SIZE - 4]
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let memory = match &arguments[..] {
        [option, pid] if option == "-p" && pid.parse::<u32>().is_ok() => Memory::of_program(pid),
        [first, ..] if !first.starts_with('-') => Memory::of_files(&arguments),
        [first] if first == "-h" || first == "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let memory = match memory {
        Ok(memory) => memory,
        Err(error) => {
            eprintln!("estimate: {}: {error}", arguments.join(" "));
            return ExitCode::FAILURE;
        }
    };
    let (mut all, mut same) = (0, 0);
    // With each of them: bytes, and how many pages do not get smaller.
    let mut compressors: Vec<_> = (compressors().into_iter())
        .map(|(name, compress)| (name, compress, 0, 0))
        .collect();
    for page in memory.sample() {
        all += 1;
        if is_one_word(&page) {
            same += 1;
            continue;
        }
        for (_, compress, bytes, incompressible) in &mut compressors {
            *bytes += match compress(&page) {
                Some(length) if length < WHOLE => length,
                _ => {
                    *incompressible += 1;
                    PAGE_SIZE
                }
            };
        }
    }
    if all == 0 {
        eprintln!(
            "estimate: {}: there are no pages to read",
            arguments.join(" ")
        );
        return ExitCode::FAILURE;
    }
    // Each stands for so many.
    let weight = memory.len() as f64 / all as f64;
    let whole = mib(memory.len() * PAGE_SIZE);
    println!("{} pages, {whole:.1} MiB", memory.len());
    if memory.swapped > 0 {
        println!("{} more that are swapped out are not read", memory.swapped);
    }
    println!(
        "{:.0} of them are one word again and again, and take no memory in a pool",
        same as f64 * weight
    );
    if all == same {
        return ExitCode::SUCCESS;
    }
    println!();
    println!(
        "{:10} {:>12} {:>10} {:>14} {:>8}",
        "", "bytes a page", "MiB", "times smaller", "whole"
    );
    for (name, _, bytes, incompressible) in compressors {
        let mean = bytes as f64 / (all - same) as f64;
        let taken = mib(bytes) * weight;
        let share = f64::from(incompressible) * weight;
        println!(
            "{name:10} {mean:12.0} {taken:10.1} {:14.2} {share:8.0}",
            whole / taken
        );
    }
    println!();
    println!(
        "Bytes a page are of those that are compressed; whole are those that do not get smaller."
    );
    println!("A pool takes a tenth more, for what zsmalloc loses and for its tables.");
    ExitCode::SUCCESS
}
