//! Batches that no parquet file gives, through both encoders: slices, offsets
//! that do not begin at 0, nulls with anything behind them, deep nesting.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, MapBuilder, StringViewBuilder};
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};
use etl_engine::{BatchEncoder, Encoder, ErrorKind, Format, Int64, JsonOptions, Nulls, Options};
use fastrand::Rng;

fn options(nulls: Nulls, format: Format) -> Options {
    Options {
        format,
        json: JsonOptions {
            nulls,
            ..JsonOptions::default()
        },
        ..Options::default()
    }
}

fn encode(batch: &RecordBatch, options: &Options) -> String {
    let mut json = Vec::new();
    BatchEncoder::new(options)
        .encode(batch, 0, &mut json)
        .unwrap();
    String::from_utf8(json).unwrap()
}

/// Both encoders' text, which must be the same.
fn both(batch: &RecordBatch, options: &Options) -> String {
    let reference = Options {
        encoder: Encoder::Reference,
        ..options.clone()
    };
    let (ours, theirs) = (encode(batch, options), encode(batch, &reference));
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours, theirs);
    ours
}

fn check(batch: &RecordBatch) {
    for nulls in [Nulls::Omit, Nulls::Explicit] {
        for format in [Format::JsonLines, Format::JsonArray] {
            both(batch, &options(nulls, format));
        }
    }
}

fn one(column: impl Array + 'static) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("v", Arc::new(column) as ArrayRef, true)]).unwrap()
}

