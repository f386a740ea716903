// SPDX-License-Identifier: GPL-2.0

//! What metrics prints has the form that Prometheus reads.

use crate::tree::{
    plain,
    store,
    Tree,
    POOL, //
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path, //
};

/// The labels of a sample.
pub type Labels = BTreeMap<String, String>;

/// All samples, by the name of their metric.
pub type Metrics = BTreeMap<String, BTreeMap<Labels, i128>>;

/// Returns whether it may be the name of a metric or a label; colons are for rules of the reader.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Reads the text format, and is strict: each metric has a line HELP, a line TYPE and samples, in this
/// order and once, and no two samples have the same labels. The samples of a histogram have names of their
/// own.
pub fn parse(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut lines = text
        .strip_suffix('\n')
        .expect("a last newline")
        .split('\n')
        .peekable();
    while let Some(line) = lines.next() {
        let help = line
            .strip_prefix("# HELP ")
            .unwrap_or_else(|| panic!("no HELP: {line}"));
        let (name, help) = help.split_once(' ').unwrap();
        assert!(
            is_name(name) && help.ends_with('.') && !help.contains('\\'),
            "{line}"
        );
        let (kind, endings) = if name.ends_with("_total") {
            ("counter", &[""][..])
        } else if name.ends_with("_seconds") {
            ("histogram", &["_bucket", "_count"][..])
        } else {
            ("gauge", &[""][..])
        };
        assert_eq!(lines.next(), Some(&format!("# TYPE {name} {kind}")[..]));
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let is_of = |ending: &&&str| line.starts_with(&format!("{name}{ending}{{"));
            let ending = endings.iter().find(is_of).copied().unwrap_or_default();
            let name = format!("{name}{ending}");
            let (labels, value) = sample(line, &name);
            let samples = metrics.entry(name).or_default();
            let before = samples.insert(labels, value.parse().expect(line));
            assert_eq!(before, None, "{line}: twice");
        }
        for ending in endings {
            assert!(
                metrics.contains_key(&format!("{name}{ending}")),
                "{name}: no samples"
            );
        }
    }
    // As OpenMetrics has it: the ending is no part of a counter's name.
    for name in metrics.keys() {
        assert!(
            !metrics.contains_key(&format!("{name}_total")),
            "{name}: of two kinds"
        );
    }
    metrics
}

