//! Source objects that are split into parts.

use std::sync::Arc;

use bytes::Bytes;
use etl_contract::{Category, Outcome};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use crate::bench::{
    category, complete, grouped_numbers, manifest, number_lines, numbers, order, run, shard,
};
use crate::crashes::at_every_write_of;
use crate::fault::{Counted, Fault};
use crate::memory::MemoryStore;

/// Five row groups of 100 rows.
fn five_groups() -> Bytes {
    let ranges: Vec<_> = (0..5).map(|group| group * 100..group * 100 + 100).collect();
    grouped_numbers(&ranges)
}

/// Five row groups of a narrow and a wide column: 100 rows of 8 and 240 bytes.
fn five_wide_groups() -> Bytes {
    wide_groups(5, 100, 240)
}

/// Row groups of `rows` numbers `n`, and texts `t` of `width` bytes.
fn wide_groups(groups: usize, rows: usize, width: usize) -> Bytes {
    let schema = "message m { required int64 n; required binary t (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties.into()).unwrap();
    let numbers: Vec<i64> = (0..).take(rows).collect();
    let texts = vec![ByteArray::from(vec![b'x'; width]); rows];
    for _ in 0..groups {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let narrow = column.typed::<Int64Type>();
        narrow.write_batch(&numbers, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let wide = column.typed::<ByteArrayType>();
        wide.write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.into_inner().unwrap().into()
}

/// Bytes of row group `index`.
fn group_bytes(file: &Bytes, index: usize) -> u64 {
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    let group = reader.metadata().row_group(index);
    u64::try_from(group.compressed_size()).unwrap()
}

/// Two row groups of [`five_groups`] make a part.
fn splitting() -> Value {
    let bytes = group_bytes(&five_groups(), 0) + 1;
    json!({"output": {"splitBytes": bytes, "keyTemplate": "{stem}-{part}.json"}})
}

fn large_and_small() -> MemoryStore {
    let source = MemoryStore::new("raw");
    source.insert("large.parquet", five_groups());
    source.insert("small.parquet", numbers(7..8));
    source
}

const PARTS: [&str; 4] = [
    "large-00000.json",
    "large-00001.json",
    "large-00002.json",
    "small-00000.json",
];

fn assert_parts(output: &MemoryStore) {
    assert_eq!(output.outputs(), PARTS);
    for (part, range) in [(0, 0..200), (1, 200..400), (2, 400..500), (3, 7..8)] {
        assert_eq!(output.text(PARTS[part]), number_lines(range));
    }
    let manifest = manifest(output);
    let totals = manifest.totals;
    assert_eq!((totals.source_objects, totals.output_objects), (2, 4));
    assert_eq!((totals.rows_read, totals.rows_written), (501, 501));
    let sizes = (five_groups().len() + numbers(7..8).len()) as u64;
    assert_eq!(totals.source_bytes, sizes);
    let part = |index: usize| {
        manifest.inputs[index]
            .row_groups
            .map(|part| part.start..part.end)
    };
    let parts: Vec<_> = (0..4).map(part).collect();
    assert_eq!(parts, [Some(0..2), Some(2..4), Some(4..5), None]);
}

#[tokio::test]
async fn a_large_object_becomes_several_by_whole_row_groups() {
    let (source, output) = (large_and_small(), MemoryStore::new("out"));
    complete(run(order(&splitting()), &source, Arc::new(output.clone())).await);
    assert_parts(&output);
}

#[tokio::test]
async fn an_object_is_split_the_same_whichever_columns_are_written() {
    let source = MemoryStore::new("raw");
    source.insert("large.parquet", five_wide_groups());
    let parts = async |transform: Value| {
        let output = MemoryStore::new("out");
        let patch = json!({
            "output": {"splitBytes": 20_000, "keyTemplate": "{part}.json"},
            "transform": transform
        });
        complete(run(order(&patch), &source, Arc::new(output.clone())).await);
        output.outputs().len()
    };
    assert_eq!(parts(json!({})).await, 5);
    assert_eq!(parts(json!({"columns": ["n"]})).await, 5);
}

#[tokio::test]
async fn columns_that_nobody_asked_for_need_no_memory_to_be_split_by() {
    let source = MemoryStore::new("raw");
    source.insert("large.parquet", wide_groups(3, 1, 8 << 20));
    let split = async |transform: Value| {
        let output = MemoryStore::new("out");
        let patch = json!({
            "output": {"splitBytes": 8 << 20, "keyTemplate": "{part}.json"},
            "transform": transform
        });
        let stores = (Arc::new(source.clone()), Arc::new(output.clone()));
        let mut shard = shard(order(&patch), 0, stores.0, stores.1);
        // A row of all columns is more than that.
        shard.worker.budget.engine_bytes = 32 << 20;
        (shard.worker.run().await, output.outputs().len())
    };
    let (outcome, parts) = split(json!({"columns": ["n"]})).await;
    complete(outcome);
    assert_eq!(parts, 3);
    let (outcome, parts) = split(json!({})).await;
    assert_eq!(category(outcome), Category::OutOfMemory);
    assert_eq!(parts, 0);
}

#[tokio::test]
async fn an_output_that_cannot_hold_parts_is_refused_before_anything_is_written() {
    for (field, value, part) in [
        ("keyTemplate", "{stem}.json", "{part}"),
        ("format", "JsonArray", "JsonLines"),
    ] {
        let (source, output) = (large_and_small(), MemoryStore::new("out"));
        let mut patch = splitting();
        patch["output"][field] = json!(value);
        let outcome = run(order(&patch), &source, Arc::new(output.clone())).await;
        let failure = outcome.unwrap_err().failure();
        assert_eq!(failure.category, Category::InvalidSpec);
        assert!(failure.message.contains(part), "{}", failure.message);
        assert_eq!(output.writes(), 0);
    }
}

#[tokio::test]
async fn shards_share_the_parts_of_an_object() {
    let (source, output) = (large_and_small(), MemoryStore::new("out"));
    let mut patch = splitting();
    patch["shards"] = json!(4);
    for number in 0..4 {
        let (source, store) = (Arc::new(source.clone()), Arc::new(output.clone()));
        let outcome = shard(order(&patch), number, source, store)
            .worker
            .run()
            .await;
        assert_eq!(output.outputs(), PARTS[..number as usize + 1]);
        match number {
            3 => drop(complete(outcome)),
            _ => assert_eq!(outcome.unwrap(), Outcome::TasksDone),
        }
    }
    assert_parts(&output);
}

#[tokio::test(start_paused = true)]
async fn a_process_may_die_around_any_write_of_a_part() {
    let source = large_and_small();
    let mut again = splitting();
    again["attempt"] = json!(2);
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        let writes = at_every_write_of(
            &splitting(),
            &source,
            fault,
            Counted::All,
            async |output, outcome| {
                outcome.unwrap_err();
                complete(run(order(&again), &source, Arc::new(output.clone())).await);
                assert_parts(&output);
            },
        )
        .await;
        // The plan, four outputs and records, the manifest.
        assert_eq!(writes, 10);
    }
}

/// Like [`five_groups`], but nothing can be made of row group 2.
fn damaged_in_the_middle() -> Bytes {
    let file = five_groups();
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    let (start, length) = reader.metadata().row_group(2).column(0).byte_range();
    let mut bytes = file.to_vec();
    bytes[start as usize..(start + length) as usize].fill(0xff);
    bytes.into()
}

#[tokio::test]
async fn an_object_with_a_bad_part_is_left_out_as_a_whole() {
    let (source, output) = (large_and_small(), MemoryStore::new("out"));
    source.insert("large.parquet", damaged_in_the_middle());
    let outcome = run(order(&splitting()), &source, Arc::new(output.clone())).await;
    assert_eq!(category(outcome), Category::BadInput);

    let output = MemoryStore::new("out");
    let mut patch = splitting();
    patch["source"] = json!({"onInvalidObject": "Skip", "maxInvalidObjects": 1});
    let totals = complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    assert_eq!((totals.source_objects, totals.objects_skipped), (2, 1));
    assert_eq!((totals.rows_written, totals.output_objects), (1, 1));
    let manifest = manifest(&output);
    assert_eq!(manifest.outputs[0].key, PARTS[3]);
    assert_eq!(manifest.skipped[0].key, "large.parquet");
    // Still there, and no part of the result.
    assert_eq!(manifest.stale, [PARTS[0], PARTS[2]]);
}

#[tokio::test]
async fn a_later_run_replaces_the_parts_and_calls_the_rest_stale() {
    let (source, output) = (large_and_small(), MemoryStore::new("out"));
    complete(run(order(&splitting()), &source, Arc::new(output.clone())).await);
    source.insert("large.parquet", numbers(0..3));
    let mut patch = splitting();
    patch["run"] = json!({"number": 2, "workHash": "v1:feedfeedfeed"});
    complete(run(order(&patch), &source, Arc::new(output.clone())).await);
    assert_eq!(output.text(PARTS[0]), number_lines(0..3));
    let text = output.text("_etl/u/2-feedfeedfeed/manifest");
    let manifest: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["stale"], json!([PARTS[1], PARTS[2]]));
}

#[tokio::test]
async fn a_damaged_object_that_would_be_split_fails_like_any_other() {
    let (source, output) = (large_and_small(), MemoryStore::new("out"));
    source.insert("large.parquet", vec![b'x'; 100_000]);
    let outcome = run(order(&splitting()), &source, Arc::new(output.clone())).await;
    let failure = outcome.unwrap_err().failure();
    assert_eq!(failure.category, Category::BadInput);
    assert_eq!(
        failure.object.as_deref(),
        Some("memory://raw/large.parquet")
    );
}
