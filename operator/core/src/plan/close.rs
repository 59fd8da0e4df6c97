//! Closing an attempt, and what that means for the run.

use etl_api::{Attempt, AttemptRecord, LastFailure, Phase, Run, RunRecord, SettleReason};
use etl_contract::{Action, Category, truncate};

use super::draft::Draft;
use super::settle;
use crate::classify::Cause;
use crate::conditions::{Standing, human};
use crate::retry;
use crate::totals::Totals;

/// Attempts that a run gets for nothing: disruptions and look-ups.
pub(super) const FREE_ATTEMPTS: u32 = 5;

/// Results of attempts whose Job was never made.
pub(super) const NOT_TRIED: &str = "NotTried";
pub(super) const NAME_TAKEN: &str = "NameTaken";

/// Closed attempts and runs that the status keeps.
const ATTEMPTS_KEPT: usize = 10;
const RUNS_KEPT: usize = 5;

/// Longest texts, in bytes, so that the status stays below 8 KiB.
const RECORD_MESSAGE_LIMIT: usize = 160;
const FAILURE_MESSAGE_LIMIT: usize = 1024;
const FAILURE_OBJECT_LIMIT: usize = 1100;
const FAILURE_HINT_LIMIT: usize = 300;

/// Row 4: the manifest exists.
pub(super) fn complete(draft: &mut Draft<'_>, attempt: &Attempt, totals: Totals) {
    record(draft, attempt, "Complete", false, "");
    let message = totals.summary();
    totals.publish(&mut draft.status);
    finish_complete(draft, "Completed", message);
}

/// Rows 3, 6 and 7: the attempt failed.
pub(super) fn failed(draft: &mut Draft<'_>, attempt: &Attempt, cause: Cause) {
    if attempt.settle {
        settle::failed(draft, attempt, &cause);
        return;
    }
    if cause.category == Category::Superseded {
        record(
            draft,
            attempt,
            cause.category.as_str(),
            false,
            &cause.message,
        );
        finish_complete(draft, "Superseded", cause.message);
        return;
    }
    charge(draft, attempt, cause);
}

/// The operator was away until the time to start was over, and nobody can say
/// that the attempt failed: the next ordinal has its own time.
pub(super) fn not_tried(draft: &mut Draft<'_>, attempt: &Attempt) {
    let message = "no Job was created in time, because no operator ran";
    record(draft, attempt, NOT_TRIED, false, message);
    draft.open_attempt();
}

/// The Job's name belongs to somebody else: the next ordinal has another name.
pub(super) fn name_taken(draft: &mut Draft<'_>, attempt: &Attempt) {
    let message = format!("the name {} belongs to another object", attempt.job_name);
    record(draft, attempt, NAME_TAKEN, false, &message);
    draft.open_attempt();
}

/// Counts a failure and decides what follows.
pub(super) fn charge(draft: &mut Draft<'_>, attempt: &Attempt, cause: Cause) {
    let Some(mut run) = draft.status.run.clone() else {
        return;
    };
    let policy = draft.job.spec.retry_policy.clone();
    let free = cause.category.action() == Action::RetryFree && run.free_attempts < FREE_ATTEMPTS;
    if free {
        run.free_attempts += 1;
    } else {
        run.failures += 1;
    }
    let retryable = retryable(draft, cause.category);
    let exhausted = run.failures >= policy.max_attempts;
    let reason = match (retryable, exhausted) {
        (false, _) => "NotRetryable",
        (true, true) => "RetriesExhausted",
        (true, false) => "Retrying",
    };
    let reported = cause.reported;
    let changed = cause.category == Category::SourceChanged;
    record(
        draft,
        attempt,
        cause.category.as_str(),
        !free,
        &cause.message,
    );
    draft.status.last_failure = Some(last_failure(&cause, reason));
    draft.warn(
        "AttemptFailed",
        format!(
            "Attempt {} failed: {}: {}",
            attempt.number, cause.category, cause.message
        ),
    );
    draft.status.run = Some(run.clone());
    if retryable && !exhausted {
        if changed {
            next_run(draft, &run, &cause);
        }
        wait(draft, attempt, run.failures.max(1), &cause);
    } else if reported {
        finish_failed(draft);
    } else {
        settle::open(draft, SettleReason::LastAttemptLost);
    }
}

fn retryable(draft: &Draft<'_>, category: Category) -> bool {
    let source = &draft.job.spec.source;
    let pinned = source.etag.is_some() || source.version_id.is_some();
    category.action() != Action::Fail && !(category == Category::SourceChanged && pinned)
}

