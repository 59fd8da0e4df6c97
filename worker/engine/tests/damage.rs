//! Damaged files: every ending is an error with a place, never a panic, and
//! never a success with another number of rows than the file claims.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use etl_engine::{Error, ErrorKind, Options};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use support::{convert, failure, write_with};

const ROWS: usize = 60;

fn batch(from: usize) -> RecordBatch {
    let rows = from..from + ROWS / 2;
    let number: Int64Array = rows
        .clone()
        .map(|row| (row % 7 != 0).then_some(row as i64))
        .collect();
    let text: StringArray = rows
        .clone()
        .map(|row| Some(format!("text {}", row % 5)))
        .collect();
    let float: Float64Array = rows.clone().map(|row| Some(row as f64 / 3.0)).collect();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(rows.map(|row| {
        Some(
            (0..row % 4)
                .map(|item| Some(item as i32))
                .collect::<Vec<_>>(),
        )
    }));
    let columns: [(&str, ArrayRef); 4] = [
        ("number", Arc::new(number)),
        ("text", Arc::new(text)),
        ("float", Arc::new(float)),
        ("list", Arc::new(list)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Two row groups, four columns, dictionaries, nulls, repetition.
fn file(version: WriterVersion, compression: Compression) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_compression(compression)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .set_key_value_metadata(None)
        .build();
    write_with(&[batch(0), batch(ROWS / 2)], properties)
}

fn files() -> [Vec<u8>; 3] {
    [
        file(WriterVersion::PARQUET_1_0, Compression::UNCOMPRESSED),
        file(WriterVersion::PARQUET_1_0, Compression::SNAPPY),
        file(
            WriterVersion::PARQUET_2_0,
            Compression::ZSTD(ZstdLevel::default()),
        ),
    ]
}

/// An error must name a class that retrying does not mend; a success must have
/// all rows, each of them JSON.
fn assert_safe(file: Vec<u8>, what: &str) {
    match convert(file, &Options::default()) {
        Ok(text) => {
            assert_eq!(text.lines().count(), ROWS, "{what}");
            for line in text.lines() {
                serde_json::from_str::<serde_json::Value>(line).expect(what);
            }
        }
        Err(error) => {
            let kind = error.kind();
            let allowed = matches!(
                kind,
                ErrorKind::BadInput | ErrorKind::Unsupported | ErrorKind::NotEnoughMemory
            );
            assert!(allowed, "{what}: {kind:?}: {error}");
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for file in files() {
        assert_eq!(
            convert(file.clone(), &Options::default())
                .unwrap()
                .lines()
                .count(),
            ROWS
        );
        for length in 0..file.len() {
            let error = failure(file[..length].to_vec());
            assert_eq!(
                error.kind(),
                ErrorKind::BadInput,
                "cut at {length}: {error}"
            );
        }
    }
}

#[test]
fn a_truncated_upload_is_called_one() {
    let file = file(WriterVersion::PARQUET_1_0, Compression::SNAPPY);
    let error = failure(file[..1000].to_vec());
    let message = "file ends at byte 1000; footer magic missing: truncated upload?";
    assert_eq!(error.to_string(), message);
    let error = failure(file[..7].to_vec());
    let message = "the file has 7 bytes, fewer than the smallest parquet file";
    assert_eq!(error.to_string(), message);
}

#[test]
fn something_else_than_parquet_is_called_that() {
    let error = failure(b"{\"this\": \"is a JSON file, not parquet\"}".to_vec());
    let message = "byte 0: the file does not begin with PAR1: it is not a parquet file";
    assert_eq!(error.to_string(), message);
}

#[test]
fn any_flipped_byte_ends_in_an_error_or_in_all_rows() {
    for file in files() {
        for at in 0..file.len() {
            for pattern in [0x01, 0x80] {
                let mut damaged = file.clone();
                damaged[at] ^= pattern;
                assert_safe(
                    damaged,
                    &format!("byte {at} of {} ^ {pattern:#x}", file.len()),
                );
            }
        }
    }
}

#[test]
fn a_hole_of_zeros_or_ones_ends_in_an_error_or_in_all_rows() {
    for file in files() {
        for at in (0..file.len()).step_by(11) {
            for fill in [0x00, 0xff] {
                let mut damaged = file.clone();
                let end = (at + 16).min(file.len());
                damaged[at..end].fill(fill);
                assert_safe(damaged, &format!("bytes {at}..{end} = {fill:#x}"));
            }
        }
    }
}

#[test]
fn a_footer_length_beyond_the_file_is_refused_before_anything_is_allocated() {
    let mut file = file(WriterVersion::PARQUET_1_0, Compression::SNAPPY);
    let at = file.len() - 8;
    file[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let message = failure(file).to_string();
    assert!(
        message.contains("its footer has 4294967295 bytes, and there is room for"),
        "{message}"
    );
}

#[test]
fn a_damaged_page_is_named_by_row_group_and_column() {
    let file = file(WriterVersion::PARQUET_1_0, Compression::SNAPPY);
    let metadata = parquet::file::metadata::ParquetMetaDataReader::new()
        .parse_and_finish(&bytes::Bytes::from(file.clone()))
        .unwrap();
    let (start, length) = metadata.row_group(1).column(1).byte_range();
    let mut damaged = file;
    let (start, end) = (start as usize, (start + length) as usize);
    damaged[start + 30..end].fill(0xff);
    let error = failure(damaged);
    let Error::BadInput { place, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(place.row_group, Some(1), "{error}");
    assert_eq!(place.column.as_deref(), Some("text"), "{error}");
}

/// Written by pyarrow with page checksums; a flipped byte of a page body would
/// decode to another number without them.
#[test]
fn page_checksums_are_verified() {
    let file = include_bytes!("data/page_checksum.parquet");
    let text = convert(file.to_vec(), &Options::default()).unwrap();
    let expected: String = (0..100)
        .map(|row| format!("{{\"v\":{}}}\n", row * 3))
        .collect();
    assert_eq!(text, expected);
    let value = 150_i64.to_le_bytes();
    let at = file
        .windows(8)
        .position(|bytes| bytes == value)
        .expect("the values lie there plain");
    let mut damaged = file.to_vec();
    damaged[at] ^= 1;
    let error = failure(damaged);
    assert_eq!(
        error.to_string(),
        "row group 0, column \"v\", byte 75: a page does not match its checksum"
    );
}
