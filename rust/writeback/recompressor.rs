// SPDX-License-Identifier: GPL-2.0

//! Has the second compressor make old objects in memory smaller, by and by or by order.
//!
//! A worker goes round over the clusters of the pool's areas. It takes those in which nothing was stored for
//! a minute, holds one object at a time, and puts what becomes of it in its place. A load of just this object
//! waits for that. A cluster that was done is left until something is stored in it.
//!
//! Where the second compressor makes bundles, see [`crate::core::bundle`], the worker holds some objects of a
//! cluster at a time, one after the other, and puts shares of one bundle in their places. A bundle of which no
//! more than half are left is taken apart again: its objects are put in the places of its shares, and may be
//! bundled with others. While much of what bundles take is for shares that are gone, the worker looks at all
//! clusters for such bundles.
//!
//! The worker takes a tenth of the time of one CPU at most: it rests nine times as long as it worked.

use crate::{
    contents::{
        cache::Cache,
        stats::Counter,
        table::{
            self,
            Cluster,
            CLUSTER, //
        },
        Contents, //
    },
    core::{
        ages, bundle,
        entry::{
            Entry,
            ObjectState, //
        },
        payload::{
            Coder,
            Form,
            Length, //
        },
        segment::Owner,
        slot::{
            Hold,
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

/// All clusters are looked at for sparse bundles while more than one of so many bytes that bundles take is wasted.
const MOST_WASTED: u64 = 4;

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
    let looks_at_all = (contents.cache.bundled())
        .is_some_and(|bundled| bundled.wasted() > bundled.bytes() / MOST_WASTED);
    let made = || contents.stats.sum(Counter::RecompressedPages);
    let before = made();
    let mut result = Ok(());
    let tables = contents.tables.snapshot();
    for (area, table) in tables.all() {
        let mut next = 0;
        while result.is_ok() && table.is_on() {
            let done = table.with_cluster_from(next, |cluster| {
                recompress_cluster(contents, recoder, area, &cluster, time, looks_at_all)?;
                Ok::<_, Error>(cluster.index())
            });
            let Some(done) = done else {
                break;
            };
            next = done.as_ref().map_or(0, |done| done + 1);
            result = done.and_then(|_| goes_on());
        }
    }
    // Where objects were that became smaller, zsmalloc keeps pages that are filled in part.
    if made() != before {
        contents.cache.compact();
    }
    result
}

/// Does that for `cluster`, of area `area`, if it was touched at `time` or before. What was done before is not
/// done again, unless it `looks_at_all`.
fn recompress_cluster(
    contents: &Contents,
    recoder: &mut Recoder,
    area: usize,
    cluster: &PinnedElement<'_, Cluster>,
    time: u32,
    looks_at_all: bool,
) -> Result {
    let Some(touched) = (cluster.touched()).filter(|touched| ages::is_by(*touched, time)) else {
        return Ok(());
    };
    if cluster.is_recompressed(touched) && !looks_at_all {
        return Ok(());
    }
    let slots = (cluster.slots().iter().enumerate())
        .map(|(at, slot)| (Owner::new(area, cluster.index() * CLUSTER + at), slot));
    if contents.cache.makes_bundles() {
        for (_, slot) in slots.clone() {
            take_apart(contents, recoder, slot)?;
        }
        bundle_objects(contents, slots)?;
    } else {
        for (owner, slot) in slots {
            recompress_object(contents, recoder, owner, slot)?;
        }
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

/// Holds what `slot` has in memory, if nothing goes on with it, and its form is `wanted`, which may be asked
/// twice.
///
/// Context: may sleep, whatever else is held.
fn hold_idle<'s>(
    slot: &'s Slot<ZsObject>,
    wanted: impl Fn(Form) -> bool,
    cache: &Cache,
) -> Option<Hold<'s, ZsObject>> {
    let Entry::Cached {
        form,
        state: ObjectState::Idle | ObjectState::Aged,
        ..
    } = slot.peek()
    else {
        return None;
    };
    if !wanted(form) {
        return None;
    }
    cond_resched();
    let Look::Object(hold) = slot.look() else {
        return None;
    };
    // It may be another object by now.
    if wanted(hold.form()) {
        return Some(hold);
    }
    release(cache, hold);
    None
}

/// Lets go of what is held.
fn release(cache: &Cache, hold: Hold<'_, ZsObject>) {
    if let Some(object) = hold.release() {
        cache.free(object);
    }
}

/// Puts `made`, which holds the same page, in the place of what is held, and frees that. Returns the length that
/// that had, if it was there still.
fn replace(cache: &Cache, hold: Hold<'_, ZsObject>, made: ZsObject) -> Option<Length> {
    match hold.release_for(made) {
        Ok(object) => {
            let before = object.form().length;
            cache.free(object);
            Some(before)
        }
        Err(objects) => {
            objects.into_iter().for_each(|object| cache.free(object));
            None
        }
    }
}

/// Puts the object of the share of `slot` in its place, if it has a share of a sparse bundle.
fn take_apart(contents: &Contents, recoder: &mut Recoder, slot: &Slot<ZsObject>) -> Result {
    let cache = &contents.cache;
    let Some(hold) = hold_idle(slot, |form| form.coder == Coder::Second, cache) else {
        return Ok(());
    };
    if !cache.is_of_sparse_bundle(hold.object()) {
        release(cache, hold);
        return Ok(());
    }
    let copied = recoder.copy(cache, hold.object());
    let made = copied.and_then(|copy| {
        let (data, coder) = copy.data();
        cache.store_again(data, coder)
    });
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            release(cache, hold);
            return Err(error);
        }
    };
    let length = made.form().length;
    if let Some(before) = replace(cache, hold, made) {
        contents.stats.resized(before, length);
    }
    Ok(())
}

