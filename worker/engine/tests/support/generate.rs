//! Schemas, batches, options and files of every kind that the engine renders.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;

use arrow_array::builder::{BinaryViewBuilder, FixedSizeBinaryBuilder, StringViewBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, MapArray, NullArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StructArray, make_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, i256};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use etl_engine::{
    Binary, Decimals, Format, Int64, JsonOptions, LocalTimestamps, NonFinite, Nulls, Timestamps,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::draw::Draw;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

pub(crate) const MILLIS_PER_DAY: i64 = 86_400_000;

/// Upper bounds of what is generated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Rows of a batch.
    pub(crate) rows: usize,
    /// Columns of a file and fields of a struct.
    pub(crate) fields: usize,
    /// Structs, lists and maps within each other.
    pub(crate) depth: usize,
}

pub(crate) fn schema(draw: &mut Draw<'_>, size: Size) -> SchemaRef {
    Arc::new(Schema::new(fields(draw, size.fields, size.depth)))
}

fn fields(draw: &mut Draw<'_>, most: usize, depth: usize) -> Fields {
    const NAMES: [&str; 6] = [
        "a",
        "",
        "odd \"name\"\n",
        "é.\u{1f600}",
        "fields",
        "a name that is longer than most names of columns are",
    ];
    (0..=draw.below(most))
        .map(|index| {
            let name = format!("{}{index}", draw.choose(&NAMES));
            let data_type = data_type(draw, most, depth);
            field(&name, data_type, !draw.one_in(4))
        })
        .collect()
}

fn field(name: &str, data_type: DataType, nullable: bool) -> FieldRef {
    let nullable = nullable || data_type == DataType::Null;
    Arc::new(Field::new(name, data_type, nullable))
}

fn data_type(draw: &mut Draw<'_>, most: usize, depth: usize) -> DataType {
    if depth == 0 {
        return leaf_type(draw);
    }
    match draw.below(10) {
        0..6 => leaf_type(draw),
        6 | 7 => DataType::Struct(fields(draw, most, depth - 1)),
        8 => {
            let item = data_type(draw, most, depth - 1);
            DataType::List(field("element", item, !draw.one_in(4)))
        }
        _ => {
            let key = field("key", key_type(draw), false);
            let value = field("value", data_type(draw, most, depth - 1), !draw.one_in(4));
            let entry = DataType::Struct(vec![key, value].into());
            DataType::Map(field("key_value", entry, false), false)
        }
    }
}

fn key_type(draw: &mut Draw<'_>) -> DataType {
    match leaf_type(draw) {
        DataType::Null => DataType::Utf8View,
        other => other,
    }
}

fn leaf_type(draw: &mut Draw<'_>) -> DataType {
    use DataType as T;
    match draw.below(26) {
        0 => T::Boolean,
        1 => T::Int8,
        2 => T::Int16,
        3 => T::Int32,
        4 => T::Int64,
        5 => T::UInt8,
        6 => T::UInt16,
        7 => T::UInt32,
        8 => T::UInt64,
        9 => T::Float16,
        10 => T::Float32,
        11 => T::Float64,
        12 => T::BinaryView,
        13 => T::FixedSizeBinary(i32::from(draw.byte() % 20) + 1),
        14 => T::Date32,
        15 => T::Time32(TimeUnit::Millisecond),
        16 => T::Time64(TimeUnit::Microsecond),
        17 => T::Time64(TimeUnit::Nanosecond),
        18 => T::Timestamp(TimeUnit::Millisecond, zone(draw)),
        19 => T::Timestamp(TimeUnit::Microsecond, zone(draw)),
        20 => T::Timestamp(TimeUnit::Nanosecond, zone(draw)),
        21 => {
            let precision = draw.byte() % 38 + 1;
            T::Decimal128(precision, scale(draw, precision))
        }
        22 => {
            let precision = 39 + draw.byte() % 38;
            T::Decimal256(precision, scale(draw, precision))
        }
        23 => T::Null,
        _ => T::Utf8View,
    }
}

fn zone(draw: &mut Draw<'_>) -> Option<Arc<str>> {
    draw.bool().then(|| "UTC".into())
}

fn scale(draw: &mut Draw<'_>, precision: u8) -> i8 {
    (draw.byte() % (precision + 1)).cast_signed()
}

/// A batch of at most `size.rows` rows.
pub(crate) fn batch(draw: &mut Draw<'_>, schema: &SchemaRef, size: Size) -> RecordBatch {
    let rows = draw.below(size.rows + 1);
    let columns = columns(draw, schema.fields(), rows);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .expect("arrays are made for their fields")
}

