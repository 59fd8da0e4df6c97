//! The columnar encoder against the reference, over generated schemas, values
//! and options. All other tests run both encoders too: see `convert_with`.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder, StringBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, MapArray, NullArray, PrimitiveArray, RecordBatch,
    StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, i256};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use etl_engine::{
    Binary, Budget, Compression, Decimals, Format, Int64, JsonOptions, LocalTimestamps, NonFinite,
    Nulls, Options, Timestamps,
};
use fastrand::Rng;
use parquet::file::properties::WriterProperties;
use support::{convert_with, write_with};

type Half = <Float16Type as ArrowPrimitiveType>::Native;

const DAY_MILLIS: i32 = 86_400_000;
const DAY_NANOS: i64 = 86_400_000_000_000;

fn leaf_type(rng: &mut Rng) -> DataType {
    use DataType as T;
    let unit = [
        TimeUnit::Millisecond,
        TimeUnit::Microsecond,
        TimeUnit::Nanosecond,
    ][rng.usize(..3)];
    let zone = rng.bool().then(|| "UTC".into());
    let precision = rng.u8(1..=38);
    let wide = rng.u8(39..=76);
    let types = [
        T::Boolean,
        T::Int8,
        T::Int16,
        T::Int32,
        T::Int64,
        T::UInt8,
        T::UInt16,
        T::UInt32,
        T::UInt64,
        T::Float16,
        T::Float32,
        T::Float64,
        T::Utf8,
        T::Utf8,
        T::Binary,
        T::FixedSizeBinary(rng.i32(1..20)),
        T::Date32,
        T::Time32(TimeUnit::Millisecond),
        T::Time64(TimeUnit::Microsecond),
        T::Time64(TimeUnit::Nanosecond),
        T::Timestamp(unit, zone),
        T::Decimal128(precision, rng.u8(0..=precision).cast_signed()),
        T::Decimal256(wide, rng.u8(0..=wide).cast_signed()),
    ];
    types[rng.usize(..types.len())].clone()
}

fn any_type(rng: &mut Rng, depth: usize) -> DataType {
    if depth == 0 || rng.u8(..10) < 6 {
        return if rng.u8(..30) == 0 {
            DataType::Null
        } else {
            leaf_type(rng)
        };
    }
    match rng.u8(..3) {
        0 => DataType::Struct(fields(rng, depth - 1)),
        1 => DataType::List(field("element", any_type(rng, depth - 1), true)),
        _ => {
            let key = field("key", leaf_type(rng), false);
            let value = field("value", any_type(rng, depth - 1), true);
            let entry = DataType::Struct(vec![key, value].into());
            DataType::Map(field("key_value", entry, false), false)
        }
    }
}

fn field(name: &str, data_type: DataType, nullable: bool) -> FieldRef {
    let nullable = nullable || data_type == DataType::Null;
    Arc::new(Field::new(name, data_type, nullable))
}

fn fields(rng: &mut Rng, depth: usize) -> Fields {
    let names = [
        "a",
        "odd \"name\"\n",
        "é",
        "a name that is longer than most names of columns are",
    ];
    (0..rng.usize(1..6))
        .map(|index| {
            let name = format!("{}{index}", names[rng.usize(..names.len())]);
            let data_type = any_type(rng, depth);
            field(&name, data_type, rng.u8(..4) > 0)
        })
        .collect()
}

/// No nulls, some, or nothing but nulls.
fn nulls(rng: &mut Rng, length: usize) -> NullBuffer {
    let percent = [0, 0, 10, 60, 100][rng.usize(..5)];
    (0..length).map(|_| rng.u8(..100) >= percent).collect()
}

fn primitive<T: ArrowPrimitiveType>(
    length: usize,
    data_type: &DataType,
    mut value: impl FnMut() -> T::Native,
) -> ArrayRef {
    let values: Vec<T::Native> = (0..length).map(|_| value()).collect();
    let array = PrimitiveArray::<T>::new(values.into(), None);
    Arc::new(array.with_data_type(data_type.clone()))
}

fn text(rng: &mut Rng) -> String {
    const PIECES: [&str; 8] = [
        "a",
        "plain text ",
        "\"",
        "\\",
        "\n",
        "\u{1}",
        "é",
        "\u{1f600}",
    ];
    let common = if rng.bool() { 2 } else { PIECES.len() };
    (0..rng.usize(..14))
        .map(|_| PIECES[rng.usize(..common)])
        .collect()
}

