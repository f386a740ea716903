// SPDX-License-Identifier: GPL-2.0

//! `ghostswapctl status`: what pools hold, as a table for people or as JSON.

use crate::{
    pools::{
        LoadTimes,
        Pool,
        Store,
        PAGE, //
    },
    words::{
        count,
        counted,
        percent,
        short_time,
        size,
        table,
        times, //
    },
};
use serde::Serialize;

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    pools: &'a [Pool],
}

/// The pools as JSON: numbers have the names that they have in sysfs.
pub fn json(pools: &[Pool]) -> String {
    // There are no maps with keys other than text, which is all that could fail.
    let text = serde_json::to_string_pretty(&Document { pools });
    text.expect("numbers and text are JSON") + "\n"
}

/// The pools as a table, one after the other.
pub fn text(pools: &[Pool]) -> String {
    if pools.is_empty() {
        return "No ghost file is mounted. \"ghostswapctl setup\" makes one and swaps it on;\n\
                \"ghostswapctl check\" says what is missing for that.\n"
            .to_owned();
    }
    let texts: Vec<_> = pools.iter().map(pool_text).collect();
    texts.join("\n")
}

fn pool_text(pool: &Pool) -> String {
    let limit = size(pool.numbers.limit_bytes);
    let mut text = format!("Pool {}: compressor {}", pool.id, pool.comp);
    if let Some(second) = pool.second() {
        text.push_str(&format!(", of what is old {second}"));
    }
    text.push_str(&format!(", limit {limit}"));
    if !pool.is_cached() {
        text.push_str(", without a cache");
    }
    text.push_str("\n\n");
    text.push_str(&areas(pool));
    text.push('\n');
    text.push_str(&table(&contents(pool), &[2]));
    if !pool.backing.is_empty() {
        text.push('\n');
        text.push_str(&stores(&pool.backing));
    }
    text
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn areas(pool: &Pool) -> String {
    let mut rows = vec![row(&["swap area", "size", "used", "priority"])];
    for mount in &pool.mounts {
        rows.push(match &mount.swap {
            Some(swap) => vec![
                mount.path.clone(),
                size(swap.size_bytes),
                size(swap.used_bytes),
                swap.priority.to_string(),
            ],
            None => row(&[&mount.path, "not swapped on", "", ""]),
        });
    }
    let on = pool.mounts.iter().filter(|m| m.swap.is_some()).count() as u64;
    if pool.numbers.areas > on {
        let elsewhere = format!("{} more, not to be seen from here", pool.numbers.areas - on);
        rows.push(vec![elsewhere]);
    }
    table(&rows, &[])
}

/// What a pool holds, where, and what it did: a name, an amount, and more of it.
fn contents(pool: &Pool) -> Vec<Vec<String>> {
    let (numbers, derived) = (&pool.numbers, &pool.derived);
    let pages = |pages: u64| size(pages * PAGE);
    let mut rows = Vec::new();
    let mut add = |name: &str, amount: String, more: String| {
        rows.push(vec![name.to_owned(), amount, more]);
    };
    add(
        "stored",
        pages(numbers.stored_pages),
        counted(numbers.stored_pages, "page"),
    );
    add(
        "  in RAM",
        pages(derived.ram_pages),
        match derived.ratio {
            Some(ratio) => format!(
                "compressed to {}, {ratio:.1} times smaller",
                size(numbers.pool_bytes + numbers.table_bytes)
            ),
            None => String::new(),
        },
    );
    if numbers.incompressible_pages > 0 {
        add(
            "    incompressible",
            pages(numbers.incompressible_pages),
            "kept as they are".to_owned(),
        );
    }
    if numbers.same_filled_pages > 0 {
        add(
            "    of one word",
            pages(numbers.same_filled_pages),
            "take no memory".to_owned(),
        );
    }
    if !pool.backing.is_empty() || numbers.redirected_pages > 0 {
        let more = numbers.redirected_bytes.filter(|bytes| *bytes > 0);
        add(
            "  on disk",
            pages(numbers.redirected_pages),
            more.map(|bytes| {
                let ratio = (numbers.redirected_pages * PAGE) as f64 / bytes as f64;
                format!("compressed to {}, {ratio:.1} times smaller", size(bytes))
            })
            .unwrap_or_default(),
        );
    }
    add(
        "RAM saved",
        size(derived.saved_bytes),
        "what the pages would take, less what they take".to_owned(),
    );
    add(
        "limit used",
        percent(derived.held_bytes as f64 / numbers.limit_bytes.max(1) as f64),
        format!(
            "{} of {}",
            size(derived.held_bytes),
            size(numbers.limit_bytes)
        ),
    );
    add(
        "can be held",
        size(numbers.capacity_bytes),
        "if pages to come take as much as those so far".to_owned(),
    );
    add(
        "swapped out",
        pages(numbers.stores),
        format!("{} so far", counted(numbers.stores, "page")),
    );
    add(
        "swapped in",
        pages(numbers.loads),
        match derived.hit_ratio {
            Some(ratio) if !pool.backing.is_empty() => format!(
                "{} so far, at least {} without reading a disk",
                counted(numbers.loads, "page"),
                percent(ratio)
            ),
            _ => format!("{} so far", counted(numbers.loads, "page")),
        },
    );
    let from = [
        ("  from RAM", &pool.ram_load_nsecs),
        ("  from disk", &pool.store_load_nsecs),
    ];
    for (name, times) in from {
        if times.count() > 0 {
            add(name, pages(times.count()), how_fast(times));
        }
    }
    if let Some(second) = pool.second() {
        add(
            "made smaller",
            pages(numbers.recompressed_pages),
            format!("by {second}, so far"),
        );
    }
    if !pool.backing.is_empty() && (numbers.written_pages > 0 || derived.written_bytes > 0) {
        add(
            "written to disk",
            size(derived.written_bytes),
            format!(
                "plain swap would have written {}",
                pages(numbers.written_pages)
            ),
        );
        if numbers.returned_pages > 0 {
            add(
                "  needed soon",
                pages(numbers.returned_pages),
                "read again soon after they were written".to_owned(),
            );
        }
    }
    add("refused", refused(pool), why_refused(pool));
    if numbers.lost_pages > 0 {
        add(
            "LOST",
            pages(numbers.lost_pages),
            "were in a store that was given up".to_owned(),
        );
    }
    if numbers.failed_loads > 0 {
        add(
            "NOT LOADED",
            times(numbers.failed_loads),
            "see \"ghostswapctl check\"".to_owned(),
        );
    }
    rows
}

/// In how long loads had their page.
fn how_fast(times: &LoadTimes) -> String {
    let below = |percent| match times.of_percent(percent) {
        Some(nanos) => format!("in less than {}", short_time(nanos)),
        None => format!("in {} or more", short_time(times.last())),
    };
    format!("half {}, 99% {}", below(50), below(99))
}

fn refused(pool: &Pool) -> String {
    times(pool.numbers.failed_stores_limit + pool.numbers.failed_stores_memory)
}

fn why_refused(pool: &Pool) -> String {
    let reasons = [
        (pool.numbers.failed_stores_limit, "at the limit"),
        (pool.numbers.failed_stores_memory, "no memory was free"),
    ];
    let reasons: Vec<_> = reasons
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, why)| format!("{} {why}", count(*number)))
        .collect();
    reasons.join(", ")
}

/// What is done with a store, and how much of a day's limit is used up.
fn state(store: &Store) -> String {
    let state = store.state.replace('_', " ");
    match store.numbers.write_limit {
        Some(limit) => format!(
            "{state}, {} of {} today",
            size(store.numbers.written_lately_bytes),
            size(limit)
        ),
        None => state,
    }
}

fn stores(stores: &[Store]) -> String {
    let titles = [
        "store", "state", "size", "used", "written", "read", "errors",
    ];
    let mut rows = vec![row(&titles)];
    for store in stores {
        let numbers = &store.numbers;
        rows.push(vec![
            store.path.clone(),
            state(store),
            size(numbers.size_bytes),
            size(numbers.used_bytes),
            size(numbers.written_bytes),
            size(numbers.read_bytes),
            count(numbers.write_errors + numbers.read_errors),
        ]);
    }
    table(&rows, &[1])
}
