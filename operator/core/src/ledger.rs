//! The ledger: one record per run, projected from the status.
//!
//! Attribute names are those of the pipeline that the product replaces, so
//! that existing queries go on working. The ledger follows the resource and is
//! never read for a decision.

use etl_api::{ConditionType, EtlJob, EtlJobStatus, Run, RunRecord};
use etl_contract::{Category, truncate};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use crate::conditions::is_true;
use crate::settings::Settings;
use crate::work::namespace;

/// Longest `error_message`, in bytes.
const MESSAGE_LIMIT: usize = 1024;

/// Why a row was ended whose EtlJob is gone.
const DELETED: &str = "deleted before its end was recorded";

/// Why a row was ended whose EtlJob has gone on.
const FORGOTTEN: &str = "newer runs began before its end was recorded";

/// Where a run stands, as the original system named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProcessingStatus {
    /// Not ended.
    InProgress,
    /// Ended with a complete output.
    Completed,
    /// Ended without.
    Failed,
    /// Ended on request, or for other work; or the EtlJob was deleted before the
    /// end was recorded.
    Cancelled,
}

impl ProcessingStatus {
    /// As it stands in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProcessingStatus::InProgress => "IN_PROGRESS",
            ProcessingStatus::Completed => "COMPLETED",
            ProcessingStatus::Failed => "FAILED",
            ProcessingStatus::Cancelled => "CANCELLED",
        }
    }
}

/// One run. Times are RFC 3339 with milliseconds, sizes bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// Key: `<cluster>/<namespace>/<name>/<uid>/<run>`.
    pub file_id: String,
    /// `spec.source.uri`.
    pub source_file_path: String,
    /// First output object, else `spec.output.uri`.
    pub output_file_path: String,
    /// Where the run stands.
    pub processing_status: ProcessingStatus,
    /// Start of the run.
    pub start_time: Timestamp,
    /// Its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    /// Rows written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_count: Option<i64>,
    /// Size of the source objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size_bytes: Option<i64>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Start of the run: when the row was first due.
    pub created_at: Timestamp,
    /// Time of the revision.
    pub updated_at: Timestamp,
    /// `<cluster>/<namespace>/<name>`.
    pub job: String,
    /// Namespace of the EtlJob.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Number of the run.
    pub run: u32,
    /// Ordinal of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Category of the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// URI of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Totals of the complete run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<etl_api::Statistics>,
    /// Grows with every change; an older one never replaces a newer one.
    pub revision: i64,
}

/// The next revision: never goes back, not even after an etcd restore or on a
/// clock that does.
pub fn next_revision(previous: Option<i64>, now: Timestamp) -> i64 {
    previous
        .map_or(0, |previous| previous.saturating_add(1))
        .max(now.as_millisecond())
}

/// The records of all runs that the status knows, oldest first. Empty before
/// the first run.
pub fn records(job: &EtlJob, settings: &Settings) -> Vec<LedgerRecord> {
    let Some(status) = &job.status else {
        return Vec::new();
    };
    let Some(revision) = status.revision else {
        return Vec::new();
    };
    let identity = Identity {
        job,
        settings,
        revision,
    };
    let closed = status.runs.iter().map(|run| identity.closed(run));
    let present = status.run.as_ref().map(|run| identity.present(run, status));
    closed.chain(present).collect()
}

/// The record of a run whose EtlJob was deleted before the end was recorded;
/// `None` if the run had ended.
pub fn cancelled(job: &EtlJob, settings: &Settings, now: Timestamp) -> Option<LedgerRecord> {
    let record = records(job, settings).pop()?;
    (record.processing_status == ProcessingStatus::InProgress).then(|| LedgerRecord {
        processing_status: ProcessingStatus::Cancelled,
        end_time: Some(crate::retry::millis(now)),
        error_message: Some(DELETED.to_owned()),
        revision: next_revision(Some(record.revision), now),
        updated_at: crate::retry::millis(now),
        ..record
    })
}

/// The parts of a row's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKey<'a> {
    /// Id of the cluster that the row belongs to.
    pub cluster: &'a str,
    /// Namespace of the EtlJob.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// Number of the run.
    pub run: u32,
}

impl<'a> RowKey<'a> {
    /// Takes `file_id` apart; `None` if it is not the key of a run's row.
    ///
    /// ```
    /// use etl_core::ledger::RowKey;
    ///
    /// let key = RowKey::parse("prod-eu/data/trips/0b5e/2").expect("a key");
    /// assert_eq!((key.cluster, key.name, key.run), ("prod-eu", "trips", 2));
    /// assert_eq!(RowKey::parse("trips.parquet"), None);
    /// ```
    pub fn parse(file_id: &'a str) -> Option<Self> {
        let mut parts = file_id.split('/');
        let key = RowKey {
            cluster: parts.next()?,
            namespace: parts.next()?,
            name: parts.next()?,
            uid: parts.next()?,
            run: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(key)
    }
}

/// The end of a row in progress whose run nobody will tell of any more. It
/// leaves everything else of the row as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Key of the row.
    pub file_id: String,
    /// Revision that the row had when this was decided, if it had one that can
    /// be read. The row is left alone if it has another one by now.
    pub seen: Option<i64>,
    /// Revision that it gets.
    pub revision: i64,
    /// When this was decided.
    pub time: Timestamp,
    /// Why.
    pub reason: &'static str,
}

