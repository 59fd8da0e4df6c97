//! The Kubernetes Job of one attempt.

use std::collections::BTreeMap;

use etl_api::{EtlJob, ResourceList, Resources, Run, labels};
use etl_contract::{Mode, WORK_ORDER_ENV, WorkOrder};
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, EnvVarSource, PodSecurityContext, PodSpec, PodTemplateSpec,
    ResourceRequirements, SeccompProfile, SecretKeySelector, SecurityContext, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};

use crate::settings::Settings;
use crate::work::{self, namespace};

/// Seconds between SIGTERM and SIGKILL of a worker. Workers obey at once; a
/// Job that fails on a final exit code waits for its siblings this long.
pub const GRACE_SECONDS: i64 = 15;

/// Seconds beyond both deadlines after which Kubernetes itself ends the Job,
/// should no operator be there to do it.
const BACKSTOP_SECONDS: i64 = 120;

/// Name of the worker's container.
pub const CONTAINER: &str = "worker";

/// What is created for one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Name of the Job.
    pub name: String,
    /// The order for every shard.
    pub order: WorkOrder,
    /// Pod settings, resolved from the resource and the installation.
    pub pod: PodSettings,
    /// Seconds after which Kubernetes ends the Job by itself.
    pub backstop_seconds: i64,
    /// Exit codes that no retry can mend, ascending.
    pub final_exit_codes: Vec<i32>,
}

/// Settings of the worker pods: the closed list that a resource can reach.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodSettings {
    /// Image of the worker.
    pub image: String,
    /// `imagePullPolicy`.
    pub image_pull_policy: Option<String>,
    /// ServiceAccount.
    pub service_account_name: Option<String>,
    /// Resources.
    pub resources: Option<Resources>,
    /// Node labels.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerated taints.
    pub tolerations: Vec<Toleration>,
    /// PriorityClass.
    pub priority_class_name: Option<String>,
    /// Queue of Kueue that holds the Job, unless it only looks up how a run ended.
    pub queue_name: Option<String>,
    /// Secret with static keys.
    pub credentials_secret_name: Option<String>,
}

impl PodSettings {
    /// What the resource says, else what the installation says.
    pub fn resolve(job: &EtlJob, run: &Run, settings: &Settings) -> Self {
        let own = &job.spec.worker;
        let installed = &settings.worker;
        PodSettings {
            image: run.worker_image.clone(),
            image_pull_policy: settings.image_pull_policy.clone(),
            service_account_name: own
                .service_account_name
                .clone()
                .or_else(|| installed.service_account_name.clone()),
            resources: work::resources(&job.spec, run, settings),
            node_selector: if own.node_selector.is_empty() {
                installed.node_selector.clone()
            } else {
                own.node_selector.clone()
            },
            tolerations: if own.tolerations.is_empty() {
                installed.tolerations.clone()
            } else {
                own.tolerations.clone()
            },
            priority_class_name: own
                .priority_class_name
                .clone()
                .or_else(|| installed.priority_class_name.clone()),
            queue_name: own
                .queue_name
                .clone()
                .or_else(|| installed.queue_name.clone()),
            credentials_secret_name: own
                .credentials_secret_name
                .clone()
                .or_else(|| installed.credentials_secret_name.clone()),
        }
    }
}

/// Seconds of the backstop for an EtlJob's attempts.
pub(crate) fn backstop_seconds(job: &EtlJob) -> i64 {
    let execution = &job.spec.execution;
    i64::from(execution.active_deadline_seconds)
        + i64::from(execution.start_deadline_seconds)
        + BACKSTOP_SECONDS
}

