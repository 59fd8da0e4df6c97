//! The life of the process: start everything, wait to be told to stop, finish
//! what has begun.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::channel::oneshot;
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::budget::Budget;
use crate::clock::Clock;
use crate::cluster::frugal::Frugal;
use crate::cluster::kube::KubeCluster;
use crate::cluster::transport::{self, Onlooker};
use crate::config::{Config, LedgerConfig};
use crate::controller::{Controller, Territory};
use crate::health::{self, Health};
use crate::lease::Leadership;
use crate::lease::elector::Elector;
use crate::lease::gate::Gate;
use crate::lease::kube::KubeLease;
use crate::ledger::census::KubeResidents;
use crate::ledger::dynamodb::DynamoDb;
use crate::ledger::keeper;
use crate::ledger::mirror::Mirror;
use crate::ledger::repair::Repair;
use crate::logging;
use crate::metrics::Metrics;
use crate::reconcile::Context;
use crate::stop::{self, Signals, Stop};
use crate::turns::Turns;

/// For passes that have begun to end. No request takes longer, its wait for the
/// budget included.
const FINISH_TIMEOUT: Duration = Duration::from_secs(15);

/// For the ledger to receive what is pending. The rest is written after the
/// next start.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The same where another operator is there to write the rest: it must not
/// wait for a ledger that is away.
const HANDOVER_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the operator until it is told to stop.
#[tokio::main]
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    logging::init(config.log_filter.clone(), config.log_format);
    let (stop_now, stop) = stop::channel();
    let work = tokio::spawn(work(config, stop));
    let mut work = work;
    tokio::select! {
        result = &mut work => return result.context("the operator panicked")?,
        () = signals.next() => {}
    }
    tracing::info!("stopping: finishing what has begun");
    drop(stop_now);
    tokio::select! {
        result = &mut work => result.context("the operator panicked")?,
        () = signals.next() => bail!("stopped by a second signal before everything was finished"),
    }
}

async fn work(config: Config, stop: Stop) -> anyhow::Result<()> {
    let instruments = Instruments::new(&config);
    let client = instruments.client().await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {} (ETL_LISTEN)", config.listen))?;
    let candidacy = Candidacy::start(&config, &client, &instruments);
    let leadership = candidacy.leadership.clone();
    let probes = tokio::spawn(instruments.serve(listener, &leadership, stop.clone()));
    let ledger = config
        .ledger
        .clone()
        .map(|ledger| Flow::start(ledger, &config, &client, leadership.clone()));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster = config.settings.cluster,
        worker_image = config.settings.worker_image,
        namespaces = ?config.namespaces,
        ledger = config.ledger.as_ref().map(|ledger| ledger.table.as_str()),
        lease = config.lease.as_ref().map(|lease| lease.name.as_str()),
        "started"
    );
    let mirror = ledger.as_ref().map(|flow| Arc::clone(&flow.mirror));
    if let Some(mirror) = mirror.clone() {
        let ledger = instruments.metrics.ledger.clone();
        let show = move || ledger.show(&mirror.figures());
        instruments.metrics.sample(show);
    }
    let finished = look_after(&config, &client, mirror, leadership, &instruments, stop).await;
    if let Some(flow) = ledger {
        flow.flush(candidacy.flush_timeout()).await;
    }
    candidacy.end().await;
    probes.abort();
    finished
}

/// What shows and bounds what the process does.
struct Instruments {
    metrics: Metrics,
    health: Health,
    budget: Budget,
}

impl Instruments {
    fn new(config: &Config) -> Self {
        let metrics = Metrics::new();
        Instruments {
            health: Health::new(metrics.watches.clone()),
            budget: Budget::new(config.api, metrics.api.clone()),
            metrics,
        }
    }

    /// A client that they look at.
    async fn client(&self) -> anyhow::Result<Client> {
        let config = kube::Config::infer()
            .await
            .context("cannot tell where the API server is: run in a cluster, or set KUBECONFIG")?;
        let onlooker = Onlooker {
            metrics: self.metrics.api.clone(),
            budget: self.budget.clone(),
            health: self.health.clone(),
        };
        transport::client(config, onlooker).context("cannot make a client for the API server")
    }

    /// Answers probes and scrapes; at a scrape what is known elsewhere is
    /// measured.
    fn serve(
        &self,
        listener: TcpListener,
        leadership: &Leadership,
        stop: Stop,
    ) -> impl Future<Output = std::io::Result<()>> + use<> {
        let health = self.health.clone();
        self.metrics.sample(move || health.sample());
        let (lease, leadership) = (self.metrics.lease.clone(), leadership.clone());
        self.metrics.sample(move || lease.holds(leadership.holds()));
        health::serve(listener, self.health.clone(), self.metrics.clone(), stop)
    }
}

