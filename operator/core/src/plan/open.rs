//! Rows 3 to 7, 10, 12 and 13: what becomes of the open attempt.

use etl_api::{Attempt, Ending, EndingReason, Phase};
use etl_contract::{Category, truncate};
use jiff::{SignedDuration, Timestamp};

use super::draft::Draft;
use super::{GONE_PATIENCE, close, settle};
use crate::child::GRACE_SECONDS;
use crate::classify::{self, Cause, Expected, Success};
use crate::conditions::Standing;
use crate::facts::{ChildJob, ChildPod, JobState, Observed, Refusal};

/// Seconds after the worker's own deadline at which the operator ends it.
const DEADLINE_SLACK: SignedDuration = SignedDuration::from_secs(60);

/// Disruptions of one shard that one attempt survives.
const DISRUPTIONS_LIMIT: u32 = 5;

/// Longest message of an ending, in bytes.
const ENDING_MESSAGE_LIMIT: usize = 512;

pub(super) fn decide(draft: &mut Draft<'_>, attempt: &Attempt, seen: &Observed) {
    let Some(child) = seen.jobs.iter().find(|job| job.name == attempt.job_name) else {
        absent(draft, attempt, seen);
        return;
    };
    match (&child.state, &seen.pods) {
        // Rows 3 to 5: success beats whatever was decided meanwhile.
        (JobState::Succeeded, Some(pods)) => succeeded(draft, attempt, pods),
        // Not listed in this pass: the next one will.
        (JobState::Succeeded | JobState::Failed { .. }, None) => draft.wake_at(draft.now),
        // Row 6. That somebody deletes the Job by now takes nothing from what
        // its pods say.
        (JobState::Failed { reason, message }, Some(pods)) if attempt.ending.is_none() => {
            failed(draft, attempt, pods, reason, message);
        }
        _ if attempt.ending.is_some() || child.deleting.is_some() => {
            ending(draft, attempt, child);
        }
        // Row 6 before its time.
        (
            JobState::Failing {
                reason,
                message,
                since,
            },
            pods,
        ) => match (pods, failing_limit(attempt, *since)) {
            (Some(pods), limit) if draft.now >= limit => {
                failed(draft, attempt, pods, reason, message);
            }
            (_, limit) => draft.wake_at(limit.max(draft.now)),
        },
        // Rows 10 and 12.
        (JobState::Active | JobState::Failed { .. }, pods) => {
            active(
                draft,
                attempt,
                child,
                pods.as_deref().unwrap_or(&[]),
                &seen.warnings,
            );
        }
    }
}

/// Row 6.
fn failed(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    pods: &[ChildPod],
    reason: &str,
    message: &str,
) {
    let uid = draft.uid.clone();
    let expected = expected(draft, attempt, &uid);
    // A shard that saw the manifest knows better than those that failed.
    if let Success::Complete(totals) = classify::success(pods, &expected) {
        close::complete(draft, attempt, totals);
    } else {
        let cause = classify::failure(pods, &expected, reason, message);
        close::failed(draft, attempt, cause);
    }
}

/// Until when Kubernetes is given to end the other pods of a Job that fails. On
/// a lost node that may take for ever; what such a pod still does, the commit
/// protocol survives.
fn failing_limit(attempt: &Attempt, since: Option<Timestamp>) -> Timestamp {
    since.unwrap_or(attempt.start_time) + SignedDuration::from_secs(GRACE_SECONDS) + GONE_PATIENCE
}

fn expected<'a>(draft: &Draft<'_>, attempt: &Attempt, uid: &'a str) -> Expected<'a> {
    Expected {
        uid,
        run: draft.status.run.as_ref().map_or(0, |run| run.number),
        attempt: attempt.number,
    }
}

/// Rows 4 and 5.
fn succeeded(draft: &mut Draft<'_>, attempt: &Attempt, pods: &[ChildPod]) {
    let uid = draft.uid.clone();
    match classify::success(pods, &expected(draft, attempt, &uid)) {
        Success::Complete(totals) => close::complete(draft, attempt, totals),
        Success::NoManifest => settle::no_manifest(draft, attempt),
        Success::ReportLost => settle::report_lost(draft, attempt),
    }
}

