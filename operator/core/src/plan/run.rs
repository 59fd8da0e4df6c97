//! Runs: when one is opened, goes on, or ends. Rows 8 to 10 as far as no attempt
//! is open.

use etl_api::{Phase, Run, RunOutcome, RunRecord, SettleReason};
use etl_contract::{Category, truncate};

use super::demand::{self, deadline_message};
use super::draft::Draft;
use super::{clock, close, settle};
use crate::classify::Cause;
use crate::conditions::{self, Standing, human};
use crate::validate::SpecProblem;
use crate::work;

/// Closed runs that the status keeps.
const RUNS_KEPT: usize = 5;

/// Longest message of a closed run, in bytes.
const RECORD_MESSAGE_LIMIT: usize = 160;

/// Reasons of failed runs that no attempt decided.
const CANCELLED: &str = "Cancelled";
const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";

/// What becomes of an EtlJob without an open attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The run that the spec asks for is finished.
    Rest,
    /// Nothing happens before the spec changes.
    Hold,
    /// The next attempt is due, now or later.
    Attempt,
}

/// Decides that, and ends the present run if it has to end.
pub(super) fn next(draft: &mut Draft<'_>, problems: &[SpecProblem]) -> Next {
    let newer = demand::newer_run(draft);
    if draft.is_finished() && !newer {
        rest(draft);
        return Next::Rest;
    }
    if draft.has_just_finished() {
        // Its end is shown before another run begins.
        draft.wake_at(draft.now);
        return Next::Hold;
    }
    if draft.is_settling() {
        return look_up(draft);
    }
    let under_way = draft.status.run.is_some() && !draft.is_finished();
    if draft.job.spec.cancel {
        return if under_way {
            give_up(draft, &cancelled(), CANCELLED)
        } else {
            hold_cancelled(draft)
        };
    }
    if !problems.is_empty() {
        return stall(draft, problems);
    }
    if under_way && newer {
        replace(draft);
    } else if under_way && let Some(seconds) = demand::overdue(draft) {
        return give_up(draft, &late(seconds), DEADLINE_EXCEEDED);
    }
    if demand::suspended(draft) {
        return suspend(draft);
    }
    Next::Attempt
}

fn cancelled() -> Cause {
    Cause::seen(Category::Cancelled, "the run was cancelled by spec.cancel")
        .with_hint("set spec.cancel to false and spec.runId to a new name for another run")
}

fn late(seconds: u32) -> Cause {
    Cause::seen(Category::DeadlineExceeded, deadline_message(seconds)).with_hint(
        "raise spec.execution.deadlineSeconds and set spec.runId to a new name for another run",
    )
}

/// Opens the run that the spec asks for. What it needs to stay the same is frozen
/// here.
pub(super) fn open(draft: &mut Draft<'_>) {
    let spec = &draft.job.spec;
    let mut run = Run {
        number: 1,
        id: spec.run_id.clone(),
        work_hash: work::work_hash(spec),
        generation: draft.job.metadata.generation,
        source_uri: Some(spec.source.uri.clone()),
        output_uri: Some(spec.output.uri.clone()),
        start_time: draft.now,
        completion_time: None,
        outcome: None,
        deadline_time: None,
        deadline_base: None,
        suspended_time: None,
        worker_image: draft.settings.worker_image.clone(),
        shards: spec.execution.parallelism,
        failures: 0,
        free_attempts: 0,
        unreported: false,
        memory_bytes: None,
        settle: None,
    };
    run.deadline_time = clock::deadline(&run, spec);
    if let Some(last) = draft.status.run.clone() {
        run.number = last.number + 1;
        // Unless it ended just now, the ledger has had all of it.
        let revision = if last.completion_time == Some(draft.now) {
            draft.revision()
        } else {
            draft.known_revision()
        };
        let outcome = last.outcome.clone();
        let (result, message) = outcome
            .map(|outcome| (outcome.result, outcome.message))
            .unwrap_or_default();
        archive(draft, &last, &result, &message, revision);
    }
    draft.status.run = Some(run);
    draft.status.next_attempt_time = None;
    draft.status.last_failure = None;
    draft.status.statistics = None;
    draft.status.skipped_objects.clear();
    draft.status.output = None;
}

