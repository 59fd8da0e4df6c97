//! The Job controller, the nodes and the workers: they take one step at a
//! time, so that every state in between can be seen.

use std::collections::{BTreeMap, BTreeSet};

use etl_api::{EtlJob, EtlJobSpec};
use etl_contract::{
    CONTRACT_VERSION, Category, Failure, Mode, Outcome, OutputLocation, RunReport, Statistics,
    WORK_ORDER_ENV, WorkOrder,
};
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::cluster::State;

/// What becomes of the workers of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They convert, commit and report.
    Work,
    /// The first shard fails and says why.
    Fail(Category),
    /// The first shard is killed before it has committed.
    Killed,
    /// The first shard is killed after the manifest was written.
    KilledAfterCommit,
    /// They run for ever.
    Hang,
    /// They commit, and then never end.
    CommitAndHang,
    /// They never start.
    Wait,
}

/// What somebody does to a spec.
pub type Edit = fn(&mut EtlJobSpec);

/// What workers are to do and have done.
#[derive(Default)]
pub struct Workers {
    /// By ordinal of the attempt; others work.
    pub fates: BTreeMap<u32, Fate>,
    /// What somebody does to the spec as the pods of an attempt come to run, by
    /// its ordinal.
    pub edits: BTreeMap<u32, Edit>,
    /// Runs that have a manifest.
    pub manifests: BTreeSet<u32>,
    /// Manifests that were written, counted each time.
    pub commits: u32,
}

impl State {
    /// Lets Kubernetes take one step with each Job; returns whether anything
    /// changed.
    pub fn step(&mut self) -> bool {
        let jobs: Vec<Job> = self.jobs.values().cloned().collect();
        let mut changed = false;
        for mut job in jobs {
            let uid = job.uid().unwrap_or_default();
            if job.metadata.deletion_timestamp.is_some() {
                self.pods.remove(&uid);
                self.jobs.remove(&job.name_any());
                changed = true;
            } else if self.advance(&mut job, &uid) {
                job.metadata.resource_version = Some(self.next_version());
                self.jobs.insert(job.name_any(), job);
                changed = true;
            }
        }
        changed
    }

    fn advance(&mut self, job: &mut Job, uid: &str) -> bool {
        // A Job that somebody else made has no order and does nothing.
        let Some(order) = order_of(job) else {
            return false;
        };
        if queue(job) {
            return true;
        }
        let status = job.status.get_or_insert_default();
        let ended = |c: &JobCondition| c.type_ != "Suspended";
        if status.conditions.iter().flatten().any(ended) {
            return false;
        }
        let shards = i32::try_from(order.shards).expect("few shards");
        let fate = self.workers.fate(&order);
        match (status.active, status.ready) {
            (None, _) => {
                let pods =
                    (0..order.shards).map(|shard| pod(job, shard, &json!({ "waiting": {} })));
                let pods: Vec<Pod> = pods.collect();
                self.pods.insert(uid.to_owned(), pods);
                job.status.get_or_insert_default().active = Some(shards);
                true
            }
            (Some(_), None) if fate != Fate::Wait => {
                status.ready = Some(shards);
                self.set_pods(job, uid, &order, |_, _| json!({ "running": {} }));
                if fate == Fate::CommitAndHang {
                    self.workers.commit(order.run.number);
                }
                if let Some(edit) = self.workers.edits.remove(&order.attempt) {
                    self.edit(|job| edit_spec(job, edit));
                }
                true
            }
            (Some(_), Some(_)) if !matches!(fate, Fate::Hang | Fate::CommitAndHang) => {
                let ends: Vec<Value> = (0..order.shards)
                    .map(|shard| self.workers.end(&order, shard, fate))
                    .collect();
                let failed = ends.iter().any(|end| end["terminated"]["exitCode"] != 0);
                self.set_pods(job, uid, &order, |_, shard| ends[shard as usize].clone());
                finish(job, shards, failed);
                true
            }
            _ => false,
        }
    }

    fn set_pods(
        &mut self,
        job: &Job,
        uid: &str,
        order: &WorkOrder,
        state: impl Fn(&WorkOrder, u32) -> Value,
    ) {
        let pods = (0..order.shards)
            .map(|shard| pod(job, shard, &state(order, shard)))
            .collect();
        self.pods.insert(uid.to_owned(), pods);
    }
}

/// Edits as the API server takes them: every change of the spec is a new
/// generation.
pub fn edit_spec(job: &mut EtlJob, edit: Edit) {
    edit(&mut job.spec);
    job.metadata.generation = job.metadata.generation.map(|generation| generation + 1);
}

