//! `kubectl-etl`, also `kubectl etl`: runs EtlJob manifests on this machine.
//!
//! [`manifest`] reads them, [`local`] runs them; here are only the command line,
//! what is printed at the end, and the exit codes.

mod args;
mod local;
mod manifest;

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use etl_api::EtlJob;
use etl_contract::Storage;
use etl_core::Reach;
use kube::ResourceExt;
use serde_json::json;

use args::{Args, Command, Form, Manifests};
use local::summary::summary;
use local::{Ended, Ledger, Runner, Setup, worker};
use manifest::{Problem, Reading};

/// Exit codes: those of a shell and of kubectl's plugins.
const FAILED: u8 = 1;
const WRONG_USE: u8 = 2;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Run(args) => run(&args),
        Command::Validate(args) => validate(&args),
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        complain(&error);
        FAILED
    }))
}

fn run(args: &args::Run) -> anyhow::Result<u8> {
    let jobs = match read(&args.manifests, Reach::Local)? {
        Ok(jobs) => jobs,
        Err(problems) => return Ok(refuse(&problems)),
    };
    let worker = match worker::find(args.worker.as_deref()) {
        Ok(worker) => worker,
        Err(error) => {
            complain(&error.into());
            return Ok(WRONG_USE);
        }
    };
    let ledger = Ledger::new(args.ledger.clone().map_or_else(default_ledger, Ok)?);
    let mut runner = Runner::new(Setup {
        worker,
        storage: Storage {
            endpoint_url: args.endpoint_url.clone().or_else(endpoint_from_environment),
            region: args.region.clone(),
            expected_bucket_owner: None,
        },
        encoder: args.encoder.into(),
        ledger: ledger.clone(),
        verbose: args.verbose,
    })?;
    let mut ended: Vec<Ended> = Vec::new();
    for job in jobs {
        ended.push(runner.run(job)?);
        if ended.iter().any(|ended| ended.interrupted) {
            break;
        }
    }
    print(&ended, args.output, &ledger)?;
    let code = if ended.iter().any(|ended| ended.interrupted) {
        INTERRUPTED
    } else if ended.iter().all(Ended::is_complete) {
        0
    } else {
        FAILED
    };
    Ok(code)
}

fn validate(args: &args::Validate) -> anyhow::Result<u8> {
    let reach = if args.cluster {
        Reach::Cluster
    } else {
        Reach::Local
    };
    match read(&args.manifests, reach)? {
        Ok(jobs) => {
            let mut text = String::new();
            for job in &jobs {
                let namespace = job.namespace().unwrap_or_default();
                text.push_str(&format!("EtlJob {namespace}/{} is valid\n", job.name_any()));
            }
            write(&text)?;
            Ok(0)
        }
        Err(problems) => Ok(refuse(&problems)),
    }
}

fn read(manifests: &Manifests, reach: Reach) -> anyhow::Result<Result<Vec<EtlJob>, Vec<Problem>>> {
    let reading = Reading {
        namespace: manifests.namespace.clone(),
        folder: env::current_dir().context("the current directory cannot be read")?,
        reach,
    };
    Ok(manifest::read(&manifests.files, &reading))
}

fn refuse(problems: &[Problem]) -> u8 {
    for problem in problems {
        let _ = writeln!(io::stderr(), "error: {problem}");
    }
    WRONG_USE
}

fn complain(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "error: {error:#}");
}

fn default_ledger() -> anyhow::Result<PathBuf> {
    let folder = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    let state = state.context("there is no HOME for the ledger: name a file with --ledger")?;
    Ok(state.join("kubectl-etl/ledger.jsonl"))
}

/// The SDK would find it as well, but the worker addresses buckets by path only
/// where it knows of an endpoint.
fn endpoint_from_environment() -> Option<String> {
    ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|url| !url.is_empty()))
}

fn print(ended: &[Ended], form: Option<Form>, ledger: &Ledger) -> anyhow::Result<()> {
    let jobs: Vec<EtlJob> = ended.iter().map(|ended| ended.job.clone()).collect();
    let text = match form {
        None => format!("{}\nledger: {}\n", summary(&jobs), ledger.path().display()),
        Some(form) => {
            // As `kubectl get -o` prints several objects.
            let value = match &jobs[..] {
                [job] => json!(job),
                jobs => json!({"apiVersion": "v1", "kind": "List", "items": jobs}),
            };
            match form {
                Form::Json => serde_json::to_string_pretty(&value)? + "\n",
                Form::Yaml => serde_saphyr::to_string(&value)?,
            }
        }
    };
    write(&text)
}

/// Writes to standard output; that nobody reads it any more is no failure.
fn write(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("standard output cannot be written"),
    }
}
