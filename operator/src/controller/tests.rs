//! Watches, passes and wake-ups together, over the wire protocol.

use std::time::Duration;

use etl_core::ledger::ProcessingStatus;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::Clock;
use crate::cluster::kube::KubeCluster;
use crate::lease::Leadership;
use crate::ledger::mirror::Mirror;
use crate::metrics::Metrics;
use crate::simulation::apiserver::ApiServer;
use crate::simulation::fixture;
use crate::simulation::ledger::FakeLedger;
use crate::stop;

const ETLJOBS: &str = "/apis/etl-operator.io/v1alpha1/namespaces/etl/etljobs";
const JOBS: &str = "/apis/batch/v1/namespaces/etl/jobs";
const LIMIT: Duration = Duration::from_secs(60);

struct Operator {
    server: ApiServer,
    health: Health,
    mirror: Arc<Mirror>,
    metrics: Metrics,
    stop: futures::channel::oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Operator {
    fn start(server: ApiServer, territory: Territory) -> Self {
        Self::under(Leadership::sole(), server, territory)
    }

    fn under(leadership: Leadership, server: ApiServer, territory: Territory) -> Self {
        let (sender, stop) = stop::channel();
        let (health, mirror) = (Health::default(), Arc::new(Mirror::default()));
        let metrics = Metrics::new();
        let client = server.client();
        let context = Context {
            settings: fixture::settings(),
            clock: Clock::start(),
            cluster: Arc::new(KubeCluster::new(client.clone(), "pod-1".into())),
            children: Arc::default(),
            memory: Arc::default(),
            mirror: Some(Arc::clone(&mirror)),
            leadership,
            metrics: metrics.clone(),
        };
        let controller = Controller {
            client,
            health: health.clone(),
            turns: Arc::default(),
            concurrency: 16,
        };
        let task = tokio::spawn(controller.run(vec![(territory, context)], stop));
        Operator {
            server,
            health,
            mirror,
            metrics,
            stop: sender,
            task,
        }
    }

    /// Writes of the kind so far, once there are `count` of them.
    async fn wait(&self, what: &str, count: usize) {
        let of_kind = |writes: &[String]| writes.iter().filter(|w| w.starts_with(what)).count();
        let wait = self.server.writes(|writes| of_kind(writes) >= count);
        let writes = tokio::time::timeout(LIMIT, wait)
            .await
            .unwrap_or_else(|_| panic!("{count} x {what} did not come"));
        assert_eq!(of_kind(&writes), count, "{writes:#?}");
    }

    async fn end(self) {
        drop(self.stop);
        tokio::time::timeout(LIMIT, self.task)
            .await
            .expect("it stops")
            .expect("without a panic");
    }
}

fn etljob(name: &str) -> serde_json::Value {
    let mut job = serde_json::to_value(fixture::etljob()).unwrap();
    job["metadata"]["name"] = name.into();
    job["metadata"]["uid"] = format!("uid-of-{name}").into();
    job
}

#[tokio::test(start_paused = true)]
async fn a_new_etljob_and_a_change_of_its_job_are_each_followed_by_a_pass() {
    let operator = Operator::start(ApiServer::new(), Territory::All);
    operator.server.put(ETLJOBS, etljob("trips"));
    operator.wait(&format!("POST {JOBS}"), 1).await;
    operator
        .wait(&format!("PUT {ETLJOBS}/trips/status"), 1)
        .await;

    let status = operator.server.get(&format!("{ETLJOBS}/trips")).unwrap();
    let name = status["status"]["attempt"]["jobName"].as_str().unwrap();
    let mut job = operator.server.get(&format!("{JOBS}/{name}")).unwrap();
    job["status"] = serde_json::json!({ "active": 1, "ready": 1 });
    operator.server.put(JOBS, job);
    operator
        .wait(&format!("PUT {ETLJOBS}/trips/status"), 2)
        .await;
    let status = operator.server.get(&format!("{ETLJOBS}/trips")).unwrap();
    assert_eq!(status["status"]["phase"], "Running");
    operator.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_the_start_is_looked_at_and_makes_it_ready() {
    let server = ApiServer::new();
    for name in ["a", "b", "c"] {
        server.put(ETLJOBS, etljob(name));
    }
    let operator = Operator::start(server, Territory::Namespace("etl".into()));
    operator.wait(&format!("POST {JOBS}"), 3).await;
    assert!(operator.health.is_ready());
    operator.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_etljob_that_cannot_be_read_keeps_no_other_from_being_looked_at() {
    let server = ApiServer::new();
    let mut newer = etljob("newer");
    newer["status"]["phase"] = "Dreaming".into();
    server.put(ETLJOBS, newer.clone());
    server.put(ETLJOBS, etljob("a"));
    let operator = Operator::start(server, Territory::All);
    operator.wait(&format!("POST {JOBS}"), 1).await;
    operator.server.put(ETLJOBS, newer);
    operator.server.put(ETLJOBS, etljob("b"));
    operator.wait(&format!("POST {JOBS}"), 2).await;
    operator.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_etljob_that_can_be_read_again_is_looked_at_again() {
    let operator = Operator::start(ApiServer::new(), Territory::All);
    operator.server.put(ETLJOBS, etljob("trips"));
    operator.wait(&format!("POST {JOBS}"), 1).await;
    let readable = operator.server.get(&format!("{ETLJOBS}/trips")).unwrap();
    let mut newer = readable.clone();
    newer["status"]["phase"] = "Dreaming".into();
    operator.server.put(ETLJOBS, newer);
    let name = readable["status"]["attempt"]["jobName"].as_str().unwrap();
    let mut job = operator.server.get(&format!("{JOBS}/{name}")).unwrap();
    job["status"] = serde_json::json!({ "active": 1, "ready": 1 });
    operator.server.put(JOBS, job);
    tokio::time::sleep(Duration::from_secs(60)).await;
    operator
        .wait(&format!("PUT {ETLJOBS}/trips/status"), 1)
        .await;
    operator.server.put(ETLJOBS, readable);
    operator
        .wait(&format!("PUT {ETLJOBS}/trips/status"), 2)
        .await;
    operator.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_etljob_is_cancelled_in_the_ledger() {
    let operator = Operator::start(ApiServer::new(), Territory::All);
    operator.server.put(ETLJOBS, etljob("trips"));
    operator.wait(&format!("POST {JOBS}"), 1).await;
    operator.server.remove(&format!("{ETLJOBS}/trips"));
    let ledger = FakeLedger::default();
    let row = async {
        loop {
            let row = ledger.row("test/etl/trips/uid-of-trips/1");
            if row
                .as_ref()
                .is_some_and(|r| r.processing_status == ProcessingStatus::Cancelled)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let leadership = Leadership::sole();
    tokio::select! {
        () = operator.mirror.run(&ledger, &leadership) => {}
        result = tokio::time::timeout(LIMIT, row) => result.expect("the row is closed"),
    }
    operator.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_own_status_write_triggers_nothing_and_a_wake_up_does() {
    let operator = Operator::start(ApiServer::new(), Territory::All);
    operator.server.put(ETLJOBS, etljob("trips"));
    operator.wait(&format!("POST {JOBS}"), 1).await;
    // The Job never gets a pod: nothing more until its start deadline.
    tokio::time::sleep(Duration::from_secs(590)).await;
    operator
        .wait(&format!("PUT {ETLJOBS}/trips/status"), 1)
        .await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    operator.wait("DELETE", 1).await;
    operator
        .wait(&format!("PUT {ETLJOBS}/trips/status"), 2)
        .await;
    operator.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_standby_is_ready_does_nothing_and_looks_at_everything_when_it_leads() {
    let (crown, leadership) = Leadership::contested();
    let server = ApiServer::new();
    server.put(ETLJOBS, etljob("before"));
    let operator = Operator::under(leadership, server, Territory::All);
    operator.server.put(ETLJOBS, etljob("after"));
    tokio::time::sleep(LIMIT).await;
    assert!(operator.health.is_ready());
    operator.wait("", 0).await;
    crown.hold(tokio::time::Instant::now() + LIMIT);
    operator.wait(&format!("POST {JOBS}"), 2).await;
    operator.end().await;
}

fn etljob_in(namespace: &str, name: &str) -> serde_json::Value {
    let mut job = etljob(name);
    job["metadata"]["namespace"] = namespace.into();
    job["metadata"]["uid"] = format!("uid-of-{namespace}-{name}").into();
    job
}

/// What comes first is the write of an intent, and then its Job's creation.
#[tokio::test(start_paused = true)]
async fn the_only_etljob_of_a_namespace_does_not_wait_for_a_crowd_of_another() {
    const CROWD: usize = 500;
    let server = ApiServer::new();
    let collection =
        |namespace| format!("/apis/etl-operator.io/v1alpha1/namespaces/{namespace}/etljobs");
    for number in 0..CROWD {
        let name = format!("job-{number:05}");
        server.put(&collection("a-crowd"), etljob_in("a-crowd", &name));
    }
    server.put(&collection("quiet"), etljob_in("quiet", "only"));
    let operator = Operator::start(server, Territory::All);
    let all = operator.server.writes(|writes| {
        writes
            .iter()
            .filter(|write| write.starts_with("POST") && write.ends_with("/jobs"))
            .count()
            > CROWD
    });
    let writes = tokio::time::timeout(LIMIT, all)
        .await
        .expect("all are begun");
    let first = writes.iter().position(|write| write.contains("/quiet/"));
    assert!(
        first.is_some_and(|first| first < 64),
        "{first:?} of {}",
        writes.len()
    );
    operator.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_metrics_count_the_etljobs_of_all_namespaces_by_phase() {
    let operator = Operator::start(ApiServer::new(), Territory::All);
    for name in ["a", "b", "c"] {
        operator.server.put(ETLJOBS, etljob(name));
    }
    operator.wait(&format!("POST {JOBS}"), 3).await;
    let counted = async {
        let line = "etl_etljobs{phase=\"Pending\"} 3\n";
        while !operator.metrics.text().unwrap().contains(line) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, counted)
        .await
        .unwrap_or_else(|_| panic!("{}", operator.metrics.text().unwrap()));
    let text = operator.metrics.text().unwrap();
    assert!(
        text.contains("etl_reconciles_total{outcome=\"written\"} 3\n"),
        "{text}"
    );
    operator.end().await;
}