/// Row 3 while the Job is there.
fn ending(draft: &mut Draft<'_>, attempt: &Attempt, child: &ChildJob) {
    let Some(ending) = &attempt.ending else {
        end(
            draft,
            attempt,
            EndingReason::WorkerLost,
            "its Job was deleted by somebody else",
        );
        return;
    };
    let limit = gone_limit(draft, attempt);
    if draft.now >= limit {
        let message = format!(
            "Job {} of attempt {} is still not gone; going on without it",
            child.name, attempt.number
        );
        draft.warn("JobNotGone", message);
        close::failed(draft, attempt, cause_of(ending));
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

fn cause_of(ending: &Ending) -> Cause {
    let (category, hint) = match ending.reason {
        EndingReason::DeadlineExceeded => (
            Category::DeadlineExceeded,
            "raise spec.execution.activeDeadlineSeconds",
        ),
        EndingReason::StartTimeout => (
            Category::StartTimeout,
            "remove what keeps the pod from starting, or raise spec.execution.startDeadlineSeconds",
        ),
        EndingReason::Disrupted => (
            Category::Disrupted,
            "use steadier nodes: spec.worker.nodeSelector or priorityClassName",
        ),
        EndingReason::WorkerLost => (
            Category::WorkerLost,
            "find out who deletes Jobs of the operator",
        ),
    };
    Cause::seen(category, ending.message.clone()).with_hint(hint)
}

/// The open attempt's Job is not in the cache.
fn absent(draft: &mut Draft<'_>, attempt: &Attempt, seen: &Observed) {
    if let Some(ending) = &attempt.ending {
        // Row 3: gone.
        if seen.confirmed_gone {
            close::failed(draft, attempt, cause_of(ending));
        } else {
            draft.wake_at(draft.now + SignedDuration::from_secs(1));
        }
    } else if attempt.job_uid.is_some() {
        // Row 7.
        if seen.confirmed_gone {
            let cause = Cause::seen(
                Category::WorkerLost,
                format!("Job {} was deleted while it ran", attempt.job_name),
            )
            .with_hint("find out who deletes Jobs of the operator");
            close::failed(draft, attempt, cause);
        } else {
            draft.wake_at(draft.now + SignedDuration::from_secs(1));
        }
    } else {
        // Row 13.
        intended(draft, attempt, seen.refusal.as_ref());
    }
}

fn intended(draft: &mut Draft<'_>, attempt: &Attempt, refusal: Option<&Refusal>) {
    let late = draft.now >= draft.start_deadline(attempt);
    match refusal {
        Some(Refusal::NameTaken) => close::name_taken(draft, attempt),
        Some(Refusal::Invalid(message)) => {
            let cause = Cause::seen(
                Category::InvalidSpec,
                format!("the API server refuses the Job: {message}"),
            )
            .with_hint("correct spec.worker or spec.execution");
            close::failed(draft, attempt, certain(cause));
        }
        Some(Refusal::Forbidden(message)) if late => {
            let cause = Cause::seen(
                Category::Rejected,
                format!("the API server forbids the Job: {message}"),
            )
            .with_hint("raise the quota or change the policy that is named");
            close::failed(draft, attempt, certain(cause));
        }
        Some(Refusal::Failing(message)) if late => {
            let cause = Cause::seen(
                Category::StartTimeout,
                format!("the API server could not create the Job: {message}"),
            )
            .with_hint("look at the API server and its admission webhooks");
            close::failed(draft, attempt, cause);
        }
        Some(Refusal::Forbidden(message) | Refusal::Failing(message)) => {
            let text = format!("Job {} cannot be created: {message}", attempt.job_name);
            waiting(draft, "Rejected", text);
            draft.create(attempt);
            draft.wake_for_start(attempt);
        }
        // Nobody tried: the operator was away.
        None if late => close::not_tried(draft, attempt),
        None => {
            // The intent's time stays: the start deadline runs from there.
            draft.create(attempt);
            draft.wake_for_start(attempt);
        }
    }
}

/// No worker has ever run, so there is nothing to look up.
fn certain(cause: Cause) -> Cause {
    Cause {
        reported: true,
        ..cause
    }
}

/// Rows 10 and 12.
fn active(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    child: &ChildJob,
    pods: &[ChildPod],
    warnings: &[String],
) {
    let started = child.ready > 0 || child.finished > 0 || pods.iter().any(|pod| pod.started);
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
        end(draft, attempt, EndingReason::DeadlineExceeded, &message);
        draft.delete(child);
        return;
    }
    if let Some((shard, disruptions)) = most_disrupted(pods)
        && disruptions > DISRUPTIONS_LIMIT
    {
        let message = format!("shard {shard} was disrupted {disruptions} times in one attempt");
        end(draft, attempt, EndingReason::Disrupted, &message);
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
    let why = pods
        .iter()
        .find_map(|pod| pod.waiting.clone())
        .or_else(|| warnings.last().cloned());
    if draft.now >= draft.start_deadline(attempt) {
        let seconds = draft.job.spec.execution.start_deadline_seconds;
        let why = why.unwrap_or_else(|| "Kubernetes gives no reason".to_owned());
        let message = format!("no pod started within {seconds} s: {why}");
        end(draft, attempt, EndingReason::StartTimeout, &message);
        draft.delete(child);
        return;
    }
    if let Some(why) = why {
        waiting(
            draft,
            "PodNotStarted",
            format!("attempt {}: {why}", attempt.number),
        );
    }
    draft.wake_for_start(attempt);
}

/// Shows in the conditions why nothing runs yet; the phase stays.
fn waiting(draft: &mut Draft<'_>, reason: &'static str, message: String) {
    let phase = draft.status.phase.unwrap_or(Phase::Pending);
    let shown = draft.status.conditions.iter().any(|c| c.reason == reason);
    if !shown {
        draft.warn(reason, message.clone());
    }
    draft.stand(Standing {
        phase,
        reason: reason.to_owned(),
        message,
        stalled: false,
    });
}

/// Row 10: the reason is recorded before anything is deleted, so that it is
/// still known when the Job is gone.
fn end(draft: &mut Draft<'_>, attempt: &Attempt, reason: EndingReason, message: &str) {
    let mut message = message.to_owned();
    truncate(&mut message, ENDING_MESSAGE_LIMIT);
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
        stalled: false,
    });
}
