//! The world as one pass sees it, reduced to what decisions are made on.

use etl_api::{Attempt, EtlJob, labels};
use etl_contract::RunReport;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

/// After this long without a running pod its reason is looked up and shown.
const START_PATIENCE: SignedDuration = SignedDuration::from_secs(20);

/// The same, and no longer than the attempt has to start: its end needs a reason.
pub(crate) fn start_patience(job: &EtlJob) -> SignedDuration {
    let deadline = i64::from(job.spec.execution.start_deadline_seconds);
    START_PATIENCE.min(SignedDuration::from_secs(deadline))
}

/// Everything that was read for one pass.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Jobs that the EtlJob owns, by uid.
    pub jobs: Vec<ChildJob>,
    /// Pods of the open attempt's Job; `None` when this pass did not list them.
    pub pods: Option<Vec<ChildPod>>,
    /// Warnings about the open attempt's Job itself, newest last, such as why
    /// its pods cannot be created.
    pub warnings: Vec<String>,
    /// A live read, not the cache, says that the open attempt's Job is gone.
    pub confirmed_gone: bool,
    /// What the API server answered when the open attempt's Job was created.
    pub refusal: Option<Refusal>,
    /// Revision that the ledger is known to hold.
    pub mirrored_revision: Option<i64>,
}

/// Why a Job could not be created although the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name belongs to an object that is not this attempt's.
    NameTaken,
    /// The object is invalid (422), with the server's message.
    Invalid(String),
    /// Policy or quota forbid it (403), with the server's message.
    Forbidden(String),
    /// It fails otherwise, time and again, with the last message.
    Failing(String),
}

/// The Job of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildJob {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Since when it is being deleted.
    pub deleting: Option<Timestamp>,
    /// Whether it is suspended, as a queue does that holds it.
    pub suspended: bool,
    /// Whether it is suspended and has been since it was made, so that it never
    /// had a pod.
    pub never_resumed: bool,
    /// When it was last resumed after that.
    pub resumed: Option<Timestamp>,
    /// Where it stands.
    pub state: JobState,
    /// Pods that exist and are not finished.
    pub active: i32,
    /// Pods that run.
    pub ready: i32,
    /// Finished pods that succeeded or failed.
    pub finished: i32,
}

/// Where a Job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Not finished.
    Active,
    /// Will fail; its pods are being ended.
    Failing {
        /// Reason of the condition, such as `PodFailurePolicy`.
        reason: String,
        /// Message of the condition.
        message: String,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// All indexes succeeded.
    Succeeded,
    /// Finished without.
    Failed {
        /// Reason of the condition, such as `FailedIndexes`.
        reason: String,
        /// Message of the condition.
        message: String,
    },
}

impl ChildJob {
    /// Whether the Job has reached its end.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, JobState::Succeeded | JobState::Failed { .. })
    }
}

/// One pod of the open attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildPod {
    /// Name.
    pub name: String,
    /// Shard, from the completion index.
    pub shard: Option<u32>,
    /// Whether its container runs.
    pub running: bool,
    /// Whether its container has ever run.
    pub started: bool,
    /// Message of a `DisruptionTarget` condition: evicted, drained, preempted.
    pub disrupted: Option<String>,
    /// Pods of the same shard that were disrupted before this one. Kubernetes
    /// counts them, because the pods themselves are gone.
    pub replaced: u32,
    /// Why the container does not run yet: `ImagePullBackOff: ...`,
    /// `Unschedulable: ...`.
    pub waiting: Option<String>,
    /// How its container ended.
    pub terminated: Option<Terminated>,
    /// Whether the pod counts as succeeded.
    pub succeeded: bool,
    /// Reason that the kubelet gives for the whole pod, such as `Evicted`.
    pub reason: Option<String>,
}

/// How a worker container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminated {
    /// Exit code, 128 + n for signal n.
    pub exit_code: i32,
    /// Reason of the runtime, such as `OOMKilled`.
    pub reason: Option<String>,
    /// Termination message: a [`RunReport`], or whatever was left.
    pub message: Option<String>,
}

impl Terminated {
    /// The report that the worker left, if it left one.
    pub fn report(&self) -> Option<RunReport> {
        RunReport::from_json(self.message.as_deref()?)
    }
}

/// What a pass must read beyond the caches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// List the pods of this Job, by name.
    pub pods_of: Option<String>,
    /// List the warning events of this Job, by uid.
    pub warnings_of: Option<String>,
    /// Read this Job live: the cache does not have it.
    pub confirm_gone: Option<String>,
}

