//! Files that are in order but have no faithful rendering, and files that do
//! not fit: refused by name before any output.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::sync::Arc;

use arrow_array::types::Float64Type;
use arrow_array::{Int32Array, Int64Array, ListArray, RecordBatch};
use bytes::Bytes;
use etl_engine::{
    BatchEncoder, Budget, Conversion, Error, ErrorKind, JsonOptions, NonFinite, Options,
};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use support::{
    BUDGET, Levels, Stored, convert, failure, one_column, write, write_leaves, write_with,
};

fn assert_unsupported(schema: &str, leaves: &[(Stored, Levels)], message: &str) {
    let error = failure(write_leaves(schema, leaves));
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(error.to_string(), message);
}

fn none() -> Levels {
    Levels::default()
}

#[test]
fn types_without_a_rendering_are_refused_by_name() {
    assert_unsupported(
        "message m { required group s { required fixed_len_byte_array(12) i (INTERVAL); } }",
        &[(Stored::Fixed(vec![vec![0; 12]]), none())],
        "column \"s.i\": type INTERVAL has no JSON rendering: leave the column out or convert it",
    );
    assert_unsupported(
        "message m { required group v (VARIANT) { required binary metadata; \
         required binary value; } }",
        &[
            (Stored::Bytes(vec![vec![1]]), none()),
            (Stored::Bytes(vec![vec![1]]), none()),
        ],
        "column \"v\": type VARIANT has no JSON rendering: leave the column out or convert it",
    );
    assert_unsupported(
        "message m { required binary g (GEOMETRY); }",
        &[(Stored::Bytes(vec![vec![1]]), none())],
        "column \"g\": type GEOMETRY has no JSON rendering: leave the column out or convert it",
    );
}

#[test]
fn a_name_that_occurs_twice_is_refused_at_any_depth() {
    let value = || (Stored::I32(vec![1]), none());
    assert_unsupported(
        "message m { required int32 a; required int32 b; required int32 a; }",
        &[value(), value(), value()],
        "column \"a\": the name occurs twice, and a JSON object holds a name once",
    );
    assert_unsupported(
        "message m { required group s { required int32 a; required int32 a; } }",
        &[value(), value()],
        "column \"s.a\": the name occurs twice, and a JSON object holds a name once",
    );
}

#[test]
fn a_map_with_structs_for_keys_is_refused() {
    let levels = || Levels {
        definition: Some(vec![1]),
        repetition: Some(vec![0]),
    };
    assert_unsupported(
        "message m { required group v (MAP) { repeated group key_value { \
         required group key { required int32 a; } required int32 value; } } }",
        &[
            (Stored::I32(vec![1]), levels()),
            (Stored::I32(vec![1]), levels()),
        ],
        "column \"v\": a map key that is a struct, list or map has no JSON rendering",
    );
}

#[test]
fn times_outside_the_day_are_bad_input() {
    for value in [-1, 86_400_000] {
        let error = failure(one_column(
            "int32 v (TIME(MILLIS,true))",
            &Stored::I32(vec![value]),
        ));
        assert_eq!(error.kind(), ErrorKind::BadInput);
        assert_eq!(
            error.to_string(),
            "row group 0, column \"v\": a time of day is not within one day"
        );
    }
}

#[test]
fn non_finite_values_fail_where_asked() {
    let json = JsonOptions {
        non_finite: NonFinite::Fail,
        ..JsonOptions::default()
    };
    let options = Options {
        json,
        ..Options::default()
    };
    let fine = one_column("double v", &Stored::F64(vec![0.5]));
    assert_eq!(convert(fine, &options).unwrap(), "{\"v\":0.5}\n");
    for value in [f64::NAN, f64::INFINITY] {
        let error = convert(one_column("double v", &Stored::F64(vec![value])), &options);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput);
        assert!(
            error.to_string().starts_with("row group 0, column \"v\": "),
            "{error}"
        );
    }
}

/// A batch may be a part of a longer one, whose other rows do not matter.
#[test]
fn values_outside_the_rows_of_a_batch_are_not_refused() {
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some(vec![Some(f64::NAN)]),
        Some(vec![Some(0.5)]),
        Some(vec![Some(f64::INFINITY)]),
    ]);
    let batch = RecordBatch::try_from_iter([("v", Arc::new(lists) as _)]).unwrap();
    let json = JsonOptions {
        non_finite: NonFinite::Fail,
        ..JsonOptions::default()
    };
    let options = Options {
        json,
        ..Options::default()
    };
    let encode = |batch: &RecordBatch| {
        let mut rows = Vec::new();
        let result = BatchEncoder::new(&options).encode(batch, 0, &mut rows);
        result.map(|()| String::from_utf8(rows).unwrap())
    };
    assert_eq!(encode(&batch.slice(1, 1)).unwrap(), "{\"v\":[0.5]}\n");
    let error = encode(&batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadInput);
}

#[test]
fn text_that_is_not_utf8_is_bad_input_whatever_its_annotation() {
    for annotation in ["STRING", "UTF8", "ENUM", "JSON"] {
        let declaration = format!("binary v ({annotation})");
        let error = failure(one_column(
            &declaration,
            &Stored::Bytes(vec![vec![b'a', 0xff]]),
        ));
        assert_eq!(error.kind(), ErrorKind::BadInput, "{annotation}: {error}");
        assert!(
            error.to_string().contains("column \"v\""),
            "{annotation}: {error}"
        );
    }
}

