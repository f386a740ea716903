// SPDX-License-Identifier: GPL-2.0

//! The dashboard for Grafana asks for metrics that there are, by labels that they have.

use crate::{
    metrics::{
        is_name,
        parse,
        Metrics, //
    },
    tree::store,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::Path, //
};

/// How many columns Grafana has.
const COLUMNS: u64 = 24;

/// What each query is narrowed down by: Prometheus gives the first two to all that it reads.
const NARROWED: [&str; 3] = ["job", "instance", "pool"];

fn dashboard() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    let text = value[name].as_str();
    text.unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// What the metrics of a pool with a store are.
fn metrics() -> Metrics {
    parse(&store().says("metrics"))
}

/// The labels that the metric `name` has, with those that Prometheus gives.
fn labels(metrics: &Metrics, name: &str) -> BTreeSet<String> {
    let samples = metrics.get(name);
    let samples = samples.unwrap_or_else(|| panic!("there is no metric {name}"));
    let own = samples.keys().flat_map(|labels| labels.keys().cloned());
    own.chain(NARROWED[..2].iter().map(|label| (*label).to_owned()))
        .collect()
}

/// The metrics that a query names, each with what comes before it, and what is in braces after it.
fn selectors(query: &str) -> Vec<(&str, &str, &str)> {
    let starts = query.match_indices("ghostswap_").map(|(at, _)| at);
    let selector = |at: usize| {
        let rest = &query[at..];
        let end = rest.find(|c: char| !is_name(&c.to_string()) && !c.is_ascii_digit());
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        (&query[..at], name, inside.map_or("", |(inside, _)| inside))
    };
    starts.map(selector).collect()
}

#[test]
fn each_panel_says_what_it_shows() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in list(&dashboard, "panels") {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        assert!(text(panel, "description").ends_with('.'), "{title}");
        assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty());
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        let (x, y, width, height) = (place("x"), place("y"), place("w"), place("h"));
        assert!(x + width <= COLUMNS, "{title} is too wide");
        for at in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(at), "{title} covers another one");
        }
        let mut names = BTreeSet::new();
        for target in list(panel, "targets") {
            assert!(names.insert(text(target, "refId")), "{title}");
            assert_eq!(target["datasource"], panel["datasource"], "{title}");
        }
        assert!(!names.is_empty(), "{title} asks for nothing");
        assert_eq!(
            text(&panel["datasource"], "uid"),
            "${datasource}",
            "{title}"
        );
    }
    assert!(ids.len() > 10);
}

#[test]
fn each_query_names_metrics_and_labels_that_there_are() {
    let metrics = metrics();
    for panel in list(&dashboard(), "panels") {
        for target in list(panel, "targets") {
            let query = text(target, "expr");
            let selectors = selectors(query);
            assert!(!selectors.is_empty(), "{query}");
            let mut shown = BTreeSet::new();
            for (before, name, inside) in selectors {
                let known = labels(&metrics, name);
                for label in NARROWED {
                    let matcher = format!("{label}=~\"${label}\"");
                    assert!(inside.contains(&matcher), "{query}: no {matcher}");
                }
                for matcher in inside.split(", ") {
                    let (label, _) = matcher.split_once('=').expect(matcher);
                    assert!(known.contains(label), "{name} has no label {label}");
                }
                // What only grows is shown as how fast it does, and nothing else is.
                let grows = name.ends_with("_total") || name.ends_with("_bucket");
                let is_rate = before.ends_with("rate(") || before.ends_with("increase(");
                assert_eq!(grows, is_rate, "{query}");
                shown.extend(known);
            }
            let rates = query.matches("rate(").count() + query.matches("increase(").count();
            assert_eq!(
                query.matches("[$__rate_interval]").count(),
                rates,
                "{query}"
            );
            let legend = text(target, "legendFormat");
            assert!(legend.contains("{{instance}}"), "{legend}");
            for (at, _) in legend.match_indices("{{") {
                let (label, _) = legend[at + 2..].split_once("}}").expect(legend);
                assert!(shown.contains(label), "{query}: no label {label}");
            }
        }
    }
}

#[test]
fn each_variable_is_there_before_it_is_used() {
    let dashboard = dashboard();
    let mut known = vec!["__rate_interval"];
    let use_in = |text: &str, known: &[&str]| {
        for (at, _) in text.match_indices('$') {
            let rest = text[at + 1..].trim_start_matches('{');
            let is_known = known.iter().any(|name| {
                let after = rest.strip_prefix(name);
                after.is_some_and(|after| !after.starts_with(|c: char| is_name(&c.to_string())))
            });
            assert!(is_known, "{text}");
        }
    };
    for variable in list(&dashboard["templating"], "list") {
        let query = text(variable, "query");
        use_in(query, &known);
        for (_, name, _) in selectors(query) {
            let known = labels(&metrics(), name);
            assert!(known.contains(text(variable, "name")), "{query}");
        }
        if text(variable, "type") != "datasource" {
            assert_eq!(text(&variable["datasource"], "uid"), "${datasource}");
            // It is asked for anew when the time changes.
            assert_eq!(variable["refresh"], 2, "{query}");
        }
        known.push(text(variable, "name"));
    }
    for label in NARROWED {
        assert!(known.contains(&label), "no variable {label}");
    }
    for panel in list(&dashboard, "panels") {
        use_in(&panel.to_string().replace("$__rate_interval", ""), &known);
    }
}
