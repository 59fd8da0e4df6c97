//! What an installation decides once for all resources.

use std::collections::BTreeMap;

use etl_api::Resources;
use etl_contract::{Encoder, Storage};
use k8s_openapi::api::core::v1::Toleration;

use crate::validate::Reach;

/// Settings of the installation. They come from the chart's values or, for a
/// local run, from the command line; never from a resource.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Cluster id: first part of ledger keys and output owners.
    pub cluster: String,
    /// Image of the worker; frozen into each run when it starts.
    pub worker_image: String,
    /// `imagePullPolicy` of worker pods.
    pub image_pull_policy: Option<String>,
    /// What `spec.worker` leaves open.
    pub worker: WorkerDefaults,
    /// How workers reach the object store.
    pub storage: Storage,
    /// What turns values into text in the workers.
    pub encoder: Encoder,
    /// Which URIs a resource may use.
    pub reach: Reach,
    /// Whether a ledger is kept: the time to live then waits for it.
    pub ledger: bool,
}

/// Defaults of `spec.worker`.
#[derive(Clone, Debug, Default)]
pub struct WorkerDefaults {
    /// ServiceAccount of worker pods.
    pub service_account_name: Option<String>,
    /// Resources of the worker container.
    pub resources: Option<Resources>,
    /// Node labels.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerated taints.
    pub tolerations: Vec<Toleration>,
    /// PriorityClass.
    pub priority_class_name: Option<String>,
    /// Queue of Kueue.
    pub queue_name: Option<String>,
    /// Secret with static keys, for stores that are not AWS.
    pub credentials_secret_name: Option<String>,
}
