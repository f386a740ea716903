// SPDX-License-Identifier: GPL-2.0

//! Ghost files that `ghostswapctl setup` makes: one page, with a swap header.

use ghostswap_core::{
    header::SwapHeader,
    PAGE_SIZE, //
};
use std::{
    fs::{
        self,
        File,
        OpenOptions, //
    },
    io::{
        self,
        Read,
        Write, //
    },
    os::unix::fs::OpenOptionsExt,
    path::Path, //
};

/// The label of an area that setup made, by which it is known again.
pub const LABEL: &str = "ghostswapctl";

/// As in `union swap_header` of `include/linux/swap.h`.
const VERSION_AT: usize = 1024;
const LAST_PAGE_AT: usize = 1028;
const UUID_AT: usize = 1036;
const LABEL_AT: usize = 1052;
const LABEL_SIZE: usize = 16;
const MAGIC: &[u8] = b"SWAPSPACE2";

/// The largest area, as of mkghost.
pub const MAX_BYTES: u64 = 16 << 40;

/// The page of an area of so many bytes, at least two pages and at most [`MAX_BYTES`].
fn header(bytes: u64, uuid: [u8; 16]) -> [u8; PAGE_SIZE] {
    let mut page = [0; PAGE_SIZE];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    let last_page = (bytes.min(MAX_BYTES) / PAGE_SIZE as u64).max(2) - 1;
    put(VERSION_AT, &1u32.to_ne_bytes());
    put(LAST_PAGE_AT, &(last_page as u32).to_ne_bytes());
    put(UUID_AT, &uuid);
    put(LABEL_AT, LABEL.as_bytes());
    put(PAGE_SIZE - MAGIC.len(), MAGIC);
    page
}

/// A random UUID, of version 4.
fn uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut uuid)?;
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Ok(uuid)
}

/// Makes the ghost file `path` of an area of so many bytes. It is there whole, or not at all; one that
/// is there already is an error.
pub fn make(path: &Path, bytes: u64) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let made = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&header(bytes, uuid()?))?;
        file.sync_all()?;
        // Unlike a rename, this does not replace a file that was made meanwhile.
        fs::hard_link(&temporary, path)?;
        let directory = File::open(path.parent().unwrap_or(Path::new("/")));
        (directory.and_then(|directory| directory.sync_all())).inspect_err(|_| {
            let _ = fs::remove_file(path);
        })
    })();
    let _ = fs::remove_file(&temporary);
    made
}

/// Returns whether it is a file that begins with the header of an area that setup made. A mounted ghost
/// file does, as the file below it.
pub fn is_own(path: &Path) -> io::Result<bool> {
    if !fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut page = [0; PAGE_SIZE];
    match File::open(path)?.read_exact(&mut page) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        other => other?,
    }
    let mut label = [0; LABEL_SIZE];
    label[..LABEL.len()].copy_from_slice(LABEL.as_bytes());
    Ok(
        SwapHeader::parse(&page, u64::MAX).is_ok()
            && page[LABEL_AT..LABEL_AT + LABEL_SIZE] == label,
    )
}

/// Removes the ghost file, if setup made it: returns whether.
pub fn remove(path: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    let is_ghost_file = metadata.is_file() && metadata.len() == PAGE_SIZE as u64;
    if !is_ghost_file || !is_own(path)? {
        return Ok(false);
    }
    fs::remove_file(path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_header_says_what_the_module_reads() {
        for (bytes, slots) in [
            (1 << 20, 256),
            (0, 2),
            (16 << 40, 1 << 32),
            (u64::MAX, 1 << 32),
        ] {
            let page = header(bytes, [7; 16]);
            let parsed = SwapHeader::parse(&page, u64::MAX).unwrap();
            assert_eq!(parsed.slots(), slots);
        }
    }

    #[test]
    fn a_file_is_made_once_and_known_again() {
        let directory = std::env::temp_dir().join(format!("ghostswapctl.{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let file = directory.join("swap.ghost");
        make(&file, 1 << 30).unwrap();
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.len(), metadata.mode() & 0o777), (4096, 0o600));
        assert!(is_own(&file).unwrap());
        let again = make(&file, 1 << 30).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(remove(&file).unwrap());
        // Of another label, or longer.
        let mut page = header(1 << 30, [7; 16]);
        page[LABEL_AT + LABEL.len()] = b'2';
        fs::write(&file, page).unwrap();
        assert!(!remove(&file).unwrap());
        let page = header(1 << 30, [7; 16]);
        fs::write(&file, [page, page].concat()).unwrap();
        assert!(!remove(&file).unwrap());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }
}
