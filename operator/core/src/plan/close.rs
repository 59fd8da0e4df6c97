//! Closing an attempt, and what that means for the run.

use etl_api::{
    Attempt, AttemptRecord, LastFailure, OutputStatus, Phase, Run, RunRecord, Settle, SettleReason,
};
use etl_contract::{Action, Category, OutputLocation, Statistics, truncate};

use super::draft::Draft;
use crate::classify::Cause;
use crate::conditions::{Standing, human};
use crate::retry;

/// Attempts that a run gets for nothing: disruptions and look-ups.
const FREE_ATTEMPTS: u32 = 5;

/// Failed look-ups after which a run whose Job succeeded counts as complete
/// with unknown totals.
const LOST_REPORT_TRIES: u32 = 2;

/// Closed attempts and runs that the status keeps.
const ATTEMPTS_KEPT: usize = 10;
const RUNS_KEPT: usize = 5;

/// Longest texts, in bytes, so that the status stays below 8 KiB.
const RECORD_MESSAGE_LIMIT: usize = 160;
const FAILURE_MESSAGE_LIMIT: usize = 1024;
const FAILURE_OBJECT_LIMIT: usize = 1100;
const FAILURE_HINT_LIMIT: usize = 300;

/// Row 4: the manifest exists.
pub(super) fn complete(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    statistics: Statistics,
    output: OutputLocation,
) {
    record(draft, attempt, "Complete", false, "");
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    draft.status.statistics = Some(etl_api::Statistics {
        source_objects: signed(statistics.source_objects),
        source_bytes: signed(statistics.source_bytes),
        rows_read: signed(statistics.rows_read),
        rows_written: signed(statistics.rows_written),
        output_objects: signed(statistics.output_objects),
        output_bytes: signed(statistics.output_bytes),
    });
    draft.status.output = Some(OutputStatus {
        manifest_uri: output.manifest_uri,
        first_object_uri: output.first_object_uri,
    });
    let objects = if statistics.output_objects == 1 {
        "object"
    } else {
        "objects"
    };
    let message = format!(
        "{} rows in {} {objects}",
        statistics.rows_written, statistics.output_objects
    );
    finish_complete(draft, "Completed", message);
}

/// Row 5: the Job succeeded, so a manifest exists, but nobody is left to say
/// what it holds.
pub(super) fn report_lost(draft: &mut Draft<'_>, attempt: &Attempt) {
    if attempt.settle {
        let cause = Cause::seen(Category::WorkerLost, "the look-up's own report was lost");
        settle_failed(draft, attempt, &cause);
        return;
    }
    record(
        draft,
        attempt,
        "ReportLost",
        false,
        "the Job succeeded, but its reports are lost",
    );
    settle(draft, SettleReason::ReportLost);
}

/// A look-up found no manifest.
pub(super) fn no_manifest(draft: &mut Draft<'_>, attempt: &Attempt) {
    record(
        draft,
        attempt,
        "NoManifest",
        false,
        "the run has no manifest",
    );
    let settled = draft.status.run.as_mut().and_then(|run| run.settle.take());
    match settled.map(|settle| settle.reason) {
        Some(SettleReason::LastAttemptLost) => finish_failed(draft),
        // Exit code 0 without a manifest cannot be; the work is done again.
        Some(SettleReason::ReportLost) | None => {
            let cause = Cause {
                reported: true,
                ..Cause::seen(
                    Category::Internal,
                    "the Job succeeded, but the run has no manifest",
                )
                .with_hint("this is a defect, or the manifest was deleted: report it")
            };
            charge(draft, attempt, cause);
        }
    }
}

