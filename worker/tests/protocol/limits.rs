//! The deadline, SIGTERM, and a task that fails beside others.

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use etl_contract::Category;
use etl_worker::budget::Budget;
use etl_worker::gate::Stop;
use etl_worker::store::{Attributes, Store};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use crate::bench::{category, complete, numbers, order, run, shard, texts, three_inputs};
use crate::intercept::{Intercepted, Request};
use crate::memory::MemoryStore;

/// Passes everything on to `store`, but what happens before the second part of
/// an upload is the test's choice.
fn at_second_part(
    store: &MemoryStore,
    then: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
) -> Arc<dyn Store> {
    Arc::new(Intercepted::new(Arc::new(store.clone()), move |request| {
        if request == Request::Part(2) {
            then()
        } else {
            ready(()).boxed()
        }
    }))
}

fn large_source() -> MemoryStore {
    let source = MemoryStore::new("raw");
    source.insert("large.parquet", texts(20, 1 << 20));
    source
}

fn assert_nothing_left(output: &MemoryStore) {
    assert!(output.outputs().is_empty());
    assert_eq!(output.pending_uploads(), 0);
    assert!(!output.keys().iter().any(|key| key.contains("/tasks/")));
}

#[tokio::test(start_paused = true)]
async fn a_signal_aborts_the_upload_and_is_told_as_a_disruption() {
    let output = MemoryStore::new("out");
    let mut shard = shard(
        order(&json!({})),
        0,
        Arc::new(large_source()),
        Arc::new(output.clone()),
    );
    let closer = shard.closer.clone();
    shard.worker.output = at_second_part(&output, move || {
        closer.close(Stop::Signal);
        ready(()).boxed()
    });
    assert_eq!(category(shard.worker.run().await), Category::Disrupted);
    assert_nothing_left(&output);
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_nothing_is_written_and_nothing_committed() {
    for seconds in [700, u64::from(u32::MAX)] {
        let output = MemoryStore::new("out");
        let slow = at_second_part(&output, move || {
            tokio::time::sleep(Duration::from_secs(seconds)).boxed()
        });
        let outcome = run(order(&json!({})), &large_source(), slow).await;
        assert_eq!(category(outcome), Category::DeadlineExceeded);
        assert_nothing_left(&output);
    }
    let output = MemoryStore::new("out");
    let late = order(&json!({"activeDeadlineSeconds": 0}));
    let outcome = run(late, &three_inputs(), Arc::new(output.clone())).await;
    assert_eq!(category(outcome), Category::DeadlineExceeded);
    assert_eq!(output.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn when_one_task_fails_the_others_clean_up_and_the_cause_is_told() {
    let source = large_source();
    source.insert("damaged.parquet", "PAR1 and no more");
    let output = MemoryStore::new("out");
    let hanging = at_second_part(&output, || pending().boxed());
    let mut shard = shard(order(&json!({})), 0, Arc::new(source), hanging);
    shard.worker.budget = Budget {
        limit_bytes: 1 << 30,
        engine_bytes: 512 << 20,
        conversions: 2,
        objects: 2,
        threads: 1,
    };
    assert_eq!(category(shard.worker.run().await), Category::BadInput);
    assert_nothing_left(&output);
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_aborts_what_an_earlier_one_left() {
    let (source, output) = (large_source(), MemoryStore::new("out"));
    output
        .begin_upload("large.json", &Attributes::default())
        .await
        .unwrap();
    output
        .begin_upload("large.json-of-somebody-else", &Attributes::default())
        .await
        .unwrap();
    // The memory store's clock is the real one; the run began before it.
    let second = order(&json!({"attempt": 2}));
    complete(run(second, &source, Arc::new(output.clone())).await);
    assert_eq!(output.pending_uploads(), 1);
}

/// Answers reads after 60 ms and writes after 100 ms, as a distant store does.
fn distant(store: &MemoryStore) -> Arc<dyn Store> {
    Arc::new(Intercepted::new(Arc::new(store.clone()), |request| {
        let delay = match request {
            Request::Get(_) => 60,
            Request::Put(_) | Request::Part(_) => 100,
        };
        tokio::time::sleep(Duration::from_millis(delay)).boxed()
    }))
}

#[tokio::test(start_paused = true)]
async fn small_objects_wait_for_the_store_together() {
    let (source, output) = (MemoryStore::new("raw"), MemoryStore::new("out"));
    for index in 0..320 {
        source.insert(&format!("{index:03}.parquet"), numbers(index..index + 1));
    }
    let mut shard = shard(order(&json!({})), 0, distant(&source), distant(&output));
    // What a small worker has.
    shard.worker.budget = Budget::new(256 << 20, 2);
    assert_eq!(shard.worker.budget.objects, 32);
    let start = tokio::time::Instant::now();
    assert_eq!(complete(shard.worker.run().await).rows_written, 320);
    // Ten rounds of 160 ms, and some for plan, records and manifest; one after
    // the other they would take 51 s.
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn too_little_memory_is_refused_with_the_limit_to_raise() {
    let output = MemoryStore::new("out");
    let mut shard = shard(
        order(&json!({})),
        0,
        Arc::new(large_source()),
        Arc::new(output.clone()),
    );
    shard.worker.budget = Budget {
        limit_bytes: 64 << 20,
        engine_bytes: 1 << 20,
        conversions: 1,
        objects: 1,
        threads: 1,
    };
    let failure = shard.worker.run().await.unwrap_err().failure();
    assert_eq!(failure.category, Category::OutOfMemory);
    assert!(failure.hint.unwrap().contains("limits.memory"));
    assert_nothing_left(&output);
}

#[tokio::test]
async fn more_objects_than_the_commit_has_memory_for_are_refused_before_anything_is_written() {
    let source = MemoryStore::new("raw");
    for index in 0..2000 {
        source.insert(&format!("{index:05}.parquet"), numbers(0..1));
    }
    let output = MemoryStore::new("out");
    let mut shard = shard(
        order(&json!({})),
        0,
        Arc::new(source),
        Arc::new(output.clone()),
    );
    shard.worker.budget.limit_bytes = 50 << 20;
    let failure = shard.worker.run().await.unwrap_err().failure();
    assert_eq!(failure.category, Category::OutOfMemory);
    assert!(
        failure.message.starts_with("2000 objects need "),
        "{}",
        failure.message
    );
    assert!(failure.hint.unwrap().contains("limits.memory"));
    assert_eq!(output.writes(), 0);
}
