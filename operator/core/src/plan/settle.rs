//! Looking up how a run ended, when nobody is left to tell: an attempt that only
//! reads the manifest. Unknown is not failed.

use etl_api::{Attempt, AttemptRecord, Settle, SettleReason};
use etl_contract::Category;

use super::close::{
    CANCELLED, FREE_ATTEMPTS, NAME_TAKEN, NOT_TRIED, OVERDUE, SUSPENDED, charge, record, wait,
};
use super::draft::Draft;
use super::run::{finish_complete, finish_failed};
use crate::classify::Cause;

/// Failed look-ups after which a run whose Job succeeded counts as complete
/// with unknown totals.
const LOST_REPORT_TRIES: u32 = 2;

/// Row 5: the Job succeeded, so a manifest exists, but nobody is left to say
/// what it holds.
pub(super) fn report_lost(draft: &mut Draft<'_>, attempt: &Attempt) {
    if attempt.settle {
        let cause = Cause::seen(Category::WorkerLost, "the look-up's own report was lost");
        failed(draft, attempt, &cause);
        return;
    }
    record(
        draft,
        attempt,
        "ReportLost",
        false,
        "the Job succeeded, but its reports are lost",
    );
    open(draft, SettleReason::ReportLost);
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

/// Has the end of the run looked up by its next attempt.
pub(super) fn open(draft: &mut Draft<'_>, reason: SettleReason) {
    if let Some(run) = draft.status.run.as_mut() {
        run.settle = Some(Settle { reason, tries: 0 });
        run.free_attempts += 1;
    }
}

/// A look-up failed itself. Unknown is not failed: it is tried again, but not
/// for ever.
pub(super) fn failed(draft: &mut Draft<'_>, attempt: &Attempt, cause: &Cause) {
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
            clear(draft);
            let message = "the Job succeeded; its totals could not be looked up";
            finish_complete(draft, "ReportLost", message.to_owned());
        }
        // What keeps the workers from starting keeps the look-up too, and no
        // worker was seen that could have committed.
        SettleReason::LastAttemptLost if pointless => {
            clear(draft);
            finish_failed(draft);
        }
        SettleReason::LastAttemptLost if tries >= FREE_ATTEMPTS => {
            clear(draft);
            if let Some(failure) = draft.status.last_failure.as_mut() {
                failure.hint = Some(
                    "whether the output is complete could not be looked up: \
                     it is if the manifest exists"
                        .to_owned(),
                );
            }
            finish_failed(draft);
        }
        SettleReason::ReportLost | SettleReason::LastAttemptLost => {
            wait(draft, attempt, tries, cause);
        }
    }
}

/// Whether an attempt with this result had no pod that ran.
fn never_started(result: &str) -> bool {
    [Category::StartTimeout, Category::Rejected]
        .iter()
        .any(|category| category.as_str() == result)
        || [NOT_TRIED, NAME_TAKEN].contains(&result)
}

/// The same of one that may have been ended before it ran.
fn never_ran(attempt: &AttemptRecord) -> bool {
    let interrupted = [CANCELLED, OVERDUE, SUSPENDED].contains(&attempt.result.as_str());
    let ran = attempt.running_time.is_some();
    !attempt.preempted && (never_started(&attempt.result) || (interrupted && !ran))
}

/// Whether the history shows that no attempt of the run had a pod that ran.
pub(super) fn nothing_ran(draft: &Draft<'_>) -> bool {
    let run = draft.status.run.as_ref().map_or(0, |run| run.number);
    let attempts = &draft.status.attempts;
    // A history that is cut off shows nothing.
    let whole = attempts
        .first()
        .is_some_and(|first| first.number == 1 || first.run < run);
    let mut own = attempts.iter().filter(|attempt| attempt.run == run);
    whole && own.all(never_ran)
}

pub(super) fn clear(draft: &mut Draft<'_>) {
    if let Some(run) = draft.status.run.as_mut() {
        run.settle = None;
    }
}