/// A source that changed needs a fresh plan, and plans belong to runs.
pub(super) fn start_over(draft: &mut Draft<'_>, cause: &Cause) {
    let Some(run) = draft.status.run.clone() else {
        return;
    };
    let revision = draft.revision();
    archive(
        draft,
        &run,
        cause.category.as_str(),
        &cause.message,
        revision,
    );
    draft.status.run = Some(Run {
        number: run.number + 1,
        start_time: draft.now,
        // The time that it has used up counts as its failures do.
        deadline_base: Some(run.deadline_base.unwrap_or(run.start_time)),
        worker_image: draft.settings.worker_image.clone(),
        shards: draft.job.spec.execution.parallelism,
        ..run
    });
}

/// Moves `run` to the closed ones.
fn archive(draft: &mut Draft<'_>, run: &Run, result: &str, message: &str, revision: i64) {
    let complete = result == close::COMPLETE;
    let mut message = if complete { "" } else { message }.to_owned();
    truncate(&mut message, RECORD_MESSAGE_LIMIT);
    let status = &mut draft.status;
    status.runs.push(RunRecord {
        number: run.number,
        start_time: run.start_time,
        completion_time: run.completion_time.unwrap_or(draft.now),
        result: result.to_owned(),
        message,
        source_uri: run.source_uri.clone(),
        output_uri: run.output_uri.clone(),
        statistics: status.statistics,
        output: status.output.clone(),
        attempt: status.attempts.last().map_or(0, |last| last.number),
        revision,
    });
    let surplus = status.runs.len().saturating_sub(RUNS_KEPT);
    status.runs.drain(..surplus);
}

/// Remembers which generation asks for the present run: this one, if it still does.
pub(super) fn confirm(draft: &mut Draft<'_>) {
    let newer = demand::newer_run(draft);
    let generation = draft.job.metadata.generation;
    let observed = draft.status.observed_generation;
    let Some(run) = draft.status.run.as_mut() else {
        return;
    };
    if newer {
        // Of a run without one the last observed generation speaks, which becomes
        // this one as soon as the status is written.
        run.generation = run.generation.or(observed);
    } else if run.generation.or(observed) != generation {
        run.generation = generation;
    }
}

/// Row 8: shows how the run ended, whatever was shown meanwhile.
fn rest(draft: &mut Draft<'_>) {
    let run = draft.status.run.as_ref();
    let Some(outcome) = run.and_then(|run| run.outcome.clone()) else {
        return;
    };
    let complete = outcome.result == close::COMPLETE;
    draft.stand(Standing {
        phase: if complete {
            Phase::Complete
        } else {
            Phase::Failed
        },
        reason: outcome.reason,
        message: outcome.message,
        ended: true,
        stalled: !complete,
    });
}

/// A look-up is due, and only a suspend holds it back.
fn look_up(draft: &mut Draft<'_>) -> Next {
    if demand::suspended(draft) {
        suspend(draft)
    } else {
        Next::Attempt
    }
}

/// Row 10 with `spec.suspend`.
fn suspend(draft: &mut Draft<'_>) -> Next {
    clock::stop(draft);
    if draft.status.phase != Some(Phase::Suspended) {
        draft.tell("Suspended", "Suspended: spec.suspend is true");
    }
    draft.stand(Standing {
        phase: Phase::Suspended,
        reason: "Suspended".to_owned(),
        message: "nothing is started while spec.suspend is true".to_owned(),
        ended: false,
        stalled: false,
    });
    Next::Hold
}

