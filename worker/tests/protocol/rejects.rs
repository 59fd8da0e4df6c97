//! Rows that break a rule of the schema: counted, left out, and kept.

use std::sync::Arc;
use std::time::Duration;

use etl_contract::{Category, Failure, Outcome};
use etl_worker::budget::Budget;
use futures::FutureExt;
use serde_json::{Value, json};

use crate::bench::{
    HASH, category, complete, manifest, number_lines, order, run, shard, texts_of, three_inputs,
};
use crate::crashes::at_every_write_of;
use crate::fault::{Counted, Fault};
use crate::intercept::{Intercepted, Request};
use crate::memory::MemoryStore;

/// Numbers over 25 break a rule: four of `b.parquet` and the one of `c.parquet`.
fn at_most_25(policy: &str, max: u64) -> Value {
    json!({"schema": {
        "columns": [{"name": "n", "type": "Integer", "max": "25"}],
        "onInvalidRecord": policy, "maxInvalidRecords": max
    }})
}

fn quarantine(task: usize) -> String {
    format!("_etl/u/1-{HASH}/quarantine/{task}/0")
}

fn failure(outcome: Result<Outcome, etl_worker::Error>) -> Failure {
    outcome.expect_err("a failure").failure()
}

fn assert_rows_left_out(output: &MemoryStore) {
    assert_eq!(output.outputs(), ["a.json", "b.json", "c.json"]);
    assert_eq!(output.text("a.json"), number_lines(0..10));
    assert_eq!(output.text("b.json"), number_lines(10..26));
    assert_eq!(output.text("c.json"), "");
    let totals = manifest(output).totals;
    assert_eq!((totals.rows_read, totals.rows_written), (31, 26));
    assert_eq!(totals.rows_rejected, 5);
}

fn assert_quarantined(output: &MemoryStore) {
    assert_rows_left_out(output);
    assert!(output.stored(&quarantine(0)).is_none());
    let line = |row: u64, uri: &str, n: u64| {
        json!({
            "source": uri, "row": row, "column": "n",
            "reason": "the value is greater than the maximum 25", "record": {"n": n}
        })
    };
    let lines = |key: &str| -> Vec<Value> {
        let text = output.text(key);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let of_b: Vec<Value> = (26..30)
        .map(|n| line(n - 9, "memory://raw/b.parquet", n))
        .collect();
    assert_eq!(lines(&quarantine(1)), of_b);
    let of_c = line(1, "memory://raw/c.parquet", 30);
    assert_eq!(lines(&quarantine(2)), [of_c]);
    let outputs = manifest(output).outputs;
    let rejected: Vec<u64> = outputs.iter().map(|output| output.rejected).collect();
    assert_eq!(rejected, [0, 4, 1]);
    let kept: Vec<Option<(String, u64)>> = outputs
        .into_iter()
        .map(|output| output.quarantine.map(|kept| (kept.key, kept.bytes)))
        .collect();
    let of_task = |task: usize| {
        let bytes = output.text(&quarantine(task)).len() as u64;
        Some((quarantine(task), bytes))
    };
    assert_eq!(kept, [None, of_task(1), of_task(2)]);
}

#[tokio::test]
async fn rows_that_break_a_rule_are_kept_beside_the_run_and_counted() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let patch = at_most_25("Quarantine", 5);
    complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    assert_quarantined(&output);
    let attributes = output.stored(&quarantine(1)).unwrap().attributes;
    assert_eq!(attributes.content_type, Some("application/x-ndjson"));
    assert_eq!(attributes.metadata["etl-source"], "memory://raw/b.parquet");
}

#[tokio::test]
async fn what_is_kept_is_readable_whatever_form_the_outputs_have() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let mut patch = at_most_25("Quarantine", 5);
    patch["output"] = json!({
        "compression": "Gzip", "format": "JsonArray", "storageClass": "GLACIER"
    });
    complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    assert_eq!(output.text(&quarantine(1)).lines().count(), 4);
    let attributes = output.stored(&quarantine(1)).unwrap().attributes;
    assert_eq!(attributes.storage_class, None);
}

#[tokio::test]
async fn rows_may_be_left_out_without_being_kept() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let patch = at_most_25("Skip", 5);
    complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    assert_rows_left_out(&output);
    assert!(!output.keys().iter().any(|key| key.contains("quarantine")));
}

