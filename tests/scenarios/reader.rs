//! Readers and writers of parquet that are not ours: pyarrow and DuckDB.

use anyhow::{Result, ensure};
use etl_tests::Tenant;
use serde_json::{Value, json};

const READER: &str = include_str!("reader.py");

/// Makes parquet objects: `build(number) -> pyarrow.Table` is defined by the
/// caller's script, which is put in front.
const WRITER: &str = r#"
import io, json, os, sys
import pyarrow.parquet as pq
from pyarrow import fs
s3 = fs.S3FileSystem(endpoint_override=os.environ["S3_ENDPOINT"], region="us-east-1",
                     access_key=os.environ["AWS_ACCESS_KEY_ID"],
                     secret_key=os.environ["AWS_SECRET_ACCESS_KEY"])
for number, key in enumerate(sys.argv[2:]):
    with s3.open_output_stream(f"{sys.argv[1]}/{key}") as sink:
        pq.write_table(build(number), sink, row_group_size=1000)
"#;

/// Ensures that each output holds every row and value of its source, in order,
/// and returns the number of rows of each. Pairs are keys of source and output
/// in the tenant's bucket; `output` is the EtlJob's `spec.output`.
pub(crate) fn same_rows<S: AsRef<str>>(
    tenant: &Tenant<'_>,
    pairs: &[(S, S)],
    output: &Value,
) -> Result<Vec<u64>> {
    let or = |name: &str, default: Value| match &output[name] {
        Value::Null => default,
        value => value.clone(),
    };
    let pairs: Vec<[&str; 2]> = pairs
        .iter()
        .map(|(a, b)| [a.as_ref(), b.as_ref()])
        .collect();
    let order = json!({
        "bucket": tenant.bucket(),
        "pairs": pairs,
        "format": or("format", json!("JsonLines")),
        "compression": or("compression", json!("None")),
        "json": or("json", json!({})),
    });
    let printed = tenant.lab().python(READER, &[&order.to_string()])?;
    let rows: Vec<u64> = serde_json::from_str(&printed)?;
    ensure!(rows.len() == pairs.len(), "the reader compared {rows:?}");
    Ok(rows)
}

/// Writes a parquet object at each of `keys` in the tenant's bucket. `script` is
/// Python and defines `build(number)`, which returns the table of the key with
/// that number.
pub(crate) fn write_parquet<S: AsRef<str>>(
    tenant: &Tenant<'_>,
    script: &str,
    keys: &[S],
) -> Result<()> {
    let mut arguments = vec![tenant.bucket()];
    arguments.extend(keys.iter().map(AsRef::as_ref));
    tenant
        .lab()
        .python(&format!("{script}\n{WRITER}"), &arguments)?;
    Ok(())
}
