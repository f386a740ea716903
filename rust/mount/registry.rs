// SPDX-License-Identifier: GPL-2.0

//! What is mounted: ghost files, each at most once, and the pools that their mounts share.
//!
//! The registry's lock is outermost: a pool is made, shown and taken down under it.

use crate::{
    kernel_ext::{
        fs::{
            file::SourceFile,
            fs_context::FsLog,
            kobject::{
                FsDir,
                KobjectDir, //
            },
        },
        sync::workqueue::ReclaimQueue,
    },
    mount::options::Options,
    pool::{
        Pool,
        Queues, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        Arc,
        Mutex, //
    },
    types::ScopeGuard,
};

/// A pool. It goes with its last mount.
struct Shared {
    pool: Arc<Pool>,
    mounts: usize,
}

/// What the registry's lock protects.
#[derive(Default)]
struct Entries {
    sources: KVec<Arc<SourceFile>>,
    pools: KVec<Shared>,
}

/// The registry.
#[pin_data]
pub(crate) struct Registry {
    #[pin]
    entries: Mutex<Entries>,
    directory: FsDir,
    /// They go last, when the workers are done.
    queues: Queues,
}

impl Registry {
    /// An empty registry, with its directory in sysfs.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Pin<KBox<Self>>> {
        let directory = FsDir::new(c"ghostswap")?;
        let patient = Arc::new(ReclaimQueue::new(c"ghostswap")?, GFP_KERNEL)?;
        let urgent = Arc::new(ReclaimQueue::new_urgent(c"ghostswap_read")?, GFP_KERNEL)?;
        KBox::pin_init(
            pin_init!(Self {
                entries <- new_mutex!(Entries::default()),
                directory,
                queues: Queues { patient, urgent },
            }),
            GFP_KERNEL,
        )
    }

    /// Enters the mount of `source`, and finds or makes its pool. `number` names a pool that has no
    /// name.
    ///
    /// Context: may sleep. Errors: [`EBUSY`] if the file is mounted already; [`EINVAL`] if the
    /// options are wrong, or not the pool's; [`ENOMEM`].
    pub(crate) fn enter(
        &self,
        source: &Arc<SourceFile>,
        options: &Options,
        number: (u32, u32),
        log: &FsLog<'_>,
    ) -> Result<Arc<Pool>> {
        let mut entries = self.entries.lock();
        if entries.sources.iter().any(|other| other.is_same(source)) {
            return Err(log.error(EBUSY, fmt!("source: the ghost file is mounted already")));
        }
        entries.sources.reserve(1, GFP_KERNEL)?;
        // The id of a pool without a name has a colon, which no name has.
        let joined =
            (entries.pools.iter_mut()).find(|shared| options.pool() == Some(shared.pool.id()));
        let pool = match joined {
            Some(shared) => {
                options.match_pool(&shared.pool, log)?;
                shared.mounts += 1;
                shared.pool.clone()
            }
            None => {
                entries.pools.reserve(1, GFP_KERNEL)?;
                let shared = self.open(options, number, log)?;
                let pool = shared.pool.clone();
                entries.pools.push(shared, GFP_KERNEL)?;
                pool
            }
        };
        entries.sources.push(source.clone(), GFP_KERNEL)?;
        Ok(pool)
    }

    /// Makes a pool, and shows it.
    fn open(
        &self,
        options: &Options,
        (major, minor): (u32, u32),
        log: &FsLog<'_>,
    ) -> Result<Shared> {
        let id = match options.pool() {
            Some(name) => name.to_cstring()?,
            None => CString::try_from_fmt(fmt!("{major}:{minor}"))?,
        };
        let pool = Pool::new(id, options.config(log)?, &self.queues)?;
        let directory = KobjectDir::new(&self.directory, fmt!("{}", pool.id()), pool.clone())?;
        pool.show_in(directory);
        // Also if anything fails from here on: what was claimed must be given back. And the directory
        // and the pool refer to each other, which ends by that.
        let opened = ScopeGuard::new_with_data(pool.clone(), |pool| pool.close());
        options.add_stores(&pool, log)?;
        opened.dismiss();
        Ok(Shared { mounts: 1, pool })
    }

    /// Takes out a mount that [`Registry::enter`] let in.
    ///
    /// Context: may sleep.
    pub(crate) fn leave(&self, source: &Arc<SourceFile>, pool: &Arc<Pool>) {
        let mut entries = self.entries.lock();
        entries.sources.retain(|other| !Arc::ptr_eq(other, source));
        entries.pools.retain(|shared| {
            if Arc::ptr_eq(&shared.pool, pool) {
                shared.mounts -= 1;
            }
            if shared.mounts == 0 {
                shared.pool.close();
            }
            shared.mounts > 0
        });
    }
}
