//! The decision table, row by row, with a fixed clock.

mod demands;
mod queue;
mod retries;

use std::collections::BTreeMap;

use etl_api::{ConditionType, EndingReason, EtlJob, EtlJobStatus, Phase, SettleReason};
use etl_contract::{
    CONTRACT_VERSION, Category, Encoder, Failure, Mode, Outcome, OutputLocation, RunReport,
    SkippedObject, Statistics, Storage,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Action, Plan, plan};
use crate::conditions::is_true;
use crate::facts::{ChildJob, ChildPod, JobState, Observed, Refusal, Terminated};
use crate::settings::{Settings, WorkerDefaults};
use crate::validate::Reach;

const UID: &str = "0b5e";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_611_000_000 + seconds).unwrap()
}

fn settings() -> Settings {
    Settings {
        cluster: "test".into(),
        worker_image: "worker:1".into(),
        image_pull_policy: None,
        worker: WorkerDefaults::default(),
        storage: Storage::default(),
        encoder: Encoder::default(),
        reach: Reach::Cluster,
        ledger: true,
    }
}

/// An EtlJob under test: plans are applied to it as the operator would.
#[derive(Clone)]
struct Subject {
    job: EtlJob,
    last: Plan,
}

impl Subject {
    fn new(changes: Value) -> Self {
        let mut spec = json!({
            "source": {"uri": "s3://raw/in/a.parquet"},
            "output": {"uri": "s3://out/"},
            "retryPolicy": {"maxAttempts": 3, "backoff": {"initialSeconds": 10, "jitterPercent": 0}}
        });
        merge(&mut spec, changes);
        let mut job = EtlJob::new("trips", serde_json::from_value(spec).unwrap());
        job.metadata.namespace = Some("data".into());
        job.metadata.uid = Some(UID.into());
        job.metadata.generation = Some(1);
        job.metadata.creation_timestamp = Some(Time(at(-5)));
        Subject {
            job,
            last: Plan::default(),
        }
    }

    fn started() -> Self {
        let mut subject = Subject::new(json!({}));
        subject.pass(&Observed::default(), 0);
        subject
    }

    fn running() -> Self {
        let mut subject = Subject::started();
        let jobs = vec![ChildJob {
            active: 1,
            ready: 1,
            ..subject.child(JobState::Active)
        }];
        subject.pass(
            &Observed {
                jobs,
                ..Observed::default()
            },
            2,
        );
        subject
    }

    /// One pass at `seconds`, whose status is then written.
    fn pass(&mut self, seen: &Observed, seconds: i64) -> &Plan {
        self.last = plan(&self.job, seen, &settings(), at(seconds));
        if let Some(status) = &self.last.status {
            self.job.status = Some(status.clone());
        }
        &self.last
    }

    fn status(&self) -> &EtlJobStatus {
        self.job.status.as_ref().unwrap()
    }

    fn phase(&self) -> Phase {
        self.status().phase.unwrap()
    }

    fn attempt(&self) -> u32 {
        self.status().attempt.as_ref().unwrap().number
    }

    fn failures(&self) -> u32 {
        self.status().run.as_ref().unwrap().failures
    }

    /// The open attempt's Job in that state.
    fn child(&self, state: JobState) -> ChildJob {
        let attempt = self.status().attempt.as_ref().unwrap();
        ChildJob {
            name: attempt.job_name.clone(),
            uid: format!("job-{}", attempt.number),
            deleting: None,
            suspended: false,
            never_resumed: false,
            resumed: None,
            state,
            active: 0,
            ready: 0,
            finished: 0,
        }
    }

    fn succeeded(&self, outcome: Option<Outcome>) -> Observed {
        Observed {
            jobs: vec![self.child(JobState::Succeeded)],
            pods: Some(vec![self.pod(0, 0, outcome)]),
            ..Observed::default()
        }
    }

    fn failed(&self, exit_code: i32, outcome: Option<Outcome>) -> Observed {
        let state = JobState::Failed {
            reason: "FailedIndexes".into(),
            message: String::new(),
        };
        Observed {
            jobs: vec![self.child(state)],
            pods: Some(vec![self.pod(0, exit_code, outcome)]),
            ..Observed::default()
        }
    }

    fn failed_as(&self, category: Category) -> Observed {
        let failure = Failure {
            category,
            message: "because".into(),
            object: None,
            hint: None,
            undecided: false,
        };
        self.failed(
            i32::from(category.exit_code()),
            Some(Outcome::Failed(failure)),
        )
    }

    fn lost(&self) -> Observed {
        self.failed(137, None)
    }

    fn gone(&self) -> Observed {
        Observed {
            confirmed_gone: true,
            ..Observed::default()
        }
    }

    fn pod(&self, shard: u32, exit_code: i32, outcome: Option<Outcome>) -> ChildPod {
        let status = self.status();
        let message = outcome.map(|outcome| {
            RunReport {
                version: CONTRACT_VERSION,
                uid: UID.into(),
                run: status.run.as_ref().unwrap().number,
                attempt: self.attempt(),
                shard,
                outcome,
            }
            .to_json()
        });
        ChildPod {
            name: format!("pod-{shard}"),
            shard: Some(shard),
            started: true,
            succeeded: exit_code == 0,
            terminated: Some(Terminated {
                exit_code,
                reason: None,
                message,
            }),
            ..ChildPod::default()
        }
    }

    fn creates(&self) -> Vec<String> {
        creates(&self.last)
    }

    fn deletes(&self) -> usize {
        self.last
            .actions
            .iter()
            .filter(|a| matches!(a, Action::Delete { .. }))
            .count()
    }

    fn mode(&self) -> Option<Mode> {
        self.last.actions.iter().find_map(|action| match action {
            Action::Create(child) => Some(child.order.mode),
            Action::Delete { .. } | Action::DeleteSelf => None,
        })
    }

    fn reason(&self, kind: ConditionType) -> &str {
        let conditions = &self.status().conditions;
        &conditions
            .iter()
            .find(|c| c.type_ == kind.as_str())
            .unwrap()
            .reason
    }
}

