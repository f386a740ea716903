// SPDX-License-Identifier: GPL-2.0

//! Has the second compressor make old objects in memory smaller, by and by or by order.
//!
//! A worker goes round over the clusters of the pool's areas. It takes those in which nothing was stored for
//! a minute, holds one object at a time, and puts what becomes of it in its place. A load of just this object
//! waits for that. A cluster that was done is left until something is stored in it.
//!
//! The worker takes a tenth of the time of one CPU at most: it rests nine times as long as it worked.

use crate::{
    contents::{
        cache::Cache,
        table::{
            self,
            Cluster,
            CLUSTER, //
        },
        Contents, //
    },
    core::{
        ages,
        entry::{
            Entry,
            ObjectState, //
        },
        payload::Coder,
        segment::Owner,
        slot::{
            Look,
            Slot, //
        },
    },
    kernel_ext::{
        mm::{
            sparse_array::PinnedElement,
            zsmalloc::ZsObject, //
        },
        sched::cond_resched,
        sync::{
            event_count::EventCount,
            workqueue::BackgroundQueue, //
        }, //
    },
    writeback::recoder::Recoder,
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Release, //
        },
        Arc, //
    },
    time::{
        msecs_to_jiffies,
        Instant,
        Monotonic, //
    },
};

/// For so many seconds nothing was stored in what the worker takes.
const AGE: u32 = 60;

/// How long the worker rests after each round, in milliseconds.
const ROUND_MS: u32 = 10_000;

/// It works for so long at one go, in milliseconds, and rests so many times as long then.
const WORK_MS: u32 = 4;
const REST: u32 = 9;

/// The worker of a pool.
#[pin_data]
pub(crate) struct Recompressor {
    /// Whether it has begun, and not come to its end.
    is_on: Atomic<bool>,
    /// Whether it is to come to its end.
    is_ending: Atomic<bool>,
    /// Signalled when one of them changes.
    #[pin]
    change: EventCount,
}

impl Recompressor {
    /// One that has not begun.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                is_on: Atomic::new(false),
                is_ending: Atomic::new(false),
                change <- EventCount::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Begins, on `queue`, with what `contents` has, if there is a second compressor and it has not begun.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn begin(
        self: &Arc<Self>,
        contents: &Arc<Contents>,
        queue: &BackgroundQueue,
    ) -> Result {
        let Some(mut recoder) = Recoder::new(&contents.cache)? else {
            return Ok(());
        };
        if self.is_on.xchg(true, Full) {
            return Ok(());
        }
        let (this, contents) = (self.clone(), contents.clone());
        let spawned = queue.spawn(move || {
            this.run(&contents, &mut recoder);
            // The task that waits for the end may be about to make another pool of the same name.
            drop(contents);
            this.has_ended();
        });
        spawned.inspect_err(|_| self.has_ended())
    }

    fn has_ended(&self) {
        self.is_on.store(false, Release);
        self.change.signal();
    }

    /// Has it end, and waits for that.
    ///
    /// Context: may sleep, for as long as one object takes; no area is on.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Release);
        self.change.signal();
        self.change
            .wait_for(|| (!self.is_on.load(Acquire)).then_some(()));
    }

    fn run(&self, contents: &Contents, recoder: &mut Recoder) {
        while self.rest(ROUND_MS) {
            let mut begun = Instant::<Monotonic>::now();
            // What there is no memory for is tried in the next round.
            let _ = recompress(contents, recoder, AGE, || {
                let worked = begun.elapsed().as_millis();
                let worked = u32::try_from(worked).unwrap_or(WORK_MS);
                if worked >= WORK_MS {
                    if !self.rest(worked.saturating_mul(REST)) {
                        return Err(ECANCELED);
                    }
                    begun = Instant::now();
                }
                Ok(())
            });
        }
    }

    /// Rests for `time` milliseconds. Returns whether to go on then.
    fn rest(&self, time: u32) -> bool {
        let seen = self.change.count();
        if !self.is_ending.load(Acquire) {
            // Not as one that must not be woken, which would count as load of the machine.
            let _ = self.change.wait_interruptible(seen, msecs_to_jiffies(time));
        }
        !self.is_ending.load(Acquire)
    }
}

