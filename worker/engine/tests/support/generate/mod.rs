//! Schemas, batches, options and files of every kind that the engine renders.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part"
)]

mod files;
mod values;

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ListArray, MapArray, NullArray, RecordBatch, RecordBatchOptions, StructArray,
    make_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use super::draw::Draw;
pub(crate) use files::{file, format, json_options, properties};
use values::values;

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
