// SPDX-License-Identifier: GPL-2.0

//! `ghostswapctl metrics`: what pools hold and did, in Prometheus' text format, version 0.0.4.

use crate::{
    failure::{
        plain,
        Failure,
        Result, //
    },
    mounts::Swap,
    pools::{
        Derived,
        LoadTimes,
        Metric,
        Pool,
        PoolNumbers,
        StoreNumbers,
        PAGE, //
    },
    replacement::Replacement,
};
use std::{
    collections::BTreeMap,
    fs::Permissions,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path, //
};

/// How many pools there are, so that there is something if there is none.
const POOLS: &[Metric<[Pool]>] = &[Metric {
    name: "ghostswap_pools",
    help: "The pools that there are.",
    of: |pools| i128::try_from(pools.len()).ok(),
}];

/// What is text, in labels.
const INFO: &[Metric<Pool>] = &[Metric {
    name: "ghostswap_pool_info",
    help: "1, with the name of the pool in sysfs and its compressors.",
    of: |_| Some(1),
}];

/// What follows from the numbers, as in `status --json`.
const DERIVED: &[Metric<Derived>] = &[
    Metric {
        name: "ghostswap_ram_bytes",
        help: "The pages that are in RAM.",
        of: |derived| Some(i128::from(derived.ram_pages) * i128::from(PAGE)),
    },
    Metric {
        name: "ghostswap_held_bytes",
        help: "The memory of the pool that counts against its limit.",
        of: |derived| Some(derived.held_bytes.into()),
    },
    Metric {
        name: "ghostswap_saved_bytes",
        help: "What all stored pages would take in RAM, less what they take.",
        of: |derived| Some(derived.saved_bytes.into()),
    },
];

const AREA: &[Metric<Swap>] = &[
    Metric {
        name: "ghostswap_area_size_bytes",
        help: "What the swap area has slots for.",
        of: |swap| Some(swap.size_bytes.into()),
    },
    Metric {
        name: "ghostswap_area_used_bytes",
        help: "The slots of the swap area that are in use.",
        of: |swap| Some(swap.used_bytes.into()),
    },
    Metric {
        name: "ghostswap_area_priority",
        help: "The kernel fills the swap area of the highest priority first.",
        of: |swap| Some(swap.priority.into()),
    },
];

const STATE: &[Metric<bool>] = &[Metric {
    name: "ghostswap_store_state",
    help: "1 for the state that the store is in, and 0 for the others.",
    of: |is_in_it| Some((*is_in_it).into()),
}];

/// The times of loads, as a histogram: how many took no longer than `le`. Their sum is not known.
const LOAD_SECONDS: &str = "ghostswap_load_seconds";
const LOAD_SECONDS_HELP: &str = "How long loads took whose pages were in RAM or in a store.";

/// The states of a store, as sysfs names them.
const STATES: [&str; 5] = ["open", "closed", "removing", "given_up", "removed"];

/// The pools as metrics.
pub fn text(pools: &[Pool]) -> String {
    let (mut info, mut counted, mut derived) = (Vec::new(), Vec::new(), Vec::new());
    let (mut areas, mut stores, mut states) = (Vec::new(), Vec::new(), Vec::new());
    let mut times = Vec::new();
    for (name, pool) in &named(pools, Pool::name) {
        let of_pool = ("pool", &name[..]);
        info.push((
            labels(&[
                of_pool,
                ("id", &pool.id),
                ("comp", &pool.comp),
                ("recomp", &pool.recomp),
            ]),
            *pool,
        ));
        counted.push((labels(&[of_pool]), &pool.numbers));
        derived.push((labels(&[of_pool]), &pool.derived));
        times.push((of_pool.1.to_owned(), "ram", &pool.ram_load_nsecs));
        times.push((of_pool.1.to_owned(), "store", &pool.store_load_nsecs));
        let on = pool.mounts.iter().filter_map(|mount| mount.swap.as_ref());
        for (path, swap) in named(on, |swap| &swap.path) {
            areas.push((labels(&[of_pool, ("area", &path)]), swap));
        }
        for (path, store) in named(&pool.backing, |store| &store.path) {
            let of_store = ("store", &path[..]);
            stores.push((labels(&[of_pool, of_store]), &store.numbers));
            for state in STATES {
                let is_in_it = if store.state == state { &true } else { &false };
                states.push((labels(&[of_pool, of_store, ("state", state)]), is_in_it));
            }
        }
    }
    let mut text = String::new();
    add(&mut text, POOLS, &[(String::new(), pools)]);
    add(&mut text, INFO, &info);
    add(&mut text, PoolNumbers::METRICS, &counted);
    add(&mut text, DERIVED, &derived);
    add_times(&mut text, &times);
    add(&mut text, AREA, &areas);
    add(&mut text, StoreNumbers::METRICS, &stores);
    add(&mut text, STATE, &states);
    text
}