#[tokio::test]
async fn one_row_more_than_allowed_ends_the_run() {
    for policy in ["Skip", "Quarantine"] {
        // Within one object, and with the last of several.
        for (max, object, problem) in [
            (3, "b", "row 20, column \"n\": the value is greater"),
            (4, "c", "row 1, column \"n\": the value is greater"),
        ] {
            let (source, output) = (three_inputs(), MemoryStore::new("out"));
            let patch = at_most_25(policy, max);
            let outcome = run(order(&patch), &source, Arc::new(output.clone())).await;
            let failure = failure(outcome);
            assert_eq!(failure.category, Category::InvalidRecords);
            let uri = format!("memory://raw/{object}.parquet");
            let expected = format!(
                "more rows break the rules of the schema than the {max} that \
                 schema.maxInvalidRecords allows: {uri}: {problem}"
            );
            assert!(
                failure.message.starts_with(&expected),
                "{}",
                failure.message
            );
            assert_eq!(failure.object, Some(uri));
            assert!(failure.hint.unwrap().contains("maxInvalidRecords"));
            assert!(!output.keys().iter().any(|key| key.ends_with("/manifest")));
        }
    }
}

#[tokio::test]
async fn the_shards_of_a_run_have_one_limit_of_rows() {
    for max in [4, 5] {
        let (source, output) = (three_inputs(), MemoryStore::new("out"));
        let mut patch = at_most_25("Quarantine", max);
        patch["shards"] = json!(2);
        let start = |number| {
            let (source, output) = (Arc::new(source.clone()), Arc::new(output.clone()));
            shard(order(&patch), number, source, output)
        };
        let first = start(0).worker.run().await;
        assert_eq!(first.unwrap(), Outcome::TasksDone);
        let second = start(1).worker.run().await;
        if max == 5 {
            complete(second);
            assert_quarantined(&output);
            continue;
        }
        assert_eq!(category(second), Category::InvalidRecords);
        assert!(!output.keys().iter().any(|key| key.ends_with("/manifest")));
    }
}

#[tokio::test]
async fn an_object_with_an_invalid_row_can_be_left_out_as_a_whole() {
    let source = three_inputs();
    let mut patch = at_most_25("Fail", 0);
    let output = MemoryStore::new("out");
    let failure = failure(run(order(&patch), &source, Arc::new(output)).await);
    assert_eq!(failure.category, Category::InvalidRecords);
    let beginning = "memory://raw/b.parquet: row 17, column \"n\"";
    assert!(
        failure.message.starts_with(beginning),
        "{}",
        failure.message
    );

    patch["source"] = json!({"onInvalidObject": "Skip", "maxInvalidObjects": 2});
    let output = MemoryStore::new("out");
    let totals = complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    assert_eq!((totals.objects_skipped, totals.rows_rejected), (2, 0));
    assert_eq!(output.outputs(), ["a.json"]);
    let categories: Vec<Category> = manifest(&output)
        .skipped
        .iter()
        .map(|object| object.category)
        .collect();
    assert_eq!(categories, [Category::InvalidRecords; 2]);
    // A limit of rows is the run's: no object is left out for it.
    let mut patch = at_most_25("Skip", 3);
    patch["source"] = json!({"onInvalidObject": "Skip", "maxInvalidObjects": 2});
    let outcome = run(order(&patch), &source, Arc::new(MemoryStore::new("out"))).await;
    assert_eq!(category(outcome), Category::InvalidRecords);
}

#[tokio::test]
async fn an_object_without_the_expected_columns_is_refused_or_left_out() {
    let source = three_inputs();
    let mut patch = json!({"transform": {"columns": ["m"]}});
    let outcome = run(order(&patch), &source, Arc::new(MemoryStore::new("out"))).await;
    assert_eq!(category(outcome), Category::SchemaMismatch);
    patch["source"] = json!({"onInvalidObject": "Skip", "maxInvalidObjects": 3});
    let outcome = run(order(&patch), &source, Arc::new(MemoryStore::new("out"))).await;
    assert_eq!(complete(outcome).objects_skipped, 3);
}

