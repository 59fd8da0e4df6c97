//! The same values in every way that parquet stores them: encodings, codecs,
//! versions of pages, sizes of row groups and files.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray,
};
use bytes::Bytes;
use etl_engine::{ErrorKind, Options};
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::metadata::{
    ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use support::{Levels, Stored, convert, failure, int96, lines, write_leaves_as, write_with};

const ROWS: usize = 3000;
const VERSIONS: [WriterVersion; 2] = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];

/// Pages of at most 500 rows, so that a chunk has several.
fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_data_page_row_count_limit(500)
        .set_write_batch_size(100)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
}

/// Every seventh value is null, and values repeat.
fn nullable<T>(value: impl Fn(usize) -> T) -> impl Iterator<Item = Option<T>> {
    (0..ROWS).map(move |row| (row % 7 != 3).then(|| value(row % 450)))
}

/// A column of each physical type but INT96, and the encodings that it may have
/// besides PLAIN and a dictionary.
fn columns() -> Vec<(&'static str, ArrayRef, &'static [Encoding])> {
    use Encoding::{
        BYTE_STREAM_SPLIT, DELTA_BINARY_PACKED, DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY, RLE,
    };
    let fixed = nullable(|i| (i as u128 * 7).to_be_bytes());
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 16);
    let integers: &[Encoding] = &[DELTA_BINARY_PACKED, BYTE_STREAM_SPLIT];
    vec![
        (
            "boolean",
            Arc::new(BooleanArray::from_iter(nullable(|i| i % 3 == 0))),
            &[RLE],
        ),
        (
            "int32",
            Arc::new(Int32Array::from_iter(nullable(|i| {
                i as i32 * 1009 - 70_000
            }))),
            integers,
        ),
        (
            "int64",
            Arc::new(Int64Array::from_iter(nullable(|i| (i as i64 - 9) << 40))),
            integers,
        ),
        (
            "float",
            Arc::new(Float32Array::from_iter(nullable(|i| i as f32 / 8.0))),
            &[BYTE_STREAM_SPLIT],
        ),
        (
            "double",
            Arc::new(Float64Array::from_iter(nullable(|i| i as f64 / 10.0))),
            &[BYTE_STREAM_SPLIT],
        ),
        (
            "binary",
            Arc::new(StringArray::from_iter(nullable(|i| {
                "prefix of ".repeat(i % 4) + &i.to_string()
            }))),
            &[DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY],
        ),
        (
            "fixed_len_byte_array",
            Arc::new(fixed.unwrap()),
            &[DELTA_BYTE_ARRAY, BYTE_STREAM_SPLIT],
        ),
    ]
}

fn metadata(file: &[u8]) -> ParquetMetaData {
    let mut reader = ParquetMetaDataReader::new();
    reader.try_parse(&Bytes::copy_from_slice(file)).unwrap();
    reader.finish().unwrap()
}

/// Whether pages of the only column have this encoding.
fn has(file: &[u8], encoding: Encoding) -> bool {
    let metadata = metadata(file);
    metadata
        .row_group(0)
        .column(0)
        .encodings()
        .any(|e| e == encoding)
}

#[test]
fn every_encoding_of_every_physical_type_says_the_same() {
    for (name, column, encodings) in columns() {
        let batch = [RecordBatch::try_from_iter([("v", column)]).unwrap()];
        let plain = write_with(&batch, properties().set_encoding(Encoding::PLAIN).build());
        let expected = convert(plain, &Options::default()).unwrap();
        assert_eq!(expected.lines().count(), ROWS);
        for version in VERSIONS {
            let properties = || properties().set_writer_version(version);
            for &encoding in encodings.iter().chain([&Encoding::PLAIN]) {
                let file = write_with(&batch, properties().set_encoding(encoding).build());
                assert!(has(&file, encoding), "{name} is not written as {encoding}");
                let text = convert(file, &Options::default()).unwrap();
                assert!(text == expected, "{name} as {encoding}, {version:?}");
            }
            let dictionary = properties().set_dictionary_enabled(true);
            let file = write_with(&batch, dictionary.clone().build());
            let text = convert(file, &Options::default()).unwrap();
            assert!(text == expected, "{name} with a dictionary, {version:?}");
            // Full after a few values: the rest of the chunk is plain.
            let full = dictionary.set_dictionary_page_size_limit(64).build();
            let text = convert(write_with(&batch, full), &Options::default()).unwrap();
            assert!(
                text == expected,
                "{name} with a full dictionary, {version:?}"
            );
        }
    }
}

