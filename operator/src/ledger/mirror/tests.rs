use std::sync::Arc;

use etl_core::ledger::records;

use super::*;
use crate::simulation::fixture;
use crate::simulation::ledger::FakeLedger;

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
    assert_eq!(mirror.written(&row.uid, &row.file_id), Some(9));
    // What is known to be there is not written again.
    mirror.offer(record(1, 9));
    drain(&mirror, &ledger).await;
    assert_eq!(ledger.tries(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_newer_row_of_another_writer_stays() {
    let (mirror, ledger) = (Mirror::default(), FakeLedger::default());
    ledger.write(&record(1, 9)).await.unwrap();
    mirror.offer(record(1, 5));
    drain(&mirror, &ledger).await;
    let row = ledger.row(&record(1, 5).file_id).unwrap();
    assert_eq!((row.revision, mirror.backlog()), (9, 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_offered_while_an_older_one_is_failing_takes_its_place() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.set_down(true);
    mirror.offer(record(1, 1));
    let task = start(&mirror, &ledger);
    sleep(Duration::from_secs(5)).await;
    mirror.offer(record(1, 2));
    assert_eq!(mirror.backlog(), 1);
    ledger.set_down(false);
    mirror.drain();
    task.await.unwrap();
    assert_eq!(ledger.row(&record(1, 1).file_id).unwrap().revision, 2);
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
    assert_eq!(mirror.backlog(), 1);
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
        assert_eq!(mirror.backlog(), 0);
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_away_is_not_asked_for_every_row_at_once() {
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.set_down(true);
    for run in 0..5000 {
        mirror.offer(record(run, 1));
    }
    let task = start(&mirror, &ledger);
    sleep(Duration::from_secs(60)).await;
    let tries = ledger.tries() as usize;
    assert!(tries <= BATCH * 121, "{tries} tries in a minute");
    ledger.set_down(false);
    sleep(Duration::from_secs(31)).await;
    assert_eq!(
        (mirror.backlog(), ledger.rows.lock().unwrap().len()),
        (0, 5000)
    );
    task.abort();
}

/// Log lines of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn with(&self, words: &[&str]) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let has = |line: &&str| words.iter().all(|word| line.contains(word));
        text.lines().filter(has).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_row_is_told_of_once_for_each_change_and_an_outage_now_and_then() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    let file_id = record(1, 1).file_id;
    ledger.refused.lock().unwrap().push(file_id.clone());
    let task = start(&mirror, &ledger);
    let refusal = [
        "ERROR",
        file_id.as_str(),
        "the key is empty",
        "docs/ledger.md",
    ];
    for change in 1..=3 {
        mirror.offer(record(1, change));
        sleep(Duration::from_secs(600)).await;
        assert_eq!(lines.with(&refusal), usize::try_from(change).unwrap());
    }
    assert_eq!(lines.with(&["the ledger is behind"]), 0);
    ledger.set_down(true);
    for run in 2..100 {
        mirror.offer(record(run, 1));
    }
    sleep(Duration::from_secs(600)).await;
    let told = lines.with(&["WARN", "the ledger is behind"]);
    assert!((5..=20).contains(&told), "{told} lines");
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
async fn what_is_pending_is_written_after_its_etljob_is_forgotten() {
    let (mirror, ledger) = (Mirror::default(), FakeLedger::default());
    let row = record(1, 5);
    mirror.offer(row.clone());
    mirror.forget(&row.uid);
    drain(&mirror, &ledger).await;
    assert!(ledger.row(&row.file_id).is_some());
    assert_eq!(mirror.written(&row.uid, &row.file_id), None);
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
    assert!(ledger.tries() > tries && mirror.backlog() == 0);
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
    assert_eq!(mirror.backlog(), 0);
    assert!(ledger.row(&record(1, 3).file_id).is_none());
    crown.hold(Instant::now() + Duration::from_secs(10));
    // The very record that was dropped is accepted again.
    mirror.offer(record(1, 3));
    mirror.drain();
    task.await.unwrap();
    assert!(ledger.row(&record(1, 3).file_id).is_some());
}