/// Rows 3, 6 and 7: the attempt failed.
pub(super) fn failed(draft: &mut Draft<'_>, attempt: &Attempt, cause: Cause) {
    if attempt.settle {
        settle_failed(draft, attempt, &cause);
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

/// The Job's name belongs to somebody else: the next ordinal has another name.
pub(super) fn name_taken(draft: &mut Draft<'_>, attempt: &Attempt) {
    let message = format!("the name {} belongs to another object", attempt.job_name);
    record(draft, attempt, "NameTaken", false, &message);
    draft.open_attempt();
}

/// Counts a failure and decides what follows.
fn charge(draft: &mut Draft<'_>, attempt: &Attempt, cause: Cause) {
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
        wait(draft, attempt, run.failures.max(1));
    } else if reported {
        finish_failed(draft);
    } else {
        settle(draft, SettleReason::LastAttemptLost);
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
fn wait(draft: &mut Draft<'_>, attempt: &Attempt, failures: u32) {
    let number = draft.status.run.as_ref().map_or(1, |run| run.number);
    let backoff = &draft.job.spec.retry_policy.backoff;
    let delay = retry::delay(backoff, &draft.uid, number, failures);
    let next = draft.now + delay;
    if let Some(closed) = draft.status.attempts.last_mut() {
        closed.backoff_seconds = u32::try_from((delay.as_millis() + 999) / 1000).ok();
    }
    draft.status.next_attempt_time = Some(next);
    let category = draft
        .status
        .last_failure
        .as_ref()
        .map(|f| f.category.clone());
    draft.stand(Standing {
        phase: Phase::Retrying,
        reason: "Retrying".to_owned(),
        message: format!(
            "attempt {} failed: {}; the next one starts at {next}",
            attempt.number,
            category.unwrap_or_default()
        ),
        stalled: false,
    });
    draft.wake_at(next);
}

/// Opens the look-up of how the run ended.
fn settle(draft: &mut Draft<'_>, reason: SettleReason) {
    if let Some(run) = draft.status.run.as_mut() {
        run.settle = Some(Settle { reason, tries: 0 });
        run.free_attempts += 1;
    }
    draft.open_attempt();
}

/// A look-up failed itself. Unknown is not failed: it is tried again, but not
/// for ever.
fn settle_failed(draft: &mut Draft<'_>, attempt: &Attempt, cause: &Cause) {
    let pointless = never_started(cause.category.as_str()) && nothing_ran(draft);
    record(draft, attempt, "LookUpFailed", false, &cause.message);
    let Some(run) = draft.status.run.as_mut() else {
        return;
    };
    let Some(settle) = run.settle.as_mut() else {
        return;
    };
    settle.tries += 1;
    run.free_attempts += 1;
    let (reason, tries) = (settle.reason, settle.tries);
    match reason {
        SettleReason::ReportLost if tries >= LOST_REPORT_TRIES => {
            clear_settle(draft);
            let message = "the Job succeeded; its totals could not be looked up";
            finish_complete(draft, "ReportLost", message.to_owned());
        }
        // What keeps the workers from starting keeps the look-up too, and no
        // worker was seen that could have committed.
        SettleReason::LastAttemptLost if pointless => {
            clear_settle(draft);
            finish_failed(draft);
        }
        SettleReason::LastAttemptLost if tries >= FREE_ATTEMPTS => {
            clear_settle(draft);
            if let Some(failure) = draft.status.last_failure.as_mut() {
                failure.hint = Some(
                    "whether the output is complete could not be looked up: \
                     it is if the manifest exists"
                        .to_owned(),
                );
            }
            finish_failed(draft);
        }
        SettleReason::ReportLost | SettleReason::LastAttemptLost => wait(draft, attempt, tries),
    }
}

/// Whether an attempt with this result had no pod that ran.
fn never_started(result: &str) -> bool {
    [Category::StartTimeout, Category::Rejected]
        .iter()
        .any(|category| category.as_str() == result)
}

/// Whether the history shows that no attempt of the run had a pod that ran.
fn nothing_ran(draft: &Draft<'_>) -> bool {
    let run = draft.status.run.as_ref().map_or(0, |run| run.number);
    let attempts = &draft.status.attempts;
    // A history that is cut off shows nothing.
    let whole = attempts
        .first()
        .is_some_and(|first| first.number == 1 || first.run < run);
    let mut own = attempts.iter().filter(|attempt| attempt.run == run);
    whole && own.all(|attempt| never_started(&attempt.result))
}

fn clear_settle(draft: &mut Draft<'_>) {
    if let Some(run) = draft.status.run.as_mut() {
        run.settle = None;
    }
}

fn finish_complete(draft: &mut Draft<'_>, reason: &str, message: String) {
    close_run(draft);
    clear_settle(draft);
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

fn finish_failed(draft: &mut Draft<'_>) {
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
fn record(draft: &mut Draft<'_>, attempt: &Attempt, result: &str, charged: bool, message: &str) {
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

fn last_failure(cause: &Cause, reason: &str) -> LastFailure {
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