/// What a queue does with a Job that carries its label: it holds it for a step,
/// then admits it. Returns whether it did something.
fn queue(job: &mut Job) -> bool {
    let held = job.spec.as_ref().is_some_and(|s| s.suspend == Some(true));
    if !held {
        return false;
    }
    let status = job.status.get_or_insert_default();
    let shown = status.conditions.is_some();
    status.conditions = Some(vec![JobCondition {
        type_: "Suspended".into(),
        status: if shown { "False" } else { "True" }.into(),
        last_transition_time: Some(Time("2026-11-24T00:00:00Z".parse().expect("a time"))),
        ..JobCondition::default()
    }]);
    if shown {
        job.spec.get_or_insert_default().suspend = Some(false);
    }
    true
}

impl Workers {
    fn fate(&self, order: &WorkOrder) -> Fate {
        match order.mode {
            Mode::Settle => Fate::Work,
            Mode::Convert => self
                .fates
                .get(&order.attempt)
                .copied()
                .unwrap_or(Fate::Work),
        }
    }

    /// How the container of a shard ends.
    fn end(&mut self, order: &WorkOrder, shard: u32, fate: Fate) -> Value {
        let run = order.run.number;
        if order.mode == Mode::Settle {
            let found = self.manifests.contains(&run);
            return exited(
                order,
                shard,
                if found {
                    complete()
                } else {
                    Outcome::NoManifest
                },
            );
        }
        match fate {
            Fate::Fail(category) if shard == 0 => exited(
                order,
                shard,
                Outcome::Failed(Failure {
                    category,
                    message: "m".into(),
                    object: None,
                    hint: None,
                    undecided: false,
                }),
            ),
            Fate::Killed if shard == 0 => killed(),
            Fate::KilledAfterCommit if shard == 0 => {
                self.commit(run);
                killed()
            }
            Fate::Work if shard + 1 == order.shards => {
                self.commit(run);
                exited(order, shard, complete())
            }
            _ => exited(order, shard, Outcome::TasksDone),
        }
    }

    /// `If-None-Match: *`: the first one wins, later ones read it back.
    fn commit(&mut self, run: u32) {
        if self.manifests.insert(run) {
            self.commits += 1;
        }
    }
}

fn order_of(job: &Job) -> Option<WorkOrder> {
    let pod = job.spec.as_ref()?.template.spec.as_ref()?;
    let order = pod
        .containers
        .first()?
        .env
        .as_ref()?
        .iter()
        .find(|e| e.name == WORK_ORDER_ENV)?;
    Some(WorkOrder::from_json(order.value.as_ref()?).expect("the operator writes valid orders"))
}

fn complete() -> Outcome {
    Outcome::Complete {
        statistics: Statistics {
            rows_read: 100,
            rows_written: 100,
            source_objects: 1,
            source_bytes: 4096,
            output_objects: 1,
            output_bytes: 8192,
            ..Statistics::default()
        },
        output: OutputLocation {
            manifest_uri: "s3://processed/_etl/manifest".into(),
            first_object_uri: Some("s3://processed/2026/11/24/trips.json".into()),
        },
        skipped: Vec::new(),
    }
}

fn exited(order: &WorkOrder, shard: u32, outcome: Outcome) -> Value {
    let code = match &outcome {
        Outcome::Failed(failure) => failure.category.exit_code(),
        Outcome::Complete { .. } | Outcome::TasksDone | Outcome::NoManifest => 0,
    };
    let report = RunReport {
        version: CONTRACT_VERSION,
        uid: order.job.uid.clone(),
        run: order.run.number,
        attempt: order.attempt,
        shard,
        outcome,
    };
    json!({ "terminated": { "exitCode": code, "message": report.to_json() } })
}

fn killed() -> Value {
    json!({ "terminated": { "exitCode": 137, "reason": "Error" } })
}

fn pod(job: &Job, shard: u32, state: &Value) -> Pod {
    let phase = match &state["terminated"]["exitCode"] {
        Value::Null if state["running"].is_null() => "Pending",
        Value::Null => "Running",
        code if *code == 0 => "Succeeded",
        _ => "Failed",
    };
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("{}-{shard}", job.name_any()),
            "annotations": { "batch.kubernetes.io/job-completion-index": shard.to_string() },
        },
        "status": {
            "phase": phase,
            "containerStatuses": [{
                "name": "worker", "image": "worker:1", "imageID": "", "ready": false,
                "restartCount": 0, "state": state,
            }],
        },
    }))
    .expect("a valid pod")
}

fn finish(job: &mut Job, shards: i32, failed: bool) {
    let (kind, reason) = if failed {
        ("Failed", "FailedIndexes")
    } else {
        ("Complete", "CompletionsReached")
    };
    let status = job.status.get_or_insert_default();
    status.active = Some(0);
    status.ready = Some(0);
    status.succeeded = Some(if failed { shards - 1 } else { shards });
    status.failed = Some(i32::from(failed));
    status.conditions = Some(vec![JobCondition {
        type_: kind.into(),
        status: "True".into(),
        reason: Some(reason.into()),
        ..JobCondition::default()
    }]);
}
