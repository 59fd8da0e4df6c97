//! A cluster of which no more is asked than the budget allows.

use std::time::Duration;

use async_trait::async_trait;
use etl_api::EtlJob;
use etl_core::Event;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, timeout_at};

use super::{ApiError, Cluster, Kind};
use crate::budget::{Budget, Priority};

/// How long a request may wait for its turn, in all. With the bound of the
/// request itself it is less than what a process has to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A cluster behind a budget.
///
/// The budget stands before everything else that looks at a request: whether
/// one may begin at all is asked when it begins, not when it starts to wait.
pub struct Frugal<C> {
    cluster: C,
    budget: Budget,
}

impl<C> Frugal<C> {
    /// `cluster`, within `budget`.
    pub fn new(cluster: C, budget: Budget) -> Self {
        Frugal { cluster, budget }
    }

    /// The answer to `request`. One that was turned away because the server is
    /// overloaded was not looked at: it is made again, without a pass having
    /// to begin anew, when its turn comes in time.
    async fn spend<'a, T, R>(
        &'a self,
        priority: Priority,
        request: impl Fn(&'a C) -> R,
    ) -> Result<T, ApiError>
    where
        R: Future<Output = Result<T, ApiError>>,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut refused = None;
        loop {
            let admitted = timeout_at(deadline, self.budget.admit(priority)).await;
            if admitted.is_err() {
                return Err(refused.unwrap_or_else(|| {
                    let message = format!(
                        "waited {} s for the API server, which is overloaded or asked too often",
                        PATIENCE.as_secs()
                    );
                    ApiError::new(Kind::Throttled, message)
                }));
            }
            match request(&self.cluster).await {
                Err(error) if error.kind == Kind::Throttled => refused = Some(error),
                other => return other,
            }
        }
    }
}

#[async_trait]
impl<C: Cluster> Cluster for Frugal<C> {
    async fn replace_status(&self, job: &EtlJob) -> Result<EtlJob, ApiError> {
        self.spend(Priority::Finish, |cluster| cluster.replace_status(job))
            .await
    }

    async fn delete_etljob(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        self.spend(Priority::Finish, |cluster| {
            cluster.delete_etljob(namespace, name, uid)
        })
        .await
    }

    async fn create_job(&self, job: &Job) -> Result<(), ApiError> {
        self.spend(Priority::Create, |cluster| cluster.create_job(job))
            .await
    }

    async fn get_job(&self, namespace: &str, name: &str) -> Result<Option<Job>, ApiError> {
        self.spend(Priority::Look, |cluster| cluster.get_job(namespace, name))
            .await
    }

    async fn delete_job(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        self.spend(Priority::Finish, |cluster| {
            cluster.delete_job(namespace, name, uid)
        })
        .await
    }

    async fn pods(&self, namespace: &str, job_uid: &str) -> Result<Vec<Pod>, ApiError> {
        self.spend(Priority::Look, |cluster| cluster.pods(namespace, job_uid))
            .await
    }

    async fn warnings(&self, namespace: &str, uid: &str) -> Result<Vec<String>, ApiError> {
        self.spend(Priority::Look, |cluster| cluster.warnings(namespace, uid))
            .await
    }

    async fn publish(&self, job: &EtlJob, event: &Event, key: &str) -> Result<(), ApiError> {
        self.spend(Priority::Tell, |cluster| cluster.publish(job, event, key))
            .await
    }
}

#[cfg(test)]
mod tests;