fn creates(plan: &Plan) -> Vec<String> {
    plan.actions
        .iter()
        .filter_map(|action| match action {
            Action::Create(child) => Some(child.name.clone()),
            Action::Delete { .. } | Action::DeleteSelf => None,
        })
        .collect()
}

fn merge(base: &mut Value, changes: Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(base.entry(name).or_insert(Value::Null), change);
            }
        }
        (base, change) => *base = change,
    }
}

fn complete() -> Option<Outcome> {
    Some(Outcome::Complete {
        statistics: Statistics {
            rows_read: 7,
            rows_written: 7,
            ..Statistics::default()
        },
        output: OutputLocation {
            manifest_uri: "s3://out/_etl/m".into(),
            first_object_uri: Some("s3://out/a.json".into()),
        },
        skipped: Vec::new(),
    })
}

#[test]
fn row_1_a_resource_being_deleted_is_left_alone() {
    let mut subject = Subject::running();
    subject.job.metadata.deletion_timestamp = Some(Time(at(3)));
    let seen = subject.lost();
    assert_eq!(*subject.pass(&seen, 4), Plan::default());
}

#[test]
fn row_2_a_live_job_that_is_not_the_open_attempts_is_deleted_and_waited_for() {
    let mut subject = Subject::running();
    let stray = ChildJob {
        name: "old".into(),
        uid: "s".into(),
        ..subject.child(JobState::Active)
    };
    let finished = subject.succeeded(complete());
    let mut seen = finished.clone();
    seen.jobs.push(stray.clone());
    subject.pass(&seen, 5);
    let delete = Action::Delete {
        name: "old".into(),
        uid: "s".into(),
    };
    assert_eq!(
        (subject.last.actions.clone(), subject.phase()),
        (vec![delete], Phase::Running)
    );

    seen.jobs[1].deleting = Some(at(5));
    subject.pass(&seen, 6);
    assert!(subject.last.actions.is_empty() && subject.last.wake.is_some());

    // A lost node cannot hold everything back.
    subject.pass(&seen, 200);
    assert_eq!(subject.phase(), Phase::Complete);
}

#[test]
fn row_2_finished_jobs_of_earlier_attempts_are_no_strays() {
    let mut subject = Subject::running();
    let mut seen = subject.succeeded(complete());
    seen.jobs.push(ChildJob {
        name: "old".into(),
        ..subject.child(JobState::Succeeded)
    });
    subject.pass(&seen, 5);
    assert_eq!((subject.deletes(), subject.phase()), (0, Phase::Complete));
}

/// A running attempt past its deadline: the ending is recorded, the Job deleted.
fn overdue() -> (Subject, ChildJob) {
    let mut subject = Subject::running();
    let child = ChildJob {
        active: 1,
        ready: 1,
        ..subject.child(JobState::Active)
    };
    let seen = Observed {
        jobs: vec![child.clone()],
        ..Observed::default()
    };
    subject.pass(&seen, 2 + 3600 + 60);
    (subject, child)
}

#[test]
fn row_3_an_attempt_being_ended_that_succeeded_after_all_is_complete() {
    let (mut subject, _) = overdue();
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 3663);
    assert_eq!(subject.phase(), Phase::Complete);
}

#[test]
fn row_3_is_deleted_again_until_it_is_gone_and_then_charged_with_the_recorded_reason() {
    let (mut subject, child) = overdue();
    let seen = Observed {
        jobs: vec![child.clone()],
        ..Observed::default()
    };
    subject.pass(&seen, 3664);
    assert_eq!((subject.deletes(), subject.failures()), (1, 0));

    let deleting = ChildJob {
        deleting: Some(at(3664)),
        ..child
    };
    let seen = Observed {
        jobs: vec![deleting],
        ..Observed::default()
    };
    subject.pass(&seen, 3665);
    assert_eq!((subject.deletes(), subject.failures()), (0, 0));

    // The cache alone does not prove it.
    subject.pass(&Observed::default(), 3666);
    assert_eq!(subject.failures(), 0);
    let gone = subject.gone();
    subject.pass(&gone, 3667);
    assert_eq!((subject.failures(), subject.phase()), (1, Phase::Retrying));
    assert_eq!(
        subject.status().last_failure.as_ref().unwrap().category,
        "DeadlineExceeded"
    );
}

#[test]
fn row_3_a_job_that_does_not_go_away_is_given_up_after_the_workers_own_deadline() {
    let (mut subject, child) = overdue();
    let deleting = ChildJob {
        deleting: Some(at(3664)),
        ..child
    };
    let seen = Observed {
        jobs: vec![deleting],
        ..Observed::default()
    };
    // Its ending began a minute after the worker's own deadline.
    subject.pass(&seen, 2 + 3660 + 15 + 60 - 1);
    assert_eq!(subject.failures(), 0);
    subject.pass(&seen, 2 + 3660 + 15 + 60);
    assert_eq!(subject.failures(), 1);
    assert!(
        subject
            .last
            .events
            .iter()
            .any(|event| event.reason == "JobNotGone")
    );
}

#[test]
fn row_3_a_job_deleted_by_somebody_else_is_recorded_before_it_is_charged() {
    let mut subject = Subject::running();
    let child = ChildJob {
        deleting: Some(at(4)),
        active: 1,
        ..subject.child(JobState::Active)
    };
    subject.pass(
        &Observed {
            jobs: vec![child],
            ..Observed::default()
        },
        4,
    );
    let ending = subject
        .status()
        .attempt
        .as_ref()
        .unwrap()
        .ending
        .clone()
        .unwrap();
    assert_eq!(
        (ending.reason, subject.failures()),
        (EndingReason::WorkerLost, 0)
    );
    let gone = subject.gone();
    subject.pass(&gone, 5);
    assert_eq!(subject.failures(), 1);
}