/// Columns of many types, with nulls here and there.
fn many(rng: &mut Rng, rows: usize) -> RecordBatch {
    let mut nulls = || -> NullBuffer {
        let percent = [0, 1, 50, 100][rng.usize(..4)];
        (0..rows).map(|_| rng.u8(..100) >= percent).collect()
    };
    let nulls: [Option<NullBuffer>; 9] = std::array::from_fn(|_| Some(nulls()));
    let [a, b, c, d, e, f, g, h, i] = nulls;
    let long = |rng: &mut Rng| rng.i64(..) >> rng.u32(..64);
    let longs: Vec<i64> = (0..rows).map(|_| long(rng)).collect();
    let unsigned: Vec<u64> = (0..rows).map(|_| long(rng).cast_unsigned()).collect();
    let small: Vec<i32> = (0..rows).map(|_| rng.i32(-1000..1000)).collect();
    let doubles: Vec<f64> = (0..rows)
        .map(|_| match rng.u8(..8) {
            0 => f64::from_bits(rng.u64(..)),
            1 => rng.f64(),
            _ => f64::from(rng.i32(..)) / 100.0,
        })
        .collect();
    let days: Vec<i32> = (0..rows).map(|_| rng.i32(..) >> rng.u32(..20)).collect();
    let times: Vec<i64> = (0..rows).map(|_| long(rng)).collect();
    let bools: Vec<bool> = (0..rows).map(|_| rng.bool()).collect();
    let texts = (0..rows).map(|_| "some \"text\" é".repeat(rng.usize(..12)));
    let texts: Vec<String> = texts.collect();
    let codes = (0..rows).map(|_| ["A", "", "twelve bytes", "é"][rng.usize(..4)]);
    let codes = StringViewArray::from_iter_values(codes);
    let columns: [(&str, ArrayRef); 9] = [
        ("longs", Arc::new(Int64Array::new(longs.into(), a))),
        ("unsigned", Arc::new(UInt64Array::new(unsigned.into(), b))),
        ("small", Arc::new(Int32Array::new(small.into(), c))),
        ("doubles", Arc::new(Float64Array::new(doubles.into(), d))),
        ("a name that is longer than the half of a cell", {
            let codes = codes.into_parts();
            Arc::new(StringViewArray::new(codes.0, codes.1, e))
        }),
        ("days", Arc::new(Date32Array::new(days.into(), f))),
        ("texts", {
            let texts = StringArray::from_iter_values(texts).into_parts();
            Arc::new(StringArray::new(texts.0, texts.1, g))
        }),
        (
            "times",
            Arc::new(TimestampMicrosecondArray::new(times.into(), h)),
        ),
        ("bools", Arc::new(BooleanArray::new(bools.into(), i))),
    ];
    let columns = columns.map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[test]
fn slices_of_any_length_read_as_the_rows_they_are() {
    let mut rng = Rng::with_seed(11);
    for _ in 0..40 {
        let batch = many(&mut rng, 300);
        let lines = both(&batch, &options(Nulls::Explicit, Format::JsonLines));
        let lines: Vec<&str> = lines.lines().collect();
        for _ in 0..20 {
            let start = rng.usize(..300);
            let length = rng.usize(..=300 - start);
            let slice = batch.slice(start, length);
            let json = both(&slice, &options(Nulls::Explicit, Format::JsonLines));
            assert_eq!(
                json.lines().collect::<Vec<_>>(),
                lines[start..start + length]
            );
            check(&slice);
        }
    }
}

#[test]
fn structs_of_slices_and_slices_of_structs_are_told_apart() {
    let mut rng = Rng::with_seed(12);
    for _ in 0..20 {
        let batch = many(&mut rng, 200);
        let nulls = (0..200).map(|_| rng.bool()).collect();
        let fields = batch.schema().fields().clone();
        let whole = StructArray::new(fields.clone(), batch.columns().to_vec(), Some(nulls));
        let (start, length) = (rng.usize(..100), rng.usize(..100));
        check(&one(whole.slice(start, length)));
        let sliced = batch.slice(start, length);
        check(&one(StructArray::new(
            fields,
            sliced.columns().to_vec(),
            None,
        )));
    }
}

fn list_of(elements: ArrayRef, lengths: &[usize], nulls: Option<NullBuffer>) -> ListArray {
    let element = Arc::new(Field::new("element", elements.data_type().clone(), true));
    ListArray::new(
        element,
        OffsetBuffer::from_lengths(lengths.iter().copied()),
        elements,
        nulls,
    )
}

#[test]
fn lists_of_lists_of_objects_with_nulls_and_offsets_everywhere() {
    let mut rng = Rng::with_seed(13);
    for longest in [2, 5, 200] {
        for _ in 0..10 {
            let inner: Vec<usize> = (0..400).map(|_| rng.usize(..longest)).collect();
            let objects = many(&mut rng, inner.iter().sum());
            let objects: ArrayRef = Arc::new(StructArray::from(objects));
            let valid = |rng: &mut Rng, rows| Some((0..rows).map(|_| rng.bool()).collect());
            // A null list may have elements, which nobody may see.
            let nulls = valid(&mut rng, inner.len());
            let lists: ArrayRef = Arc::new(list_of(objects, &inner, nulls));
            let outer: Vec<usize> = (0..100).map(|_| rng.usize(..5)).collect();
            let lists = lists.slice(400 - outer.iter().sum::<usize>(), outer.iter().sum());
            let nulls = valid(&mut rng, outer.len());
            let lists = list_of(lists, &outer, nulls);
            let (start, length) = (rng.usize(..50), rng.usize(..50));
            check(&one(lists.slice(start, length)));
            check(&one(lists));
        }
    }
}

#[test]
fn lists_of_numbers_longer_than_a_block() {
    let values: ArrayRef = Arc::new((0..1000_i64).map(Some).collect::<Int64Array>());
    let lists = list_of(values, &[0, 1, 31, 32, 33, 64, 65, 300, 0, 474], None);
    check(&one(lists));
}

#[test]
fn maps_have_keys_of_every_kind() {
    let mut texts = MapBuilder::new(
        None,
        StringViewBuilder::new(),
        ListBuilder::new(StringViewBuilder::new()),
    );
    for row in 0..100 {
        for entry in 0..row % 7 {
            texts
                .keys()
                .append_value(format!("key \"{entry}\" of {row}"));
            texts.values().append_value([Some("a"), None]);
        }
        texts.append(row % 3 > 0).unwrap();
    }
    check(&one(texts.finish()));

    let mut numbers = MapBuilder::new(None, Int64Array::builder(0), Float64Array::builder(0));
    for row in 0..100 {
        for entry in 0..row % 50 {
            numbers.keys().append_value(entry * 1_000_000_007);
            numbers
                .values()
                .append_option((entry % 4 > 0).then(|| f64::from(row as i32) / 8.0));
        }
        numbers.append(row % 5 > 0).unwrap();
    }
    let numbers = one(numbers.finish());
    check(&numbers);
    let mut options = options(Nulls::Omit, Format::JsonLines);
    options.json.int64 = Int64::String;
    both(&numbers, &options);
}

#[test]
fn objects_within_objects_a_hundred_deep() {
    let mut column: ArrayRef = Arc::new((0..70).map(Some).collect::<Int64Array>());
    for depth in 0..100 {
        let field = Field::new(format!("d{depth}"), column.data_type().clone(), true);
        let nulls = (0..70).map(|row| row != depth).collect();
        column = Arc::new(StructArray::new(
            vec![field].into(),
            vec![column],
            Some(nulls),
        ));
    }
    let batch = RecordBatch::try_from_iter_with_nullable([("v", column, true)]).unwrap();
    check(&batch);
}

#[test]
fn columns_of_nothing_but_nulls() {
    for rows in [1, 31, 32, 33, 100] {
        let field = Arc::new(Field::new("element", DataType::Int64, true));
        let columns: [(&str, ArrayRef); 5] = [
            ("longs", Arc::new(Int64Array::new_null(rows))),
            ("texts", Arc::new(StringViewArray::new_null(rows))),
            ("days", Arc::new(Date32Array::new_null(rows))),
            ("lists", Arc::new(ListArray::new_null(field, rows))),
            ("none", Arc::new(arrow_array::NullArray::new(rows))),
        ];
        let columns = columns.map(|(name, column)| (name, column, true));
        check(&RecordBatch::try_from_iter_with_nullable(columns).unwrap());
    }
}

/// Texts end a few bytes before and behind where a chunk becomes large enough,
/// with escapes there that need more room than the text.
#[test]
fn long_texts_around_the_end_of_a_chunk() {
    const CHUNK: usize = 256 << 10;

    for distance in (0..80).step_by(3) {
        let texts = [
            "x".repeat(CHUNK - distance),
            "\u{1}".repeat(distance),
            "\"".repeat(CHUNK / 2 + distance),
            "y".repeat(distance),
            "x".repeat(3 * CHUNK + distance),
        ];
        let longs = Int64Array::from_iter_values(0..5);
        let columns: [(&str, ArrayRef); 2] = [
            ("text", Arc::new(StringViewArray::from_iter_values(&texts))),
            ("long", Arc::new(longs)),
        ];
        check(&RecordBatch::try_from_iter(columns).unwrap());
    }
}

#[test]
fn a_type_that_parquet_never_gives_is_refused_by_name() {
    let keys = Int64Array::from_iter_values([0, 0]);
    let values: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let dictionary = DictionaryArray::<Int64Type>::new(keys, values);
    let mut json = Vec::new();
    let error = BatchEncoder::new(&Options::default())
        .encode(&one(dictionary), 0, &mut json)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("Dictionary"), "{error}");
}
