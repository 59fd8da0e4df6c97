//! The clock of a run: its deadline, which counts its waits and stands still while
//! it is suspended.

use etl_api::{EtlJobSpec, Run};
use jiff::{SignedDuration, Timestamp};

use super::demand;
use super::draft::Draft;

/// Lets the run's deadline stand still while it is suspended, and follow the
/// spec.
pub(super) fn keep(draft: &mut Draft<'_>) {
    let suspended = demand::suspended(draft);
    let (now, spec) = (draft.now, &draft.job.spec);
    let Some(run) = draft.status.run.as_mut() else {
        return;
    };
    if run.completion_time.is_some() {
        return;
    }
    if !suspended && let Some(since) = run.suspended_time.take() {
        let pause = now.duration_since(since).max(SignedDuration::ZERO);
        run.deadline_base = Some(run.deadline_base.unwrap_or(run.start_time) + pause);
        run.deadline_time = deadline(run, spec);
        // A cancel lets the clock run on too.
        if !spec.suspend {
            draft.tell("Resumed", "Resumed: spec.suspend is false");
        }
    } else {
        run.deadline_time = deadline(run, spec);
    }
}

/// Stops the clock of the run under way.
pub(super) fn stop(draft: &mut Draft<'_>) {
    let now = draft.now;
    if let Some(run) = draft.status.run.as_mut()
        && run.completion_time.is_none()
    {
        run.suspended_time.get_or_insert(now);
        run.deadline_time = None;
    }
}

/// When the run has used up its time; none while its clock stands still.
pub(super) fn deadline(run: &Run, spec: &EtlJobSpec) -> Option<Timestamp> {
    let seconds = spec.execution.deadline_seconds?;
    let base = run.deadline_base.unwrap_or(run.start_time);
    run.suspended_time
        .is_none()
        .then(|| base + SignedDuration::from_secs(i64::from(seconds)))
}

/// Looks again when the run under way has used up its time.
pub(super) fn wake_for_deadline(draft: &mut Draft<'_>) {
    if draft.is_finished() || draft.is_settling() {
        return;
    }
    let run = draft.status.run.as_ref();
    let deadline = run.and_then(|run| run.deadline_time);
    if let Some(deadline) = deadline.filter(|deadline| draft.now < *deadline) {
        draft.wake_at(deadline);
    }
}