#[test]
fn int96_is_read_plain_and_from_a_dictionary() {
    let values: Vec<(i32, u64)> = (0..ROWS)
        .map(|row| (row as i32 % 90, row as u64 % 450))
        .collect();
    let file = |properties: WriterPropertiesBuilder| {
        let leaves = [(Stored::I96(values.clone()), Levels::default())];
        write_leaves_as(
            "message m { required int96 v; }",
            &leaves,
            properties.build(),
        )
    };
    assert_ne!(int96(0, 0), int96(0, 1));
    let expected = lines(file(properties().set_encoding(Encoding::PLAIN)));
    assert_eq!(expected[1], "{\"v\":\"1970-01-02T00:00:00.000000001Z\"}");
    for version in VERSIONS {
        let dictionary = properties()
            .set_writer_version(version)
            .set_dictionary_enabled(true);
        assert_eq!(lines(file(dictionary)), expected, "{version:?}");
    }
}

#[test]
fn every_codec_in_both_versions_of_pages_says_the_same() {
    let columns = columns()
        .into_iter()
        .map(|(name, column, _)| (name, column));
    let batch = [RecordBatch::try_from_iter(columns).unwrap()];
    let plain = write_with(&batch, properties().build());
    let expected = convert(plain, &Options::default()).unwrap();
    for version in VERSIONS {
        for codec in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::BROTLI(BrotliLevel::default()),
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::default()),
        ] {
            for dictionary in [false, true] {
                let properties = properties()
                    .set_writer_version(version)
                    .set_compression(codec)
                    .set_dictionary_enabled(dictionary);
                let file = write_with(&batch, properties.build());
                let stored = metadata(&file).row_group(0).column(1).compression();
                assert_eq!(stored, codec);
                let text = convert(file, &Options::default()).unwrap();
                assert!(
                    text == expected,
                    "{codec}, {version:?}, dictionary: {dictionary}"
                );
            }
        }
    }
}

/// The file with its footer changed.
fn with_footer(file: &[u8], change: impl Fn(RowGroupMetaData) -> RowGroupMetaData) -> Vec<u8> {
    let old = metadata(file);
    let data = usize::try_from(u32::from_le_bytes(
        *file[..file.len() - 4].last_chunk().unwrap(),
    ));
    let data = &file[..file.len() - 8 - data.unwrap()];
    let row_groups = old.row_groups().iter().cloned().map(change).collect();
    let new = old.into_builder().set_row_groups(row_groups).build();
    let mut changed = data.to_vec();
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &new)
        .finish()
        .unwrap();
    changed.extend(footer);
    changed
}

#[test]
fn a_codec_that_nobody_writes_is_refused_by_name() {
    let column: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("v", column)]).unwrap();
    let file = with_footer(&write_with(&[batch], properties().build()), |row_group| {
        let column = row_group.column(0).clone().into_builder();
        let column = column.set_compression(Compression::LZO).build().unwrap();
        row_group
            .into_builder()
            .set_column_metadata(vec![column])
            .build()
            .unwrap()
    });
    let error = failure(file);
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let message = error.to_string();
    assert!(
        message.contains("LZO") && message.contains("column \"v\""),
        "{message}"
    );
}

fn numbers(range: std::ops::Range<i32>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int32Array::from_iter_values(range));
    RecordBatch::try_from_iter([("v", column)]).unwrap()
}

#[test]
fn row_groups_may_be_many_single_or_none() {
    let expected = |range: std::ops::Range<i32>| -> Vec<String> {
        range.map(|v| format!("{{\"v\":{v}}}")).collect()
    };
    let single: Vec<RecordBatch> = (0..700).map(|v| numbers(v..v + 1)).collect();
    assert_eq!(
        lines(write_with(&single, properties().build())),
        expected(0..700)
    );
    assert_eq!(
        lines(write_with(&[numbers(0..1)], properties().build())),
        expected(0..1)
    );
    assert_eq!(
        lines(write_with(&[numbers(0..0)], properties().build())),
        expected(0..0)
    );
}

#[test]
fn a_row_group_without_rows_is_passed_over() {
    let schema = "message m { required int32 v; }";
    let none = [(Stored::I32(vec![]), Levels::default())];
    let file = write_leaves_as(schema, &none, WriterProperties::default());
    assert_eq!(metadata(&file).num_row_groups(), 1);
    assert_eq!(lines(file), Vec::<String>::new());
}

#[test]
fn a_column_may_have_no_value_at_all() {
    let nulls: ArrayRef = Arc::new(StringArray::new_null(ROWS));
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..ROWS as i32));
    let batch =
        RecordBatch::try_from_iter_with_nullable([("n", nulls, true), ("v", numbers, false)]);
    let batch = [batch.unwrap()];
    for version in VERSIONS {
        for dictionary in [false, true] {
            let properties = properties()
                .set_writer_version(version)
                .set_dictionary_enabled(dictionary);
            let lines = lines(write_with(&batch, properties.build()));
            assert_eq!(lines.len(), ROWS);
            assert_eq!(lines[1], "{\"v\":1}");
        }
    }
}
