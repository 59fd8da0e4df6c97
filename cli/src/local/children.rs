//! The processes of attempts, seen as the Jobs and pods that they stand for.
//!
//! What Kubernetes does of its own accord with a Job of the operator is done
//! here in the same way: one pod per shard, never a second one; a final exit
//! code ends the other shards; a deleted Job is gone when its pods are.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use etl_contract::Category;
use etl_core::child::{Child, GRACE_SECONDS};
use etl_core::{ChildJob, ChildPod, JobState, Observed, Terminated};
use jiff::Timestamp;

use super::process::{Counters, Message, Process, ProcessId, Start, tail};
use super::uid;

/// Time between SIGTERM and SIGKILL, the same as in a cluster.
pub const GRACE: Duration = Duration::from_secs(GRACE_SECONDS.unsigned_abs());

/// Exit code of a shell that cannot start a program.
const CANNOT_START: i32 = 127;

/// All processes of one EtlJob.
#[derive(Debug)]
pub struct Children {
    folder: PathBuf,
    slots: usize,
    verbose: bool,
    grace: Duration,
    messages: Sender<Message>,
    jobs: Vec<Job>,
    started: ProcessId,
}

/// Where the processes are kept.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Folder for reports and logs.
    pub folder: &'a Path,
    /// Most processes at once.
    pub slots: usize,
    /// Pass logs through instead of keeping them.
    pub verbose: bool,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
}

#[derive(Debug)]
struct Job {
    name: String,
    uid: String,
    program: PathBuf,
    order: String,
    shards: Vec<Shard>,
    /// When a final exit code was seen.
    failing: Option<Timestamp>,
    deleting: Option<Timestamp>,
    kill_at: Option<Instant>,
}

#[derive(Debug)]
struct Shard {
    number: u32,
    counters: Counters,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Waits for a slot.
    Waiting,
    Running(Process),
    Ended(Terminated),
    /// Its Job ended before it could start.
    Dropped,
}

/// The log of a worker that ended badly and left no report.
#[derive(Debug, PartialEq, Eq)]
pub struct LastWords {
    /// Name of the pod that it stands for.
    pub pod: String,
    /// The end of its log.
    pub log: String,
}

impl Children {
    /// None yet. `messages` will hear of those that are made.
    pub fn new(place: Place<'_>, messages: Sender<Message>) -> Self {
        Children {
            folder: place.folder.to_path_buf(),
            slots: place.slots.max(1),
            verbose: place.verbose,
            grace: place.grace,
            messages,
            jobs: Vec::new(),
            started: 0,
        }
    }

    /// Makes the processes of an attempt, unless they are already there.
    pub fn create(&mut self, child: &Child) -> Result<(), getrandom::Error> {
        if self.jobs.iter().any(|job| job.name == child.name) {
            return Ok(());
        }
        let shard = |number| Shard {
            number,
            counters: Counters::default(),
            state: State::Waiting,
        };
        self.jobs.push(Job {
            name: child.name.clone(),
            uid: uid::draw()?,
            program: PathBuf::from(&child.pod.image),
            order: child.order.to_json(),
            shards: (0..child.order.shards).map(shard).collect(),
            failing: None,
            deleting: None,
            kill_at: None,
        });
        self.fill_slots();
        Ok(())
    }

    /// Ends an attempt; it is gone when the last of its processes is.
    pub fn delete(&mut self, name: &str, uid: &str, now: Timestamp) {
        if let Some(job) = self
            .jobs
            .iter_mut()
            .find(|job| job.name == name && job.uid == uid)
        {
            job.deleting.get_or_insert(now);
            job.stop(self.grace);
        }
        self.sweep();
    }

    /// Sends SIGKILL where the time after SIGTERM is over.
    pub fn enforce(&mut self) {
        let now = Instant::now();
        for job in &mut self.jobs {
            if job.kill_at.is_some_and(|time| time <= now) {
                job.kill_at = None;
                job.running().for_each(Process::kill);
            }
        }
    }

