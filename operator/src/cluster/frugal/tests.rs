//! In virtual time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::budget::{Allowance, Standing};
use crate::metrics::ApiMetrics;
use crate::simulation::fixture;

/// Answers with what is planned, and says when it was asked.
#[derive(Default)]
struct Scripted {
    budget: Option<Budget>,
    /// How often in a row it turns everything away.
    overloaded: AtomicUsize,
    asked: Mutex<Vec<Instant>>,
}

impl Scripted {
    fn answer(&self) -> Result<(), ApiError> {
        self.asked.lock().unwrap().push(Instant::now());
        let left = self.overloaded.load(Ordering::Relaxed);
        let budget = self.budget.as_ref().expect("it has one");
        if left == 0 {
            budget.learn(Standing::Fine);
            return Ok(());
        }
        self.overloaded.store(left - 1, Ordering::Relaxed);
        budget.learn(Standing::Overloaded(Some(Duration::from_secs(1))));
        Err(ApiError::new(Kind::Throttled, "too many requests"))
    }
}

#[async_trait]
impl Cluster for Scripted {
    async fn replace_status(&self, job: &EtlJob) -> Result<EtlJob, ApiError> {
        self.answer().map(|()| job.clone())
    }
    async fn delete_etljob(&self, _: &str, _: &str, _: &str) -> Result<(), ApiError> {
        self.answer()
    }
    async fn create_job(&self, _: &Job) -> Result<(), ApiError> {
        self.answer()
    }
    async fn get_job(&self, _: &str, _: &str) -> Result<Option<Job>, ApiError> {
        self.answer().map(|()| None)
    }
    async fn delete_job(&self, _: &str, _: &str, _: &str) -> Result<(), ApiError> {
        self.answer()
    }
    async fn pods(&self, _: &str, _: &str) -> Result<Vec<Pod>, ApiError> {
        self.answer().map(|()| Vec::new())
    }
    async fn warnings(&self, _: &str, _: &str) -> Result<Vec<String>, ApiError> {
        self.answer().map(|()| Vec::new())
    }
    async fn publish(&self, _: &EtlJob, _: &Event, _: &str) -> Result<(), ApiError> {
        self.answer()
    }
}

fn frugal(overloaded: usize) -> Frugal<Scripted> {
    let allowance = Allowance {
        per_second: 100.0,
        burst: 100,
    };
    let budget = Budget::new(allowance, ApiMetrics::default());
    let cluster = Scripted {
        budget: Some(budget.clone()),
        overloaded: overloaded.into(),
        ..Scripted::default()
    };
    Frugal::new(cluster, budget)
}

#[tokio::test(start_paused = true)]
async fn what_was_turned_away_is_asked_again_when_its_time_has_come() {
    let frugal = frugal(3);
    let begun = Instant::now();
    frugal.create_job(&Job::default()).await.unwrap();
    let asked = frugal.cluster.asked.lock().unwrap();
    let seconds: Vec<u64> = asked.iter().map(|at| (*at - begun).as_secs()).collect();
    assert_eq!(seconds, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_overloaded_ends_the_pass_in_the_servers_words() {
    let frugal = frugal(usize::MAX);
    let begun = Instant::now();
    let error = frugal.replace_status(&fixture::etljob()).await.unwrap_err();
    assert_eq!(error, ApiError::new(Kind::Throttled, "too many requests"));
    assert_eq!(begun.elapsed(), PATIENCE);
    // One whose turn never came says so itself.
    let minute = Some(Duration::from_secs(60));
    frugal.budget.learn(Standing::Overloaded(minute));
    let error = frugal.pods("etl", "uid").await.unwrap_err();
    assert_eq!(error.kind, Kind::Throttled);
    assert!(error.message.starts_with("waited 5 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn every_request_is_paid_for() {
    let frugal = frugal(0);
    let (job, event) = (
        fixture::etljob(),
        Event {
            severity: etl_core::Severity::Normal,
            reason: "Tested",
            note: String::new(),
        },
    );
    frugal.replace_status(&job).await.unwrap();
    frugal.delete_etljob("a", "b", "c").await.unwrap();
    frugal.create_job(&Job::default()).await.unwrap();
    frugal.get_job("a", "b").await.unwrap();
    frugal.delete_job("a", "b", "c").await.unwrap();
    frugal.pods("a", "b").await.unwrap();
    frugal.warnings("a", "b").await.unwrap();
    frugal.publish(&job, &event, "key").await.unwrap();
    assert_eq!(frugal.cluster.asked.lock().unwrap().len(), 8);
    assert_eq!(frugal.budget.left(), 92.0);
}
