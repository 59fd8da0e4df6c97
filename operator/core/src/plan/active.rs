//! Rows 11 and 12: an open attempt whose Job is active.

use etl_api::{Attempt, EndingReason, Phase};
use jiff::SignedDuration;

use super::draft::Draft;
use super::ending;
use crate::conditions::Standing;
use crate::facts::{self, ChildJob, ChildPod};

/// Seconds after the worker's own deadline at which the operator ends it.
const DEADLINE_SLACK: SignedDuration = SignedDuration::from_secs(60);

/// Disruptions of one shard that one attempt survives.
const DISRUPTIONS_LIMIT: u32 = 5;

pub(super) fn decide(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    child: &ChildJob,
    pods: &[ChildPod],
    warnings: &[String],
) {
    let started = child.ready > 0 || child.finished > 0 || pods.iter().any(|pod| pod.started);
    if child.suspended {
        queued(draft, attempt, child);
        return;
    }
    if attempt.running_time.is_none() && started {
        running(draft, attempt, child);
        return;
    }
    if attempt.running_time.is_none() {
        unstarted(draft, attempt, child, pods, warnings);
        return;
    }
    let deadline = draft.worker_deadline(attempt) + DEADLINE_SLACK;
    if draft.now >= deadline {
        let seconds = draft.job.spec.execution.active_deadline_seconds;
        let message = format!("attempt {} ran longer than {seconds} s", attempt.number);
        ending::end(draft, attempt, EndingReason::DeadlineExceeded, &message);
        draft.delete(child);
        return;
    }
    if let Some((shard, disruptions)) = most_disrupted(pods)
        && disruptions > DISRUPTIONS_LIMIT
    {
        let message = format!("shard {shard} was disrupted {disruptions} times in one attempt");
        ending::end(draft, attempt, EndingReason::Disrupted, &message);
        draft.delete(child);
        return;
    }
    draft.wake_at(deadline);
}

/// The shard with the most disruptions: those that Kubernetes counted on its
/// newest pod, and those of its pods that are still to be seen.
fn most_disrupted(pods: &[ChildPod]) -> Option<(u32, u32)> {
    let shards = pods.iter().filter_map(|pod| pod.shard);
    shards
        .map(|shard| {
            let own = || pods.iter().filter(|pod| pod.shard == Some(shard));
            let counted = own()
                .map(|pod| pod.replaced + u32::from(pod.disrupted.is_some()))
                .max();
            let seen = own().filter(|pod| pod.disrupted.is_some()).count();
            let seen = u32::try_from(seen).unwrap_or(u32::MAX);
            (shard, counted.unwrap_or(0).max(seen))
        })
        .max_by_key(|(_, disruptions)| *disruptions)
}

/// Row 11: a queue, or somebody, has suspended the Job. It has no pods, and no
/// deadline of the attempt runs, unless it is a look-up.
fn queued(draft: &mut Draft<'_>, attempt: &Attempt, child: &ChildJob) {
    if attempt.settle && held_look_up(draft, attempt, child) {
        return;
    }
    // One that ran before was preempted and will start from the beginning.
    draft.status.attempt = Some(Attempt {
        running_time: None,
        ..attempt.clone()
    });
    draft.stand(Standing {
        phase: Phase::Queued,
        reason: "Queued".to_owned(),
        message: format!(
            "attempt {} waits: its Job {} is suspended until a queue admits it",
            attempt.number, attempt.job_name
        ),
        ended: false,
        stalled: false,
    });
}

/// The end of the run waits for a look-up, which therefore does not wait for its
/// Job for ever: its time to start counts from the intent. Returns whether that
/// is over.
fn held_look_up(draft: &mut Draft<'_>, attempt: &Attempt, child: &ChildJob) -> bool {
    let deadline = draft.start_deadline(attempt.start_time);
    if draft.now < deadline {
        draft.wake_at(deadline);
        return false;
    }
    let seconds = draft.start_seconds();
    let message = format!("its Job is suspended, and no pod started within {seconds} s");
    ending::end(draft, attempt, EndingReason::StartTimeout, &message);
    draft.delete(child);
    true
}

/// Records that a pod runs, and by the uid which Job it was.
fn running(draft: &mut Draft<'_>, attempt: &Attempt, child: &ChildJob) {
    let open = Attempt {
        job_uid: Some(child.uid.clone()),
        running_time: Some(draft.now),
        ..attempt.clone()
    };
    let deadline = draft.worker_deadline(&open) + DEADLINE_SLACK;
    draft.status.attempt = Some(open);
    draft.stand(Standing {
        phase: Phase::Running,
        reason: "Running".to_owned(),
        message: format!(
            "attempt {} runs as Job {}",
            attempt.number, attempt.job_name
        ),
        ended: false,
        stalled: false,
    });
    draft.wake_at(deadline);
}

/// No pod of the attempt has ever run.
fn unstarted(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    child: &ChildJob,
    pods: &[ChildPod],
    warnings: &[String],
) {
    let start = facts::start(attempt, child);
    let why = pods
        .iter()
        .find_map(|pod| pod.waiting.clone())
        .or_else(|| warnings.last().cloned());
    if draft.now >= draft.start_deadline(start) {
        let seconds = draft.start_seconds();
        let why = why.unwrap_or_else(|| "Kubernetes gives no reason".to_owned());
        let message = format!("no pod started within {seconds} s: {why}");
        ending::end(draft, attempt, EndingReason::StartTimeout, &message);
        draft.delete(child);
        return;
    }
    if draft.status.phase == Some(Phase::Queued) {
        draft.stand_starting(attempt, Phase::Pending);
    }
    if let Some(why) = why {
        waiting(
            draft,
            "PodNotStarted",
            format!("attempt {}: {why}", attempt.number),
        );
    }
    draft.wake_for_start(start);
}

/// Shows in the conditions why nothing runs yet; the phase stays.
pub(super) fn waiting(draft: &mut Draft<'_>, reason: &'static str, message: String) {
    let phase = match draft.status.phase {
        // Admitted, and not yet started.
        None | Some(Phase::Queued) => Phase::Pending,
        Some(phase) => phase,
    };
    let shown = draft.status.conditions.iter().any(|c| c.reason == reason);
    if !shown {
        draft.warn(reason, message.clone());
    }
    draft.stand(Standing {
        phase,
        reason: reason.to_owned(),
        message,
        ended: false,
        stalled: false,
    });
}