    /// When [`enforce`](Self::enforce) has something to do.
    pub fn enforce_at(&self) -> Option<Instant> {
        self.jobs.iter().filter_map(|job| job.kill_at).min()
    }

    /// Asks all processes to stop.
    pub fn stop(&mut self) {
        self.jobs.iter_mut().for_each(|job| job.stop(self.grace));
    }

    /// Ends all processes.
    pub fn kill(&self) {
        self.jobs
            .iter()
            .flat_map(Job::running)
            .for_each(Process::kill);
    }

    /// Whether a process runs.
    pub fn any_running(&self) -> bool {
        self.jobs.iter().any(|job| job.running().next().is_some())
    }

    /// A process told how far it is.
    pub fn progressed(&mut self, id: ProcessId, counters: Counters) {
        if let Some((job, shard)) = self.position(id) {
            self.jobs[job].shards[shard].counters = counters;
        }
    }

    /// How far the newest attempt is.
    pub fn counters(&self) -> Counters {
        let newest = self.jobs.last();
        let shards = newest.into_iter().flat_map(|job| &job.shards);
        shards
            .map(|shard| shard.counters)
            .fold(Counters::default(), |sum, one| sum + one)
    }

    /// A process ended.
    pub fn ended(&mut self, id: ProcessId, now: Timestamp) -> Option<LastWords> {
        let (index, place) = self.position(id)?;
        let job = &mut self.jobs[index];
        let state = std::mem::replace(&mut job.shards[place].state, State::Dropped);
        let State::Running(process) = state else {
            return None;
        };
        let log = process.log().to_path_buf();
        let end = process.reap().unwrap_or_else(|error| Terminated {
            exit_code: -1,
            reason: None,
            message: Some(format!("its end cannot be read: {error}")),
        });
        let words = (end.exit_code != 0 && end.report().is_none()).then(|| LastWords {
            pod: job.pod_name(&job.shards[place]),
            log: tail(&log),
        });
        let is_final = Category::final_exit_codes().contains(&end.exit_code);
        job.shards[place].state = State::Ended(end);
        if is_final && job.failing.is_none() {
            job.failing = Some(now);
            job.stop(self.grace);
        }
        self.sweep();
        self.fill_slots();
        words
    }

    /// The facts that decisions are made on; `open` is the name of the open
    /// attempt's Job.
    pub fn observed(&self, open: Option<&str>, mirrored_revision: Option<i64>) -> Observed {
        let found = self.jobs.iter().find(|job| Some(job.name.as_str()) == open);
        Observed {
            jobs: self.jobs.iter().map(Job::facts).collect(),
            pods: found.map(Job::pods),
            confirmed_gone: open.is_some() && found.is_none(),
            mirrored_revision,
            ..Observed::default()
        }
    }

    fn position(&self, id: ProcessId) -> Option<(usize, usize)> {
        self.jobs.iter().enumerate().find_map(|(index, job)| {
            let is_it = |shard: &Shard| matches!(&shard.state, State::Running(p) if p.id == id);
            Some((index, job.shards.iter().position(is_it)?))
        })
    }

    /// Starts shards that wait while there is room.
    fn fill_slots(&mut self) {
        let running = self.jobs.iter().flat_map(Job::running).count();
        let mut free = self.slots.saturating_sub(running);
        for job in &mut self.jobs {
            let (name, program, order) = (&job.name, &job.program, &job.order);
            let waiting = |shard: &&mut Shard| matches!(shard.state, State::Waiting);
            for shard in job.shards.iter_mut().filter(waiting) {
                if free == 0 {
                    return;
                }
                let files = self.folder.join(format!("{name}-{}", shard.number));
                let start = Start {
                    program,
                    order,
                    shard: shard.number,
                    files: &files,
                    memory_shares: self.slots,
                    verbose: self.verbose,
                };
                self.started += 1;
                shard.state = match Process::start(start, self.started, &self.messages) {
                    Ok(process) => {
                        free -= 1;
                        State::Running(process)
                    }
                    Err(error) => State::Ended(Terminated {
                        exit_code: CANNOT_START,
                        reason: None,
                        message: Some(format!("{}: {error}", program.display())),
                    }),
                };
            }
        }
    }