/// Writes them to a file as a whole, for instance for the textfile collector of node_exporter, which is
/// another user.
pub fn write(pools: &[Pool], path: &Path) -> Result {
    let write = || {
        let replacement = Replacement::of(path)?;
        let mut file = replacement.file();
        file.write_all(text(pools).as_bytes())?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        replacement.take_place()
    };
    write().map_err(|error| {
        Failure::new(
            format!("{}: {}", path.display(), plain(&error)),
            "Name a file in a directory that is there and can be written.",
        )
    })
}

/// Adds `metrics`, each of all `things`, which are there with their labels.
fn add<T: ?Sized>(text: &mut String, metrics: &[Metric<T>], things: &[(String, &T)]) {
    for Metric { name, help, of } in metrics {
        let samples: String = (things.iter())
            .filter_map(|(labels, thing)| Some(format!("{name}{labels} {}\n", of(thing)?)))
            .collect();
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        add_samples(text, name, help, kind, &samples);
    }
}

/// Adds the `samples` of a metric, if there are any, below the lines that say what it is.
fn add_samples(text: &mut String, name: &str, help: &str, kind: &str, samples: &str) {
    if !samples.is_empty() {
        text.push_str(&format!(
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}"
        ));
    }
}

/// Adds the histogram of `times`, which are there with a pool's name and where the pages were.
fn add_times(text: &mut String, times: &[(String, &str, &LoadTimes)]) {
    let mut samples = String::new();
    for (pool, from, times) in times {
        let of_these = [("pool", &pool[..]), ("from", from)];
        for (end, below) in times.below() {
            let end = end.map_or("+Inf".to_owned(), decimal_seconds);
            let labels = labels(&[of_these[0], of_these[1], ("le", &end)]);
            samples.push_str(&format!("{LOAD_SECONDS}_bucket{labels} {below}\n"));
        }
        let count = times.count();
        samples.push_str(&format!(
            "{LOAD_SECONDS}_count{} {count}\n",
            labels(&of_these)
        ));
    }
    add_samples(text, LOAD_SECONDS, LOAD_SECONDS_HELP, "histogram", &samples);
}

/// Nanoseconds in seconds.
fn decimal_seconds(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let text = format!("{}.{:09}", nanos / SECOND, nanos % SECOND);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Each of `things` with a name that no other one has: a sample that is there twice makes all invalid.
fn named<'a, T>(
    things: impl IntoIterator<Item = &'a T>,
    name: impl Fn(&T) -> &str,
) -> Vec<(String, &'a T)> {
    let mut seen = BTreeMap::new();
    let named = things.into_iter().map(|thing| {
        let name = name(thing).to_owned();
        let times = seen.entry(name.clone()).or_insert(0);
        *times += 1;
        match times {
            1 => (name, thing),
            times => (format!("{name} ({times})"), thing),
        }
    });
    named.collect()
}

/// Names and values of labels.
fn labels(pairs: &[(&str, &str)]) -> String {
    let escape =
        |value: &str| (value.replace('\\', "\\\\").replace('"', "\\\"")).replace('\n', "\\n");
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(
            labels(&[("a", "/b \\\"\n,}"), ("c", "")]),
            "{a=\"/b \\\\\\\"\\n,}\",c=\"\"}"
        );
    }

    #[test]
    fn seconds_are_exact() {
        assert_eq!(decimal_seconds(128), "0.000000128");
        assert_eq!(decimal_seconds(8_589_934_592), "8.589934592");
        assert_eq!(decimal_seconds(2_000_000_000), "2");
        assert_eq!(decimal_seconds(0), "0");
    }

    #[test]
    fn two_of_one_name_are_told_apart() {
        let things = ["/a".to_owned(), "/b".to_owned(), "/a".to_owned()];
        let named = named(&things, |thing| thing);
        let names: Vec<_> = named.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names, ["/a", "/b", "/a (2)"]);
    }
}
