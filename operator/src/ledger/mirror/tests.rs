mod told;

use std::sync::Arc;

use etl_core::ledger::{Closing, records};
use tokio::time::sleep;

use super::*;
use crate::simulation::fixture;
use crate::simulation::ledger::{FakeLedger, Trouble};

fn record(run: u32, revision: i64) -> LedgerRecord {
    let mut job = fixture::etljob();
    job.status = serde_json::from_value(serde_json::json!({
        "revision": revision,
        "run": {
            "number": run, "workHash": "v1:0", "startTime": "2026-11-24T00:00:00Z",
            "workerImage": "worker:1", "shards": 1,
        },
    }))
    .unwrap();
    records(&job, &fixture::settings()).pop().unwrap()
}

/// Writes what is pending and ends.
async fn drain(mirror: &Mirror, ledger: &FakeLedger) {
    mirror.drain();
    mirror.run(ledger, &Leadership::sole()).await;
}

/// The mirror at work.
fn start(mirror: &Arc<Mirror>, ledger: &Arc<FakeLedger>) -> tokio::task::JoinHandle<()> {
    let (mirror, ledger) = (Arc::clone(mirror), Arc::clone(ledger));
    tokio::spawn(async move { mirror.run(ledger.as_ref(), &Leadership::sole()).await })
}

