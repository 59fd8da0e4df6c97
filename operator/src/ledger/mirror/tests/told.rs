//! What people are told, and how often.

use super::*;

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
    fn watch(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn with(&self, words: &[&str]) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let has = |line: &&str| words.iter().all(|word| line.contains(word));
        text.lines().filter(has).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_row_is_told_of_once_for_each_change_and_an_outage_once() {
    let lines = Lines::default();
    let _guard = lines.watch();
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    let file_id = record(1, 1).file_id;
    ledger.refused.lock().unwrap().push(file_id.clone());
    let task = start(&mirror, &ledger);
    let refusal = ["ERROR", file_id.as_str(), "Refused", "docs/ledger.md"];
    for change in 1..=3 {
        mirror.offer(record(1, change));
        sleep(Duration::from_secs(600)).await;
        assert_eq!(lines.with(&refusal), usize::try_from(change).unwrap());
    }
    assert_eq!(lines.with(&["WARN"]), 0);
    ledger.set_down(true);
    for run in 2..100 {
        mirror.offer(record(run, 1));
    }
    sleep(Duration::from_secs(600)).await;
    assert_eq!(
        lines.with(&["WARN", "the ledger is away", "Unreachable", "rows=99"]),
        1
    );
    ledger.set_down(false);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(lines.with(&["INFO", "the ledger is back"]), 1);
    assert_eq!(lines.with(&["WARN"]), 1);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_row_that_fails_alone_is_told_of_now_and_then() {
    let lines = Lines::default();
    let _guard = lines.watch();
    let (mirror, ledger) = (Arc::new(Mirror::default()), Arc::new(FakeLedger::default()));
    ledger.poisoned.lock().unwrap().push(record(1, 1).file_id);
    mirror.offer(record(1, 1));
    let task = start(&mirror, &ledger);
    sleep(Duration::from_secs(600)).await;
    let told = lines.with(&["WARN", "a row cannot be written", &record(1, 1).file_id]);
    assert!((5..=20).contains(&told), "{told} lines");
    task.abort();
}
