//! Measures etl-engine side by side with what users would otherwise pick.
//!
//! `cargo xtask bench engine` builds and starts this. The rivals come from their
//! package registry and run as separate programs; see `docs/benchmarks/`.

mod arm;
mod arms;
mod data;
mod engine;
mod measure;
mod place;
mod remote;
mod report;
mod results;
mod rows;
mod scaling;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "etl-bench", about = "Measure the engine beside its rivals")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Every arm on every shape; writes the report
    Engine(engine::Options),
    /// Write the report again from kept figures
    Report {
        /// Folder of the report [default: docs/benchmarks]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// One conversion by a Rust arm
    #[command(hide = true)]
    Arm(arm::Task),
    /// Run a program and say what it used
    #[command(hide = true)]
    Measure(measure::Options),
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Engine(options) => engine::run(&options),
        Task::Report { out } => engine::report(out.as_deref()),
        Task::Arm(task) => arm::run(&task),
        Task::Measure(options) => measure::run(&options),
    }
}
