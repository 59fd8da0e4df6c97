//! A plan in the making: a copy of the status that rows change, and the
//! effects they ask for.

use etl_api::{Attempt, AttemptRecord, EtlJob, EtlJobStatus, Phase};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::{Action, Event, Plan, Severity, run, settle};
use crate::child::{Child, PodSettings, backstop_seconds};
use crate::conditions::{self, Standing};
use crate::facts::ChildJob;
use crate::settings::Settings;
use crate::{ledger, names, retry, size, work};

/// Between two looks at a pod that does not start.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Seconds that a look-up may take to start when nothing of its run ever ran.
const POINTLESS_SECONDS: u32 = 60;

pub(super) struct Draft<'a> {
    pub(super) job: &'a EtlJob,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
    pub(super) uid: String,
    pub(super) status: EtlJobStatus,
    pub(super) actions: Vec<Action>,
    events: Vec<Event>,
    wake: Option<Timestamp>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(job: &'a EtlJob, settings: &'a Settings, now: Timestamp) -> Self {
        Draft {
            job,
            settings,
            now: retry::millis(now),
            uid: job.uid().unwrap_or_default(),
            status: job.status.clone().unwrap_or_default(),
            actions: Vec::new(),
            events: Vec::new(),
            wake: None,
        }
    }

    /// Whether the end of the run is being looked up.
    pub(super) fn is_settling(&self) -> bool {
        let run = self.status.run.as_ref();
        run.is_some_and(|run| run.settle.is_some())
    }

    /// Whether the run ended in this very pass.
    pub(super) fn has_just_finished(&self) -> bool {
        let before = self.job.status.as_ref().and_then(|s| s.run.as_ref());
        self.is_finished() && before.is_none_or(|run| run.completion_time.is_none())
    }

    pub(super) fn is_finished(&self) -> bool {
        self.status
            .run
            .as_ref()
            .is_some_and(|run| run.completion_time.is_some())
    }

    /// The earliest of all requests counts.
    pub(super) fn wake_at(&mut self, time: Timestamp) {
        self.wake = Some(self.wake.map_or(time, |wake| wake.min(time)));
    }

    pub(super) fn delete(&mut self, child: &ChildJob) {
        self.actions.push(Action::Delete {
            name: child.name.clone(),
            uid: child.uid.clone(),
        });
    }

    pub(super) fn tell(&mut self, reason: &'static str, note: impl Into<String>) {
        self.events.push(Event {
            severity: Severity::Normal,
            reason,
            note: note.into(),
        });
    }

    pub(super) fn warn(&mut self, reason: &'static str, note: impl Into<String>) {
        self.events.push(Event {
            severity: Severity::Warning,
            reason,
            note: note.into(),
        });
    }

    pub(super) fn stand(&mut self, standing: Standing) {
        let generation = self.job.metadata.generation;
        conditions::apply(&mut self.status, &standing, generation, self.now);
    }

    /// Names of the Jobs of all attempts that the status knows, oldest first.
    pub(super) fn attempt_names(&self) -> Vec<String> {
        let closed = self.status.attempts.iter();
        let closed =
            closed.map(|a| names::child_job(&self.job.name_any(), &self.uid, a.run, a.number));
        closed
            .chain(self.status.attempt.iter().map(|open| open.job_name.clone()))
            .collect()
    }

    /// Row 15: intent for the next attempt, then its Job.
    pub(super) fn open_attempt(&mut self) {
        if self.status.run.is_none() || self.is_finished() {
            run::open(self);
        }
        let Some(run) = self.status.run.clone() else {
            return;
        };
        let number = self.status.attempts.last().map_or(0, |last| last.number) + 1;
        let attempt = Attempt {
            number,
            job_name: names::child_job(&self.job.name_any(), &self.uid, run.number, number),
            job_uid: None,
            start_time: self.now,
            running_time: None,
            settle: run.settle.is_some(),
            ending: None,
        };
        let own = |closed: &AttemptRecord| closed.run == run.number;
        let first = run.failures == 0 && !self.status.attempts.iter().any(own);
        if first {
            self.tell(
                "Started",
                format!("Run {} started with Job {}", run.number, attempt.job_name),
            );
        }
        self.status.next_attempt_time = None;
        self.status.attempt = Some(attempt.clone());
        let phase = if first {
            Phase::Pending
        } else {
            Phase::Retrying
        };
        self.stand_starting(&attempt, phase);
        self.create(&attempt);
        self.wake_for_start(attempt.start_time);
    }

    /// What was wrong with an earlier spec is no failure of this one.
    pub(super) fn forget_problems(&mut self) {
        let failure = self.status.last_failure.as_ref();
        if failure.is_some_and(|failure| failure.reason == conditions::INVALID_SPEC) {
            self.status.last_failure = None;
        }
    }

    pub(super) fn stand_starting(&mut self, attempt: &Attempt, phase: Phase) {
        let (number, name) = (attempt.number, &attempt.job_name);
        let (reason, message) = if attempt.settle {
            let before = number - 1;
            (
                "LookingUp",
                format!("looking up how attempt {before} ended, as Job {name}"),
            )
        } else {
            (
                "Starting",
                format!("attempt {number} is starting as Job {name}"),
            )
        };
        self.stand(Standing {
            phase,
            reason: reason.to_owned(),
            message,
            ended: false,
            stalled: false,
        });
    }

    /// Asks for the Job of `attempt`.
    pub(super) fn create(&mut self, attempt: &Attempt) {
        let Some(run) = &self.status.run else { return };
        let child = Child {
            name: attempt.job_name.clone(),
            order: work::order(self.job, run, attempt, self.settings),
            pod: PodSettings::resolve(self.job, run, self.settings),
            backstop_seconds: backstop_seconds(self.job),
            final_exit_codes: retry::final_exit_codes(&self.job.spec.retry_policy),
        };
        self.actions.push(Action::Create(Box::new(child)));
    }

    /// Wakes when a pod that does not start is to be explained, and at the
    /// start deadline; `start` is when its time to start began.
    pub(super) fn wake_for_start(&mut self, start: Timestamp) {
        let explain = start + crate::facts::start_patience(self.job);
        let deadline = self.start_deadline(start);
        // The reason may change, or come only later.
        let look = if self.now < explain {
            explain
        } else {
            self.now + LOOK_AGAIN
        };
        self.wake_at(look.min(deadline).max(self.now));
    }

    pub(super) fn start_deadline(&self, start: Timestamp) -> Timestamp {
        start + SignedDuration::from_secs(i64::from(self.start_seconds()))
    }

    /// How long a pod may take to start. What kept all workers of a run from
    /// starting keeps its look-up too: that is not waited for as long again.
    pub(super) fn start_seconds(&self) -> u32 {
        let seconds = self.job.spec.execution.start_deadline_seconds;
        if self.is_settling() && settle::nothing_ran(self) {
            seconds.min(POINTLESS_SECONDS)
        } else {
            seconds
        }
    }

    /// When the worker stops by itself: it neither writes nor commits later.
    pub(super) fn worker_deadline(&self, attempt: &Attempt) -> Timestamp {
        let seconds = self.job.spec.execution.active_deadline_seconds;
        let start = attempt
            .running_time
            .unwrap_or_else(|| self.start_deadline(attempt.start_time));
        start + SignedDuration::from_secs(i64::from(seconds))
    }

    /// The revision that the status gets if it changes.
    pub(super) fn revision(&self) -> i64 {
        let before = self.job.status.as_ref().and_then(|status| status.revision);
        ledger::next_revision(before, self.now)
    }

    /// The revision of the status as it was read.
    pub(super) fn known_revision(&self) -> i64 {
        let before = self.job.status.as_ref().and_then(|status| status.revision);
        before.unwrap_or_else(|| self.revision())
    }

    /// The limit that counts: that of the rule which the last failure meets.
    fn max_attempts(&self) -> u32 {
        let policy = &self.job.spec.retry_policy;
        let failure = self.status.last_failure.as_ref();
        let category = failure.and_then(|failure| failure.category.parse().ok());
        category.map_or(policy.max_attempts, |category| {
            retry::verdict(policy, category).max_attempts
        })
    }

    /// The plan. The status is part of it only if it differs; then it gets the
    /// next revision.
    pub(super) fn finish(mut self) -> Plan {
        let before = self.job.status.clone().unwrap_or_default();
        if self.status.phase.is_some() {
            // The answer to an edit that changes nothing else.
            self.status.observed_generation = self.job.metadata.generation;
        }
        let limit = self.max_attempts();
        conditions::summarize(&mut self.status, limit);
        size::fit(&mut self.status);
        let revision = self.revision();
        let status = (self.status != before).then(|| {
            self.status.revision = Some(revision);
            self.status
        });
        Plan {
            status,
            actions: self.actions,
            events: self.events,
            wake: self.wake,
        }
    }
}
