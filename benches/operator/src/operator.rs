//! The operator as a process of its own, with the settings, the rights and the
//! account that the chart gives it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::usage::{Usage, forget_peak};

const PROBES: &str = "127.0.0.1:8080";
const READY: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(40);

/// Between two looks at something that changes within milliseconds.
const STEP: Duration = Duration::from_millis(10);

/// An operator has come to rest when it used less than a hundredth of a processor
/// for this long.
const REST: Duration = Duration::from_secs(1);
const REST_LIMIT: Duration = Duration::from_secs(900);

/// A setting of the operator that is measured beside others.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Variant {
    /// How the report calls it.
    pub(crate) name: String,
    /// What differs from the chart's defaults.
    pub(crate) env: BTreeMap<String, String>,
}

/// What starts an operator.
#[derive(Debug)]
pub(crate) struct Installation {
    /// The program.
    pub(crate) program: PathBuf,
    /// What the chart gives it.
    pub(crate) env: BTreeMap<String, String>,
    /// How it reaches the API server.
    pub(crate) kubeconfig: PathBuf,
    /// Where it writes its log.
    pub(crate) log: PathBuf,
}

/// A running operator; it ends with the value.
#[derive(Debug)]
pub(crate) struct Operator {
    process: Child,
    started: Instant,
    log: PathBuf,
}

impl Operator {
    /// Starts it, and returns before it is ready.
    pub(crate) fn start(installation: &Installation, variant: &Variant) -> Result<Self> {
        let Installation {
            program,
            env,
            kubeconfig,
            log,
        } = installation;
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let started = Instant::now();
        let process = Command::new("setpriv")
            // However this program ends, so does the operator.
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .arg("run")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(env)
            .envs(&variant.env)
            .env("KUBECONFIG", kubeconfig)
            .env("ETL_LISTEN", PROBES)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            process,
            started,
            log: log.clone(),
        })
    }

    /// When it was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid())
    }

    /// Lets the peak of its memory begin anew.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        forget_peak(self.pid())
    }

    /// Waits until it says that it is ready; returns how long that took from its
    /// start.
    pub(crate) async fn ready(&mut self) -> Result<Duration> {
        let address: SocketAddr = PROBES.parse()?;
        while !says_ready(address).await {
            self.ensure_running()?;
            ensure!(
                self.started.elapsed() < READY,
                "the operator is not ready after {} s: see {}",
                READY.as_secs(),
                self.log.display()
            );
            sleep(STEP).await;
        }
        Ok(self.started.elapsed())
    }

    /// Waits until it has nothing to do any more; returns since when.
    pub(crate) async fn at_rest(&self) -> Result<Instant> {
        let begin = Instant::now();
        let mut since = (Instant::now(), self.usage()?.cpu_seconds);
        loop {
            sleep(STEP * 10).await;
            let cpu = self.usage()?.cpu_seconds;
            let (start, before) = since;
            if cpu - before > REST.as_secs_f64() / 100.0 {
                since = (Instant::now(), cpu);
            } else if start.elapsed() >= REST {
                return Ok(start);
            }
            ensure!(
                begin.elapsed() < REST_LIMIT,
                "the operator does not come to rest: see {}",
                self.log.display()
            );
        }
    }

    /// Ends it as Kubernetes does; returns how long that took.
    pub(crate) async fn stop(mut self) -> Result<Duration> {
        let begin = Instant::now();
        let pid = Pid::from_raw(self.pid()).context("a process has an id")?;
        kill_process(pid, Signal::TERM)?;
        while self.process.try_wait()?.is_none() {
            ensure!(begin.elapsed() < STOP, "the operator does not stop");
            sleep(STEP).await;
        }
        Ok(begin.elapsed())
    }

    fn ensure_running(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the operator ended ({status}): see {}", self.log.display());
        }
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn says_ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut connection = TcpStream::connect(address).await?;
        connection
            .write_all(b"GET /readyz HTTP/1.0\r\n\r\n")
            .await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    ask.await
        .is_ok_and(|answer| answer.split_whitespace().nth(1) == Some("200"))
}

/// The program beside this one, as one build makes them.
pub(crate) fn beside_this_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program does not find itself")?;
    let folder = own.parent().unwrap_or(Path::new("."));
    let program = folder.join("etl-operator");
    ensure!(
        program.is_file(),
        "there is no {}: build etl-operator with the same profile",
        program.display()
    );
    Ok(program)
}
