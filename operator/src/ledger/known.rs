//! What is known of rows without asking the ledger.

use std::collections::HashMap;

use etl_core::ledger::LedgerRecord;

/// By uid of the EtlJob; few runs each.
#[derive(Debug, Default)]
pub struct Known(HashMap<String, Vec<Row>>);

#[derive(Debug)]
struct Row {
    run: u32,
    /// Revision that the row is known to have at least.
    written: Option<i64>,
    /// Its end as cancelled was offered; nothing comes after that.
    cancelled: bool,
}

impl Known {
    /// Revision that the row of a run is known to have at least.
    pub fn written(&self, uid: &str, run: u32) -> Option<i64> {
        self.row(uid, run)?.written
    }

    /// Whether anything was ever known or asked of the row.
    pub fn contains(&self, uid: &str, run: u32) -> bool {
        self.row(uid, run).is_some()
    }

    /// Whether writing `record` may change its row.
    pub fn is_news(&self, record: &LedgerRecord) -> bool {
        self.row(&record.uid, record.run)
            .is_none_or(|row| !row.cancelled && row.written < Some(record.revision))
    }

    /// A record is on its way, perhaps the last one: its end as cancelled.
    pub fn offered(&mut self, uid: &str, run: u32, cancelled: bool) {
        self.entry(uid, run).cancelled |= cancelled;
    }

    /// The row has at least this revision.
    pub fn holds(&mut self, uid: &str, run: u32, revision: i64) {
        let row = self.entry(uid, run);
        row.written = row.written.max(Some(revision));
    }

    /// The same, unless the EtlJob was forgotten meanwhile.
    pub fn stored(&mut self, uid: &str, run: u32, revision: i64) {
        if self.contains(uid, run) {
            self.holds(uid, run, revision);
        }
    }

    /// The row is not what it was thought to be.
    pub fn doubt(&mut self, uid: &str, run: u32) {
        self.entry(uid, run).written = None;
    }

    /// The EtlJob is gone.
    pub fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn row(&self, uid: &str, run: u32) -> Option<&Row> {
        self.0.get(uid)?.iter().find(|row| row.run == run)
    }

    fn entry(&mut self, uid: &str, run: u32) -> &mut Row {
        if !self.0.contains_key(uid) {
            self.0.insert(uid.to_owned(), Vec::with_capacity(1));
        }
        let rows = self.0.entry(uid.to_owned()).or_default();
        let index = rows.iter().position(|row| row.run == run);
        let index = index.unwrap_or_else(|| {
            rows.push(Row {
                run,
                written: None,
                cancelled: false,
            });
            rows.len() - 1
        });
        &mut rows[index]
    }
}