/// The labels and the value of a sample of the metric `name`.
fn sample<'a>(line: &'a str, name: &str) -> (Labels, &'a str) {
    let mut labels = Labels::new();
    let rest = line
        .strip_prefix(name)
        .unwrap_or_else(|| panic!("not of {name}: {line}"));
    let Some(mut rest) = rest.strip_prefix('{') else {
        return (labels, rest.strip_prefix(' ').expect(line));
    };
    loop {
        let (label, after) = rest.split_once("=\"").expect(line);
        let mut value = String::new();
        let mut chars = after.chars();
        loop {
            match chars.next().expect(line) {
                '"' => break,
                '\\' => value.push(match chars.next() {
                    Some('\\') => '\\',
                    Some('"') => '"',
                    Some('n') => '\n',
                    other => panic!("{other:?} is escaped: {line}"),
                }),
                c => value.push(c),
            }
        }
        assert!(is_name(label), "{line}");
        assert!(
            labels.insert(label.to_owned(), value).is_none(),
            "{line}: a label twice"
        );
        rest = chars.as_str();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return (labels, rest.strip_prefix("} ").expect(line)),
        }
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The metrics that do not have the name of their file in sysfs.
const RENAMED: [(&str, &str); 8] = [
    ("stores", "swapped_out_bytes_total"),
    ("loads", "swapped_in_bytes_total"),
    ("recompressed_loads", "recompressed_swapped_in_bytes_total"),
    ("invalidates", "freed_bytes_total"),
    ("redirected_pages", "redirected_bytes"),
    ("redirected_bytes", "redirected_compressed_bytes"),
    ("written_ios", "writes_total"),
    ("read_ios", "reads_total"),
];

#[test]
fn each_number_of_sysfs_is_a_metric() {
    let tree = store();
    let mut metrics = parse(&tree.says("metrics"));
    let mut is_metric = |directory: &str, prefix: &str, labels: &Labels| {
        for entry in fs::read_dir(tree.path(directory)).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            if file.starts_with("backing")
                || file.ends_with("_load_nsecs")
                || ["comp", "recomp", "path", "state", "cipher", "write_limit"].contains(&&file[..])
            {
                continue;
            }
            let number: i128 = tree
                .read(&format!("{directory}/{file}"))
                .trim()
                .parse()
                .unwrap();
            let renamed = RENAMED.iter().find(|(name, _)| *name == file);
            let name = renamed.map_or(file.replace("_pages", "_bytes"), |(_, name)| {
                (*name).to_owned()
            });
            let is_pages = ["stores", "loads", "recompressed_loads", "invalidates"]
                .contains(&&file[..])
                || file.ends_with("_pages");
            let samples = [format!("{prefix}{name}"), format!("{prefix}{name}_total")]
                .iter()
                .find_map(|name| metrics.remove(name))
                .unwrap_or_else(|| panic!("no metric of {file}"));
            let value = number * if is_pages { 4096 } else { 1 };
            assert_eq!(samples, BTreeMap::from([(labels.clone(), value)]), "{file}");
        }
    };
    let pool = labels(&[("pool", "/swap.ghost")]);
    let disk = labels(&[("pool", "/swap.ghost"), ("store", "/dev/loop0")]);
    is_metric(POOL, "ghostswap_", &pool);
    is_metric(&format!("{POOL}/backing0"), "ghostswap_store_", &disk);
    // What is not in a file of its own.
    let area = labels(&[("pool", "/swap.ghost"), ("area", "/swap.ghost")]);
    let info = labels(&[
        ("pool", "/swap.ghost"),
        ("id", "0:53"),
        ("comp", "wlz"),
        ("recomp", "off"),
    ]);
    for (name, labels, value) in [
        ("ghostswap_pools", &Labels::new(), 1),
        ("ghostswap_pool_info", &info, 1),
        ("ghostswap_ram_bytes", &pool, 1458 * 4096),
        ("ghostswap_held_bytes", &pool, 2_019_328 + 28_672),
        (
            "ghostswap_saved_bytes",
            &pool,
            2458 * 4096 - 2_019_328 - 28_672,
        ),
        ("ghostswap_area_size_bytes", &area, (1 << 30) - 4096),
        ("ghostswap_area_used_bytes", &area, 12_288 << 10),
        ("ghostswap_area_priority", &area, -1),
    ] {
        let samples = metrics.remove(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(samples, BTreeMap::from([(labels.clone(), value)]), "{name}");
    }
    let states = metrics.remove("ghostswap_store_state").unwrap();
    assert_eq!(states.len(), 5);
    for name in ["bucket", "count"] {
        metrics
            .remove(&format!("ghostswap_load_seconds_{name}"))
            .unwrap();
    }
    let is_in: Vec<_> = states.iter().filter(|(_, value)| **value == 1).collect();
    assert_eq!(is_in.len(), 1);
    assert_eq!(is_in[0].0["state"], "open");
    assert_eq!(metrics.keys().collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn times_of_loads_are_a_histogram() {
    let metrics = parse(&store().says("metrics"));
    let buckets = &metrics["ghostswap_load_seconds_bucket"];
    assert_eq!(buckets.len(), 2 * 28);
    for (from, end, below) in [
        ("ram", "0.000000128", 0),
        ("ram", "0.000001024", 0),
        ("ram", "0.000002048", 300),
        ("ram", "0.000004096", 2400),
        ("ram", "0.000008192", 2413),
        ("ram", "+Inf", 2413),
        ("store", "8.589934592", 45),
        ("store", "+Inf", 45),
    ] {
        let labels = labels(&[("pool", "/swap.ghost"), ("from", from), ("le", end)]);
        assert_eq!(buckets.get(&labels), Some(&below), "{from} {end}");
    }
    for (from, count) in [("ram", 2413), ("store", 45)] {
        let labels = labels(&[("pool", "/swap.ghost"), ("from", from)]);
        assert_eq!(metrics["ghostswap_load_seconds_count"][&labels], count);
    }
}

#[test]
fn states_of_stores_are_those_of_the_module() {
    for state in ["open", "closed", "removing", "given_up", "removed"] {
        let tree = store().with(&format!("{POOL}/backing0/state"), &format!("{state}\n"));
        let states = &parse(&tree.says("metrics"))["ghostswap_store_state"];
        let in_it: Vec<_> = states.iter().filter(|(_, value)| **value == 1).collect();
        assert_eq!(in_it.len(), 1, "{state}");
        assert_eq!(in_it[0].0["state"], state);
    }
}

/// A second pool: a copy of the first.
fn with_another(tree: Tree, id: &str, mounted: &str) -> Tree {
    let line = format!("65 63 {id} / {mounted} rw - ghostswap file rw,limit=67108864\n");
    let mountinfo = tree.read("/proc/self/mountinfo") + &line;
    let files = fs::read_dir(tree.path(POOL))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.is_file()).collect();
    let copy = |tree: Tree, from: &std::path::PathBuf| {
        let name = from.file_name().unwrap().to_str().unwrap();
        let to = format!("/sys/fs/ghostswap/{id}/{name}");
        tree.with(&to, &fs::read_to_string(from).unwrap())
    };
    files
        .iter()
        .fold(tree.with("/proc/self/mountinfo", &mountinfo), copy)
}

#[test]
fn pools_are_told_apart() {
    let tree = with_another(plain(), "0:54", "/quote\"\\134\\012.ghost");
    let names = |tree: &Tree| -> Vec<String> {
        let metrics = parse(&tree.says("metrics"));
        assert_eq!(
            metrics["ghostswap_pools"][&Labels::new()],
            metrics["ghostswap_areas"].len() as i128
        );
        metrics["ghostswap_areas"]
            .keys()
            .map(|labels| labels["pool"].clone())
            .collect()
    };
    assert_eq!(names(&tree), ["/quote\"\\\n.ghost", "/swap.ghost"]);
    // One is mounted over the other.
    let tree = with_another(plain(), "0:54", "/swap.ghost");
    assert_eq!(names(&tree), ["/swap.ghost", "/swap.ghost (2)"]);
    // One goes while it is read: its directory is listed, and is not there.
    std::os::unix::fs::symlink("none", tree.path("/sys/fs/ghostswap/0:55")).unwrap();
    assert_eq!(names(&tree).len(), 2);
    // None is there.
    let none = Tree::empty().says("metrics");
    assert_eq!(parse(&none)["ghostswap_pools"][&Labels::new()], 0);
    assert_eq!(none.lines().count(), 3);
}

#[test]
fn metrics_are_written_to_a_file_as_a_whole() {
    let tree = store().with("/out/old.prom", "old");
    let file = tree.path("/out/old.prom");
    let write = |file: &Path| tree.says(&format!("metrics --output {}", file.display()));
    assert_eq!(write(&file), "");
    assert_eq!(tree.read("/out/old.prom"), tree.says("metrics"));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o644
    );
    assert_eq!(fs::read_dir(tree.path("/out")).unwrap().count(), 1);
    // If there is nothing to write, what was there stays.
    let broken = tree.without(&format!("{POOL}/stores"));
    let before = broken.read("/out/old.prom");
    assert_eq!(
        broken
            .run(&format!("metrics --output {}", file.display()))
            .status,
        1
    );
    assert_eq!(broken.read("/out/old.prom"), before);
    let none = store();
    let file = none.path("/none/x.prom").display().to_string();
    none.refuses(
        &format!("metrics --output {file}"),
        &format!("{file}: No such file or directory"),
        "Name a file in a directory that is there and can be written.",
    );
    // In the working directory.
    let status = none
        .command("metrics --output here.prom")
        .current_dir(&none.0)
        .status();
    assert!(status.unwrap().success());
    assert_eq!(none.read("/here.prom"), none.says("metrics"));
}
