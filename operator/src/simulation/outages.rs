//! The ledger of many EtlJobs follows through its outages and whatever else
//! befalls it.

use std::ops::Range;
use std::time::Duration;

use etl_api::{EtlJob, Phase};
use etl_core::ledger::ProcessingStatus;
use tokio::time::Instant;

use super::fleet::{Fleet, Operator};
use super::ledger::{REPAIR_INTERVAL, Trouble};
use crate::lease::Leadership;
use crate::ledger::Cause;

/// Within which the ledger follows whatever has befallen it.
const CONVERGED: Duration = Duration::from_secs(60);

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
