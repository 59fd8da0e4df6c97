//! Candidates around one Lease, in virtual time.

use std::sync::{Arc, Mutex};

use super::*;
use crate::health::Health;
use crate::lease::LEASE_DURATION;
use crate::stop;

/// One Lease with optimistic locking, out of reach on demand.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    lease: Option<Lease>,
    version: u64,
    /// Requests fail without an effect.
    away: bool,
    /// Replies are lost after the effect.
    mute: bool,
}

impl Shelf {
    fn with<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn holder(&self) -> Option<String> {
        self.with(|content| content.lease.clone()?.spec?.holder_identity)
    }

    fn transitions(&self) -> Option<i32> {
        self.with(|content| content.lease.clone()?.spec?.lease_transitions)
    }

    fn store(&self, lease: &Lease, expected: Option<&str>) -> Result<Lease, ApiError> {
        self.with(|content| {
            content.reachable()?;
            let current = content
                .lease
                .as_ref()
                .and_then(|lease| lease.metadata.resource_version.clone());
            if current.as_deref() != expected {
                return Err(ApiError::new(Kind::Conflict, "changed"));
            }
            content.version += 1;
            let mut lease = lease.clone();
            lease.metadata.resource_version = Some(content.version.to_string());
            content.lease = Some(lease.clone());
            if content.mute {
                return Err(ApiError::new(Kind::Transient, "reply lost"));
            }
            Ok(lease)
        })
    }
}

impl Content {
    fn reachable(&self) -> Result<(), ApiError> {
        if self.away {
            return Err(ApiError::new(Kind::Transient, "no route"));
        }
        Ok(())
    }
}

#[async_trait]
impl Leases for Shelf {
    async fn get(&self) -> Result<Option<Lease>, ApiError> {
        self.with(|content| content.reachable().map(|()| content.lease.clone()))
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, ApiError> {
        self.store(lease, None)
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, ApiError> {
        self.store(lease, lease.metadata.resource_version.as_deref())
    }
}

/// A candidate that takes part.
struct Candidate {
    leadership: Leadership,
    stop: Option<futures::channel::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Candidate {
    fn start(shelf: impl Leases + 'static, identity: &str) -> Self {
        let (elector, leadership) = Elector::new(shelf, "etl-operator".into(), identity.into());
        let (sender, stop) = stop::channel();
        let watched = Health::default().watch("Lease", "the lease", "");
        let task = tokio::spawn(elector.run(watched, stop));
        Candidate {
            leadership,
            stop: Some(sender),
            task,
        }
    }

    fn leads(&self) -> bool {
        self.leadership.holds()
    }

    /// As a process that is stopped by force: nothing is given back.
    fn kill(self) {
        self.task.abort();
    }
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_keeps_leading() {
    let shelf = Shelf::default();
    let first = Candidate::start(shelf.clone(), "a");
    seconds(1).await;
    let second = Candidate::start(shelf.clone(), "b");
    for _ in 0..600 {
        seconds(1).await;
        assert!(first.leads() && !second.leads());
    }
    assert_eq!(shelf.transitions(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_stops_hands_over_within_two_seconds() {
    let shelf = Shelf::default();
    let mut first = Candidate::start(shelf.clone(), "a");
    seconds(1).await;
    let second = Candidate::start(shelf.clone(), "b");
    seconds(7).await;
    drop(first.stop.take());
    first.task.await.unwrap();
    assert!(!first.leadership.holds());
    let asked = Instant::now();
    while !second.leads() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(shelf.holder().as_deref(), Some("b"));
    assert_eq!(shelf.transitions(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_falls_silent_is_replaced_after_it_has_stopped_to_lead() {
    let shelf = Shelf::default();
    let first = Candidate::start(shelf.clone(), "a");
    seconds(1).await;
    let second = Candidate::start(shelf.clone(), "b");
    seconds(7).await;
    let (silent, before) = (Instant::now(), first.leadership.clone());
    first.kill();
    while !second.leads() {
        sleep(Duration::from_millis(10)).await;
        assert!(!(before.holds() && second.leads()), "both lead");
    }
    assert!(silent.elapsed() >= LEASE_DURATION - RENEW_INTERVAL);
    assert!(
        silent.elapsed() <= Duration::from_secs(17),
        "{:?}",
        silent.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_started_again_under_its_name_need_not_wait() {
    let shelf = Shelf::default();
    let first = Candidate::start(shelf.clone(), "a");
    seconds(1).await;
    first.kill();
    let again = Candidate::start(shelf.clone(), "a");
    sleep(Duration::from_millis(10)).await;
    assert!(again.leads());
    assert_eq!(shelf.transitions(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_leads_no_more_and_begins_anew() {
    let shelf = Shelf::default();
    let only = Candidate::start(shelf.clone(), "a");
    let mut beginnings = Box::pin(only.leadership.beginnings());
    futures::StreamExt::next(&mut beginnings).await;
    shelf.with(|content| content.away = true);
    seconds(RENEW_DEADLINE.as_secs() + 1).await;
    assert!(!only.leads());
    shelf.with(|content| content.away = false);
    seconds(1).await;
    assert!(only.leads());
    futures::StreamExt::next(&mut beginnings).await;
}

#[tokio::test(start_paused = true)]
async fn replies_that_are_lost_end_no_term_that_is_renewed() {
    let shelf = Shelf::default();
    let only = Candidate::start(shelf.clone(), "a");
    seconds(1).await;
    for _ in 0..20 {
        shelf.with(|content| content.mute = !content.mute);
        seconds(4).await;
        assert!(only.leads());
    }
    assert_eq!(shelf.transitions(), Some(0));
}

/// A Lease of which each request takes a while.
#[derive(Clone)]
struct Slow(Shelf, Duration);

#[async_trait]
impl Leases for Slow {
    async fn get(&self) -> Result<Option<Lease>, ApiError> {
        sleep(self.1).await;
        self.0.get().await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, ApiError> {
        sleep(self.1).await;
        self.0.create(lease).await
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, ApiError> {
        sleep(self.1).await;
        self.0.replace(lease).await
    }
}

/// Candidates that freeze, lose the way and lose replies at random: at no
/// moment do two lead.
#[tokio::test(start_paused = true)]
async fn two_never_lead_at_once() {
    for seed in 0..50 {
        let mut random = fastrand::Rng::with_seed(seed);
        let shelf = Shelf::default();
        let mut candidates: Vec<Candidate> = (0..3)
            .map(|id| {
                let delay = Duration::from_millis(random.u64(0..1500));
                Candidate::start(Slow(shelf.clone(), delay), &id.to_string())
            })
            .collect();
        let mut led = 0;
        for _ in 0..400 {
            sleep(Duration::from_millis(random.u64(1..1000))).await;
            let leaders = candidates.iter().filter(|one| one.leads()).count();
            assert!(leaders <= 1, "seed {seed}: {leaders} lead");
            led += leaders;
            match random.u8(0..40) {
                0 => shelf.with(|content| content.away = !content.away),
                1 => shelf.with(|content| content.mute = !content.mute),
                2 => {
                    let one = random.usize(0..candidates.len());
                    let (delay, id) = (Duration::from_millis(random.u64(0..1500)), one.to_string());
                    let fresh = Candidate::start(Slow(shelf.clone(), delay), &id);
                    std::mem::replace(&mut candidates[one], fresh).kill();
                }
                _ => {}
            }
        }
        assert!(led > 0, "seed {seed}: nobody ever led");
    }
}
