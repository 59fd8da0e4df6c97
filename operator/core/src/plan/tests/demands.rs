//! Row 10 and what follows from it: other work, a cancel, a deadline of the run,
//! a suspend.

use etl_api::{EndingReason, EtlJobSpec, Phase};
use etl_contract::{Category, Mode, Outcome};
use serde_json::json;

use super::*;
use crate::ledger::{self, ProcessingStatus};

fn reads(uri: &'static str) -> impl Fn(&mut EtlJobSpec) {
    move |spec| spec.source.uri = uri.into()
}

const OTHER: &str = "s3://raw/in/b.parquet";

impl Subject {
    fn edit(&mut self, change: impl FnOnce(&mut EtlJobSpec)) {
        change(&mut self.job.spec);
        let generation = self.job.metadata.generation.unwrap();
        self.job.metadata.generation = Some(generation + 1);
    }

    /// The open attempt's Job, running.
    fn active(&self) -> Observed {
        Observed {
            jobs: vec![ChildJob {
                active: 1,
                ready: 1,
                ..self.child(JobState::Active)
            }],
            ..Observed::default()
        }
    }

    fn ending(&self) -> Option<EndingReason> {
        let attempt = self.status().attempt.as_ref()?;
        attempt.ending.as_ref().map(|ending| ending.reason)
    }

    /// Two passes: one that ends the running attempt, one that finds it gone.
    fn interrupted(&mut self, seconds: i64) {
        let active = self.active();
        self.pass(&active, seconds);
        assert_eq!(self.deletes(), 1);
        let gone = self.gone();
        self.pass(&gone, seconds + 1);
    }

    fn run(&self) -> &etl_api::Run {
        self.status().run.as_ref().unwrap()
    }

    fn outcome(&self) -> (&str, &str) {
        let outcome = self.run().outcome.as_ref().unwrap();
        (&outcome.result, &outcome.reason)
    }

    fn order(&self) -> &etl_contract::WorkOrder {
        let Some(Action::Create(child)) = self.last.actions.first() else {
            panic!("{:?}", self.last)
        };
        &child.order
    }

    fn rows(&self) -> Vec<(String, ProcessingStatus)> {
        let records = ledger::records(&self.job, &settings()).into_iter();
        records
            .map(|record| (record.source_file_path, record.processing_status))
            .collect()
    }
}

#[test]
fn other_work_ends_the_attempt_first_and_then_begins_the_next_run() {
    let mut subject = Subject::running();
    subject.edit(reads(OTHER));
    let active = subject.active();
    subject.pass(&active, 5);
    assert_eq!(
        (subject.ending(), subject.deletes()),
        (Some(EndingReason::NewerRun), 1)
    );
    assert_eq!(subject.run().number, 1);

    let gone = subject.gone();
    subject.pass(&gone, 6);
    assert_eq!((subject.run().number, subject.attempt()), (2, 2));
    assert_eq!((subject.failures(), subject.run().start_time), (0, at(6)));
    let order = subject.order();
    assert_eq!((order.run.number, order.source.uri.as_str()), (2, OTHER));
    let closed = &subject.status().runs[0];
    assert_eq!((closed.number, closed.result.as_str()), (1, "Cancelled"));
    assert_eq!(subject.status().attempts[0].result, "Replaced");
    assert_eq!(
        subject.rows(),
        [
            (
                "s3://raw/in/a.parquet".to_owned(),
                ProcessingStatus::Cancelled
            ),
            (OTHER.to_owned(), ProcessingStatus::InProgress),
        ]
    );
}

#[test]
fn other_work_after_the_end_begins_the_next_run_and_the_ledger_keeps_the_last() {
    let mut subject = finished();
    let before = ledger::records(&subject.job, &settings()).remove(0);
    subject.edit(reads(OTHER));
    subject.pass(&Observed::default(), 9);
    assert_eq!((subject.run().number, subject.attempt()), (2, 2));
    assert!(!is_true(subject.status(), ConditionType::Complete));
    assert_eq!(subject.status().statistics, None);
    assert_eq!(subject.status().output, None);
    let mut after = ledger::records(&subject.job, &settings()).remove(0);
    assert_eq!(after.revision, before.revision);
    after.attempt = before.attempt;
    assert_eq!(after, before);
}

