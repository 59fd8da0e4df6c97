//! EtlJobs as JSON: what a user sees, without our own types in between.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use etl_lab::{CLUSTER_ID, PodProcess};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::tenant::{Tenant, from_json};

const STEP: Duration = Duration::from_millis(200);

/// Between two looks at the processes of pods that are known.
const PROCESS_STEP: Duration = Duration::from_millis(10);

/// The resource that `kubectl get etljobs` asks for.
#[must_use]
pub fn etljob_resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(
        "etl-operator.io",
        "v1alpha1",
        "EtlJob",
    ))
}

/// Whether a condition of an EtlJob is `True`.
#[must_use]
pub fn has_condition(job: &Value, kind: &str) -> bool {
    condition(job, kind).is_some_and(|condition| condition["status"] == "True")
}

/// The reason of a condition of an EtlJob.
#[must_use]
pub fn reason<'a>(job: &'a Value, kind: &str) -> Option<&'a str> {
    condition(job, kind)?["reason"].as_str()
}

fn condition<'a>(job: &'a Value, kind: &str) -> Option<&'a Value> {
    job["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

impl Tenant<'_> {
    /// The EtlJobs of the tenant.
    #[must_use]
    pub fn etljobs(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.lab().client(), self.namespace(), &etljob_resource())
    }

    /// Creates an EtlJob with the given spec.
    ///
    /// # Errors
    /// What the API server says; a rule of the schema that is broken too.
    pub async fn create_etljob(&self, name: &str, spec: &Value) -> Result<Value> {
        let object: DynamicObject = from_json(json!({
            "apiVersion": "etl-operator.io/v1alpha1",
            "kind": "EtlJob",
            "metadata": {"name": name},
            "spec": spec,
        }))?;
        let created = self
            .etljobs()
            .create(&PostParams::default(), &object)
            .await?;
        Ok(serde_json::to_value(created)?)
    }

    /// Merges `patch` into an EtlJob, as `kubectl patch --type=merge` does.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn patch_etljob(&self, name: &str, patch: &Value) -> Result<Value> {
        let parameters = PatchParams::default();
        let patched = self
            .etljobs()
            .patch(name, &parameters, &Patch::Merge(patch))
            .await?;
        Ok(serde_json::to_value(patched)?)
    }

    /// An EtlJob as it is now.
    ///
    /// # Errors
    /// What the API server says; a missing one is none.
    pub async fn etljob(&self, name: &str) -> Result<Option<Value>> {
        let found = self.etljobs().get_opt(name).await?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// Deletes an EtlJob and waits until it is gone.
    ///
    /// # Errors
    /// What the API server says; an EtlJob that stays.
    pub async fn delete_etljob(&self, name: &str) -> Result<()> {
        self.etljobs()
            .delete(name, &DeleteParams::default())
            .await?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.etljob(name).await?.is_some() {
            ensure!(
                Instant::now() < deadline,
                "EtlJob {name} is still there after 60 s"
            );
            sleep(STEP).await;
        }
        Ok(())
    }

    /// Waits until `condition` holds for an EtlJob, and returns it as it was then.
    ///
    /// # Errors
    /// `what`, and the status at the end, once `limit` has passed.
    pub async fn wait_for(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let job = self
                .etljob(name)
                .await?
                .with_context(|| format!("no EtlJob {name}"))?;
            if condition(&job) {
                return Ok(job);
            }
            if Instant::now() >= deadline {
                let status = serde_json::to_string_pretty(&job["status"])?;
                bail!(
                    "EtlJob {name}: {what}: not so after {} s; status: {status}",
                    limit.as_secs()
                );
            }
            sleep(STEP).await;
        }
    }

    /// Waits until an EtlJob is Complete.
    ///
    /// # Errors
    /// As soon as it is Failed, with its last failure; `limit` has passed.
    pub async fn wait_complete(&self, name: &str, limit: Duration) -> Result<Value> {
        self.wait_terminal(name, "Complete", "Failed", limit).await
    }

    /// Waits until an EtlJob is Failed.
    ///
    /// # Errors
    /// As soon as it is Complete; `limit` has passed.
    pub async fn wait_failed(&self, name: &str, limit: Duration) -> Result<Value> {
        self.wait_terminal(name, "Failed", "Complete", limit).await
    }

    async fn wait_terminal(
        &self,
        name: &str,
        wanted: &str,
        unwanted: &str,
        limit: Duration,
    ) -> Result<Value> {
        let either = |job: &Value| has_condition(job, wanted) || has_condition(job, unwanted);
        let job = self.wait_for(name, wanted, limit, either).await?;
        ensure!(
            has_condition(&job, wanted),
            "EtlJob {name} is {unwanted}, not {wanted}; status: {}",
            serde_json::to_string_pretty(&job["status"])?
        );
        Ok(job)
    }

    /// The Jobs of an EtlJob, oldest first, by owner.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn jobs_of(&self, etljob: &Value) -> Result<Vec<Job>> {
        let uid = etljob["metadata"]["uid"]
            .as_str()
            .context("an EtlJob has a uid")?;
        let mut jobs = self.api::<Job>().list(&ListParams::default()).await?.items;
        jobs.retain(|job| {
            job.metadata
                .owner_references
                .iter()
                .flatten()
                .any(|owner| owner.uid == uid)
        });
        jobs.sort_by_key(|job| job.metadata.creation_timestamp.clone());
        Ok(jobs)
    }

    /// Every pod of the tenant.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        Ok(self.api::<Pod>().list(&ListParams::default()).await?.items)
    }

    /// Waits until a worker process of the tenant satisfies `condition`, and
    /// returns it: to be frozen, or killed for real.
    ///
    /// # Errors
    /// None does within `limit`.
    pub async fn wait_worker(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&Pod, &PodProcess) -> bool,
    ) -> Result<(Pod, PodProcess)> {
        let deadline = Instant::now() + limit;
        let mut pods = Vec::new();
        let mut list: Pin<Box<dyn Future<Output = Result<Vec<Pod>>> + '_>> = Box::pin(self.pods());
        loop {
            // A list takes longer than a process may live: pods that are known are
            // looked at meanwhile.
            tokio::select! {
                listed = &mut list => {
                    pods = listed?;
                    list = Box::pin(async {
                        sleep(STEP).await;
                        self.pods().await
                    });
                }
                () = sleep(PROCESS_STEP) => {}
            }
            for pod in &pods {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                let processes = self.lab().site().pod_processes(uid)?;
                let found = processes
                    .into_iter()
                    .find(|process| condition(pod, process));
                if let Some(process) = found {
                    return Ok((pod.clone(), process));
                }
            }
            ensure!(
                Instant::now() < deadline,
                "no such worker process in {} within {} s",
                self.namespace(),
                limit.as_secs()
            );
        }
    }

    /// The ledger's row of one run of an EtlJob.
    ///
    /// # Errors
    /// What DynamoDB says; a missing row is none.
    pub async fn ledger_row(
        &self,
        etljob: &Value,
        run: u32,
    ) -> Result<Option<HashMap<String, AttributeValue>>> {
        let metadata = &etljob["metadata"];
        let name = metadata["name"].as_str().context("an EtlJob has a name")?;
        let uid = metadata["uid"].as_str().context("an EtlJob has a uid")?;
        let key = format!("{CLUSTER_ID}/{}/{name}/{uid}/{run}", self.namespace());
        self.lab().ledger_row(&key).await
    }

    /// What `kubectl describe` tells about an EtlJob.
    ///
    /// # Errors
    /// kubectl fails.
    pub fn describe(&self, name: &str) -> Result<String> {
        let arguments = ["describe", "etljob", name, "--namespace", self.namespace()];
        let output = self.lab().kubectl(&arguments)?;
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl describe: {problem}");
        Ok(String::from_utf8(output.stdout)?)
    }
}
