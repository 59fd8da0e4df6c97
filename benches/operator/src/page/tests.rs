use super::*;
use serde_json::json;

fn run(arm: &str, load: serde_json::Value, seconds: f64) -> serde_json::Value {
    json!({
        "arm": arm, "variant": "defaults", "load": load, "jobs": 100, "seconds": seconds,
        "latency": {"p50_seconds": seconds / 2.0, "p99_seconds": seconds},
        "own": {"create jobs": 100, "update etljobs/status": 300, "create events": 200,
                "update leases": 3},
        "refused": {"409 update etljobs/status": 1},
        "writes": 1400, "ledger_rows": 200,
        "cpu_seconds": {"etl-operator": 0.5, "etcd": 1.0, "this bench": 9.0},
        "peak_rss_bytes": 30_000_000,
    })
}

fn results() -> Results {
    let half = json!({"half": {"per_second": 20.0}});
    serde_json::from_value(json!({
        "machine": {
            "date": "2026-01-01", "processor": "a processor", "vectors": [], "processors": 2,
            "memory_bytes": 0, "kernel": "6.1", "rustc": "rustc 1.95", "java": null,
            "build": "release",
        },
        "versions": {"Kubernetes": "v1.35.4", "kwok": "v0.8.0"},
        "quick": false, "rounds": 1, "pod_seconds": 1.0,
        "runs": [
            run("jobs", json!("saturation"), 2.0), run("etljobs", json!("saturation"), 3.0),
            run("jobs", half.clone(), 5.0), run("etljobs", half, 5.5),
        ],
        "rests": [{
            "objects": 10_100, "ready_seconds": 1.25, "first_pass_seconds": 1.5,
            "at_rest_seconds": 3.0, "cpu_seconds": 2.0, "rss_bytes": 60_000_000,
            "peak_rss_bytes": 80_000_000, "own": {"get jobs": 7}, "ledger_rows": 10_100,
            "idle_seconds": 20.0, "idle_cpu_seconds": 0.1, "idle_own": {},
        }],
        "growths": [],
    }))
    .unwrap()
}

fn row<'t>(text: &'t str, head: &str) -> &'t str {
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(&format!("| {head}")));
    line.unwrap_or_else(|| panic!("no row {head} in {text}"))
}

#[test]
fn targets_stand_beside_what_was_reached() {
    let targets = targets(&results());
    let reached = |head: &str| row(&targets, head).to_owned();
    assert!(reached("writes of objects").ends_with("| <= 4 | 4.00 |"));
    assert!(reached("events").ends_with("| <= 2 | 2.00 |"));
    assert!(reached("rate against plain Jobs at saturation").ends_with("| >= 0.6 | 0.67 |"));
    assert!(reached("rate against plain Jobs at half").ends_with("| >= 0.9 | 0.91 |"));
    assert!(reached("ready after a restart").ends_with("| <= 5 s | 1.2 s |"));
    assert!(reached("requests about 10,100").contains("7 at a start, 0 in 20 s"));
}

#[test]
fn what_is_worse_with_the_operator_is_said() {
    let page = page(&results());
    assert!(page.contains("0.0 ms more of processor time"), "{page}");
    assert!(page.contains("ends 0.25 s later at the median, and 0.50 s later at p99"));
    assert!(row(&page, "`409 update etljobs/status`").contains("0.010"));
    assert!(!page.contains("update leases"));
    assert!(!page.contains("mean nothing"));
}
