//! What can go wrong, with the place in the file where it did.
//!
//! Messages never quote cell values: they end up in logs, status fields and
//! tickets that more people can read than the data.

use std::error::Error as StdError;
use std::fmt;

macro_rules! foreign_error {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Box<dyn StdError + Send + Sync>);

        impl $name {
            /// Wraps the caller's own error, or a message.
            pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
                Self(error.into())
            }

            /// The wrapped error.
            #[must_use]
            pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
                &*self.0
            }

            /// Gives the caller's own error back.
            ///
            /// # Errors
            /// The error itself, unchanged, when it is of another type.
            pub fn downcast<E: StdError + 'static>(self) -> Result<E, Self> {
                self.0.downcast().map(|error| *error).map_err(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl StdError for $name {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                self.0.source()
            }
        }
    };
}

foreign_error! {
    /// The source could not be read. Carries the error of the [`ReadAt`]
    /// implementation.
    ///
    /// [`ReadAt`]: crate::ReadAt
    ReadError
}

foreign_error! {
    /// The sink refused a chunk. Carries the error of the [`Sink`]
    /// implementation.
    ///
    /// [`Sink`]: crate::Sink
    SinkError
}

/// Where in the file something is, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Index of the row group, from 0.
    pub row_group: Option<usize>,
    /// Dotted path of the column.
    pub column: Option<String>,
    /// Offset in the file in bytes.
    pub offset: Option<u64>,
}

impl Place {
    pub(crate) fn file() -> Self {
        Self::default()
    }

    pub(crate) fn offset(offset: u64) -> Self {
        Self {
            offset: Some(offset),
            ..Self::default()
        }
    }

    pub(crate) fn column(path: impl Into<String>) -> Self {
        Self {
            column: Some(path.into()),
            ..Self::default()
        }
    }

    pub(crate) fn row_group(index: usize) -> Self {
        Self {
            row_group: Some(index),
            ..Self::default()
        }
    }

    pub(crate) fn at_column(self, path: impl Into<String>) -> Self {
        Self {
            column: Some(path.into()),
            ..self
        }
    }

    pub(crate) fn at_offset(self, offset: u64) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }
}

/// `row group 3, column a.b, byte 4711: `, or nothing at all.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.row_group.map(|index| format!("row group {index}")),
            self.column.as_ref().map(|path| format!("column {path:?}")),
            self.offset.map(|offset| format!("byte {offset}")),
        ];
        let known: Vec<String> = parts.into_iter().flatten().collect();
        if known.is_empty() {
            return Ok(());
        }
        write!(f, "{}: ", known.join(", "))
    }
}

/// Why a conversion ended without a complete output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is damaged, truncated, or no parquet file.
    #[error("{place}{problem}")]
    BadInput {
        /// Where.
        place: Place,
        /// What is wrong there.
        problem: String,
    },
    /// The file is in order, but uses something that has no rendering here.
    #[error("{place}{what}")]
    Unsupported {
        /// Where.
        place: Place,
        /// What it uses.
        what: String,
    },
    /// The file is in order, but has not the columns that the options ask for.
    #[error("{place}{problem}")]
    SchemaMismatch {
        /// Which column.
        place: Place,
        /// What differs.
        problem: String,
    },
    /// Rows break rules of the schema, more than may be left out.
    #[error("row {row}, column {column:?}: {reason}{}", limit_passed(*.limit))]
    InvalidRecords {
        /// The row that is one too many: its number in the file, from 1.
        row: u64,
        /// The column whose rule it breaks.
        column: String,
        /// Which rule; never the value.
        reason: String,
        /// How many rows may be left out, if any may.
        limit: Option<u64>,
    },
    /// The file needs more memory than the budget allows.
    #[error(
        "{place}the file needs {} MiB of memory and the budget is {} MiB: raise the memory limit",
        mebibytes_up(*needed),
        budget / MIB
    )]
    NotEnoughMemory {
        /// Which part of the file needs it.
        place: Place,
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        budget: u64,
    },
    /// The source failed.
    #[error("the input cannot be read")]
    Read(#[from] ReadError),
    /// The sink failed.
    #[error("the output cannot be written")]
    Sink(#[from] SinkError),
    /// The engine itself failed, for example to start a thread.
    #[error("{0}")]
    Internal(String),
}

fn limit_passed(limit: Option<u64>) -> String {
    limit.map_or(String::new(), |limit| {
        format!(", and {limit} invalid records have been left out before, which is the limit")
    })
}

const MIB: u64 = 1 << 20;

fn mebibytes_up(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

/// The class of an [`Error`], for exit codes and metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// See [`Error::BadInput`]: the same input fails again.
    BadInput,
    /// See [`Error::Unsupported`]: the same input fails again.
    Unsupported,
    /// See [`Error::SchemaMismatch`]: the same input fails again.
    SchemaMismatch,
    /// See [`Error::InvalidRecords`]: the same input fails again.
    InvalidRecords,
    /// See [`Error::NotEnoughMemory`]: a larger budget mends it.
    NotEnoughMemory,
    /// See [`Error::Read`]: look at the source's own error.
    Read,
    /// See [`Error::Sink`]: look at the sink's own error.
    Sink,
    /// See [`Error::Internal`].
    Internal,
}

impl ErrorKind {
    /// A stable name, the same as the variant's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadInput => "BadInput",
            Self::Unsupported => "Unsupported",
            Self::SchemaMismatch => "SchemaMismatch",
            Self::InvalidRecords => "InvalidRecords",
            Self::NotEnoughMemory => "NotEnoughMemory",
            Self::Read => "Read",
            Self::Sink => "Sink",
            Self::Internal => "Internal",
        }
    }
}

impl Error {
    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::BadInput { .. } => ErrorKind::BadInput,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::SchemaMismatch { .. } => ErrorKind::SchemaMismatch,
            Self::InvalidRecords { .. } => ErrorKind::InvalidRecords,
            Self::NotEnoughMemory { .. } => ErrorKind::NotEnoughMemory,
            Self::Read(_) => ErrorKind::Read,
            Self::Sink(_) => ErrorKind::Sink,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    pub(crate) fn bad_input(place: Place, problem: impl Into<String>) -> Self {
        Self::BadInput {
            place,
            problem: problem.into(),
        }
    }

    pub(crate) fn unsupported(place: Place, what: impl Into<String>) -> Self {
        Self::Unsupported {
            place,
            what: what.into(),
        }
    }

    pub(crate) fn schema_mismatch(place: Place, problem: impl Into<String>) -> Self {
        Self::SchemaMismatch {
            place,
            problem: problem.into(),
        }
    }
}
