//! The ledger follows the resources. What a pass leaves in a status is offered
//! to the mirror, which writes it when the ledger can be reached; the repair
//! compares what is there with what should be, at the start of a term and from
//! time to time. Never read for a decision about work.

pub mod breaker;
pub mod census;
pub mod dynamodb;
pub mod figures;
pub mod keeper;
mod known;
mod line;
pub mod mirror;
pub mod pace;
mod queue;
pub mod repair;

use std::fmt;

use async_trait::async_trait;
use etl_core::ledger::{Closing, LedgerRecord};

/// Most records that one [`Ledger::compare`] takes: what DynamoDB reads at once.
pub const COMPARE_LIMIT: usize = 100;

/// Where records are kept.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Makes one change. One whose answer was lost can be made again.
    async fn make(&self, change: &Change) -> Result<Made, LedgerError>;

    /// How the rows of up to [`COMPARE_LIMIT`] records compare with them, in
    /// the same order.
    async fn compare(&self, records: &[LedgerRecord]) -> Result<Vec<Finding>, LedgerError>;

    /// Rows that are in progress, whosever they are, one page at a time from
    /// `after`, or from the first.
    async fn open_rows(&self, after: Option<Mark>) -> Result<Page, LedgerError>;
}

/// A change of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The row becomes this record, unless it has its revision or a higher one.
    Write(LedgerRecord),
    /// The row becomes this record, unless it has a higher revision. For a row
    /// that is not what its revision says.
    Mend(LedgerRecord),
    /// The row is ended, if it is as it was when that was decided.
    Close(Closing),
}

impl Change {
    /// Key of the row.
    pub fn file_id(&self) -> &str {
        match self {
            Change::Write(record) | Change::Mend(record) => &record.file_id,
            Change::Close(closing) => &closing.file_id,
        }
    }

    /// Revision that the row gets.
    pub fn revision(&self) -> i64 {
        match self {
            Change::Write(record) | Change::Mend(record) => record.revision,
            Change::Close(closing) => closing.revision,
        }
    }
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The row is as the change wants it.
    Stored,
    /// The row was that already, or is newer.
    Superseded,
}

/// What a row is, beside the record that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is none.
    Missing,
    /// It has a lower revision.
    Older,
    /// It is the record.
    Same,
    /// It has the record's revision and other content, or no revision at all.
    Damaged,
    /// It has a higher revision.
    Newer,
    /// The ledger was too busy to say.
    Unread,
}

/// Some rows in progress.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<OpenRow>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Mark>,
}

/// A row in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRow {
    /// Its key.
    pub file_id: String,
    /// Its revision, if it has one that can be read.
    pub revision: Option<i64>,
}

/// A place between two pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Key of the last row before it.
    pub file_id: String,
    /// Its `updated_at`, by which rows in progress are sorted.
    pub updated_at: String,
}

/// A request that failed or whose outcome is unknown.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {action}: {code}: {message}")]
pub struct LedgerError {
    /// What was asked for, with the row's key if it was about one.
    pub action: String,
    /// Its class.
    pub cause: Cause,
    /// Code of the service, or `Transport`.
    pub code: String,
    /// Its words.
    pub message: String,
}

/// Why a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// There was no answer.
    Unreachable,
    /// The service has trouble of its own.
    Unavailable,
    /// More was asked for than the table is provisioned for.
    Throttled,
    /// The operator's identity may not do it, or is not known.
    Denied,
    /// There is no such table.
    NoTable,
    /// The service finds this very request invalid: only a change of it, or of
    /// the table, can help.
    Refused,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 6] = [
        Cause::Unreachable,
        Cause::Unavailable,
        Cause::Throttled,
        Cause::Denied,
        Cause::NoTable,
        Cause::Refused,
    ];

    /// As it stands in logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Unreachable => "Unreachable",
            Cause::Unavailable => "Unavailable",
            Cause::Throttled => "Throttled",
            Cause::Denied => "Denied",
            Cause::NoTable => "NoTable",
            Cause::Refused => "Refused",
        }
    }

    /// Whether every other request is likely to fail for it too.
    pub const fn is_shared(self) -> bool {
        match self {
            Cause::Unreachable
            | Cause::Unavailable
            | Cause::Throttled
            | Cause::Denied
            | Cause::NoTable => true,
            Cause::Refused => false,
        }
    }

    /// Whether nothing but somebody's help ends it.
    pub const fn is_lasting(self) -> bool {
        match self {
            Cause::Denied | Cause::NoTable | Cause::Refused => true,
            Cause::Unreachable | Cause::Unavailable | Cause::Throttled => false,
        }
    }

    /// What somebody who reads of it can do.
    pub const fn advice(self) -> &'static str {
        match self {
            Cause::Unreachable => {
                "nothing is lost; if it lasts, check the way to DynamoDB and ledger.endpointUrl"
            }
            Cause::Unavailable => "nothing is lost; the service has trouble of its own",
            Cause::Throttled => {
                "raise the table's capacity, or lower ledger.writesPerSecond to what it bears"
            }
            Cause::Denied => {
                "the operator's role needs dynamodb:UpdateItem and BatchGetItem on the table and \
                 dynamodb:Query on its status-index: see docs/ledger.md"
            }
            Cause::NoTable => "create the table, or correct ledger.tableName: see docs/ledger.md",
            Cause::Refused => "compare the table's key and indexes with docs/ledger.md",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
