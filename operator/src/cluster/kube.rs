//! The port to the API server, through kube's client.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use etl_api::{EtlJob, labels};
use etl_contract::truncate;
use etl_core::{Event, Severity};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Pod};
use k8s_openapi::api::events::v1::Event as NewEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, Client, Resource, ResourceExt};

use super::{ApiError, Cluster, Kind, bounded, chain};

/// Bound of one request, retries of the client included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(9);

/// Longest note of an event that the API server takes, in bytes.
const NOTE_LIMIT: usize = 1024;

/// Longest name of a reporting instance that it takes, in bytes.
const INSTANCE_LIMIT: usize = 128;

/// A cluster behind a kube client.
#[derive(Clone)]
pub struct KubeCluster {
    client: Client,
    instance: String,
}

impl KubeCluster {
    /// `instance` is the name of this process in events.
    pub fn new(client: Client, mut instance: String) -> Self {
        truncate(&mut instance, INSTANCE_LIMIT);
        KubeCluster { client, instance }
    }

    fn jobs(&self, namespace: &str) -> Api<Job> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn etljobs(&self, namespace: &str) -> Api<EtlJob> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    async fn replace_status(&self, job: &EtlJob) -> Result<EtlJob, ApiError> {
        let api = self.etljobs(&namespace(job));
        let params = PostParams {
            field_manager: Some(labels::MANAGER.into()),
            ..PostParams::default()
        };
        within(api.replace_status(&job.name_any(), &params, job)).await
    }

    async fn delete_etljob(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        let params = delete_params(uid, PropagationPolicy::Background);
        let api = self.etljobs(namespace);
        gone(within(api.delete(name, &params)).await.map(drop))
    }

    async fn create_job(&self, job: &Job) -> Result<(), ApiError> {
        let namespace = job.namespace().unwrap_or_default();
        let params = PostParams {
            field_manager: Some(labels::MANAGER.into()),
            ..PostParams::default()
        };
        within(self.jobs(&namespace).create(&params, job))
            .await
            .map(drop)
    }

    async fn get_job(&self, namespace: &str, name: &str) -> Result<Option<Job>, ApiError> {
        within(self.jobs(namespace).get_opt(name)).await
    }

    async fn delete_job(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        // The raw API's default would leave the pods running as orphans.
        let params = delete_params(uid, PropagationPolicy::Foreground);
        gone(
            within(self.jobs(namespace).delete(name, &params))
                .await
                .map(drop),
        )
    }

    async fn pods(&self, namespace: &str, job_uid: &str) -> Result<Vec<Pod>, ApiError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        // By uid: an older Job may have had the same name.
        let params =
            ListParams::default().labels(&format!("batch.kubernetes.io/controller-uid={job_uid}"));
        Ok(within(api.list(&params)).await?.items)
    }

    async fn warnings(&self, namespace: &str, uid: &str) -> Result<Vec<String>, ApiError> {
        let api: Api<CoreEvent> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default()
            .fields(&format!("involvedObject.uid={uid},type=Warning"))
            .limit(50);
        let mut events = within(api.list(&params)).await?.items;
        events.sort_by_key(last_seen);
        Ok(events
            .into_iter()
            .filter_map(|event| event.message)
            .collect())
    }

    async fn publish(&self, job: &EtlJob, event: &Event, key: &str) -> Result<(), ApiError> {
        let namespace = namespace(job);
        let api: Api<NewEvent> = Api::namespaced(self.client.clone(), &namespace);
        let body = self.event(job, event, key);
        match within(api.create(&PostParams::default(), &body)).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind == Kind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl KubeCluster {
    /// Not kube's `Recorder`: that folds events with one reason into one and
    /// keeps the first note, but the note is what tells two failures apart.
    fn event(&self, job: &EtlJob, event: &Event, key: &str) -> NewEvent {
        let mut note = event.note.clone();
        truncate(&mut note, NOTE_LIMIT);
        NewEvent {
            metadata: ObjectMeta {
                name: Some(format!("{}.{key}", job.name_any())),
                namespace: Some(namespace(job)),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(Timestamp::now())),
            regarding: Some(job.object_ref(&())),
            action: Some("Reconcile".into()),
            reason: Some(event.reason.into()),
            note: Some(note),
            type_: Some(
                match event.severity {
                    Severity::Normal => "Normal",
                    Severity::Warning => "Warning",
                }
                .into(),
            ),
            reporting_controller: Some(labels::MANAGER.into()),
            reporting_instance: Some(self.instance.clone()),
            ..NewEvent::default()
        }
    }
}

fn namespace(job: &EtlJob) -> String {
    job.namespace().unwrap_or_default()
}

fn delete_params(uid: &str, policy: PropagationPolicy) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    }
}

/// What is gone, or is another object by now, needs no deletion.
fn gone(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::Conflict) => Ok(()),
        other => other,
    }
}

fn last_seen(event: &CoreEvent) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| Some(series.last_observed_time.as_ref()?.0));
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    let created = event
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0);
    series.or(last).or(first).or(created)
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    bounded(REQUEST_TIMEOUT, request).await
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => ApiError::new(kind(status), status.message.clone()),
            kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::Auth(_) => {
                ApiError::new(Kind::Transient, chain(&error))
            }
            _ => ApiError::new(Kind::Unknown, chain(&error)),
        }
    }
}

fn kind(status: &kube::core::Status) -> Kind {
    let terminating = || {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .into_iter()
            .any(|cause| cause.reason == "NamespaceTerminating")
    };
    match status.code {
        409 if status.is_already_exists() => Kind::AlreadyExists,
        409 => Kind::Conflict,
        404 => Kind::NotFound,
        403 if terminating() => Kind::NamespaceTerminating,
        403 => Kind::Forbidden,
        400 | 422 => Kind::Rejected,
        429 => Kind::Throttled,
        // 401 passes when the token is renewed.
        401 | 408 | 500..=599 => Kind::Transient,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests;