/// The Job as it is created.
pub fn manifest(child: &Child, owner: &EtlJob) -> Job {
    let order = &child.order;
    let shards = i32::try_from(order.shards).unwrap_or(i32::MAX);
    let labels = child_labels(child);
    let mut job_labels = labels.clone();
    // A look-up takes next to nothing, and the end of its run waits for it.
    let queue = child.pod.queue_name.as_ref();
    if let Some(queue) = queue.filter(|_| order.mode != Mode::Settle) {
        // Kueue suspends a Job with this label as it is created.
        job_labels.insert(labels::QUEUE.into(), queue.clone());
    }
    Job {
        metadata: ObjectMeta {
            name: Some(child.name.clone()),
            namespace: Some(namespace(owner)),
            labels: Some(job_labels),
            owner_references: Some(vec![owner_reference(owner)]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            completion_mode: Some("Indexed".into()),
            completions: Some(shards),
            parallelism: Some(shards),
            // Only the operator retries.
            backoff_limit_per_index: Some(0),
            // Two pods of one shard never run side by side.
            pod_replacement_policy: Some("Failed".into()),
            pod_failure_policy: Some(failure_policy(&child.final_exit_codes)),
            active_deadline_seconds: Some(child.backstop_seconds),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod_spec(child)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn child_labels(child: &Child) -> BTreeMap<String, String> {
    let order = &child.order;
    BTreeMap::from([
        ("app.kubernetes.io/name".into(), "etl-worker".into()),
        ("app.kubernetes.io/component".into(), "worker".into()),
        (labels::MANAGED_BY.into(), labels::MANAGER.into()),
        (labels::JOB.into(), order.job.name.clone()),
        (labels::JOB_UID.into(), order.job.uid.clone()),
        (labels::RUN.into(), order.run.number.to_string()),
        (labels::ATTEMPT.into(), order.attempt.to_string()),
    ])
}

/// Without `blockOwnerDeletion`: setting it takes a right on the owner's
/// finalizers, which the operator does not have.
fn owner_reference(owner: &EtlJob) -> OwnerReference {
    OwnerReference {
        api_version: EtlJob::api_version(&()).into_owned(),
        kind: EtlJob::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

fn failure_policy(final_exit_codes: &[i32]) -> PodFailurePolicy {
    let on_exit_codes = |operator: &str, values: Vec<i32>| {
        Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(CONTAINER.into()),
            operator: operator.into(),
            values,
        })
    };
    PodFailurePolicy {
        rules: vec![
            // Evicted, drained, preempted: Kubernetes replaces the pod.
            PodFailurePolicyRule {
                action: "Ignore".into(),
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".into(),
                    status: "True".into(),
                }]),
                ..PodFailurePolicyRule::default()
            },
            // No retry can mend it: end the other shards too.
            PodFailurePolicyRule {
                action: "FailJob".into(),
                on_exit_codes: on_exit_codes("In", final_exit_codes.to_vec()),
                ..PodFailurePolicyRule::default()
            },
            // Anything else: let the other shards finish their tasks.
            PodFailurePolicyRule {
                action: "FailIndex".into(),
                on_exit_codes: on_exit_codes("NotIn", vec![0]),
                ..PodFailurePolicyRule::default()
            },
        ],
    }
}

fn pod_spec(child: &Child) -> PodSpec {
    let pod = &child.pod;
    PodSpec {
        restart_policy: Some("Never".into()),
        service_account_name: pod.service_account_name.clone(),
        // A worker needs no API server.
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        node_selector: (!pod.node_selector.is_empty()).then(|| pod.node_selector.clone()),
        tolerations: (!pod.tolerations.is_empty()).then(|| pod.tolerations.clone()),
        priority_class_name: pod.priority_class_name.clone(),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(65532),
            run_as_group: Some(65532),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: CONTAINER.into(),
            image: Some(pod.image.clone()),
            image_pull_policy: pod.image_pull_policy.clone(),
            env: Some(environment(child)),
            resources: pod.resources.as_ref().map(requirements),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                run_as_non_root: Some(true),
                capabilities: Some(Capabilities {
                    drop: Some(vec!["ALL".into()]),
                    ..Capabilities::default()
                }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }],
        ..PodSpec::default()
    }
}

fn environment(child: &Child) -> Vec<EnvVar> {
    let mut variables = vec![EnvVar {
        name: WORK_ORDER_ENV.into(),
        value: Some(child.order.to_json()),
        ..EnvVar::default()
    }];
    if let Some(secret) = &child.pod.credentials_secret_name {
        for key in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            variables.push(EnvVar {
                name: key.into(),
                value_from: Some(EnvVarSource {
                    secret_key_ref: Some(SecretKeySelector {
                        name: secret.clone(),
                        key: key.into(),
                        optional: None,
                    }),
                    ..EnvVarSource::default()
                }),
                ..EnvVar::default()
            });
        }
    }
    variables
}

fn requirements(resources: &Resources) -> ResourceRequirements {
    ResourceRequirements {
        requests: resources.requests.as_ref().map(quantities),
        limits: resources.limits.as_ref().map(quantities),
        ..ResourceRequirements::default()
    }
}

fn quantities(list: &ResourceList) -> BTreeMap<String, Quantity> {
    [
        ("cpu", &list.cpu),
        ("memory", &list.memory),
        ("ephemeral-storage", &list.ephemeral_storage),
    ]
    .into_iter()
    .filter_map(|(name, amount)| {
        let text = match amount.as_ref()? {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        Some((name.to_owned(), Quantity(text)))
    })
    .collect()
}
