//! One process, measured from outside.
//!
//! A process inherits the peak memory of the one it is started from, as far as
//! the kernel's account goes. So none is started by the big program that checks
//! outputs, but by a small one in between: `etl-bench measure`.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};
use wait4::Wait4;

use crate::arm::Answer;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Processors that the program may run on
    #[arg(long)]
    cpus: usize,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// One measured process, its own answer included.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) answer: Answer,
    /// From start to end of the process.
    pub(crate) wall_seconds: f64,
    /// User and system time of the process and those it waited for.
    pub(crate) cpu_seconds: f64,
    /// Largest resident memory of the process or of one it waited for.
    pub(crate) peak_rss_bytes: u64,
}

/// Runs a program in a small process of its own, on `cpus` processors.
pub(crate) fn measured(program: &Command, cpus: usize) -> Result<Measured> {
    let own = std::env::current_exe().context("this program does not find itself")?;
    let mut command = Command::new(own);
    command.args(["measure", "--cpus", &cpus.to_string()]);
    command.arg("--").arg(program.get_program());
    command.args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = program.get_current_dir() {
        command.current_dir(folder);
    }
    let output = command.output().context("cannot start a process")?;
    if !output.status.success() {
        bail!("{}", last_words(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("the measuring process gave no figures")
}

/// The line in which a failed program says what was wrong: the last one.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it said nothing").trim();
    line.chars().take(300).collect()
}

/// The process in between.
pub(crate) fn run(options: &Options) -> Result<()> {
    limit(options.cpus)?;
    let (program, args) = options.command.split_first().context("no program")?;
    let before = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut said = String::new();
    let mut stdout = child.stdout.take().context("no pipe")?;
    stdout.read_to_string(&mut said)?;
    let ended = child.wait4()?;
    let wall_seconds = before.elapsed().as_secs_f64();
    ensure!(ended.status.success(), "it ended with {}", ended.status);
    let usage = ended.rusage;
    let measured = Measured {
        answer: answer(&said),
        wall_seconds,
        cpu_seconds: (usage.utime + usage.stime).as_secs_f64(),
        peak_rss_bytes: usage.maxrss,
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// Our own command line does not answer as the measured programs do.
fn answer(said: &str) -> Answer {
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_default()
}

/// Confines this process and its children to the first `cpus` of its processors.
fn limit(cpus: usize) -> Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut fewer = CpuSet::new();
    let processors = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    processors.take(cpus).for_each(|cpu| fewer.set(cpu));
    sched_setaffinity(None, &fewer)?;
    Ok(())
}
