//! What the caller may choose about the output. Every default is the profile
//! that the pipeline this engine replaces has always written.

use crate::transform::Transform;
use crate::validate::Schema;

/// How rows are put together into one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object per line, each line ended by `\n`; no rows, no bytes.
    #[default]
    JsonLines,
    /// One JSON array of objects on one line; no rows gives `[]`.
    JsonArray,
}

impl Format {
    /// What stands before the first row.
    pub(crate) fn head(self) -> &'static [u8] {
        match self {
            Self::JsonLines => b"",
            Self::JsonArray => b"[",
        }
    }

    /// What stands after the last row.
    pub(crate) fn tail(self) -> &'static [u8] {
        match self {
            Self::JsonLines => b"",
            Self::JsonArray => b"]",
        }
    }
}

/// Compression of the whole output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Plain bytes.
    #[default]
    None,
    /// Gzip members of about 1 MiB of JSON each, without names or times, level 1.
    /// Readers take them for one file (RFC 1952, section 2.2).
    Gzip,
    /// Zstd frames of about 1 MiB of JSON each, with content checksums, level 1.
    /// Readers take them for one file (RFC 8878, section 3.1).
    Zstd,
}

/// What becomes of a null field of an object.
///
/// Nulls inside lists and null map values are always written: leaving them out
/// would shift elements or lose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nulls {
    /// The field is left out.
    #[default]
    Omit,
    /// The field is written as `null`.
    Explicit,
}

/// How timestamps without a time zone are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LocalTimestamps {
    /// As if they were UTC, with a `Z`.
    #[default]
    Utc,
    /// Without a `Z`.
    NoZone,
}

/// How timestamps of both kinds are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timestamps {
    /// `2021-01-01T00:30:10.000Z`: three fraction digits, or six or nine where
    /// the value needs them.
    #[default]
    Iso,
    /// Whole milliseconds since 1970-01-01T00:00:00Z as a number, rounded down.
    EpochMillis,
}

/// How integers are written that a reader with 64-bit floats would round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Int64 {
    /// As a JSON number.
    #[default]
    Number,
    /// Columns of signed and unsigned 64-bit integers as JSON strings.
    String,
}

/// How decimals are written; the scale is kept either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decimals {
    /// As a JSON number, for example `1.10`.
    #[default]
    Number,
    /// As a JSON string, for example `"1.10"`.
    String,
}

/// How byte strings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binary {
    /// Standard base64 with padding.
    #[default]
    Base64,
    /// Lower-case hexadecimal.
    Hex,
}

/// How NaN and the infinities are written, for which JSON has no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NonFinite {
    /// As `"NaN"`, `"Infinity"`, `"-Infinity"`.
    #[default]
    String,
    /// As `null`, also where null fields are left out.
    Null,
    /// The conversion fails and names the column.
    Fail,
}

/// How values are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JsonOptions {
    /// Null fields of objects.
    pub nulls: Nulls,
    /// Timestamps without a time zone.
    pub local_timestamps: LocalTimestamps,
    /// Timestamps of both kinds.
    pub timestamps: Timestamps,
    /// 64-bit integers.
    pub int64: Int64,
    /// Decimals.
    pub decimals: Decimals,
    /// Byte strings.
    pub binary: Binary,
    /// NaN and infinities.
    pub non_finite: NonFinite,
}

/// What turns decoded values into text. Both write the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoder {
    /// Each column prepared once per batch, values written straight into the
    /// output.
    #[default]
    Columnar,
    /// arrow-json, value by value: slower, and there to check the other against.
    Reference,
}

/// Everything that decides which bytes come out for a given input, and the
/// encoder, which does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// How rows are put together.
    pub format: Format,
    /// Compression of the output.
    pub compression: Compression,
    /// How values are rendered.
    pub json: JsonOptions,
    /// What renders them.
    pub encoder: Encoder,
    /// Which columns are written.
    pub transform: Transform,
    /// What the columns and rows must be like; anything goes without. It comes
    /// before the transform: a column may be written that only the schema has.
    pub schema: Option<Schema>,
}

/// What the engine may use. It never decides which bytes come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of memory that the conversion may hold at once.
    pub memory_bytes: u64,
    /// Threads that decode and encode; 0 counts as 1.
    pub threads: usize,
}
