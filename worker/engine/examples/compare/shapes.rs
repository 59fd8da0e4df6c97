//! Generated files of five shapes, always the same.

use std::error::Error;
use std::sync::Arc;

use arrow_array::builder::StringViewBuilder;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use fastrand::Rng;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

const ROW_GROUP_ROWS: usize = 250_000;
const WRITE_ROWS: usize = 50_000;

/// A table and how much of it.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    rows: usize,
    /// Cells per row, those of elements included.
    pub(crate) cells: f64,
    columns: fn(&mut Rng) -> Vec<(&'static str, ArrayRef)>,
}

/// About 150 MB of JSON each.
pub(crate) const SHAPES: &[Shape] = &[
    Shape {
        name: "mixed",
        rows: 400_000,
        cells: 16.0,
        columns: mixed,
    },
    Shape {
        name: "events",
        rows: 400_000,
        cells: 13.0,
        columns: events,
    },
    Shape {
        name: "numbers",
        rows: 400_000,
        cells: 16.0,
        columns: numbers,
    },
    Shape {
        name: "text",
        rows: 250_000,
        cells: 4.0,
        columns: texts,
    },
    Shape {
        name: "nested",
        rows: 200_000,
        cells: 18.0,
        columns: nested,
    },
];

impl Shape {
    /// The parquet file: snappy, with dictionaries.
    pub(crate) fn file(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        self.file_of(self.rows)
    }

    /// The same with so many rows.
    pub(crate) fn file_of(&self, rows: usize) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut rng = Rng::with_seed(42);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let mut batch = || RecordBatch::try_from_iter((self.columns)(&mut rng));
        let mut file = Vec::new();
        let first = batch()?;
        let mut writer = ArrowWriter::try_new(&mut file, first.schema(), Some(properties))?;
        writer.write(&first.slice(0, rows.min(WRITE_ROWS)))?;
        for _ in 1..rows.div_ceil(WRITE_ROWS) {
            writer.write(&batch()?)?;
        }
        writer.close()?;
        Ok(file)
    }
}

fn texts_of(mut value: impl FnMut() -> String) -> ArrayRef {
    some_texts_of(|| Some(value()))
}

fn some_texts_of(mut value: impl FnMut() -> Option<String>) -> ArrayRef {
    let mut builder = StringViewBuilder::new();
    (0..WRITE_ROWS).for_each(|_| builder.append_option(value()));
    Arc::new(builder.finish())
}

fn longs(mut value: impl FnMut() -> i64) -> ArrayRef {
    Arc::new((0..WRITE_ROWS).map(|_| value()).collect::<Int64Array>())
}

fn ints(mut value: impl FnMut() -> Option<i32>) -> ArrayRef {
    Arc::new((0..WRITE_ROWS).map(|_| value()).collect::<Int32Array>())
}

fn doubles(mut value: impl FnMut() -> f64) -> ArrayRef {
    Arc::new((0..WRITE_ROWS).map(|_| value()).collect::<Float64Array>())
}

fn times(mut micros: impl FnMut() -> i64) -> ArrayRef {
    let values = (0..WRITE_ROWS).map(|_| micros());
    Arc::new(TimestampMicrosecondArray::from_iter_values(values))
}

fn dates(mut value: impl FnMut() -> i32) -> ArrayRef {
    let values = (0..WRITE_ROWS).map(|_| value());
    Arc::new(Date32Array::from_iter_values(values))
}

fn one_of(rng: &mut Rng, values: &[&str]) -> String {
    values[rng.usize(..values.len())].to_owned()
}

pub(crate) fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| rng.digit(16)).collect()
}

