//! From the command line to settings that hold together.

use std::io::{IsTerminal, stdout};
use std::net::SocketAddr;
use std::time::Duration;

use etl_contract::{Encoder, Storage};
use etl_core::{Reach, Settings, WorkerDefaults};
use serde::de::DeserializeOwned;
use tracing_subscriber::EnvFilter;

use crate::budget;
use crate::cli::{DEFAULT_LISTEN, RunArgs};
use crate::ledger::pace::Allowance;

/// Passes side by side. Each waits for the API server most of its time.
const DEFAULT_CONCURRENCY: u32 = 16;

/// Requests a second to the API server: some sixty EtlJobs begun and ended.
const DEFAULT_REQUESTS_PER_SECOND: u32 = 500;

/// Requests at once, after a quiet time.
const DEFAULT_BURST: u32 = 1000;

/// ServiceAccount of workers unless the installation names another.
const DEFAULT_SERVICE_ACCOUNT: &str = "etl-worker";

/// Everything that is decided before the process starts to work.
#[derive(Debug)]
pub struct Config {
    /// Settings of the installation, for `etl-core`.
    pub settings: Settings,
    /// Namespaces to watch; all when empty.
    pub namespaces: Vec<String>,
    /// Where the ledger is, if one is kept.
    pub ledger: Option<LedgerConfig>,
    /// Address of the probes.
    pub listen: SocketAddr,
    /// What is logged.
    pub log_filter: EnvFilter,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Name of this process in events and in the lease.
    pub instance: String,
    /// The lease to work under, if this operator is one of several.
    pub lease: Option<LeaseConfig>,
    /// How much is asked of the API server.
    pub api: budget::Allowance,
    /// Passes that run side by side.
    pub concurrency: u32,
}

/// Where the lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// Name of the Lease.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// DynamoDB table.
    pub table: String,
    /// Endpoint that is not AWS.
    pub endpoint_url: Option<String>,
    /// Region; the SDK's default chain when unset.
    pub region: Option<String>,
    /// What it may be asked for.
    pub allowance: Allowance,
    /// Between two comparisons of all rows with the EtlJobs.
    pub repair_interval: Duration,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{variable} is not set: {purpose}")]
    Missing {
        variable: &'static str,
        purpose: &'static str,
    },
    #[error("{variable} is {value:?}, but must be {expected}")]
    Unusable {
        variable: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("{variable} is not valid JSON for {expected}")]
    Json {
        variable: &'static str,
        expected: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("{variable} is not a log filter such as info or etl_operator=debug")]
    Filter {
        variable: &'static str,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
}

impl TryFrom<RunArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: RunArgs) -> Result<Self, ConfigError> {
        let args = args.without_empty();
        let ledger = ledger(&args)?;
        let log = args.log.as_deref().unwrap_or("info");
        Ok(Config {
            namespaces: namespaces(args.watch_namespaces.as_deref()),
            listen: listen(args.listen.as_deref())?,
            log_filter: EnvFilter::try_new(log).map_err(|source| ConfigError::Filter {
                variable: "ETL_LOG",
                source,
            })?,
            log_format: log_format(args.log_format.as_deref(), stdout().is_terminal())?,
            lease: lease(&args)?,
            instance: args.pod_name.clone().unwrap_or_else(unnamed),
            api: allowance(&args)?,
            concurrency: number(
                "ETL_CONCURRENCY",
                args.concurrency.as_deref(),
                DEFAULT_CONCURRENCY,
            )?,
            settings: settings(args, ledger.is_some())?,
            ledger,
        })
    }
}

fn settings(args: RunArgs, ledger: bool) -> Result<Settings, ConfigError> {
    let cluster = args.cluster_id.ok_or(ConfigError::Missing {
        variable: "ETL_CLUSTER_ID",
        purpose: "it tells this cluster's ledger rows and outputs from others'",
    })?;
    if cluster.contains('/') {
        return Err(ConfigError::Unusable {
            variable: "ETL_CLUSTER_ID",
            value: cluster,
            expected: "a name without '/', which separates the parts of a ledger key",
        });
    }
    let worker = WorkerDefaults {
        service_account_name: args
            .worker_service_account
            .or_else(|| Some(DEFAULT_SERVICE_ACCOUNT.to_owned())),
        resources: json(
            "ETL_WORKER_RESOURCES",
            "container resources such as {\"limits\":{\"memory\":\"1Gi\"}}",
            args.worker_resources,
        )?,
        node_selector: json(
            "ETL_WORKER_NODE_SELECTOR",
            "node labels such as {\"pool\":\"etl\"}",
            args.worker_node_selector,
        )?
        .unwrap_or_default(),
        tolerations: json(
            "ETL_WORKER_TOLERATIONS",
            "a list of tolerations such as [{\"key\":\"etl\",\"operator\":\"Exists\"}]",
            args.worker_tolerations,
        )?
        .unwrap_or_default(),
        priority_class_name: args.worker_priority_class,
        queue_name: args.worker_queue,
        credentials_secret_name: args.worker_credentials_secret,
    };
    Ok(Settings {
        cluster,
        worker_image: args.worker_image.ok_or(ConfigError::Missing {
            variable: "ETL_WORKER_IMAGE",
            purpose: "it is the image that worker pods run",
        })?,
        image_pull_policy: pull_policy(args.worker_image_pull_policy)?,
        worker,
        storage: Storage {
            endpoint_url: args.aws_endpoint_url,
            region: args.aws_region,
            expected_bucket_owner: args.expected_bucket_owner,
        },
        encoder: encoder(args.worker_encoder.as_deref())?,
        reach: Reach::Cluster,
        ledger,
    })
}

