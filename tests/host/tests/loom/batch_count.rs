// SPDX-License-Identifier: GPL-2.0

//! The counts of a batch: it is completed once, after all its pages were filled.

use super::tally::{
    bound,
    Tally, //
};
use ghostswap_core::batch_count::BatchCount;
use loom::{
    cell::UnsafeCell,
    sync::{
        atomic::{
            AtomicUsize,
            Ordering, //
        },
        Arc,
    },
    thread,
};

/// A batch of one page a thread.
struct Batch {
    count: BatchCount,
    pages: Vec<UnsafeCell<bool>>,
    completed: AtomicUsize,
}

impl Batch {
    /// Fills the page of `thread`, or fails, and ends its count.
    fn end(&self, thread: usize, fails: &[bool]) {
        let mut failed = 0;
        if fails[thread] {
            failed = 1 << thread;
        } else {
            // SAFETY: It is this thread's page until its count is ended. If another got at it at the
            // same time, loom would see that.
            self.pages[thread].with_mut(|page| unsafe { *page = true });
        }
        if let Some(failed) = self.count.end(failed) {
            assert_eq!(self.completed.fetch_add(1, Ordering::Relaxed), 0, "twice");
            for (at, page) in self.pages.iter().enumerate() {
                // SAFETY: All counts have ended, so no thread writes to a page any more. Likewise.
                let filled = page.with(|page| unsafe { *page });
                assert_eq!(failed & (1 << at) != 0, fails[at], "page {at}");
                assert_eq!(filled, !fails[at], "page {at}");
            }
        }
    }
}

/// The first thread puts off the pages of the others, which end them when they like. Three threads are
/// followed as far as two preemptions lead.
fn play(fails: &'static [bool]) {
    let preemptions = if fails.len() > 2 {
        bound(Some(3), 2)
    } else {
        None
    };
    let run = move || {
        let batch = Arc::new(Batch {
            count: BatchCount::new(),
            pages: fails.iter().map(|_| UnsafeCell::new(false)).collect(),
            completed: AtomicUsize::new(0),
        });
        let others: Vec<_> = (1..fails.len())
            .map(|other| {
                batch.count.add();
                let batch = batch.clone();
                thread::spawn(move || batch.end(other, fails))
            })
            .collect();
        batch.end(0, fails);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(batch.completed.load(Ordering::Relaxed), 1);
    };
    Tally::start()
        .explore(preemptions, run)
        .tell(&format!("batch {fails:?}, {preemptions:?} preemptions"));
}

#[test]
fn a_batch_is_completed_once_with_all_pages() {
    play(&[false]);
    play(&[false, false]);
    play(&[false, false, false]);
}

#[test]
fn each_folio_fails_alone() {
    play(&[true]);
    play(&[true, false]);
    play(&[false, true]);
    play(&[false, true, true]);
    play(&[true, false, true]);
    play(&[true, true, true]);
}
