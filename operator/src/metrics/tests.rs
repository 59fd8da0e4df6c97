use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::budget::Priority;
use crate::cluster::Kind;
use crate::cluster::request::{Resource, Verb};
use crate::ledger::Cause;
use crate::ledger::figures::Figures;

/// Names and kinds of what a scrape sees.
fn scraped(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect()
}

/// Every metric with a value.
fn filled() -> Metrics {
    let metrics = Metrics::new();
    let second = Duration::from_secs(1);
    metrics.passes.ended(Outcome::Written, second);
    metrics.passes.failed(Kind::Throttled);
    metrics
        .api
        .requested(Verb::Create, Resource::Jobs, Some(201), second);
    metrics.api.waited(Priority::Create, second);
    metrics.watches.age("Job", second);
    metrics.watches.listed("Job");
    metrics.watches.interrupted("Job");
    metrics.lease.began();
    metrics.ledger.show(&Figures::default());
    metrics.work.etljobs(&Counts::default());
    metrics.work.changed(None, &work::tests::complete());
    metrics
}

#[test]
fn the_document_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let expected = Metrics::new().reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let document = std::fs::read_to_string(&path).unwrap();
    assert_eq!(document, expected, "run cargo xtask gen");
}

#[test]
fn the_document_has_every_metric_that_a_scrape_sees() {
    let metrics = filled();
    let (text, reference) = (metrics.text().unwrap(), metrics.reference());
    let mut seen = HashSet::new();
    for (name, kind) in scraped(&text) {
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let row = format!("| `{name}{suffix}` | {kind} |");
        assert!(reference.contains(&row), "{row} is missing");
        assert!(seen.insert(name), "{name} is there twice");
    }
    // And no other.
    let rows = reference.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(rows.count(), seen.len());
}

#[test]
fn names_have_a_prefix_and_a_unit_where_there_is_one() {
    let metrics = filled();
    for (name, kind) in scraped(&metrics.text().unwrap()) {
        assert!(
            name.starts_with("etl_") || name.starts_with("process_"),
            "{name}"
        );
        assert!(
            !name.ends_with("_total"),
            "{name}: the suffix comes by itself"
        );
        if kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
    }
}

#[test]
fn what_is_known_elsewhere_is_measured_at_each_scrape() {
    let metrics = Metrics::new();
    let ledger = metrics.ledger.clone();
    let figures = Mutex::new(Figures::default());
    metrics.sample(move || {
        let mut figures = figures.lock().unwrap();
        figures.backlog += 1;
        figures.lag += Duration::from_secs(30);
        figures.counts.stored += 5;
        figures.counts.fail(Cause::Throttled);
        figures.outage = Some(Cause::NoTable);
        ledger.show(&figures);
    });
    metrics.text().unwrap();
    let text = metrics.text().unwrap();
    for line in [
        "etl_ledger_backlog_rows 2\n",
        "etl_ledger_lag_seconds 60.0\n",
        "etl_ledger_rows_total{result=\"stored\"} 10\n",
        "etl_ledger_failures_total{cause=\"Throttled\"} 2\n",
        "etl_ledger_away{cause=\"NoTable\"} 1\n",
        "etl_ledger_away{cause=\"Unreachable\"} 0\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn the_process_is_measured() {
    let text = Metrics::new().text().unwrap();
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} is missing"))
            .trim()
            .parse()
            .unwrap()
    };
    assert!(value("process_cpu_seconds_total ") > 0.0);
    assert!(value("process_resident_memory_bytes ") > 1e6);
    assert!(value("process_open_fds ") >= 3.0);
    assert!(value("process_start_time_seconds ") > 1.7e9);
    let build = format!(
        "etl_build_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    );
    assert!(text.contains(&build), "{text}");
}

/// The rules of the chart and the document know the same metrics.
#[test]
fn every_metric_in_an_alert_exists() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../charts/etl-operator/templates/prometheusrule.yaml");
    let rules = std::fs::read_to_string(path).unwrap();
    let reference = Metrics::new().reference();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names: HashSet<&str> = rules
        .split(|c: char| !is_part(c))
        .filter(|word| word.starts_with("etl_"))
        .collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let of_family = name.trim_end_matches("_bucket");
        assert!(
            reference.contains(&format!("| `{of_family}` |")),
            "{name} is in an alert but not in docs/metrics.md"
        );
    }
}
