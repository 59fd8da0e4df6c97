//! `plan`: from facts to a decision. Total, deterministic, and the only place
//! where the life of an EtlJob is decided.
//!
//! The first matching row of the decision table wins; rows are numbered as in
//! `docs/architecture.md`, and each has its tests under its number.
//!
//! # Guarantees
//! - A finished run stays finished: with a completion time in the status no
//!   plan creates a Job.
//! - At most one Job that is not finished exists per EtlJob: another one is
//!   planned only when the cache shows none, and the last one was confirmed
//!   gone by a live read.
//! - Intent before effect: a Job is created only by a plan whose status, which
//!   is written first, names it.
//! - Every plan of an unfinished job either acts, waits for an event of a
//!   child that exists, or has a wake-up time.

mod close;
mod draft;
mod open;
mod settle;
#[cfg(test)]
mod tests;

use etl_api::{EtlJob, EtlJobStatus, Phase};
use etl_contract::Category;
use jiff::{SignedDuration, Timestamp};

use crate::child::{Child, GRACE_SECONDS};
use crate::classify::Cause;
use crate::conditions::Standing;
use crate::facts::{ChildJob, Observed};
use crate::settings::Settings;
use crate::validate::{SpecProblem, validate};
use draft::Draft;

/// What is to be done in one pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The status to write first; `None` when it stays as it is.
    pub status: Option<EtlJobStatus>,
    /// Effects, in order, after the status is written.
    pub actions: Vec<Action>,
    /// What to tell people, last.
    pub events: Vec<Event>,
    /// When to look again if nothing happens before.
    pub wake: Option<Timestamp>,
}

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the Job of an attempt; one that is already there is adopted if
    /// it is this attempt's.
    Create(Box<Child>),
    /// Delete a Job, its pods first (Foreground), if it still has this uid.
    Delete {
        /// Name of the Job.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Delete the EtlJob itself: its time to live is over.
    DeleteSelf,
}

/// Whether an event is news or trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// News.
    Normal,
    /// Trouble.
    Warning,
}

/// Something to tell people through `kubectl describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// News or trouble.
    pub severity: Severity,
    /// PascalCase reason.
    pub reason: &'static str,
    /// A sentence.
    pub note: String,
}

/// Finished Jobs that are kept for their logs.
const JOBS_KEPT: usize = 3;

/// Beyond its own deadline and the pods' grace, this long is waited for a Job
/// that is being deleted.
const GONE_PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// Decides what happens next to `job`.
pub fn plan(job: &EtlJob, seen: &Observed, settings: &Settings, now: Timestamp) -> Plan {
    // Row 1: children go with their owner, the mirror closes the ledger's row.
    if job.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut draft = Draft::new(job, settings, now);
    decide(&mut draft, seen);
    draft.finish()
}

fn decide(draft: &mut Draft<'_>, seen: &Observed) {
    // Row 2.
    if strays(draft, seen) {
        return;
    }
    let problems = validate(&draft.job.spec, draft.settings.reach);
    if let Some(attempt) = draft.status.attempt.clone() {
        // Rows 3 to 7, 10, 12 and 13.
        open::decide(draft, &attempt, seen);
    }
    old_jobs(draft, seen);
    if draft.is_finished() {
        // Row 8.
        time_to_live(draft, seen);
    } else if draft.status.attempt.is_some() {
        // An open attempt goes on with the work it was given (row 9).
    } else if !problems.is_empty() {
        // Row 9.
        stall(draft, &problems);
    } else if let Some(next) = draft
        .status
        .next_attempt_time
        .filter(|next| draft.now < *next)
    {
        // Row 14: an early pass changes and counts nothing.
        draft.wake_at(next);
    } else {
        // Row 15.
        draft.open_attempt();
    }
}

/// Row 2: a Job of this EtlJob that is alive and not the open attempt's is
/// deleted, and nothing else happens until it is gone. Returns whether to wait.
fn strays(draft: &mut Draft<'_>, seen: &Observed) -> bool {
    let open = draft
        .status
        .attempt
        .as_ref()
        .map(|attempt| attempt.job_name.clone());
    let limit = SignedDuration::from_secs(GRACE_SECONDS) + GONE_PATIENCE;
    let mut wait = false;
    for child in &seen.jobs {
        if child.is_finished() || Some(&child.name) == open.as_ref() {
            continue;
        }
        match child.deleting {
            None => {
                draft.delete(child);
                wait = true;
            }
            // A lost node can hold a pod's end back for ever; what its zombie
            // still writes the commit protocol survives.
            Some(since) if draft.now.duration_since(since) < limit => {
                draft.wake_at(since + limit);
                wait = true;
            }
            Some(_) => {}
        }
    }
    wait
}

/// Keeps the newest finished Jobs for their logs and deletes the others.
fn old_jobs(draft: &mut Draft<'_>, seen: &Observed) {
    let mut finished: Vec<&ChildJob> = seen
        .jobs
        .iter()
        .filter(|job| job.is_finished() && job.deleting.is_none())
        .collect();
    if finished.len() <= JOBS_KEPT {
        return;
    }
    // The newest attempts are those named last in the status.
    let names = draft.attempt_names();
    finished.sort_by_key(|job| names.iter().position(|name| *name == job.name));
    for child in &finished[..finished.len() - JOBS_KEPT] {
        draft.delete(child);
    }
}

/// Row 8: nothing is left to do for a finished run but to let it go in time.
fn time_to_live(draft: &mut Draft<'_>, seen: &Observed) {
    let Some(ttl) = draft.job.spec.ttl_seconds_after_finished else {
        return;
    };
    let Some(end) = draft
        .status
        .run
        .as_ref()
        .and_then(|run| run.completion_time)
    else {
        return;
    };
    let due = end + SignedDuration::from_secs(i64::from(ttl));
    if draft.now < due {
        draft.wake_at(due);
        return;
    }
    // The ledger must have the result before its source disappears.
    let recorded = !draft.settings.ledger || seen.mirrored_revision >= draft.status.revision;
    if recorded {
        draft.actions.push(Action::DeleteSelf);
    } else {
        draft.wake_at(draft.now + SignedDuration::from_secs(5));
    }
}

/// Row 9: nothing is started from a spec that cannot be worked on.
fn stall(draft: &mut Draft<'_>, problems: &[SpecProblem]) {
    let message = problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    let cause = Cause::seen(Category::InvalidSpec, message.clone())
        .with_hint("correct the named fields, or make a new EtlJob");
    let failure = close::last_failure(&cause, "InvalidSpec");
    if draft.status.last_failure.as_ref() != Some(&failure) {
        draft.warn("InvalidSpec", failure.message.clone());
    }
    draft.status.last_failure = Some(failure);
    draft.stand(Standing {
        phase: Phase::Failed,
        reason: "InvalidSpec".to_owned(),
        message,
        stalled: true,
    });
}