/// Has the second compressor make the objects of `contents` smaller that are in memory and in clusters in
/// which nothing was stored for `age` seconds, at once.
///
/// Context: may sleep, for long. Errors: [`ENXIO`] if there is no second compressor; [`ENOMEM`]; [`EINTR`].
pub(crate) fn recompress_older(contents: &Contents, age: u32) -> Result {
    let mut recoder = Recoder::new(&contents.cache)?.ok_or(ENXIO)?;
    recompress(contents, &mut recoder, age, || {
        if kernel::current!().signal_pending() {
            Err(EINTR)
        } else {
            Ok(())
        }
    })
}

/// As [`recompress_older`], by way of `recoder`. `goes_on` is called after each cluster; its error is the end.
fn recompress(
    contents: &Contents,
    recoder: &mut Recoder,
    age: u32,
    mut goes_on: impl FnMut() -> Result,
) -> Result {
    let time = ages::before(table::now(), age);
    let tables = contents.tables.snapshot();
    for (area, table) in tables.all() {
        let mut next = 0;
        while table.is_on() {
            let done = table.with_cluster_from(next, |cluster| {
                recompress_cluster(contents, recoder, area, &cluster, time)?;
                Ok::<_, Error>(cluster.index())
            });
            let Some(done) = done else {
                break;
            };
            next = done? + 1;
            goes_on()?;
        }
    }
    Ok(())
}

/// Does that for `cluster`, of area `area`, if it was touched at `time` or before.
fn recompress_cluster(
    contents: &Contents,
    recoder: &mut Recoder,
    area: usize,
    cluster: &PinnedElement<'_, Cluster>,
    time: u32,
) -> Result {
    let Some(touched) = (cluster.touched()).filter(|touched| ages::is_by(*touched, time)) else {
        return Ok(());
    };
    if cluster.is_recompressed(touched) {
        return Ok(());
    }
    for (at, slot) in cluster.slots().iter().enumerate() {
        let owner = Owner::new(area, cluster.index() * CLUSTER + at);
        recompress_object(contents, recoder, owner, slot)?;
    }
    cluster.note_recompressed(touched);
    Ok(())
}

/// The object that the second compressor makes of the page of `object`, if that takes less.
fn recode(cache: &Cache, recoder: &mut Recoder, object: &ZsObject) -> Result<Option<ZsObject>> {
    let mut copy = recoder.copy(cache, object)?;
    match copy.recode(cache) {
        (data, form) if form.coder == Coder::Second => {
            cache.store_again(data, form.coder).map(Some)
        }
        _ => Ok(None),
    }
}

/// Does that for the object of `slot`, the slot of `owner`, if it has one with which nothing goes on.
fn recompress_object(
    contents: &Contents,
    recoder: &mut Recoder,
    owner: Owner,
    slot: &Slot<ZsObject>,
) -> Result {
    let cache = &contents.cache;
    let is_wanted = match slot.peek() {
        Entry::Cached {
            form,
            state: ObjectState::Idle | ObjectState::Aged,
            ..
        } => form.is_for_second(),
        _ => false,
    };
    if !is_wanted {
        return Ok(());
    }
    cond_resched();
    let Look::Object(hold) = slot.look() else {
        return Ok(());
    };
    let made = match hold.form().is_for_second() {
        true => recode(cache, recoder, hold.object()),
        // It is another object by now.
        false => Ok(None),
    };
    let made = match made {
        Ok(Some(object)) => object,
        other => {
            if let Some(object) = hold.release() {
                cache.free(object);
            }
            return other.map(drop);
        }
    };
    let form = made.form();
    match hold.release_for(made) {
        Ok(object) => {
            let before = object.form().length;
            contents.stats.shrunk(before, form.length);
            contents.note_recompressed(owner, before, form);
            cache.free(object);
        }
        Err(objects) => objects.into_iter().for_each(|object| cache.free(object)),
    }
    Ok(())
}
