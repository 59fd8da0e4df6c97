//! A plan in the making: a copy of the status that rows change, and the
//! effects they ask for.

use etl_api::{Attempt, EtlJob, EtlJobStatus, Phase, Run};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::{Action, Event, Plan, Severity};
use crate::child::{Child, PodSettings, backstop_seconds};
use crate::conditions::{self, Standing};
use crate::facts::ChildJob;
use crate::settings::Settings;
use crate::{ledger, names, retry, size, work};

/// Between two looks at a pod that does not start.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

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

    /// The run that is under way, opened now if there is none. What it needs
    /// to stay the same is frozen here.
    fn run(&mut self) -> Run {
        let (job, settings, now) = (self.job, self.settings, self.now);
        self.status
            .run
            .get_or_insert_with(|| Run {
                number: 1,
                work_hash: work::work_hash(&job.spec),
                start_time: now,
                completion_time: None,
                worker_image: settings.worker_image.clone(),
                shards: job.spec.execution.parallelism,
                failures: 0,
                free_attempts: 0,
                settle: None,
            })
            .clone()
    }

    /// Row 15: intent for the next attempt, then its Job.
    pub(super) fn open_attempt(&mut self) {
        let run = self.run();
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
        let first = number == 1;
        let (reason, message) = if attempt.settle {
            (
                "LookingUp",
                format!(
                    "looking up how attempt {} ended, as Job {}",
                    number - 1,
                    attempt.job_name
                ),
            )
        } else {
            (
                "Starting",
                format!("attempt {number} is starting as Job {}", attempt.job_name),
            )
        };
        if first {
            self.tell(
                "Started",
                format!("Run {} started with Job {}", run.number, attempt.job_name),
            );
        }
        self.status.next_attempt_time = None;
        self.status.attempt = Some(attempt.clone());
        self.stand(Standing {
            phase: if first {
                Phase::Pending
            } else {
                Phase::Retrying
            },
            reason: reason.to_owned(),
            message,
            stalled: false,
        });
        self.create(&attempt);
        self.wake_for_start(&attempt);
    }

    /// Asks for the Job of `attempt`.
    pub(super) fn create(&mut self, attempt: &Attempt) {
        let run = self.run();
        self.actions.push(Action::Create(Box::new(Child {
            name: attempt.job_name.clone(),
            order: work::order(self.job, &run, attempt, self.settings),
            pod: PodSettings::resolve(self.job, &run.worker_image, self.settings),
            backstop_seconds: backstop_seconds(self.job),
        })));
    }

    /// Wakes when a pod that does not start is to be explained, and at the
    /// start deadline.
    pub(super) fn wake_for_start(&mut self, attempt: &Attempt) {
        let explain = attempt.start_time + crate::facts::start_patience(self.job);
        let deadline = self.start_deadline(attempt);
        // The reason may change, or come only later.
        let look = if self.now < explain {
            explain
        } else {
            self.now + LOOK_AGAIN
        };
        self.wake_at(look.min(deadline).max(self.now));
    }

    pub(super) fn start_deadline(&self, attempt: &Attempt) -> Timestamp {
        let seconds = self.job.spec.execution.start_deadline_seconds;
        attempt.start_time + SignedDuration::from_secs(i64::from(seconds))
    }

    /// When the worker stops by itself: it neither writes nor commits later.
    pub(super) fn worker_deadline(&self, attempt: &Attempt) -> Timestamp {
        let seconds = self.job.spec.execution.active_deadline_seconds;
        let start = attempt
            .running_time
            .unwrap_or_else(|| self.start_deadline(attempt));
        start + SignedDuration::from_secs(i64::from(seconds))
    }

    /// The revision that the status gets if it changes.
    pub(super) fn revision(&self) -> i64 {
        let before = self.job.status.as_ref().and_then(|status| status.revision);
        ledger::next_revision(before, self.now)
    }

    /// The plan. The status is part of it only if it differs; then it gets the
    /// next revision.
    pub(super) fn finish(mut self) -> Plan {
        let before = self.job.status.clone().unwrap_or_default();
        if self.status.phase.is_some() {
            // The answer to an edit that changes nothing else.
            self.status.observed_generation = self.job.metadata.generation;
        }
        conditions::summarize(&mut self.status, self.job.spec.retry_policy.max_attempts);
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
