//! A namespace and a bucket for one scenario.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_s3::primitives::ByteStream;
use etl_lab::STORE_SECRET;
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::lab::Lab;

/// How long a namespace may take to go away.
const GONE: Duration = Duration::from_secs(60);

/// A Kubernetes namespace and a bucket that belong to one scenario.
pub struct Tenant<'a> {
    lab: &'a Lab,
    namespace: String,
    bucket: String,
}

/// An object of the tenant's bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its etag, quotes included.
    pub etag: String,
}

impl<'a> Tenant<'a> {
    pub(crate) async fn create(lab: &'a Lab, name: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Bucket and namespace names have at most 63 characters.
        let name: String = name.chars().take(50).collect();
        let unique = format!("{}-{number}", name.trim_end_matches('-'));
        let tenant = Self {
            lab,
            namespace: unique.clone(),
            bucket: unique,
        };
        tenant.create_namespace().await?;
        lab.s3()
            .create_bucket()
            .bucket(&tenant.bucket)
            .send()
            .await?;
        Ok(tenant)
    }

    async fn create_namespace(&self) -> Result<()> {
        let parameters = PostParams::default();
        let namespace: Namespace = from_json(json!({
            "metadata": {
                "name": self.namespace,
                // What a cluster that takes security seriously asks of every pod.
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }))?;
        Api::all(self.lab.client())
            .create(&parameters, &namespace)
            .await?;
        let secret: Secret = from_json(self.lab.site().store_secret(&self.namespace))?;
        self.api().create(&parameters, &secret).await?;
        // The chart makes it for the namespaces that it is told at installation.
        let account: ServiceAccount = from_json(json!({
            "metadata": {"name": "etl-worker"},
            "automountServiceAccountToken": false,
        }))?;
        self.api().create(&parameters, &account).await?;
        Ok(())
    }

    /// The lab that the tenant is in.
    #[must_use]
    pub fn lab(&self) -> &'a Lab {
        self.lab
    }

    /// The name of the namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The address of a key, or of a prefix, in the tenant's bucket.
    #[must_use]
    pub fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// Namespaced objects of one type in the tenant's namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.lab.client(), &self.namespace)
    }

    /// Writes an object.
    ///
    /// # Errors
    /// What S3 says.
    pub async fn put(&self, key: &str, content: impl Into<ByteStream>) -> Result<()> {
        let put = self
            .lab
            .s3()
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .body(content.into());
        put.send()
            .await
            .with_context(|| format!("cannot write {}", self.uri(key)))?;
        Ok(())
    }

    /// Writes a file of this machine as an object.
    ///
    /// # Errors
    /// A file that cannot be read; what S3 says.
    pub async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        let content = ByteStream::from_path(file).await;
        let content = content.with_context(|| format!("cannot read {}", file.display()))?;
        self.put(key, content).await
    }

    /// Writes one of the real sample files, from `tests/data`.
    ///
    /// # Errors
    /// A file that is not there; what S3 says.
    pub async fn put_sample(&self, key: &str, name: &str) -> Result<()> {
        self.put_file(key, &etl_lab::repository().join("tests/data").join(name))
            .await
    }

    /// Reads an object.
    ///
    /// # Errors
    /// What S3 says; a missing object too.
    pub async fn get(&self, key: &str) -> Result<Vec<u8>> {
        let get = self.lab.s3().get_object().bucket(&self.bucket).key(key);
        let answer = get
            .send()
            .await
            .with_context(|| format!("cannot read {}", self.uri(key)))?;
        Ok(answer.body.collect().await?.to_vec())
    }

    /// The objects below a prefix, in the order of their keys.
    ///
    /// # Errors
    /// What S3 says.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let mut pages = self
            .lab
            .s3()
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        let mut objects = Vec::new();
        while let Some(page) = pages.next().await {
            for object in page?.contents.unwrap_or_default() {
                objects.push(Object {
                    key: object.key.context("an object without a key")?,
                    bytes: u64::try_from(object.size.unwrap_or_default())?,
                    etag: object.e_tag.unwrap_or_default(),
                });
            }
        }
        Ok(objects)
    }

    /// The objects below a prefix without those that the protocol keeps for
    /// itself below `_etl/`.
    ///
    /// # Errors
    /// What S3 says.
    pub async fn outputs(&self, prefix: &str) -> Result<Vec<Object>> {
        let mut objects = self.list(prefix).await?;
        objects.retain(|object| !object.key.split('/').any(|part| part == "_etl"));
        Ok(objects)
    }

    /// The manifests below a prefix: one per committed run.
    ///
    /// # Errors
    /// What S3 says.
    pub async fn manifests(&self, prefix: &str) -> Result<Vec<Object>> {
        let mut objects = self.list(prefix).await?;
        objects.retain(|o| o.key.contains("_etl/") && o.key.ends_with("/manifest"));
        Ok(objects)
    }

    /// Removes an object.
    ///
    /// # Errors
    /// What S3 says.
    pub async fn remove(&self, key: &str) -> Result<()> {
        self.lab
            .s3()
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await?;
        Ok(())
    }

    /// Replaces the keys that the tenant's workers use by ones nobody knows.
    ///
    /// # Errors
    /// What Kubernetes says.
    pub async fn break_credentials(&self) -> Result<()> {
        let secret: Secret = from_json(json!({
            "metadata": {"name": STORE_SECRET},
            "stringData": {"AWS_ACCESS_KEY_ID": "NOBODY", "AWS_SECRET_ACCESS_KEY": "nothing"},
        }))?;
        self.replace_credentials(&secret).await
    }

    /// Gives the tenant's workers back the keys that the store knows.
    ///
    /// # Errors
    /// What Kubernetes says.
    pub async fn mend_credentials(&self) -> Result<()> {
        let secret: Secret = from_json(self.lab.site().store_secret(&self.namespace))?;
        self.replace_credentials(&secret).await
    }

    async fn replace_credentials(&self, secret: &Secret) -> Result<()> {
        self.api()
            .replace(STORE_SECRET, &PostParams::default(), secret)
            .await?;
        Ok(())
    }

    /// Removes the namespace and waits until it is gone.
    ///
    /// # Errors
    /// A namespace that hangs.
    pub async fn delete(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.lab.client());
        match namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
        {
            // The scenario deleted it.
            Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(()),
            answer => answer?,
        };
        let gone = async {
            while namespaces.get_opt(&self.namespace).await?.is_some() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            anyhow::Ok(())
        };
        let Ok(gone) = tokio::time::timeout(GONE, gone).await else {
            bail!(
                "namespace {} is still there after {} s",
                self.namespace,
                GONE.as_secs()
            );
        };
        gone
    }
}

/// A typed object from JSON, for what is easier to read that way.
pub(crate) fn from_json<K: DeserializeOwned>(value: Value) -> Result<K> {
    Ok(serde_json::from_value(value)?)
}
