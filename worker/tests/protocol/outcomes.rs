//! What a run leaves behind and what it says: results, provenance, refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use etl_contract::{Category, Outcome};
use etl_worker::store::{Pin, Store};
use futures::FutureExt;
use serde_json::json;

use crate::bench::{
    HASH, assert_three_outputs, category, complete, manifest, numbers, order, run, shard, texts,
    three_inputs,
};
use crate::intercept::Intercepted;
use crate::memory::MemoryStore;

#[tokio::test]
async fn a_run_leaves_outputs_records_and_one_manifest() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let outcome = run(order(&json!({})), &source, Arc::new(output.clone())).await;
    let Ok(Outcome::Complete {
        statistics,
        output: location,
        ..
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_three_outputs(&output);
    let control = format!("_etl/u/1-{HASH}");
    let expected: Vec<String> = ["manifest", "plan", "tasks/0", "tasks/1", "tasks/2"]
        .iter()
        .map(|name| format!("{control}/{name}"))
        .collect();
    let found: Vec<String> = output
        .keys()
        .into_iter()
        .filter(|key| key.starts_with("_etl/"))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(
        location.manifest_uri,
        format!("memory://out/{control}/manifest")
    );
    assert_eq!(
        location.first_object_uri.as_deref(),
        Some("memory://out/a.json")
    );
    assert_eq!((statistics.rows_read, statistics.rows_written), (31, 31));
    assert_eq!(
        (statistics.source_objects, statistics.output_objects),
        (3, 3)
    );
    let bytes: usize = output
        .outputs()
        .iter()
        .map(|key| output.text(key).len())
        .sum();
    assert_eq!(statistics.output_bytes, bytes as u64);
    let manifest = manifest(&output);
    assert_eq!(manifest.totals, statistics);
    assert_eq!(manifest.inputs[1].rows, 20);
    assert_eq!(manifest.outputs[1].rows, 20);
    assert!(manifest.stale.is_empty());
}

#[tokio::test]
async fn outputs_carry_their_provenance_and_what_the_order_asks_for() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let patch = json!({"output": {
        "storageClass": "GLACIER_IR", "tags": [{"key": "team", "value": "taxi"}]
    }});
    complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    let attributes = output.stored("a.json").unwrap().attributes;
    assert_eq!(attributes.storage_class.as_deref(), Some("GLACIER_IR"));
    assert_eq!(attributes.tags[0].value, "taxi");
    assert_eq!(attributes.content_type, Some("application/x-ndjson"));
    let keys: Vec<&str> = attributes.metadata.keys().map(String::as_str).collect();
    let expected = [
        "etl-digest",
        "etl-order",
        "etl-owner",
        "etl-run",
        "etl-source",
        "etl-source-etag",
    ];
    assert_eq!(keys, expected);
    assert_eq!(attributes.metadata["etl-owner"], "c/n/EtlJob/j");
    assert_eq!(attributes.metadata["etl-source"], "memory://raw/a.parquet");
    assert_eq!(attributes.metadata["etl-run"], format!("u/1-{HASH}"));
    // Control objects must stay readable at once.
    let plan = output.stored(&format!("_etl/u/1-{HASH}/plan")).unwrap();
    assert_eq!(plan.attributes.storage_class, None);
    assert!(plan.attributes.tags.is_empty());
}

#[tokio::test]
async fn an_output_is_compressed_and_named_for_it() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let patch = json!({"output": {"compression": "Gzip", "format": "JsonArray"}});
    complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    let stored = output.stored("c.json.gz").unwrap();
    assert_eq!(stored.body[..2], [0x1f, 0x8b]);
    assert_eq!(stored.attributes.content_type, Some("application/gzip"));
}

#[tokio::test]
async fn the_same_outputs_come_from_another_worker() {
    let source = three_inputs();
    let bodies = async || {
        let output = MemoryStore::new("out");
        complete(run(order(&json!({})), &source, Arc::new(output.clone())).await);
        output
            .outputs()
            .iter()
            .map(|key| output.text(key))
            .collect::<Vec<_>>()
    };
    assert_eq!(bodies().await, bodies().await);
}