fn double(rng: &mut Rng) -> f64 {
    match rng.u8(..6) {
        0 => f64::from_bits(rng.u64(..)),
        1 => f64::from(rng.i32(..)) / 100.0,
        2 => f64::from(rng.i8(..)),
        3 => [
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e10,
            1e-5,
        ][rng.usize(..7)],
        4 => rng.f64(),
        _ => f64::from(rng.i32(..)) * 1e-8,
    }
}

/// Numbers of all magnitudes.
fn long(rng: &mut Rng) -> i64 {
    rng.i64(..) >> rng.u32(..64)
}

fn decimal(rng: &mut Rng, precision: u8) -> i128 {
    let limit = 10_i128.pow(precision.min(38).into());
    (rng.i128(..) >> rng.u32(..128)) % limit
}

fn leaf(rng: &mut Rng, data_type: &DataType, n: usize) -> ArrayRef {
    use DataType as T;
    match data_type {
        T::Null => Arc::new(NullArray::new(n)),
        T::Boolean => Arc::new((0..n).map(|_| Some(rng.bool())).collect::<BooleanArray>()),
        T::Int8 => primitive::<Int8Type>(n, data_type, || rng.i8(..)),
        T::Int16 => primitive::<Int16Type>(n, data_type, || rng.i16(..)),
        T::Int32 => primitive::<Int32Type>(n, data_type, || rng.i32(..)),
        T::Int64 => primitive::<Int64Type>(n, data_type, || long(rng)),
        T::UInt8 => primitive::<UInt8Type>(n, data_type, || rng.u8(..)),
        T::UInt16 => primitive::<UInt16Type>(n, data_type, || rng.u16(..)),
        T::UInt32 => primitive::<UInt32Type>(n, data_type, || rng.u32(..)),
        T::UInt64 => primitive::<UInt64Type>(n, data_type, || long(rng).cast_unsigned()),
        T::Float16 => primitive::<Float16Type>(n, data_type, || Half::from_bits(rng.u16(..))),
        T::Float32 => primitive::<Float32Type>(n, data_type, || double(rng) as f32),
        T::Float64 => primitive::<Float64Type>(n, data_type, || double(rng)),
        T::Date32 => primitive::<Date32Type>(n, data_type, || rng.i32(..) >> rng.u32(..16)),
        T::Time32(_) => primitive::<Time32MillisecondType>(n, data_type, || rng.i32(0..DAY_MILLIS)),
        T::Time64(TimeUnit::Microsecond) => {
            primitive::<Time64MicrosecondType>(n, data_type, || rng.i64(0..DAY_NANOS / 1000))
        }
        T::Time64(_) => primitive::<Time64NanosecondType>(n, data_type, || rng.i64(0..DAY_NANOS)),
        T::Timestamp(TimeUnit::Millisecond, _) => {
            primitive::<TimestampMillisecondType>(n, data_type, || long(rng))
        }
        T::Timestamp(TimeUnit::Microsecond, _) => {
            primitive::<TimestampMicrosecondType>(n, data_type, || long(rng))
        }
        T::Timestamp(..) => primitive::<TimestampNanosecondType>(n, data_type, || long(rng)),
        T::Decimal128(precision, _) => {
            primitive::<Decimal128Type>(n, data_type, || decimal(rng, *precision))
        }
        T::Decimal256(precision, _) => primitive::<Decimal256Type>(n, data_type, || {
            i256::from_i128(decimal(rng, 38))
                * i256::from_i128(10_i128.pow((precision - 38).min(30).into()))
        }),
        T::Utf8 => {
            let mut builder = StringBuilder::new();
            (0..n).for_each(|_| builder.append_value(text(rng)));
            Arc::new(builder.finish())
        }
        T::Binary => {
            let mut builder = BinaryBuilder::new();
            (0..n).for_each(|_| builder.append_value(text(rng)));
            Arc::new(builder.finish())
        }
        T::FixedSizeBinary(width) => {
            let mut builder = FixedSizeBinaryBuilder::new(*width);
            let mut value = vec![0; (*width).cast_unsigned() as usize];
            for _ in 0..n {
                rng.fill(&mut value);
                builder.append_value(&value).unwrap();
            }
            Arc::new(builder.finish())
        }
        other => panic!("no values for {other}"),
    }
}

fn offsets(rng: &mut Rng, length: usize) -> OffsetBuffer<i32> {
    OffsetBuffer::from_lengths((0..length).map(|_| rng.usize(..4)))
}

fn last(offsets: &OffsetBuffer<i32>) -> usize {
    usize::try_from(offsets.last()).unwrap()
}