fn columns(draw: &mut Draw<'_>, fields: &Fields, length: usize) -> Vec<ArrayRef> {
    fields
        .iter()
        .map(|field| array(draw, field, length))
        .collect()
}

/// Mostly some nulls, but also none and nothing else.
fn nulls(draw: &mut Draw<'_>, length: usize) -> NullBuffer {
    let percent = draw.choose(&[0, 0, 10, 60, 100]);
    (0..length).map(|_| draw.below(100) >= percent).collect()
}

fn array(draw: &mut Draw<'_>, field: &Field, length: usize) -> ArrayRef {
    let nulls = field.is_nullable().then(|| nulls(draw, length));
    match field.data_type() {
        DataType::Null => Arc::new(NullArray::new(length)),
        DataType::Struct(fields) => {
            let columns = columns(draw, fields, length);
            Arc::new(StructArray::new(fields.clone(), columns, nulls))
        }
        DataType::List(item) => {
            let offsets = offsets(draw, length, nulls.as_ref());
            let values = array(draw, item, last(&offsets));
            Arc::new(ListArray::new(Arc::clone(item), offsets, values, nulls))
        }
        DataType::Map(entry, sorted) => {
            let DataType::Struct(pair) = entry.data_type() else {
                unreachable!("a map has entries")
            };
            let offsets = offsets(draw, length, nulls.as_ref());
            let entries = columns(draw, pair, last(&offsets));
            let entries = StructArray::new(pair.clone(), entries, None);
            let entry = Arc::clone(entry);
            Arc::new(MapArray::new(entry, offsets, entries, nulls, *sorted))
        }
        leaf => {
            let data = values(draw, leaf, length).to_data().into_builder();
            make_array(data.nulls(nulls).build().expect("nulls fit the values"))
        }
    }
}

/// Lists of 0 to 3 items, none of which belongs to a null, as in parquet.
fn offsets(draw: &mut Draw<'_>, length: usize, nulls: Option<&NullBuffer>) -> OffsetBuffer<i32> {
    OffsetBuffer::from_lengths((0..length).map(|index| {
        if nulls.is_some_and(|nulls| nulls.is_null(index)) {
            0
        } else {
            draw.below(4)
        }
    }))
}

fn last(offsets: &OffsetBuffer<i32>) -> usize {
    usize::try_from(offsets.last()).expect("offsets are not negative")
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

#[expect(
    clippy::cast_possible_truncation,
    reason = "any bits make a number of the smaller type"
)]
fn values(draw: &mut Draw<'_>, data_type: &DataType, n: usize) -> ArrayRef {
    use DataType as T;
    match data_type {
        T::Boolean => Arc::new((0..n).map(|_| Some(draw.bool())).collect::<BooleanArray>()),
        T::Int8 => primitive::<Int8Type>(n, data_type, || draw.long() as i8),
        T::Int16 => primitive::<Int16Type>(n, data_type, || draw.long() as i16),
        T::Int32 => primitive::<Int32Type>(n, data_type, || (draw.i64() >> 32) as i32),
        T::Int64 => primitive::<Int64Type>(n, data_type, || draw.long()),
        T::UInt8 => primitive::<UInt8Type>(n, data_type, || draw.long() as u8),
        T::UInt16 => primitive::<UInt16Type>(n, data_type, || draw.long() as u16),
        T::UInt32 => primitive::<UInt32Type>(n, data_type, || draw.long() as u32),
        T::UInt64 => primitive::<UInt64Type>(n, data_type, || draw.long() as u64),
        T::Float16 => primitive::<Float16Type>(n, data_type, || half(draw)),
        T::Float32 => primitive::<Float32Type>(n, data_type, || float(draw)),
        T::Float64 => primitive::<Float64Type>(n, data_type, || double(draw)),
        T::Decimal128(precision, _) => {
            primitive::<Decimal128Type>(n, data_type, || decimal(draw, *precision))
        }
        T::Decimal256(precision, _) => primitive::<Decimal256Type>(n, data_type, || {
            let factor = 10_i128.pow((*precision - 38).into());
            i256::from_i128(decimal(draw, 38)) * i256::from_i128(factor)
        }),
        T::Utf8View => {
            let mut builder = StringViewBuilder::new();
            (0..n).for_each(|_| builder.append_value(text(draw)));
            Arc::new(builder.finish())
        }
        T::BinaryView => {
            let mut builder = BinaryViewBuilder::new();
            (0..n).for_each(|_| builder.append_value(bytes(draw)));
            Arc::new(builder.finish())
        }
        T::FixedSizeBinary(width) => {
            let mut builder = FixedSizeBinaryBuilder::new(*width);
            for _ in 0..n {
                let value: Vec<u8> = (0..*width).map(|_| draw.byte()).collect();
                builder.append_value(&value).expect("it has that width");
            }
            Arc::new(builder.finish())
        }
        moment => moments(draw, moment, n),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the values have been brought into range"
)]
fn moments(draw: &mut Draw<'_>, data_type: &DataType, n: usize) -> ArrayRef {
    use DataType as T;
    let mut of_day = |units: i64| draw.long().rem_euclid(units * MILLIS_PER_DAY);
    match data_type {
        T::Time32(_) => primitive::<Time32MillisecondType>(n, data_type, || of_day(1) as i32),
        T::Time64(TimeUnit::Microsecond) => {
            primitive::<Time64MicrosecondType>(n, data_type, || of_day(1_000))
        }
        T::Time64(_) => primitive::<Time64NanosecondType>(n, data_type, || of_day(1_000_000)),
        T::Date32 => primitive::<Date32Type>(n, data_type, || (draw.long() >> 8) as i32),
        T::Timestamp(TimeUnit::Millisecond, _) => {
            primitive::<TimestampMillisecondType>(n, data_type, || draw.long())
        }
        T::Timestamp(TimeUnit::Microsecond, _) => {
            primitive::<TimestampMicrosecondType>(n, data_type, || draw.long())
        }
        T::Timestamp(TimeUnit::Nanosecond, _) => {
            primitive::<TimestampNanosecondType>(n, data_type, || draw.long())
        }
        other => unreachable!("no values for {other}"),
    }
}

