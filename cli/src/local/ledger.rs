//! The ledger as a file: one JSON object per line, one line per run, the same
//! record as in DynamoDB.
//!
//! A write replaces the file by a new one, under a lock of its own: a reader
//! sees the old file or the new one, and two runners at once lose nothing.
//! Lines that are no records, of a newer version or of somebody's hand, stay as
//! they are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use etl_core::ledger::LedgerRecord;
use serde::Deserialize;

/// Why the ledger does not have the newest record. The work goes on without.
#[derive(Debug, thiserror::Error)]
#[error("the ledger {} cannot be written: {source}; name another file with --ledger", path.display())]
pub struct LedgerError {
    path: PathBuf,
    source: io::Error,
}

/// A ledger file. It need not exist before the first write.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

/// What a line must tell to be compared.
#[derive(Deserialize)]
struct Key {
    file_id: String,
    revision: i64,
}

impl Ledger {
    /// The ledger in `path`.
    pub fn new(path: PathBuf) -> Self {
        Ledger { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes each record unless the file holds a revision that is as new.
    pub fn put(&self, records: &[LedgerRecord]) -> Result<(), LedgerError> {
        self.replace(records).map_err(|source| LedgerError {
            path: self.path.clone(),
            source,
        })
    }

    fn replace(&self, records: &[LedgerRecord]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Held until the file is closed at the end.
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(&self.path, ".lock"))?;
        lock.lock()?;
        let present = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let Some(text) = merged(&present, records)? else {
            return Ok(());
        };
        let staged = beside(&self.path, ".new");
        let mut file = File::create(&staged)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(staged, &self.path)
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The lines with `records` among them, a known run in its old place; nothing
/// if no record is newer.
fn merged(present: &str, records: &[LedgerRecord]) -> io::Result<Option<String>> {
    let mut lines: Vec<(Option<Key>, String)> = present
        .lines()
        .map(|line| (serde_json::from_str(line).ok(), line.to_owned()))
        .collect();
    let mut changed = false;
    for record in records {
        let known = lines.iter_mut().find(|(key, _)| {
            key.as_ref()
                .is_some_and(|key| key.file_id == record.file_id)
        });
        let newer = |key: &Key| record.revision > key.revision;
        if known
            .as_ref()
            .is_some_and(|(key, _)| !key.as_ref().is_some_and(newer))
        {
            continue;
        }
        let key = Key {
            file_id: record.file_id.clone(),
            revision: record.revision,
        };
        let line = (Some(key), serde_json::to_string(record)?);
        match known {
            Some(place) => *place = line,
            None => lines.push(line),
        }
        changed = true;
    }
    Ok(changed.then(|| lines.into_iter().map(|(_, line)| line + "\n").collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use etl_core::ledger::ProcessingStatus;
    use jiff::Timestamp;

    fn record(run: u32, revision: i64, status: ProcessingStatus) -> LedgerRecord {
        LedgerRecord {
            file_id: format!("local/default/taxi/u/{run}"),
            source_file_path: "file:///in/a.parquet".into(),
            output_file_path: "file:///out/".into(),
            processing_status: status,
            start_time: Timestamp::UNIX_EPOCH,
            end_time: None,
            record_count: None,
            file_size_bytes: None,
            error_message: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            job: "local/default/taxi".into(),
            namespace: "default".into(),
            uid: "u".into(),
            run,
            attempt: None,
            category: None,
            manifest: None,
            statistics: None,
            revision,
        }
    }

    fn rows(ledger: &Ledger) -> Vec<(u32, i64, ProcessingStatus)> {
        fs::read_to_string(ledger.path())
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<LedgerRecord>(line).unwrap())
            .map(|record| (record.run, record.revision, record.processing_status))
            .collect()
    }

    #[test]
    fn a_newer_revision_replaces_and_an_older_or_equal_one_does_not() {
        use ProcessingStatus::{Completed, Failed, InProgress};
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path().join("deep/er/ledger.jsonl"));
        ledger
            .put(&[record(1, 10, InProgress), record(2, 10, InProgress)])
            .unwrap();
        ledger.put(&[record(1, 11, Completed)]).unwrap();
        ledger
            .put(&[record(1, 11, Failed), record(2, 9, Failed)])
            .unwrap();
        assert_eq!(rows(&ledger), [(1, 11, Completed), (2, 10, InProgress)]);
    }

    #[test]
    fn lines_that_are_no_records_stay() {
        let present = "# mine\n{\"file_id\":7}\n";
        let text = merged(present, &[record(1, 1, ProcessingStatus::Failed)])
            .unwrap()
            .unwrap();
        assert!(text.starts_with(present), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn two_writers_at_once_lose_no_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        std::thread::scope(|scope| {
            for writer in 0..4u32 {
                let ledger = Ledger::new(path.clone());
                scope.spawn(move || {
                    for run in 0..20 {
                        let record = record(writer * 100 + run, 1, ProcessingStatus::InProgress);
                        ledger.put(&[record]).unwrap();
                    }
                });
            }
        });
        assert_eq!(rows(&Ledger::new(path)).len(), 80);
    }

    #[test]
    fn a_ledger_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let ledger = Ledger::new(file.join("ledger.jsonl"));
        let error = ledger
            .put(&[record(1, 1, ProcessingStatus::Failed)])
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("file/ledger.jsonl cannot be written"),
            "{error}"
        );
    }
}
