//! The ledger follows the resources: what a pass leaves in a status is
//! offered to the mirror, which writes it when the ledger can be reached.
//! Never read for a decision.

pub mod dynamodb;
pub mod mirror;

use async_trait::async_trait;
use etl_core::ledger::LedgerRecord;

/// Where records are kept.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Writes `record`, unless its row has this revision or a higher one.
    async fn write(&self, record: &LedgerRecord) -> Result<Written, LedgerError>;
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The row is this record now.
    Stored,
    /// The row was this record already, or a newer one.
    Superseded,
}

/// A write that failed or whose outcome is unknown.
#[derive(Debug, thiserror::Error)]
#[error("cannot write ledger row {file_id}: {code}: {message}")]
pub struct LedgerError {
    /// Key of the row.
    pub file_id: String,
    /// Code of the service, or `Transport`.
    pub code: String,
    /// Its words.
    pub message: String,
    /// The service finds this very record invalid: only a change of it, or of
    /// the table, can help.
    pub refused: bool,
}
