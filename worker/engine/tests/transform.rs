//! Which columns are written, in which order, and which are added.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use bytes::Bytes;
use etl_engine::{
    Constant, Conversion, Error, Format, JsonOptions, Nulls, Options, ReadAt, ReadError,
    Timestamps, Transform, Value,
};
use parquet::file::properties::WriterProperties;
use support::{
    BUDGET, Levels, Stored, convert, convert_with, without_columns, write, write_leaves, write_with,
};

fn select(columns: &[&str]) -> Options {
    Options {
        transform: Transform {
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            constants: Vec::new(),
        },
        ..Options::default()
    }
}

fn constant(name: &str, value: Value) -> Constant {
    let name = name.to_owned();
    Constant { name, value }
}

/// Columns `a`, `b{x,y}`, `c`, `d`.
fn four_columns() -> Vec<u8> {
    let text = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let inner = vec![
        ("x", Arc::new(Int32Array::from(vec![10, 20])) as ArrayRef),
        ("y", text(&["p", "q"])),
    ];
    let inner = arrow_array::StructArray::try_from(inner).unwrap();
    let batch = RecordBatch::try_from_iter([
        ("a", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef),
        ("b", Arc::new(inner)),
        ("c", text(&["u", "v"])),
        ("d", Arc::new(Int32Array::from(vec![Some(7), None]))),
    ]);
    write(&[batch.unwrap()])
}

