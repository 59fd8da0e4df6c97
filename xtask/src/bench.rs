//! Measurements beside the rivals.

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
    let (name, options) = match task {
        Task::Engine(options) => ("engine", options),
        Task::Report(options) => ("report", options),
    };
    let profile = &options.profile;
    step(
        cargo()
            .args(["build", "--locked", "--package", "etl-bench"])
            .args(["--profile", profile]),
    )?;
    let mut bench = Command::new(target().join(profile).join("etl-bench"));
    bench.arg(name);
    if name == "engine" {
        bench.args(["--build", profile]);
    }
    step(bench.args(&options.args))
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}