#[tokio::test]
async fn columns_are_chosen_and_added() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let patch = json!({"transform": {
        "columns": ["n"], "ingestedAtColumn": "at", "sourceColumn": "from"
    }});
    complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    let expected = json!({
        "n": 30, "at": "2021-03-04T05:06:07.000Z", "from": "memory://raw/c.parquet"
    });
    let line: Value = serde_json::from_str(&output.text("c.json")).unwrap();
    assert_eq!(line, expected);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_quarantines_may_die_around_any_write() {
    let source = three_inputs();
    let patch = at_most_25("Quarantine", 5);
    let mut again = patch.clone();
    again["attempt"] = json!(2);
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        let writes = at_every_write_of(
            &patch,
            &source,
            fault,
            Counted::All,
            async |output, outcome| {
                outcome.unwrap_err();
                complete(run(order(&again), &source, Arc::new(output.clone())).await);
                assert_quarantined(&output);
            },
        )
        .await;
        // The plan, three outputs and records, two quarantines, the manifest.
        assert_eq!(writes, 10);
    }
}

/// Half of the rows is too long, and both halves take several parts.
fn long_and_longer() -> MemoryStore {
    let source = MemoryStore::new("raw");
    for name in ["x.parquet", "y.parquet"] {
        let widths: Vec<usize> = (0..36).map(|row| (1 << 20) + row % 2).collect();
        source.insert(name, texts_of(&widths));
    }
    source
}

fn at_most_a_mebibyte() -> Value {
    json!({"schema": {
        "columns": [{"name": "t", "type": "String", "max": (1 << 20).to_string()}],
        "onInvalidRecord": "Quarantine", "maxInvalidRecords": 36
    }})
}

fn assert_halves(output: &MemoryStore) {
    assert_eq!(output.outputs(), ["x.json", "y.json"]);
    for (index, key) in output.outputs().iter().enumerate() {
        assert_eq!(output.text(key).lines().count(), 18);
        assert_eq!(output.text(&quarantine(index)).lines().count(), 18);
    }
    assert_eq!(output.pending_uploads(), 0);
    assert_eq!(manifest(output).totals.rows_rejected, 36);
}

#[tokio::test]
async fn conversions_that_write_two_large_objects_each_do_not_wait_for_each_other() {
    let output = MemoryStore::new("out");
    let (source, store) = (Arc::new(long_and_longer()), Arc::new(output.clone()));
    let mut shard = shard(order(&at_most_a_mebibyte()), 0, source, store);
    shard.worker.budget = Budget {
        objects: 2,
        ..shard.worker.budget
    };
    let running = tokio::time::timeout(Duration::from_secs(60), shard.worker.run());
    complete(running.await.expect("no conversion waits for another"));
    assert_halves(&output);
}

#[tokio::test]
async fn a_quarantine_that_fails_is_told_and_leaves_nothing_behind() {
    let output = MemoryStore::new("out");
    let source = Arc::new(long_and_longer());
    let mut shard = shard(
        order(&at_most_a_mebibyte()),
        0,
        source,
        Arc::new(output.clone()),
    );
    let closer = shard.closer.clone();
    // The outputs have two parts, so the third is a quarantine's.
    shard.worker.output = Arc::new(Intercepted::new(Arc::new(output.clone()), move |request| {
        if request == Request::Part(3) {
            closer.close(etl_worker::gate::Stop::Signal);
        }
        std::future::ready(()).boxed()
    }));
    assert_eq!(category(shard.worker.run().await), Category::Disrupted);
    assert_eq!(output.pending_uploads(), 0);
    // The first output may be whole by then; it counts for nothing.
    assert!(output.stored("y.json").is_none());
    let of_tasks = |key: &String| key.contains("/tasks/") || key.contains("/quarantine/");
    assert!(!output.keys().iter().any(of_tasks));
}

#[tokio::test]
async fn a_quarantine_that_is_gone_at_the_commit_is_no_result() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let mut patch = at_most_25("Quarantine", 5);
    patch["shards"] = json!(2);
    let start = |number| {
        let (source, output) = (Arc::new(source.clone()), Arc::new(output.clone()));
        shard(order(&patch), number, source, output)
    };
    let first = start(0).worker.run().await;
    assert_eq!(first.unwrap(), Outcome::TasksDone);
    output.remove(&quarantine(2));
    let second = start(1).worker.run().await;
    assert_eq!(category(second), Category::OutputConflict);
    assert!(!output.keys().iter().any(|key| key.ends_with("/manifest")));
}
