//! Rows 3 to 7 and 13: what becomes of the open attempt.

use etl_api::{Attempt, EndingReason};
use etl_contract::Category;
use jiff::{SignedDuration, Timestamp};

use super::demand::{self, Demand};
use super::draft::Draft;
use super::ending::Traces;
use super::{GONE_PATIENCE, active, close, ending, settle};
use crate::child::GRACE_SECONDS;
use crate::classify::{self, Cause, Expected, Success};
use crate::facts::{ChildPod, JobState, Observed, Refusal};

pub(super) fn decide(draft: &mut Draft<'_>, attempt: &Attempt, seen: &Observed, is_valid: bool) {
    let demand = Demand::of(draft, attempt.settle, is_valid);
    let Some(child) = seen.jobs.iter().find(|job| job.name == attempt.job_name) else {
        absent(draft, attempt, seen, demand);
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
            ending::go_on(draft, attempt, child);
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
        (JobState::Active | JobState::Failed { .. }, pods) => {
            if let Some(demand) = demand {
                // Row 10.
                ending::interrupt(draft, attempt, &demand);
                draft.delete(child);
                return;
            }
            // Rows 11 and 12.
            active::decide(
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

fn expected<'a>(draft: &Draft<'a>, attempt: &Attempt, uid: &'a str) -> Expected<'a> {
    let run = draft.status.run.as_ref();
    Expected {
        uid,
        run: run.map_or(0, |run| run.number),
        attempt: attempt.number,
        shards: run.map_or(1, |run| if attempt.settle { 1 } else { run.shards }),
        policy: &draft.job.spec.retry_policy,
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

/// The open attempt's Job is not in the cache.
fn absent(draft: &mut Draft<'_>, attempt: &Attempt, seen: &Observed, demand: Option<Demand>) {
    if let Some(ending) = &attempt.ending {
        // Row 3: gone.
        if seen.confirmed_gone {
            ending::close(draft, attempt, ending, Traces::Possible);
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
    } else if let Some(demand) = demand.or_else(|| outdated(draft, attempt)) {
        // Row 10. Whether the Job was made all the same only a live read tells.
        ending::interrupt(draft, attempt, &demand);
        draft.wake_at(draft.now + SignedDuration::from_secs(1));
    } else {
        // Row 13.
        intended(draft, attempt, seen.refusal.as_ref());
    }
}

/// An order is made from the spec: one that asks for other work, valid or not,
/// yields none for this run. A look-up needs none of that.
fn outdated(draft: &Draft<'_>, attempt: &Attempt) -> Option<Demand> {
    (!attempt.settle && demand::newer_run(draft)).then(|| Demand {
        reason: EndingReason::NewerRun,
        message: "the spec asks for other work".to_owned(),
    })
}

fn intended(draft: &mut Draft<'_>, attempt: &Attempt, refusal: Option<&Refusal>) {
    let late = draft.now >= draft.start_deadline(attempt.start_time);
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
            active::waiting(draft, "Rejected", text);
            draft.create(attempt);
            draft.wake_for_start(attempt.start_time);
        }
        // Nobody tried: the operator was away.
        None if late => close::not_tried(draft, attempt),
        None => {
            // The intent's time stays: the start deadline runs from there.
            draft.create(attempt);
            draft.wake_for_start(attempt.start_time);
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
