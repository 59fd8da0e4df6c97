//! Row 11: the Job is suspended, as a queue does that holds it.

use etl_api::Phase;
use serde_json::json;

use super::*;

fn held(subject: &Subject) -> ChildJob {
    ChildJob {
        suspended: true,
        ..subject.child(JobState::Active)
    }
}

fn seen(job: ChildJob) -> Observed {
    Observed {
        jobs: vec![job],
        ..Observed::default()
    }
}

#[test]
fn row_11_a_held_job_is_queued_and_no_deadline_of_the_attempt_counts() {
    let mut subject = Subject::started();
    let held = seen(held(&subject));
    subject.pass(&held, 3);
    assert_eq!(subject.phase(), Phase::Queued);
    assert!(is_true(subject.status(), ConditionType::Reconciling));
    // Its Job's watch is what wakes.
    let plan = subject.pass(&held, 100_000).clone();
    assert_eq!(plan, Plan::default());
}

#[test]
fn row_11_the_deadline_of_the_run_counts() {
    let mut subject = Subject::new(json!({"execution": {"deadlineSeconds": 1000}}));
    subject.pass(&Observed::default(), 0);
    let held = seen(held(&subject));
    assert_eq!(subject.pass(&held, 3).wake, Some(at(1000)));
    subject.pass(&held, 1000);
    assert_eq!(subject.deletes(), 1);
}

#[test]
fn row_11_the_time_to_start_begins_when_the_job_is_admitted() {
    let mut subject = Subject::started();
    let queued = seen(held(&subject));
    subject.pass(&queued, 3);
    let admitted = seen(ChildJob {
        active: 1,
        resumed: Some(at(5000)),
        ..subject.child(JobState::Active)
    });
    let plan = subject.pass(&admitted, 5001).clone();
    assert_eq!(
        (subject.phase(), plan.wake),
        (Phase::Pending, Some(at(5020)))
    );
    subject.pass(&admitted, 5599);
    assert_eq!(subject.deletes(), 0);
    subject.pass(&admitted, 5600);
    assert_eq!(subject.deletes(), 1);
}

#[test]
fn row_11_a_preempted_attempt_waits_again_and_then_has_all_its_time() {
    let mut subject = Subject::running();
    let preempted = seen(held(&subject));
    subject.pass(&preempted, 100);
    assert_eq!(subject.phase(), Phase::Queued);
    assert_eq!(subject.pass(&preempted, 50_000).status, None);
    let again = seen(ChildJob {
        active: 1,
        ready: 1,
        resumed: Some(at(50_001)),
        ..subject.child(JobState::Active)
    });
    subject.pass(&again, 50_002);
    assert_eq!((subject.phase(), subject.failures()), (Phase::Running, 0));
    assert_eq!(subject.last.wake, Some(at(50_002 + 3600 + 60)));
}