fn mismatch(file: Vec<u8>, options: &Options) -> String {
    let error = convert(file, options).unwrap_err();
    assert!(matches!(error, Error::SchemaMismatch { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn columns_come_in_the_order_asked_for() {
    let text = convert(four_columns(), &select(&["d", "b", "a"])).unwrap();
    assert_eq!(
        text,
        concat!(
            "{\"d\":7,\"b\":{\"x\":10,\"y\":\"p\"},\"a\":1}\n",
            "{\"b\":{\"x\":20,\"y\":\"q\"},\"a\":2}\n",
        )
    );
}

#[test]
fn int96_columns_keep_their_nanoseconds_in_another_order() {
    let schema = "message m { required int32 a; required int96 t; required int32 b; }";
    let day = Stored::I96(vec![(18_628, 1_810_000_000_001)]);
    let leaves = [Stored::I32(vec![1]), day, Stored::I32(vec![2])];
    let leaves = leaves.map(|stored| (stored, Levels::default()));
    let text = convert(write_leaves(schema, &leaves), &select(&["b", "t"])).unwrap();
    assert_eq!(text, "{\"b\":2,\"t\":\"2021-01-01T00:30:10.000000001Z\"}\n");
}

#[test]
fn a_column_that_is_left_out_may_be_of_any_type_and_name() {
    let schema = "message m { required int32 a; required fixed_len_byte_array(12) i (INTERVAL); \
                  required int32 twice; required int32 twice; }";
    let number = || (Stored::I32(vec![1]), Levels::default());
    let interval = (Stored::Fixed(vec![vec![0; 12]]), Levels::default());
    let file = write_leaves(schema, &[number(), interval, number(), number()]);
    let text = convert(file.clone(), &select(&["a"])).unwrap();
    assert_eq!(text, "{\"a\":1}\n");
    let error = convert(file, &select(&["twice"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column \"twice\": the name occurs twice, and a JSON object holds a name once"
    );
}

#[test]
fn a_column_that_the_file_lacks_is_named_with_those_it_has() {
    assert_eq!(
        mismatch(four_columns(), &select(&["a", "A"])),
        "column \"A\": there is no such column to write; there are \"a\", \"b\", \"c\", \"d\""
    );
    let wide = (0..25).map(|index| {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        (format!("c{index}"), numbers)
    });
    let wide = write(&[RecordBatch::try_from_iter(wide).unwrap()]);
    let message = mismatch(wide, &select(&["x"]));
    assert!(
        message.ends_with("\"c18\", \"c19\" and 5 more"),
        "{message}"
    );
}

#[test]
fn a_name_is_written_once() {
    let message = "column \"a\": two columns of the output would have this name";
    assert_eq!(mismatch(four_columns(), &select(&["a", "a"])), message);
    let mut options = select(&["a"]);
    options.transform.constants = ["new", "new"]
        .map(|name| constant(name, Value::Timestamp(0)))
        .to_vec();
    let twice = message.replace("\"a\"", "\"new\"");
    assert_eq!(mismatch(four_columns(), &options), twice);
}

#[test]
fn a_constant_does_not_take_the_name_of_a_column_of_the_file() {
    let message = "column \"a\": a constant has the name of a column of the file";
    let mut options = select(&["a"]);
    options.transform.constants = vec![constant("a", Value::Timestamp(0))];
    for columns in [&["a"][..], &[], &["b"]] {
        options.transform.columns = columns.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(mismatch(four_columns(), &options), message, "{columns:?}");
    }
}

#[test]
fn constants_come_last_and_follow_the_options() {
    let mut options = select(&["a"]);
    options.transform.constants = vec![
        constant("at", Value::Timestamp(1_609_461_010_000_001)),
        constant(
            "from",
            Value::Text("s3://bucket/a \"quoted\" name.parquet".to_owned()),
        ),
    ];
    let text = convert(four_columns(), &options).unwrap();
    let from = r#""from":"s3://bucket/a \"quoted\" name.parquet"}"#;
    let row = |a, at: &str| format!("{{\"a\":{a},\"at\":{at},{from}\n");
    let iso = "\"2021-01-01T00:30:10.000001Z\"";
    assert_eq!(text, row(1, iso) + &row(2, iso));

    options.json = JsonOptions {
        timestamps: Timestamps::EpochMillis,
        nulls: Nulls::Explicit,
        ..JsonOptions::default()
    };
    let text = convert(four_columns(), &options).unwrap();
    assert_eq!(text, row(1, "1609461010000") + &row(2, "1609461010000"));
}

#[test]
fn constants_stand_beside_no_columns_and_in_files_without_rows() {
    let mut options = select(&[]);
    options.transform.constants = vec![constant("from", Value::Text("x".to_owned()))];
    let text = convert(without_columns(10_000), &options).unwrap();
    assert_eq!(text, "{\"from\":\"x\"}\n".repeat(10_000));
    options.format = Format::JsonArray;
    let empty = write(&[RecordBatch::try_from_iter([(
        "a",
        Arc::new(Int32Array::from(Vec::<i32>::new())) as ArrayRef,
    )])
    .unwrap()]);
    assert_eq!(convert(empty, &options).unwrap(), "[]");
}

/// Remembers what was read.
struct Watched {
    file: Bytes,
    reads: Mutex<Vec<Range<u64>>>,
}

impl ReadAt for Watched {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        self.reads.lock().unwrap().extend_from_slice(ranges);
        self.file.read_ranges(ranges)
    }
}

#[test]
fn what_is_left_out_is_neither_read_nor_counted_in_memory() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut noise = || -> ArrayRef {
        let bytes = (0..400_000).map(|_| rng.i32(..));
        Arc::new(Int32Array::from_iter_values(bytes))
    };
    let batch = RecordBatch::try_from_iter([("a", noise()), ("big", noise()), ("c", noise())]);
    let file = Bytes::from(write_with(&[batch.unwrap()], WriterProperties::default()));
    let open = |options: &Options| {
        let source = Arc::new(Watched {
            file: file.clone(),
            reads: Mutex::default(),
        });
        let conversion = Conversion::open(source.clone(), options, &BUDGET).unwrap();
        let needed = conversion.memory_needed();
        let mut output = Vec::new();
        let summary = conversion.convert(&mut output).unwrap();
        assert_eq!(summary.rows, 400_000);
        let reads = source.reads.lock().unwrap();
        let bytes: u64 = reads.iter().map(|range| range.end - range.start).sum();
        (needed, bytes)
    };
    let (all_needed, all_read) = open(&Options::default());
    let (needed, read) = open(&select(&["c"]));
    assert!(read < all_read / 2, "{read} of {all_read} bytes were read");
    assert!(needed < all_needed, "{needed} of {all_needed} bytes");
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    let mut options = select(&["c", "a"]);
    options.transform.constants = vec![constant("from", Value::Text("x".repeat(40)))];
    let by = |threads| {
        let budget = etl_engine::Budget { threads, ..BUDGET };
        convert_with(four_columns(), &options, &budget).unwrap()
    };
    assert_eq!(by(1), by(4));
}
