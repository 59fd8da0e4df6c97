//! From a finished Job and its pods to the reason of its end.

use std::collections::BTreeSet;

use etl_api::RetryPolicy;
use etl_contract::{Action, Category, Failure, Outcome, RunReport};

use crate::facts::{ChildPod, Terminated};
use crate::retry;
use crate::totals::Totals;

/// Identity that a report must carry to count for an attempt.
pub(crate) struct Expected<'a> {
    pub(crate) uid: &'a str,
    pub(crate) run: u32,
    pub(crate) attempt: u32,
    /// Shards of the attempt, each of which may have written the manifest.
    pub(crate) shards: u32,
    /// Decides which categories no retry can mend.
    pub(crate) policy: &'a RetryPolicy,
}

impl Expected<'_> {
    fn report(&self, end: &Terminated) -> Option<RunReport> {
        end.report().filter(|report| {
            report.uid == self.uid && report.run == self.run && report.attempt == self.attempt
        })
    }
}

/// What the reports of a succeeded Job say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Success {
    /// A shard wrote or read the manifest.
    Complete(Totals),
    /// A settle attempt found none.
    NoManifest,
    /// No readable report with totals is left.
    ReportLost,
}

/// Reads the reports of a Job that succeeded.
pub(crate) fn success(pods: &[ChildPod], expected: &Expected<'_>) -> Success {
    let outcomes = pods
        .iter()
        .filter_map(|pod| expected.report(pod.terminated.as_ref()?))
        .map(|report| report.outcome);
    let mut found = Success::ReportLost;
    for outcome in outcomes {
        match outcome {
            Outcome::Complete {
                statistics,
                output,
                skipped,
            } => {
                return Success::Complete(Totals {
                    statistics,
                    output,
                    skipped,
                });
            }
            Outcome::NoManifest => found = Success::NoManifest,
            Outcome::TasksDone | Outcome::Failed(_) => {}
        }
    }
    found
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) category: Category,
    pub(crate) message: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) shard: Option<u32>,
    pub(crate) object: Option<String>,
    pub(crate) hint: Option<String>,
    /// The workers of all shards said so themselves, so they know that they wrote
    /// no manifest. Otherwise the manifest may exist all the same.
    pub(crate) reported: bool,
}

impl Cause {
    /// A cause that the operator saw from outside.
    pub(crate) fn seen(category: Category, message: impl Into<String>) -> Self {
        Cause {
            category,
            message: message.into(),
            exit_code: None,
            shard: None,
            object: None,
            hint: None,
            reported: false,
        }
    }

    /// The same with a next step.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }
}

/// Why a Job failed: of several failing shards one whose category no retry can
/// mend wins, then the lowest index. It counts as reported only if no shard's end
/// is unknown.
pub(crate) fn failure(
    pods: &[ChildPod],
    expected: &Expected<'_>,
    reason: &str,
    message: &str,
) -> Cause {
    let mut causes: Vec<Cause> = pods
        .iter()
        .filter_map(|pod| pod_failure(pod, expected))
        .collect();
    let all_reported =
        causes.iter().all(|cause| cause.reported) && every_shard_seen(pods, expected.shards);
    let is_final =
        |cause: &Cause| retry::verdict(expected.policy, cause.category).action == Action::Fail;
    causes.sort_by_key(|cause| (!is_final(cause), cause.shard.unwrap_or(u32::MAX)));
    match causes.into_iter().next() {
        // The pods were told to stop because the Job's time was over.
        Some(cause) if reason == DEADLINE_EXCEEDED && !is_final(&cause) => {
            job_failure(reason, message)
        }
        Some(cause) => Cause {
            reported: all_reported,
            ..cause
        },
        None => job_failure(reason, message),
    }
}

/// Whether there is a pod of each shard.
fn every_shard_seen(pods: &[ChildPod], shards: u32) -> bool {
    let seen: BTreeSet<u32> = pods.iter().filter_map(|pod| pod.shard).collect();
    (0..shards).all(|shard| seen.contains(&shard))
}

