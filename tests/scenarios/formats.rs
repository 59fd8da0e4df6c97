//! Every form that an output can be asked for, over a real store and back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_tests::Tenant;
use serde_json::{Value, json};

use crate::invariants::{self, text};
use crate::reader::{same_rows, write_parquet};

const LIMIT: Duration = Duration::from_secs(120);

/// A column of each kind, with nulls, limits and specials.
const TABLE: &str = r#"
import datetime as dt, decimal, math
import pyarrow as pa
def build(_):
    count = 2500
    utc = dt.timezone.utc
    def column(values, kind):
        return pa.array([values[i % len(values)] for i in range(count)], kind)
    moment = dt.datetime(2021, 1, 1, 0, 30, 10)
    moments = [moment, None, moment.replace(microsecond=250000), moment.replace(microsecond=1),
               dt.datetime(1969, 12, 31, 23, 59, 59, 999000), dt.datetime(9999, 12, 31)]
    whole = [m and m.replace(microsecond=m.microsecond // 1000 * 1000) for m in moments]
    aware = [m and m.replace(tzinfo=utc) for m in moments]
    amount = decimal.Decimal
    inner = pa.struct([("a", pa.int32()), ("b", pa.string())])
    return pa.table({
        "id": pa.array(range(count), pa.int32()),
        "flag": column([True, None, False], pa.bool_()),
        "tiny": column([-128, 127], pa.int8()),
        "byte": column([255, 0], pa.uint8()),
        "long": column([2**53 + 1, -2**63, 2**63 - 1, None], pa.int64()),
        "huge": column([2**64 - 1, 0], pa.uint64()),
        "single": column([1.1, -0.0, 3.4028234663852886e38, math.nan, 1e-7], pa.float32()),
        "double": column([0.1, 1e10, 9e-6, math.inf, -math.inf, math.nan, 5e-324, None], pa.float64()),
        "money": column([amount("1.10"), amount("-0.05"), amount("0.00"), None], pa.decimal128(9, 2)),
        "exact": column([amount("9" * 36 + ".99"), amount("-7.00")], pa.decimal128(38, 2)),
        "day": column([dt.date(2026, 11, 23), dt.date(1970, 1, 1), None], pa.date32()),
        "clock": column([dt.time(1, 2, 3), dt.time(1, 2, 3, 4000)], pa.time32("ms")),
        "ticks": column([dt.time(1, 2, 3), dt.time(1, 2, 3, 4)], pa.time64("us")),
        "local": column(moments, pa.timestamp("us")),
        "coarse": column(whole, pa.timestamp("ms")),
        "zoned": column(aware, pa.timestamp("us", "UTC")),
        "text": column(["héllo 😀", "", None, "\"\\/\n\t\u0001\u2028"], pa.string()),
        "bytes": column([b"\x00\xffab", b"", None], pa.binary()),
        "fixed": column([b"abc", b"\x00\x01\x02"], pa.binary(3)),
        "numbers": column([[1, None, 3], [], None], pa.list_(pa.int64())),
        "structs": column([[{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}], []], pa.list_(inner)),
        "nested": column([{"a": 1, "b": None}, None], inner),
        "map": column([[("k", 1), ("l", None)], [], None], pa.map_(pa.string(), pa.int64())),
    })
"#;

/// Compressions, arrays and all options of `output.json`, alone and together.
pub(crate) async fn every_form_reads_back(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    write_parquet(tenant, TABLE, &["in/all.parquet"])?;
    let other = json!({
        "nulls": "Explicit", "localTimestamps": "NoZone", "int64": "String",
        "decimals": "String", "binary": "Hex", "nonFinite": "Null",
    });
    let forms = [
        ("plain", json!({}), "json"),
        ("gzip", json!({"compression": "Gzip"}), "json.gz"),
        ("zstd", json!({"compression": "Zstd"}), "json.zst"),
        ("array", json!({"format": "JsonArray"}), "json"),
        (
            "array-gzip",
            json!({"format": "JsonArray", "compression": "Gzip"}),
            "json.gz",
        ),
        ("options", json!({"json": other}), "json"),
        (
            "epoch",
            json!({"json": {"timestamps": "EpochMillis"}}),
            "json",
        ),
        (
            "together",
            json!({"json": other, "format": "JsonArray", "compression": "Zstd"}),
            "json.zst",
        ),
    ];
    for (name, form, _) in &forms {
        create(tenant, name, form).await?;
    }
    for (name, form, suffix) in &forms {
        tenant.wait_complete(name, LIMIT).await?;
        let job = invariants::hold(tenant, &timeline, name).await?;
        let key = format!("out/{name}/all.{suffix}");
        let uri = tenant.uri(&key);
        ensure!(
            job["status"]["output"]["firstObjectUri"] == uri.as_str(),
            "{name}: the output is not {uri}: {}",
            job["status"]["output"]
        );
        let rows = same_rows(tenant, &[("in/all.parquet", key.as_str())], form);
        let rows = rows.with_context(|| format!("form {name}"))?;
        ensure!(rows == [2500], "{name}: {rows:?} rows");
        ensure!(
            job["status"]["statistics"]["rowsWritten"] == 2500,
            "{name}: statistics"
        );
    }
    Ok(())
}

/// `nonFinite: Fail` refuses a file with a NaN, by name.
pub(crate) async fn a_nan_can_be_refused(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    write_parquet(tenant, TABLE, &["in/all.parquet"])?;
    create(tenant, "strict", &json!({"json": {"nonFinite": "Fail"}})).await?;
    tenant.wait_failed("strict", LIMIT).await?;
    let job = invariants::hold(tenant, &timeline, "strict").await?;
    let failure = &job["status"]["lastFailure"];
    ensure!(failure["reason"] == "NotRetryable", "{failure}");
    ensure!(
        failure["object"] == tenant.uri("in/all.parquet").as_str(),
        "{failure}"
    );
    let message = text(failure, "/message")?;
    ensure!(
        message.contains("single") || message.contains("double"),
        "the column is not named: {message}"
    );
    ensure!(
        tenant.outputs("out/").await?.is_empty(),
        "something was written"
    );
    Ok(())
}

/// Tags, storage class and provenance stand at the object.
pub(crate) async fn the_object_carries_its_attributes(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    tenant
        .put_sample("in/a.parquet", "green_tripdata_2022-01.parquet")
        .await?;
    let spec = json!({
        "source": {"uri": tenant.uri("in/a.parquet")},
        "output": {
            "uri": tenant.uri("out/"),
            "keyTemplate": "{stem}.json",
            "storageClass": "STANDARD_IA",
            "tags": {"team": "trips and more", "tier": "a=b&c"},
        },
    });
    tenant.create_etljob("tagged", &spec).await?;
    tenant.wait_complete("tagged", LIMIT).await?;
    invariants::hold(tenant, &timeline, "tagged").await?;
    let s3 = tenant.lab().s3();
    let (bucket, key) = (tenant.bucket(), "out/a.json");
    let head = s3.head_object().bucket(bucket).key(key).send().await?;
    let class = head.storage_class().map(|class| class.as_str().to_owned());
    ensure!(
        class.as_deref() == Some("STANDARD_IA"),
        "the storage class is {class:?}"
    );
    let metadata = head.metadata().context("no metadata")?;
    let source = metadata.get("etl-source").map(String::as_str);
    ensure!(
        source == Some(tenant.uri("in/a.parquet").as_str()),
        "the object says that it is from {source:?}"
    );
    let tagging = s3
        .get_object_tagging()
        .bucket(bucket)
        .key(key)
        .send()
        .await?;
    let mut tags: Vec<_> = tagging
        .tag_set()
        .iter()
        .map(|tag| (tag.key(), tag.value()))
        .collect();
    tags.sort_unstable();
    ensure!(
        tags == [("team", "trips and more"), ("tier", "a=b&c")],
        "the tags are {tags:?}"
    );
    Ok(())
}

async fn create(tenant: &Tenant<'_>, name: &str, form: &Value) -> Result<()> {
    let mut output = json!({
        "uri": tenant.uri(&format!("out/{name}/")),
        "keyTemplate": "{stem}.json",
    });
    for (field, value) in form.as_object().into_iter().flatten() {
        output[field] = value.clone();
    }
    let spec = json!({"source": {"uri": tenant.uri("in/all.parquet")}, "output": output});
    tenant.create_etljob(name, &spec).await.map(drop)
}