pub(crate) fn words(rng: &mut Rng, bytes: usize) -> String {
    const WORDS: [&str; 16] = [
        "carefully",
        "final",
        "deposits",
        "sleep",
        "quickly",
        "ironic",
        "the",
        "among",
        "regular",
        "packages",
        "above",
        "even",
        "requests",
        "\"bold\"",
        "pinto",
        "beans",
    ];
    let mut text = String::new();
    while text.len() < bytes {
        let known = if rng.u8(..8) == 0 { 16 } else { 13 };
        text.push_str(WORDS[rng.usize(..known)]);
        text.push(' ');
    }
    text
}

/// An order line: keys, amounts, flags, dates, a comment.
fn mixed(rng: &mut Rng) -> Vec<(&'static str, ArrayRef)> {
    const INSTRUCTIONS: [&str; 4] = [
        "DELIVER IN PERSON",
        "COLLECT COD",
        "NONE",
        "TAKE BACK RETURN",
    ];
    const MODES: [&str; 7] = ["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"];
    let mut order = rng.i64(0..1_000_000);
    vec![
        (
            "l_orderkey",
            longs(|| {
                order += rng.i64(0..2);
                order
            }),
        ),
        ("l_partkey", longs(|| rng.i64(1..2_000_000))),
        ("l_suppkey", longs(|| rng.i64(1..100_000))),
        ("l_linenumber", ints(|| Some(rng.i32(1..8)))),
        ("l_quantity", doubles(|| f64::from(rng.i32(1..51)))),
        (
            "l_extendedprice",
            doubles(|| f64::from(rng.i32(90_000..10_000_000)) / 100.0),
        ),
        ("l_discount", doubles(|| f64::from(rng.i32(0..11)) / 100.0)),
        ("l_tax", doubles(|| f64::from(rng.i32(0..9)) / 100.0)),
        ("l_returnflag", texts_of(|| one_of(rng, &["A", "N", "R"]))),
        ("l_linestatus", texts_of(|| one_of(rng, &["O", "F"]))),
        ("l_shipdate", dates(|| rng.i32(8_036..10_560))),
        ("l_commitdate", dates(|| rng.i32(8_036..10_560))),
        ("l_receiptdate", dates(|| rng.i32(8_036..10_560))),
        ("l_shipinstruct", texts_of(|| one_of(rng, &INSTRUCTIONS))),
        ("l_shipmode", texts_of(|| one_of(rng, &MODES))),
        (
            "l_comment",
            texts_of(|| {
                let length = rng.usize(10..40);
                words(rng, length)
            }),
        ),
    ]
}

