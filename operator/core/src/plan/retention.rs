//! Row 8 and what is kept besides: how long a finished run and its Jobs stay.

use jiff::SignedDuration;

use super::Action;
use super::draft::Draft;
use crate::facts::{ChildJob, Observed};

/// Finished Jobs that are kept for their logs.
const JOBS_KEPT: usize = 3;

/// Keeps the newest finished Jobs for their logs and deletes the others.
pub(super) fn old_jobs(draft: &mut Draft<'_>, seen: &Observed) {
    let mut finished: Vec<&ChildJob> = seen
        .jobs
        .iter()
        .filter(|job| job.is_finished() && job.deleting.is_none())
        .collect();
    if finished.len() <= JOBS_KEPT {
        return;
    }
    // The newest attempts are those named last in the status.
    let names = draft.attempt_names();
    finished.sort_by_key(|job| names.iter().position(|name| *name == job.name));
    for child in &finished[..finished.len() - JOBS_KEPT] {
        draft.delete(child);
    }
}

/// Row 8: nothing is left to do for a finished run but to let it go in time.
pub(super) fn time_to_live(draft: &mut Draft<'_>, seen: &Observed) {
    let Some(ttl) = draft.job.spec.ttl_seconds_after_finished else {
        return;
    };
    let Some(end) = draft
        .status
        .run
        .as_ref()
        .and_then(|run| run.completion_time)
    else {
        return;
    };
    let due = end + SignedDuration::from_secs(i64::from(ttl));
    if draft.now < due {
        draft.wake_at(due);
        return;
    }
    // The ledger must have the result before its source disappears.
    let recorded = !draft.settings.ledger || seen.mirrored_revision >= draft.status.revision;
    if recorded {
        draft.actions.push(Action::DeleteSelf);
    } else {
        draft.wake_at(draft.now + SignedDuration::from_secs(5));
    }
}
