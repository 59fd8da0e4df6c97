//! The one door to everything that people and CI do with this repository.

mod bench;
mod check;
mod demo;
mod fuzz;
mod generate;
mod image;
mod lab;
mod promises;
mod run;
mod test;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, test and try etl-operator")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the files that are made from code; with --check, fail when one is out of date
    Gen {
        /// Only compare
        #[arg(long)]
        check: bool,
    },
    /// Build the container images, without a container engine
    Image(image::Options),
    /// A real cluster with S3 and DynamoDB on this machine (Linux, root)
    Lab {
        #[command(subcommand)]
        task: lab::Task,
    },
    /// Run every test, setting up what they need
    Test(test::Options),
    /// Formatting, lints, dependency policy, documentation, generated files, chart
    Check,
    /// Feed the engine with generated and damaged files for a while
    Fuzz(fuzz::Options),
    /// Convert a real parquet file on this machine: no cluster, no cloud
    Demo(demo::Options),
    /// Measure the engine beside its rivals
    Bench {
        #[command(subcommand)]
        task: bench::Task,
    },
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Gen { check } => generate::run(check),
        Task::Image(options) => image::run(&options),
        Task::Lab { task } => lab::run(&task),
        Task::Test(options) => test::run(&options),
        Task::Check => check::run(),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Bench { task } => bench::run(&task),
    }
}