#[tokio::test]
async fn a_settle_attempt_reads_and_writes_nothing() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let settle = || order(&json!({"mode": "Settle", "attempt": 2}));
    let outcome = run(settle(), &source, Arc::new(output.clone())).await;
    assert_eq!(outcome.unwrap(), Outcome::NoManifest);
    assert_eq!(output.writes(), 0);
    let first = complete(run(order(&json!({})), &source, Arc::new(output.clone())).await);
    let writes = output.writes();
    assert_eq!(
        complete(run(settle(), &source, Arc::new(output.clone())).await),
        first
    );
    assert_eq!(output.writes(), writes);
}

#[tokio::test]
async fn two_inputs_on_one_key_are_refused_before_anything_is_written() {
    let source = MemoryStore::new("raw");
    source.insert("x/a.parquet", numbers(0..1));
    source.insert("y/a.parquet", numbers(1..2));
    let output = MemoryStore::new("out");
    let outcome = run(order(&json!({})), &source, Arc::new(output.clone())).await;
    let failure = outcome.unwrap_err().failure();
    assert_eq!(failure.category, Category::InvalidSpec);
    for part in [
        "memory://raw/x/a.parquet",
        "memory://raw/y/a.parquet",
        "memory://out/a.json",
    ] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert!(failure.hint.unwrap().contains("{dir}"));
    assert_eq!(output.writes(), 0);
    let with_dir = order(&json!({"output": {"keyTemplate": "{dir}/{stem}.json"}}));
    complete(run(with_dir, &source, Arc::new(output.clone())).await);
    assert_eq!(output.outputs(), ["x/a.json", "y/a.json"]);
}

#[tokio::test]
async fn a_missing_source_is_named_with_what_was_looked_for() {
    let source = MemoryStore::new("raw");
    source.insert("a.csv", "x");
    let outcome = run(
        order(&json!({})),
        &source,
        Arc::new(MemoryStore::new("out")),
    )
    .await;
    let failure = outcome.unwrap_err().failure();
    assert_eq!(failure.category, Category::SourceNotFound);
    let expected = "no object below memory://raw/ is selected: 1 seen, none matches **/*.parquet";
    assert_eq!(failure.message, expected);
    let mut one = shard(
        order(&json!({})),
        0,
        Arc::new(source),
        Arc::new(MemoryStore::new("out")),
    );
    one.worker.source_name = "missing.parquet".into();
    let failure = one.worker.run().await.unwrap_err().failure();
    assert_eq!(failure.category, Category::SourceNotFound);
    assert_eq!(
        failure.object.as_deref(),
        Some("memory://raw/missing.parquet")
    );
}

#[tokio::test]
async fn a_pinned_object_must_be_the_one_that_is_there() {
    let source = three_inputs();
    let etag = source
        .head("a.parquet", &Pin::default())
        .await
        .unwrap()
        .etag;
    let pinned = |etag: &str| {
        let mut shard = shard(
            order(&json!({"source": {"etag": etag}})),
            0,
            Arc::new(source.clone()),
            Arc::new(MemoryStore::new("out")),
        );
        shard.worker.source_name = "a.parquet".into();
        shard.worker
    };
    // Events spell the etag without its quotes.
    assert_eq!(
        complete(pinned(etag.trim_matches('"')).run().await).rows_written,
        10
    );
    assert_eq!(
        category(pinned("other").run().await),
        Category::SourceChanged
    );
}

#[tokio::test]
async fn damaged_and_foreign_objects_are_bad_input_and_named() {
    let whole = numbers(0..1000);
    let cut = whole.slice(..whole.len() / 2);
    for body in [cut, Bytes::from_static(b"id,name\n"), Bytes::new()] {
        let source = three_inputs();
        source.insert("b.parquet", body);
        let output = MemoryStore::new("out");
        let outcome = run(order(&json!({})), &source, Arc::new(output.clone())).await;
        let failure = outcome.unwrap_err().failure();
        assert_eq!(failure.category, Category::BadInput, "{}", failure.message);
        assert_eq!(failure.object.as_deref(), Some("memory://raw/b.parquet"));
        assert!(
            failure.message.starts_with("memory://raw/b.parquet: "),
            "{}",
            failure.message
        );
        assert_eq!(output.outputs(), ["a.json"]);
        assert_eq!(output.pending_uploads(), 0);
    }
}