#[test]
fn a_run_id_asks_for_another_run_of_the_same_work() {
    let mut subject = finished();
    subject.edit(|spec| spec.run_id = Some("again".into()));
    subject.pass(&Observed::default(), 9);
    let run = subject.run();
    assert_eq!((run.number, run.id.as_deref()), (2, Some("again")));
    // And is remembered.
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 10);
    subject.pass(&Observed::default(), 11);
    assert_eq!(
        (subject.run().number, subject.phase()),
        (2, Phase::Complete)
    );
}

#[test]
fn a_new_run_needs_a_new_generation_and_another_hash() {
    let mut upgraded = finished();
    let run = upgraded.job.status.as_mut().unwrap().run.as_mut().unwrap();
    run.work_hash = "v0:0".into();
    assert_eq!(*upgraded.pass(&Observed::default(), 9), Plan::default());

    let mut edited = finished();
    edited.edit(|spec| spec.retry_policy.max_attempts = 9);
    edited.pass(&Observed::default(), 9);
    assert!(edited.last.actions.is_empty());
    assert_eq!(edited.run().generation, Some(2));
}

#[test]
fn other_work_is_not_missed_in_a_status_that_knows_no_generation() {
    let forget = |subject: &mut Subject| {
        let status = subject.job.status.as_mut().unwrap();
        status.run.as_mut().unwrap().generation = None;
        assert_eq!(status.observed_generation, Some(1));
    };
    let mut running = Subject::running();
    forget(&mut running);
    running.edit(reads(OTHER));
    running.interrupted(5);
    assert_eq!(running.run().number, 2);

    // And not when a stray is in the way.
    let mut ended = Subject::running();
    let stray = ChildJob {
        name: "old".into(),
        ..ended.child(JobState::Active)
    };
    let seen = ended.succeeded(complete());
    ended.pass(&seen, 5);
    forget(&mut ended);
    ended.edit(reads(OTHER));
    let seen = Observed {
        jobs: vec![stray],
        ..Observed::default()
    };
    ended.pass(&seen, 6);
    assert_eq!((ended.run().number, ended.deletes()), (1, 1));
    ended.pass(&Observed::default(), 7);
    assert_eq!(ended.run().number, 2);
}

#[test]
fn a_run_that_succeeds_as_other_work_is_asked_for_is_complete_first() {
    let mut subject = Subject::running();
    subject.edit(reads(OTHER));
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 5);
    assert_eq!(
        (subject.run().number, subject.phase()),
        (1, Phase::Complete)
    );
    assert_eq!(subject.last.wake, Some(at(5)));
    subject.pass(&Observed::default(), 6);
    assert_eq!(subject.run().number, 2);
}

#[test]
fn an_edit_that_is_taken_back_before_the_job_is_gone_costs_nothing() {
    let mut subject = Subject::running();
    let first = subject.job.spec.source.uri.clone();
    subject.edit(reads(OTHER));
    let active = subject.active();
    subject.pass(&active, 5);
    subject.edit(|spec| spec.source.uri = first);
    let gone = subject.gone();
    subject.pass(&gone, 6);
    assert_eq!((subject.run().number, subject.attempt()), (1, 2));
    assert_eq!(subject.failures(), 0);
}

#[test]
fn an_invalid_edit_does_not_disturb_the_run_under_way_nor_its_end() {
    let mut subject = Subject::running();
    let first = subject.job.spec.source.uri.clone();
    subject.edit(reads("nowhere"));
    let active = subject.active();
    subject.pass(&active, 5);
    assert_eq!((subject.ending(), subject.phase()), (None, Phase::Running));
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 6);
    assert_eq!(subject.phase(), Phase::Complete);

    subject.pass(&Observed::default(), 7);
    assert_eq!(subject.phase(), Phase::Failed);
    assert_eq!(subject.reason(ConditionType::Stalled), "InvalidSpec");
    assert!(!is_true(subject.status(), ConditionType::Failed));
    let summary = subject.status().summary.clone().unwrap();
    assert_eq!(summary.failure.as_deref(), Some("InvalidSpec"));
    assert_eq!(
        subject.rows(),
        [(first.clone(), ProcessingStatus::Completed)]
    );
    assert_eq!(subject.pass(&Observed::default(), 8).status, None);

    subject.edit(|spec| spec.source.uri = first);
    subject.pass(&Observed::default(), 9);
    assert_eq!(
        (subject.run().number, subject.phase()),
        (1, Phase::Complete)
    );
    assert_eq!(subject.reason(ConditionType::Complete), "Completed");
    assert!(subject.last.actions.is_empty());
}

