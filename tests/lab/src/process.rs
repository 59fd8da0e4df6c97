//! Starting and stopping the lab's processes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::wait_until;

/// How long the processes of a lab live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as the process that started them, however that one ends.
    Owner,
    /// Until the lab is swept.
    Detached,
}

/// A command line, where its output goes and what the process is called.
#[derive(Debug)]
pub(crate) struct Launch {
    name: String,
    command: Vec<OsString>,
    log: PathBuf,
    directory: PathBuf,
}

impl Launch {
    /// Runs `program` inside the network namespace at `netns`.
    pub(crate) fn in_netns(
        name: &str,
        netns: &Path,
        log: &Path,
        program: impl AsRef<OsStr>,
    ) -> Self {
        let mut enter = OsString::from("--net=");
        enter.push(netns);
        Self::new(name, log)
            .args(["nsenter".into(), enter, "--".into()])
            .arg(program)
    }

    /// Runs `program` among the processes of a node, whose first process is `init`.
    pub(crate) fn in_node(name: &str, init: Pid, log: &Path, program: impl AsRef<OsStr>) -> Self {
        Self::new(name, log).args(enter_node(init)).arg(program)
    }

    fn new(name: &str, log: &Path) -> Self {
        Self {
            name: name.to_owned(),
            command: Vec::new(),
            log: log.join(format!("{name}.log")),
            directory: log.to_owned(),
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<I: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = I>) -> Self {
        self.command
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// The working folder; the log folder when nothing is said.
    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        directory.clone_into(&mut self.directory);
        self
    }

    pub(crate) fn spawn(self, lifetime: Lifetime) -> Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot open {}", self.log.display()))?;
        let mut command = match lifetime {
            Lifetime::Owner => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "KILL", "--"]);
                command
            }
            Lifetime::Detached => {
                let mut command = Command::new("setsid");
                command.arg("--");
                command
            }
        };
        command
            .args(&self.command)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = spawn_from_lasting_thread(command)
            .with_context(|| format!("cannot start {}", self.name))?;
        Ok(Process {
            name: self.name,
            log: self.log,
            lifetime,
            child: Mutex::new(child),
        })
    }
}

/// The start of a command line that joins a node's namespaces.
pub(crate) fn enter_node(init: Pid) -> Vec<OsString> {
    [
        "nsenter",
        "--target",
        &init.as_raw_nonzero().to_string(),
        "--net",
        "--mount",
        "--pid",
        "--",
    ]
    .map(OsString::from)
    .to_vec()
}

type Started = std::io::Result<Child>;

/// Starts a command from a thread that lives as long as this process.
///
/// The parent-death signal follows the *thread* that started the child, and a
/// test's thread ends long before the lab does.
fn spawn_from_lasting_thread(command: Command) -> Started {
    static SPAWNER: OnceLock<mpsc::Sender<(Command, mpsc::Sender<Started>)>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<(Command, mpsc::Sender<Started>)>();
        thread::spawn(move || {
            for (mut command, reply) in requests {
                // Nobody waits for the answer any more: nothing to be done.
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, answer) = mpsc::channel();
    let gone = |_| std::io::Error::other("the thread that starts processes is gone");
    spawner
        .send((command, reply))
        .map_err(|e| gone(e.to_string()))?;
    answer.recv().map_err(|e| gone(e.to_string()))?
}

/// A running part of the lab.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    lifetime: Lifetime,
    child: Mutex<Child>,
}

impl Process {
    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pid(&self) -> Pid {
        let id = i32::try_from(self.child().id())
            .ok()
            .and_then(Pid::from_raw);
        id.expect("a started process has a positive id")
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid(), signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// # Errors
    /// The end of the process with the last lines of its log.
    pub(crate) fn ensure_running(&self) -> Result<()> {
        if let Some(status) = self.child().try_wait()? {
            bail!(
                "{} ended ({status}); its last words:\n{}",
                self.name,
                tail(&self.log)
            );
        }
        Ok(())
    }

    /// Waits until `condition` holds, no longer than the process lives.
    pub(crate) fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let waited = wait_until(what, limit, || {
            self.ensure_running()?;
            condition()
        });
        waited.with_context(|| format!("see {}", self.log.display()))
    }

    /// Asks the process to end, and ends it when it has not after `grace`.
    pub(crate) fn stop(&self, grace: Duration) -> Result<()> {
        if self.child().try_wait()?.is_some() {
            return Ok(());
        }
        self.signal(Signal::TERM)?;
        // A stopped process hears nothing.
        self.signal(Signal::CONT)?;
        let ended = wait_until(&self.name, grace, || Ok(self.child().try_wait()?.is_some()));
        if ended.is_err() {
            self.kill()?;
        }
        Ok(())
    }

    /// Ends the process at once.
    pub(crate) fn kill(&self) -> Result<()> {
        let mut child = self.child();
        if child.try_wait()?.is_none() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Owner {
            // The sweep of the next start meets what is left.
            let _ = self.kill();
        }
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Runs a command to its end.
///
/// # Errors
/// A start that failed, or an end other than success, with what it wrote.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}

/// Runs a command to its end with its output in a file.
///
/// # Errors
/// As [`run`], with the last lines of the file.
pub(crate) fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    let status = command.status();
    let status =
        status.with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(
        status.success(),
        "{command:?} failed ({status}), see {}:\n{}",
        log.display(),
        tail(log)
    );
    Ok(())
}
