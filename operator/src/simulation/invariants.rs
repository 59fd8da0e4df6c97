//! What must never happen, looked at with every write.

use std::collections::BTreeMap;

use etl_api::{EtlJob, EtlJobStatus};
use etl_core::ChildJob;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

/// A status follows another one.
pub fn status(
    before: Option<&EtlJobStatus>,
    after: Option<&EtlJobStatus>,
    violations: &mut Vec<String>,
) {
    let (Some(before), Some(after)) = (before, after) else {
        return;
    };
    if let Some(ended) = before
        .run
        .as_ref()
        .filter(|run| run.completion_time.is_some())
        && after.run.as_ref() != Some(ended)
    {
        violations.push(format!("run {} did not stay finished", ended.number));
    }
    if after.revision <= before.revision {
        violations.push(format!(
            "revision {:?} follows {:?}",
            after.revision, before.revision
        ));
    }
    let numbers: Vec<u32> = after
        .attempts
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    if numbers.windows(2).any(|pair| pair[1] != pair[0] + 1) {
        violations.push(format!("attempts {numbers:?} are not consecutive"));
    }
    if let (Some(last), Some(open)) = (numbers.last(), &after.attempt)
        && open.number != last + 1
    {
        violations.push(format!("attempt {} is open after {last}", open.number));
    }
}

/// A Job is created beside `others`.
pub fn create(
    job: &Job,
    others: &BTreeMap<String, Job>,
    etljob: Option<&EtlJob>,
    violations: &mut Vec<String>,
) {
    let name = job.name_any();
    let own = |other: &&Job| other.owner_references() == job.owner_references();
    for other in others.values().filter(own).map(ChildJob::from) {
        if !other.is_finished() {
            violations.push(format!("{name} was created while {} is alive", other.name));
        }
    }
    let status = etljob.and_then(|etljob| etljob.status.as_ref());
    let open = status.and_then(|status| status.attempt.as_ref());
    if open.map(|attempt| &attempt.job_name) != Some(&name) {
        violations.push(format!("{name} was created without a written intent"));
    }
    if status
        .and_then(|s| s.run.as_ref())
        .is_some_and(|run| run.completion_time.is_some())
    {
        violations.push(format!("{name} was created for a finished run"));
    }
}
