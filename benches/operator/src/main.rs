//! Measures etl-operator: how many EtlJobs it runs, beside plain batch Jobs of
//! the same pod on the same control plane, and what that costs.
//!
//! `cargo xtask bench operator` builds and starts this. The control plane is a
//! real one; its nodes are pretended by kwok, and the stores are not there. See
//! `docs/benchmarks/operator.md`.

mod audit;
mod bed;
mod copies;
mod ledger;
mod operator;
mod page;
mod program;
mod race;
mod rest;
mod results;
mod subject;
mod usage;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "etl-operator-bench", about = "Measure the operator")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// EtlJobs beside plain Jobs; writes the report
    Operator(program::Options),
    /// Write the report again from kept figures
    Report {
        /// Folder of the report [default: docs/benchmarks]
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Operator(options) => program::run(&options),
        Task::Report { out } => program::report(out.as_deref()),
    }
}