    /// Forgets deleted Jobs without processes. One that succeeded in spite of
    /// its deletion stays, because that is still to be seen.
    fn sweep(&mut self) {
        self.jobs.retain(|job| {
            job.deleting.is_none() || !job.is_over() || job.facts().state == JobState::Succeeded
        });
    }
}

impl Drop for Children {
    /// Without a runner nobody would read what they still say.
    fn drop(&mut self) {
        self.jobs
            .iter()
            .flat_map(Job::running)
            .for_each(Process::terminate);
    }
}

impl Job {
    fn running(&self) -> impl Iterator<Item = &Process> {
        self.shards.iter().filter_map(|shard| match &shard.state {
            State::Running(process) => Some(process),
            State::Waiting | State::Ended(_) | State::Dropped => None,
        })
    }

    /// Asks its processes to stop and starts no more of them.
    fn stop(&mut self, grace: Duration) {
        for shard in &mut self.shards {
            if matches!(shard.state, State::Waiting) {
                shard.state = State::Dropped;
            }
        }
        self.running().for_each(Process::terminate);
        if self.running().next().is_some() {
            self.kill_at.get_or_insert_with(|| Instant::now() + grace);
        }
    }

    fn is_over(&self) -> bool {
        self.shards.iter().all(|shard| match shard.state {
            State::Ended(_) | State::Dropped => true,
            State::Waiting | State::Running(_) => false,
        })
    }

    fn pod_name(&self, shard: &Shard) -> String {
        format!("{}-{}", self.name, shard.number)
    }

    fn state(&self) -> JobState {
        let succeeded =
            |shard: &Shard| matches!(&shard.state, State::Ended(end) if end.exit_code == 0);
        let reason = match self.failing {
            Some(_) => "PodFailurePolicy",
            None => "FailedIndexes",
        };
        let (reason, message) = (reason.to_owned(), "workers failed".to_owned());
        match (self.is_over(), self.failing) {
            (false, None) => JobState::Active,
            (false, since) => JobState::Failing {
                reason,
                message,
                since,
            },
            (true, _) if self.shards.iter().all(succeeded) => JobState::Succeeded,
            (true, _) => JobState::Failed { reason, message },
        }
    }

    fn facts(&self) -> ChildJob {
        let count = |is_it: fn(&State) -> bool| {
            let count = self
                .shards
                .iter()
                .filter(|shard| is_it(&shard.state))
                .count();
            i32::try_from(count).unwrap_or(i32::MAX)
        };
        ChildJob {
            name: self.name.clone(),
            uid: self.uid.clone(),
            deleting: self.deleting,
            suspended: false,
            never_resumed: false,
            resumed: None,
            state: self.state(),
            active: count(|state| matches!(state, State::Waiting | State::Running(_))),
            ready: count(|state| matches!(state, State::Running(_))),
            finished: count(|state| matches!(state, State::Ended(_))),
        }
    }

    fn pods(&self) -> Vec<ChildPod> {
        let pod = |shard: &Shard| {
            let terminated = match &shard.state {
                State::Waiting | State::Dropped => return None,
                State::Running(_) => None,
                State::Ended(end) => Some(end.clone()),
            };
            Some(ChildPod {
                name: self.pod_name(shard),
                shard: Some(shard.number),
                running: terminated.is_none(),
                started: true,
                succeeded: terminated.as_ref().is_some_and(|end| end.exit_code == 0),
                terminated,
                ..ChildPod::default()
            })
        };
        self.shards.iter().filter_map(pod).collect()
    }
}

#[cfg(test)]
mod tests;