/// Makes bundles of the objects of `slots`, as they come.
fn bundle_objects<'a>(
    contents: &Contents,
    slots: impl Iterator<Item = (Owner, &'a Slot<ZsObject>)>,
) -> Result {
    let mut held: [Option<(Owner, Hold<'a, ZsObject>)>; bundle::MEMBERS] =
        [const { None }; bundle::MEMBERS];
    let (mut count, mut bytes) = (0, 0);
    for (owner, slot) in slots {
        let Some(hold) = hold_idle(slot, Form::is_for_second, &contents.cache) else {
            continue;
        };
        let length = hold.form().length.bytes();
        if count == bundle::MEMBERS || bytes + length > bundle::BYTES {
            if let Err(error) = bundle_held(contents, &mut held) {
                release(&contents.cache, hold);
                return Err(error);
            }
            (count, bytes) = (0, 0);
        }
        match held.get_mut(count) {
            Some(place) => *place = Some((owner, hold)),
            None => release(&contents.cache, hold),
        }
        (count, bytes) = (count + 1, bytes + length);
    }
    bundle_held(contents, &mut held)
}

/// Makes a bundle of the objects that are `held`, and lets go of them all.
fn bundle_held(
    contents: &Contents,
    held: &mut [Option<(Owner, Hold<'_, ZsObject>)>; bundle::MEMBERS],
) -> Result {
    let cache = &contents.cache;
    let objects = (held.iter().flatten()).map(|(_, hold)| hold.object());
    let made = cache.bundle(objects);
    let (shares, result) = match made {
        Ok(Some(shares)) => (shares, Ok(())),
        Ok(None) => ([const { None }; bundle::MEMBERS], Ok(())),
        Err(error) => ([const { None }; bundle::MEMBERS], Err(error)),
    };
    for (place, share) in held.iter_mut().zip(shares) {
        match (place.take(), share) {
            (Some((owner, hold)), Some(share)) => {
                let form = share.form();
                if let Some(before) = replace(cache, hold, share) {
                    contents.stats.resized(before, form.length);
                    contents.note_recompressed(owner, before, form);
                }
            }
            (Some((_, hold)), None) => release(cache, hold),
            (None, Some(share)) => cache.free(share),
            (None, None) => (),
        }
    }
    result
}

/// Does that for the object of `slot`, the slot of `owner`, if it has one with which nothing goes on.
fn recompress_object(
    contents: &Contents,
    recoder: &mut Recoder,
    owner: Owner,
    slot: &Slot<ZsObject>,
) -> Result {
    let cache = &contents.cache;
    let Some(hold) = hold_idle(slot, Form::is_for_second, cache) else {
        return Ok(());
    };
    let made = match recode(cache, recoder, hold.object()) {
        Ok(Some(made)) => made,
        other => {
            release(cache, hold);
            return other.map(drop);
        }
    };
    let form = made.form();
    if let Some(before) = replace(cache, hold, made) {
        contents.stats.resized(before, form.length);
        contents.note_recompressed(owner, before, form);
    }
    Ok(())
}