#[tokio::test(start_paused = true)]
async fn of_many_records_of_a_run_the_newest_is_written_once() {
    let (mirror, ledger) = (Mirror::default(), FakeLedger::default());
    for revision in [3, 9, 5] {
        mirror.offer(record(1, revision));
    }
    drain(&mirror, &ledger).await;
    let row = record(1, 9);
    assert_eq!(ledger.row(&row.file_id).unwrap().revision, 9);
    assert_eq!(ledger.tries(), 1);
    assert_eq!(mirror.written(&row.uid, row.run), Some(9));
    // What is known to be there is not written again.
    mirror.offer(record(1, 9));
    drain(&mirror, &ledger).await;
    assert_eq!(ledger.tries(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_newer_row_of_another_writer_stays() {
    let (mirror, ledger) = (Mirror::default(), FakeLedger::default());
    ledger.make(&Change::Write(record(1, 9))).await.unwrap();
    mirror.offer(record(1, 5));
    drain(&mirror, &ledger).await;
    let row = ledger.row(&record(1, 5).file_id).unwrap();
    assert_eq!((row.revision, mirror.figures().backlog), (9, 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_offered_while_an_older_one_is_failing_takes_its_place() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.set_down(true);
    mirror.offer(record(1, 1));
    let task = start(&mirror, &ledger);
    sleep(Duration::from_secs(5)).await;
    mirror.offer(record(1, 2));
    assert_eq!(mirror.figures().backlog, 1);
    ledger.set_down(false);
    mirror.drain();
    task.await.unwrap();
    assert_eq!(ledger.row(&record(1, 1).file_id).unwrap().revision, 2);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_older_write_does_not_pass_for_that_of_a_newer_one() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    let slow = |down| Trouble {
        down,
        latency: Duration::from_secs(5),
        ..Trouble::default()
    };
    *ledger.trouble.lock().unwrap() = slow(None);
    mirror.offer(record(1, 1));
    let task = start(&mirror, &ledger);
    sleep(Duration::from_secs(1)).await;
    *ledger.trouble.lock().unwrap() = slow(Some(Cause::Unreachable));
    mirror.offer(record(1, 2));
    sleep(Duration::from_millis(4500)).await;
    // The first has ended, and the second has not.
    assert_eq!(ledger.row(&record(1, 1).file_id).unwrap().revision, 1);
    assert_eq!(mirror.figures().backlog, 1);
    *ledger.trouble.lock().unwrap() = Trouble::default();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(ledger.row(&record(1, 1).file_id).unwrap().revision, 2);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_written_holds_no_other_up() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.poisoned.lock().unwrap().push(record(0, 1).file_id);
    for run in 0..100 {
        mirror.offer(record(run, 1));
    }
    let task = start(&mirror, &ledger);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(ledger.rows.lock().unwrap().len(), 99);
    assert_eq!(mirror.figures().backlog, 1);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_row_that_can_never_be_written_makes_no_later_one_wait() {
    for refused in [false, true] {
        let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
        let bad = if refused {
            &ledger.refused
        } else {
            &ledger.poisoned
        };
        bad.lock().unwrap().push(record(1, 1).file_id);
        mirror.offer(record(1, 1));
        let task = start(&mirror, &ledger);
        // Alone in the queue, until its backoff is as long as it gets.
        sleep(Duration::from_secs(600)).await;
        let tries = ledger.tries();
        assert!((10..60).contains(&tries), "{tries} tries in ten minutes");
        for run in 2..100 {
            mirror.offer(record(run, 1));
            sleep(Duration::from_secs(1)).await;
            assert!(ledger.row(&record(run, 1).file_id).is_some(), "run {run}");
        }
        // What has changed is tried at once.
        bad.lock().unwrap().clear();
        mirror.offer(record(1, 2));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(mirror.figures().backlog, 0);
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_away_is_asked_for_one_row_at_a_time() {
    for cause in Cause::ALL.into_iter().filter(|cause| cause.is_shared()) {
        let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
        ledger.trouble.lock().unwrap().down = Some(cause);
        for run in 0..5000 {
            mirror.offer(record(run, 1));
        }
        let task = start(&mirror, &ledger);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(mirror.figures().outage, Some(cause));
        let before = ledger.tries();
        sleep(Duration::from_secs(3600)).await;
        let tries = ledger.tries() - before;
        assert!(
            (200..500).contains(&tries),
            "{cause}: {tries} tries in an hour"
        );
        let figures = mirror.figures();
        assert_eq!((figures.backlog, figures.counts.outages), (5000, 1));
        assert_eq!(figures.lag, Duration::from_secs(3660));
        ledger.trouble.lock().unwrap().down = None;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(ledger.rows.lock().unwrap().len(), 5000, "{cause}");
        let figures = mirror.figures();
        assert_eq!((figures.backlog, figures.outage), (0, None));
        assert_eq!(figures.lag, Duration::ZERO);
        assert_eq!(
            figures.counts.failed(cause),
            u64::from(ledger.tries()) - 5000
        );
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn moving_rows_are_written_no_faster_than_allowed() {
    let allowance = Allowance {
        per_second: 20,
        burst: 40,
    };
    let mirror = Arc::new(Mirror::new(allowance, 1));
    let ledger = Arc::new(FakeLedger::default());
    let task = start(&mirror, &ledger);
    for second in 0..60 {
        for run in 0..1000 {
            mirror.offer(record(run, second + 1));
        }
        sleep(Duration::from_secs(1)).await;
        let most = 40 + 20 * (second + 1);
        assert!(i64::from(ledger.tries()) <= most, "after {second} s");
    }
    // Each of them in its turn, and with what is newest by then.
    sleep(Duration::from_secs(60)).await;
    assert_eq!(mirror.figures().backlog, 0);
    let rows = ledger.rows.lock().unwrap();
    assert!(rows.len() == 1000 && rows.values().all(|row| row.revision == 60));
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_slow_ledger_is_asked_for_several_rows_at_once() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.trouble.lock().unwrap().latency = Duration::from_secs(5);
    for run in 0..CONCURRENCY * 4 {
        mirror.offer(record(u32::try_from(run).unwrap(), 1));
    }
    let task = start(&mirror, &ledger);
    sleep(Duration::from_secs(21)).await;
    assert_eq!(mirror.figures().backlog, 0);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_busy_table_is_asked_more_slowly_and_gets_every_row() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.trouble.lock().unwrap().throttled = 9;
    for run in 0..3000 {
        mirror.offer(record(run, 1));
    }
    let task = start(&mirror, &ledger);
    sleep(Duration::from_secs(60)).await;
    let (slow, written) = (mirror.figures().rate, ledger.rows.lock().unwrap().len());
    assert!(
        slow < 5.0 && written > 10,
        "{slow} a second, {written} rows"
    );
    ledger.trouble.lock().unwrap().throttled = 0;
    sleep(Duration::from_secs(60)).await;
    let figures = mirror.figures();
    assert_eq!((figures.backlog, figures.rate), (0, 200.0));
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_made_again_and_changes_nothing() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.trouble.lock().unwrap().forgets_answers = true;
    mirror.offer(record(1, 3));
    let task = start(&mirror, &ledger);
    sleep(Duration::from_secs(10)).await;
    assert!(ledger.tries() > 1 && mirror.figures().backlog == 1);
    ledger.trouble.lock().unwrap().forgets_answers = false;
    sleep(Duration::from_secs(31)).await;
    let counts = mirror.figures().counts;
    assert_eq!((counts.stored, counts.superseded), (0, 1));
    assert_eq!(mirror.written(&record(1, 3).uid, 1), Some(3));
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_rows_that_the_repair_finds_again_and_keeps_the_last_ones() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.set_down(true);
    let rows = u32::try_from(CAPACITY).unwrap() + 100;
    for run in 0..rows {
        mirror.offer(record(run, 1));
    }
    mirror.offer_last(record(rows, 1));
    // What waits already may change.
    mirror.offer(record(0, 2));
    let figures = mirror.figures();
    assert_eq!(
        (figures.backlog, figures.counts.dropped),
        (CAPACITY + 1, 100)
    );
    let room = {
        let mirror = Arc::clone(&mirror);
        tokio::spawn(async move { mirror.room().await })
    };
    let task = start(&mirror, &ledger);
    sleep(Duration::from_secs(60)).await;
    assert!(!room.is_finished());
    ledger.set_down(false);
    sleep(Duration::from_secs(60)).await;
    assert!(room.is_finished());
    assert!(ledger.row(&record(rows, 1).file_id).is_some());
    assert_eq!(ledger.row(&record(0, 1).file_id).unwrap().revision, 2);
    // One that was dropped is not taken for known.
    mirror.offer(record(rows - 1, 1));
    sleep(Duration::from_secs(60)).await;
    assert!(ledger.row(&record(rows - 1, 1).file_id).is_some());
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_a_cancellation() {
    let (mirror, ledger) = (Mirror::default(), FakeLedger::default());
    let cancelled = LedgerRecord {
        processing_status: ProcessingStatus::Cancelled,
        ..record(1, 5)
    };
    mirror.offer(cancelled);
    // A write that was under way when the EtlJob was deleted.
    mirror.offer(record(1, 8));
    drain(&mirror, &ledger).await;
    let row = ledger.row(&record(1, 5).file_id).unwrap();
    assert_eq!(row.processing_status, ProcessingStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_known_is_not_replaced_by_one_that_is_guessed() {
    let (mirror, ledger) = (Mirror::default(), FakeLedger::default());
    let row = record(1, 5);
    ledger.make(&Change::Write(row.clone())).await.unwrap();
    mirror.offer_last(LedgerRecord {
        processing_status: ProcessingStatus::Completed,
        revision: 6,
        ..row.clone()
    });
    mirror.forget(&row.uid);
    let now = "2026-11-24T01:00:00Z".parse().unwrap();
    mirror.close(Closing::decide(&row.file_id, Some(5), None, now).unwrap());
    drain(&mirror, &ledger).await;
    let row = ledger.row(&row.file_id).unwrap();
    assert_eq!(row.processing_status, ProcessingStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn what_is_pending_is_written_after_its_etljob_is_forgotten() {
    let (mirror, ledger) = (Mirror::default(), FakeLedger::default());
    let row = record(1, 5);
    mirror.offer(row.clone());
    mirror.forget(&row.uid);
    drain(&mirror, &ledger).await;
    assert!(ledger.row(&row.file_id).is_some());
    assert_eq!(mirror.written(&row.uid, row.run), None);
}

#[tokio::test(start_paused = true)]
async fn before_a_stop_a_ledger_that_is_back_is_tried_at_once() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.set_down(true);
    mirror.offer(record(1, 1));
    let mut task = start(&mirror, &ledger);
    // Long enough for the longest backoff.
    sleep(Duration::from_secs(600)).await;
    mirror.drain();
    sleep(Duration::from_secs(2)).await;
    let tries = ledger.tries();
    ledger.set_down(false);
    tokio::time::timeout(Duration::from_secs(1), &mut task)
        .await
        .unwrap()
        .unwrap();
    assert!(ledger.tries() > tries && mirror.figures().backlog == 0);
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_more_writes_nothing_and_the_next_term_writes_all() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    let (crown, leadership) = Leadership::contested();
    let task = {
        let (mirror, ledger) = (Arc::clone(&mirror), Arc::clone(&ledger));
        tokio::spawn(async move { mirror.run(ledger.as_ref(), &leadership).await })
    };
    mirror.offer(record(1, 3));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(mirror.figures().backlog, 0);
    assert!(ledger.row(&record(1, 3).file_id).is_none());
    crown.hold(Instant::now() + Duration::from_secs(10));
    // The very record that was dropped is accepted again.
    mirror.offer(record(1, 3));
    mirror.drain();
    task.await.unwrap();
    assert!(ledger.row(&record(1, 3).file_id).is_some());
}
