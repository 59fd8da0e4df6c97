//! What an EtlJob demands of its source.

use etl_contract::{ColumnType, OnExtraColumn, OnInvalidRecord, OnMissingColumn};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the columns and records of every source object must satisfy. A column
/// of another type is always a SchemaMismatch of its object.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.onInvalidRecord == 'Fail' || self.maxInvalidRecords >= 1").message("schema.onInvalidRecord: Skip and Quarantine need schema.maxInvalidRecords of at least 1"),
)]
pub struct Schema {
    /// The columns, by name.
    #[schemars(length(min = 1, max = 1000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub columns: Vec<SchemaColumn>,

    /// A column of the list that a source object lacks: Fail makes the object a
    /// SchemaMismatch, Null writes null fields. Default Fail.
    #[serde(default)]
    pub on_missing_column: OnMissingColumn,

    /// A column of a source object that is not in the list: Keep writes it,
    /// Drop leaves it out, Fail makes the object a SchemaMismatch. Default Keep.
    #[serde(default)]
    pub on_extra_column: OnExtraColumn,

    /// A record with a null in a required column or a value out of bounds: Fail
    /// ends the run, Skip counts it and leaves it out, Quarantine also keeps it
    /// with its reason below the run's control prefix. Default Fail.
    #[serde(default)]
    pub on_invalid_record: OnInvalidRecord,

    /// Records that Skip and Quarantine reject in one run before the run fails,
    /// 0 to 1000000000000. Default 0. Example: 1000.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub max_invalid_records: u64,
}

/// One column and its rules.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.min) || has(self.max)) || self.type in ['Integer', 'Number', 'String', 'Date', 'Timestamp']").message("schema.columns[].min and max are for the types Integer, Number, String, Date and Timestamp"),
)]
pub struct SchemaColumn {
    /// Name of a top-level column, as the source spells it.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,

    /// Type of the column. Integer: any signed or unsigned integer; Number: also
    /// floats and decimals. Example: Number.
    #[serde(rename = "type")]
    pub kind: ColumnType,

    /// Whether a null makes a record invalid. Default false.
    #[serde(default)]
    pub required: bool,

    /// Least value that is valid, as text; for String the least length in
    /// characters. Default: none. Example: "0", "2021-01-01",
    /// "2021-01-01T00:00:00Z".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub min: Option<String>,

    /// Greatest value that is valid, as text; for String the greatest length in
    /// characters. Default: none. Example: "100".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub max: Option<String>,
}
