//! Row 3: an attempt that is being ended, from the recorded reason to its close.

use etl_api::{Attempt, Ending, EndingReason, Phase};
use etl_contract::{Category, truncate};
use jiff::{SignedDuration, Timestamp};

use super::demand::Demand;
use super::draft::Draft;
use super::{GONE_PATIENCE, clock, close};
use crate::child::GRACE_SECONDS;
use crate::classify::Cause;
use crate::conditions::Standing;
use crate::facts::ChildJob;

/// Longest message of an ending, in bytes.
const MESSAGE_LIMIT: usize = 512;

/// While the Job is there.
pub(super) fn go_on(draft: &mut Draft<'_>, attempt: &Attempt, child: &ChildJob) {
    let Some(ending) = &attempt.ending else {
        end(
            draft,
            attempt,
            EndingReason::WorkerLost,
            "its Job was deleted by somebody else",
        );
        return;
    };
    if child.deleting.is_some() && child.never_resumed {
        // No pod of it ever ran, and none will: there is nothing to wait for or
        // to look up.
        return close(draft, attempt, ending, Traces::None);
    }
    let limit = gone_limit(draft, attempt);
    if draft.now >= limit {
        let message = format!(
            "Job {} of attempt {} is still not gone; going on without it",
            child.name, attempt.number
        );
        draft.warn("JobNotGone", message);
        close(draft, attempt, ending, Traces::Possible);
        return;
    }
    if child.deleting.is_none() {
        draft.delete(child);
    }
    draft.wake_at(limit);
}

/// When a Job that does not go away is given up: its first workers have stopped
/// by then through their own deadline, and all had the time to obey.
fn gone_limit(draft: &Draft<'_>, attempt: &Attempt) -> Timestamp {
    let deadline = draft.worker_deadline(attempt);
    let ending = attempt.ending.as_ref();
    let last = ending.map_or(deadline, |ending| deadline.max(ending.since));
    last + SignedDuration::from_secs(GRACE_SECONDS) + GONE_PATIENCE
}

/// What an attempt that was ended may have left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traces {
    /// Its workers may have committed before they obeyed.
    Possible,
    /// It never had a worker.
    None,
}

/// The Job is gone, given up, or never had a pod.
pub(super) fn close(draft: &mut Draft<'_>, attempt: &Attempt, ending: &Ending, traces: Traces) {
    let charged = |category, hint| Cause::seen(category, ending.message.clone()).with_hint(hint);
    let cause = match ending.reason {
        EndingReason::DeadlineExceeded => charged(
            Category::DeadlineExceeded,
            "raise spec.execution.activeDeadlineSeconds",
        ),
        EndingReason::StartTimeout => charged(
            Category::StartTimeout,
            "remove what keeps the pod from starting, or raise spec.execution.startDeadlineSeconds",
        ),
        EndingReason::Disrupted => charged(
            Category::Disrupted,
            "use steadier nodes: spec.worker.nodeSelector or priorityClassName",
        ),
        EndingReason::WorkerLost => charged(
            Category::WorkerLost,
            "find out who deletes Jobs of the operator",
        ),
        // These say nothing of the work. What is to be done now the run decides.
        EndingReason::Cancelled => {
            return close::interrupted(draft, attempt, close::CANCELLED, traces);
        }
        EndingReason::NewerRun => {
            return close::interrupted(draft, attempt, close::REPLACED, traces);
        }
        EndingReason::RunDeadlineExceeded => {
            return close::interrupted(draft, attempt, close::OVERDUE, traces);
        }
        EndingReason::Suspended => {
            if let Some(run) = draft.status.run.as_mut() {
                run.free_attempts += 1;
            }
            return close::interrupted(draft, attempt, close::SUSPENDED, traces);
        }
    };
    close::failed(draft, attempt, cause);
}

/// The reason is recorded before anything is deleted, so that it is
/// still known when the Job is gone.
pub(super) fn end(draft: &mut Draft<'_>, attempt: &Attempt, reason: EndingReason, message: &str) {
    let mut message = message.to_owned();
    truncate(&mut message, MESSAGE_LIMIT);
    let ending = Ending {
        reason,
        message: message.clone(),
        since: draft.now,
    };
    let open = Attempt {
        ending: Some(ending),
        ..attempt.clone()
    };
    draft.wake_at(gone_limit(draft, &open));
    draft.status.attempt = Some(open);
    let phase = draft.status.phase.unwrap_or(Phase::Pending);
    draft.stand(Standing {
        phase,
        reason: "Ending".to_owned(),
        message: format!("attempt {} is being ended: {message}", attempt.number),
        ended: false,
        stalled: false,
    });
}

/// Row 10: ends the open attempt, which may do well, for what is asked for.
pub(super) fn interrupt(draft: &mut Draft<'_>, attempt: &Attempt, demand: &Demand) {
    if demand.reason == EndingReason::Suspended {
        clock::stop(draft);
    }
    end(draft, attempt, demand.reason, &demand.message);
}