/// Looks after all territories until `stop`.
async fn look_after(
    config: &Config,
    client: &Client,
    mirror: Option<Arc<Mirror>>,
    leadership: Leadership,
    instruments: &Instruments,
    stop: Stop,
) -> anyhow::Result<()> {
    let cluster = KubeCluster::new(client.clone(), config.instance.clone());
    let cluster = Gate::new(cluster, leadership.clone());
    let cluster = Arc::new(Frugal::new(cluster, instruments.budget.clone()));
    let clock = Clock::start();
    let territories = Territory::all_of(&config.namespaces)
        .into_iter()
        .map(|territory| {
            let context = Context {
                settings: config.settings.clone(),
                clock,
                cluster: cluster.clone(),
                children: Arc::default(),
                memory: Arc::default(),
                mirror: mirror.clone(),
                leadership: leadership.clone(),
                metrics: instruments.metrics.clone(),
            };
            (territory, context)
        })
        .collect();
    let controller = Controller {
        client: client.clone(),
        health: instruments.health.clone(),
        turns: Arc::new(Turns::new(instruments.metrics.passes.clone())),
        // From 32 bits.
        concurrency: config.concurrency as usize,
    };
    let mut all = std::pin::pin!(controller.run(territories, stop.clone()));
    tokio::select! {
        // Watches end because of it.
        biased;
        () = stop.clone() => instruments.health.stopping(),
        () = &mut all => bail!("a watch has ended although nobody asked for it"),
    }
    if tokio::time::timeout(FINISH_TIMEOUT, all).await.is_err() {
        tracing::warn!("some passes did not end in time: they are repeated after the next start");
    }
    Ok(())
}

/// The part that this process takes in the election of the leader.
struct Candidacy {
    leadership: Leadership,
    task: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Candidacy {
    fn start(config: &Config, client: &Client, instruments: &Instruments) -> Self {
        let Some(lease) = &config.lease else {
            return Candidacy {
                leadership: Leadership::sole(),
                task: None,
            };
        };
        let leases = KubeLease::new(client.clone(), &lease.namespace, lease.name.clone());
        let identity = config.instance.clone();
        let (elector, leadership) = Elector::new(leases, lease.name.clone(), identity);
        let elector = elector.counted(instruments.metrics.lease.clone());
        let name = format!("the lease {}/{}", lease.namespace, lease.name);
        let watched = instruments.health.watch("Lease", name, "");
        // The lease outlives the work that is done under it, so it does not
        // end with the process's own `Stop`.
        let (give_back, stop) = stop::channel();
        let task = tokio::spawn(elector.run(watched, stop));
        Candidacy {
            leadership,
            task: Some((give_back, task)),
        }
    }

    fn flush_timeout(&self) -> Duration {
        match self.task {
            Some(_) => HANDOVER_FLUSH_TIMEOUT,
            None => FLUSH_TIMEOUT,
        }
    }

    async fn end(self) {
        let Some((give_back, task)) = self.task else {
            return;
        };
        drop(give_back);
        if let Err(panicked) = task.await {
            tracing::error!(error = %panicked, "the election ended before its time");
        }
    }
}

/// The task that keeps the ledger.
struct Flow {
    mirror: Arc<Mirror>,
    task: JoinHandle<()>,
}

impl Flow {
    fn start(
        ledger: LedgerConfig,
        config: &Config,
        client: &Client,
        leadership: Leadership,
    ) -> Self {
        let territories = Territory::all_of(&config.namespaces).len();
        let mirror = Arc::new(Mirror::new(ledger.allowance, territories));
        let (queue, client) = (Arc::clone(&mirror), client.clone());
        let (settings, namespaces) = (config.settings.clone(), config.namespaces.clone());
        // Also finding credentials and region may take long: not the
        // reconciler's business.
        let task = tokio::spawn(async move {
            let interval = ledger.repair_interval;
            let ledger = DynamoDb::connect(ledger).await;
            let repair = Repair {
                mirror: &queue,
                ledger: &ledger,
                residents: &KubeResidents::new(&queue.census, client),
                leadership: &leadership,
                settings: &settings,
                namespaces: &namespaces,
                clock: Clock::start(),
                interval,
            };
            keeper::keep(&repair).await;
        });
        Flow { mirror, task }
    }

    async fn flush(mut self, limit: Duration) {
        self.mirror.drain();
        if tokio::time::timeout(limit, &mut self.task).await.is_err() {
            let rows = self.mirror.figures().backlog;
            tracing::warn!(
                rows,
                "the ledger is behind: the rest is written after the next start"
            );
            self.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::RunArgs;
    use crate::simulation::apiserver::ApiServer;

    #[tokio::test(start_paused = true)]
    async fn to_be_told_to_stop_is_no_failure() {
        let config = Config::try_from(RunArgs {
            cluster_id: Some("test".into()),
            worker_image: Some("worker:1".into()),
            watch_namespaces: Some("a,b".into()),
            ..RunArgs::default()
        })
        .unwrap();
        // Which of two futures is looked at first may be drawn.
        for _ in 0..16 {
            let (instruments, (stop_now, stop)) = (Instruments::new(&config), stop::channel());
            let health = &instruments.health;
            let client = ApiServer::new().client();
            let work = look_after(
                &config,
                &client,
                None,
                Leadership::sole(),
                &instruments,
                stop,
            );
            let stopping = async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                assert!(health.is_ready());
                drop(stop_now);
            };
            let (result, ()) = tokio::join!(work, stopping);
            result.unwrap();
            assert!(!health.is_ready());
        }
    }
}