impl Closing {
    /// Ends the row `file_id`, which was seen with the revision `seen`, if its
    /// run has no future: if `job`, the EtlJob with the uid in the key, is gone,
    /// or has begun newer runs and remembers nothing of this one. `None` if the
    /// run's end may yet be recorded.
    pub fn decide(
        file_id: &str,
        seen: Option<i64>,
        job: Option<&EtlJob>,
        now: Timestamp,
    ) -> Option<Self> {
        let key = RowKey::parse(file_id)?;
        let reason = match job {
            None => DELETED,
            Some(job) if forgotten(job, key.run) => FORGOTTEN,
            Some(_) => return None,
        };
        Some(Closing {
            file_id: file_id.to_owned(),
            seen,
            revision: next_revision(seen, now),
            time: crate::retry::millis(now),
            reason,
        })
    }
}

/// Whether the status knows newer runs only.
fn forgotten(job: &EtlJob, run: u32) -> bool {
    let status = job.status.as_ref();
    let oldest = status.and_then(|status| {
        let closed = status.runs.iter().map(|closed| closed.number);
        closed
            .chain(status.run.as_ref().map(|run| run.number))
            .min()
    });
    oldest.is_some_and(|oldest| run < oldest)
}

/// What became of a run with this result.
fn ended(result: &str) -> ProcessingStatus {
    if result == "Complete" {
        ProcessingStatus::Completed
    } else if result == Category::Cancelled.as_str() {
        ProcessingStatus::Cancelled
    } else {
        ProcessingStatus::Failed
    }
}

struct Identity<'a> {
    job: &'a EtlJob,
    settings: &'a Settings,
    revision: i64,
}

impl Identity<'_> {
    fn base(&self, run: u32, start_time: Timestamp, revision: i64) -> LedgerRecord {
        let namespace = namespace(self.job);
        let job = format!(
            "{}/{namespace}/{}",
            self.settings.cluster,
            self.job.name_any()
        );
        let uid = self.job.uid().unwrap_or_default();
        LedgerRecord {
            file_id: format!("{job}/{uid}/{run}"),
            source_file_path: self.job.spec.source.uri.clone(),
            output_file_path: self.job.spec.output.uri.clone(),
            processing_status: ProcessingStatus::InProgress,
            start_time,
            end_time: None,
            record_count: None,
            file_size_bytes: None,
            error_message: None,
            created_at: start_time,
            updated_at: Timestamp::from_millisecond(revision).unwrap_or(start_time),
            job,
            namespace,
            uid,
            run,
            attempt: None,
            category: None,
            manifest: None,
            statistics: None,
            revision,
        }
    }

    fn closed(&self, run: &RunRecord) -> LedgerRecord {
        let processing_status = ended(&run.result);
        let complete = processing_status == ProcessingStatus::Completed;
        let base = self.base(run.number, run.start_time, run.revision);
        let output = run.output.as_ref();
        LedgerRecord {
            processing_status,
            end_time: Some(run.completion_time),
            error_message: (!run.message.is_empty()).then(|| run.message.clone()),
            category: (!complete).then(|| run.result.clone()),
            attempt: Some(run.attempt),
            record_count: run.statistics.map(|s| s.rows_written),
            file_size_bytes: run.statistics.map(|s| s.source_bytes),
            statistics: run.statistics,
            manifest: output.map(|output| output.manifest_uri.clone()),
            source_file_path: run
                .source_uri
                .clone()
                .unwrap_or_else(|| base.source_file_path.clone()),
            output_file_path: output
                .and_then(|output| output.first_object_uri.clone())
                .or_else(|| run.output_uri.clone())
                .unwrap_or_else(|| base.output_file_path.clone()),
            ..base
        }
    }

    fn present(&self, run: &Run, status: &EtlJobStatus) -> LedgerRecord {
        let processing_status = match (&run.completion_time, &run.outcome) {
            (None, _) => ProcessingStatus::InProgress,
            (Some(_), Some(outcome)) => ended(&outcome.result),
            // Ended under a version that did not write it down.
            (Some(_), None) if is_true(status, ConditionType::Complete) => {
                ProcessingStatus::Completed
            }
            (Some(_), None) => ProcessingStatus::Failed,
        };
        let last = status.attempts.last().map(|attempt| attempt.number);
        let base = self.base(run.number, run.start_time, self.revision);
        LedgerRecord {
            processing_status,
            end_time: run.completion_time,
            record_count: status.statistics.map(|s| s.rows_written),
            file_size_bytes: status.statistics.map(|s| s.source_bytes),
            error_message: status.last_failure.as_ref().map(|failure| {
                let mut message = failure.message.clone();
                truncate(&mut message, MESSAGE_LIMIT);
                message
            }),
            attempt: status
                .attempt
                .as_ref()
                .map(|attempt| attempt.number)
                .or(last),
            category: status
                .last_failure
                .as_ref()
                .map(|failure| failure.category.clone()),
            manifest: status
                .output
                .as_ref()
                .map(|output| output.manifest_uri.clone()),
            output_file_path: status
                .output
                .as_ref()
                .and_then(|output| output.first_object_uri.clone())
                .or_else(|| run.output_uri.clone())
                .unwrap_or_else(|| base.output_file_path.clone()),
            source_file_path: run
                .source_uri
                .clone()
                .unwrap_or_else(|| base.source_file_path.clone()),
            statistics: status.statistics,
            ..base
        }
    }
}
