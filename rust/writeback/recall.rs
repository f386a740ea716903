// SPDX-License-Identifier: GPL-2.0

//! Takes whole segments back into the cache: those of an area that is being swapped off, in the order of
//! the log, and what of a store that is removed fits nowhere else.
//!
//! Context of all here: the mover is locked; waits for I/O.

use crate::{
    backing::store::BackingStore,
    contents::{
        table::Table,
        Contents, //
    },
    core::{
        entry::Redirect,
        segment::MAX_STORES, //
    },
    kernel_ext::trace::tell,
    writeback::{
        backoff::Backoff,
        lanes::{
            Lanes,
            SegmentBuffer, //
        },
        segment_io::Taken, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// How long nothing is taken back after there was no memory for it, in milliseconds.
const BACKOFF_MS: u32 = 1000;

/// A place in the log of a pool's stores.
struct Place {
    store: usize,
    segment: usize,
    /// Segments of all stores that are left to look at.
    left: usize,
}

/// How far taking back has come, for the areas that are being swapped off.
pub(crate) struct Recaller {
    /// Where it goes on, if there is something to go on with.
    next: Option<Place>,
    backoff: Backoff,
}

impl Recaller {
    /// Nothing is being taken back.
    pub(crate) fn new() -> Self {
        Self {
            next: None,
            backoff: Backoff::new(BACKOFF_MS),
        }
    }

    /// No area is being swapped off.
    pub(crate) fn stop(&mut self) {
        self.next = None;
    }

    /// Takes back segment `segment` of store `store`, in which is a page that a load waits for, and goes
    /// on after it.
    pub(crate) fn recall_wanted(
        &mut self,
        contents: &Contents,
        lanes: &Lanes,
        store: usize,
        segment: usize,
    ) {
        let left = match &self.next {
            Some(next) => next.left,
            None => (contents.stores.all())
                .map(|store| store.log.segments())
                .sum(),
        };
        let place = Place {
            store,
            segment,
            left,
        };
        self.recall_segment(contents, lanes, place);
    }

    /// Takes back the next segment, while no load waits. Returns whether to go on: what takes more
    /// memory than there may be is left to the loads that want it.
    pub(crate) fn recall_next(&mut self, contents: &Contents, lanes: &Lanes) -> bool {
        let Some(place) = (self.next.take())
            .filter(|next| next.left > 0 && contents.bytes() < contents.limit.bytes())
        else {
            return false;
        };
        let segments = (contents.stores).with(place.store, |store| store.log.segments());
        if segments.is_some_and(|segments| place.segment < segments) {
            self.recall_segment(contents, lanes, place);
        } else {
            self.next = Some(Place {
                store: (place.store + 1) % MAX_STORES,
                segment: 0,
                left: place.left - usize::from(place.store + 1 == MAX_STORES),
            });
        }
        true
    }

    /// Takes back what the segment at `place` has of areas that are being swapped off, and goes on
    /// after it, if that is of use.
    fn recall_segment(&mut self, contents: &Contents, lanes: &Lanes, mut place: Place) {
        if self.backoff.is_on() {
            return;
        }
        let taken = (contents.stores.get(place.store))
            // What is wrong in one that is not sound is an error of the load that wants it.
            .filter(|store| store.log.is_sound(place.segment))
            .and_then(|store| {
                let taken = store.log.take(place.segment)?;
                Some((store, taken))
            });
        let recalled = taken.map(|taken| {
            lanes.with(|input| recall(contents, input, taken, |table| !table.is_on()))
        });
        if recalled == Some(Err(ENOMEM)) {
            return self.backoff.begin();
        }
        place.segment += 1;
        place.left = place.left.saturating_sub(1);
        self.next = Some(place);
    }
}

/// Moves what is in segment `segment` of `store` to the cache, if that has room.
///
/// Errors: [`ENOSPC`] if it has not; [`ENOMEM`]; [`EIO`] if something cannot be read.
pub(crate) fn move_to_cache(
    contents: &Contents,
    lanes: &Lanes,
    store: &Arc<BackingStore>,
    segment: usize,
) -> Result {
    let Some(taken) = store.log.take(segment) else {
        return Ok(());
    };
    if contents.bytes() + store.log.live(segment) as u64 > contents.limit.bytes() {
        store.log.seal(taken);
        return Err(ENOSPC);
    }
    lanes.with(|input| recall(contents, input, (store.clone(), taken), |_| true))
}

/// Takes what is left of a segment back into the cache, of the areas that are `wanted`.
///
/// Errors: [`ENOMEM`]; [`EIO`] if something cannot be read. What was not taken back stays.
fn recall(
    contents: &Contents,
    input: &mut SegmentBuffer,
    taken: Taken,
    wanted: impl Fn(&Table) -> bool,
) -> Result {
    let tables = contents.tables.snapshot();
    let mut source = input.read(taken)?;
    let mut result = Ok(());
    let mut records = input.records(&mut source);
    while let Some(record) = records.next(&mut source) {
        let Some((slot, redirect)) = source.owner_of(&tables, &record) else {
            continue;
        };
        let table = tables.get(record.owner.area.into());
        if !table.is_some_and(|table| wanted(table)) {
            continue;
        }
        let Some(object) = records.object(&mut source, &record) else {
            continue;
        };
        match contents.cache.store_again(object, redirect.form.coder) {
            Ok(object) => match slot.recall(redirect, object) {
                Ok(()) => {
                    slot.cluster().touch();
                    let Redirect { form, location } = redirect;
                    contents.stats.recalled(form.length);
                    tell!(read_back: contents.traced(record.owner), form.length, location);
                    contents.stores.end_record(redirect);
                }
                Err(object) => contents.cache.free(object),
            },
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    result.and(source.end())
}
