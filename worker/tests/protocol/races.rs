//! Several writers at once, and writers that come too late.

use std::future::ready;
use std::sync::Arc;

use etl_contract::{Category, Outcome, WorkOrder};
use etl_worker::Error;
use etl_worker::store::Store;
use futures::FutureExt;
use futures::future::join_all;
use serde_json::json;

use crate::bench::{
    HASH, assert_three_outputs, category, complete, manifest, number_lines, numbers, order, run,
    shard, texts, three_inputs,
};
use crate::intercept::{Intercepted, Request};
use crate::memory::MemoryStore;

/// Runs all given orders and shards at the same time.
async fn together(
    source: &MemoryStore,
    output: &MemoryStore,
    shards: Vec<(WorkOrder, u32)>,
) -> Vec<Result<Outcome, Error>> {
    let running = shards.into_iter().map(|(order, number)| {
        let shard = shard(
            order,
            number,
            Arc::new(source.clone()),
            Arc::new(output.clone()),
        );
        tokio::spawn(async move { shard.worker.run().await })
    });
    join_all(running)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_share_the_work_and_one_commits() {
    for _ in 0..20 {
        let source = MemoryStore::new("raw");
        for index in 0..40 {
            source.insert(&format!("p/{index:02}.parquet"), numbers(index..index + 5));
        }
        let output = MemoryStore::new("out");
        let patch = json!({"shards": 4, "output": {"keyTemplate": "{dir}/{stem}.json"}});
        let shards = (0..4).map(|number| (order(&patch), number)).collect();
        let outcomes = together(&source, &output, shards).await;
        let committed = outcomes.iter().filter(|outcome| match outcome {
            Ok(Outcome::Complete { statistics, .. }) => {
                assert_eq!(statistics.rows_written, 200);
                true
            }
            Ok(Outcome::TasksDone) => false,
            other => panic!("{other:?}"),
        });
        assert!(committed.count() >= 1);
        assert_eq!(manifest(&output).outputs.len(), 40);
        for index in 0..40 {
            let text = output.text(&format!("p/{index:02}.json"));
            assert_eq!(text, number_lines(index..index + 5));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_shard_may_run_several_times_at_once() {
    for _ in 0..20 {
        let (source, output) = (three_inputs(), MemoryStore::new("out"));
        let twins = (1..=4)
            .map(|attempt| (order(&json!({"attempt": attempt})), 0))
            .collect();
        for outcome in together(&source, &output, twins).await {
            assert_eq!(complete(outcome).rows_written, 31);
        }
        assert_three_outputs(&output);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_on_one_key_exactly_one_completes() {
    for _ in 0..20 {
        let source = MemoryStore::new("raw");
        source.insert("a.parquet", numbers(0..10));
        let output = MemoryStore::new("out");
        let owner = |name: &str| {
            let job = json!({"name": name, "uid": name, "owner": format!("c/n/EtlJob/{name}")});
            (order(&json!({"job": job})), 0)
        };
        let outcomes = together(&source, &output, vec![owner("x"), owner("y")]).await;
        let (done, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), failed.len()), (1, 1), "{done:?} {failed:?}");
        for outcome in failed {
            assert_eq!(category(outcome), Category::OutputConflict);
        }
        let manifests = output
            .keys()
            .into_iter()
            .filter(|key| key.ends_with("/manifest"));
        assert_eq!(manifests.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_on_one_key_that_is_uploaded_in_parts_exactly_one_completes() {
    let source = MemoryStore::new("raw");
    source.insert("large.parquet", texts(17, 1 << 20));
    for _ in 0..3 {
        let output = MemoryStore::new("out");
        let owner = |name: &str| {
            let job = json!({"name": name, "uid": name, "owner": format!("c/n/EtlJob/{name}")});
            (order(&json!({"job": job})), 0)
        };
        let outcomes = together(&source, &output, vec![owner("x"), owner("y")]).await;
        let (done, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), failed.len()), (1, 1), "{done:?} {failed:?}");
        for outcome in failed {
            assert_eq!(category(outcome), Category::OutputConflict);
        }
        assert_eq!(output.pending_uploads(), 0);
    }
}

/// A store in which another writer puts `body` at `key` at the last moment
/// before this one does.
fn beaten(output: &MemoryStore, key: String, body: String) -> Arc<dyn Store> {
    let winner = output.clone();
    Arc::new(Intercepted::new(Arc::new(output.clone()), move |request| {
        if request == Request::Put(&key) {
            winner.insert(&key, body.clone());
        }
        ready(()).boxed()
    }))
}

#[tokio::test]
async fn a_plan_that_another_shard_froze_first_is_the_one_that_counts() {
    let (source, first) = (three_inputs(), MemoryStore::new("out"));
    // The winner listed the source when it had two objects.
    let smaller = three_inputs();
    smaller.remove("c.parquet");
    complete(run(order(&json!({})), &smaller, Arc::new(first.clone())).await);
    let key = format!("_etl/u/1-{HASH}/plan");
    let plan = first.text(&key);

    let output = MemoryStore::new("out");
    let store = beaten(&output, key.clone(), plan.clone());
    let statistics = complete(run(order(&json!({})), &source, store).await);
    assert_eq!(statistics.source_objects, 2);
    assert_eq!(output.outputs(), ["a.json", "b.json"]);
    assert_eq!(output.text(&key), plan);
}

#[tokio::test]
async fn a_manifest_is_never_written_twice() {
    let (source, first) = (three_inputs(), MemoryStore::new("out"));
    complete(run(order(&json!({})), &source, Arc::new(first.clone())).await);
    let key = format!("_etl/u/1-{HASH}/manifest");
    // The winner's manifest differs, to be told apart.
    let theirs = first
        .text(&key)
        .replace("\"stale\":[]", "\"stale\":[\"old.json\"]");

    let output = MemoryStore::new("out");
    let store = beaten(&output, key.clone(), theirs.clone());
    assert_eq!(
        complete(run(order(&json!({})), &source, store).await).rows_written,
        31
    );
    assert_eq!(output.text(&key), theirs);
}

#[tokio::test]
async fn an_output_that_is_gone_or_foreign_at_the_commit_is_no_result() {
    let vanish = |output: &MemoryStore| output.remove("a.json");
    // The same bytes, and yet somebody else's object.
    let replace = |output: &MemoryStore| output.insert("a.json", output.text("a.json"));
    for meanwhile in [vanish as fn(&MemoryStore), replace] {
        let (source, output) = (three_inputs(), MemoryStore::new("out"));
        let two = || order(&json!({"shards": 2}));
        let first = shard(two(), 0, Arc::new(source.clone()), Arc::new(output.clone()));
        assert_eq!(first.worker.run().await.unwrap(), Outcome::TasksDone);
        meanwhile(&output);
        let second = shard(two(), 1, Arc::new(source), Arc::new(output.clone()));
        assert_eq!(
            category(second.worker.run().await),
            Category::OutputConflict
        );
        assert!(!output.keys().iter().any(|key| key.ends_with("/manifest")));
    }
}

#[tokio::test]
async fn a_newer_run_replaces_and_an_older_one_is_superseded() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    let numbered = |number: u32| {
        let hash = format!("v1:{number:012}");
        order(&json!({"run": {"number": number, "workHash": hash}}))
    };
    complete(run(numbered(2), &source, Arc::new(output.clone())).await);
    let before = output.stored("a.json").unwrap().attributes;
    let late = run(numbered(1), &source, Arc::new(output.clone())).await;
    assert_eq!(category(late), Category::Superseded);
    assert_eq!(output.stored("a.json").unwrap().attributes, before);
    complete(run(numbered(3), &source, Arc::new(output.clone())).await);
    assert_ne!(output.stored("a.json").unwrap().attributes, before);
}

#[tokio::test]
async fn a_job_that_is_created_again_replaces_its_own_outputs_only() {
    let (source, output) = (three_inputs(), MemoryStore::new("out"));
    complete(run(order(&json!({})), &source, Arc::new(output.clone())).await);
    let again = json!({"job": {"uid": "u2", "created": "2026-02-03T04:05:06Z"}});
    source.insert("a.parquet", numbers(100..103));
    complete(run(order(&again), &source, Arc::new(output.clone())).await);
    assert_eq!(output.text("a.json"), number_lines(100..103));
    // Another source under the same name is another object's row.
    let elsewhere = MemoryStore::new("elsewhere");
    elsewhere.insert("a.parquet", numbers(7..8));
    let third = json!({"job": {"uid": "u3", "created": "2026-03-03T04:05:06Z"}});
    let outcome = run(order(&third), &elsewhere, Arc::new(output.clone())).await;
    assert_eq!(category(outcome), Category::OutputConflict);
    assert_eq!(output.text("a.json"), number_lines(100..103));
}

#[tokio::test]
async fn replace_takes_what_is_there_and_fail_takes_nothing() {
    let source = three_inputs();
    let output = MemoryStore::new("out");
    output.insert("b.json", "somebody else's");
    for policy in ["ReplaceOwn", "Fail"] {
        let outcome = run(
            order(&json!({"output": {"onExisting": policy}})),
            &source,
            Arc::new(output.fork()),
        )
        .await;
        let failure = outcome.unwrap_err().failure();
        assert_eq!(failure.category, Category::OutputConflict);
        assert_eq!(failure.object.as_deref(), Some("memory://out/b.json"));
    }
    let replace = order(&json!({"output": {"onExisting": "Replace"}}));
    complete(run(replace, &source, Arc::new(output.clone())).await);
    assert_three_outputs(&output);
}

#[tokio::test]
async fn what_a_run_left_whose_source_changed_does_not_stop_the_next_one() {
    for policy in ["ReplaceOwn", "Replace", "Fail"] {
        let (source, output) = (three_inputs(), MemoryStore::new("out"));
        let numbered = |number: u32| {
            let run = json!({"number": number, "workHash": format!("v1:{number:012}")});
            order(&json!({"run": run, "output": {"onExisting": policy}}))
        };
        // The first run writes a.json; then b.parquet is overwritten.
        let changing = source.clone();
        let store = Intercepted::new(Arc::new(source.clone()), move |request| {
            if request == Request::Get("b.parquet") {
                changing.insert("b.parquet", numbers(50..60));
            }
            ready(()).boxed()
        });
        let first = shard(numbered(1), 0, Arc::new(store), Arc::new(output.clone()));
        assert_eq!(category(first.worker.run().await), Category::SourceChanged);
        assert_eq!(output.outputs(), ["a.json"], "{policy}");

        let second = run(numbered(2), &source, Arc::new(output.clone())).await;
        assert_eq!(complete(second).rows_written, 21, "{policy}");
        assert_eq!(output.text("b.json"), number_lines(50..60));
    }
}
