//! The ledger follows, whatever happens to it, to the process or to the
//! EtlJob.

use std::time::Duration;

use etl_api::Phase;
use etl_contract::Category;
use etl_core::ledger::ProcessingStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::fixture;
use super::ledger::{Seen, Trouble};
use super::workers::Fate;
use super::world::World;
use crate::ledger::{Change, Ledger, Made};
use crate::reconcile::Next;

#[tokio::test(start_paused = true)]
async fn an_idle_etljob_costs_nothing_in_any_process() {
    let mut world = World::with_fates(&[Fate::Work]);
    world.settle().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (writes, before) = (world.writes().len(), world.ledger.seen());
    for _ in 0..5 {
        assert_eq!(world.pass().await, Some(Next::OnChange));
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(
        (world.writes().len(), world.ledger.seen()),
        (writes, before)
    );
    world.kill();
    world.settle().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // A new process reads whether the row is there, and which are in progress,
    // and that is all.
    let reads = before.reads + 2;
    assert_eq!(
        (world.writes().len(), world.ledger.seen()),
        (writes, Seen { reads, ..before })
    );
}

#[tokio::test(start_paused = true)]
async fn no_pass_ever_waits_for_the_ledger() {
    let mut ends = Vec::new();
    // None at all; one that does not answer; one that is away.
    for trouble in [None, Some(Trouble::stuck()), Some(Trouble::away())] {
        let mut world = World::with_fates(&[Fate::Fail(Category::Throttled), Fate::Work]);
        world.settings.ledger = trouble.is_some();
        *world.ledger.trouble.lock().unwrap() = trouble.unwrap_or_default();
        world.settle().await;
        world.check();
        assert_eq!(world.status().phase, Some(Phase::Complete));
        ends.push((world.now(), world.writes()));
    }
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0], ends[2]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_ledger_delays_no_work_and_leaves_no_gap() {
    let mut world = World::with_fates(&[Fate::Fail(Category::Throttled), Fate::Work]);
    world.ledger.set_down(true);
    world.settle().await;
    assert_eq!(world.status().phase, Some(Phase::Complete));
    assert_eq!(world.row(), None);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let tries = world.ledger.tries();
    assert!(tries < 300, "{tries} tries in an hour");
    world.ledger.set_down(false);
    tokio::time::sleep(Duration::from_secs(31)).await;
    let row = world.row().unwrap();
    assert_eq!(row.processing_status, ProcessingStatus::Completed);
    assert_eq!(Some(row.revision), world.status().revision);
}

#[tokio::test(start_paused = true)]
async fn a_row_missed_by_a_dead_process_is_written_by_the_next() {
    let mut world = World::with_fates(&[Fate::Work]);
    world.ledger.set_down(true);
    world.settle().await;
    world.kill();
    world.ledger.set_down(false);
    world.settle().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        world.row().unwrap().processing_status,
        ProcessingStatus::Completed
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_to_live_waits_for_the_ledger() {
    let mut world = World::with_fates(&[Fate::Work]);
    world
        .cluster
        .state()
        .edit(|job| job.spec.ttl_seconds_after_finished = Some(60));
    world.ledger.set_down(true);
    let start = world.now();
    while world.now().duration_since(start).as_secs() < 600 {
        let next = world.pass().await;
        let changed = world.cluster.state().step();
        match next {
            Some(Next::After(delay)) if !changed => tokio::time::sleep(delay).await,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    assert!(world.cluster.state().etljob.is_some());
    world.ledger.set_down(false);
    world.settle().await;
    assert!(world.cluster.state().etljob.is_none());
    assert_eq!(
        world.row().unwrap().processing_status,
        ProcessingStatus::Completed
    );
}

#[tokio::test(start_paused = true)]
async fn an_etljob_deleted_mid_run_is_cancelled_in_the_ledger() {
    // At once, or first marked, as a foreground deletion does.
    for marked in [false, true] {
        let mut world = World::with_fates(&[Fate::Hang]);
        while world.status().phase != Some(Phase::Running) {
            world.pass().await;
            world.cluster.state().step();
        }
        if marked {
            let now = Time(world.now());
            world
                .cluster
                .state()
                .edit(|job| job.metadata.deletion_timestamp = Some(now));
            assert_eq!(world.pass().await, Some(Next::OnChange));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(
                world.row().unwrap().processing_status,
                ProcessingStatus::Cancelled
            );
        }
        world.cluster.state().etljob = None;
        world.settle().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            world.row().unwrap().processing_status,
            ProcessingStatus::Cancelled
        );
        world.check();
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_name_made_again_is_another_etljob() {
    let mut world = World::with_fates(&[Fate::Hang]);
    while world.status().phase != Some(Phase::Running) {
        world.pass().await;
        world.cluster.state().step();
    }
    let mut successor = fixture::etljob();
    successor.metadata.uid = Some("successor".into());
    successor.metadata.resource_version = Some(world.cluster.state().next_version());
    {
        let mut state = world.cluster.state();
        state.etljob = Some(successor);
        state.jobs.clear();
        state.workers.fates.clear();
        state.workers.manifests.clear();
    }
    world.settle().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.status().phase, Some(Phase::Complete));
    assert_eq!(
        world.row().unwrap().processing_status,
        ProcessingStatus::Cancelled
    );
    let row = world
        .ledger
        .row(&format!("test/{}/trips/successor/1", fixture::NAMESPACE));
    assert_eq!(row.unwrap().processing_status, ProcessingStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_etljob_deleted_while_nobody_watches_is_cancelled_by_the_next_operator() {
    let mut world = World::with_fates(&[Fate::Hang]);
    while world.status().phase != Some(Phase::Running) {
        world.pass().await;
        world.cluster.state().step();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = world.row().unwrap();
    assert_eq!(before.processing_status, ProcessingStatus::InProgress);
    world.kill();
    world.cluster.state().etljob = None;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    world.pass().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let row = world.row().unwrap();
    assert_eq!(row.processing_status, ProcessingStatus::Cancelled);
    assert_eq!(
        row.error_message.as_deref(),
        Some("deleted before its end was recorded")
    );
    assert!(row.revision > before.revision && row.end_time.is_some());
    // What an operator that still thinks it is there writes late, is refused.
    let late = world.ledger.make(&Change::Write(before)).await.unwrap();
    assert_eq!(late, Made::Superseded);
}