#[test]
fn no_job_is_made_for_a_run_from_a_spec_that_asks_for_other_work() {
    for uri in [OTHER, "nowhere"] {
        let mut subject = Subject::started();
        subject.edit(reads(uri));
        subject.pass(&Observed::default(), 1);
        assert!(subject.last.actions.is_empty(), "{uri}");
        assert_eq!(subject.ending(), Some(EndingReason::NewerRun));
        // The cache may lag behind the create: a live read decides.
        subject.pass(&Observed::default(), 2);
        assert_eq!(subject.attempt(), 1);
        let gone = subject.gone();
        subject.pass(&gone, 3);
        assert_eq!(subject.status().attempts[0].result, "Replaced");
        let runs = subject.status().run.as_ref().unwrap().number;
        assert_eq!(runs, if uri == OTHER { 2 } else { 1 });
        assert_eq!(subject.creates().len(), usize::from(uri == OTHER));
    }
}

#[test]
fn how_a_run_ended_is_looked_up_where_it_wrote_before_other_work_begins() {
    let mut subject = last_attempt();
    let seen = subject.lost();
    subject.edit(|spec| spec.output.uri = "s3://elsewhere/".into());
    subject.pass(&seen, 5);
    let order = subject.order();
    assert_eq!(
        (order.mode, order.output.uri.as_str()),
        (Mode::Settle, "s3://out/")
    );
    let active = subject.active();
    subject.pass(&active, 6);
    assert_eq!(subject.ending(), None);
    let seen = subject.succeeded(complete());
    subject.pass(&seen, 7);
    assert_eq!(
        (subject.run().number, subject.phase()),
        (1, Phase::Complete)
    );
    subject.pass(&Observed::default(), 8);
    assert_eq!(subject.run().number, 2);
    assert_eq!(subject.order().output.uri, "s3://elsewhere/");
}

#[test]
fn a_suspend_ends_the_attempt_for_free_and_a_resume_goes_on_with_the_run() {
    let mut subject = Subject::running();
    subject.edit(|spec| spec.suspend = true);
    subject.interrupted(5);
    assert_eq!((subject.phase(), subject.failures()), (Phase::Suspended, 0));
    assert!(is_true(subject.status(), ConditionType::Suspended));
    assert!(!is_true(subject.status(), ConditionType::Reconciling));
    assert_eq!(subject.run().free_attempts, 1);
    assert_eq!(subject.pass(&Observed::default(), 900).status, None);

    subject.edit(|spec| spec.suspend = false);
    subject.pass(&Observed::default(), 1000);
    assert_eq!((subject.run().number, subject.attempt()), (1, 2));
    assert_eq!(subject.mode(), Some(Mode::Convert));
    assert!(!is_true(subject.status(), ConditionType::Suspended));
    assert!(is_true(subject.status(), ConditionType::Reconciling));
}

#[test]
fn suspends_are_never_charged() {
    let mut subject = Subject::running();
    for round in 0..9 {
        subject.edit(|spec| spec.suspend = true);
        subject.interrupted(100 * round + 5);
        subject.edit(|spec| spec.suspend = false);
        subject.pass(&Observed::default(), 100 * round + 50);
    }
    assert_eq!((subject.failures(), subject.attempt()), (0, 10));
}

#[test]
fn what_is_suspended_from_the_start_starts_when_it_is_resumed() {
    let mut subject = Subject::new(json!({"suspend": true}));
    subject.pass(&Observed::default(), 0);
    assert_eq!(
        (subject.phase(), subject.creates().len()),
        (Phase::Suspended, 0)
    );
    assert_eq!(subject.status().run, None);
    assert_eq!(*subject.pass(&Observed::default(), 1), Plan::default());
    subject.edit(|spec| spec.suspend = false);
    subject.pass(&Observed::default(), 100);
    assert_eq!(subject.run().start_time, at(100));
    assert_eq!(
        (subject.phase(), subject.creates().len()),
        (Phase::Pending, 1)
    );
}

