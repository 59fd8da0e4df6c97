//! Lets no request to the cluster begin while another may lead.

use async_trait::async_trait;
use etl_api::EtlJob;
use etl_core::Event;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::Leadership;
use crate::cluster::{ApiError, Cluster, Kind};

/// A cluster that only the leader reaches.
pub struct Gate<C> {
    cluster: C,
    leadership: Leadership,
}

impl<C> Gate<C> {
    /// `cluster`, as long as `leadership` holds.
    pub fn new(cluster: C, leadership: Leadership) -> Self {
        Gate {
            cluster,
            leadership,
        }
    }

    fn open(&self) -> Result<&C, ApiError> {
        if self.leadership.holds() {
            return Ok(&self.cluster);
        }
        let message = "this operator does not hold the lease any more";
        Err(ApiError::new(Kind::NotLeading, message))
    }
}

#[async_trait]
impl<C: Cluster> Cluster for Gate<C> {
    async fn replace_status(&self, job: &EtlJob) -> Result<EtlJob, ApiError> {
        self.open()?.replace_status(job).await
    }

    async fn delete_etljob(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        self.open()?.delete_etljob(namespace, name, uid).await
    }

    async fn create_job(&self, job: &Job) -> Result<(), ApiError> {
        self.open()?.create_job(job).await
    }

    async fn get_job(&self, namespace: &str, name: &str) -> Result<Option<Job>, ApiError> {
        self.open()?.get_job(namespace, name).await
    }

    async fn delete_job(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        self.open()?.delete_job(namespace, name, uid).await
    }

    async fn pods(&self, namespace: &str, job_uid: &str) -> Result<Vec<Pod>, ApiError> {
        self.open()?.pods(namespace, job_uid).await
    }

    async fn warnings(&self, namespace: &str, uid: &str) -> Result<Vec<String>, ApiError> {
        self.open()?.warnings(namespace, uid).await
    }

    async fn publish(&self, job: &EtlJob, event: &Event, key: &str) -> Result<(), ApiError> {
        self.open()?.publish(job, event, key).await
    }
}