/// Decides what to read, so that a quiet pass costs no request.
pub fn needs(job: &EtlJob, jobs: &[ChildJob], now: Timestamp) -> Needs {
    let attempt = job
        .status
        .as_ref()
        .and_then(|status| status.attempt.as_ref());
    let Some(attempt) = attempt else {
        return Needs::default();
    };
    let Some(child) = jobs.iter().find(|job| job.name == attempt.job_name) else {
        let known = attempt.job_uid.is_some() || attempt.ending.is_some();
        return Needs {
            confirm_gone: known.then(|| attempt.job_name.clone()),
            ..Needs::default()
        };
    };
    let unstarted = attempt.running_time.is_none() && child.ready == 0 && !child.is_finished();
    let waits = now.duration_since(start(attempt, child));
    let late = unstarted && !child.suspended && waits >= start_patience(job);
    // A running pod that vanished may have been disrupted. While the shards
    // start, that not all of them run is no sign of it.
    let vanished = child.active > child.ready
        && attempt
            .running_time
            .is_some_and(|start| now.duration_since(start) >= START_PATIENCE);
    let failing = matches!(child.state, JobState::Failing { .. });
    let pods = child.is_finished()
        || child.deleting.is_some()
        || attempt.ending.is_some()
        || failing
        || late
        || vanished;
    Needs {
        pods_of: pods.then(|| child.name.clone()),
        warnings_of: (late && child.active == 0).then(|| child.uid.clone()),
        confirm_gone: None,
    }
}

/// When the time began that the attempt has to start: its intent, or a later
/// resumption of its Job.
pub(crate) fn start(attempt: &Attempt, child: &ChildJob) -> Timestamp {
    let resumed = child.resumed.unwrap_or(attempt.start_time);
    attempt.start_time.max(resumed)
}

impl From<&Job> for ChildJob {
    fn from(job: &Job) -> Self {
        let status = job.status.as_ref();
        let condition = |kind: &str| {
            status?
                .conditions
                .as_ref()?
                .iter()
                .find(|c| c.type_ == kind && c.status == "True")
        };
        let state = if condition("Complete").is_some() {
            JobState::Succeeded
        } else if let Some(failed) = condition("Failed") {
            JobState::Failed {
                reason: failed.reason.clone().unwrap_or_default(),
                message: failed.message.clone().unwrap_or_default(),
            }
        } else if let Some(target) = condition("FailureTarget") {
            JobState::Failing {
                reason: target.reason.clone().unwrap_or_default(),
                message: target.message.clone().unwrap_or_default(),
                since: target.last_transition_time.as_ref().map(|time| time.0),
            }
        } else {
            JobState::Active
        };
        let count = |value: Option<Option<i32>>| value.flatten().unwrap_or(0);
        let suspended = job.spec.as_ref().is_some_and(|s| s.suspend == Some(true));
        ChildJob {
            name: job.name_any(),
            uid: job.uid().unwrap_or_default(),
            deleting: job.metadata.deletion_timestamp.as_ref().map(|time| time.0),
            suspended,
            never_resumed: suspended && generation(job) <= NEVER_RESUMED,
            resumed: status.and_then(resumed),
            state,
            active: count(status.map(|s| s.active)),
            ready: count(status.map(|s| s.ready)),
            finished: count(status.map(|s| s.succeeded)) + count(status.map(|s| s.failed)),
        }
    }
}

/// Resuming and suspending again are two changes of a spec, and each is a
/// generation, as the beginning of a deletion is: a suspended Job that was ever
/// resumed has at least the third.
const NEVER_RESUMED: i64 = 2;

fn generation(job: &Job) -> i64 {
    // One that does not tell may have been resumed.
    job.metadata.generation.unwrap_or(i64::MAX)
}

fn resumed(status: &JobStatus) -> Option<Timestamp> {
    let mut conditions = status.conditions.iter().flatten();
    let suspended = conditions.find(|c| c.type_ == "Suspended" && c.status == "False")?;
    Some(suspended.last_transition_time.as_ref()?.0)
}