fn columns(rng: &mut Rng, fields: &Fields, length: usize) -> Vec<ArrayRef> {
    fields
        .iter()
        .map(|field| array(rng, field, length))
        .collect()
}

fn array(rng: &mut Rng, field: &Field, length: usize) -> ArrayRef {
    let nulls = field.is_nullable().then(|| nulls(rng, length));
    match field.data_type() {
        DataType::Struct(fields) => {
            let columns = columns(rng, fields, length);
            Arc::new(StructArray::new(fields.clone(), columns, nulls))
        }
        DataType::List(item) => {
            let offsets = offsets(rng, length);
            let values = array(rng, item, last(&offsets));
            Arc::new(ListArray::new(Arc::clone(item), offsets, values, nulls))
        }
        DataType::Map(entry, sorted) => {
            let DataType::Struct(pair) = entry.data_type() else {
                unreachable!("a map has entries")
            };
            let offsets = offsets(rng, length);
            let entries = columns(rng, pair, last(&offsets));
            let entries = StructArray::new(pair.clone(), entries, None);
            Arc::new(MapArray::new(
                Arc::clone(entry),
                offsets,
                entries,
                nulls,
                *sorted,
            ))
        }
        DataType::Null => leaf(rng, &DataType::Null, length),
        data_type => {
            let data = leaf(rng, data_type, length).into_data().into_builder();
            arrow_array::make_array(data.nulls(nulls).build().unwrap())
        }
    }
}

fn one_of<T: Copy, const N: usize>(rng: &mut Rng, values: [T; N]) -> T {
    values[rng.usize(..N)]
}

fn options(rng: &mut Rng) -> Options {
    let non_finite = [
        NonFinite::String,
        NonFinite::String,
        NonFinite::Null,
        NonFinite::Fail,
    ];
    let json = JsonOptions {
        nulls: one_of(rng, [Nulls::Omit, Nulls::Explicit]),
        local_timestamps: one_of(rng, [LocalTimestamps::Utc, LocalTimestamps::NoZone]),
        timestamps: one_of(rng, [Timestamps::Iso, Timestamps::EpochMillis]),
        int64: one_of(rng, [Int64::Number, Int64::String]),
        decimals: one_of(rng, [Decimals::Number, Decimals::String]),
        binary: one_of(rng, [Binary::Base64, Binary::Hex]),
        non_finite: one_of(rng, non_finite),
    };
    Options {
        format: one_of(rng, [Format::JsonLines, Format::JsonArray]),
        compression: one_of(
            rng,
            [Compression::None, Compression::None, Compression::Zstd],
        ),
        json,
        ..Options::default()
    }
}

#[test]
fn both_encoders_write_the_same_bytes_whatever_the_schema_values_and_options() {
    for seed in 0..400 {
        let mut rng = Rng::with_seed(seed);
        let schema = Arc::new(Schema::new(fields(&mut rng, 3)));
        let batches: Vec<RecordBatch> = (0..rng.usize(1..4))
            .map(|_| {
                let length = rng.usize(..200);
                let columns = columns(&mut rng, schema.fields(), length);
                RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
            })
            .collect();
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(rng.bool())
            .set_data_page_row_count_limit(rng.usize(1..300))
            .build();
        let file = bytes::Bytes::from(write_with(&batches, properties));
        for _ in 0..4 {
            let (options, threads) = (options(&mut rng), rng.usize(1..4));
            let budget = Budget {
                memory_bytes: 512 << 20,
                threads,
            };
            let result = convert_with(file.clone(), &options, &budget);
            let refused = result.err().map(|error| error.to_string());
            let expected = refused
                .as_deref()
                .is_none_or(|text| text.contains("NaN or infinite"));
            assert!(expected, "seed {seed}, {schema:?}: {refused:?}");
        }
    }
}

/// Rows of very different length, so that chunks end everywhere.
#[test]
fn both_encoders_cut_chunks_at_the_same_rows() {
    let mut rng = Rng::with_seed(1);
    let mut builder = StringBuilder::new();
    for _ in 0..200 {
        let length = 1 << rng.u32(..20);
        builder.append_value("long \" text, ".repeat(length / 13));
    }
    let column: ArrayRef = Arc::new(builder.finish());
    let batch = RecordBatch::try_from_iter([("v", column)]).unwrap();
    let file = bytes::Bytes::from(write_with(&[batch], WriterProperties::default()));
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let options = Options {
            compression,
            ..Options::default()
        };
        convert_with(file.clone(), &options, &support::BUDGET).unwrap();
    }
}
