//! What the columns and rows of a file must be like.
//!
//! Columns are held against the schema when the file is opened, before any row
//! is written ([`columns`]). Rows are held against the rules of
//! their columns batch by batch: [`rules`] says which rows break one,
//! [`screen`] takes them out, [`tally`] counts them and hands them on.

mod bounds;
mod columns;
mod kind;
mod number;
mod rules;
mod screen;
mod tally;

pub use bounds::{Bounds, BoundsError};
pub(crate) use columns::{Available, available};
pub use kind::ColumnType;
pub(crate) use screen::{Rejected, Rejection, Screen};
pub(crate) use tally::Tally;

/// What the columns and rows of a file must be like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// The columns that are expected.
    pub columns: Vec<SchemaColumn>,
    /// What becomes of an expected column that the file lacks.
    pub on_missing_column: OnMissingColumn,
    /// What becomes of a column that is not expected.
    pub on_extra_column: OnExtraColumn,
    /// What becomes of a row that breaks a rule.
    pub on_invalid_record: OnInvalidRecord,
    /// Most rows that may be left out; one more ends the conversion with
    /// [`Error::InvalidRecords`](crate::Error::InvalidRecords). Without a
    /// meaning for [`OnInvalidRecord::Fail`].
    pub max_invalid_records: u64,
}

/// One expected column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaColumn {
    /// Name of a top-level column.
    pub name: String,
    /// What its values are; a column that is always null may be any type.
    pub column_type: ColumnType,
    /// Whether a null makes the row invalid. A required column may not be
    /// missing, whatever becomes of other missing columns.
    pub required: bool,
    /// Between which values the others must lie.
    pub bounds: Bounds,
}

impl SchemaColumn {
    /// Whether a row can break a rule of this column.
    pub(crate) fn has_rules(&self) -> bool {
        self.required || self.bounds != Bounds::default()
    }
}

/// What becomes of an expected column that the file lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissingColumn {
    /// The file is refused.
    #[default]
    Fail,
    /// The column is null in every row. It comes after the file's own columns.
    Null,
}

/// What becomes of a column that is not expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExtraColumn {
    /// It is written like the others.
    #[default]
    Keep,
    /// It is left out.
    Drop,
    /// The file is refused.
    Fail,
}

/// What becomes of a row that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OnInvalidRecord {
    /// The conversion ends.
    #[default]
    Fail,
    /// The row is counted and left out.
    Skip,
    /// The row is counted, left out, and written to
    /// [`Outputs::rejected`](crate::Outputs::rejected) as one line
    ///
    /// ```json
    /// {"source":"s3://b/k","row":7,"column":"fare","reason":"the value is less than the minimum 0","record":{"fare":-1.0}}
    /// ```
    ///
    /// with the first rule that it breaks. `row` counts the rows of the file
    /// from 1. `record` has the columns of the output that come from the file,
    /// and behind them those that only the schema looks at; it follows the same
    /// [`JsonOptions`](crate::JsonOptions), except that NaN and infinities are
    /// strings where they would fail the conversion.
    Quarantine {
        /// Names the file in every line.
        source: String,
    },
}
