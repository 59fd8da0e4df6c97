//! What an EtlJob writes.

use std::collections::BTreeMap;

use etl_contract::{Compression, Format, JsonOptions, OnExisting};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::formats::optional_quantity;

/// What to write.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.uri.startsWith('s3://')").message("output.uri must start with s3:// (file:// works only with kubectl etl run)"),
    validation = Rule::new("self.uri.endsWith('/')").message("output.uri is a prefix: it must end in /"),
    validation = Rule::new("!self.uri.contains('/_etl/')").message("output.uri must not lie below _etl/, which holds the records of runs"),
    validation = Rule::new("!has(self.splitBytes) || quantity(string(self.splitBytes)).compareTo(quantity('16Mi')) >= 0").message("output.splitBytes must be at least 16Mi"),
    validation = Rule::new("has(self.splitBytes) == self.keyTemplate.contains('{part}')").message("output.splitBytes and {part} in output.keyTemplate need each other: an input that is split makes several objects"),
    validation = Rule::new("!has(self.splitBytes) || self.format == 'JsonLines'").message("output.splitBytes needs output.format: JsonLines"),
)]
pub struct Output {
    /// Prefix to write below; ends in `/`. Example: s3://processed-data/.
    #[schemars(length(min = 1, max = 1100), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub uri: String,

    /// Key of an output object below the prefix. Placeholders: `{yyyy}` `{mm}`
    /// `{dd}` the UTC start of the run, `{stem}` the source's file name without
    /// suffix, `{name}` with it, `{dir}` its folder below the source prefix,
    /// `{part}` the part of a split input from 00000 (with splitBytes only).
    /// `.gz` or `.zst` follows the compression. Default:
    /// `{yyyy}/{mm}/{dd}/{stem}.json`.
    #[serde(default = "key_template")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^([^{}]|[{](yyyy|mm|dd|stem|dir|name|part)[}])+$')").message("output.keyTemplate knows only the placeholders {yyyy} {mm} {dd} {stem} {dir} {name} {part}"),
        validation = Rule::new(r"!self.startsWith('/') && !self.startsWith('_etl/') && !self.endsWith('/') && !self.matches('(^|/)[.][.]?(/|$)')").message("output.keyTemplate must be a relative key without . and .. segments, not below _etl/, and must not end in /"),
    )]
    pub key_template: String,

    /// Inputs with more bytes of row groups than this are split into several
    /// output objects, at the borders of row groups, which workers can share.
    /// A quantity of bytes, at least 16Mi. Default: one input makes one output.
    /// Example: 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_quantity")]
    pub split_bytes: Option<IntOrString>,

    /// JsonLines writes one object per line, JsonArray one array. Default
    /// JsonLines.
    #[serde(default)]
    pub format: Format,

    /// None, Gzip or Zstd. Default None.
    #[serde(default)]
    pub compression: Compression,

    /// How values are written. The default is what Glue wrote.
    #[serde(default)]
    pub json: JsonOptions,

    /// An object already at an output key: ReplaceOwn replaces it if this
    /// EtlJob wrote it from the same source key, Replace always, Fail never.
    /// Default ReplaceOwn.
    #[serde(default)]
    pub on_existing: OnExisting,

    /// Storage class of output objects, as S3 names it. Default: the bucket's.
    /// Example: STANDARD_IA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Z_]{1,32}$"))]
    pub storage_class: Option<String>,

    /// Tags of output objects. Example: {"team": "trips"}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "tags")]
    pub tags: BTreeMap<String, String>,
}

fn key_template() -> String {
    "{yyyy}/{mm}/{dd}/{stem}.json".to_owned()
}

fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 10,
        "additionalProperties": { "type": "string", "maxLength": 256 },
        "x-kubernetes-validations": [{
            "rule": "self.all(key, key.size() >= 1 && key.size() <= 128)",
            "message": "a tag's key has 1 to 128 characters"
        }]
    })
}