#[test]
fn what_was_wrong_with_a_suspended_spec_is_forgotten_when_it_is_mended() {
    let mut subject = Subject::new(json!({"suspend": true}));
    subject.pass(&Observed::default(), 0);
    let before = subject.status().clone();
    subject.edit(|spec| spec.output.uri = "s3://b/".into());
    subject.pass(&Observed::default(), 1);
    assert_eq!(subject.reason(ConditionType::Stalled), "InvalidSpec");
    subject.edit(|spec| spec.output.uri = "s3://out/".into());
    subject.pass(&Observed::default(), 2);
    assert_eq!(subject.status().last_failure, None);
    assert_eq!(subject.status().summary, before.summary);
}

#[test]
fn a_suspend_does_not_shorten_the_wait_for_the_next_attempt() {
    let mut subject = Subject::running();
    let seen = subject.failed_as(Category::Throttled);
    subject.edit(|spec| spec.suspend = true);
    subject.pass(&seen, 5);
    assert_eq!((subject.phase(), subject.failures()), (Phase::Suspended, 1));
    subject.edit(|spec| spec.suspend = false);
    subject.pass(&Observed::default(), 10);
    assert_eq!(subject.phase(), Phase::Retrying);
    assert_eq!(subject.last.wake, Some(at(15)));
    subject.pass(&Observed::default(), 15);
    assert_eq!(subject.attempt(), 2);
}

#[test]
fn a_cancel_looks_up_whether_the_attempt_had_committed() {
    let mut subject = Subject::running();
    subject.edit(|spec| spec.cancel = true);
    subject.interrupted(5);
    assert_eq!(subject.mode(), Some(Mode::Settle));
    // The look-up is not cancelled, nor held back.
    subject.edit(|spec| spec.suspend = true);
    let active = subject.active();
    subject.pass(&active, 7);
    assert_eq!(subject.ending(), None);

    let mut committed = subject.clone();
    let seen = committed.succeeded(complete());
    committed.pass(&seen, 8);
    assert_eq!(committed.phase(), Phase::Complete);

    let seen = subject.succeeded(Some(Outcome::NoManifest));
    subject.pass(&seen, 8);
    assert_eq!(subject.phase(), Phase::Failed);
    assert_eq!(subject.outcome(), ("Cancelled", "Cancelled"));
    assert!(is_true(subject.status(), ConditionType::Failed));
    assert_eq!(subject.failures(), 0);
    assert_eq!(subject.rows()[0].1, ProcessingStatus::Cancelled);
    // Finished stays finished.
    subject.edit(|spec| (spec.cancel, spec.suspend) = (false, false));
    subject.pass(&Observed::default(), 9);
    assert!(subject.last.actions.is_empty());
    assert_eq!(subject.phase(), Phase::Failed);
}

#[test]
fn a_cancel_of_what_never_ran_does_not_wait_long_for_a_look_up_that_cannot_start() {
    let mut subject = Subject::started();
    let stuck = |subject: &Subject| Observed {
        jobs: vec![ChildJob {
            active: 1,
            ..subject.child(JobState::Active)
        }],
        pods: Some(vec![ChildPod::default()]),
        ..Observed::default()
    };
    subject.edit(|spec| spec.cancel = true);
    let seen = stuck(&subject);
    subject.pass(&seen, 5);
    let gone = subject.gone();
    subject.pass(&gone, 6);
    assert_eq!(subject.mode(), Some(Mode::Settle));
    let seen = stuck(&subject);
    subject.pass(&seen, 65);
    assert_eq!(subject.ending(), None);
    subject.pass(&seen, 66);
    assert_eq!(subject.ending(), Some(EndingReason::StartTimeout));
    let gone = subject.gone();
    subject.pass(&gone, 67);
    assert_eq!(subject.outcome(), ("Cancelled", "Cancelled"));
}

#[test]
fn a_cancel_between_attempts_ends_the_run_at_once() {
    let mut subject = Subject::running();
    let seen = subject.failed_as(Category::Throttled);
    subject.pass(&seen, 5);
    subject.edit(|spec| spec.cancel = true);
    subject.pass(&Observed::default(), 6);
    assert!(subject.last.actions.is_empty());
    assert_eq!(subject.outcome(), ("Cancelled", "Cancelled"));
    assert_eq!(subject.status().next_attempt_time, None);
}

