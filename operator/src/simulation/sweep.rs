//! Every fault at every write: whatever goes wrong once, the end is the same.

use etl_api::Phase;
use etl_contract::Category;

use super::cluster::Fault;
use super::workers::{Edit, Fate, edit_spec};
use super::world::{Lag, World};
use crate::cluster::Kind;

/// What must not depend on faults: the phase, the run, charged failures, number
/// and result of each attempt, and the ledger's row of the first run.
#[derive(Debug, PartialEq, Eq)]
struct End {
    phase: Option<Phase>,
    run: u32,
    failures: u32,
    attempts: Vec<(u32, String)>,
    ledger: Option<String>,
}

/// What is to happen to one EtlJob.
#[derive(Clone, Copy, Default)]
struct Workload {
    /// Of the attempts, from the first one on.
    fates: &'static [Fate],
    lag: Lag,
    /// Before the first pass.
    first: Option<Edit>,
    /// As the pods of the first attempt come to run.
    running: Option<Edit>,
    /// When everything has come to rest.
    at_rest: Option<Edit>,
}

impl Workload {
    fn world(&self) -> World {
        let mut world = World::with_fates(self.fates);
        world.lag = self.lag;
        let mut state = world.cluster.state();
        if let Some(edit) = self.first {
            state.edit(|job| edit(&mut job.spec));
        }
        state.workers.edits = self.running.map(|edit| (1, edit)).into_iter().collect();
        drop(state);
        world
    }
}

async fn live(mut world: World, workload: &Workload) -> (World, End) {
    world.settle().await;
    if let Some(edit) = workload.at_rest {
        world.cluster.state().edit(|job| edit_spec(job, edit));
        world.settle().await;
    }
    // The last row may still be on its way.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    world.check();
    let status = world.status();
    let end = End {
        phase: status.phase,
        run: status.run.as_ref().map_or(0, |run| run.number),
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

/// Lives the workload once for each fault at each write of the undisturbed life.
/// Returns its end.
async fn sweep(workload: Workload) -> End {
    let (reference, expected) = live(workload.world(), &workload).await;
    let writes = reference.writes().len();
    assert!(writes >= 4);
    for write in 0..writes {
        for fault in faults() {
            let crash = matches!(fault, Fault::CrashBefore | Fault::CrashAfter);
            let world = workload.world();
            world.fault(write, fault.clone());
            let (world, end) = live(world, &workload).await;
            assert_eq!(end, expected, "{fault:?} at write {write}");
            assert_eq!(world.deaths, u32::from(crash), "{fault:?} at write {write}");
            assert!(world.cluster.state().faults.is_empty());
        }
    }
    expected
}

fn results(end: &End) -> Vec<&str> {
    end.attempts
        .iter()
        .map(|(_, result)| result.as_str())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_with_failures_survives_every_fault_at_every_write() {
    sweep(Workload {
        fates: &[Fate::Fail(Category::Throttled), Fate::Killed, Fate::Work],
        ..Workload::default()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn deadlines_survive_every_fault_at_every_write() {
    sweep(Workload {
        fates: &[Fate::Wait, Fate::Hang, Fate::Work],
        ..Workload::default()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_given_up_survives_every_fault_at_every_write() {
    sweep(Workload {
        fates: &[Fate::Killed, Fate::Killed, Fate::Killed],
        ..Workload::default()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_nobody_reported_survives_every_fault_at_every_write() {
    sweep(Workload {
        fates: &[Fate::Killed, Fate::Killed, Fate::KilledAfterCommit],
        ..Workload::default()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn faults_and_lagging_caches_together_change_nothing() {
    sweep(Workload {
        fates: &[Fate::Fail(Category::Throttled), Fate::Killed, Fate::Work],
        lag: Lag { etljob: 3, jobs: 2 },
        ..Workload::default()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn other_work_in_the_middle_of_a_run_survives_every_fault_at_every_write() {
    let end = sweep(Workload {
        fates: &[Fate::Hang],
        running: Some(|spec| spec.run_id = Some("again".into())),
        ..Workload::default()
    })
    .await;
    assert_eq!(results(&end), ["Replaced", "Complete"]);
    assert_eq!((end.run, end.ledger.as_deref()), (2, Some("CANCELLED")));
}

#[tokio::test(start_paused = true)]
async fn other_work_after_a_run_survives_every_fault_at_every_write() {
    let end = sweep(Workload {
        at_rest: Some(|spec| spec.source.uri = "s3://raw/other.parquet".into()),
        ..Workload::default()
    })
    .await;
    assert_eq!(results(&end), ["Complete", "Complete"]);
    assert_eq!((end.run, end.ledger.as_deref()), (2, Some("COMPLETED")));
}

#[tokio::test(start_paused = true)]
async fn suspend_and_resume_survive_every_fault_at_every_write() {
    let end = sweep(Workload {
        fates: &[Fate::Hang],
        running: Some(|spec| spec.suspend = true),
        at_rest: Some(|spec| spec.suspend = false),
        ..Workload::default()
    })
    .await;
    assert_eq!(results(&end), ["Suspended", "Complete"]);
    assert_eq!((end.run, end.failures), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_survives_every_fault_at_every_write() {
    let end = sweep(Workload {
        fates: &[Fate::Hang],
        running: Some(|spec| spec.cancel = true),
        ..Workload::default()
    })
    .await;
    assert_eq!(results(&end), ["Cancelled", "NoManifest"]);
    assert_eq!(end.ledger.as_deref(), Some("CANCELLED"));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_after_the_commit_survives_every_fault_at_every_write() {
    let end = sweep(Workload {
        fates: &[Fate::CommitAndHang],
        running: Some(|spec| spec.cancel = true),
        ..Workload::default()
    })
    .await;
    assert_eq!(results(&end), ["Cancelled", "Complete"]);
    assert_eq!(end.phase, Some(Phase::Complete));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_run_survives_every_fault_at_every_write() {
    let end = sweep(Workload {
        fates: &[Fate::Fail(Category::Throttled), Fate::Hang],
        first: Some(|spec| spec.execution.deadline_seconds = Some(1000)),
        ..Workload::default()
    })
    .await;
    assert_eq!(
        results(&end),
        ["Throttled", "DeadlineExceeded", "NoManifest"]
    );
    assert_eq!(end.failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_survives_every_fault_at_every_write() {
    let end = sweep(Workload {
        fates: &[Fate::Fail(Category::Throttled)],
        first: Some(|spec| spec.worker.queue_name = Some("etl".into())),
        ..Workload::default()
    })
    .await;
    assert_eq!(results(&end), ["Throttled", "Complete"]);
}

#[tokio::test(start_paused = true)]
async fn two_crashes_change_nothing() {
    let workload = Workload {
        fates: &[Fate::Fail(Category::Unavailable), Fate::Work],
        ..Workload::default()
    };
    let (reference, expected) = live(workload.world(), &workload).await;
    let writes = reference.writes().len();
    for first in 0..writes {
        for second in first + 1..writes + 2 {
            let world = workload.world();
            world.fault(first, Fault::CrashAfter);
            world.fault(second, Fault::CrashBefore);
            let (_, end) = live(world, &workload).await;
            assert_eq!(end, expected, "crashes at writes {first} and {second}");
        }
    }
}