/// Reason of a Job that ran past its own deadline.
const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";

fn job_failure(reason: &str, message: &str) -> Cause {
    if reason == DEADLINE_EXCEEDED {
        return Cause::seen(
            Category::DeadlineExceeded,
            "the attempt ran into its Job's own deadline",
        )
        .with_hint("raise spec.execution.activeDeadlineSeconds");
    }
    let told = if message.is_empty() { reason } else { message };
    Cause::seen(
        Category::WorkerLost,
        format!("the Job failed and none of its pods is left to tell why ({told})"),
    )
    .with_hint("look for node problems: kubectl get events, kubectl get nodes")
}

fn pod_failure(pod: &ChildPod, expected: &Expected<'_>) -> Option<Cause> {
    if pod.succeeded {
        return None;
    }
    let mut cause = match &pod.terminated {
        Some(end) if end.exit_code == 0 => return None,
        Some(end) => terminated(pod, end, expected),
        None => Cause::seen(Category::WorkerLost, lost(pod)),
    };
    let by_itself = cause.reported && cause.category != Category::Disrupted;
    if let Some(disruption) = &pod.disrupted
        && !by_itself
    {
        cause.category = Category::Disrupted;
        cause.message = format!("pod {} was disrupted: {disruption}", pod.name);
    }
    cause.shard = cause.shard.or(pod.shard);
    Some(cause)
}

fn terminated(pod: &ChildPod, end: &Terminated, expected: &Expected<'_>) -> Cause {
    let mut cause = match expected.report(end).map(|report| report.outcome) {
        Some(Outcome::Failed(Failure {
            category,
            message,
            object,
            hint,
            undecided,
        })) => Cause {
            category,
            message,
            exit_code: None,
            shard: None,
            object,
            hint,
            // A worker that was told to stop may have been past its commit.
            reported: !undecided
                && !matches!(category, Category::Disrupted | Category::DeadlineExceeded),
        },
        _ => unreported(pod, end),
    };
    if end.reason.as_deref() == Some("OOMKilled") {
        cause = Cause::seen(
            Category::OutOfMemory,
            format!("pod {} needed more memory than its limit allows", pod.name),
        )
        .with_hint("raise spec.worker.resources.limits.memory");
    }
    cause.exit_code = Some(end.exit_code);
    cause
}

fn unreported(pod: &ChildPod, end: &Terminated) -> Cause {
    let name = &pod.name;
    let code = end.exit_code;
    if let Some(category) = Category::from_exit_code(code) {
        return Cause::seen(
            category,
            format!("pod {name} ended with exit code {code} ({category}) and left no report"),
        );
    }
    match code {
        101 => Cause::seen(
            Category::Internal,
            format!("the worker in pod {name} panicked"),
        )
        .with_hint("this is a defect: report it with the pod's log"),
        143 => Cause::seen(Category::Disrupted, format!("pod {name} was told to stop")),
        // The runtime could not start the container at all.
        125..=128 => Cause::seen(
            Category::Internal,
            format!(
                "the worker in pod {name} could not be started: {}",
                end.message
                    .as_deref()
                    .or(end.reason.as_deref())
                    .unwrap_or("no reason given")
            ),
        )
        .with_hint("check the worker image of the installation"),
        137 => Cause::seen(
            Category::WorkerLost,
            format!("the worker in pod {name} was killed"),
        )
        .with_hint("look for node pressure: kubectl describe node"),
        _ => Cause::seen(
            Category::WorkerLost,
            format!("pod {name} ended with exit code {code} and left no report"),
        ),
    }
}

fn lost(pod: &ChildPod) -> String {
    match pod.reason.as_deref().or(pod.waiting.as_deref()) {
        Some(reason) => format!(
            "pod {} ended without its container's state: {reason}",
            pod.name
        ),
        None => format!("pod {} ended without its container's state", pod.name),
    }
}

#[cfg(test)]
mod tests;
