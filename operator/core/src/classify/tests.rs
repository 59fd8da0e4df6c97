use std::sync::LazyLock;

use super::*;
use etl_contract::{CONTRACT_VERSION, OutputLocation, Statistics};

static POLICY: LazyLock<RetryPolicy> = LazyLock::new(RetryPolicy::default);

fn own() -> Expected<'static> {
    Expected {
        uid: "uid",
        run: 1,
        attempt: 2,
        shards: 1,
        policy: &POLICY,
    }
}

fn of(shards: u32) -> Expected<'static> {
    Expected { shards, ..own() }
}

fn pod(shard: u32, exit_code: i32, outcome: Option<Outcome>) -> ChildPod {
    let report = outcome.map(|outcome| {
        RunReport {
            version: CONTRACT_VERSION,
            uid: "uid".into(),
            run: 1,
            attempt: 2,
            shard,
            outcome,
        }
        .to_json()
    });
    ChildPod {
        name: format!("pod-{shard}"),
        shard: Some(shard),
        started: true,
        terminated: Some(Terminated {
            exit_code,
            reason: None,
            message: report,
        }),
        succeeded: exit_code == 0,
        ..ChildPod::default()
    }
}

fn failed(category: Category) -> Option<Outcome> {
    Some(Outcome::Failed(Failure {
        category,
        message: "m".into(),
        object: None,
        hint: None,
        undecided: false,
    }))
}

fn category(pods: &[ChildPod]) -> Category {
    failure(pods, &own(), "FailedIndexes", "").category
}

#[test]
fn a_category_that_no_retry_can_mend_wins_over_a_lower_index() {
    let pods = [
        pod(0, 80, failed(Category::Throttled)),
        pod(1, 0, Some(Outcome::TasksDone)),
        pod(2, 65, failed(Category::BadInput)),
    ];
    assert_eq!(category(&pods), Category::BadInput);
    assert_eq!(category(&pods[..2]), Category::Throttled);
    let cause = failure(&pods, &of(3), "", "");
    assert_eq!(
        (cause.shard, cause.exit_code, cause.reported),
        (Some(2), Some(65), true)
    );
}

#[test]
fn one_shards_report_does_not_speak_for_another() {
    let told = |shard| pod(shard, 80, failed(Category::Throttled));
    let done = pod(1, 0, Some(Outcome::TasksDone));
    for (pods, reported) in [
        (vec![told(0), told(1)], true),
        (vec![told(0), done], true),
        // It may have been the last to finish, and have written the manifest.
        (vec![told(0), pod(1, 137, None)], false),
        (
            vec![pod(1, 65, failed(Category::BadInput)), pod(0, 137, None)],
            false,
        ),
        // Its pod is gone.
        (vec![told(0)], false),
    ] {
        let cause = failure(&pods, &of(2), "FailedIndexes", "");
        assert_eq!(cause.reported, reported, "{pods:?}");
    }
}

#[test]
fn without_a_report_the_exit_code_speaks() {
    for (code, expected) in [
        (66, Category::SourceNotFound),
        (101, Category::Internal),
        (137, Category::WorkerLost),
        (143, Category::Disrupted),
        (1, Category::WorkerLost),
    ] {
        let cause = failure(&[pod(0, code, None)], &own(), "", "");
        assert_eq!(
            (cause.category, cause.reported),
            (expected, false),
            "{code}"
        );
    }
}

#[test]
fn a_report_of_another_attempt_does_not_count() {
    let mut stale = pod(0, 137, failed(Category::BadInput));
    let end = stale.terminated.as_mut().unwrap();
    end.message = end
        .message
        .as_ref()
        .map(|m| m.replace("\"attempt\":2", "\"attempt\":1"));
    assert_eq!(category(&[stale]), Category::WorkerLost);
}

#[test]
fn killed_for_memory_is_out_of_memory_whatever_was_reported_before() {
    let mut killed = pod(0, 137, None);
    killed.terminated.as_mut().unwrap().reason = Some("OOMKilled".into());
    assert_eq!(category(&[killed]), Category::OutOfMemory);
}

#[test]
fn a_disrupted_pod_is_disrupted_unless_the_worker_failed_by_itself() {
    let mut evicted = pod(0, 137, None);
    evicted.disrupted = Some("preempted".into());
    assert_eq!(category(&[evicted]), Category::Disrupted);
    let mut told = pod(0, 65, failed(Category::BadInput));
    told.disrupted = Some("preempted".into());
    assert_eq!(category(&[told]), Category::BadInput);
}

#[test]
fn a_job_without_pods_is_lost_or_late() {
    assert_eq!(category(&[]), Category::WorkerLost);
    let late = failure(&[], &own(), "DeadlineExceeded", "");
    assert_eq!(late.category, Category::DeadlineExceeded);
}

#[test]
fn totals_win_over_other_reports_and_none_is_lost() {
    let complete = Outcome::Complete {
        statistics: Statistics {
            rows_read: 7,
            ..Statistics::default()
        },
        output: OutputLocation {
            manifest_uri: "s3://m".into(),
            first_object_uri: None,
        },
        skipped: Vec::new(),
    };
    let pods = [
        pod(0, 0, Some(Outcome::TasksDone)),
        pod(1, 0, Some(complete)),
    ];
    assert!(matches!(
        success(&pods, &own()),
        Success::Complete(Totals { statistics, .. }) if statistics.rows_read == 7
    ));
    assert_eq!(success(&pods[..1], &own()), Success::ReportLost);
    assert_eq!(
        success(&[pod(0, 0, Some(Outcome::NoManifest))], &own()),
        Success::NoManifest
    );
}