#[test]
fn row_4_success_with_a_report_is_complete() {
    let mut subject = Subject::running();
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 5);
    let status = subject.status();
    assert_eq!(status.phase, Some(Phase::Complete));
    assert!(is_true(status, ConditionType::Complete) && !is_true(status, ConditionType::Stalled));
    assert_eq!(status.statistics.unwrap().rows_written, 7);
    assert_eq!(
        status.output.as_ref().unwrap().manifest_uri,
        "s3://out/_etl/m"
    );
    assert_eq!(status.run.as_ref().unwrap().completion_time, Some(at(5)));
    let summary = status.summary.as_ref().unwrap();
    assert_eq!(summary.attempt.as_deref(), Some("1/3"));
    assert_eq!(summary.duration.as_deref(), Some("5.0s"));
}

#[test]
fn row_4_what_was_left_out_is_counted_and_the_first_objects_are_named() {
    let mut subject = Subject::running();
    let Some(Outcome::Complete { output, .. }) = complete() else {
        unreachable!()
    };
    let skipped = |n: usize| SkippedObject {
        uri: format!("s3://raw/in/{n}.parquet"),
        category: Category::BadInput,
        reason: "no footer".into(),
    };
    let seen = subject.succeeded(Some(Outcome::Complete {
        statistics: Statistics {
            source_objects: 9,
            objects_skipped: 6,
            rows_read: 10,
            rows_written: 7,
            rows_rejected: 3,
            output_objects: 3,
            ..Statistics::default()
        },
        output,
        skipped: (0..6).map(skipped).collect(),
    }));
    subject.pass(&seen, 5);
    let status = subject.status();
    let statistics = status.statistics.unwrap();
    assert_eq!(
        (statistics.rows_rejected, statistics.objects_skipped),
        (3, 6)
    );
    assert_eq!(status.skipped_objects.len(), 5);
    let first = &status.skipped_objects[0];
    assert_eq!(
        (first.uri.as_str(), first.category.as_str()),
        ("s3://raw/in/0.parquet", "BadInput")
    );
    let message = "7 rows in 3 objects, 3 rows rejected, 6 objects skipped";
    assert!(status.conditions.iter().any(|c| c.message == message));
    assert!(subject.last.events[0].note.ends_with(message));
}

#[test]
fn row_4_beats_a_deadline_that_passed_in_the_same_moment() {
    let mut subject = Subject::running();
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 10_000);
    assert_eq!(subject.phase(), Phase::Complete);
}

#[test]
fn row_4_a_job_that_ended_before_it_was_seen_running_costs_one_write_less() {
    let mut subject = Subject::started();
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 1);
    assert_eq!(subject.phase(), Phase::Complete);
}

#[test]
fn row_5_a_lost_report_is_looked_up_twice_then_complete_with_unknown_totals() {
    let mut subject = Subject::running();
    let seen = subject.succeeded(None);
    subject.pass(&seen, 5);
    assert_eq!((subject.mode(), subject.attempt()), (Some(Mode::Settle), 2));
    let seen = subject.failed_as(Category::Unavailable);
    subject.pass(&seen, 6);
    assert_eq!(subject.failures(), 0);
    subject.pass(&Observed::default(), 100);
    assert_eq!((subject.mode(), subject.attempt()), (Some(Mode::Settle), 3));
    let seen = subject.failed_as(Category::Unavailable);
    subject.pass(&seen, 101);
    assert_eq!(subject.phase(), Phase::Complete);
    assert_eq!(subject.reason(ConditionType::Complete), "ReportLost");
    assert_eq!(subject.status().statistics, None);
}

#[test]
fn row_5_the_look_up_tells_the_totals() {
    let mut subject = Subject::running();
    let seen = subject.succeeded(None);
    subject.pass(&seen, 5);
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 6);
    assert_eq!(subject.phase(), Phase::Complete);
    assert_eq!(subject.status().statistics.unwrap().rows_read, 7);
    assert_eq!(subject.status().run.as_ref().unwrap().settle, None);
}

#[test]
fn row_5_success_without_a_manifest_is_a_defect_and_done_again() {
    let mut subject = Subject::running();
    let seen = subject.succeeded(None);
    subject.pass(&seen, 5);
    let seen = subject.succeeded(Some(Outcome::NoManifest));
    subject.pass(&seen, 6);
    assert_eq!((subject.phase(), subject.failures()), (Phase::Retrying, 1));
    assert_eq!(
        subject.status().last_failure.as_ref().unwrap().category,
        "Internal"
    );
    subject.pass(&Observed::default(), 100);
    assert_eq!(subject.mode(), Some(Mode::Convert));
}

#[test]
fn row_6_a_retryable_failure_waits_for_its_time() {
    let mut subject = Subject::running();
    let seen = subject.failed_as(Category::Throttled);
    subject.pass(&seen, 5);
    assert_eq!((subject.phase(), subject.failures()), (Phase::Retrying, 1));
    assert_eq!(subject.status().next_attempt_time, Some(at(15)));
    assert_eq!(subject.last.wake, Some(at(15)));
    assert_eq!(
        subject
            .status()
            .summary
            .as_ref()
            .unwrap()
            .attempt
            .as_deref(),
        Some("2/3")
    );
}

#[test]
fn row_6_a_category_that_no_retry_can_mend_fails_at_once() {
    for category in Category::ALL
        .iter()
        .filter(|c| c.action() == etl_contract::Action::Fail)
    {
        let mut subject = Subject::running();
        let seen = subject.failed_as(*category);
        subject.pass(&seen, 5);
        if *category == Category::Superseded {
            assert_eq!(subject.reason(ConditionType::Complete), "Superseded");
            continue;
        }
        assert_eq!(subject.phase(), Phase::Failed, "{category}");
        assert_eq!(subject.reason(ConditionType::Failed), "NotRetryable");
        assert!(is_true(subject.status(), ConditionType::Stalled));
    }
}

