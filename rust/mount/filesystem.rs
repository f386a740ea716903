// SPDX-License-Identifier: GPL-2.0

//! The filesystem type `ghostswap`: mounting a ghost file makes a file that can be swapped on.

use crate::{
    area::Area,
    core::{
        header::{
            HeaderError,
            SwapHeader,
            FS_MAGIC, //
        },
        PAGE_SIZE,
    },
    kernel_ext::{
        fs::{
            file::{
                FileKind,
                FoundFile,
                SourceFile, //
            },
            fs_context::FsLog,
            single_file::FileSystem,
        },
        mm::ram::max_swap_pages,
    },
    mount::{
        options::{
            self,
            Options, //
        },
        registry::Registry,
    },
    pool::Pool,
};
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    str::CString,
    sync::Arc, //
};

/// The filesystem type.
pub(crate) struct GhostSwap {
    registry: Pin<KBox<Registry>>,
}

impl GhostSwap {
    /// With nothing mounted.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`]; [`ENOSPC`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            registry: Registry::new()?,
        })
    }
}

/// A mounted ghost file: from when the superblock is filled until it ends, while its number, by which an
/// unnamed pool is known, is not another's yet.
///
/// It has the header page, which is read once, and keeps the ghost file open, so that it stays the same
/// file and cannot be mounted twice, by any name. It may be a block device, for busybox makes a loop
/// device of the file, and mounts that. An area keeps its own file open, and so the mount:
/// umount(8) says EBUSY, and a lazily unmounted file lives until swapoff(8).
pub(crate) struct Mount {
    page: KBox<[u8; PAGE_SIZE]>,
    header: SwapHeader,
    source: Arc<SourceFile>,
    pool: Arc<Pool>,
    pool_name: Option<CString>,
}

impl FileSystem for GhostSwap {
    const NAME: &'static CStr = c"ghostswap";
    const MAGIC: usize = FS_MAGIC;

    type Options = Options;
    type Mount = Mount;
    type Area = Area;

    fn parse(options: &mut Options, key: &CStr, value: &CStr, log: &FsLog<'_>) -> Result<bool> {
        options.parse(key, value, log)
    }

    fn area_context(mount: &Mount) -> &Arc<Pool> {
        &mount.pool
    }

    fn mount(
        &self,
        options: &Options,
        source: Option<&CStr>,
        number: (u32, u32),
        log: &FsLog<'_>,
    ) -> Result<KBox<Mount>> {
        let source = Arc::new(open(source, log)?, GFP_KERNEL)?;
        let (page, header) = read_header(&source, log)?;
        let pool_name = options.pool().map(|name| name.to_cstring()).transpose()?;
        // Nothing fails once the mount is entered.
        let mount = KBox::<Mount>::new_uninit(GFP_KERNEL)?;
        let pool = self.registry.enter(&source, options, number, log)?;
        Ok(mount.write(Mount {
            page,
            header,
            source,
            pool,
            pool_name,
        }))
    }

    fn remount(&self, mount: &Mount, options: &Options, log: &FsLog<'_>) -> Result {
        options.apply(&mount.pool, mount.pool_name.as_deref(), log)
    }

    fn unmount(&self, mount: KBox<Mount>) {
        self.registry.leave(&mount.source, &mount.pool);
    }

    fn show_options(mount: &Mount, out: &SeqFile) {
        options::show(&mount.pool, mount.pool_name.as_deref(), out);
    }

    fn space(mount: &Mount) -> (u64, u64) {
        let (view, used) = mount.pool.contents.view();
        let bytes = |slots: u64| slots * PAGE_SIZE as u64;
        (
            bytes(view.capacity),
            bytes(view.capacity.saturating_sub(used)),
        )
    }

    fn header(mount: &Mount) -> &[u8; PAGE_SIZE] {
        &mount.page
    }

    fn size(mount: &Mount) -> u64 {
        mount.header.size()
    }
}

/// Opens a ghost file, if it is one by all that can be said from outside.
fn open(path: Option<&CStr>, log: &FsLog<'_>) -> Result<SourceFile> {
    let Some(path) = path else {
        return Err(log.invalid(fmt!("source: no ghost file is named")));
    };
    let refuse = |error, reason| log.error(error, fmt!("source {}: {reason}", path));
    let found = FoundFile::new(path).map_err(|error| refuse(error, "not found"))?;
    match found.kind() {
        FileKind::Regular | FileKind::BlockDevice => (),
        FileKind::Directory => return Err(refuse(EISDIR, "is a directory, not a ghost file")),
        FileKind::Special => {
            return Err(refuse(
                EINVAL,
                "is neither a regular file nor a block device",
            ))
        }
    }
    let file = found
        .open()
        .map_err(|error| refuse(error, "cannot be opened"))?;
    if file.is_on(GhostSwap::MAGIC) {
        return Err(refuse(EBUSY, "is a mounted ghost file already"));
    }
    if !file.is_private_to_root() {
        return Err(refuse(
            EPERM,
            "must be root's and closed to others (chown root, chmod 600)",
        ));
    }
    match file.size() {
        size if size < PAGE_SIZE as u64 => Err(refuse(EINVAL, "is shorter than a page")),
        size if size > PAGE_SIZE as u64 => Err(refuse(
            EINVAL,
            "is longer than a page: a real swap file? Then swapon it as it is",
        )),
        _ => Ok(file),
    }
}

fn read_header(
    source: &SourceFile,
    log: &FsLog<'_>,
) -> Result<(KBox<[u8; PAGE_SIZE]>, SwapHeader)> {
    let page = source
        .read_page()
        .map_err(|error| log.error(error, fmt!("source: cannot be read")))?;
    match SwapHeader::parse(&page, max_swap_pages()) {
        Ok(header) => Ok((page, header)),
        Err(problem) => {
            let error = match problem {
                HeaderError::TooLarge(_) => EFBIG,
                _ => EINVAL,
            };
            Err(log.error(error, fmt!("source: {problem}")))
        }
    }
}