#[tokio::test]
async fn outputs_of_the_preceding_run_that_are_gone_are_stale() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    complete(run(order(&json!({})), &source, Arc::new(output.clone())).await);
    source.remove("b.parquet");
    let second = order(&json!({"run": {"number": 2, "workHash": "v1:feedfeedfeed"}}));
    complete(run(second, &source, Arc::new(output.clone())).await);
    let text = output.text("_etl/u/2-feedfeedfeed/manifest");
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["stale"], json!(["b.json"]));
    assert_eq!(manifest["outputs"].as_array().unwrap().len(), 2);
}

/// What the manifest of run `number` calls stale.
fn stale(output: &MemoryStore, number: u32) -> Vec<String> {
    let text = output.text(&format!("_etl/u/{number}-{HASH}/manifest"));
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(manifest["stale"].clone()).unwrap()
}

#[tokio::test]
async fn outputs_of_runs_that_never_committed_are_stale_if_they_are_there_and_ours() {
    let output = MemoryStore::new("out");
    let run_of = async |number: u32, whole: &[&str], torn: &str| {
        let source = MemoryStore::new("raw");
        for name in whole {
            source.insert(name, numbers(0..1));
        }
        source.insert(
            torn,
            if torn.ends_with("x.parquet") {
                Bytes::new()
            } else {
                numbers(0..1)
            },
        );
        let order = order(&json!({"run": {"number": number}}));
        run(order, &source, Arc::new(output.clone())).await
    };
    // Two runs in a row that get as far as their last object.
    run_of(1, &["a.parquet", "b.parquet", "c.parquet"], "x.parquet")
        .await
        .unwrap_err();
    run_of(2, &["a.parquet", "d.parquet", "e.parquet"], "x.parquet")
        .await
        .unwrap_err();
    assert_eq!(
        output.outputs(),
        ["a.json", "b.json", "c.json", "d.json", "e.json"]
    );
    output.remove("c.json");
    output.insert("e.json", "somebody else's");
    complete(run_of(3, &["a.parquet"], "f.parquet").await);
    assert_eq!(stale(&output, 3), ["b.json", "d.json"]);
    // A committed run has looked already at what was before it.
    complete(run_of(4, &["a.parquet"], "g.parquet").await);
    assert_eq!(stale(&output, 4), ["b.json", "d.json", "f.json"]);
}

#[tokio::test]
async fn a_plan_of_another_engine_stops_the_worker() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let plan = json!({
        "uid": "u", "run": 1, "workHash": format!("v1:{HASH}ffff"), "engine": "another",
        "inputs": [], "tasks": []
    });
    output.insert(&format!("_etl/u/1-{HASH}/plan"), plan.to_string());
    let outcome = run(order(&json!({})), &source, Arc::new(output.clone())).await;
    let failure = outcome.unwrap_err().failure();
    assert_eq!(failure.category, Category::Internal);
    let own = format!("engine version {}", etl_engine::ENGINE_VERSION);
    assert!(
        failure.message.contains("engine version another"),
        "{}",
        failure.message
    );
    assert!(failure.message.contains(&own), "{}", failure.message);
}

#[tokio::test]
async fn a_source_that_changes_while_it_is_read_gives_no_output() {
    // Both ends are read at the opening, the column chunk before them later.
    for after_reads in [0, 1, 2] {
        for body in [Some(texts(4, 1 << 20)), None] {
            let store = MemoryStore::new("raw");
            store.insert("a.parquet", texts(4, 1 << 20));
            let (changing, changed) = (store.clone(), AtomicBool::new(false));
            let source = Intercepted::new(Arc::new(store), move |_| {
                // Several reads may be at this point at once.
                if changing.reads() >= after_reads && !changed.swap(true, Ordering::SeqCst) {
                    match &body {
                        Some(body) => changing.insert("a.parquet", body.clone()),
                        None => changing.remove("a.parquet"),
                    }
                }
                std::future::ready(()).boxed()
            });
            let output = MemoryStore::new("out");
            let shard = shard(
                order(&json!({})),
                0,
                Arc::new(source),
                Arc::new(output.clone()),
            );
            let failure = shard.worker.run().await.unwrap_err().failure();
            assert_eq!(
                failure.category,
                Category::SourceChanged,
                "{}",
                failure.message
            );
            assert_eq!(failure.object.as_deref(), Some("memory://raw/a.parquet"));
            assert!(output.outputs().is_empty());
        }
    }
}