#[test]
fn row_6_retries_are_exhausted_at_exactly_max_attempts() {
    let mut subject = Subject::running();
    let mut now = 5;
    for failures in 1..=3 {
        let seen = subject.failed_as(Category::AccessDenied);
        subject.pass(&seen, now);
        assert_eq!(subject.failures(), failures);
        if failures < 3 {
            now += 1000;
            subject.pass(&Observed::default(), now);
            assert_eq!(subject.attempt(), failures + 1);
        }
    }
    assert_eq!(subject.phase(), Phase::Failed);
    assert_eq!(subject.reason(ConditionType::Failed), "RetriesExhausted");
    assert_eq!(
        subject
            .status()
            .summary
            .as_ref()
            .unwrap()
            .attempt
            .as_deref(),
        Some("3/3")
    );
    let waits: Vec<_> = subject
        .status()
        .attempts
        .iter()
        .map(|a| a.backoff_seconds)
        .collect();
    assert_eq!(waits, [Some(10), Some(20), None]);
}

fn last_attempt() -> Subject {
    let mut subject = Subject::new(json!({"retryPolicy": {"maxAttempts": 1}}));
    subject.pass(&Observed::default(), 0);
    subject
}

#[test]
fn row_6_the_last_attempt_that_left_no_word_is_looked_up_before_the_run_fails() {
    let mut subject = last_attempt();
    let seen = subject.lost();
    subject.pass(&seen, 5);
    assert_eq!(
        (subject.mode(), subject.failures()),
        (Some(Mode::Settle), 1)
    );
    let run = subject.status().run.as_ref().unwrap();
    assert_eq!(
        run.settle.as_ref().unwrap().reason,
        SettleReason::LastAttemptLost
    );

    let mut committed = subject.clone();
    let seen = committed.succeeded(complete());
    committed.pass(&seen, 6);
    assert_eq!(committed.phase(), Phase::Complete);

    let seen = subject.succeeded(Some(Outcome::NoManifest));
    subject.pass(&seen, 6);
    assert_eq!(subject.phase(), Phase::Failed);
    assert_eq!(subject.reason(ConditionType::Failed), "RetriesExhausted");
    assert_eq!(
        subject.status().last_failure.as_ref().unwrap().category,
        "WorkerLost"
    );
}

#[test]
fn row_6_look_ups_that_fail_are_repeated_but_not_for_ever() {
    let mut subject = last_attempt();
    let seen = subject.lost();
    subject.pass(&seen, 5);
    let mut now = 5;
    for _ in 0..5 {
        assert_eq!(subject.phase(), Phase::Retrying);
        let seen = subject.failed_as(Category::Unavailable);
        subject.pass(&seen, now + 1);
        now += 1000;
        subject.pass(&Observed::default(), now);
    }
    assert_eq!(subject.phase(), Phase::Failed);
    let hint = subject
        .status()
        .last_failure
        .as_ref()
        .unwrap()
        .hint
        .clone()
        .unwrap();
    assert!(hint.contains("manifest"), "{hint}");
}

/// Lets the open attempt run into its start deadline and go.
fn time_out_at_start(subject: &mut Subject, start: i64) {
    let stuck = Observed {
        jobs: vec![subject.child(JobState::Active)],
        pods: Some(vec![ChildPod::default()]),
        ..Observed::default()
    };
    subject.pass(&stuck, start + 600);
    let gone = subject.gone();
    subject.pass(&gone, start + 601);
}

#[test]
fn row_6_a_look_up_that_cannot_start_either_ends_a_run_of_which_nothing_ever_ran() {
    let mut subject = last_attempt();
    time_out_at_start(&mut subject, 0);
    assert_eq!(subject.mode(), Some(Mode::Settle));
    time_out_at_start(&mut subject, 601);
    assert_eq!(subject.phase(), Phase::Failed);
    let failure = subject.status().last_failure.clone().unwrap();
    assert_eq!(failure.category, "StartTimeout");
    assert!(
        failure
            .hint
            .unwrap()
            .contains("keeps the pod from starting")
    );
}

#[test]
fn row_6_a_look_up_that_cannot_start_is_repeated_for_a_run_that_had_a_worker() {
    let mut subject = last_attempt();
    let seen = subject.lost();
    subject.pass(&seen, 5);
    time_out_at_start(&mut subject, 5);
    assert_eq!(subject.phase(), Phase::Retrying);
}

#[test]
fn row_6_a_worker_that_said_why_needs_no_look_up() {
    let mut subject = last_attempt();
    let seen = subject.failed_as(Category::Unavailable);
    subject.pass(&seen, 5);
    assert_eq!(subject.phase(), Phase::Failed);
}

#[test]
fn row_6_disruptions_are_free_five_times() {
    let mut subject = Subject::started();
    let mut now = 1;
    for _ in 0..5 {
        let seen = subject.failed(143, None);
        subject.pass(&seen, now);
        assert_eq!(subject.failures(), 0);
        now += 1000;
        subject.pass(&Observed::default(), now);
    }
    let seen = subject.failed(143, None);
    subject.pass(&seen, now + 1);
    assert_eq!(subject.failures(), 1);
}

#[test]
fn row_6_a_changed_source_starts_a_new_run_that_keeps_the_failures() {
    let mut subject = Subject::running();
    let seen = subject.failed_as(Category::SourceChanged);
    subject.pass(&seen, 5);
    let run = subject.status().run.as_ref().unwrap();
    assert_eq!((run.number, run.failures, run.start_time), (2, 1, at(5)));
    let closed = &subject.status().runs[0];
    assert_eq!(
        (closed.result.as_str(), closed.attempt),
        ("SourceChanged", 1)
    );
    // From here on its row in the ledger stays as it is.
    assert_eq!(Some(closed.revision), subject.status().revision);
    subject.pass(&Observed::default(), 100);
    assert_eq!(subject.attempt(), 2);

    let mut pinned = Subject::new(json!({"source": {"etag": "e"}}));
    pinned.pass(&Observed::default(), 0);
    let seen = pinned.failed_as(Category::SourceChanged);
    pinned.pass(&seen, 5);
    assert_eq!(pinned.phase(), Phase::Failed);
    assert_eq!(pinned.reason(ConditionType::Failed), "NotRetryable");
}

fn failing(subject: &Subject, since: i64, category: Category) -> Observed {
    let mut seen = subject.failed_as(category);
    seen.jobs[0].state = JobState::Failing {
        reason: "PodFailurePolicy".into(),
        message: String::new(),
        since: Some(at(since)),
    };
    seen
}

