//! One worker process: started, listened to, signalled, reaped.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use etl_contract::{REPORT_LIMIT_BYTES, SHARD_ENV, WORK_ORDER_ENV};
use etl_core::Terminated;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::Deserialize;

/// Most of a log that is shown when a worker ended without a report, in lines.
const LOG_LINES: usize = 10;

/// Something that happened while the runner waits.
#[derive(Debug)]
pub enum Message {
    /// A worker told how far it is.
    Progress(ProcessId, Counters),
    /// A worker ended and is to be reaped.
    Ended(ProcessId),
    /// Somebody wants the runner to stop.
    Interrupted,
}

/// Number of a process within a runner. Unlike a pid it is never used again.
pub type ProcessId = u64;

/// How far a worker is, as it prints it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Rows of finished objects.
    pub rows: u64,
    /// Finished objects.
    pub objects_done: u64,
    /// Objects that are this worker's; 0 until its plan is known.
    pub objects_total: u64,
    /// Bytes read from the source.
    pub bytes_read: u64,
}

impl std::ops::Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Counters {
            rows: self.rows + other.rows,
            objects_done: self.objects_done + other.objects_done,
            objects_total: self.objects_total + other.objects_total,
            bytes_read: self.bytes_read + other.bytes_read,
        }
    }
}

/// What a worker is started with.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The program.
    pub program: &'a Path,
    /// The order, as JSON.
    pub order: &'a str,
    /// Number of the shard.
    pub shard: u32,
    /// Path, without suffix, of the files that belong to it.
    pub files: &'a Path,
    /// Most workers at once, among which the memory is divided.
    pub memory_shares: usize,
    /// Pass its log through instead of keeping it in a file.
    pub verbose: bool,
}

/// A worker process that is not reaped.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub id: ProcessId,
    child: Child,
    report: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts a worker, of which `messages` will hear.
    pub fn start(start: Start<'_>, id: ProcessId, messages: &Sender<Message>) -> io::Result<Self> {
        let (report, log) = (
            start.files.with_extension("report"),
            start.files.with_extension("log"),
        );
        let stderr = if start.verbose {
            Stdio::inherit()
        } else {
            File::create(&log)?.into()
        };
        let mut command = Command::new(start.program);
        command
            .args(["--progress", "--termination-log"])
            .arg(&report)
            .arg(format!("--memory-shares={}", start.memory_shares))
            .env(WORK_ORDER_ENV, start.order)
            .env(SHARD_ENV, start.shard.to_string())
            .env("ETL_LOG_FORMAT", "text")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // Ctrl-C reaches the whole group of a terminal. Workers are told by
            // the runner alone, or their end would look like a failure.
            .process_group(0);
        let mut child = command.spawn()?;
        if let Some(stdout) = child.stdout.take() {
            let messages = messages.clone();
            thread::spawn(move || listen(stdout, id, &messages));
        }
        let (pid, messages) = (Pid::from_child(&child), messages.clone());
        thread::spawn(move || {
            wait(pid);
            // Nobody hears it when the runner is already gone.
            let _ = messages.send(Message::Ended(id));
        });
        Ok(Process {
            id,
            child,
            report,
            log,
        })
    }

    /// Asks the worker to stop.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the worker.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // Not reaped, so the number is still its own; and one that has just
        // ended needs no signal.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }

    /// How it ended; waits for the end.
    pub fn reap(mut self) -> io::Result<Terminated> {
        let status = self.child.wait()?;
        let exit_code = status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal));
        let message = std::fs::read(&self.report)
            .ok()
            .filter(|report| !report.is_empty());
        Ok(Terminated {
            exit_code: exit_code.unwrap_or(-1),
            reason: None,
            message: message.map(|mut report| {
                report.truncate(REPORT_LIMIT_BYTES);
                String::from_utf8_lossy(&report).into_owned()
            }),
        })
    }

    /// File with its log.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

/// The last lines of a log; empty if there are none.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

fn listen(stdout: ChildStdout, id: ProcessId, messages: &Sender<Message>) {
    // Read to the end whatever comes, so that the worker never waits for it.
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        if let Ok(counters) = serde_json::from_slice(&line) {
            let _ = messages.send(Message::Progress(id, counters));
        }
    }
}

/// Waits for the end without reaping: until then the pid belongs to nobody
/// else, so that a signal cannot hit a stranger.
fn wait(pid: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    // Without such a child there is nothing to wait for.
    let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), options));
}
