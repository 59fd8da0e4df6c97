//! Measurements of the engine and of the operator.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::{Args, Subcommand};
use etl_lab::repository;

use crate::run::{cargo, step};

#[derive(Subcommand)]
pub(crate) enum Task {
    /// The engine beside what users would otherwise pick; writes docs/benchmarks
    Engine(Options),
    /// The report again, from the figures that it was made of
    Report(Options),
    /// EtlJobs beside plain Jobs on a control plane with pretended nodes (Linux, root);
    /// writes docs/benchmarks
    Operator(Options),
    /// Its report again, from the figures that it was made of
    OperatorReport(Options),
}

#[derive(Args)]
pub(crate) struct Options {
    /// How the program is compiled
    #[arg(long, default_value = "release")]
    profile: String,
    /// What the program is told: `-- --help` lists it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

pub(crate) fn run(task: &Task) -> Result<()> {
    let (program, name, options, packages): (_, _, _, &[&str]) = match task {
        // The programs of a local run are measured too.
        Task::Engine(options) => (
            "etl-bench",
            "engine",
            options,
            &["etl-bench", "kubectl-etl", "etl-worker"],
        ),
        Task::Report(options) => ("etl-bench", "report", options, &["etl-bench"]),
        Task::Operator(options) => (
            "etl-operator-bench",
            "operator",
            options,
            &["etl-operator-bench", "etl-operator"],
        ),
        Task::OperatorReport(options) => (
            "etl-operator-bench",
            "report",
            options,
            &["etl-operator-bench"],
        ),
    };
    let profile = &options.profile;
    let mut build = cargo();
    build.args(["build", "--locked", "--profile", profile]);
    for package in packages {
        build.args(["--package", package]);
    }
    step(&mut build)?;
    let mut bench = Command::new(target().join(profile).join(program));
    bench.arg(name);
    if name != "report" {
        bench.args(["--build", profile]);
    }
    step(bench.args(&options.args))
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}
