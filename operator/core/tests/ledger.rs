//! The ledger's record as a projection of the status.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use etl_api::EtlJob;
use etl_contract::{Encoder, Storage};
use etl_core::ledger::{Closing, ProcessingStatus, RowKey, cancelled, next_revision, records};
use etl_core::{Observed, Reach, Settings, WorkerDefaults, plan};
use jiff::Timestamp;
use serde_json::json;

fn settings() -> Settings {
    Settings {
        cluster: "prod".into(),
        worker_image: "w".into(),
        image_pull_policy: None,
        worker: WorkerDefaults::default(),
        storage: Storage::default(),
        encoder: Encoder::default(),
        reach: Reach::Cluster,
        ledger: true,
    }
}

fn now() -> Timestamp {
    "2021-01-15T00:00:01.234Z".parse().unwrap()
}

fn started() -> EtlJob {
    let mut job: EtlJob = serde_json::from_value(json!({
        "apiVersion": "etl-operator.io/v1alpha1", "kind": "EtlJob",
        "metadata": {"name": "trips", "namespace": "data", "uid": "0b5e"},
        "spec": {"source": {"uri": "s3://raw/a.parquet"}, "output": {"uri": "s3://out/"}}
    }))
    .unwrap();
    job.status = plan(&job, &Observed::default(), &settings(), now()).status;
    job
}

#[test]
fn a_record_exists_from_the_start_of_the_run() {
    let job = started();
    let [record] = &records(&job, &settings())[..] else {
        panic!()
    };
    assert_eq!(record.file_id, "prod/data/trips/0b5e/1");
    assert_eq!(record.job, "prod/data/trips");
    assert_eq!(record.processing_status, ProcessingStatus::InProgress);
    assert_eq!((record.start_time, record.updated_at), (now(), now()));
    assert_eq!(record.attempt, Some(1));
    assert_eq!(record.revision, now().as_millisecond());
}

#[test]
fn before_the_first_run_there_is_none() {
    let mut job = started();
    job.status = None;
    assert!(records(&job, &settings()).is_empty());
}

#[test]
fn the_end_carries_totals_or_the_failure() {
    let mut job = started();
    let status = job.status.as_mut().unwrap();
    status.run.as_mut().unwrap().completion_time = Some(now());
    let mut failed = job.clone();

    let status = job.status.as_mut().unwrap();
    status
        .conditions
        .iter_mut()
        .find(|c| c.type_ == "Complete")
        .unwrap()
        .status = "True".into();
    status.statistics = Some(etl_api::Statistics {
        rows_written: 7,
        source_bytes: 9,
        ..Default::default()
    });
    let record = records(&job, &settings()).pop().unwrap();
    assert_eq!(record.processing_status, ProcessingStatus::Completed);
    assert_eq!(
        (record.record_count, record.file_size_bytes),
        (Some(7), Some(9))
    );

    failed.status.as_mut().unwrap().last_failure = Some(etl_api::LastFailure {
        category: "BadInput".into(),
        reason: "NotRetryable".into(),
        message: "truncated".into(),
        exit_code: None,
        shard: None,
        object: None,
        hint: None,
    });
    let record = records(&failed, &settings()).pop().unwrap();
    assert_eq!(record.processing_status, ProcessingStatus::Failed);
    assert_eq!(record.category.as_deref(), Some("BadInput"));
    assert_eq!(record.error_message.as_deref(), Some("truncated"));
}

#[test]
fn a_job_deleted_under_way_is_cancelled_and_a_finished_one_is_left_alone() {
    let mut job = started();
    let record = cancelled(&job, &settings(), now()).unwrap();
    assert_eq!(record.processing_status, ProcessingStatus::Cancelled);
    assert!(record.revision > job.status.as_ref().unwrap().revision.unwrap());
    job.status
        .as_mut()
        .unwrap()
        .run
        .as_mut()
        .unwrap()
        .completion_time = Some(now());
    assert_eq!(cancelled(&job, &settings(), now()), None);
}

#[test]
fn the_key_of_every_record_says_whose_it_is() {
    let job = started();
    let record = records(&job, &settings()).pop().unwrap();
    let expected = RowKey {
        cluster: "prod",
        namespace: "data",
        name: "trips",
        uid: "0b5e",
        run: 1,
    };
    assert_eq!(RowKey::parse(&record.file_id), Some(expected));
    for foreign in [
        "",
        "a.parquet",
        "prod/data/trips/0b5e",
        "prod/data/trips/0b5e/one",
        "prod/data/trips/0b5e/-1",
        "prod/data/trips/0b5e/1/2",
    ] {
        assert_eq!(RowKey::parse(foreign), None, "{foreign:?}");
    }
}

#[test]
fn a_row_in_progress_is_ended_only_when_nothing_can_tell_of_its_run_any_more() {
    let mut job = started();
    let run = job.status.as_mut().unwrap().run.as_mut().unwrap();
    run.number = 7;
    let reason = |run: u32, job: Option<&EtlJob>| {
        let file_id = format!("prod/data/trips/0b5e/{run}");
        Closing::decide(&file_id, Some(5), job, now()).map(|closing| closing.reason)
    };
    let (deleted, forgotten) = (
        Some("deleted before its end was recorded"),
        Some("newer runs began before its end was recorded"),
    );
    assert_eq!(reason(7, None), deleted);
    assert_eq!(reason(6, Some(&job)), forgotten);
    // Its record says what has become of it, or will.
    assert_eq!(reason(7, Some(&job)), None);
    // After a restore of the cluster the ledger may know more than the status.
    assert_eq!(reason(8, Some(&job)), None);
    job.status = None;
    assert_eq!(reason(6, Some(&job)), None);
    // What no operator wrote is none of its business.
    assert_eq!(Closing::decide("a.parquet", None, None, now()), None);
}

#[test]
fn the_end_of_a_row_has_a_higher_revision_than_the_row() {
    let revision = |seen: Option<i64>| {
        let closing = Closing::decide("prod/data/trips/0b5e/1", seen, None, now()).unwrap();
        assert_eq!(closing.seen, seen);
        closing.revision
    };
    let millis = now().as_millisecond();
    assert_eq!(revision(Some(5)), millis);
    assert_eq!(revision(Some(millis + 500)), millis + 501);
    assert_eq!(revision(None), millis);
}

#[test]
fn revisions_never_go_back() {
    let millis = now().as_millisecond();
    assert_eq!(next_revision(None, now()), millis);
    assert_eq!(next_revision(Some(millis), now()), millis + 1);
    assert_eq!(next_revision(Some(millis + 500), now()), millis + 501);
}