#[test]
fn row_6_a_job_whose_pods_cannot_be_ended_is_waited_for_only_so_long() {
    let mut subject = Subject::running();
    let seen = failing(&subject, 5, Category::BadInput);
    assert_eq!(subject.pass(&seen, 6).wake, Some(at(5 + 15 + 60)));
    assert_eq!(subject.phase(), Phase::Running);
    subject.pass(&seen, 80);
    assert_eq!(subject.phase(), Phase::Failed);
    assert_eq!(
        subject.status().last_failure.as_ref().unwrap().category,
        "BadInput"
    );
}

#[test]
fn row_6_a_shard_that_saw_the_manifest_knows_better_than_those_that_failed() {
    let mut subject = Subject::running();
    let mut seen = subject.failed_as(Category::Throttled);
    let told = subject.pod(1, 0, complete());
    seen.pods.as_mut().unwrap().push(told);
    subject.pass(&seen, 5);
    assert_eq!(subject.phase(), Phase::Complete);
}

#[test]
fn row_6_a_worker_that_may_have_committed_is_looked_up() {
    let mut subject = last_attempt();
    let seen = subject.failed(
        81,
        Some(Outcome::Failed(Failure {
            category: Category::Unavailable,
            message: "no answer".into(),
            object: None,
            hint: None,
            undecided: true,
        })),
    );
    subject.pass(&seen, 5);
    assert_eq!(subject.mode(), Some(Mode::Settle));
}

#[test]
fn row_6_one_shards_report_does_not_hide_that_another_may_have_committed() {
    let mut subject = Subject::new(json!({
        "retryPolicy": {"maxAttempts": 1}, "execution": {"parallelism": 2}
    }));
    subject.pass(&Observed::default(), 0);
    let mut seen = subject.failed_as(Category::Throttled);
    let told = seen.pods.clone();
    seen.pods.as_mut().unwrap().push(subject.pod(1, 137, None));
    for pods in [seen.pods.clone(), told] {
        let mut subject = subject.clone();
        seen.pods = pods;
        subject.pass(&seen, 5);
        assert_eq!(subject.mode(), Some(Mode::Settle));
        let failure = subject.status().last_failure.as_ref().unwrap();
        assert_eq!(failure.category, "Throttled");
        let seen = subject.succeeded(complete());
        subject.pass(&seen, 6);
        assert_eq!(subject.phase(), Phase::Complete);
    }
}

#[test]
fn row_6_a_report_counts_although_somebody_deletes_the_finished_job() {
    let mut subject = Subject::running();
    let mut seen = subject.failed_as(Category::BadInput);
    seen.jobs[0].deleting = Some(at(5));
    subject.pass(&seen, 6);
    assert_eq!(subject.phase(), Phase::Failed);
    assert_eq!(
        subject.status().last_failure.as_ref().unwrap().category,
        "BadInput"
    );
}

#[test]
fn row_6_pods_stopped_by_the_jobs_own_deadline_are_late_not_disrupted() {
    let mut subject = Subject::running();
    let mut seen = subject.failed(143, None);
    seen.jobs[0].state = JobState::Failed {
        reason: "DeadlineExceeded".into(),
        message: String::new(),
    };
    subject.pass(&seen, 5);
    assert_eq!(subject.failures(), 1);
    assert_eq!(
        subject.status().last_failure.as_ref().unwrap().category,
        "DeadlineExceeded"
    );
}

#[test]
fn row_7_a_job_that_is_gone_is_lost_only_when_a_live_read_says_so() {
    let mut subject = Subject::running();
    subject.pass(&Observed::default(), 5);
    assert_eq!((subject.failures(), subject.creates().len()), (0, 0));
    assert!(subject.last.wake.is_some());
    let gone = subject.gone();
    subject.pass(&gone, 6);
    assert_eq!(subject.failures(), 1);
    assert_eq!(
        subject.status().last_failure.as_ref().unwrap().category,
        "WorkerLost"
    );
}

fn finished() -> Subject {
    let mut subject = Subject::running();
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 5);
    subject
}

#[test]
fn row_8_a_finished_run_stays_finished_without_its_jobs() {
    let mut subject = finished();
    let before = subject.job.clone();
    for seconds in [6, 10_000] {
        let plan = subject.pass(
            &Observed {
                confirmed_gone: true,
                ..Observed::default()
            },
            seconds,
        );
        assert_eq!(*plan, Plan::default());
    }
    assert_eq!(subject.job, before);
}

#[test]
fn row_8_an_edit_beside_the_work_is_acknowledged_and_starts_nothing() {
    let mut subject = finished();
    subject.job.metadata.generation = Some(2);
    subject.job.spec.retry_policy.max_attempts = 9;
    subject.pass(&Observed::default(), 6);
    assert!(subject.last.actions.is_empty());
    assert_eq!(subject.status().observed_generation, Some(2));
    assert_eq!(subject.phase(), Phase::Complete);
    assert_eq!(*subject.pass(&Observed::default(), 7), Plan::default());
}

#[test]
fn row_8_the_time_to_live_waits_for_the_ledger() {
    let mut subject = finished();
    subject.job.spec.ttl_seconds_after_finished = Some(100);
    assert_eq!(subject.pass(&Observed::default(), 50).wake, Some(at(105)));
    subject.pass(&Observed::default(), 105);
    assert!(subject.last.actions.is_empty() && subject.last.wake.is_some());
    let mirrored = subject.status().revision;
    let seen = Observed {
        mirrored_revision: mirrored,
        ..Observed::default()
    };
    assert_eq!(subject.pass(&seen, 106).actions, [Action::DeleteSelf]);
}

