//! The local runner: observe, plan, act, as the operator does it, with
//! processes instead of Jobs and the memory instead of an API server.
//!
//! Nothing is decided here: every attempt, deadline, delay and end comes from
//! `etl_core::plan`.

mod children;
mod clock;
mod fields;
mod ledger;
mod process;
mod show;
mod signals;
pub mod summary;
mod uid;
pub mod worker;

use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::available_parallelism;
use std::time::Instant;

use etl_api::{ConditionType, EtlJob, EtlJobStatus};
use etl_contract::{Encoder, Storage};
use etl_core::{Action, Plan, Reach, Settings, WorkerDefaults, conditions};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use tempfile::TempDir;

use children::{Children, GRACE, Place};
use clock::Clock;
pub use ledger::Ledger;
use process::Message;
use show::Show;

/// Cluster id of local runs, first part of ledger keys and owners.
const CLUSTER: &str = "local";

/// Why nothing could be run at all. What goes wrong with a job stands in its
/// status.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No folder for reports and logs.
    #[error("no temporary folder can be made, set TMPDIR to one that is writable: {0}")]
    Folder(#[source] io::Error),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[source] io::Error),
    /// The system has no random numbers.
    #[error("no uid can be drawn: {0}")]
    Uid(#[from] getrandom::Error),
}

/// How jobs are run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The worker program.
    pub worker: PathBuf,
    /// How workers reach the object store.
    pub storage: Storage,
    /// What turns values into text.
    pub encoder: Encoder,
    /// Where runs are recorded.
    pub ledger: Ledger,
    /// Pass the workers' logs through.
    pub verbose: bool,
}

/// Runs jobs, one after the other.
#[derive(Debug)]
pub struct Runner {
    setup: Setup,
    clock: Clock,
    folder: TempDir,
    sender: Sender<Message>,
    messages: Receiver<Message>,
    mirrored_revision: Option<i64>,
}

/// A job after its run.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The job with its status.
    pub job: EtlJob,
    /// Whether somebody told the runner to stop. The job may have reached its end
    /// in that moment all the same.
    pub interrupted: bool,
}

impl Ended {
    /// Whether the output is complete.
    pub fn is_complete(&self) -> bool {
        let status = self.job.status.as_ref();
        status.is_some_and(|status| conditions::is_true(status, ConditionType::Complete))
    }
}

impl Runner {
    /// A runner that from now on receives SIGINT, SIGTERM and SIGHUP.
    pub fn new(setup: Setup) -> Result<Self, RunError> {
        let folder = tempfile::Builder::new().prefix("kubectl-etl-").tempdir();
        let (sender, messages) = channel();
        signals::listen(sender.clone()).map_err(RunError::Signals)?;
        Ok(Runner {
            setup,
            clock: Clock::start(),
            folder: folder.map_err(RunError::Folder)?,
            sender,
            messages,
            mirrored_revision: None,
        })
    }

    /// Runs `job` to its end.
    pub fn run(&mut self, mut job: EtlJob) -> Result<Ended, RunError> {
        admit(&mut job, self.clock.now())?;
        self.mirrored_revision = None;
        let cores = available_parallelism().map_or(1, NonZero::get);
        let shards = usize::try_from(job.spec.execution.parallelism).unwrap_or(usize::MAX);
        let slots = shards.min(cores);
        let settings = self.settings();
        let mut show = Show::new(job.name_any(), self.setup.verbose);
        for path in fields::without_meaning(&job.spec) {
            show.say(&format!("note: {path} means nothing in a local run"));
        }
        let place = Place {
            folder: self.folder.path(),
            slots,
            verbose: self.setup.verbose,
            grace: GRACE,
        };
        let mut children = Children::new(place, self.sender.clone());
        loop {
            children.enforce();
            let plan = self.plan(&job, &children, &settings);
            let wake = plan.wake;
            let quiet = plan.status.is_none() && plan.actions.is_empty();
            self.act(&mut job, plan, &mut children, &settings, &show)?;
            if job.status.as_ref().is_some_and(is_over) {
                return Ok(Ended {
                    job,
                    interrupted: false,
                });
            }
            // A change is looked at again at once, as its echo from the API
            // server would be.
            if quiet && self.wait(wake, &mut children, &mut show) {
                self.stop(&mut children, &show);
                self.conclude(&mut job, &mut children, &settings, &show)?;
                return Ok(Ended {
                    job,
                    interrupted: true,
                });
            }
        }
    }

    fn plan(&self, job: &EtlJob, children: &Children, settings: &Settings) -> Plan {
        let status = job.status.as_ref();
        let open = status.and_then(|status| status.attempt.as_ref());
        let seen = children.observed(
            open.map(|attempt| attempt.job_name.as_str()),
            self.mirrored_revision,
        );
        etl_core::plan(job, &seen, settings, self.clock.now())
    }

    fn settings(&self) -> Settings {
        Settings {
            cluster: CLUSTER.to_owned(),
            worker_image: self.setup.worker.display().to_string(),
            image_pull_policy: None,
            worker: WorkerDefaults::default(),
            storage: self.setup.storage.clone(),
            encoder: self.setup.encoder,
            reach: Reach::Local,
            ledger: true,
        }
    }