#[test]
fn a_cancel_of_what_is_suspended_is_no_resume() {
    let told = |subject: &Subject| subject.last.events.iter().any(|e| e.reason == "Resumed");
    let mut subject = Subject::running();
    let seen = subject.failed_as(Category::Throttled);
    subject.pass(&seen, 5);
    subject.edit(|spec| spec.suspend = true);
    subject.pass(&Observed::default(), 6);
    assert_eq!(subject.phase(), Phase::Suspended);

    let mut resumed = subject.clone();
    resumed.edit(|spec| spec.suspend = false);
    resumed.pass(&Observed::default(), 7);
    assert!(told(&resumed));

    subject.edit(|spec| spec.cancel = true);
    subject.pass(&Observed::default(), 7);
    assert_eq!(subject.outcome(), ("Cancelled", "Cancelled"));
    assert!(!told(&subject));
}

#[test]
fn a_cancel_before_the_first_run_holds_it_back() {
    let mut subject = Subject::new(json!({"cancel": true, "suspend": true}));
    subject.pass(&Observed::default(), 0);
    assert_eq!(subject.status().run, None);
    assert_eq!(subject.reason(ConditionType::Stalled), "Cancelled");
    assert_eq!(*subject.pass(&Observed::default(), 1), Plan::default());
    subject.edit(|spec| (spec.cancel, spec.suspend) = (false, false));
    subject.pass(&Observed::default(), 2);
    assert_eq!(subject.creates().len(), 1);
}

#[test]
fn a_cancel_of_a_finished_run_changes_nothing() {
    let mut subject = finished();
    let before = subject.status().clone();
    subject.edit(|spec| spec.cancel = true);
    subject.pass(&Observed::default(), 9);
    assert!(subject.last.actions.is_empty());
    assert_eq!(subject.phase(), Phase::Complete);
    assert_eq!(
        subject.status().run.as_ref().unwrap().outcome,
        before.run.unwrap().outcome
    );
}

fn limited() -> Subject {
    let mut subject = Subject::new(json!({"execution": {"deadlineSeconds": 100}}));
    subject.pass(&Observed::default(), 0);
    subject
}

#[test]
fn the_deadline_of_the_run_ends_an_attempt_and_then_the_run() {
    let mut subject = limited();
    assert_eq!(subject.run().deadline_time, Some(at(100)));
    let active = subject.active();
    assert_eq!(subject.pass(&active, 2).wake, Some(at(100)));
    subject.pass(&active, 99);
    assert_eq!(subject.ending(), None);
    subject.pass(&active, 100);
    assert_eq!(subject.ending(), Some(EndingReason::RunDeadlineExceeded));
    let gone = subject.gone();
    subject.pass(&gone, 101);
    assert_eq!(subject.mode(), Some(Mode::Settle));
    let seen = subject.succeeded(Some(Outcome::NoManifest));
    subject.pass(&seen, 102);
    assert_eq!(subject.outcome(), ("DeadlineExceeded", "DeadlineExceeded"));
    let failure = subject.status().last_failure.clone().unwrap();
    assert!(failure.message.contains("longer than 100 s"));
    assert!(failure.hint.unwrap().contains("deadlineSeconds"));
}

#[test]
fn the_deadline_of_the_run_counts_while_it_waits() {
    let mut subject = limited();
    subject.job.spec.retry_policy.backoff.initial_seconds = 600;
    let seen = subject.failed_as(Category::Throttled);
    subject.pass(&seen, 5);
    assert_eq!(subject.last.wake, Some(at(100)));
    subject.pass(&Observed::default(), 100);
    assert_eq!(subject.outcome(), ("DeadlineExceeded", "DeadlineExceeded"));
    assert_eq!(subject.failures(), 1);
}

