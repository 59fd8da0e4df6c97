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
//!   child that exists, has a wake-up time, or waits for a change of the spec
//!   and says so.

mod active;
mod clock;
mod close;
mod demand;
mod draft;
mod ending;
mod open;
mod retention;
mod run;
mod settle;
#[cfg(test)]
mod tests;

use etl_api::{EtlJob, EtlJobStatus};
use jiff::{SignedDuration, Timestamp};

use crate::child::{Child, GRACE_SECONDS};
use crate::facts::Observed;
use crate::settings::Settings;
use crate::validate::validate;
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
    run::confirm(draft);
    // Row 2.
    if strays(draft, seen) {
        return;
    }
    let problems = validate(&draft.job.spec, draft.settings.reach);
    // How a run ended stays known, also if that was the reason.
    if problems.is_empty() && !draft.is_finished() {
        draft.forget_problems();
    }
    clock::keep(draft);
    if let Some(attempt) = draft.status.attempt.clone() {
        // Rows 3 to 7, and 10 to 13.
        open::decide(draft, &attempt, seen, problems.is_empty());
    }
    retention::old_jobs(draft, seen);
    if draft.status.attempt.is_none() {
        match run::next(draft, &problems) {
            run::Next::Rest => retention::time_to_live(draft, seen),
            run::Next::Hold => {}
            run::Next::Attempt => attempt(draft),
        }
    }
    clock::wake_for_deadline(draft);
}

/// Rows 14 and 15.
fn attempt(draft: &mut Draft<'_>) {
    let due = draft.status.next_attempt_time;
    if let Some(next) = due.filter(|next| draft.now < *next) {
        // Row 14: an early pass changes and counts nothing.
        close::stand_waiting(draft, next);
        draft.wake_at(next);
    } else {
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
