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

#[test]
fn row_11_a_look_up_that_is_held_all_the_same_has_only_its_time_to_start() {
    let mut subject = last_attempt();
    let lost = subject.lost();
    subject.pass(&lost, 5);
    let held = seen(held(&subject));
    subject.pass(&held, 10);
    assert_eq!(subject.phase(), Phase::Queued);
    assert_eq!(subject.last.wake, Some(at(605)));
    subject.pass(&held, 604);
    assert_eq!(subject.deletes(), 0);
    subject.pass(&held, 605);
    assert_eq!(subject.deletes(), 1);
    let gone = subject.gone();
    subject.pass(&gone, 606);
    assert_eq!(subject.phase(), Phase::Retrying);
    assert!(subject.last.wake.is_some());
}

#[test]
fn row_11_a_cancel_and_a_deadline_end_what_nothing_admits() {
    let limited = json!({"execution": {"deadlineSeconds": 1000}});
    let mut subject = Subject::new(limited);
    subject.pass(&Observed::default(), 0);
    let first = seen(held(&subject));
    subject.pass(&first, 3);
    let mut cancelled = subject.clone();
    cancelled.job.spec.cancel = true;
    for (subject, reason) in [
        (&mut cancelled, "Cancelled"),
        (&mut subject, "DeadlineExceeded"),
    ] {
        subject.pass(&first, 1000);
        assert_eq!(subject.deletes(), 1);
        let gone = subject.gone();
        subject.pass(&gone, 1001);
        assert_eq!(subject.mode(), Some(Mode::Settle));
        let look_up = seen(held(subject));
        subject.pass(&look_up, 1002);
        // Nothing of the run ever ran.
        assert_eq!(subject.last.wake, Some(at(1061)));
        subject.pass(&look_up, 1061);
        let gone = subject.gone();
        subject.pass(&gone, 1062);
        assert_eq!(subject.phase(), Phase::Failed);
        assert_eq!(subject.reason(ConditionType::Failed), reason);
    }
}

#[test]
fn row_11_the_end_of_a_job_that_nothing_ever_admitted_needs_no_look_up() {
    let mut subject = Subject::started();
    let never = ChildJob {
        never_resumed: true,
        ..held(&subject)
    };
    subject.pass(&seen(never.clone()), 3);
    subject.job.spec.cancel = true;
    subject.pass(&seen(never.clone()), 10);
    // Until the server has begun to delete it, a queue may still admit it.
    let plan = subject.pass(&seen(never.clone()), 11).clone();
    assert_eq!((plan.status, subject.deletes()), (None, 1));
    let going = ChildJob {
        deleting: Some(at(10)),
        ..never
    };
    subject.pass(&seen(going), 12);
    assert_eq!(subject.mode(), None);
    assert_eq!(subject.phase(), Phase::Failed);
    assert_eq!(subject.reason(ConditionType::Failed), "Cancelled");
    assert_eq!(subject.status().attempts.len(), 1);
}

#[test]
fn row_11_a_preempted_attempt_is_remembered_to_have_run() {
    let mut subject = Subject::running();
    let preempted = seen(held(&subject));
    subject.pass(&preempted, 100);
    subject.job.spec.cancel = true;
    subject.pass(&preempted, 200);
    let gone = subject.gone();
    subject.pass(&gone, 201);
    assert_eq!(subject.mode(), Some(Mode::Settle));
    let closed = &subject.status().attempts[0];
    assert_eq!((closed.running_time, closed.preempted), (None, true));
    // It may have committed: what keeps a look-up from starting proves nothing.
    time_out_at_start(&mut subject, 201);
    assert_eq!(subject.phase(), Phase::Retrying);
}
