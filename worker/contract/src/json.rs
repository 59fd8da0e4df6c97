//! How values are written.

use serde::{Deserialize, Serialize};

use crate::choice::choice;

choice! {
    /// Null fields of rows and structs.
    Nulls {
        /// The key is left out.
        Omit,
        /// The key stands with `null`.
        Explicit,
    }
}
choice! {
    /// Timestamps without a time zone.
    LocalTimestamps {
        /// Written as UTC, with `Z`.
        Utc,
        /// Written without a zone.
        NoZone,
    }
}
choice! {
    /// Form of timestamps.
    Timestamps {
        /// ISO 8601 text.
        Iso,
        /// Whole milliseconds since 1970.
        EpochMillis,
    }
}
choice! {
    /// 64-bit integers.
    Int64 {
        /// JSON numbers.
        Number,
        /// JSON strings, for readers that keep numbers as doubles.
        String,
    }
}
choice! {
    /// Decimals.
    Decimals {
        /// JSON numbers with the column's scale.
        Number,
        /// JSON strings with the column's scale.
        String,
    }
}
choice! {
    /// Binary values.
    Binary {
        /// Base64, standard alphabet, padded.
        Base64,
        /// Lower-case hexadecimal.
        Hex,
    }
}
choice! {
    /// NaN and the infinities, which JSON numbers cannot express.
    NonFinite {
        /// `"NaN"`, `"Infinity"`, `"-Infinity"`.
        String,
        /// `null`.
        Null,
        /// The object is refused.
        Fail,
    }
}

/// How values are written; the default is what the Glue job of the original
/// pipeline wrote.
///
/// Unknown fields are accepted here because the type also stands in the
/// resource's schema, where the API server prunes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct JsonOptions {
    /// Null fields of rows and structs: Omit leaves the key out, Explicit
    /// writes null. Nulls in lists and maps are always written. Default Omit.
    pub nulls: Nulls,
    /// Timestamps without a time zone: Utc appends Z, NoZone writes none.
    /// Default Utc.
    pub local_timestamps: LocalTimestamps,
    /// Form of timestamps: Iso as 2021-01-01T00:30:10.000Z, EpochMillis as
    /// whole milliseconds since 1970. Default Iso.
    pub timestamps: Timestamps,
    /// 64-bit integers: Number, or String for readers that keep numbers as
    /// doubles. Default Number.
    pub int64: Int64,
    /// Decimals: Number or String, both with the column's scale. Default
    /// Number.
    pub decimals: Decimals,
    /// Binary values: Base64 or Hex. Default Base64.
    pub binary: Binary,
    /// NaN and the infinities: String writes "NaN", "Infinity", "-Infinity";
    /// Null writes null; Fail refuses the object. Default String.
    pub non_finite: NonFinite,
}
