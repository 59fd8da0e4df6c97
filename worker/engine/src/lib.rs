//! Parquet bytes to JSON bytes.
//!
//! [`Conversion::open`] reads and checks the footer of a [`ReadAt`];
//! [`Conversion::convert`] feeds a [`Sink`] with JSON Lines or one JSON array.
//! Both block; where the engine starts threads, they end within the call.
//!
//! The engine knows no network, no file system and no clock. It holds no more
//! memory than its [`Budget`], refuses beforehand what does not fit, and writes
//! the same bytes for the same file and [`Options`] whatever the budget.
//!
//! A file is never trusted: damaged, truncated or hostile input ends as an
//! [`Error`] that names the place, never as a panic or a short output.

mod batch;
mod check;
mod columnar;
mod compress;
mod convert;
mod encode;
mod error;
mod footer;
mod guard;
mod int96;
mod memory;
mod options;
mod outline;
mod pipeline;
mod prepare;
mod read;
mod render;
mod schema;
mod sink;
mod source;
mod thrift;
mod transform;
mod validate;

pub use convert::{Conversion, Outputs, RowGroupSize, Summary};
pub use encode::BatchEncoder;
pub use error::{Error, ErrorKind, Place, ReadError, SinkError};
pub use guard::handles_values;
pub use options::{
    Binary, Budget, Compression, Decimals, Encoder, Format, Int64, JsonOptions, LocalTimestamps,
    NonFinite, Nulls, Options, Timestamps,
};
pub use sink::Sink;
pub use source::ReadAt;
pub use transform::{Constant, Transform, Value};
pub use validate::{
    Bounds, BoundsError, ColumnType, OnExtraColumn, OnInvalidRecord, OnMissingColumn, Schema,
    SchemaColumn,
};

/// Changes whenever the bytes of any output may change, so that two workers
/// which write parts of one output can tell whether they would agree.
pub const ENGINE_VERSION: &str = "2";
