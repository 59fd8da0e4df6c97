//! What is touched and what is not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use etl_core::ledger::ProcessingStatus;
use serde_json::json;

use super::*;
use crate::cluster::Kind;
use crate::ledger::{Cause, Change};
use crate::simulation::fixture;
use crate::simulation::ledger::FakeLedger;

/// EtlJobs that are there, by how they can be seen.
#[derive(Default)]
struct Town {
    cached: Mutex<Vec<Arc<EtlJob>>>,
    /// Namespace, name and uid of those that only the API server knows.
    hidden: Vec<(&'static str, &'static str, &'static str)>,
    fails: Mutex<u32>,
    looks: AtomicU32,
}

#[async_trait]
impl Residents for Town {
    async fn listed(&self) -> Vec<Resident> {
        let cached = self.cached.lock().unwrap();
        cached.iter().map(|job| Resident::from(&**job)).collect()
    }

    fn get(&self, namespace: &str, name: &str) -> Option<Arc<EtlJob>> {
        let is = |job: &&Arc<EtlJob>| {
            job.namespace().as_deref() == Some(namespace) && job.name_any() == name
        };
        self.cached.lock().unwrap().iter().find(is).cloned()
    }

    async fn live_uid(&self, namespace: &str, name: &str) -> Result<Option<String>, ApiError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut fails = self.fails.lock().unwrap();
        if *fails > 0 {
            *fails -= 1;
            return Err(ApiError::new(Kind::Transient, "no answer"));
        }
        let hidden = self
            .hidden
            .iter()
            .find(|it| (it.0, it.1) == (namespace, name));
        let cached = self.get(namespace, name).and_then(|job| job.uid());
        Ok(hidden.map(|it| it.2.to_owned()).or(cached))
    }
}

fn etljob(namespace: &str, name: &str, run: u32) -> EtlJob {
    let mut job = fixture::etljob();
    job.metadata.namespace = Some(namespace.into());
    job.metadata.name = Some(name.into());
    job.metadata.uid = Some(format!("uid-of-{name}"));
    job.status = serde_json::from_value(json!({
        "revision": 10,
        "run": {
            "number": run, "workHash": "v1:0", "startTime": "2026-11-24T00:00:00Z",
            "workerImage": "worker:1", "shards": 1,
        },
    }))
    .unwrap();
    job
}

/// A row in progress, as the operator of `cluster` wrote it.
fn row(cluster: &str, namespace: &str, name: &str, run: u32) -> LedgerRecord {
    let settings = Settings {
        cluster: cluster.into(),
        ..fixture::settings()
    };
    records(&etljob(namespace, name, run), &settings)
        .pop()
        .unwrap()
}

struct Bench {
    mirror: Mirror,
    ledger: FakeLedger,
    town: Town,
    namespaces: Vec<String>,
}

impl Bench {
    fn new(town: Town, rows: impl IntoIterator<Item = LedgerRecord>) -> Self {
        let ledger = FakeLedger::default();
        let rows = rows.into_iter().map(|row| (row.file_id.clone(), row));
        *ledger.rows.lock().unwrap() = rows.collect();
        Bench {
            mirror: Mirror::default(),
            ledger,
            town,
            namespaces: Vec::new(),
        }
    }

    /// Repairs under `leadership` for so long.
    async fn under(&self, leadership: &Leadership, time: Duration) {
        let repair = Repair {
            mirror: &self.mirror,
            ledger: &self.ledger,
            residents: &self.town,
            leadership,
            settings: &fixture::settings(),
            namespaces: &self.namespaces,
            clock: Clock::starting_at("2026-11-24T01:00:00Z".parse().unwrap()),
            interval: Duration::from_secs(3600),
        };
        let both = async {
            tokio::select! {
                () = self.mirror.run(&self.ledger, leadership) => {}
                () = repair.run() => {}
            }
        };
        assert!(tokio::time::timeout(time, both).await.is_err());
    }

    async fn sweep(&self) {
        self.under(&Leadership::sole(), Duration::from_secs(60))
            .await;
    }