fn allowance(args: &RunArgs) -> Result<budget::Allowance, ConfigError> {
    let per_second = number(
        "ETL_API_REQUESTS_PER_SECOND",
        args.api_requests_per_second.as_deref(),
        DEFAULT_REQUESTS_PER_SECOND,
    )?;
    let burst = number("ETL_API_BURST", args.api_burst.as_deref(), DEFAULT_BURST)?;
    Ok(budget::Allowance {
        per_second: f64::from(per_second),
        burst,
    })
}

fn ledger(args: &RunArgs) -> Result<Option<LedgerConfig>, ConfigError> {
    let default = Allowance::default();
    let per_second = number(
        "ETL_LEDGER_WRITES_PER_SECOND",
        args.ledger_writes_per_second.as_deref(),
        default.per_second,
    )?;
    let burst = number(
        "ETL_LEDGER_WRITE_BURST",
        args.ledger_write_burst.as_deref(),
        default.burst,
    )?;
    let repair_interval = number(
        "ETL_LEDGER_REPAIR_INTERVAL_SECONDS",
        args.ledger_repair_interval_seconds.as_deref(),
        3600,
    )?;
    Ok(args.ledger_table.clone().map(|table| LedgerConfig {
        table,
        endpoint_url: args.ledger_endpoint_url.clone(),
        region: args.aws_region.clone(),
        allowance: Allowance { per_second, burst },
        repair_interval: Duration::from_secs(u64::from(repair_interval)),
    }))
}

fn number(variable: &'static str, value: Option<&str>, default: u32) -> Result<u32, ConfigError> {
    let Some(value) = value else {
        return Ok(default);
    };
    let number = value.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| ConfigError::Unusable {
        variable,
        value: value.to_owned(),
        expected: "a whole number from 1",
    })
}

fn lease(args: &RunArgs) -> Result<Option<LeaseConfig>, ConfigError> {
    let Some(name) = args.lease_name.clone() else {
        return Ok(None);
    };
    let namespace = args.pod_namespace.clone().ok_or(ConfigError::Missing {
        variable: "POD_NAMESPACE",
        purpose: "it is where the lease of ETL_LEASE_NAME is kept",
    })?;
    Ok(Some(LeaseConfig { name, namespace }))
}

/// Two processes without a name must not take each other's lease for their
/// own.
fn unnamed() -> String {
    format!("etl-operator-{:08x}", fastrand::u32(..))
}

fn namespaces(list: Option<&str>) -> Vec<String> {
    let mut names: Vec<String> = list
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

fn listen(value: Option<&str>) -> Result<SocketAddr, ConfigError> {
    let Some(value) = value else {
        return Ok(DEFAULT_LISTEN);
    };
    value.parse().map_err(|_| ConfigError::Unusable {
        variable: "ETL_LISTEN",
        value: value.to_owned(),
        expected: "an address with a port such as 0.0.0.0:8080",
    })
}

fn log_format(value: Option<&str>, terminal: bool) -> Result<LogFormat, ConfigError> {
    match value {
        // People read terminals, programs everything else.
        None if terminal => Ok(LogFormat::Text),
        None | Some("json") => Ok(LogFormat::Json),
        Some("text") => Ok(LogFormat::Text),
        Some(other) => Err(ConfigError::Unusable {
            variable: "ETL_LOG_FORMAT",
            value: other.to_owned(),
            expected: "json or text",
        }),
    }
}

fn pull_policy(value: Option<String>) -> Result<Option<String>, ConfigError> {
    match value.as_deref() {
        None | Some("Always" | "IfNotPresent" | "Never") => Ok(value),
        Some(other) => Err(ConfigError::Unusable {
            variable: "ETL_WORKER_IMAGE_PULL_POLICY",
            value: other.to_owned(),
            expected: "Always, IfNotPresent or Never",
        }),
    }
}

fn encoder(value: Option<&str>) -> Result<Encoder, ConfigError> {
    match value {
        None | Some("Columnar") => Ok(Encoder::Columnar),
        Some("Reference") => Ok(Encoder::Reference),
        Some(other) => Err(ConfigError::Unusable {
            variable: "ETL_WORKER_ENCODER",
            value: other.to_owned(),
            expected: "Columnar or Reference",
        }),
    }
}

fn json<T: DeserializeOwned>(
    variable: &'static str,
    expected: &'static str,
    value: Option<String>,
) -> Result<Option<T>, ConfigError> {
    value
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|source| ConfigError::Json {
            variable,
            expected,
            source,
        })
}

impl RunArgs {
    /// Helm renders an unset value as an empty string: both mean the same.
    fn without_empty(mut self) -> Self {
        for value in [
            &mut self.cluster_id,
            &mut self.watch_namespaces,
            &mut self.worker_image,
            &mut self.worker_image_pull_policy,
            &mut self.worker_service_account,
            &mut self.worker_resources,
            &mut self.worker_node_selector,
            &mut self.worker_tolerations,
            &mut self.worker_priority_class,
            &mut self.worker_queue,
            &mut self.worker_credentials_secret,
            &mut self.worker_encoder,
            &mut self.aws_region,
            &mut self.aws_endpoint_url,
            &mut self.expected_bucket_owner,
            &mut self.ledger_table,
            &mut self.ledger_endpoint_url,
            &mut self.ledger_writes_per_second,
            &mut self.ledger_write_burst,
            &mut self.ledger_repair_interval_seconds,
            &mut self.listen,
            &mut self.log,
            &mut self.log_format,
            &mut self.pod_name,
            &mut self.pod_namespace,
            &mut self.lease_name,
            &mut self.concurrency,
            &mut self.api_requests_per_second,
            &mut self.api_burst,
        ] {
            if value.as_deref().is_some_and(|text| text.trim().is_empty()) {
                *value = None;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests;
