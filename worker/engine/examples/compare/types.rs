//! Columns of one type each.

use std::sync::Arc;

use arrow_array::builder::{BinaryViewBuilder, StringViewBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, PrimitiveArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use fastrand::Rng;

use crate::shapes::{hex, words};

/// A type, or a kind of values of one.
pub(crate) struct Type {
    pub(crate) name: &'static str,
    pub(crate) array: fn(&mut Rng, usize) -> ArrayRef,
}

/// All of them, as a list to choose from.
pub(crate) fn all() -> Vec<Type> {
    const fn of(name: &'static str, array: fn(&mut Rng, usize) -> ArrayRef) -> Type {
        Type { name, array }
    }
    vec![
        of("bool", |rng, n| {
            Arc::new((0..n).map(|_| Some(rng.bool())).collect::<BooleanArray>())
        }),
        of("i32-tiny", |rng, n| each::<Int32Type>(n, || rng.i32(0..8))),
        of("i32-nulls", |rng, n| {
            let values = (0..n).map(|_| (rng.u8(..10) < 8).then(|| rng.i32(0..60_000)));
            Arc::new(values.collect::<PrimitiveArray<Int32Type>>())
        }),
        of("i64-small", |rng, n| {
            each::<Int64Type>(n, || rng.i64(0..2_000_000))
        }),
        of("i64-large", |rng, n| each::<Int64Type>(n, || rng.i64(..))),
        of("i64-all", |rng, n| {
            each::<Int64Type>(n, || rng.i64(..) >> rng.u32(..64))
        }),
        of("f64-random", |rng, n| each::<Float64Type>(n, || rng.f64())),
        of("f64-short", |rng, n| {
            each::<Float64Type>(n, || f64::from(rng.i32(90_000..10_000_000)) / 100.0)
        }),
        of("f32", |rng, n| each::<Float32Type>(n, || rng.f32())),
        of("decimal", |rng, n| {
            let cents = (0..n).map(|_| i128::from(rng.i32(..)));
            let array = PrimitiveArray::<Decimal128Type>::from_iter_values(cents);
            Arc::new(array.with_data_type(DataType::Decimal128(18, 2)))
        }),
        of("date", |rng, n| {
            each::<Date32Type>(n, || rng.i32(8_036..10_560))
        }),
        of("time-us", |rng, n| {
            each::<TimestampMicrosecondType>(n, || {
                1_700_000_000_000_000 + rng.i64(0..1_000_000_000_000)
            })
        }),
        of("time-ms", |rng, n| {
            each::<TimestampMillisecondType>(n, || 1_700_000_000_000 + rng.i64(0..1_000_000_000))
        }),
        of("text-1", |rng, n| texts(n, || hex(rng, 1))),
        of("text-8-17", |rng, n| {
            texts(n, || {
                let length = rng.usize(8..18);
                hex(rng, length)
            })
        }),
        of("text-32", |rng, n| texts(n, || hex(rng, 32))),
        of("text-140", |rng, n| {
            texts(n, || words(rng, 140).replace('"', "'"))
        }),
        of("text-escapes", |rng, n| texts(n, || words(rng, 140))),
        of("binary-16", |rng, n| {
            let mut builder = BinaryViewBuilder::new();
            (0..n).for_each(|_| builder.append_value(hex(rng, 16)));
            Arc::new(builder.finish())
        }),
        of("list-of-4", |rng, n| {
            list(n, 4, each::<Int64Type>(4 * n, || rng.i64(0..2_000_000)))
        }),
        of("struct-of-2", |rng, n| {
            let fields = vec![
                Field::new("quantity", DataType::Int64, true),
                Field::new("when", DataType::Date32, true),
            ];
            let columns = vec![
                each::<Int64Type>(n, || rng.i64(0..2_000_000)),
                each::<Date32Type>(n, || rng.i32(8_036..10_560)),
            ];
            Arc::new(StructArray::new(fields.into(), columns, None))
        }),
    ]
}

fn each<T: ArrowPrimitiveType>(n: usize, mut value: impl FnMut() -> T::Native) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter_values(
        (0..n).map(|_| value()),
    ))
}

fn texts(n: usize, mut value: impl FnMut() -> String) -> ArrayRef {
    let mut builder = StringViewBuilder::new();
    (0..n).for_each(|_| builder.append_value(value()));
    Arc::new(builder.finish())
}

fn list(n: usize, length: usize, elements: ArrayRef) -> ArrayRef {
    let element = Arc::new(Field::new("element", elements.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(length, n));
    Arc::new(ListArray::new(element, offsets, elements, None))
}
