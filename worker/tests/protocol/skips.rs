//! Source objects that cannot be converted and are left out.

use std::sync::Arc;

use bytes::Bytes;
use etl_contract::{Category, Outcome, SkippedObject};
use etl_worker::store::Store;
use futures::FutureExt;
use serde_json::{Value, json};

use crate::bench::{
    HASH, category, complete, manifest, number_lines, numbers, order, run, shard, three_inputs,
};
use crate::crashes::at_every_write_of;
use crate::fault::{Counted, Fault};
use crate::intercept::{Intercepted, Request};
use crate::memory::MemoryStore;

/// Up to `max` objects may be left out.
fn skipping(max: u32) -> Value {
    json!({"source": {"onInvalidObject": "Skip", "maxInvalidObjects": max}})
}

/// Three inputs, of which the named ones are damaged.
fn damaged(names: &[&str]) -> MemoryStore {
    let source = three_inputs();
    for name in names {
        source.insert(name, "PAR1 and no more");
    }
    source
}

fn assert_without_b(output: &MemoryStore) {
    assert_eq!(output.outputs(), ["a.json", "c.json"]);
    assert_eq!(output.text("a.json"), number_lines(0..10));
    assert_eq!(output.text("c.json"), number_lines(30..31));
    let manifest = manifest(output);
    let keys = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>();
    let inputs = keys(manifest.inputs.iter().map(|input| &input.key).collect());
    assert_eq!(inputs, ["a.parquet", "c.parquet"]);
    let skipped = keys(manifest.skipped.iter().map(|object| &object.key).collect());
    assert_eq!(skipped, ["b.parquet"]);
    let totals = manifest.totals;
    assert_eq!((totals.source_objects, totals.objects_skipped), (3, 1));
    assert_eq!((totals.rows_read, totals.rows_written), (11, 11));
    assert_eq!(totals.output_objects, 2);
}

