//! The last words of a shard.

use std::io;
use std::path::Path;

use etl_contract::{CONTRACT_VERSION, Outcome, RunReport, WorkOrder};

use crate::error::Error;

/// Where Kubernetes looks for the termination message of a container.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// The report of a shard. Without an order (it could not be read) it belongs
/// to no run.
pub fn report(
    order: Option<&WorkOrder>,
    shard: u32,
    outcome: Result<Outcome, &Error>,
) -> RunReport {
    RunReport {
        version: CONTRACT_VERSION,
        uid: order.map(|order| order.job.uid.clone()).unwrap_or_default(),
        run: order.map_or(0, |order| order.run.number),
        attempt: order.map_or(0, |order| order.attempt),
        shard,
        outcome: outcome.unwrap_or_else(|error| Outcome::Failed(error.failure())),
    }
}

/// Exit code of a report.
pub fn exit_code(report: &RunReport) -> u8 {
    match &report.outcome {
        Outcome::Complete { .. } | Outcome::TasksDone | Outcome::NoManifest => 0,
        Outcome::Failed(failure) => failure.category.exit_code(),
    }
}

/// Writes the report where the operator, or the local runner, reads it.
pub fn write(report: &RunReport, path: &Path) -> io::Result<()> {
    // In a pod this is a mounted file: it can be written, not replaced.
    std::fs::write(path, report.to_json())
}
