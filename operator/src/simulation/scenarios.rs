//! Lives of an EtlJob from its creation to the end.

use etl_api::Phase;
use etl_contract::Category;
use etl_core::ledger::ProcessingStatus;

use super::cluster::Fault;
use super::fixture;
use super::workers::Fate;
use super::world::{Lag, World};
use crate::cluster::Kind;
use crate::reconcile::Next;

#[tokio::test(start_paused = true)]
async fn a_run_that_works_costs_four_writes_and_two_events() {
    let mut world = World::with_fates(&[Fate::Work]);
    world.settle().await;
    world.check();
    let status = world.status();
    assert_eq!(status.phase, Some(Phase::Complete));
    assert_eq!(status.statistics.unwrap().rows_written, 100);
    assert_eq!(world.writes(), ["status", "create Job", "status", "status"]);
    let events: Vec<String> = world
        .cluster
        .state()
        .events
        .iter()
        .map(|(reason, _)| reason.clone())
        .collect();
    assert_eq!(events, ["Started", "Completed"]);
    let row = world.row().unwrap();
    assert_eq!(row.processing_status, ProcessingStatus::Completed);
    assert_eq!(
        (row.record_count, Some(row.revision)),
        (Some(100), status.revision)
    );
}

#[tokio::test(start_paused = true)]
async fn failed_attempts_are_repeated_after_the_resources_own_backoff() {
    let fail = Fate::Fail(Category::Throttled);
    let mut world = World::with_fates(&[fail, fail, Fate::Work]);
    world.settle().await;
    world.check();
    let status = world.status();
    assert_eq!(status.phase, Some(Phase::Complete));
    let run = status.run.unwrap();
    assert_eq!((run.failures, run.free_attempts), (2, 0));
    let gaps: Vec<i64> = status
        .attempts
        .windows(2)
        .map(|pair| {
            pair[1]
                .start_time
                .duration_since(pair[0].end_time)
                .as_millis() as i64
        })
        .collect();
    assert!(
        (10_000..10_100).contains(&gaps[0]) && (20_000..20_100).contains(&gaps[1]),
        "{gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn max_attempts_is_exact() {
    let mut world = World::with_fates(&[Fate::Fail(Category::AccessDenied); 9]);
    world.settle().await;
    world.check();
    let status = world.status();
    assert_eq!(status.phase, Some(Phase::Failed));
    assert_eq!(status.last_failure.unwrap().reason, "RetriesExhausted");
    assert_eq!(
        world
            .writes()
            .iter()
            .filter(|write| **write == "create Job")
            .count(),
        3
    );
    assert_eq!(
        world.row().unwrap().processing_status,
        ProcessingStatus::Failed
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_lost_after_its_commit_is_complete_even_with_one_attempt() {
    let mut world = World::with_fates(&[Fate::KilledAfterCommit]);
    world
        .cluster
        .state()
        .edit(|job| job.spec.retry_policy.max_attempts = 1);
    world.settle().await;
    world.check();
    let status = world.status();
    assert_eq!(status.phase, Some(Phase::Complete));
    assert_eq!(status.statistics.unwrap().rows_written, 100);
}

#[tokio::test(start_paused = true)]
async fn what_never_starts_or_never_ends_is_ended() {
    for (fate, category) in [
        (Fate::Wait, Category::StartTimeout),
        (Fate::Hang, Category::DeadlineExceeded),
    ] {
        let mut world = World::with_fates(&[fate, Fate::Work]);
        world.settle().await;
        world.check();
        let status = world.status();
        assert_eq!(status.phase, Some(Phase::Complete), "{fate:?}");
        assert_eq!(status.attempts[0].result, category.as_str());
        assert!(world.writes().contains(&"delete Job"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_somebody_deletes_is_a_lost_worker() {
    let mut world = World::with_fates(&[Fate::Hang, Fate::Work]);
    while world.status().phase != Some(Phase::Running) {
        world.pass().await;
        world.cluster.state().step();
    }
    world.cluster.state().jobs.clear();
    world.settle().await;
    world.check();
    let status = world.status();
    assert_eq!(status.phase, Some(Phase::Complete));
    assert_eq!(status.attempts[0].result, Category::WorkerLost.as_str());
}

#[tokio::test(start_paused = true)]
async fn a_finished_run_stays_finished_when_its_jobs_are_deleted() {
    let mut world = World::with_fates(&[Fate::Work]);
    world.settle().await;
    let before = world.status();
    world.cluster.state().jobs.clear();
    world.kill();
    world.settle().await;
    world.check();
    assert_eq!(world.status(), before);
    assert!(world.cluster.state().jobs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_leads_to_the_next_ordinal() {
    let mut world = World::with_fates(&[]);
    let name = etl_core::names::child_job("trips", fixture::UID, 1, 1);
    let mut foreign = fixture::child(&name, "foreign");
    foreign.metadata.owner_references = None;
    world.cluster.state().jobs.insert(name, foreign);
    world.settle().await;
    world.check();
    let status = world.status();
    assert_eq!(status.phase, Some(Phase::Complete));
    let results: Vec<&str> = status.attempts.iter().map(|a| a.result.as_str()).collect();
    assert_eq!(results, ["NameTaken", "Complete"]);
    assert_eq!(status.run.unwrap().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_forbidden_is_tried_slowly_and_spends_no_attempt() {
    let mut world = World::with_fates(&[]);
    world.cluster.state().creates_fail = Some(Kind::Forbidden);
    let start = world.now();
    while world.now().duration_since(start).as_secs() < 120 {
        match world.pass().await {
            Some(Next::After(delay)) => tokio::time::sleep(delay).await,
            other => panic!("{other:?}"),
        }
    }
    let tries = world
        .writes()
        .iter()
        .filter(|write| **write == "create Job")
        .count();
    assert!((8..=12).contains(&tries), "{tries} tries in 120 s");
    let status = world.status();
    assert_eq!(status.attempt.unwrap().number, 1);
    assert!(
        status
            .conditions
            .iter()
            .any(|c| c.message.contains("exceeded quota: pods"))
    );
    world.cluster.state().creates_fail = None;
    world.settle().await;
    world.check();
    let status = world.status();
    assert_eq!(
        (status.phase, status.attempts.len()),
        (Some(Phase::Complete), 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_the_server_fails_to_create_is_told_and_charged_when_its_time_is_over() {
    for kind in [Kind::Transient, Kind::NotFound, Kind::Unknown] {
        let mut world = World::with_fates(&[]);
        world.cluster.state().creates_fail = Some(kind);
        let start = world.now();
        // The default start deadline, and the longest delay between two tries.
        while world.now().duration_since(start).as_secs() < 660 {
            match world.pass().await {
                Some(Next::After(delay)) => tokio::time::sleep(delay).await,
                other => panic!("{kind}: {other:?}"),
            }
            let elapsed = world.now().duration_since(start).as_secs();
            let told = |status: etl_api::EtlJobStatus| {
                let mut conditions = status.conditions.into_iter();
                conditions.any(|c| c.message.contains("exceeded quota: pods"))
            };
            if (10..590).contains(&elapsed) {
                assert!(told(world.status()), "{kind}, after {elapsed} s");
            }
        }
        let status = world.status();
        assert_eq!(status.attempts[0].result, Category::StartTimeout.as_str());
        assert_eq!(status.run.unwrap().failures, 1, "{kind}");
        let creates = world.writes().into_iter().filter(|w| *w == "create Job");
        assert!(creates.count() < 40, "{kind}");
        world.cluster.state().creates_fail = None;
        world.settle().await;
        world.check();
        assert_eq!(world.status().phase, Some(Phase::Complete), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_job_ends_the_run_with_the_servers_words() {
    let mut world = World::with_fates(&[]);
    world.cluster.state().creates_fail = Some(Kind::Rejected);
    world.settle().await;
    world.check();
    let failure = world.status().last_failure.unwrap();
    assert_eq!(failure.category, Category::InvalidSpec.as_str());
    assert!(failure.message.contains("exceeded quota: pods"));
}

#[tokio::test(start_paused = true)]
async fn in_a_namespace_that_is_being_deleted_nothing_is_tried_again() {
    let mut world = World::with_fates(&[]);
    world.cluster.state().creates_fail = Some(Kind::NamespaceTerminating);
    assert_eq!(world.pass().await, Some(Next::OnChange));
    assert_eq!(world.writes(), ["status", "create Job"]);
}

#[tokio::test(start_paused = true)]
async fn another_writer_makes_a_plan_stale_and_nothing_is_done_by_it() {
    let mut world = World::with_fates(&[Fate::Work]);
    world.fault(0, Fault::Answer(Kind::Conflict));
    assert!(matches!(world.pass().await, Some(Next::After(_))));
    assert_eq!(world.writes(), ["status"]);
    world.settle().await;
    world.check();
    assert_eq!(world.status().attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn caches_that_lag_change_nothing() {
    for passes in 1..8 {
        for (etljob, jobs) in [(passes, 0), (0, passes), (passes, passes)] {
            let lag = Lag { etljob, jobs };
            let mut world =
                World::with_fates(&[Fate::Wait, Fate::Fail(Category::Unavailable), Fate::Killed]);
            world.cluster.state().edit(|job| {
                job.spec.retry_policy.max_attempts = 4;
                job.spec.retry_policy.backoff.initial_seconds = 0;
            });
            world.lag = lag;
            world.settle().await;
            world.check();
            let status = world.status();
            assert_eq!(status.phase, Some(Phase::Complete), "{lag:?}");
            let results: Vec<&str> = status.attempts.iter().map(|a| a.result.as_str()).collect();
            assert_eq!(
                results,
                ["StartTimeout", "Unavailable", "WorkerLost", "Complete"],
                "{lag:?}"
            );
        }
    }
}
