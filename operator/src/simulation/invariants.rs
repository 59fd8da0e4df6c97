//! What must never happen, looked at with every write.

use std::collections::{BTreeMap, BTreeSet};

use etl_api::{EtlJob, EtlJobStatus, Run};
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
        && !stays(ended, after)
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

/// Whether a run that has ended is still there as it ended: as the present one,
/// or as the last before it.
fn stays(ended: &Run, after: &EtlJobStatus) -> bool {
    let present = after.run.as_ref();
    if present.is_some_and(|run| run.number == ended.number) {
        return present.is_some_and(|run| {
            run.completion_time == ended.completion_time && run.outcome == ended.outcome
        });
    }
    let result = ended.outcome.as_ref().map(|outcome| &outcome.result);
    present.is_some_and(|run| run.number == ended.number + 1)
        && after
            .runs
            .last()
            .is_some_and(|last| last.number == ended.number && Some(&last.result) == result)
}

/// At rest: what is told of the run is true of its output.
pub fn end(status: &EtlJobStatus, manifests: &BTreeSet<u32>) {
    let Some((run, outcome)) = status
        .run
        .as_ref()
        .and_then(|run| Some((run, run.outcome.as_ref()?)))
    else {
        return;
    };
    assert_eq!(
        outcome.result == "Complete",
        manifests.contains(&run.number),
        "run {} ended as {}",
        run.number,
        outcome.result
    );
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