#[test]
fn row_8_only_the_newest_finished_jobs_are_kept() {
    let mut subject = Subject::running();
    let mut jobs = Vec::new();
    let mut now = 5;
    for _ in 0..4 {
        subject.job.spec.retry_policy.max_attempts = 9;
        let mut seen = subject.failed_as(Category::Throttled);
        jobs.append(&mut seen.jobs.clone());
        seen.jobs = jobs.clone();
        subject.pass(&seen, now);
        now += 1000;
        subject.pass(
            &Observed {
                jobs: jobs.clone(),
                ..Observed::default()
            },
            now,
        );
    }
    // The oldest is already gone from the pass before.
    jobs.remove(0);
    let mut seen = subject.succeeded(complete());
    jobs.append(&mut seen.jobs);
    seen.jobs = jobs.clone();
    subject.pass(&seen, now + 1);
    let deleted: Vec<_> = subject
        .last
        .actions
        .iter()
        .map(|action| match action {
            Action::Delete { name, .. } => name.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(deleted, [jobs[0].name.clone()]);
}

#[test]
fn row_9_an_invalid_spec_stalls_with_all_problems_and_starts_nothing() {
    let mut subject = Subject::new(json!({
        "source": {"uri": "file:///tmp/a.parquet"}, "output": {"keyTemplate": "{nope}/x"}
    }));
    subject.pass(&Observed::default(), 0);
    assert!(subject.last.actions.is_empty());
    let status = subject.status();
    assert!(is_true(status, ConditionType::Stalled) && !is_true(status, ConditionType::Failed));
    let message = &status.last_failure.as_ref().unwrap().message;
    assert!(
        message.contains("spec.source.uri") && message.contains("{nope}"),
        "{message}"
    );
    assert_eq!(status.run, None);
    assert_eq!(*subject.pass(&Observed::default(), 1), Plan::default());

    subject.job.metadata.generation = Some(2);
    subject.job.spec.source.uri = "s3://raw/a.parquet".into();
    subject.job.spec.output.key_template = "{name}.json".into();
    subject.pass(&Observed::default(), 2);
    assert_eq!(subject.creates().len(), 1);
    assert!(!is_true(subject.status(), ConditionType::Stalled));
}

#[test]
fn row_9_a_run_under_way_goes_on() {
    let mut subject = Subject::running();
    subject.job.spec.execution.parallelism = 0;
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 5);
    assert_eq!(subject.phase(), Phase::Complete);
}

#[test]
fn row_10_past_the_active_deadline_the_reason_is_written_before_the_delete() {
    let (subject, _) = overdue();
    let ending = subject
        .status()
        .attempt
        .as_ref()
        .unwrap()
        .ending
        .clone()
        .unwrap();
    assert_eq!(ending.reason, EndingReason::DeadlineExceeded);
    assert_eq!(subject.deletes(), 1);
}

#[test]
fn row_12_the_uid_is_recorded_once_a_pod_runs() {
    let subject = Subject::running();
    let attempt = subject.status().attempt.as_ref().unwrap();
    assert_eq!(attempt.job_uid.as_deref(), Some("job-1"));
    assert_eq!(attempt.running_time, Some(at(2)));
    assert_eq!(subject.phase(), Phase::Running);
    assert_eq!(subject.last.wake, Some(at(2 + 3600 + 60)));
}

#[test]
fn row_12_a_pod_that_does_not_start_is_explained_then_timed_out_with_its_reason() {
    let mut subject = Subject::started();
    let waiting = ChildPod {
        waiting: Some("ImagePullBackOff: no such image".into()),
        ..ChildPod::default()
    };
    let seen = Observed {
        jobs: vec![ChildJob {
            active: 1,
            ..subject.child(JobState::Active)
        }],
        pods: Some(vec![waiting]),
        ..Observed::default()
    };
    subject.pass(&seen, 20);
    assert_eq!(subject.reason(ConditionType::Reconciling), "PodNotStarted");
    assert_eq!(subject.pass(&seen, 21).status, None);
    subject.pass(&seen, 600);
    assert_eq!(subject.deletes(), 1);
    let gone = subject.gone();
    subject.pass(&gone, 601);
    let failure = subject.status().last_failure.clone().unwrap();
    assert_eq!(failure.category, "StartTimeout");
    assert!(
        failure.message.contains("no such image"),
        "{}",
        failure.message
    );
}

#[test]
fn row_12_a_job_without_pods_is_explained_by_its_own_warning() {
    let mut subject = Subject::started();
    let seen = Observed {
        jobs: vec![subject.child(JobState::Active)],
        pods: Some(vec![]),
        warnings: vec!["FailedCreate: serviceaccount \"etl-worker\" not found".into()],
        ..Observed::default()
    };
    subject.pass(&seen, 20);
    let conditions = &subject.status().conditions;
    assert!(
        conditions.iter().any(|c| c.message.contains("etl-worker")),
        "{conditions:?}"
    );
}

#[test]
fn row_12_more_than_five_disruptions_of_one_shard_end_the_attempt() {
    let mut subject = Subject::running();
    let disrupted = ChildPod {
        shard: Some(3),
        disrupted: Some("drained".into()),
        started: true,
        ..ChildPod::default()
    };
    let seen = |count| Observed {
        jobs: vec![ChildJob {
            active: 1,
            ..subject.child(JobState::Active)
        }],
        pods: Some(vec![disrupted.clone(); count]),
        ..Observed::default()
    };
    let (five, six) = (seen(5), seen(6));
    subject.pass(&five, 5);
    assert_eq!(subject.deletes(), 0);
    subject.pass(&six, 6);
    let ending = subject
        .status()
        .attempt
        .as_ref()
        .unwrap()
        .ending
        .clone()
        .unwrap();
    assert_eq!(ending.reason, EndingReason::Disrupted);
}

#[test]
fn row_12_disruptions_whose_pods_are_gone_are_counted_by_kubernetes() {
    let mut subject = Subject::running();
    let seen = |replaced| Observed {
        jobs: vec![ChildJob {
            active: 1,
            ..subject.child(JobState::Active)
        }],
        pods: Some(vec![ChildPod {
            shard: Some(0),
            replaced,
            ..ChildPod::default()
        }]),
        ..Observed::default()
    };
    let (five, six) = (seen(5), seen(6));
    subject.pass(&five, 5);
    assert_eq!(subject.deletes(), 0);
    subject.pass(&six, 6);
    assert_eq!(subject.deletes(), 1);
}

#[test]
fn row_12_why_a_pod_does_not_start_is_looked_at_again_and_again() {
    let mut subject = Subject::started();
    let seen = Observed {
        jobs: vec![ChildJob {
            active: 1,
            ..subject.child(JobState::Active)
        }],
        pods: Some(vec![]),
        ..Observed::default()
    };
    assert_eq!(subject.pass(&seen, 20).wake, Some(at(50)));
    assert_eq!(subject.pass(&seen, 590).wake, Some(at(600)));
}

#[test]
fn row_13_an_intended_job_that_is_not_there_is_created_again_under_its_name() {
    let mut subject = Subject::started();
    let name = subject.creates();
    let before = subject.job.clone();
    subject.pass(&Observed::default(), 3);
    assert_eq!(subject.creates(), name);
    assert_eq!(subject.job, before);
}

#[test]
fn row_13_refusals_are_told_apart() {
    let refused = |refusal| Observed {
        refusal: Some(refusal),
        ..Observed::default()
    };
    let mut taken = Subject::started();
    taken.pass(&refused(Refusal::NameTaken), 1);
    assert_eq!(
        (taken.attempt(), taken.failures(), taken.creates().len()),
        (2, 0, 1)
    );

    let mut invalid = Subject::started();
    invalid.pass(&refused(Refusal::Invalid("bad toleration".into())), 1);
    assert_eq!(
        invalid.status().last_failure.as_ref().unwrap().category,
        "InvalidSpec"
    );
    assert_eq!(invalid.phase(), Phase::Failed);

    let mut forbidden = Subject::started();
    let seen = refused(Refusal::Forbidden("exceeded quota".into()));
    forbidden.pass(&seen, 1);
    assert_eq!(forbidden.reason(ConditionType::Reconciling), "Rejected");
    assert_eq!(forbidden.creates().len(), 1);
    forbidden.pass(&seen, 600);
    assert_eq!(forbidden.failures(), 1);
    assert_eq!(
        forbidden.status().last_failure.as_ref().unwrap().category,
        "Rejected"
    );
}

#[test]
fn row_13_a_create_that_keeps_failing_is_shown_and_ends_with_the_time_to_start() {
    let mut subject = Subject::started();
    let seen = Observed {
        refusal: Some(Refusal::Failing("webhook is away".into())),
        ..Observed::default()
    };
    subject.pass(&seen, 1);
    let conditions = &subject.status().conditions;
    assert!(
        conditions
            .iter()
            .any(|c| c.message.contains("webhook is away"))
    );
    assert_eq!(subject.creates().len(), 1);
    subject.pass(&seen, 600);
    let failure = subject.status().last_failure.clone().unwrap();
    assert_eq!(failure.category, "StartTimeout");
    assert!(failure.message.contains("webhook is away"));
}

#[test]
fn row_13_an_intent_that_nobody_tried_in_time_costs_nothing() {
    let mut subject = last_attempt();
    subject.pass(&Observed::default(), 700);
    assert_eq!((subject.attempt(), subject.failures()), (2, 0));
    assert_eq!(subject.creates().len(), 1);
    assert_eq!(
        subject.status().attempt.as_ref().unwrap().start_time,
        at(700)
    );
}

#[test]
fn row_14_an_early_pass_changes_and_counts_nothing() {
    let mut subject = Subject::running();
    let seen = subject.failed_as(Category::Throttled);
    subject.pass(&seen, 5);
    let before = subject.job.clone();
    for seconds in 6..15 {
        let plan = subject.pass(&seen, seconds);
        assert_eq!((&plan.status, plan.wake), (&None, Some(at(15))));
        assert!(plan.actions.is_empty() && plan.events.is_empty());
    }
    assert_eq!(subject.job, before);
}

#[test]
fn row_15_the_intent_names_the_job_that_is_created() {
    let subject = Subject::started();
    let attempt = subject.status().attempt.clone().unwrap();
    assert_eq!((attempt.number, attempt.start_time), (1, at(0)));
    assert_eq!(subject.creates(), [attempt.job_name]);
    let run = subject.status().run.clone().unwrap();
    assert_eq!((run.worker_image.as_str(), run.shards), ("worker:1", 1));
    assert_eq!(subject.status().revision, Some(at(0).as_millisecond()));
}

#[test]
fn what_a_run_needs_to_stay_the_same_is_frozen() {
    let mut subject = Subject::running();
    subject.job.spec.execution.parallelism = 8;
    let seen = subject.failed_as(Category::Throttled);
    subject.pass(&seen, 5);
    subject.last = plan(
        &subject.job,
        &Observed::default(),
        &Settings {
            worker_image: "worker:2".into(),
            ..settings()
        },
        at(20),
    );
    let Some(Action::Create(child)) = subject.last.actions.first() else {
        panic!()
    };
    assert_eq!(
        (child.order.shards, child.pod.image.as_str()),
        (1, "worker:1")
    );
    assert_eq!(child.order.run.start_time, at(0));
}

#[test]
fn a_clock_that_goes_back_never_makes_a_revision_go_back() {
    let mut subject = Subject::running();
    let before = subject.status().revision.unwrap();
    let seen = subject.succeeded(complete());
    subject.pass(&seen, -100_000);
    assert_eq!(subject.status().revision, Some(before + 1));
}

#[test]
fn the_largest_status_stays_below_eight_kibibytes() {
    let mut subject = Subject::new(json!({"retryPolicy": {"maxAttempts": 100}}));
    let mut now = 0;
    for round in 0..14 {
        subject.pass(&Observed::default(), now);
        let category = if round % 2 == 0 {
            Category::SourceChanged
        } else {
            Category::Throttled
        };
        let failure = Failure {
            category,
            message: "m".repeat(3000),
            object: Some(format!("s3://b/{}", "k".repeat(1024))),
            hint: Some("h".repeat(2000)),
            undecided: false,
        };
        let seen = subject.failed(
            i32::from(category.exit_code()),
            Some(Outcome::Failed(failure)),
        );
        subject.pass(&seen, now + 1);
        now += 100_000;
    }
    // And it is being ended for a reason that Kubernetes tells at length.
    subject.pass(&Observed::default(), now);
    let waiting = ChildPod {
        waiting: Some("w".repeat(9000)),
        ..ChildPod::default()
    };
    let seen = Observed {
        jobs: vec![subject.child(JobState::Active)],
        pods: Some(vec![waiting]),
        ..Observed::default()
    };
    subject.pass(&seen, now + 1000);
    assert!(subject.status().attempt.as_ref().unwrap().ending.is_some());
    let size = serde_json::to_string(subject.status()).unwrap().len();
    assert!(size <= 8192, "{size}");

    let seen = subject.succeeded(Some(Outcome::Complete {
        statistics: Statistics::default(),
        output: OutputLocation {
            manifest_uri: format!("s3://b/{}/_etl/m", "€".repeat(1100)),
            first_object_uri: Some(format!("s3://b/{}", "€".repeat(1100))),
        },
        skipped: vec![
            SkippedObject {
                uri: "€".repeat(350),
                category: Category::UnsupportedInput,
                reason: "€".repeat(350),
            };
            5
        ],
    }));
    subject.pass(&seen, now + 1001);
    assert_eq!(subject.phase(), Phase::Complete);
    let size = serde_json::to_string(subject.status()).unwrap().len();
    assert!(size <= 8192, "{size}");

    let globs = vec!["[".repeat(511); 32];
    let mut invalid = Subject::new(json!({
        "source": {"uri": "s3://raw/in/", "include": globs, "exclude": globs}
    }));
    invalid.pass(&Observed::default(), 0);
    let size = serde_json::to_string(invalid.status()).unwrap().len();
    assert!(size <= 8192, "{size}");
}

/// One thing that may happen to the open attempt's Job.
#[derive(Clone, Debug)]
enum Happening {
    Nothing,
    Runs,
    Succeeds(bool),
    Fails(usize),
    Lost,
    Gone,
    Failing(usize),
    Deleting,
    Refused,
    Held,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        Just(Happening::Nothing),
        Just(Happening::Runs),
        any::<bool>().prop_map(Happening::Succeeds),
        (0..Category::ALL.len()).prop_map(Happening::Fails),
        Just(Happening::Lost),
        Just(Happening::Gone),
        (0..Category::ALL.len()).prop_map(Happening::Failing),
        Just(Happening::Deleting),
        Just(Happening::Refused),
        Just(Happening::Held),
    ]
}

