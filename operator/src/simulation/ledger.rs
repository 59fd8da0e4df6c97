//! A ledger with outages and other trouble.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use etl_api::EtlJob;
use etl_core::ledger::{LedgerRecord, ProcessingStatus};
use kube::ResourceExt;

use super::cluster::FakeCluster;
use super::fixture;
use crate::cache::Resident;
use crate::clock::Clock;
use crate::cluster::ApiError;
use crate::lease::Leadership;
use crate::ledger::census::Residents;
use crate::ledger::keeper;
use crate::ledger::mirror::Mirror;
use crate::ledger::repair::Repair;
use crate::ledger::{Cause, Change, Finding, Ledger, LedgerError, Made, Mark, OpenRow, Page};

/// Between two comparisons of all rows.
pub const REPAIR_INTERVAL: Duration = Duration::from_secs(3600);

/// Rows on a page.
const PAGE: usize = 10;

#[derive(Default)]
pub struct FakeLedger {
    pub rows: Mutex<BTreeMap<String, LedgerRecord>>,
    /// Rows that cannot be written, whatever happens.
    pub poisoned: Mutex<Vec<String>>,
    /// Rows that the ledger finds invalid.
    pub refused: Mutex<Vec<String>>,
    /// Rows that are not read when they are asked for the first time.
    pub shy: Mutex<BTreeSet<String>>,
    /// Rows whose revision somebody has made unreadable.
    pub defaced: Mutex<BTreeSet<String>>,
    pub trouble: Mutex<Trouble>,
    pub seen: Mutex<Seen>,
}

/// What is wrong with all of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// Why nothing gets an answer.
    pub down: Option<Cause>,
    /// Why nothing can be read.
    pub unreadable: Option<Cause>,
    /// Of ten requests so many are throttled.
    pub throttled: u32,
    /// Every write takes effect, but its answer is lost.
    pub forgets_answers: bool,
    /// It takes down whoever asks.
    pub panics: bool,
    /// How long an answer takes.
    pub latency: Duration,
}

impl Trouble {
    /// It is not there.
    pub fn away() -> Self {
        Trouble {
            down: Some(Cause::Unreachable),
            ..Trouble::default()
        }
    }

    /// It takes requests and never answers.
    pub fn stuck() -> Self {
        Trouble {
            latency: Duration::from_secs(365 * 86_400),
            ..Trouble::default()
        }
    }
}

/// What it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub writes: u32,
    pub reads: u32,
}

impl FakeLedger {
    pub fn set_down(&self, down: bool) {
        self.trouble.lock().unwrap().down = down.then_some(Cause::Unreachable);
    }

    pub fn row(&self, file_id: &str) -> Option<LedgerRecord> {
        self.rows.lock().unwrap().get(file_id).cloned()
    }

    /// Writes that were tried.
    pub fn tries(&self) -> u32 {
        self.seen().writes
    }

    pub fn seen(&self) -> Seen {
        *self.seen.lock().unwrap()
    }

    /// Somebody else changes a row.
    pub fn tamper(&self, file_id: &str, change: impl FnOnce(&mut LedgerRecord)) {
        change(self.rows.lock().unwrap().get_mut(file_id).expect("the row"));
    }

    async fn answer(&self, reads: bool) -> Result<(), LedgerError> {
        let number = {
            let mut seen = self.seen.lock().unwrap();
            if reads {
                seen.reads += 1;
            } else {
                seen.writes += 1;
            }
            seen.reads + seen.writes
        };
        let trouble = *self.trouble.lock().unwrap();
        assert!(!trouble.panics, "as told");
        tokio::time::sleep(trouble.latency).await;
        let throttled = (number % 10 < trouble.throttled).then_some(Cause::Throttled);
        let unreadable = trouble.unreadable.filter(|_| reads);
        match trouble.down.or(unreadable).or(throttled) {
            Some(cause) => Err(error(cause)),
            None => Ok(()),
        }
    }

