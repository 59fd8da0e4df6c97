//! What becomes of the columns and rows of a source object on their way.

use serde::{Deserialize, Serialize};

use crate::choice::choice;

/// Which columns are written, and what is written beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Transform {
    /// Top-level columns, in the order in which they are written; all columns
    /// of the object when empty. One that an object lacks is a
    /// [`SchemaMismatch`](crate::Category::SchemaMismatch).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Name of an added column with the start of the run, the same for every
    /// row and every retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingested_at_column: Option<String>,
    /// Name of an added column with the URI of the source object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_column: Option<String>,
}

impl Transform {
    /// Whether rows are written as they are.
    pub fn is_identity(&self) -> bool {
        *self == Transform::default()
    }
}

/// What the columns and rows of every source object must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schema {
    /// The columns that are expected.
    pub columns: Vec<SchemaColumn>,
    /// An expected column that an object lacks.
    #[serde(default)]
    pub on_missing_column: OnMissingColumn,
    /// A column of an object that is not expected.
    #[serde(default)]
    pub on_extra_column: OnExtraColumn,
    /// A row that breaks a rule of its columns.
    #[serde(default)]
    pub on_invalid_record: OnInvalidRecord,
    /// Most rows of the run that may be left out; more fail it with
    /// [`InvalidRecords`](crate::Category::InvalidRecords).
    #[serde(default)]
    pub max_invalid_records: u64,
}

/// One expected column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchemaColumn {
    /// Name of a top-level column.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether a null makes the row invalid.
    #[serde(default)]
    pub required: bool,
    /// Least value, as text: `0`, `1.5`, `2021-01-01`, `2021-01-01T00:00:00Z`;
    /// for [`ColumnType::String`] the least length in characters. Only for
    /// types that [are bounded](ColumnType::is_bounded).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Greatest value, as [`min`](Self::min).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ColumnType {
    /// True and false.
    Boolean,
    /// Signed or unsigned integers of any width.
    Integer,
    /// Integers, floating-point numbers or decimals.
    Number,
    /// Text.
    String,
    /// Bytes.
    Binary,
    /// Calendar dates.
    Date,
    /// Times of day.
    Time,
    /// Points in time, or local times with a date.
    Timestamp,
    /// Lists of anything.
    List,
    /// Maps of anything.
    Map,
    /// Structs of anything.
    Struct,
}

impl ColumnType {
    /// Whether `min` and `max` mean something.
    pub const fn is_bounded(self) -> bool {
        match self {
            ColumnType::Integer
            | ColumnType::Number
            | ColumnType::String
            | ColumnType::Date
            | ColumnType::Timestamp => true,
            ColumnType::Boolean
            | ColumnType::Binary
            | ColumnType::Time
            | ColumnType::List
            | ColumnType::Map
            | ColumnType::Struct => false,
        }
    }
}

choice! {
    /// An expected column that an object lacks.
    OnMissingColumn {
        /// The object is refused.
        Fail,
        /// The column is null in every row.
        Null,
    }
}
choice! {
    /// A column of an object that is not expected.
    OnExtraColumn {
        /// It is written like the others.
        Keep,
        /// It is left out.
        Drop,
        /// The object is refused.
        Fail,
    }
}
choice! {
    /// A row that breaks a rule of its columns.
    OnInvalidRecord {
        /// The object is refused.
        Fail,
        /// The row is counted and left out.
        Skip,
        /// The row is counted, left out, and kept below the control prefix with
        /// the rule that it breaks.
        Quarantine,
    }
}
