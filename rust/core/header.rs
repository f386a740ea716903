// SPDX-License-Identifier: GPL-2.0

//! The swap header, as mkswap writes it and the kernel reads it.
//!
//! C header: `union swap_header` in `include/linux/swap.h`; the checks are those of
//! `read_swap_header()` in `mm/swapfile.c`, made earlier and with reasons.

use super::{
    fmt,
    PAGE_SIZE, //
};

const MAGIC: &[u8] = b"SWAPSPACE2";
const MAGIC_AT: usize = PAGE_SIZE - MAGIC.len();
const VERSION_AT: usize = 1024;
const LAST_PAGE_AT: usize = 1028;
const NR_BADPAGES_AT: usize = 1032;

/// The magic number of the filesystem that a mounted ghost file is: "GSWP".
pub const FS_MAGIC: usize = 0x4753_5750;

/// What the header of a ghost file, or of a backing store, says.
///
/// # Examples
///
/// ```
/// use ghostswap_core::header::{HeaderError, SwapHeader};
///
/// assert_eq!(SwapHeader::parse(&[0; 4096], 1000), Err(HeaderError::Magic));
/// assert_eq!(SwapHeader { last_page: 9 }.size(), 10 * 4096);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapHeader {
    /// The last slot, counted from 0, which is the header itself. At least 1.
    pub last_page: u32,
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// There is no `SWAPSPACE2` at the end of the page.
    Magic,
    /// It was made by a machine of the other byte order.
    Endianness,
    /// Its version is this, not 1.
    Version(u32),
    /// It has room for no page.
    Empty,
    /// Its last page is this, more than the kernel takes.
    TooLarge(u32),
    /// It lists this many bad pages; a ghost file has none.
    BadPages(u32),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("no swap header (make one with mkswap)"),
            Self::Endianness => f.write_str("the swap header has the other byte order"),
            Self::Version(version) => {
                write!(f, "the swap header's version is not 1 but {version}")
            }
            Self::Empty => f.write_str("the swap header's last_page is 0: no room for a page"),
            Self::TooLarge(last_page) => write!(
                f,
                "the swap header's last_page is more than this kernel takes: {last_page}"
            ),
            Self::BadPages(count) => write!(
                f,
                "the swap header lists bad pages, a ghost file has none: {count}"
            ),
        }
    }
}

impl SwapHeader {
    /// Reads the header out of `page`. `max_pages` is the most slots, the header's own included,
    /// that the kernel takes.
    pub fn parse(page: &[u8; PAGE_SIZE], max_pages: u64) -> Result<Self, HeaderError> {
        let field =
            |at: usize| u32::from_ne_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
        if &page[MAGIC_AT..] != MAGIC {
            return Err(HeaderError::Magic);
        }
        match field(VERSION_AT) {
            1 => (),
            version if version.swap_bytes() == 1 => return Err(HeaderError::Endianness),
            version => return Err(HeaderError::Version(version)),
        }
        match field(NR_BADPAGES_AT) {
            0 => (),
            count => return Err(HeaderError::BadPages(count)),
        }
        match field(LAST_PAGE_AT) {
            0 => Err(HeaderError::Empty),
            last_page if u64::from(last_page) >= max_pages => Err(HeaderError::TooLarge(last_page)),
            last_page => Ok(Self { last_page }),
        }
    }

    /// The number of slots, the header's own included.
    pub fn slots(self) -> u64 {
        u64::from(self.last_page) + 1
    }

    /// The size in bytes of a file with these slots.
    pub fn size(self) -> u64 {
        self.slots() * PAGE_SIZE as u64
    }
}
