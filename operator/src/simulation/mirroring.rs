//! The ledger follows, whatever happens to it, to the process or to the
//! EtlJob.

use std::ops::Range;
use std::time::Duration;

use etl_api::{EtlJob, Phase};
use etl_contract::Category;
use etl_core::ledger::ProcessingStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::fixture;
use super::fleet::{Fleet, Operator};
use super::ledger::{REPAIR_INTERVAL, Seen, Trouble};
use super::workers::Fate;
use super::world::World;
use crate::lease::Leadership;
use crate::ledger::{Cause, Change, Ledger, Made};
use crate::reconcile::Next;

/// Within which the ledger follows whatever has befallen it.
const CONVERGED: Duration = Duration::from_secs(60);

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

fn is(phase: Phase) -> impl Fn(&EtlJob) -> bool {
    move |job| job.status.as_ref().and_then(|status| status.phase) == Some(phase)
}

#[tokio::test(start_paused = true)]
async fn three_hours_without_a_ledger_are_made_up_for_in_a_minute() {
    let fleet = Fleet::new(3000);
    let operator = fleet.start(&Leadership::sole());
    for number in 0..fleet.size() {
        fleet.advance(&operator, number, is(Phase::Running)).await;
    }
    tokio::time::sleep(CONVERGED).await;
    fleet.check();

    fleet.ledger.set_down(true);
    let start = fleet.clock.now();
    for number in 0..fleet.size() {
        fleet.advance(&operator, number, is(Phase::Complete)).await;
        if number % 3 == 1 {
            fleet.ask_again(number, "another");
            fleet.advance(&operator, number, is(Phase::Running)).await;
        }
        if number % 30 == 1 {
            fleet.delete(number, Some(&operator));
        }
        tokio::time::sleep(Duration::from_millis(3600)).await;
    }
    assert!(fleet.clock.now().duration_since(start).as_secs() >= 3 * 3600);
    let figures = operator.mirror.figures();
    assert_eq!(figures.outage, Some(Cause::Unreachable));
    assert!(figures.lag >= Duration::from_secs(10_000), "{figures:?}");
    assert_eq!((figures.backlog, figures.counts.dropped), (4000, 0));

    fleet.ledger.set_down(false);
    tokio::time::sleep(CONVERGED).await;
    fleet.check();
    assert_eq!(operator.mirror.figures().backlog, 0);
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

/// Every third of these is deleted under the eyes of `operator`, the others end.
async fn finish(fleet: &Fleet, operator: &Operator, numbers: Range<usize>) {
    for number in numbers {
        if number % 3 == 0 {
            fleet.delete(number, Some(operator));
        } else {
            fleet.advance(operator, number, is(Phase::Complete)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_leader_in_an_outage_loses_no_end() {
    let fleet = Fleet::new(300);
    let (crown, leadership) = Leadership::contested();
    let first = fleet.start(&leadership);
    crown.hold(Instant::now() + Duration::from_secs(86_400));
    for number in 0..fleet.size() {
        fleet.advance(&first, number, is(Phase::Running)).await;
    }
    tokio::time::sleep(CONVERGED).await;
    fleet.ledger.set_down(true);
    finish(&fleet, &first, 0..100).await;
    // It is dead for a while before another takes its place.
    crown.lose();
    drop(first);
    for number in (100..200).filter(|number| number % 3 == 0) {
        fleet.delete(number, None);
    }
    let second = fleet.start(&Leadership::sole());
    finish(&fleet, &second, 200..300).await;
    fleet.ledger.set_down(false);
    tokio::time::sleep(CONVERGED).await;
    fleet.check();
    let rows = fleet.ledger.rows.lock().unwrap();
    let with = |status| {
        rows.values()
            .filter(|row| row.processing_status == status)
            .count()
    };
    assert_eq!(
        (
            with(ProcessingStatus::Cancelled),
            with(ProcessingStatus::Completed),
            with(ProcessingStatus::InProgress),
        ),
        (100, 133, 67)
    );
}

#[tokio::test(start_paused = true)]
async fn rows_that_somebody_removed_or_changed_are_put_right_by_the_next_sweep() {
    let fleet = Fleet::new(250);
    let operator = fleet.start(&Leadership::sole());
    for number in 0..fleet.size() {
        let phase = if number % 2 == 0 {
            Phase::Running
        } else {
            Phase::Complete
        };
        fleet.advance(&operator, number, is(phase)).await;
    }
    tokio::time::sleep(CONVERGED).await;
    fleet.check();
    let keys: Vec<String> = fleet.ledger.rows.lock().unwrap().keys().cloned().collect();
    for (index, key) in keys.iter().enumerate() {
        match index % 5 {
            0 => drop(fleet.ledger.rows.lock().unwrap().remove(key)),
            1 => fleet.ledger.tamper(key, |row| row.revision -= 1),
            2 => fleet.ledger.tamper(key, |row| row.record_count = Some(-1)),
            3 => drop(fleet.ledger.defaced.lock().unwrap().insert(key.clone())),
            _ => {}
        }
    }
    assert_eq!(fleet.diverging().len(), 150);
    let before = fleet.ledger.tries();
    tokio::time::sleep(REPAIR_INTERVAL * 11 / 10 + Duration::from_secs(5)).await;
    fleet.check();
    assert!(fleet.ledger.defaced.lock().unwrap().is_empty());
    // A write for each, and none for the others.
    assert_eq!(fleet.ledger.tries() - before, 200);
    assert_eq!(operator.mirror.figures().counts.mended, 100);
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_writes_late_replaces_nothing_newer() {
    let fleet = Fleet::new(20);
    let slow = fleet.start(&Leadership::sole());
    fleet.ledger.trouble.lock().unwrap().latency = CONVERGED;
    for number in 0..fleet.size() {
        fleet.advance(&slow, number, is(Phase::Running)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let under_way = fleet.ledger.tries();
    assert!(under_way >= 20, "{under_way} writes are under way");
    fleet.ledger.trouble.lock().unwrap().latency = Duration::ZERO;
    let other = fleet.start(&Leadership::sole());
    for number in 0..fleet.size() {
        fleet.advance(&other, number, is(Phase::Complete)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    fleet.check();
    tokio::time::sleep(CONVERGED).await;
    assert!(slow.mirror.figures().counts.superseded >= 20);
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn a_table_that_throttles_nine_of_ten_and_one_that_forgets_to_answer_are_followed_up() {
    let busy = Trouble {
        throttled: 9,
        ..Trouble::default()
    };
    let forgetful = Trouble {
        forgets_answers: true,
        latency: Duration::from_secs(5),
        ..Trouble::default()
    };
    for trouble in [busy, forgetful] {
        let fleet = Fleet::new(1000);
        let operator = fleet.start(&Leadership::sole());
        *fleet.ledger.trouble.lock().unwrap() = trouble;
        for number in 0..fleet.size() {
            fleet.advance(&operator, number, is(Phase::Running)).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            fleet.advance(&operator, number, is(Phase::Complete)).await;
        }
        *fleet.ledger.trouble.lock().unwrap() = Trouble::default();
        tokio::time::sleep(CONVERGED).await;
        fleet.check();
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_read_rows_are_written_all_the_same() {
    for cause in [Cause::Denied, Cause::Refused] {
        let fleet = Fleet::new(50);
        let first = fleet.start(&Leadership::sole());
        fleet.ledger.trouble.lock().unwrap().unreadable = Some(cause);
        for number in 0..fleet.size() {
            fleet.advance(&first, number, is(Phase::Complete)).await;
        }
        tokio::time::sleep(CONVERGED).await;
        drop(first);
        fleet.ledger.rows.lock().unwrap().clear();
        let second = fleet.start(&Leadership::sole());
        tokio::time::sleep(CONVERGED).await;
        fleet.check();
        let figures = second.mirror.figures();
        assert_eq!((figures.outage, figures.counts.sweeps), (None, 0));
        // A person has granted it: nothing has to be started again.
        fleet.ledger.trouble.lock().unwrap().unreadable = None;
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(second.mirror.figures().counts.sweeps, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_on_the_way_to_the_ledger_costs_no_row_and_no_pass() {
    let fleet = Fleet::new(50);
    let operator = fleet.start(&Leadership::sole());
    tokio::time::sleep(CONVERGED).await;
    fleet.ledger.trouble.lock().unwrap().panics = true;
    for number in 0..fleet.size() {
        fleet.advance(&operator, number, is(Phase::Running)).await;
        if number % 10 == 0 {
            fleet.delete(number, Some(&operator));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(fleet.ledger.rows.lock().unwrap().len(), 0);
    fleet.ledger.trouble.lock().unwrap().panics = false;
    tokio::time::sleep(CONVERGED).await;
    fleet.check();
    for number in (0..fleet.size()).filter(|number| number % 10 != 0) {
        fleet.advance(&operator, number, is(Phase::Complete)).await;
    }
    tokio::time::sleep(CONVERGED).await;
    fleet.check();
}