fn happen(subject: &Subject, happening: &Happening) -> Observed {
    if subject
        .job
        .status
        .as_ref()
        .is_none_or(|status| status.attempt.is_none())
    {
        return Observed::default();
    }
    match happening {
        Happening::Nothing => Observed {
            jobs: vec![ChildJob {
                active: 1,
                ..subject.child(JobState::Active)
            }],
            ..Observed::default()
        },
        Happening::Runs => Observed {
            jobs: vec![ChildJob {
                active: 1,
                ready: 1,
                ..subject.child(JobState::Active)
            }],
            ..Observed::default()
        },
        Happening::Succeeds(told) => subject.succeeded(complete().filter(|_| *told)),
        Happening::Fails(index) => subject.failed_as(Category::ALL[*index]),
        Happening::Lost => subject.lost(),
        Happening::Gone => subject.gone(),
        Happening::Failing(index) => failing(subject, 0, Category::ALL[*index]),
        Happening::Deleting => Observed {
            jobs: vec![ChildJob {
                deleting: Some(at(0)),
                active: 1,
                ..subject.child(JobState::Active)
            }],
            pods: Some(vec![]),
            ..Observed::default()
        },
        Happening::Held => Observed {
            jobs: vec![ChildJob {
                suspended: true,
                ..subject.child(JobState::Active)
            }],
            ..Observed::default()
        },
        Happening::Refused => Observed {
            refusal: Some(Refusal::Forbidden("exceeded quota".into())),
            ..Observed::default()
        },
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_promises_hold(
        happenings in prop::collection::vec((happening(), 0i64..5000), 1..40)
    ) {
        let mut subject = Subject::new(json!({}));
        let (mut now, mut attempts, mut ended) = (0, Vec::new(), None);
        for (happening, pause) in happenings {
            now += pause;
            let seen = happen(&subject, &happening);
            let plan = subject.pass(&seen, now).clone();
            let status = subject.status();
            let run = status.run.clone().unwrap();

            // Intent before effect, and consecutive attempts.
            for name in creates(&plan) {
                prop_assert_eq!(&status.attempt.as_ref().unwrap().job_name, &name);
                if attempts.last() != Some(&name) {
                    attempts.push(name);
                    prop_assert_eq!(subject.attempt() as usize, attempts.len());
                }
            }
            // Exact limits.
            prop_assert!(run.failures <= 3);
            // Finished stays finished.
            if ended.is_some() {
                prop_assert_eq!(&plan, &Plan::default());
                prop_assert_eq!(ended, run.completion_time);
            }
            ended = run.completion_time;
            // Nothing hangs.
            let held = status.phase == Some(Phase::Queued) && !looks_up(status);
            prop_assert!(held || ended.is_some() || plan.wake.is_some() || !plan.actions.is_empty());
            prop_assert!(settles(&subject, &seen, now), "{:?}", subject.status());
        }
    }
}

/// Whether the open attempt is a look-up: it never waits without a limit.
fn looks_up(status: &EtlJobStatus) -> bool {
    let attempt = status.attempt.as_ref();
    attempt.is_some_and(|attempt| attempt.settle)
}

/// Whether passes over the same facts come to rest, unless one of them closes
/// the attempt that the facts are about.
fn settles(subject: &Subject, seen: &Observed, now: i64) -> bool {
    let mut subject = subject.clone();
    let attempt = |subject: &Subject| subject.status().attempt.as_ref().map(|a| a.number);
    let before = attempt(&subject);
    (0..3).any(|_| {
        let quiet = subject.pass(seen, now).status.is_none();
        quiet || attempt(&subject) != before
    })
}
