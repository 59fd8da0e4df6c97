use serde_json::json;

use super::super::Metrics;
use super::*;

fn status(value: &serde_json::Value) -> EtlJobStatus {
    serde_json::from_value(value.clone()).unwrap()
}

fn run(extra: &serde_json::Value) -> serde_json::Value {
    let mut run = json!({
        "number": 1,
        "workHash": "v1-0",
        "startTime": "2026-11-24T00:00:00Z",
        "workerImage": "worker:1",
        "shards": 1,
    });
    run.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    run
}

fn ended(result: &str, reason: &str) -> serde_json::Value {
    run(&json!({
        "completionTime": "2026-11-24T00:01:00Z",
        "outcome": { "result": result, "reason": reason, "message": "" },
    }))
}

fn attempt(number: u32, result: &str) -> serde_json::Value {
    json!({
        "number": number,
        "run": 1,
        "startTime": "2026-11-24T00:00:00Z",
        "runningTime": "2026-11-24T00:00:05Z",
        "endTime": "2026-11-24T00:01:00Z",
        "result": result,
        "charged": true,
        "message": "",
    })
}

/// The end of a run that completed.
pub fn complete() -> EtlJobStatus {
    status(&json!({
        "run": ended("Complete", "Completed"),
        "attempts": [attempt(1, "Complete")],
        "statistics": {
            "sourceObjects": 1, "sourceBytes": 100, "rowsRead": 10, "rowsWritten": 9,
            "rowsRejected": 1, "objectsSkipped": 0, "outputObjects": 1, "outputBytes": 300,
        },
    }))
}

/// Lines of a scrape that begin so and are not at zero.
fn lines(metrics: &Metrics, start: &str) -> Vec<String> {
    let text = metrics.text().unwrap();
    let lines = text.lines().filter(|line| line.starts_with(start));
    lines
        .filter(|line| !line.ends_with(" 0"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn an_end_is_counted_once() {
    let metrics = Metrics::new();
    let running = status(&json!({ "run": run(&json!({})) }));
    metrics.work.changed(None, &running);
    assert!(lines(&metrics, "etl_runs_ended_total").is_empty());
    metrics.work.changed(Some(&running), &complete());
    // A status that is written again, as when a Job is tidied away.
    metrics.work.changed(Some(&complete()), &complete());
    let counted = [
        (
            "etl_runs_ended_total",
            r#"etl_runs_ended_total{result="Complete",reason="Completed"} 1"#,
        ),
        (
            "etl_attempts_ended_total",
            r#"etl_attempts_ended_total{result="Complete"} 1"#,
        ),
        ("etl_rows_read_total", "etl_rows_read_total 10"),
        ("etl_rows_written_total", "etl_rows_written_total 9"),
        ("etl_rows_rejected_total", "etl_rows_rejected_total 1"),
        ("etl_source_bytes_total", "etl_source_bytes_total 100"),
        ("etl_output_bytes_total", "etl_output_bytes_total 300"),
        (
            "etl_run_duration_seconds_sum",
            "etl_run_duration_seconds_sum 60.0",
        ),
        (
            "etl_attempt_start_wait_seconds_sum",
            "etl_attempt_start_wait_seconds_sum 5.0",
        ),
    ];
    for (start, line) in counted {
        assert_eq!(lines(&metrics, start), [line]);
    }
}

#[test]
fn a_failure_is_counted_by_its_category_and_one_that_is_not_known_as_other() {
    let metrics = Metrics::new();
    let failed = |result: &str| {
        status(&json!({
            "run": ended(result, "RetriesExhausted"),
            "attempts": [attempt(1, result)],
        }))
    };
    metrics.work.changed(None, &failed("BadInput"));
    metrics.work.changed(None, &failed("MadeUpByANewerOne"));
    let mut runs = lines(&metrics, "etl_runs_ended_total");
    runs.sort();
    assert_eq!(
        runs,
        [
            r#"etl_runs_ended_total{result="Failed",reason="BadInput"} 1"#,
            r#"etl_runs_ended_total{result="Failed",reason="Other"} 1"#,
        ]
    );
    assert!(lines(&metrics, "etl_rows_read_total").is_empty());
}

#[test]
fn the_wait_of_an_attempt_that_was_seen_running_is_counted_then() {
    let metrics = Metrics::new();
    let open = |running: Option<&str>| {
        status(&json!({
            "run": run(&json!({})),
            "attempt": {
                "number": 1, "jobName": "a", "settle": false,
                "startTime": "2026-11-24T00:00:00Z", "runningTime": running,
            },
        }))
    };
    let (intended, running) = (open(None), open(Some("2026-11-24T00:00:05Z")));
    metrics.work.changed(Some(&intended), &running);
    metrics.work.changed(Some(&running), &running);
    metrics.work.changed(Some(&running), &complete());
    assert_eq!(
        lines(&metrics, "etl_attempt_start_wait_seconds_count"),
        ["etl_attempt_start_wait_seconds_count 1"]
    );
}

#[test]
fn every_result_that_the_core_writes_has_a_word() {
    for word_of_core in [
        "Complete",
        "Completed",
        "Superseded",
        "ReportLost",
        "NotTried",
    ] {
        assert_eq!(word(word_of_core), word_of_core);
    }
    for category in Category::ALL {
        assert_eq!(word(category.as_str()), category.as_str());
    }
}
