//! The cluster that everything is measured on, and what reads its instruments.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etl_lab::cache::{Artefacts, kwok_version};
use etl_lab::{CHART_NAMESPACE, Fleet, LEDGER_TABLE, Lifetime, Namespace, Site};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    EnvVar, EnvVarSource, Namespace as KubeNamespace, Secret, ServiceAccount,
};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::json;

use crate::audit::AuditLog;
use crate::ledger::Ledger;
use crate::operator::{Installation, Operator, Variant};
use crate::program::Options;
use crate::subject;
use crate::usage::Meter;

/// Pretended nodes: room for as many pods as are ever unfinished.
const NODES: u32 = 20;

/// The account that the chart makes for workers unless told otherwise.
const WORKER_ACCOUNT: &str = "etl-worker";

/// The cluster, its clients and the installed operator.
pub(crate) struct Bed {
    pub(crate) site: Site,
    pub(crate) client: Client,
    pub(crate) installation: Installation,
    pub(crate) ledger: Ledger,
    namespaces: u32,
}

impl Bed {
    /// Starts the cluster and installs the chart, without starting an operator.
    pub(crate) async fn start(site: Site, options: &Options) -> Result<Self> {
        let client = client(&site).await?;
        let ledger = Ledger::start("10.244.0.1:8000").await?;
        // The operator's own processes are started here, one at a time.
        site.install_chart(&json!({"replicaCount": 0}))?;
        let installation = Installation {
            program: options.program()?,
            env: environment(&client).await?,
            kubeconfig: site.service_account_kubeconfig(CHART_NAMESPACE, CHART_NAMESPACE)?,
            log: site.layout().log().join("etl-operator.log"),
        };
        let ledgered = installation.env.get("ETL_LEDGER_TABLE");
        ensure!(
            ledgered.is_some_and(|table| table == LEDGER_TABLE),
            "the operator would keep no ledger"
        );
        Ok(Self {
            site,
            client,
            installation,
            ledger,
            namespaces: 0,
        })
    }

    /// The audit log from its end on.
    pub(crate) fn audit_log(&self) -> Result<AuditLog> {
        let account = format!("system:serviceaccount:{CHART_NAMESPACE}:{CHART_NAMESPACE}");
        let mut log = AuditLog::open(&self.site.audit_log(), account)?;
        log.requests(None)?;
        Ok(log)
    }

    /// Reads the processor time of everything that takes part.
    pub(crate) fn meter(&self, operator: &Operator) -> Result<Meter> {
        let mut processes = self.site.processes();
        processes.push(("etl-operator".into(), operator.pid()));
        processes.push(("this bench".into(), std::process::id().cast_signed()));
        Meter::read(&processes)
    }

    /// A new namespace with the workers' account.
    pub(crate) async fn namespace(&mut self, purpose: &str) -> Result<String> {
        self.namespaces += 1;
        let name = format!("{purpose}-{}", self.namespaces);
        let parameters = PostParams::default();
        let namespace: KubeNamespace = named(&name)?;
        let namespaces: Api<KubeNamespace> = Api::all(self.client.clone());
        namespaces.create(&parameters, &namespace).await?;
        let account: ServiceAccount = named(WORKER_ACCOUNT)?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &name);
        accounts.create(&parameters, &account).await?;
        Ok(name)
    }

    /// A started operator that is ready.
    pub(crate) async fn operator(&self, variant: &Variant) -> Result<Operator> {
        let mut operator = Operator::start(&self.installation, variant)?;
        operator.ready().await?;
        Ok(operator)
    }
}

/// The cluster with nodes whose pods run for `run_time`.
pub(crate) fn site(
    namespace: Namespace,
    artefacts: &Artefacts,
    run_time: Duration,
) -> Result<Site> {
    let fleet = Fleet {
        nodes: NODES,
        run_time,
        termination_message: subject::report(),
    };
    Site::start_with_fleet(namespace, artefacts, &fleet, Lifetime::Owner)
}

async fn client(site: &Site) -> Result<Client> {
    let file = Kubeconfig::read_from(site.kubeconfig())?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(file, &options).await?;
    // A proxy of the host is out of reach here.
    config.proxy_url = None;
    Ok(Client::try_from(config)?)
}

fn named<K: serde::de::DeserializeOwned>(name: &str) -> Result<K> {
    Ok(serde_json::from_value(json!({"metadata": {"name": name}}))?)
}

/// The environment that the chart gives the operator.
async fn environment(client: &Client) -> Result<BTreeMap<String, String>> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), CHART_NAMESPACE);
    let deployment = deployments.get(CHART_NAMESPACE).await?;
    let pod = deployment.spec.and_then(|spec| spec.template.spec);
    let container = pod.and_then(|pod| pod.containers.into_iter().next());
    let variables = container.and_then(|container| container.env);
    let mut environment = BTreeMap::new();
    for EnvVar {
        name,
        value,
        value_from,
    } in variables.unwrap_or_default()
    {
        let value = match (value, value_from) {
            (_, Some(source)) => resolve(client, &source)
                .await
                .with_context(|| format!("cannot tell the value of {name}"))?,
            (value, None) => value.unwrap_or_default(),
        };
        environment.insert(name, value);
    }
    Ok(environment)
}

/// What the kubelet would put there.
async fn resolve(client: &Client, source: &EnvVarSource) -> Result<String> {
    if let Some(secret) = &source.secret_key_ref {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), CHART_NAMESPACE);
        let data = secrets.get(&secret.name).await?.data.unwrap_or_default();
        let value = data
            .get(&secret.key)
            .context("the secret has no such key")?;
        return Ok(String::from_utf8(value.0.clone())?);
    }
    let field = source.field_ref.as_ref().context("an unknown source")?;
    match field.field_path.as_str() {
        "metadata.name" => Ok("etl-operator-0".into()),
        "metadata.namespace" => Ok(CHART_NAMESPACE.into()),
        other => bail!("the field {other} is not known here"),
    }
}

/// What the cluster is made of, by name.
pub(crate) async fn versions(client: &Client) -> Result<BTreeMap<String, String>> {
    let kubernetes = client.apiserver_version().await?.git_version;
    let kwok = kwok_version().to_owned();
    Ok([("Kubernetes", kubernetes), ("kwok", kwok)]
        .map(|(name, version)| (name.to_owned(), version))
        .into())
}