#[test]
fn the_deadline_of_the_run_stands_still_while_it_is_suspended() {
    let mut subject = limited();
    let active = subject.active();
    subject.pass(&active, 2);
    subject.edit(|spec| spec.suspend = true);
    subject.interrupted(40);
    assert_eq!(subject.run().deadline_time, None);
    subject.pass(&Observed::default(), 5000);
    assert_eq!(subject.phase(), Phase::Suspended);
    subject.edit(|spec| spec.suspend = false);
    subject.pass(&Observed::default(), 5040);
    assert_eq!(subject.run().deadline_time, Some(at(100 + 5000)));
    // An edit counts from the same base.
    subject.edit(|spec| spec.execution.deadline_seconds = Some(200));
    let active = subject.active();
    subject.pass(&active, 5041);
    assert_eq!(subject.run().deadline_time, Some(at(200 + 5000)));
}

#[test]
fn the_deadline_of_the_run_is_not_renewed_by_a_source_that_changes() {
    let mut subject = limited();
    let seen = subject.failed_as(Category::SourceChanged);
    subject.pass(&seen, 5);
    subject.pass(&Observed::default(), 20);
    assert_eq!(subject.run().number, 2);
    assert_eq!(subject.run().deadline_time, Some(at(100)));
}

/// One thing that somebody may do to the spec.
#[derive(Clone, Debug)]
enum Edit {
    Work(u8),
    Invalid,
    Suspend(bool),
    Cancel(bool),
    Deadline(Option<u32>),
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0u8..3).prop_map(Edit::Work),
        Just(Edit::Invalid),
        any::<bool>().prop_map(Edit::Suspend),
        any::<bool>().prop_map(Edit::Cancel),
        prop::option::of(10u32..5000).prop_map(Edit::Deadline),
    ]
}

fn apply(spec: &mut EtlJobSpec, edit: &Edit) {
    match edit {
        Edit::Work(n) => spec.source.uri = format!("s3://raw/in/{n}.parquet"),
        Edit::Invalid => spec.source.uri = "nowhere".into(),
        Edit::Suspend(suspend) => spec.suspend = *suspend,
        Edit::Cancel(cancel) => spec.cancel = *cancel,
        Edit::Deadline(seconds) => spec.execution.deadline_seconds = *seconds,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_is_asked_for_the_promises_hold(
        steps in prop::collection::vec((happening(), prop::option::weighted(0.3, edits()), 0i64..3000), 1..60)
    ) {
        let mut subject = Subject::new(json!({}));
        let (mut now, mut attempts, mut runs) = (0, Vec::new(), BTreeMap::new());
        for (happening, edit, pause) in steps {
            now += pause;
            if let Some(edit) = edit {
                subject.edit(|spec| apply(spec, &edit));
            }
            let seen = happen(&subject, &happening);
            let plan = subject.pass(&seen, now).clone();
            let status = subject.status();
            let spec = &subject.job.spec;

            for action in &plan.actions {
                let Action::Create(child) = action else { continue };
                // Intent before effect, and consecutive attempts.
                prop_assert_eq!(&status.attempt.as_ref().unwrap().job_name, &child.name);
                if attempts.last() != Some(&child.name) {
                    attempts.push(child.name.clone());
                }
                let run = status.run.as_ref().unwrap();
                prop_assert!(run.completion_time.is_none());
                // Nothing is started against the spec.
                let look_up = child.order.mode == Mode::Settle;
                prop_assert!(look_up || !spec.cancel);
                prop_assert!(spec.cancel || !spec.suspend);
                // A run's work never changes under it.
                prop_assert!(look_up || crate::work::work_hash(spec) == run.work_hash);
            }
            if let Some(run) = &status.run {
                prop_assert!(run.failures <= 3);
                // Finished stays finished, and runs follow each other.
                if let Some((number, end)) = runs.last_key_value() {
                    prop_assert!(*number == run.number || *number + 1 == run.number);
                    prop_assert!(Option::is_none(end) || *number != run.number || *end == run.outcome);
                }
                runs.insert(run.number, run.outcome.clone());
            }
            // Nothing hangs without saying for what.
            let queued = status.phase == Some(Phase::Queued) && !looks_up(status);
            let held = queued
                || status.phase == Some(Phase::Suspended)
                || is_true(status, ConditionType::Stalled);
            let ended = status.run.as_ref().is_some_and(|run| run.outcome.is_some());
            prop_assert!(held || ended || plan.wake.is_some() || !plan.actions.is_empty());
            prop_assert!(settles(&subject, &seen, now), "{:?}", subject.status());
        }
    }
}
