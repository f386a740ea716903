// SPDX-License-Identifier: GPL-2.0

//! How much is read ahead.

use ghostswap_core::blocks::{
    Blocks,
    MAX_AHEAD,
    ROW, //
};
use ghostswap_core::read_ahead::{
    Streams,
    Window,
    LEAST_AHEAD, //
};
use ghostswap_core::segment::BLOCKS;
use proptest::prelude::*;

use crate::{
    config,
    loads::blocks, //
};

fn any_blocks() -> impl Strategy<Value = Blocks> {
    (
        0..8usize,
        0..1usize << 27,
        any::<u32>(),
        0..BLOCKS,
        1..=2usize,
    )
        .prop_map(|(store, segment, generation, first, count)| {
            let first = first.min(BLOCKS - count);
            blocks(store, segment, generation.into(), first, count)
        })
}

proptest! {
    #![proptest_config(config(2_000))]

    /// What is read has what is wanted, and is of the row, but for one block.
    #[test]
    fn a_window_is_of_the_same_row(wanted in any_blocks(), window in 0..2 * ROW) {
        let read = wanted.ahead(window);
        let (want, got) = (wanted.range(), read.range());
        let row = (want.start / ROW + 1) * ROW;
        prop_assert!(read.cover(&wanted) && got.start == want.start && got.end <= BLOCKS);
        prop_assert!(got.len() <= MAX_AHEAD && got.end <= (row + 1).max(want.end));
        let most = want.start + window;
        let reached = if most < row { most } else { (row + 1).min(BLOCKS) };
        prop_assert_eq!(got.end, reached.max(want.end));
    }

    /// Pages in a row are read with few requests, wherever they begin and however they lie on blocks.
    #[test]
    fn what_goes_on_is_read_ahead(
        segment in 0..1usize << 27,
        first in 0..BLOCKS / 2,
        counts in prop::collection::vec(1..=2usize, BLOCKS),
    ) {
        let streams = Streams::new();
        let (mut reads, mut end, mut at) = (0, 0, first);
        for count in counts {
            if at + count > BLOCKS {
                break;
            }
            let wanted = blocks(0, segment, 0, at, count);
            // The next record begins where this one ends.
            at += count - 1;
            if count == 1 {
                at += 1;
            }
            if wanted.range().end <= end {
                continue;
            }
            let window = streams.window(&wanted);
            prop_assert_eq!(window == 0, reads == 0);
            let read = wanted.ahead(window);
            streams.note(&wanted, &read, window);
            end = read.range().end;
            reads += 1;
        }
        prop_assert!(reads <= 6 + (at - first).div_ceil(ROW), "{reads} reads of {first}..{at}");
    }

    /// What does not go on where something ended is read by itself.
    #[test]
    fn nothing_is_read_ahead_of_the_rest(read in any_blocks(), wanted in any_blocks(), window in 0..=ROW) {
        let streams = Streams::new();
        prop_assert_eq!(streams.window(&wanted), 0);
        streams.note(&read, &read, window);
        let goes_on = (read.store(), read.segment()) == (wanted.store(), wanted.segment())
            && [0, 1].contains(&(read.range().end.wrapping_sub(wanted.range().start)));
        prop_assert_eq!(streams.window(&wanted) > 0, goes_on);
        if read.range().end < BLOCKS {
            let next = blocks(read.store(), read.segment(), 0, read.range().end, 1);
            prop_assert_eq!(streams.window(&next), (2 * window).clamp(LEAST_AHEAD, ROW));
        }
    }
}

#[test]
fn less_is_read_where_it_was_in_vain_and_more_again_after_that() {
    let mut window = Window::default();
    assert_eq!(window.limit(100), ROW);
    window.learn(33, 16);
    assert_eq!((window.limit(100), window.limit(5)), (ROW / 2, 5));
    for _ in 0..10 {
        window.learn(33, 2);
    }
    assert_eq!(window.limit(100), LEAST_AHEAD);
    window.learn(4, 2);
    assert_eq!(window.limit(100), 2 * LEAST_AHEAD);
    for _ in 0..10 {
        window.learn(33, 33);
    }
    assert_eq!(window.limit(100), ROW);
}

/// As of incompressible pages, and others that were swapped out with them: three runs in each of two
/// segments, and loads that go on with none.
#[test]
fn runs_in_one_segment_do_not_hide_each_other() {
    let streams = Streams::new();
    let mut ends = [[0; 3]; 2];
    let mut reads = 0;
    for page in 0..32 {
        for (segment, ends) in ends.iter_mut().enumerate() {
            for (run, end) in ends.iter_mut().enumerate() {
                let first = 2 * ROW * run + page;
                if first < *end {
                    continue;
                }
                let wanted = blocks(0, segment, 0, first, 1);
                let window = streams.window(&wanted);
                let read = wanted.ahead(window);
                streams.note(&wanted, &read, window);
                *end = read.range().end;
                reads += 1;
            }
        }
        let alone = blocks(0, page % 2, 0, 300 + 5 * page, 1);
        assert_eq!(streams.window(&alone), 0);
        streams.note(&alone, &alone, 0);
    }
    assert!(reads <= 6 * 6, "{reads} reads");
}

/// It is remembered in its own place, and not in that of others.
#[test]
fn a_run_that_goes_on_hides_no_other() {
    let streams = Streams::new();
    let runs = [0, 100, 200, 300];
    for first in runs {
        let alone = blocks(0, 7, 0, first, 1);
        streams.note(&alone, &alone, 0);
    }
    for at in 1..runs.len() {
        let wanted = blocks(0, 7, 0, at, 1);
        let window = streams.window(&wanted);
        assert!(window > 0);
        streams.note(&wanted, &wanted, window);
    }
    for first in &runs[1..] {
        assert!(streams.window(&blocks(0, 7, 0, first + 1, 1)) > 0);
    }
}
