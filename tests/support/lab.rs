//! The lab with its clients.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use etl_lab::cache::Artefacts;
use etl_lab::image::{self, Archive, Profile};
use etl_lab::stores::Store;
use etl_lab::{Front, LEDGER_TABLE, Lifetime, Node, Site, enter, merge, repository};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::proxies::Proxies;
use crate::tenant::Tenant;

const REGION: &str = "us-east-1";

/// A lab with the operator installed, and clients for it.
pub struct Lab {
    // Before what they stand in front of.
    proxies: Proxies,
    site: Site,
    runtime: Runtime,
    kube: kube::Client,
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
}

/// A script that has come this far has done its work: pyarrow's S3 threads may
/// abort an interpreter that takes them down in order.
const LEAVE: &str = "\nimport os, sys; sys.stdout.flush(); os._exit(0)\n";

impl Lab {
    /// Builds the images, starts the lab called `name`, creates the ledger's
    /// table and installs the chart.
    ///
    /// # Assumptions
    /// Called first in `main`: the process moves into the lab's network, and only
    /// threads that start later are in it.
    ///
    /// # Errors
    /// The first part that does not start, with the end of its log.
    pub fn start(name: &str) -> Result<Self> {
        let artefacts = Artefacts::ensure()?;
        let images = image::build(Profile::Dev, &repository().join("target/images"))?;
        let lab = Self::start_with(name, &artefacts, &images)?;
        lab.site.create_ledger_table()?;
        // As the README installs it; tenants bring their own accounts.
        lab.install(&json!({"worker": {"namespaces": ["default"]}}))?;
        Ok(lab)
    }

    fn start_with(name: &str, artefacts: &Artefacts, images: &[Archive]) -> Result<Self> {
        let site = Site::start_behind(
            Front::Owner,
            enter(name)?,
            artefacts,
            images,
            Lifetime::Owner,
        )?;
        let proxies = Proxies::start(&site)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let kube = runtime.block_on(kube_client(&site))?;
        let s3 = aws_sdk_s3::config::Builder::from(&aws_config(site.s3()))
            .force_path_style(true)
            .build();
        let s3 = aws_sdk_s3::Client::from_conf(s3);
        let dynamodb = aws_sdk_dynamodb::Client::new(&aws_config(site.dynamodb()));
        Ok(Self {
            proxies,
            site,
            runtime,
            kube,
            s3,
            dynamodb,
        })
    }

    /// Stops everything and removes all data but the logs.
    ///
    /// # Errors
    /// The first part that cannot be stopped.
    pub fn stop(self) -> Result<()> {
        drop(self.runtime);
        drop(self.proxies);
        self.site.stop()
    }

    /// Runs a future on the lab's own runtime, from any thread.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Installs the chart with `overrides` merged over the lab's values, or
    /// upgrades it to them, and waits until the operator is ready. It reaches the
    /// stores through the proxies.
    ///
    /// # Errors
    /// What Helm says.
    pub fn install(&self, overrides: &Value) -> Result<()> {
        let mut values = self.proxies.chart_values();
        merge(&mut values, overrides);
        self.site.install_chart(&values)
    }

    /// Makes a tenant, runs `scenario` in it and removes the tenant's namespace.
    /// After a failure everything about it is in `target/lab-logs/<name>`.
    ///
    /// # Errors
    /// What the scenario returned, with that place.
    pub async fn with_tenant(
        &self,
        name: &str,
        scenario: impl AsyncFnOnce(&Tenant<'_>) -> Result<()>,
    ) -> Result<()> {
        let tenant = self.tenant(name).await?;
        let outcome = scenario(&tenant).await;
        if outcome.is_err() {
            let folder = tenant.record(name).await?;
            return outcome.with_context(|| format!("see {}", folder.display()));
        }
        tenant.delete().await
    }

    /// A fresh namespace and bucket that nobody else uses.
    ///
    /// # Errors
    /// What Kubernetes or S3 say.
    pub async fn tenant(&self, name: &str) -> Result<Tenant<'_>> {
        Tenant::create(self, name).await
    }

    /// The parts of the lab: stores to stop and start, nodes, processes of pods.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The proxies between the product and what it talks to.
    #[must_use]
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// A client for the cluster, as administrator.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.kube.clone()
    }

    /// A client for the S3 store, with every right.
    #[must_use]
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        &self.s3
    }

    /// A client for DynamoDB Local.
    #[must_use]
    pub fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        &self.dynamodb
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.site.kubeconfig()
    }

    /// Runs kubectl and returns its output, good or bad.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        self.site.kubectl(arguments)
    }

    /// Runs helm and returns its output, good or bad.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn helm(&self, arguments: &[&str]) -> Result<Output> {
        self.site.helm(arguments)
    }

    /// Adds a node to the cluster and waits until it is ready.
    ///
    /// # Errors
    /// A name that was used before; a node that does not become ready.
    pub fn add_node(&self, name: &str) -> Result<Arc<Node>> {
        self.site.add_node(name)
    }

    /// Runs a Python script with `duckdb` and `pyarrow` at hand and returns what
    /// it prints: a reader that shares no code with ours. The keys of the S3 store
    /// are in its environment, the address in `S3_ENDPOINT`.
    ///
    /// # Errors
    /// A script that fails, with what it wrote.
    pub fn python(&self, script: &str, arguments: &[&str]) -> Result<String> {
        let keys = self.site.s3().credentials();
        let script = format!("{script}{LEAVE}");
        let output = Command::new(self.site.artefacts().python())
            .args(["-c", &script])
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", &keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)
            .env("AWS_REGION", REGION)
            .env("S3_ENDPOINT", self.site.s3().endpoint())
            .output()
            .context("cannot start python")?;
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "the Python script failed: {problem}"
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// One row of the ledger, by its key `cluster/namespace/name/uid/run`.
    ///
    /// # Errors
    /// What DynamoDB says; a missing row is none.
    pub async fn ledger_row(
        &self,
        file_id: &str,
    ) -> Result<Option<HashMap<String, AttributeValue>>> {
        let answer = self
            .dynamodb
            .get_item()
            .table_name(LEDGER_TABLE)
            .key("file_id", AttributeValue::S(file_id.to_owned()))
            .consistent_read(true)
            .send()
            .await?;
        Ok(answer.item)
    }

    /// Every event of the API server's audit log so far.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub fn audit_events(&self) -> Result<Vec<Value>> {
        let log = fs::read_to_string(self.site.audit_log())?;
        // The last line may be half written.
        Ok(log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

async fn kube_client(site: &Site) -> Result<kube::Client> {
    let file = Kubeconfig::read_from(site.kubeconfig())?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(file, &options).await?;
    // A proxy of the host is out of reach here.
    config.proxy_url = None;
    Ok(kube::Client::try_from(config)?)
}

fn aws_config(store: &Store) -> SdkConfig {
    let keys = store.credentials();
    let credentials = Credentials::new(
        &keys.access_key_id,
        &keys.secret_access_key,
        None,
        None,
        "lab",
    );
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(store.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}