/// Row 10 with `spec.cancel` and no run to end.
fn hold_cancelled(draft: &mut Draft<'_>) -> Next {
    draft.stand(Standing {
        phase: Phase::Failed,
        reason: CANCELLED.to_owned(),
        message: "no run is started while spec.cancel is true".to_owned(),
        ended: false,
        stalled: true,
    });
    Next::Hold
}

/// Row 9: nothing is started from a spec that cannot be worked on.
fn stall(draft: &mut Draft<'_>, problems: &[SpecProblem]) -> Next {
    let message = problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    let cause =
        Cause::seen(Category::InvalidSpec, message.clone()).with_hint("correct the named fields");
    let failure = close::last_failure(&cause, conditions::INVALID_SPEC);
    let before = draft.status.conditions.clone();
    draft.stand(Standing {
        phase: Phase::Failed,
        reason: conditions::INVALID_SPEC.to_owned(),
        message,
        ended: false,
        stalled: true,
    });
    if draft.status.conditions != before {
        draft.warn("InvalidSpec", failure.message.clone());
    }
    // How the last run ended stays known.
    if !draft.is_finished() {
        draft.status.last_failure = Some(failure);
    }
    Next::Hold
}

/// Row 10: the spec asks for other work than the run under way does.
fn replace(draft: &mut Draft<'_>) {
    let number = draft.status.run.as_ref().map_or(0, |run| run.number);
    let message = format!("the spec asked for other work before run {number} had ended");
    draft.tell("Replaced", format!("Run {number} was given up: {message}"));
    end(draft, Category::Cancelled.as_str(), "Replaced", &message);
}

/// Ends the run under way as failed for `cause`. If its last attempt may have
/// committed, that is looked up before.
fn give_up(draft: &mut Draft<'_>, cause: &Cause, reason: &str) -> Next {
    draft.status.last_failure = Some(close::last_failure(cause, reason));
    draft.status.next_attempt_time = None;
    let unreported = draft.status.run.as_ref().is_some_and(|run| run.unreported);
    if unreported {
        settle::open(draft, SettleReason::LastAttemptLost);
        return look_up(draft);
    }
    finish_failed(draft);
    Next::Rest
}

pub(super) fn finish_complete(draft: &mut Draft<'_>, reason: &str, message: String) {
    end(draft, close::COMPLETE, reason, &message);
    draft.status.last_failure = None;
    let took = took(draft);
    draft.tell("Completed", format!("Completed in {took}: {message}"));
    rest(draft);
}

/// Ends the run for the last failure.
pub(super) fn finish_failed(draft: &mut Draft<'_>) {
    let failure = draft.status.last_failure.clone();
    let (category, text, reason) = failure.as_ref().map_or(("Internal", "", ""), |f| {
        (f.category.as_str(), f.message.as_str(), f.reason.as_str())
    });
    let reason = [close::RETRIES_EXHAUSTED, CANCELLED, DEADLINE_EXCEEDED]
        .into_iter()
        .find(|known| *known == reason)
        .unwrap_or(close::NOT_RETRYABLE);
    let message = format!("{category}: {text}");
    end(draft, category, reason, &message);
    draft.warn(reason, format!("Failed for good: {message}"));
    rest(draft);
}

fn end(draft: &mut Draft<'_>, result: &str, reason: &str, message: &str) {
    let now = draft.now;
    let mut message = message.to_owned();
    truncate(&mut message, conditions::MESSAGE_LIMIT);
    if let Some(run) = draft.status.run.as_mut() {
        run.completion_time = Some(now);
        run.settle = None;
        run.suspended_time = None;
        run.outcome = Some(RunOutcome {
            result: result.to_owned(),
            reason: reason.to_owned(),
            message,
        });
    }
    draft.status.next_attempt_time = None;
}

fn took(draft: &Draft<'_>) -> String {
    draft.status.run.as_ref().map_or_else(String::new, |run| {
        human(draft.now.duration_since(run.start_time))
    })
}