/// A web event: identifiers, times, addresses, and nulls.
fn events(rng: &mut Rng) -> Vec<(&'static str, ArrayRef)> {
    const TYPES: [&str; 5] = ["page_view", "click", "purchase", "scroll", "sign_up"];
    const COUNTRIES: [&str; 6] = ["DE", "US", "FR", "JP", "BR", "IN"];
    let mut now = 1_700_000_000_000_000;
    let uuid = |rng: &mut Rng| {
        let parts = [8, 4, 4, 4, 12].map(|digits| hex(rng, digits));
        parts.join("-")
    };
    let url = |rng: &mut Rng| {
        format!(
            "https://shop.example.com/p/{}?ref={}",
            rng.u32(..),
            hex(rng, 8)
        )
    };
    vec![
        ("event_id", texts_of(|| uuid(rng))),
        (
            "event_time",
            times(|| {
                now += rng.i64(1..2_000);
                now
            }),
        ),
        (
            "received_at",
            times(|| 1_700_000_000_000_000 + rng.i64(0..1_000_000_000_000)),
        ),
        ("event_type", texts_of(|| one_of(rng, &TYPES))),
        ("user_id", longs(|| rng.i64(1..50_000_000))),
        ("session", texts_of(|| hex(rng, 32))),
        ("url", texts_of(|| url(rng))),
        (
            "referrer",
            some_texts_of(|| (rng.u8(..10) < 4).then(|| url(rng))),
        ),
        ("country", texts_of(|| one_of(rng, &COUNTRIES))),
        (
            "duration_ms",
            ints(|| (rng.u8(..10) < 8).then(|| rng.i32(0..60_000))),
        ),
        ("score", doubles(|| rng.f64())),
        (
            "is_bot",
            Arc::new(
                (0..WRITE_ROWS)
                    .map(|_| Some(rng.u8(..20) == 0))
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "ip",
            texts_of(|| {
                let [a, b, c, d] = rng.u32(..).to_be_bytes();
                format!("{a}.{b}.{c}.{d}")
            }),
        ),
    ]
}

/// Integers and floats of every length.
fn numbers(rng: &mut Rng) -> Vec<(&'static str, ArrayRef)> {
    const LONGS: [&str; 8] = ["i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7"];
    const DOUBLES: [&str; 8] = ["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7"];
    let mut columns = Vec::new();
    for (index, name) in LONGS.into_iter().enumerate() {
        let shift = [0, 8, 24, 32, 40, 48, 56, 60][index];
        columns.push((name, longs(|| rng.i64(..) >> shift)));
    }
    for (index, name) in DOUBLES.into_iter().enumerate() {
        columns.push((
            name,
            match index % 4 {
                0 => doubles(|| rng.f64()),
                1 => doubles(|| (rng.f64() - 0.5) * 1e6),
                2 => doubles(|| f64::from(rng.i32(0..1_000_000)) / 100.0),
                _ => doubles(|| f64::from(rng.i32(0..1_000)) / 4.0),
            },
        ));
    }
    columns
}

/// Structs, lists of them, and lists of numbers with nulls.
fn nested(rng: &mut Rng) -> Vec<(&'static str, ArrayRef)> {
    let mut struct_rng = rng.fork();
    let mut item = |length| -> StructArray {
        let rng = &mut struct_rng;
        let sku = (0..length).map(|_| Some(hex(rng, 8)));
        let sku: ArrayRef = Arc::new(sku.collect::<StringViewArray>());
        let count: ArrayRef = Arc::new(
            (0..length)
                .map(|_| Some(rng.i32(1..20)))
                .collect::<Int32Array>(),
        );
        let price = (0..length).map(|_| Some(f64::from(rng.i32(100..100_000)) / 100.0));
        let price: ArrayRef = Arc::new(price.collect::<Float64Array>());
        let fields = vec![
            Field::new("sku", sku.data_type().clone(), true),
            Field::new("count", DataType::Int32, true),
            Field::new("price", DataType::Float64, true),
        ];
        StructArray::new(fields.into(), vec![sku, count, price], None)
    };
    let lengths =
        |rng: &mut Rng| OffsetBuffer::from_lengths((0..WRITE_ROWS).map(|_| rng.usize(0..8)));
    let length = |offsets: &OffsetBuffer<i32>| offsets.last().unsigned_abs() as usize;

    let offsets = lengths(rng);
    let items = item(length(&offsets));
    let element = Arc::new(Field::new("element", items.data_type().clone(), true));
    let items = ListArray::new(element, offsets, Arc::new(items), None);

    let offsets = lengths(rng);
    let scores = (0..length(&offsets)).map(|_| (rng.u8(..10) > 0).then(|| rng.i64(0..1_000_000)));
    let scores = Arc::new(scores.collect::<Int64Array>());
    let element = Arc::new(Field::new("element", DataType::Int64, true));
    let scores = ListArray::new(element, offsets, scores, None);
    vec![
        ("id", longs(|| rng.i64(0..1_000_000_000))),
        ("items", Arc::new(items)),
        ("scores", Arc::new(scores)),
        ("buyer", Arc::new(item(WRITE_ROWS))),
    ]
}

/// Free text with an escape here and there.
fn texts(rng: &mut Rng) -> Vec<(&'static str, ArrayRef)> {
    let mut text = |bytes| texts_of(|| words(rng, bytes));
    vec![
        ("title", text(40)),
        ("summary", text(140)),
        ("body", text(220)),
        ("comment", text(100)),
    ]
}