fn double(draw: &mut Draw<'_>) -> f64 {
    let value = any_double(draw);
    let texts = [format!("{value:e}"), format!("{value:.40e}")];
    if has_two_texts(value, value.next_up(), texts) {
        return 0.5;
    }
    value
}

/// Whether there is no saying which decimal is the shortest that reads back: the
/// value lies exactly between two of them, or one lies exactly between the value
/// and the next float and reads back only because ties go to the even one.
///
/// `texts` are Rust's shortest digits and the exact ones.
fn has_two_texts(value: f64, next: f64, texts: [String; 2]) -> bool {
    let [shortest, exact] = texts.map(|text| {
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        (digits.replace(['.', '-'], ""), exponent.parse::<i32>())
    });
    let tail = &exact.0[shortest.0.len().min(exact.0.len())..];
    let is_halfway = tail.starts_with('5') && tail[1..].bytes().all(|digit| digit == b'0');
    // Between two floats that are no integers there are only longer decimals.
    let zeros = shortest.1.unwrap_or(0) + 1 - shortest.0.len().cast_signed() as i32;
    let integer = (1..38)
        .contains(&zeros)
        .then(|| shortest.0.parse().ok())
        .flatten()
        .and_then(|digits: i128| digits.checked_mul(10_i128.checked_pow(zeros.unsigned_abs())?));
    let is_edge = integer.is_some_and(|integer| {
        let value = value.abs() as i128;
        let gap = (next.abs() as i128).abs_diff(value);
        // The gap to the float on the other side may be half as large.
        [gap, gap / 2].contains(&(2 * integer.abs_diff(value)))
    });
    is_halfway || (is_edge && value != 0.0)
}

fn any_double(draw: &mut Draw<'_>) -> f64 {
    const ODD: [f64; 8] = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e10,
        1e-5,
        5e-324,
    ];
    match draw.below(6) {
        0 => f64::from_bits(draw.u64()),
        1 => draw.choose(&ODD),
        2 => f64::from(draw.byte().cast_signed()),
        // Both are exact: 2^53 is larger than any of them.
        3 => (draw.i64() >> 32) as f64 / 100.0,
        4 => (draw.i64() >> 32) as f64 * 1e-8,
        _ => (draw.i64() >> 11) as f64 / 2_f64.powi(i32::from(draw.byte() % 64)),
    }
}

fn half(draw: &mut Draw<'_>) -> Half {
    let half = Half::from_bits(u16::from_le_bytes(draw.array()));
    let value = half.to_f32();
    let texts = [format!("{value:e}"), format!("{value:.40e}")];
    if has_two_texts(value.into(), value.next_up().into(), texts) {
        return Half::ONE;
    }
    half
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the nearest smaller float is as good as any"
)]
fn float(draw: &mut Draw<'_>) -> f32 {
    let value = if draw.bool() {
        f32::from_bits(u32::from_le_bytes(draw.array()))
    } else {
        any_double(draw) as f32
    };
    let texts = [format!("{value:e}"), format!("{value:.40e}")];
    if has_two_texts(value.into(), value.next_up().into(), texts) {
        return 0.5;
    }
    value
}

