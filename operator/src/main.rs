//! The etl-operator process: runs EtlJobs as Kubernetes Jobs.
//!
//! ```text
//! watches -> reconcile { observe -> plan -> act } -> status, Jobs, events
//!                                     `-> mirror -> ledger
//! ```
//!
//! What is to be done is decided in `etl-core`; this crate only looks and does.

mod act;
mod backoff;
mod budget;
mod cache;
mod children;
mod cli;
mod clock;
mod cluster;
mod config;
mod controller;
mod departures;
mod health;
mod lease;
mod ledger;
mod logging;
mod memory;
mod metrics;
mod observe;
mod process;
mod reconcile;
#[cfg(test)]
mod simulation;
mod stop;
mod turns;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    let cli = cli::Cli::parse();
    match cli.command.unwrap_or_default() {
        cli::Command::Crd => {
            print!("{}", etl_api::etljob_crd_yaml());
            Ok(())
        }
        cli::Command::Metrics => {
            print!("{}", metrics::Metrics::new().reference());
            Ok(())
        }
        cli::Command::Run => process::run(config::Config::try_from(cli.run)?),
    }
}
