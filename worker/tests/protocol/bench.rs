//! Orders, source objects and workers for the tests of the protocol.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etl_contract::{Category, Outcome, Statistics, WorkOrder};
use etl_worker::budget::Budget;
use etl_worker::commit::Manifest;
use etl_worker::gate::{Closer, Gate};
use etl_worker::progress::Progress;
use etl_worker::store::Store;
use etl_worker::{Error, Worker};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::memory::MemoryStore;

/// Work hash of the orders below.
pub const HASH: &str = "0123456789ab";

/// A parquet file with one column `n` of the numbers in `range`.
pub fn numbers(range: std::ops::Range<i64>) -> Bytes {
    grouped_numbers(&[range])
}

/// Like [`numbers`], with a row group for each range.
pub fn grouped_numbers(ranges: &[std::ops::Range<i64>]) -> Bytes {
    let schema = Arc::new(parse_message_type("message m { required int64 n; }").unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    for range in ranges {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<i64> = range.clone().collect();
        column
            .typed::<Int64Type>()
            .write_batch(&values, None, None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.into_inner().unwrap().into()
}

/// What [`numbers`] becomes.
pub fn number_lines(range: std::ops::Range<i64>) -> String {
    range.map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

/// A parquet file, not compressed, with one column `t` of `rows` texts of
/// `width` bytes each.
pub fn texts(rows: usize, width: usize) -> Bytes {
    texts_of(&vec![width; rows])
}

/// Like [`texts`], with a width for each row.
pub fn texts_of(widths: &[usize]) -> Bytes {
    let schema = Arc::new(parse_message_type("message m { required binary t (UTF8); }").unwrap());
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<ByteArray> = widths
        .iter()
        .enumerate()
        .map(|(row, width)| ByteArray::from(vec![b'a' + (row % 26) as u8; *width]))
        .collect();
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, None, None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap().into()
}

/// Changes to the order of a test, as a JSON merge patch.
pub fn order(patch: &Value) -> WorkOrder {
    let mut order = json!({
        "version": 1,
        "job": {
            "cluster": "c", "namespace": "n", "name": "j", "uid": "u",
            "created": "2026-01-02T03:04:05Z", "owner": "c/n/EtlJob/j"
        },
        "run": {"number": 1, "workHash": format!("v1:{HASH}ffff"), "startTime": "2021-03-04T05:06:07Z"},
        "attempt": 1, "shards": 1, "mode": "Convert", "activeDeadlineSeconds": 600,
        "source": {"uri": "memory://raw/"},
        "output": {"uri": "memory://out/", "keyTemplate": "{stem}.json"}
    });
    merge(&mut order, patch);
    WorkOrder::from_json(&order.to_string()).unwrap()
}

fn merge(value: &mut Value, patch: &Value) {
    match (value, patch) {
        (Value::Object(value), Value::Object(patch)) => {
            for (key, patch) in patch {
                merge(value.entry(key.clone()).or_insert(Value::Null), patch);
            }
        }
        (value, patch) => *value = patch.clone(),
    }
}

/// One shard to run.
pub struct Shard {
    pub worker: Worker,
    pub closer: Closer,
}

/// A shard over the given stores; one conversion at a time, so that the order of
/// requests is always the same.
pub fn shard(
    order: WorkOrder,
    shard: u32,
    source: Arc<dyn Store>,
    output: Arc<dyn Store>,
) -> Shard {
    let deadline = Instant::now() + Duration::from_secs(order.active_deadline_seconds);
    let (gate, closer) = Gate::new(deadline);
    let worker = Worker {
        order,
        shard,
        source_name: String::new(),
        source,
        output,
        gate,
        closer: closer.clone(),
        budget: Budget {
            limit_bytes: 512 << 20,
            engine_bytes: 256 << 20,
            conversions: 1,
            objects: 1,
            threads: 1,
        },
        progress: Arc::new(Progress::default()),
    };
    Shard { worker, closer }
}

/// Runs shard 0 of an order to its end.
pub async fn run(
    order: WorkOrder,
    source: &MemoryStore,
    output: Arc<dyn Store>,
) -> Result<Outcome, Error> {
    shard(order, 0, Arc::new(source.clone()), output)
        .worker
        .run()
        .await
}

/// The statistics of a complete run.
pub fn complete(outcome: Result<Outcome, Error>) -> Statistics {
    match outcome {
        Ok(Outcome::Complete { statistics, .. }) => statistics,
        other => panic!("not complete: {other:?}"),
    }
}

/// The category of a failed run.
pub fn category(outcome: Result<Outcome, Error>) -> Category {
    outcome.expect_err("a failure").failure().category
}

/// The one manifest of the first run.
pub fn manifest(output: &MemoryStore) -> Manifest {
    let manifests: Vec<String> = output
        .keys()
        .into_iter()
        .filter(|key| key.ends_with("/manifest"))
        .collect();
    assert_eq!(manifests, [format!("_etl/u/1-{HASH}/manifest")]);
    serde_json::from_str(&output.text(&manifests[0])).unwrap()
}

/// Three small inputs in one source.
pub fn three_inputs() -> MemoryStore {
    let source = MemoryStore::new("raw");
    source.insert("a.parquet", numbers(0..10));
    source.insert("b.parquet", numbers(10..30));
    source.insert("c.parquet", numbers(30..31));
    source
}

/// Checks the result of a run over [`three_inputs`].
pub fn assert_three_outputs(output: &MemoryStore) {
    assert_eq!(output.outputs(), ["a.json", "b.json", "c.json"]);
    assert_eq!(output.text("a.json"), number_lines(0..10));
    assert_eq!(output.text("b.json"), number_lines(10..30));
    assert_eq!(output.text("c.json"), number_lines(30..31));
    let manifest = manifest(output);
    assert_eq!(manifest.totals.rows_written, 31);
    assert_eq!(manifest.totals.output_objects, 3);
}
