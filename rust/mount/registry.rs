// SPDX-License-Identifier: GPL-2.0

//! What is mounted: ghost files, each at most once, and the pools that their mounts share.
//!
//! A pool is made and taken down by one task, that of its first mount and that of its last umount, which
//! may wait for devices. So the registry's lock is not held meanwhile, and only what would mount the
//! same pool waits for that task.

use crate::{
    contents::cache::CacheInner,
    kernel_ext::{
        cpu_hotplug::OnlineState,
        fs::{
            file::SourceFile,
            fs_context::FsLog,
            kobject::{
                FsDir,
                KobjectDir, //
            },
        },
        sync::{
            event_count::EventCount,
            workqueue::{
                BackgroundQueue,
                ReclaimQueue, //
            },
        },
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
    time::msecs_to_jiffies,
    types::ScopeGuard,
};

/// A pool. It goes with its last mount.
struct Shared {
    id: CString,
    /// [`None`] while it is being made or taken down.
    pool: Option<Arc<Pool>>,
    mounts: usize,
}

/// What the registry's lock protects.
#[derive(Default)]
struct Entries {
    /// Those of pools that are being made or taken down, too.
    sources: KVec<Arc<SourceFile>>,
    pools: KVec<Shared>,
}

impl Entries {
    fn position(&self, id: &CStr) -> Option<usize> {
        self.pools.iter().position(|shared| *shared.id == *id)
    }

    /// Takes out a source, and the pool at `position`, if one is given.
    fn remove(&mut self, source: &Arc<SourceFile>, position: Option<usize>) {
        self.sources.retain(|other| !Arc::ptr_eq(other, source));
        if let Some(position) = position {
            let _ = self.pools.remove(position);
        }
    }
}

/// The registry.
#[pin_data]
pub(crate) struct Registry {
    #[pin]
    entries: Mutex<Entries>,
    /// Counts pools that were made or taken down.
    #[pin]
    changes: EventCount,
    directory: FsDir,
    cpus: Arc<OnlineState<CacheInner>>,
    /// They go last, when the workers are done.
    queues: Queues,
}

impl Registry {
    /// An empty registry, with its directory in sysfs.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`]; [`ENOSPC`].
    pub(crate) fn new() -> Result<Pin<KBox<Self>>> {
        let directory = FsDir::new(c"ghostswap")?;
        let patient = Arc::new(ReclaimQueue::new(c"ghostswap")?, GFP_KERNEL)?;
        let freezable = ReclaimQueue::new_freezable(c"ghostswap_image")?;
        let freezable = Arc::new(freezable, GFP_KERNEL)?;
        let writes = Arc::new(ReclaimQueue::new(c"ghostswap_write")?, GFP_KERNEL)?;
        let urgent = Arc::new(ReclaimQueue::new_urgent(c"ghostswap_read")?, GFP_KERNEL)?;
        let background = Arc::new(BackgroundQueue::new(c"ghostswap_store")?, GFP_KERNEL)?;
        let cpus = Arc::new(OnlineState::new(c"ghostswap:online")?, GFP_KERNEL)?;
        KBox::pin_init(
            pin_init!(Self {
                entries <- new_mutex!(Entries::default()),
                changes <- EventCount::new(),
                directory,
                cpus,
                queues: Queues {
                    patient,
                    freezable,
                    writes,
                    urgent,
                    background,
                },
            }),
            GFP_KERNEL,
        )
    }

    /// Enters the mount of `source`, and finds or makes its pool. `number` names a pool that has no
    /// name.
    ///
    /// Context: may sleep, for as long as the device of a store of this pool takes. Errors: [`EBUSY`] if
    /// the file is mounted already; [`EINVAL`] if the options are wrong, or not the pool's; [`ENOMEM`];
    /// [`EINTR`].
    pub(crate) fn enter(
        &self,
        source: &Arc<SourceFile>,
        options: &Options,
        (major, minor): (u32, u32),
        log: &FsLog<'_>,
    ) -> Result<Arc<Pool>> {
        // The id of a pool without a name has a colon, which no name has.
        let id = match options.pool() {
            Some(name) => name.to_cstring()?,
            None => CString::try_from_fmt(fmt!("{major}:{minor}"))?,
        };
        loop {
            let seen = self.changes.count();
            let mut entries = self.entries.lock();
            if entries.sources.iter().any(|other| other.is_same(source)) {
                return Err(log.error(EBUSY, fmt!("source: the ghost file is mounted already")));
            }
            entries.sources.reserve(1, GFP_KERNEL)?;
            let position = entries.position(&id);
            let Some(shared) = position.and_then(|at| entries.pools.get_mut(at)) else {
                entries.pools.reserve(1, GFP_KERNEL)?;
                let shared = Shared {
                    id: id.to_cstring()?,
                    pool: None,
                    mounts: 0,
                };
                entries.pools.push(shared, GFP_KERNEL)?;
                entries.sources.push(source.clone(), GFP_KERNEL)?;
                break;
            };
            if let Some(pool) = shared.pool.clone() {
                options.match_pool(&pool, log)?;
                shared.mounts += 1;
                entries.sources.push(source.clone(), GFP_KERNEL)?;
                return Ok(pool);
            }
            drop(entries);
            // The time is only for it to be looked at again.
            let waited = (self.changes).wait_interruptible(seen, msecs_to_jiffies(1000));
            waited.map_err(|_| EINTR)?;
        }
        let opened = self.open(&id, options, log);
        let mut entries = self.entries.lock();
        let position = entries.position(&id);
        if let Ok(pool) = &opened {
            if let Some(shared) = position.and_then(|at| entries.pools.get_mut(at)) {
                shared.pool = Some(pool.clone());
                shared.mounts = 1;
            }
        } else {
            entries.remove(source, position);
        }
        drop(entries);
        self.changes.signal();
        opened
    }

    /// Makes a pool, and shows it.
    fn open(&self, id: &CStr, options: &Options, log: &FsLog<'_>) -> Result<Arc<Pool>> {
        let config = options.config(log)?;
        let pool = Pool::new(id.to_cstring()?, config, &self.queues, &self.cpus)?;
        let directory = KobjectDir::new(&self.directory, fmt!("{}", pool.id()), pool.clone())?;
        pool.show_in(directory);
        // Also if anything fails from here on: what was claimed must be given back. And the directory
        // and the pool refer to each other, which ends by that.
        let opened = ScopeGuard::new_with_data(pool, |pool| pool.close());
        options.add_stores(&opened, log)?;
        Ok(opened.dismiss())
    }

    /// Takes out a mount that [`Registry::enter`] let in.
    ///
    /// Context: may sleep, for as long as the device of a store of this pool takes.
    pub(crate) fn leave(&self, source: &Arc<SourceFile>, pool: &Arc<Pool>) {
        let mut entries = self.entries.lock();
        let position = entries.position(pool.id());
        let Some(shared) = position.and_then(|at| entries.pools.get_mut(at)) else {
            return;
        };
        shared.mounts -= 1;
        if shared.mounts > 0 {
            return entries.remove(source, None);
        }
        shared.pool = None;
        drop(entries);
        pool.close();
        let mut entries = self.entries.lock();
        let position = entries.position(pool.id());
        entries.remove(source, position);
        drop(entries);
        self.changes.signal();
    }
}