    fn apply(&self, change: &Change) -> Made {
        let mut rows = self.rows.lock().unwrap();
        let mut defaced = self.defaced.lock().unwrap();
        let file_id = change.file_id();
        let row = rows.get(file_id);
        let revision = row
            .filter(|_| !defaced.contains(file_id))
            .map(|row| row.revision);
        let allowed = match change {
            Change::Write(record) => {
                row.is_none() || revision.is_some_and(|revision| revision < record.revision)
            }
            Change::Mend(record) => revision.is_none_or(|revision| revision <= record.revision),
            Change::Close(closing) => {
                row.is_some_and(|row| row.processing_status == ProcessingStatus::InProgress)
                    && (closing.seen.is_none() || closing.seen == revision)
            }
        };
        if !allowed {
            return Made::Superseded;
        }
        defaced.remove(file_id);
        match change {
            Change::Write(record) | Change::Mend(record) => {
                rows.insert(file_id.to_owned(), record.clone());
            }
            Change::Close(closing) => {
                let row = rows.get_mut(file_id).expect("it is in progress");
                row.processing_status = ProcessingStatus::Cancelled;
                row.end_time = Some(closing.time);
                row.updated_at = closing.time;
                row.error_message = Some(closing.reason.to_owned());
                row.revision = closing.revision;
            }
        }
        Made::Stored
    }
}

fn error(cause: Cause) -> LedgerError {
    LedgerError {
        action: "do it".into(),
        cause,
        code: cause.as_str().into(),
        message: "as told".into(),
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn make(&self, change: &Change) -> Result<Made, LedgerError> {
        self.answer(false).await?;
        let is = |rows: &Mutex<Vec<String>>| {
            rows.lock()
                .unwrap()
                .iter()
                .any(|row| row == change.file_id())
        };
        if is(&self.poisoned) {
            return Err(error(Cause::Unavailable));
        }
        if is(&self.refused) {
            return Err(error(Cause::Refused));
        }
        let made = self.apply(change);
        if self.trouble.lock().unwrap().forgets_answers {
            return Err(error(Cause::Unreachable));
        }
        Ok(made)
    }

    async fn compare(&self, records: &[LedgerRecord]) -> Result<Vec<Finding>, LedgerError> {
        self.answer(true).await?;
        let (rows, defaced) = (self.rows.lock().unwrap(), self.defaced.lock().unwrap());
        let mut shy = self.shy.lock().unwrap();
        let mut finding = |record: &LedgerRecord| match rows.get(&record.file_id) {
            _ if shy.remove(&record.file_id) => Finding::Unread,
            None => Finding::Missing,
            Some(row) if defaced.contains(&row.file_id) => Finding::Damaged,
            Some(row) if row.revision < record.revision => Finding::Older,
            Some(row) if row.revision > record.revision => Finding::Newer,
            Some(row) if row == record => Finding::Same,
            Some(_) => Finding::Damaged,
        };
        Ok(records.iter().map(&mut finding).collect())
    }

    async fn open_rows(&self, after: Option<Mark>) -> Result<Page, LedgerError> {
        self.answer(true).await?;
        let rows = self.rows.lock().unwrap();
        let after = after.map(|mark| mark.file_id);
        let open = |row: &&LedgerRecord| row.processing_status == ProcessingStatus::InProgress;
        let mut left = rows
            .values()
            .filter(open)
            .filter(|row| after.as_ref().is_none_or(|after| row.file_id > *after));
        let defaced = self.defaced.lock().unwrap();
        let page: Vec<OpenRow> = left
            .by_ref()
            .take(PAGE)
            .map(|row| OpenRow {
                file_id: row.file_id.clone(),
                revision: (!defaced.contains(&row.file_id)).then_some(row.revision),
            })
            .collect();
        let last = page.last().filter(|_| left.next().is_some());
        let next = last.map(|last| Mark {
            file_id: last.file_id.clone(),
            updated_at: String::new(),
        });
        Ok(Page { rows: page, next })
    }
}

/// What the API server holds, with caches that are always up to date.
#[async_trait]
impl Residents for FakeCluster {
    async fn listed(&self) -> Vec<Resident> {
        self.state().etljob.iter().map(Resident::from).collect()
    }

    fn get(&self, namespace: &str, name: &str) -> Option<Arc<EtlJob>> {
        let is =
            |job: &EtlJob| job.namespace().as_deref() == Some(namespace) && job.name_any() == name;
        self.state().etljob.clone().filter(is).map(Arc::new)
    }

    async fn live_uid(&self, namespace: &str, name: &str) -> Result<Option<String>, ApiError> {
        Ok(self.get(namespace, name).and_then(|job| job.uid()))
    }
}

/// Keeps the ledger as the process does, for as long as it is polled.
pub async fn keep(
    mirror: &Mirror,
    ledger: &FakeLedger,
    residents: &dyn Residents,
    leadership: &Leadership,
    clock: Clock,
) {
    let repair = Repair {
        mirror,
        ledger,
        residents,
        leadership,
        settings: &fixture::settings(),
        namespaces: &[],
        clock,
        interval: REPAIR_INTERVAL,
    };
    keeper::keep(&repair).await;
}