    /// Keys of the rows that were ended.
    fn ended(&self) -> Vec<String> {
        let rows = self.ledger.rows.lock().unwrap();
        let ended = rows
            .values()
            .filter(|row| row.processing_status == ProcessingStatus::Cancelled);
        ended.map(|row| row.file_id.clone()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn only_own_rows_of_etljobs_that_are_gone_are_ended() {
    let town = Town {
        cached: Mutex::new(vec![Arc::new(etljob("etl", "here", 3))]),
        hidden: vec![
            ("etl", "unreadable", "uid-of-unreadable"),
            ("etl", "again", "another-uid"),
        ],
        ..Town::default()
    };
    let foreign = LedgerRecord {
        file_id: "a.parquet".into(),
        ..row("test", "etl", "gone", 1)
    };
    let complete = LedgerRecord {
        processing_status: ProcessingStatus::Completed,
        ..row("test", "etl", "done", 1)
    };
    let rows = [
        row("test", "etl", "here", 2),
        row("test", "etl", "here", 3),
        row("test", "etl", "here", 4),
        row("test", "etl", "unreadable", 1),
        row("test", "etl", "again", 1),
        row("test", "etl", "gone", 1),
        row("test", "etl", "gone", 2),
        row("test", "elsewhere", "gone", 1),
        row("other", "etl", "gone", 1),
        row("test2", "etl", "gone", 1),
        foreign,
        complete,
    ];
    let mut bench = Bench::new(town, rows.clone());
    bench.namespaces = vec!["etl".into()];
    bench.sweep().await;
    assert_eq!(
        bench.ended(),
        [
            "test/etl/again/uid-of-again/1",
            "test/etl/gone/uid-of-gone/1",
            "test/etl/gone/uid-of-gone/2",
            "test/etl/here/uid-of-here/2",
        ]
    );
    let here = bench.ledger.row("test/etl/here/uid-of-here/2").unwrap();
    assert_eq!(
        here.error_message.as_deref(),
        Some("newer runs began before its end was recorded")
    );
    // The others are as they were.
    let ended = bench.ended();
    for row in rows.iter().filter(|row| !ended.contains(&row.file_id)) {
        assert_eq!(bench.ledger.row(&row.file_id).as_ref(), Some(row));
    }
    let counts = bench.mirror.figures().counts;
    assert_eq!((counts.closed, counts.sweeps), (4, 1));
    // Nothing is asked about what is not in doubt.
    assert_eq!(bench.town.looks.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_has_moved_since_it_was_seen_is_not_ended() {
    let bench = Bench::new(Town::default(), [row("test", "etl", "gone", 1)]);
    let closing = Closing::decide(
        "test/etl/gone/uid-of-gone/1",
        Some(9),
        None,
        "2026-11-24T01:00:00Z".parse().unwrap(),
    );
    let made = bench.ledger.make(&Change::Close(closing.unwrap())).await;
    assert_eq!(made.unwrap(), crate::ledger::Made::Superseded);
    assert_eq!(bench.ended(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_row_stays_and_an_old_or_damaged_one_becomes_its_record() {
    let names = ["newer", "older", "changed", "defaced", "missing", "same"];
    let jobs = names.map(|name| Arc::new(etljob("etl", name, 1)));
    let town = Town {
        cached: Mutex::new(jobs.to_vec()),
        ..Town::default()
    };
    let rows = names.map(|name| row("test", "etl", name, 1));
    let bench = Bench::new(town, rows.clone());
    let key = |name: &str| row("test", "etl", name, 1).file_id;
    bench.ledger.tamper(&key("newer"), |row| {
        row.revision += 1;
        row.attempt = Some(77);
    });
    bench.ledger.tamper(&key("older"), |row| row.revision -= 1);
    bench
        .ledger
        .tamper(&key("changed"), |row| row.attempt = Some(77));
    bench.ledger.defaced.lock().unwrap().insert(key("defaced"));
    bench.ledger.rows.lock().unwrap().remove(&key("missing"));
    // One that is not read at first is asked for again.
    bench.ledger.shy.lock().unwrap().insert(key("changed"));
    bench.sweep().await;
    for (name, expected) in names.iter().zip(&rows).skip(1) {
        assert_eq!(
            bench.ledger.row(&key(name)).as_ref(),
            Some(expected),
            "{name}"
        );
    }
    let newer = bench.ledger.row(&key("newer")).unwrap();
    assert_eq!((newer.revision, newer.attempt), (11, Some(77)));
    let counts = bench.mirror.figures().counts;
    assert_eq!(
        (counts.stored, counts.mended, bench.ledger.tries()),
        (2, 2, 4)
    );
    // All of them are known by now.
    for name in names {
        assert_eq!(bench.mirror.written(&format!("uid-of-{name}"), 1), Some(10));
    }
}

#[tokio::test(start_paused = true)]
async fn rows_are_read_a_hundred_at_a_time_and_no_faster_than_allowed() {
    let jobs: Vec<Arc<EtlJob>> = (0..5000)
        .map(|number| Arc::new(etljob("etl", &format!("trips-{number}"), 1)))
        .collect();
    let rows: Vec<LedgerRecord> = jobs
        .iter()
        .flat_map(|job| records(job, &fixture::settings()))
        .collect();
    let town = Town {
        cached: Mutex::new(jobs),
        ..Town::default()
    };
    let bench = Bench::new(town, rows);
    // 50 reads of keys and 500 pages of ten rows, each worth ten requests of 200
    // a second; two seconds' worth may come at once.
    let expected = Duration::from_secs(550 * 10 / 200 - 2);
    bench
        .under(&Leadership::sole(), expected - Duration::from_secs(1))
        .await;
    assert_eq!(bench.mirror.figures().counts.sweeps, 0);
    bench
        .under(&Leadership::sole(), expected + Duration::from_secs(3))
        .await;
    assert_eq!(bench.mirror.figures().counts.sweeps, 1);
    assert_eq!(bench.ledger.tries(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_ends_no_row() {
    let town = Town {
        fails: Mutex::new(1),
        ..Town::default()
    };
    let bench = Bench::new(town, [row("test", "etl", "gone", 1)]);
    bench
        .under(&Leadership::sole(), Duration::from_secs(1))
        .await;
    assert_eq!(bench.ended(), [""; 0]);
    let counts = bench.mirror.figures().counts;
    assert_eq!((counts.sweeps, counts.sweeps_failed), (0, 1));
    bench.sweep().await;
    assert_eq!(bench.ended().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_reads_nothing_and_each_term_begins_with_a_sweep() {
    let (crown, leadership) = Leadership::contested();
    let bench = Bench::new(Town::default(), []);
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let work = bench.under(&leadership, minutes(400));
    let watch = async {
        let sweeps = || bench.mirror.figures().counts.sweeps;
        sleep(minutes(120)).await;
        assert_eq!(bench.ledger.seen().reads, 0);
        crown.hold(Instant::now() + minutes(1));
        sleep(minutes(120)).await;
        assert_eq!(sweeps(), 1);
        crown.hold(Instant::now() + minutes(1000));
        sleep(minutes(1)).await;
        assert_eq!(sweeps(), 2);
        sleep(minutes(70)).await;
        assert_eq!(sweeps(), 3);
    };
    tokio::join!(work, watch);
}

#[tokio::test(start_paused = true)]
async fn what_was_dropped_is_found_again_without_waiting_for_the_hour() {
    let jobs: Vec<Arc<EtlJob>> = (0..crate::ledger::mirror::CAPACITY + 500)
        .map(|number| Arc::new(etljob("etl", &format!("trips-{number}"), 1)))
        .collect();
    let bench = Bench::new(Town::default(), []);
    let watch = async {
        sleep(Duration::from_secs(1)).await;
        bench.ledger.set_down(true);
        *bench.town.cached.lock().unwrap() = jobs.clone();
        for job in &jobs {
            for record in records(job, &fixture::settings()) {
                bench.mirror.offer(record);
            }
        }
        assert_eq!(bench.mirror.figures().counts.dropped, 500);
        sleep(Duration::from_secs(600)).await;
        bench.ledger.set_down(false);
    };
    let work = async {
        bench
            .under(&Leadership::sole(), Duration::from_secs(800))
            .await;
    };
    tokio::join!(work, watch);
    assert_eq!(bench.ledger.rows.lock().unwrap().len(), jobs.len());
    assert_eq!(bench.mirror.figures().backlog, 0);
    assert_eq!(bench.mirror.figures().counts.failed(Cause::Refused), 0);
}
