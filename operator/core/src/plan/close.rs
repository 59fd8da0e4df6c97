//! Closing an attempt, and what that means for the run.

use etl_api::{Attempt, AttemptRecord, LastFailure, Phase, SettleReason};
use etl_contract::{Action, Category, truncate};
use jiff::Timestamp;

use super::demand;
use super::draft::Draft;
use super::ending::Traces;
use super::run::{self, finish_complete, finish_failed};
use super::settle;
use crate::classify::Cause;
use crate::conditions::Standing;
use crate::retry::{self, Verdict};
use crate::totals::Totals;
use crate::work;

/// Attempts that a run gets for nothing: disruptions and look-ups.
pub(super) const FREE_ATTEMPTS: u32 = 5;

/// Results of attempts whose Job was never made.
pub(super) const NOT_TRIED: &str = "NotTried";
pub(super) const NAME_TAKEN: &str = "NameTaken";

/// Result of an attempt, and of a run, with a complete output.
pub(super) const COMPLETE: &str = "Complete";

/// Results of attempts that were ended although they did well.
pub(super) const CANCELLED: &str = Category::Cancelled.as_str();
pub(super) const OVERDUE: &str = Category::DeadlineExceeded.as_str();
pub(super) const REPLACED: &str = "Replaced";
pub(super) const SUSPENDED: &str = "Suspended";

/// Why a failure ended its run.
pub(super) const NOT_RETRYABLE: &str = "NotRetryable";
pub(super) const RETRIES_EXHAUSTED: &str = "RetriesExhausted";

/// Closed attempts that the status keeps.
const ATTEMPTS_KEPT: usize = 10;

/// Longest texts, in bytes, so that the status stays below 8 KiB.
const RECORD_MESSAGE_LIMIT: usize = 160;
const FAILURE_MESSAGE_LIMIT: usize = 1024;
const FAILURE_OBJECT_LIMIT: usize = 1100;
const FAILURE_HINT_LIMIT: usize = 300;

/// Row 4: the manifest exists.
pub(super) fn complete(draft: &mut Draft<'_>, attempt: &Attempt, totals: Totals) {
    record(draft, attempt, COMPLETE, false, "");
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
}

/// The Job's name belongs to somebody else: the next ordinal has another name.
pub(super) fn name_taken(draft: &mut Draft<'_>, attempt: &Attempt) {
    let message = format!("the name {} belongs to another object", attempt.job_name);
    record(draft, attempt, NAME_TAKEN, false, &message);
}

/// Rows 3 and 10: the attempt was ended although it did well.
pub(super) fn interrupted(draft: &mut Draft<'_>, attempt: &Attempt, result: &str, traces: Traces) {
    let ending = attempt.ending.as_ref();
    let message = ending.map_or("", |ending| ending.message.as_str());
    record(draft, attempt, result, false, message);
    if !attempt.settle
        && traces == Traces::Possible
        && let Some(run) = draft.status.run.as_mut()
    {
        run.unreported = true;
    }
}

/// Counts a failure and decides what follows.
pub(super) fn charge(draft: &mut Draft<'_>, attempt: &Attempt, cause: Cause) {
    let Some(mut run) = draft.status.run.clone() else {
        return;
    };
    let verdict = retry::verdict(&draft.job.spec.retry_policy, cause.category);
    let free = verdict.action == Action::RetryFree && run.free_attempts < FREE_ATTEMPTS;
    if free {
        run.free_attempts += 1;
    } else {
        run.failures += 1;
    }
    let retryable = retryable(draft, cause.category, &verdict);
    let exhausted = run.failures >= verdict.max_attempts;
    let reason = match (retryable, exhausted) {
        (false, _) => NOT_RETRYABLE,
        (true, true) => RETRIES_EXHAUSTED,
        (true, false) => "Retrying",
    };
    let reported = cause.reported;
    run.unreported = !reported;
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
    let failures = run.failures;
    draft.status.run = Some(run);
    if retryable && !exhausted {
        if cause.category == Category::OutOfMemory {
            give_more_memory(draft);
        }
        // Other work has a run of its own in any case.
        if changed && !demand::newer_run(draft) {
            run::start_over(draft, &cause);
        }
        wait(draft, attempt, failures.max(1), &cause);
    } else if reported {
        finish_failed(draft);
    } else {
        settle::open(draft, SettleReason::LastAttemptLost);
    }
}

fn retryable(draft: &Draft<'_>, category: Category, verdict: &Verdict<'_>) -> bool {
    let source = &draft.job.spec.source;
    let pinned = source.etag.is_some() || source.version_id.is_some();
    let gone = category == Category::SourceChanged && pinned && !verdict.by_rule;
    verdict.action != Action::Fail && !gone
}

/// Raises the memory limit of the attempts to come, as `retryPolicy.memory` says.
fn give_more_memory(draft: &mut Draft<'_>) {
    let Some(run) = &draft.status.run else { return };
    let growth = draft.job.spec.retry_policy.memory.as_ref();
    let limit = work::memory_limit(&draft.job.spec, run, draft.settings);
    let (Some(growth), Some(limit)) = (growth, limit) else {
        return;
    };
    let more = retry::more_memory(growth, limit);
    if more == limit {
        return;
    }
    if let Some(run) = draft.status.run.as_mut() {
        run.memory_bytes = Some(more);
    }
    draft.tell(
        "MemoryRaised",
        format!("The next attempt gets {more} bytes of memory instead of {limit}"),
    );
}

/// Sets the time of the next attempt.
pub(super) fn wait(draft: &mut Draft<'_>, attempt: &Attempt, failures: u32, cause: &Cause) {
    let number = draft.status.run.as_ref().map_or(1, |run| run.number);
    let verdict = retry::verdict(&draft.job.spec.retry_policy, cause.category);
    let delay = retry::delay(verdict.backoff, &draft.uid, number, failures);
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
        ended: false,
        stalled: false,
    });
    draft.wake_at(next);
}

/// Row 14: shows that the next attempt is waited for, if something else, such as
/// a suspend, was shown meanwhile.
pub(super) fn stand_waiting(draft: &mut Draft<'_>, next: Timestamp) {
    if draft.status.phase == Some(Phase::Retrying) {
        return;
    }
    draft.stand(Standing {
        phase: Phase::Retrying,
        reason: "Retrying".to_owned(),
        message: format!("the next attempt starts at {next}"),
        ended: false,
        stalled: false,
    });
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
        running_time: attempt.running_time,
        // The Job's uid is known since its first pod ran.
        preempted: attempt.running_time.is_none() && attempt.job_uid.is_some(),
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