/// A number with at most `precision` (up to 38) digits.
fn decimal(draw: &mut Draw<'_>, precision: u8) -> i128 {
    let limit = 10_i128.pow(precision.into());
    (draw.i128() >> (draw.byte() % 128)) % limit
}

fn text(draw: &mut Draw<'_>) -> String {
    const PIECES: [&str; 12] = [
        "a",
        "plain text ",
        "\"",
        "\\",
        "/",
        "\n",
        "\u{1}",
        "\u{7f}",
        "\u{2028}",
        "é",
        "\u{1f600}",
        "a piece that is longer than a register of any machine: 0123456789 0123456789 \
         0123456789 0123456789",
    ];
    let common = if draw.bool() { 2 } else { PIECES.len() };
    let pieces = draw.below(14);
    (0..pieces)
        .map(|_| draw.choose(&PIECES[..common]))
        .collect()
}

fn bytes(draw: &mut Draw<'_>) -> Vec<u8> {
    let length = draw.below(24);
    (0..length).map(|_| draw.byte()).collect()
}

pub(crate) fn json_options(draw: &mut Draw<'_>) -> JsonOptions {
    use NonFinite as N;
    JsonOptions {
        nulls: draw.choose(&[Nulls::Omit, Nulls::Explicit]),
        local_timestamps: draw.choose(&[LocalTimestamps::Utc, LocalTimestamps::NoZone]),
        timestamps: draw.choose(&[Timestamps::Iso, Timestamps::EpochMillis]),
        int64: draw.choose(&[Int64::Number, Int64::String]),
        decimals: draw.choose(&[Decimals::Number, Decimals::String]),
        binary: draw.choose(&[Binary::Base64, Binary::Hex]),
        non_finite: draw.choose(&[N::String, N::String, N::Null, N::Fail]),
    }
}

pub(crate) fn format(draw: &mut Draw<'_>) -> Format {
    draw.choose(&[Format::JsonLines, Format::JsonArray])
}

/// How a file is laid out; what it holds does not depend on it.
pub(crate) fn properties(draw: &mut Draw<'_>, schema: &Schema) -> WriterProperties {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    let versions = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
    let statistics = [
        EnabledStatistics::None,
        EnabledStatistics::Chunk,
        EnabledStatistics::Page,
    ];
    let mut properties = WriterProperties::builder()
        .set_compression(draw.choose(&codecs))
        .set_writer_version(draw.choose(&versions))
        .set_statistics_enabled(draw.choose(&statistics))
        .set_dictionary_enabled(draw.bool())
        .set_dictionary_page_size_limit(draw.choose(&[16, 256, 1 << 20]))
        .set_data_page_size_limit(draw.choose(&[1, 256, 1 << 20]))
        .set_data_page_row_count_limit(draw.choose(&[1, 7, 50, 20_000]))
        .set_write_batch_size(draw.choose(&[1, 16, 1024]))
        .set_max_row_group_row_count(Some(draw.choose(&[3, 64, 1 << 20])));
    for field in schema.fields() {
        if let Some(encoding) = encoding(draw, field.data_type()) {
            let column = ColumnPath::from(vec![field.name().clone()]);
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, encoding);
        }
    }
    properties.build()
}

/// One of the encodings that are not the writer's own choice.
fn encoding(draw: &mut Draw<'_>, data_type: &DataType) -> Option<Encoding> {
    use DataType as T;
    if draw.bool() {
        return None;
    }
    Some(match data_type {
        T::Int32 | T::Int64 | T::UInt32 | T::UInt64 | T::Date32 | T::Timestamp(..) => {
            draw.choose(&[Encoding::DELTA_BINARY_PACKED, Encoding::BYTE_STREAM_SPLIT])
        }
        T::Float32 | T::Float64 | T::Float16 | T::FixedSizeBinary(_) => Encoding::BYTE_STREAM_SPLIT,
        T::Utf8View | T::BinaryView => draw.choose(&[
            Encoding::DELTA_BYTE_ARRAY,
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
        ]),
        T::Boolean => Encoding::RLE,
        _ => return None,
    })
}

/// A file with the rows of `batches`.
pub(crate) fn file(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    properties: WriterProperties,
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, Arc::clone(schema), Some(properties))
        .expect("every generated schema can be written");
    for batch in batches {
        writer.write(batch).expect("writing to memory cannot fail");
    }
    writer.close().expect("writing to memory cannot fail");
    file
}
