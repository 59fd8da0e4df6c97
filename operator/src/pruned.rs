//! What is kept of an EtlJob between passes: what decisions are made on, and no
//! more. There may be a hundred thousand of them at rest.

use etl_api::{EtlJob, EtlJobStatus};

/// `job` without what no pass looks at, and without spare room.
///
/// The API server takes nothing but the status from a status write, so what is
/// missing here is not lost there.
pub fn pruned(mut job: EtlJob) -> EtlJob {
    let metadata = &mut job.metadata;
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.labels = None;
    metadata.finalizers = None;
    if let Some(status) = &mut job.status {
        shrink(status);
    }
    job
}

/// Lists grow in steps of four when they are read.
fn shrink(status: &mut EtlJobStatus) {
    status.conditions.shrink_to_fit();
    status.attempts.shrink_to_fit();
    status.runs.shrink_to_fit();
    status.skipped_objects.shrink_to_fit();
}