impl From<&Pod> for ChildPod {
    fn from(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let condition = |kind: &str, value: &str| {
            status?
                .conditions
                .as_ref()?
                .iter()
                .find(|c| c.type_ == kind && c.status == value)
        };
        let container = status.and_then(|s| s.container_statuses.as_ref()?.first());
        let state = container.and_then(|c| c.state.as_ref());
        let terminated = state
            .and_then(|s| s.terminated.as_ref())
            .map(|end| Terminated {
                exit_code: end.exit_code,
                reason: end.reason.clone(),
                message: end.message.clone(),
            });
        let running = state.is_some_and(|s| s.running.is_some());
        let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or_default();
        ChildPod {
            name: pod.name_any(),
            shard: pod
                .annotations()
                .get("batch.kubernetes.io/job-completion-index")
                .and_then(|index| index.parse().ok()),
            running,
            started: running || terminated.is_some(),
            replaced: pod
                .annotations()
                .get("batch.kubernetes.io/job-index-ignored-failure-count")
                .and_then(|count| count.parse().ok())
                .unwrap_or(0),
            disrupted: condition("DisruptionTarget", "True").map(|c| {
                c.message
                    .clone()
                    .or_else(|| c.reason.clone())
                    .unwrap_or_default()
            }),
            waiting: waiting(container).or_else(|| {
                let unscheduled = condition("PodScheduled", "False")?;
                Some(sentence(
                    unscheduled.reason.as_deref(),
                    unscheduled.message.as_deref(),
                ))
            }),
            terminated,
            succeeded: phase == "Succeeded",
            reason: status.and_then(|s| {
                s.reason
                    .as_ref()
                    .map(|r| sentence(Some(r), s.message.as_deref()))
            }),
        }
    }
}

fn waiting(container: Option<&ContainerStatus>) -> Option<String> {
    let waiting = container?.state.as_ref()?.waiting.as_ref()?;
    // The normal way up is no reason to show.
    let reason = waiting
        .reason
        .as_deref()
        .filter(|r| !matches!(*r, "ContainerCreating" | "PodInitializing"))?;
    Some(sentence(Some(reason), waiting.message.as_deref()))
}

fn sentence(reason: Option<&str>, message: Option<&str>) -> String {
    [reason, message]
        .into_iter()
        .flatten()
        .filter(|s| !s.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

/// Whether `job` is the Job of that run and attempt of that EtlJob, so that a
/// create which found it already there may adopt it.
pub fn is_own(job: &Job, owner_uid: &str, run: u32, attempt: u32) -> bool {
    let label = |name: &str| job.labels().get(name).map(String::as_str);
    job.metadata.deletion_timestamp.is_none()
        && job
            .owner_references()
            .iter()
            .any(|owner| owner.uid == owner_uid)
        && label(labels::RUN) == Some(run.to_string().as_str())
        && label(labels::ATTEMPT) == Some(attempt.to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_generation_tells_whether_a_suspended_job_was_ever_resumed() {
        let never_resumed = |suspend: bool, generation: Option<i64>| {
            let job = json!({
                "metadata": {"name": "trips-1", "generation": generation},
                "spec": {"suspend": suspend, "template": {}},
            });
            ChildJob::from(&serde_json::from_value::<Job>(job).unwrap()).never_resumed
        };
        assert!(never_resumed(true, Some(1)));
        // Being deleted.
        assert!(never_resumed(true, Some(2)));
        assert!(!never_resumed(false, Some(2)));
        // Preempted.
        assert!(!never_resumed(true, Some(3)));
        assert!(!never_resumed(true, None));
    }

    fn unstarted(start_deadline_seconds: u32) -> (EtlJob, ChildJob) {
        let job = json!({
            "apiVersion": "etl-operator.io/v1alpha1", "kind": "EtlJob",
            "metadata": {"name": "trips", "namespace": "data", "uid": "u"},
            "spec": {
                "source": {"uri": "s3://raw/a.parquet"}, "output": {"uri": "s3://out/"},
                "execution": {"startDeadlineSeconds": start_deadline_seconds},
            },
            "status": {"attempt": {
                "number": 1, "jobName": "trips-1", "startTime": "2026-01-01T00:00:00Z",
            }},
        });
        let child = json!({"metadata": {"name": "trips-1", "uid": "c"}, "status": {"active": 1}});
        let child: Job = serde_json::from_value(child).unwrap();
        (serde_json::from_value(job).unwrap(), ChildJob::from(&child))
    }

    fn listed_after(seconds: i64, start_deadline_seconds: u32) -> bool {
        let (job, child) = unstarted(start_deadline_seconds);
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now = start + SignedDuration::from_secs(seconds);
        needs(&job, &[child], now).pods_of.is_some()
    }

    #[test]
    fn pods_that_do_not_start_are_listed_after_a_while() {
        assert!(!listed_after(19, 600));
        assert!(listed_after(20, 600));
    }

    #[test]
    fn pods_are_listed_when_the_time_to_start_is_over_however_short_it_was() {
        assert!(!listed_after(9, 10));
        assert!(listed_after(10, 10));
    }
}
