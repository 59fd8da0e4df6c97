//! What an EtlJob does to the columns of its source.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Which columns are written, and which are added.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.ingestedAtColumn) || !has(self.sourceColumn) || self.ingestedAtColumn != self.sourceColumn").message("transform.ingestedAtColumn and transform.sourceColumn must differ"),
    validation = Rule::new("!has(self.columns) || !(has(self.ingestedAtColumn) && self.ingestedAtColumn in self.columns || has(self.sourceColumn) && self.sourceColumn in self.columns)").message("transform.ingestedAtColumn and transform.sourceColumn name new columns: leave them out of transform.columns"),
)]
pub struct Transform {
    /// Top-level columns to write, in this order; one that a source object
    /// lacks is a SchemaMismatch. Default: all, as they are. Example:
    /// ["VendorID", "total_amount"].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000), inner(length(min = 1, max = 256)))]
    pub columns: Vec<String>,

    /// Name of a column that is added with the UTC start of the run, the same
    /// for all its attempts. Default: none. Example: ingested_at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub ingested_at_column: Option<String>,

    /// Name of a column that is added with the URI of the source object.
    /// Default: none. Example: source_file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub source_column: Option<String>,
}

impl Transform {
    /// Whether it leaves the rows as they are.
    pub fn is_default(&self) -> bool {
        *self == Transform::default()
    }
}
