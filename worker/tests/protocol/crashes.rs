//! Every single write is the last one of its process, loses its reply, or is
//! refused once; the end is always the same.

use std::sync::Arc;

use etl_contract::Category;
use etl_worker::store::{Kind, Store};
use serde_json::{Value, json};

use crate::bench::{
    assert_three_outputs, category, complete, manifest, order, run, texts, three_inputs,
};
use crate::fault::{Counted, Fault, FaultStore};
use crate::memory::MemoryStore;

/// One object that takes a multipart upload of three parts.
fn large_input() -> MemoryStore {
    let source = MemoryStore::new("raw");
    source.insert("large.parquet", texts(33, 1 << 20));
    source
}

fn assert_large_output(output: &MemoryStore) {
    assert_eq!(output.outputs(), ["large.json"]);
    let lines: Vec<usize> = output.text("large.json").lines().map(str::len).collect();
    assert_eq!(lines, [(1 << 20) + r#"{"t":""}"#.len(); 33]);
    assert_eq!(manifest(output).totals.rows_written, 33);
    assert_eq!(output.pending_uploads(), 0);
}

/// Injects `fault` at each write in turn, as long as there is one to strike.
async fn at_every_write(
    source: &MemoryStore,
    fault: Fault,
    counted: Counted,
    then: impl AsyncFn(MemoryStore, Result<etl_contract::Outcome, etl_worker::Error>),
) -> u64 {
    at_every_write_of(&json!({}), source, fault, counted, then).await
}

/// The same for a run that is ordered otherwise.
pub async fn at_every_write_of(
    patch: &Value,
    source: &MemoryStore,
    fault: Fault,
    counted: Counted,
    then: impl AsyncFn(MemoryStore, Result<etl_contract::Outcome, etl_worker::Error>),
) -> u64 {
    for number in 0.. {
        let output = MemoryStore::new("out");
        let inner: Arc<dyn Store> = Arc::new(output.clone());
        let faulty = Arc::new(FaultStore::new(inner, fault, counted, number));
        let outcome = run(order(patch), source, faulty.clone()).await;
        if !faulty.struck() {
            complete(outcome);
            return number;
        }
        then(output, outcome).await;
    }
    unreachable!("a run has a finite number of writes")
}

/// The second attempt of a run whose first one died.
async fn second_attempt(source: &MemoryStore, output: &MemoryStore) -> etl_contract::Statistics {
    // Uploads are told apart from those of other writers by their time.
    let again = order(&json!({"attempt": 2}));
    complete(run(again, source, Arc::new(output.clone())).await)
}

#[tokio::test(start_paused = true)]
async fn a_process_may_die_around_any_write() {
    let source = three_inputs();
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        let writes = at_every_write(&source, fault, Counted::All, async |output, outcome| {
            let error = outcome.unwrap_err();
            // Who may have committed must not say that it did not.
            let committed = output.keys().iter().any(|key| key.ends_with("/manifest"));
            assert!(error.failure().undecided || !committed, "{error}");
            assert_eq!(second_attempt(&source, &output).await.rows_written, 31);
            assert_three_outputs(&output);
        })
        .await;
        // The plan, three outputs and records (no two of the inputs make a
        // group for one shard), the manifest.
        assert_eq!(writes, 8);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_may_die_around_any_write_of_a_large_object() {
    let source = large_input();
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        let writes = at_every_write(&source, fault, Counted::All, async |output, outcome| {
            outcome.unwrap_err();
            assert_eq!(second_attempt(&source, &output).await.rows_written, 33);
            assert_large_output(&output);
        })
        .await;
        // The plan, begin, three parts, complete, record, manifest.
        assert_eq!(writes, 8);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_settled_by_reading_back() {
    for lost in [
        Kind::Unknown,
        Kind::PreconditionFailed,
        Kind::Unavailable,
        Kind::Conflict,
    ] {
        let source = three_inputs();
        let fault = Fault::AfterEffect(lost);
        let writes = at_every_write(
            &source,
            fault,
            Counted::Publishing,
            async |output, outcome| {
                assert_eq!(complete(outcome).rows_written, 31, "{lost:?}");
                assert_three_outputs(&output);
            },
        )
        .await;
        assert_eq!(writes, 8);
    }
    // Large objects differ in how they are completed, by far the slower test.
    for lost in [Kind::Unknown, Kind::PreconditionFailed] {
        let source = large_input();
        let writes = at_every_write(
            &source,
            Fault::AfterEffect(lost),
            Counted::Publishing,
            async |output, outcome| {
                assert_eq!(complete(outcome).rows_written, 33, "{lost:?}");
                assert_large_output(&output);
            },
        )
        .await;
        assert_eq!(writes, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_did_not_happen_is_made_again() {
    for refused in [
        Kind::Conflict,
        Kind::Throttled,
        Kind::Unavailable,
        Kind::Unknown,
    ] {
        let source = three_inputs();
        let fault = Fault::WithoutEffect(refused);
        at_every_write(
            &source,
            fault,
            Counted::Publishing,
            async |output, outcome| {
                assert_eq!(complete(outcome).rows_written, 31, "{refused:?}");
                assert_three_outputs(&output);
            },
        )
        .await;
    }
    for refused in [Kind::Conflict, Kind::Unavailable] {
        let source = large_input();
        at_every_write(
            &source,
            Fault::WithoutEffect(refused),
            Counted::Publishing,
            async |output, outcome| {
                assert_eq!(complete(outcome).rows_written, 33, "{refused:?}");
                assert_large_output(&output);
            },
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_fails_is_aborted_and_the_next_attempt_completes() {
    let source = large_input();
    // Write 3 is the second part of the upload.
    let output = MemoryStore::new("out");
    let faulty = FaultStore::new(
        Arc::new(output.clone()),
        Fault::WithoutEffect(Kind::Unavailable),
        Counted::All,
        3,
    );
    let outcome = run(order(&json!({})), &source, Arc::new(faulty)).await;
    assert_eq!(category(outcome), Category::Unavailable);
    assert_eq!(output.pending_uploads(), 0);
    assert!(output.outputs().is_empty());
    second_attempt(&source, &output).await;
    assert_large_output(&output);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_somebody_aborted_is_made_again() {
    let source = large_input();
    let output = MemoryStore::new("out");
    let faulty = FaultStore::new(
        Arc::new(output.clone()),
        Fault::WithoutEffect(Kind::NotFound),
        Counted::All,
        3,
    );
    complete(run(order(&json!({})), &source, Arc::new(faulty)).await);
    assert_large_output(&output);
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_is_not_done_again() {
    let source = three_inputs();
    let output = MemoryStore::new("out");
    // Dies on the manifest, the last write.
    let faulty = FaultStore::new(
        Arc::new(output.clone()),
        Fault::CrashBefore,
        Counted::All,
        7,
    );
    run(order(&json!({})), &source, Arc::new(faulty))
        .await
        .unwrap_err();
    let (reads, writes) = (source.reads(), output.writes());
    second_attempt(&source, &output).await;
    assert_eq!(source.reads(), reads, "no input is read again");
    assert_eq!(output.writes(), writes + 1, "only the manifest is missing");
    assert_three_outputs(&output);
}
