//! From the columns of a file to the columns of the output.
//!
//! [`Layout`] decides once per file which columns are read, in which order, and
//! what each column of the output is made of. What it leaves out is neither
//! fetched nor decoded nor counted in memory, see [`select`].

mod constant;
mod file;
mod layout;
mod select;

pub(crate) use constant::repeat_text;
pub(crate) use file::{FileColumns, list};
pub(crate) use layout::Layout;

/// Which columns are written, and which are added.
///
/// ```
/// use etl_engine::{Constant, Transform, Value};
///
/// let transform = Transform {
///     columns: vec!["fare".to_owned(), "tip".to_owned()],
///     constants: vec![Constant {
///         name: "file".to_owned(),
///         value: Value::Text("s3://bucket/trips.parquet".to_owned()),
///     }],
/// };
/// // {"fare":8.0,"tip":1.5,"file":"s3://bucket/trips.parquet"}
/// # assert_ne!(transform, Transform::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transform {
    /// Names of top-level columns, written in this order. Empty: all columns in
    /// the order of the file. A name that neither the file nor the schema has is
    /// [`Error::SchemaMismatch`](crate::Error::SchemaMismatch).
    pub columns: Vec<String>,
    /// Columns that have the same value in every row; they are written last. A
    /// name that is already written is
    /// [`Error::SchemaMismatch`](crate::Error::SchemaMismatch).
    pub constants: Vec<Constant>,
}

/// A column with the same value in every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// Name of the column.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A value that does not come from the file, rendered as the output options say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// An instant, in microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}