    /// The status first, then the actions, then the news: the operator's order.
    fn act(
        &mut self,
        job: &mut EtlJob,
        plan: Plan,
        children: &mut Children,
        settings: &Settings,
        show: &Show,
    ) -> Result<(), RunError> {
        let next = plan
            .status
            .as_ref()
            .and_then(|status| status.next_attempt_time);
        let before = job
            .status
            .as_ref()
            .and_then(|status| status.next_attempt_time);
        if let Some(status) = plan.status {
            job.status = Some(status);
            self.record(job, settings, show);
        }
        for action in plan.actions {
            match action {
                Action::Create(child) => children.create(&child)?,
                Action::Delete { name, uid } => children.delete(&name, &uid, self.clock.now()),
                // There is no object to delete; what it told is printed.
                Action::DeleteSelf => {}
            }
        }
        for event in &plan.events {
            show.event(event);
        }
        if let Some(next) = next.filter(|next| Some(*next) != before) {
            let delay = conditions::human(next.duration_since(self.clock.now()));
            show.waiting(&delay);
        }
        Ok(())
    }

    /// Waits until there is something to decide. Returns whether the runner is
    /// to stop.
    fn wait(&self, wake: Option<Timestamp>, children: &mut Children, show: &mut Show) -> bool {
        let wake = wake.map(|time| Instant::now() + self.clock.until(time));
        loop {
            let until = [wake, children.enforce_at()].into_iter().flatten().min();
            let message = match until {
                Some(time) => {
                    let left = time.saturating_duration_since(Instant::now());
                    match self.messages.recv_timeout(left) {
                        Ok(message) => message,
                        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                            return false;
                        }
                    }
                }
                None => match self.messages.recv() {
                    Ok(message) => message,
                    // Cannot be: the runner holds a sender itself.
                    Err(_) => return true,
                },
            };
            match message {
                Message::Progress(id, counters) => {
                    children.progressed(id, counters);
                    show.progress(children.counters());
                }
                Message::Ended(id) => {
                    if let Some(words) = children.ended(id, self.clock.now()) {
                        let log = if words.log.is_empty() {
                            "nothing"
                        } else {
                            &words.log
                        };
                        show.say(&format!(
                            "worker {} left no report; the end of its log:\n{log}",
                            words.pod
                        ));
                    }
                    return false;
                }
                Message::Interrupted => return true,
            }
        }
    }

    /// Ends all processes: politely, then, after the grace or a second signal,
    /// at once. One that not even the kernel can end is left behind.
    fn stop(&self, children: &mut Children, show: &Show) {
        show.say("interrupted; the workers are told to stop");
        children.stop();
        let limit = Instant::now() + GRACE * 2;
        while children.any_running() && Instant::now() < limit {
            let until = children.enforce_at().unwrap_or(limit);
            match self
                .messages
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(Message::Ended(id)) => drop(children.ended(id, self.clock.now())),
                Ok(Message::Interrupted) => children.kill(),
                Ok(Message::Progress(..)) => {}
                Err(_) => children.enforce(),
            }
        }
    }

    fn record(&mut self, job: &EtlJob, settings: &Settings, show: &Show) {
        match self
            .setup
            .ledger
            .put(&etl_core::ledger::records(job, settings))
        {
            Ok(()) => {
                self.mirrored_revision = job.status.as_ref().and_then(|status| status.revision);
            }
            Err(error) => show.say(&format!("warning: {error}")),
        }
    }

    /// The last look at an interrupted run: what its workers reported while they
    /// were told to stop may be its end. Nothing else is begun.
    fn conclude(
        &mut self,
        job: &mut EtlJob,
        children: &mut Children,
        settings: &Settings,
        show: &Show,
    ) -> Result<(), RunError> {
        let plan = self.plan(job, children, settings);
        if plan.status.as_ref().is_some_and(is_over) {
            return self.act(job, plan, children, settings, show);
        }
        self.record_interruption(job, settings, show);
        Ok(())
    }

    /// Nobody goes on with an interrupted run: for the ledger it is like one
    /// whose EtlJob was deleted.
    fn record_interruption(&self, job: &EtlJob, settings: &Settings, show: &Show) {
        let record = etl_core::ledger::cancelled(job, settings, self.clock.now());
        if let Err(error) = self.setup.ledger.put(record.as_slice()) {
            show.say(&format!("warning: {error}"));
        }
    }
}

/// What the API server gives to a new object.
fn admit(job: &mut EtlJob, now: Timestamp) -> Result<(), getrandom::Error> {
    let metadata = &mut job.metadata;
    metadata.uid = Some(uid::draw()?);
    metadata.creation_timestamp = Some(Time(now));
    metadata.generation = Some(1);
    job.status = None;
    Ok(())
}

/// Whether nothing more happens: the run ended, or none is to be opened.
fn is_over(status: &EtlJobStatus) -> bool {
    let run = status.run.as_ref();
    run.is_some_and(|run| run.completion_time.is_some())
        || conditions::is_true(status, ConditionType::Stalled)
        || conditions::is_true(status, ConditionType::Suspended)
}