/// A source that changed needs a fresh plan, and plans belong to runs.
fn next_run(draft: &mut Draft<'_>, run: &Run, cause: &Cause) {
    let mut message = cause.message.clone();
    truncate(&mut message, RECORD_MESSAGE_LIMIT);
    draft.status.runs.push(RunRecord {
        number: run.number,
        start_time: run.start_time,
        completion_time: draft.now,
        result: cause.category.as_str().to_owned(),
        message,
        attempt: draft.status.attempts.last().map_or(0, |last| last.number),
        revision: draft.revision(),
    });
    let surplus = draft.status.runs.len().saturating_sub(RUNS_KEPT);
    draft.status.runs.drain(..surplus);
    draft.status.run = Some(Run {
        number: run.number + 1,
        start_time: draft.now,
        worker_image: draft.settings.worker_image.clone(),
        shards: draft.job.spec.execution.parallelism,
        ..run.clone()
    });
}

/// Sets the time of the next attempt.
pub(super) fn wait(draft: &mut Draft<'_>, attempt: &Attempt, failures: u32, cause: &Cause) {
    let number = draft.status.run.as_ref().map_or(1, |run| run.number);
    let backoff = &draft.job.spec.retry_policy.backoff;
    let delay = retry::delay(backoff, &draft.uid, number, failures);
    let next = draft.now + delay;
    if let Some(closed) = draft.status.attempts.last_mut() {
        closed.backoff_seconds = u32::try_from((delay.as_millis() + 999) / 1000).ok();
    }
    draft.status.next_attempt_time = Some(next);
    draft.stand(Standing {
        phase: Phase::Retrying,
        reason: "Retrying".to_owned(),
        message: format!(
            "attempt {} failed: {}; the next one starts at {next}",
            attempt.number, cause.category
        ),
        stalled: false,
    });
    draft.wake_at(next);
}

pub(super) fn finish_complete(draft: &mut Draft<'_>, reason: &str, message: String) {
    close_run(draft);
    settle::clear(draft);
    draft.status.last_failure = None;
    let took = took(draft);
    draft.tell("Completed", format!("Completed in {took}: {message}"));
    draft.stand(Standing {
        phase: Phase::Complete,
        reason: reason.to_owned(),
        message,
        stalled: false,
    });
}

pub(super) fn finish_failed(draft: &mut Draft<'_>) {
    close_run(draft);
    let failure = draft.status.last_failure.clone();
    let (category, message) = failure.as_ref().map_or(("Internal", ""), |f| {
        (f.category.as_str(), f.message.as_str())
    });
    let exhausted = draft
        .status
        .run
        .as_ref()
        .is_some_and(|run| run.failures >= draft.job.spec.retry_policy.max_attempts);
    let final_category = category
        .parse::<Category>()
        .is_ok_and(|category| !retryable(draft, category));
    let reason = if final_category || !exhausted {
        "NotRetryable"
    } else {
        "RetriesExhausted"
    };
    let message = format!("{category}: {message}");
    if let Some(failure) = draft.status.last_failure.as_mut() {
        failure.reason = reason.to_owned();
    }
    draft.warn(reason, format!("Failed for good: {message}"));
    draft.stand(Standing {
        phase: Phase::Failed,
        reason: reason.to_owned(),
        message,
        stalled: true,
    });
}

fn close_run(draft: &mut Draft<'_>) {
    let now = draft.now;
    if let Some(run) = draft.status.run.as_mut() {
        run.completion_time = Some(now);
    }
    draft.status.next_attempt_time = None;
}

fn took(draft: &Draft<'_>) -> String {
    draft.status.run.as_ref().map_or_else(String::new, |run| {
        human(draft.now.duration_since(run.start_time))
    })
}

/// Moves the open attempt to the closed ones.
pub(super) fn record(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    result: &str,
    charged: bool,
    message: &str,
) {
    let mut message = message.to_owned();
    truncate(&mut message, RECORD_MESSAGE_LIMIT);
    draft.status.attempt = None;
    draft.status.attempts.push(AttemptRecord {
        number: attempt.number,
        run: draft.status.run.as_ref().map_or(1, |run| run.number),
        start_time: attempt.start_time,
        end_time: draft.now,
        result: result.to_owned(),
        charged,
        message,
        backoff_seconds: None,
    });
    let surplus = draft.status.attempts.len().saturating_sub(ATTEMPTS_KEPT);
    draft.status.attempts.drain(..surplus);
}

pub(super) fn last_failure(cause: &Cause, reason: &str) -> LastFailure {
    let cut = |text: &str, limit| {
        let mut text = text.to_owned();
        truncate(&mut text, limit);
        text
    };
    LastFailure {
        category: cause.category.as_str().to_owned(),
        reason: reason.to_owned(),
        message: cut(&cause.message, FAILURE_MESSAGE_LIMIT),
        exit_code: cause.exit_code,
        shard: cause.shard,
        object: cause
            .object
            .as_deref()
            .map(|object| cut(object, FAILURE_OBJECT_LIMIT)),
        hint: cause
            .hint
            .as_deref()
            .map(|hint| cut(hint, FAILURE_HINT_LIMIT)),
    }
}
