//! The types that a schema speaks of, and which Arrow types they are.

use std::fmt;

use arrow_schema::DataType;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// True and false.
    Boolean,
    /// Signed or unsigned integers of any width.
    Integer,
    /// Integers, floating-point numbers or decimals.
    Number,
    /// Text; JSON and ENUM columns are text too.
    String,
    /// Bytes, of fixed length or not.
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
    /// A stable name, the same as the variant's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::Number => "Number",
            Self::String => "String",
            Self::Binary => "Binary",
            Self::Date => "Date",
            Self::Time => "Time",
            Self::Timestamp => "Timestamp",
            Self::List => "List",
            Self::Map => "Map",
            Self::Struct => "Struct",
        }
    }

    /// The narrowest type of a column; `None` for one that is always null.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            integer if integer.is_integer() => Self::Integer,
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Self::String,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::List(_) => Self::List,
            DataType::Map(..) => Self::Map,
            DataType::Struct(_) => Self::Struct,
            number if number.is_numeric() => Self::Number,
            DataType::Null => return None,
            _ => Self::Binary,
        })
    }

    /// Whether a column of this type is what a schema asks for as `asked`.
    pub(crate) fn is_a(self, asked: Self) -> bool {
        self == asked || (self, asked) == (Self::Integer, Self::Number)
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
