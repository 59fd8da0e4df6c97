//! The command line. Every option has a variable, which is how the chart sets
//! it; what the values mean is decided in `config`.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

/// Runs EtlJob resources as Kubernetes Jobs.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Clone, Copy, Debug, Default, Subcommand)]
pub enum Command {
    /// Run the operator (default).
    #[default]
    Run,
    /// Print the CustomResourceDefinition of EtlJob.
    Crd,
    /// Print what each metric says, as docs/metrics.md.
    Metrics,
}

/// Settings of `run`. An empty value counts as unset.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Id of this cluster: first part of ledger keys and output owners.
    #[arg(long, env = "ETL_CLUSTER_ID", global = true)]
    pub cluster_id: Option<String>,
    /// Namespaces to watch, separated by commas; all when empty.
    #[arg(long, env = "ETL_WATCH_NAMESPACES", global = true)]
    pub watch_namespaces: Option<String>,
    /// Image of the worker.
    #[arg(long, env = "ETL_WORKER_IMAGE", global = true)]
    pub worker_image: Option<String>,
    /// Always, IfNotPresent or Never.
    #[arg(long, env = "ETL_WORKER_IMAGE_PULL_POLICY", global = true)]
    pub worker_image_pull_policy: Option<String>,
    /// ServiceAccount of worker pods; etl-worker when empty.
    #[arg(long, env = "ETL_WORKER_SERVICE_ACCOUNT", global = true)]
    pub worker_service_account: Option<String>,
    /// Resources of worker containers, as JSON.
    #[arg(long, env = "ETL_WORKER_RESOURCES", global = true)]
    pub worker_resources: Option<String>,
    /// Node labels that worker pods need, as a JSON map.
    #[arg(long, env = "ETL_WORKER_NODE_SELECTOR", global = true)]
    pub worker_node_selector: Option<String>,
    /// Node taints that worker pods tolerate, as a JSON list.
    #[arg(long, env = "ETL_WORKER_TOLERATIONS", global = true)]
    pub worker_tolerations: Option<String>,
    /// PriorityClass of worker pods.
    #[arg(long, env = "ETL_WORKER_PRIORITY_CLASS", global = true)]
    pub worker_priority_class: Option<String>,
    /// Queue of Kueue that admits the Jobs; none when empty.
    #[arg(long, env = "ETL_WORKER_QUEUE", global = true)]
    pub worker_queue: Option<String>,
    /// Secret with static keys in each worker namespace, for stores that are
    /// not AWS.
    #[arg(long, env = "ETL_WORKER_CREDENTIALS_SECRET", global = true)]
    pub worker_credentials_secret: Option<String>,
    /// What turns values into text: Columnar, or Reference to check it against.
    #[arg(long, env = "ETL_WORKER_ENCODER", global = true)]
    pub worker_encoder: Option<String>,
    /// Region of the stores.
    #[arg(long, env = "ETL_AWS_REGION", global = true)]
    pub aws_region: Option<String>,
    /// Endpoint of an object store that is not AWS.
    #[arg(long, env = "ETL_AWS_ENDPOINT_URL", global = true)]
    pub aws_endpoint_url: Option<String>,
    /// Account that must own every bucket.
    #[arg(long, env = "ETL_EXPECTED_BUCKET_OWNER", global = true)]
    pub expected_bucket_owner: Option<String>,
    /// DynamoDB table of the ledger; no ledger when empty.
    #[arg(long, env = "ETL_LEDGER_TABLE", global = true)]
    pub ledger_table: Option<String>,
    /// Endpoint of a DynamoDB that is not AWS.
    #[arg(long, env = "ETL_LEDGER_ENDPOINT_URL", global = true)]
    pub ledger_endpoint_url: Option<String>,
    /// Requests per second that the ledger is asked for at most; 200 when empty.
    #[arg(long, env = "ETL_LEDGER_WRITES_PER_SECOND", global = true)]
    pub ledger_writes_per_second: Option<String>,
    /// Requests to the ledger that may come at once after a rest; 400 when
    /// empty.
    #[arg(long, env = "ETL_LEDGER_WRITE_BURST", global = true)]
    pub ledger_write_burst: Option<String>,
    /// Seconds between two comparisons of all rows with the EtlJobs; 3600 when
    /// empty.
    #[arg(long, env = "ETL_LEDGER_REPAIR_INTERVAL_SECONDS", global = true)]
    pub ledger_repair_interval_seconds: Option<String>,
    /// Address of probes and metrics.
    #[arg(long, env = "ETL_LISTEN", global = true)]
    pub listen: Option<String>,
    /// Log filter, such as `info` or `etl_operator=debug,info`.
    #[arg(long, env = "ETL_LOG", global = true)]
    pub log: Option<String>,
    /// json or text; text on a terminal and json elsewhere when empty.
    #[arg(long, env = "ETL_LOG_FORMAT", global = true)]
    pub log_format: Option<String>,
    /// Name of this pod, for events and as holder of the lease.
    #[arg(long, env = "POD_NAME", global = true)]
    pub pod_name: Option<String>,
    /// Namespace of this pod, where the lease is kept.
    #[arg(long, env = "POD_NAMESPACE", global = true)]
    pub pod_namespace: Option<String>,
    /// Name of the lease by which one of several operators leads; without it
    /// this one works alone.
    #[arg(long, env = "ETL_LEASE_NAME", global = true)]
    pub lease_name: Option<String>,
    /// EtlJobs that are looked at side by side.
    #[arg(long, env = "ETL_CONCURRENCY", global = true)]
    pub concurrency: Option<String>,
    /// Requests a second that the API server is asked, over time.
    #[arg(long, env = "ETL_API_REQUESTS_PER_SECOND", global = true)]
    pub api_requests_per_second: Option<String>,
    /// Requests that it is asked at once after a quiet time.
    #[arg(long, env = "ETL_API_BURST", global = true)]
    pub api_burst: Option<String>,
}

/// Where the probes listen unless told otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);
