//! The Lease behind a kube client.

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};

use super::elector::Leases;
use crate::cluster::ApiError;

/// The Lease of one name in one namespace.
pub struct KubeLease {
    api: Api<Lease>,
    name: String,
}

impl KubeLease {
    /// The lease `name` in `namespace`.
    pub fn new(client: Client, namespace: &str, name: String) -> Self {
        KubeLease {
            api: Api::namespaced(client, namespace),
            name,
        }
    }
}

#[async_trait]
impl Leases for KubeLease {
    async fn get(&self) -> Result<Option<Lease>, ApiError> {
        Ok(self.api.get_opt(&self.name).await?)
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, ApiError> {
        Ok(self.api.create(&PostParams::default(), lease).await?)
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, ApiError> {
        let params = PostParams::default();
        Ok(self.api.replace(&self.name, &params, lease).await?)
    }
}