#[test]
fn encrypted_files_are_refused_by_name() {
    let file = one_column("int32 v", &Stored::I32(vec![1]));
    let end = file.len() - 4;
    let mut footer_encrypted = file.clone();
    footer_encrypted[end..].copy_from_slice(b"PARE");
    let mut all_encrypted = footer_encrypted.clone();
    all_encrypted[..4].copy_from_slice(b"PARE");
    for file in [
        footer_encrypted,
        all_encrypted,
        with_encryption_algorithm(&file),
    ] {
        let error = failure(file);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            error.to_string(),
            "the file is encrypted (parquet modular encryption), which is not supported"
        );
    }
}

/// The same file with a plain footer that says the columns are encrypted:
/// field 8 in long form, an empty struct, before the footer's own end.
fn with_encryption_algorithm(file: &[u8]) -> Vec<u8> {
    let (rest, tail) = file.split_at(file.len() - 8);
    let length = u32::from_le_bytes(tail[..4].try_into().unwrap());
    let field = [0x0c, 16, 0x00];
    let mut encrypted = rest[..rest.len() - 1].to_vec();
    encrypted.extend(field);
    encrypted.push(0);
    encrypted.extend((length + field.len() as u32).to_le_bytes());
    encrypted.extend(b"PAR1");
    encrypted
}

#[test]
fn too_little_memory_is_refused_with_the_amount_to_give() {
    let column: Int32Array = (0..1_000_000).collect();
    let batch = RecordBatch::try_from_iter([("v", Arc::new(column) as _)]).unwrap();
    let file = Bytes::from(write(&[batch]));
    let open = |memory_bytes| {
        let budget = Budget {
            memory_bytes,
            threads: 1,
        };
        Conversion::open(Arc::new(file.clone()), &Options::default(), &budget)
    };
    let needed = open(1 << 30).unwrap().memory_needed();
    assert!(needed > file.len() as u64);
    let conversion = open(needed).expect("exactly what it needs is enough");
    assert_eq!(conversion.convert(&mut Vec::new()).unwrap().rows, 1_000_000);
    let error = open(needed - 1).unwrap_err();
    assert!(
        matches!(error, Error::NotEnoughMemory { needed: n, budget, .. }
            if n == needed && budget == needed - 1),
        "{error}"
    );
    assert!(
        error.to_string().contains("raise the memory limit"),
        "{error}"
    );
}

#[test]
fn a_footer_too_large_for_the_budget_is_refused_before_it_is_read() {
    let file = one_column("int32 v", &Stored::I32(vec![1]));
    let budget = Budget {
        memory_bytes: 1,
        ..BUDGET
    };
    let result = Conversion::open(Arc::new(Bytes::from(file)), &Options::default(), &budget);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::NotEnoughMemory);
}

/// The footer does not say how large pages are: this one is 40 MB of a column
/// that is stored in 2 MB.
#[test]
fn a_page_beyond_the_budget_is_refused_when_it_is_met() {
    const PAGE_BYTES: u64 = 40_000_000;

    let column = Int64Array::from(vec![0; PAGE_BYTES as usize / 8]);
    let batch = RecordBatch::try_from_iter([("v", Arc::new(column) as _)]).unwrap();
    let batches = [batch.clone(), batch];
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(usize::MAX)
        .set_data_page_row_count_limit(usize::MAX)
        .set_write_batch_size(usize::MAX)
        .set_max_row_group_row_count(None)
        .build();
    let file = Bytes::from(write_with(&batches, properties));
    let convert = |memory_bytes| {
        let budget = Budget {
            memory_bytes,
            threads: 1,
        };
        let conversion = Conversion::open(Arc::new(file.clone()), &Options::default(), &budget)?;
        conversion.convert(&mut Vec::new())
    };
    assert_eq!(convert(1 << 30).unwrap().rows, PAGE_BYTES / 4);
    let error = convert(40 << 20).unwrap_err();
    let Error::NotEnoughMemory { place, needed, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(place.row_group, Some(0));
    assert!(*needed > PAGE_BYTES, "{error}");
    // Exactly that is enough: there is only no reading ahead then.
    assert_eq!(convert(*needed).unwrap().rows, PAGE_BYTES / 4);
}

/// A list of twenty million nulls takes a few bytes in the file and hundreds of
/// megabytes when decoded.
#[test]
fn a_row_beyond_the_budget_is_refused_by_the_footer() {
    const VALUES: usize = 20_000_000;

    let levels = Levels {
        definition: Some(vec![1; VALUES]),
        repetition: Some((0..VALUES).map(|at| i16::from(at > 0)).collect()),
    };
    let schema = "message m { required group v (LIST) { repeated group list { \
                  optional int32 element; } } }";
    let file = Bytes::from(write_leaves(schema, &[(Stored::I32(vec![]), levels)]));
    assert!(file.len() < 10_000);
    let budget = Budget {
        memory_bytes: 256 << 20,
        threads: 1,
    };
    let error = Conversion::open(Arc::new(file), &Options::default(), &budget).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEnoughMemory, "{error}");
}
