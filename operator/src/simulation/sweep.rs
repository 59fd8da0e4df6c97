//! Every fault at every write: whatever goes wrong once, the end is the same.

use etl_api::Phase;
use etl_contract::Category;

use super::cluster::Fault;
use super::workers::Fate;
use super::world::{Lag, World};
use crate::cluster::Kind;

/// What must not depend on faults: the phase, charged failures, and number and
/// result of each attempt.
#[derive(Debug, PartialEq, Eq)]
struct End {
    phase: Option<Phase>,
    failures: u32,
    attempts: Vec<(u32, String)>,
    ledger: Option<String>,
}

async fn live(mut world: World) -> (World, End) {
    world.settle().await;
    // The last row may still be on its way.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    world.check();
    let status = world.status();
    let end = End {
        phase: status.phase,
        failures: status.run.map_or(0, |run| run.failures),
        attempts: status
            .attempts
            .into_iter()
            .map(|a| (a.number, a.result))
            .collect(),
        ledger: world
            .row()
            .map(|row| row.processing_status.as_str().to_owned()),
    };
    (world, end)
}

fn faults() -> [Fault; 8] {
    [
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::LoseAnswer,
        Fault::Answer(Kind::Conflict),
        Fault::Answer(Kind::Throttled),
        Fault::Answer(Kind::Transient),
        Fault::Answer(Kind::Forbidden),
        Fault::Answer(Kind::Unknown),
    ]
}

/// Runs `fates` once for each fault at each write of the undisturbed life.
async fn sweep(fates: &[Fate], lag: Lag) {
    let world = |fault: Option<(usize, Fault)>| {
        let mut world = World::with_fates(fates);
        world.lag = lag;
        if let Some((write, fault)) = fault {
            world.fault(write, fault);
        }
        world
    };
    let (reference, expected) = live(world(None)).await;
    let writes = reference.writes().len();
    assert!(writes >= 4);
    for write in 0..writes {
        for fault in faults() {
            let crash = matches!(fault, Fault::CrashBefore | Fault::CrashAfter);
            let (world, end) = live(world(Some((write, fault.clone())))).await;
            assert_eq!(end, expected, "{fault:?} at write {write}");
            assert_eq!(world.deaths, u32::from(crash), "{fault:?} at write {write}");
            assert!(world.cluster.state().faults.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_with_failures_survives_every_fault_at_every_write() {
    sweep(
        &[Fate::Fail(Category::Throttled), Fate::Killed, Fate::Work],
        Lag::default(),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn deadlines_survive_every_fault_at_every_write() {
    sweep(&[Fate::Wait, Fate::Hang, Fate::Work], Lag::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_given_up_survives_every_fault_at_every_write() {
    sweep(&[Fate::Killed, Fate::Killed, Fate::Killed], Lag::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_nobody_reported_survives_every_fault_at_every_write() {
    sweep(
        &[Fate::Killed, Fate::Killed, Fate::KilledAfterCommit],
        Lag::default(),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn faults_and_lagging_caches_together_change_nothing() {
    sweep(
        &[Fate::Fail(Category::Throttled), Fate::Killed, Fate::Work],
        Lag { etljob: 3, jobs: 2 },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_crashes_change_nothing() {
    let fates = [Fate::Fail(Category::Unavailable), Fate::Work];
    let (reference, expected) = live(World::with_fates(&fates)).await;
    let writes = reference.writes().len();
    for first in 0..writes {
        for second in first + 1..writes + 2 {
            let world = World::with_fates(&fates);
            world.fault(first, Fault::CrashAfter);
            world.fault(second, Fault::CrashBefore);
            let (_, end) = live(world).await;
            assert_eq!(end, expected, "crashes at writes {first} and {second}");
        }
    }
}
