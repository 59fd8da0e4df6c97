//! Row 10: what the spec or the clock asks for beside going on.

use etl_api::EndingReason;

use super::draft::Draft;
use crate::work;

/// A reason to end an attempt that does well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) reason: EndingReason,
    pub(super) message: String,
}

impl Demand {
    fn new(reason: EndingReason, message: impl Into<String>) -> Self {
        let message = message.into();
        Demand { reason, message }
    }

    /// What ends the open attempt. How a run ended is looked up whatever is asked
    /// for meanwhile, so that what follows rests on a known end; only a suspend
    /// holds that back too. A run `spec` that is not valid asks for nothing new.
    pub(super) fn of(draft: &Draft<'_>, is_look_up: bool, is_valid: bool) -> Option<Self> {
        let spec = &draft.job.spec;
        if spec.cancel && !is_look_up {
            return Some(Demand::new(EndingReason::Cancelled, "spec.cancel is true"));
        }
        if is_valid && !is_look_up && newer_run(draft) {
            return Some(Demand::new(
                EndingReason::NewerRun,
                "the spec asks for other work",
            ));
        }
        if !is_look_up && let Some(seconds) = overdue(draft) {
            return Some(Demand::new(
                EndingReason::RunDeadlineExceeded,
                deadline_message(seconds),
            ));
        }
        suspended(draft).then(|| Demand::new(EndingReason::Suspended, "spec.suspend is true"))
    }
}

/// Whether the spec asks for another run than the last one: by a new generation
/// and another hash. An upgrade that hashes otherwise is no new generation.
pub(super) fn newer_run(draft: &Draft<'_>) -> bool {
    let Some(run) = &draft.status.run else {
        return false;
    };
    let known = run.generation.or(draft.status.observed_generation);
    draft.job.metadata.generation != known && work::work_hash(&draft.job.spec) != run.work_hash
}

/// Whether nothing is to be started. A cancel is stronger.
pub(super) fn suspended(draft: &Draft<'_>) -> bool {
    draft.job.spec.suspend && !draft.job.spec.cancel
}

/// The seconds that the run has used up, if it has a deadline that has passed.
pub(super) fn overdue(draft: &Draft<'_>) -> Option<u32> {
    let deadline = draft.status.run.as_ref()?.deadline_time?;
    let seconds = draft.job.spec.execution.deadline_seconds?;
    (draft.now >= deadline).then_some(seconds)
}

pub(super) fn deadline_message(seconds: u32) -> String {
    format!("the run took longer than {seconds} s, its waits included")
}