#[tokio::test]
async fn a_damaged_object_is_left_out_and_told_with_its_reason() {
    let (source, output) = (damaged(&["b.parquet"]), MemoryStore::new("out"));
    let outcome = run(order(&skipping(1)), &source, Arc::new(output.clone())).await;
    let Ok(Outcome::Complete { skipped, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    let expected = SkippedObject {
        uri: "memory://raw/b.parquet".into(),
        category: Category::BadInput,
        reason: "file ends at byte 16; footer magic missing: truncated upload?".into(),
    };
    assert_eq!(skipped, [expected]);
    assert_without_b(&output);
}

#[tokio::test]
async fn a_report_names_a_few_and_the_manifest_all() {
    let (source, output) = (MemoryStore::new("raw"), MemoryStore::new("out"));
    for index in 0..9 {
        source.insert(&format!("{index}.parquet"), "no parquet at all");
    }
    source.insert("good.parquet", numbers(0..3));
    let outcome = run(order(&skipping(9)), &source, Arc::new(output.clone())).await;
    let Ok(Outcome::Complete { skipped, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(skipped.len(), 5);
    assert_eq!(skipped[0].uri, "memory://raw/0.parquet");
    assert_eq!(manifest(&output).skipped.len(), 9);
}

#[tokio::test]
async fn a_run_of_nothing_but_what_is_left_out_is_complete() {
    let (source, output) = (MemoryStore::new("raw"), MemoryStore::new("out"));
    source.insert("a.parquet", Bytes::new());
    let outcome = run(order(&skipping(1)), &source, Arc::new(output.clone())).await;
    assert_eq!(complete(outcome).objects_skipped, 1);
    assert!(output.outputs().is_empty());
}

#[tokio::test]
async fn one_more_than_allowed_ends_the_run_as_that_object_would_have() {
    let (source, output) = (
        damaged(&["a.parquet", "b.parquet"]),
        MemoryStore::new("out"),
    );
    let outcome = run(order(&skipping(1)), &source, Arc::new(output.clone())).await;
    let failure = outcome.unwrap_err().failure();
    assert_eq!(failure.category, Category::BadInput);
    let beginning = "2 objects cannot be converted and source.maxInvalidObjects allows 1: \
                     memory://raw/b.parquet: file ends at byte 16";
    assert!(
        failure.message.starts_with(beginning),
        "{}",
        failure.message
    );
    assert_eq!(failure.object.as_deref(), Some("memory://raw/b.parquet"));
    assert!(failure.hint.unwrap().contains("maxInvalidObjects"));
    // It stops there.
    assert!(output.outputs().is_empty());
    // What an earlier attempt has left out counts, too.
    let again = order(&json!({
        "attempt": 2,
        "source": {"onInvalidObject": "Skip", "maxInvalidObjects": 1}
    }));
    let outcome = run(again, &source, Arc::new(output.clone())).await;
    assert_eq!(category(outcome), Category::BadInput);
}

#[tokio::test]
async fn the_shards_of_a_run_have_one_limit() {
    for max in [1, 2] {
        let source = damaged(&["a.parquet", "b.parquet"]);
        let output = MemoryStore::new("out");
        let mut patch = skipping(max);
        patch["shards"] = json!(2);
        let start = |number| {
            let (source, output) = (Arc::new(source.clone()), Arc::new(output.clone()));
            shard(order(&patch), number, source, output)
        };
        // Each of them leaves out one.
        let first = start(0).worker.run().await;
        assert_eq!(first.unwrap(), Outcome::TasksDone);
        let second = start(1).worker.run().await;
        if max == 2 {
            assert_eq!(complete(second).objects_skipped, 2);
            continue;
        }
        let failure = second.unwrap_err().failure();
        assert_eq!(failure.category, Category::BadInput);
        assert!(
            failure.message.starts_with("2 objects cannot"),
            "{}",
            failure.message
        );
        assert!(!output.keys().iter().any(|key| key.ends_with("/manifest")));
    }
}

#[tokio::test]
async fn what_an_earlier_run_made_of_an_object_that_is_left_out_is_stale() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    complete(run(order(&json!({})), &source, Arc::new(output.clone())).await);
    source.insert("b.parquet", "PAR1 and no more");
    let mut patch = skipping(1);
    patch["run"] = json!({"number": 2, "workHash": "v1:feedfeedfeed"});
    complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    let text = output.text("_etl/u/2-feedfeedfeed/manifest");
    let manifest: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["stale"], json!(["b.json"]));
}

#[tokio::test]
async fn an_object_is_not_left_out_for_what_happened_on_the_way() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    source.garble("b.parquet");
    complete(run(order(&skipping(3)), &source, Arc::new(output.clone())).await);
    assert_eq!(output.text("b.json"), number_lines(10..30));
    assert!(manifest(&output).skipped.is_empty());
    // And neither does a run end for it.
    let output = MemoryStore::new("out");
    source.garble("b.parquet");
    complete(run(order(&json!({})), &source, Arc::new(output.clone())).await);
}

#[tokio::test]
async fn an_object_that_changed_is_not_left_out() {
    let source = three_inputs();
    let changing = source.clone();
    let store = Intercepted::new(Arc::new(source), move |request| {
        if request == Request::Get("b.parquet") {
            changing.insert("b.parquet", "PAR1 and no more");
        }
        std::future::ready(()).boxed()
    });
    let output = MemoryStore::new("out");
    let shard = shard(
        order(&skipping(3)),
        0,
        Arc::new(store),
        Arc::new(output.clone()),
    );
    let outcome = shard.worker.run().await;
    assert_eq!(category(outcome), Category::SourceChanged);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_leaves_out_may_die_around_any_write() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for (names, max) in [(&["b.parquet"][..], 1), (&["a.parquet", "b.parquet"], 1)] {
            let source = damaged(names);
            let patch = skipping(max);
            let again = async |output: &MemoryStore| {
                let mut patch = patch.clone();
                patch["attempt"] = json!(2);
                let store: Arc<dyn Store> = Arc::new(output.clone());
                run(order(&patch), &source, store).await
            };
            if names.len() == 1 {
                let writes = at_every_write_of(
                    &patch,
                    &source,
                    fault,
                    Counted::All,
                    async |output, outcome| {
                        outcome.unwrap_err();
                        complete(again(&output).await);
                        assert_without_b(&output);
                    },
                )
                .await;
                // The plan, two outputs, three records, the manifest.
                assert_eq!(writes, 7);
                continue;
            }
            // One too many: whatever happens, nobody ever commits.
            for number in 0..3 {
                let output = MemoryStore::new("out");
                let inner: Arc<dyn Store> = Arc::new(output.clone());
                let faulty = crate::fault::FaultStore::new(inner, fault, Counted::All, number);
                run(order(&patch), &source, Arc::new(faulty))
                    .await
                    .unwrap_err();
                assert_eq!(category(again(&output).await), Category::BadInput);
                let manifest = format!("_etl/u/1-{HASH}/manifest");
                assert!(!output.keys().contains(&manifest));
            }
        }
    }
}
