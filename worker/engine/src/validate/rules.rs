//! The rules of one column, and which rows of a batch break them.
//!
//! Limits are turned into the column's own unit first, rounded towards the
//! inside, so that a value costs a comparison of its own type.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_buffer::{BooleanBuffer, NullBuffer, i256};
use arrow_schema::{DataType, TimeUnit};

use super::bounds::{Bound, Bounds};
use super::{ColumnType, SchemaColumn};

const NANOS_PER_DAY: i128 = 86_400_000_000_000;

/// A column with rules.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// Where the column stands in the batches that are read.
    pub(super) column: usize,
    pub(super) name: Arc<str>,
    is_text: bool,
    required: bool,
    bounds: Bounds,
}

/// The rows that break one rule in one way.
pub(super) struct Breach {
    /// A bit for each row of the batch.
    pub(super) rows: BooleanBuffer,
    pub(super) reason: Arc<str>,
}

impl Rule {
    pub(super) fn new(column: usize, expected: &SchemaColumn) -> Self {
        Self {
            column,
            name: expected.name.as_str().into(),
            is_text: expected.column_type == ColumnType::String,
            required: expected.required,
            bounds: expected.bounds.clone(),
        }
    }

    /// All breaches by the values of `array`; none in the usual case.
    pub(super) fn breaches(&self, array: &ArrayRef) -> Vec<Breach> {
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let mut breaches = Breaches {
            rule: self,
            length: array.len(),
            nulls: nulls.as_ref(),
            found: Vec::new(),
        };
        if self.required
            && let Some(nulls) = &nulls
        {
            let reason = "the value is null and the column is required";
            breaches.push(!nulls.inner(), || reason.to_owned());
        }
        if self.bounds != Bounds::default() {
            breaches.of_bounds(array);
        }
        breaches.found
    }
}

struct Breaches<'a> {
    rule: &'a Rule,
    length: usize,
    nulls: Option<&'a NullBuffer>,
    found: Vec<Breach>,
}

impl Breaches<'_> {
    fn push(&mut self, rows: BooleanBuffer, reason: impl FnOnce() -> String) {
        if rows.has_true() {
            let reason = reason().into();
            self.found.push(Breach { rows, reason });
        }
    }

    /// The rows with a value for which `breaks` holds.
    fn push_values(&mut self, breaks: impl FnMut(usize) -> bool, reason: impl FnOnce() -> String) {
        let rows = BooleanBuffer::collect_bool(self.length, breaks);
        let rows = match self.nulls {
            Some(nulls) => &rows & nulls.inner(),
            None => rows,
        };
        self.push(rows, reason);
    }

    fn of_bounds(&mut self, array: &ArrayRef) {
        match array.data_type() {
            DataType::Int8 => self.integers::<Int8Type>(array, 0),
            DataType::Int16 => self.integers::<Int16Type>(array, 0),
            DataType::Int32 => self.integers::<Int32Type>(array, 0),
            DataType::Int64 => self.integers::<Int64Type>(array, 0),
            DataType::UInt8 => self.integers::<UInt8Type>(array, 0),
            DataType::UInt16 => self.integers::<UInt16Type>(array, 0),
            DataType::UInt32 => self.integers::<UInt32Type>(array, 0),
            DataType::UInt64 => self.integers::<UInt64Type>(array, 0),
            DataType::Date32 => self.integers::<Date32Type>(array, 0),
            DataType::Decimal128(_, scale) => {
                self.integers::<Decimal128Type>(array, scale.unsigned_abs().into());
            }
            DataType::Decimal256(_, scale) => {
                let values = array.as_primitive::<Decimal256Type>().values();
                let limits = self.limits(scale.unsigned_abs().into(), Some);
                self.outside(|row| values[row], limits);
            }
            DataType::Float16 => self.floats::<Float16Type, f32>(array),
            DataType::Float32 => self.floats::<Float32Type, f32>(array),
            DataType::Float64 => self.floats::<Float64Type, f64>(array),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                self.integers::<TimestampMillisecondType>(array, 3);
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                self.integers::<TimestampMicrosecondType>(array, 6);
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                self.integers::<TimestampNanosecondType>(array, 9);
            }
            // See the `int96` module.
            DataType::Interval(_) => {
                let values = array.as_primitive::<IntervalMonthDayNanoType>().values();
                let nanos = |row: usize| {
                    i128::from(values[row].days) * NANOS_PER_DAY
                        + i128::from(values[row].nanoseconds)
                };
                self.outside(nanos, self.limits(9, i256::to_i128));
            }
            DataType::Utf8View => {
                let values = array.as_string_view();
                self.outside(|row| characters(values.value(row)), self.limits(0, narrow));
            }
            // The schema has been held against the types of the file: what is
            // left is a column that is always null.
            _ => {}
        }
    }

    /// Values that count `10^-scale`.
    fn integers<T: ArrowPrimitiveType>(&mut self, array: &ArrayRef, scale: u32)
    where
        T::Native: TryFrom<i128>,
    {
        let values = array.as_primitive::<T>().values();
        self.outside(|row| values[row], self.limits(scale, narrow));
    }

    /// Floats of type `T`, held against limits that are rounded to an `F`.
    fn floats<T: ArrowPrimitiveType, F>(&mut self, array: &ArrayRef)
    where
        T::Native: Into<F>,
        F: Copy + PartialOrd + std::str::FromStr,
    {
        let values = array.as_primitive::<T>().values();
        let value = |row: usize| -> F { values[row].into() };
        let limit = |bound: &Option<Bound>| match bound {
            Some(bound) => bound.text.parse().map_or(Limit::Open, Limit::At),
            None => Limit::Open,
        };
        let is_nan = |row| value(row).partial_cmp(&value(row)).is_none();
        let reason = "the value is NaN and the column has bounds";
        self.push_values(is_nan, || reason.to_owned());
        let bounds = &self.rule.bounds;
        self.outside(value, (limit(&bounds.min), limit(&bounds.max)));
    }

    fn limits<T>(&self, scale: u32, convert: impl Fn(i256) -> Option<T>) -> (Limit<T>, Limit<T>) {
        let limit = |exact: i256, opens_when_negative: bool| match convert(exact) {
            Some(limit) => Limit::At(limit),
            None if exact.is_negative() == opens_when_negative => Limit::Open,
            None => Limit::Shut,
        };
        let Bounds { min, max } = &self.rule.bounds;
        (
            min.as_ref()
                .map_or(Limit::Open, |min| limit(min.number.ceil(scale), true)),
            max.as_ref()
                .map_or(Limit::Open, |max| limit(max.number.floor(scale), false)),
        )
    }

    fn outside<T: Copy + PartialOrd>(
        &mut self,
        value: impl Fn(usize) -> T,
        (min, max): (Limit<T>, Limit<T>),
    ) {
        let (rule, is_text) = (self.rule, self.rule.is_text);
        let text = |bound: &Option<Bound>| bound.as_ref().map_or(String::new(), |b| b.text.clone());
        let too_small = || match (text(&rule.bounds.min), is_text) {
            (min, true) => format!("the value is shorter than {min} characters"),
            (min, false) => format!("the value is less than the minimum {min}"),
        };
        match min {
            Limit::Open => {}
            Limit::At(min) => self.push_values(|row| value(row) < min, too_small),
            Limit::Shut => self.push_values(|_| true, too_small),
        }
        let too_large = || match (text(&rule.bounds.max), is_text) {
            (max, true) => format!("the value is longer than {max} characters"),
            (max, false) => format!("the value is greater than the maximum {max}"),
        };
        match max {
            Limit::Open => {}
            Limit::At(max) => self.push_values(|row| value(row) > max, too_large),
            Limit::Shut => self.push_values(|_| true, too_large),
        }
    }
}

/// A bound in the unit of a column.
enum Limit<T> {
    /// Every value of the type is within.
    Open,
    At(T),
    /// No value of the type is within.
    Shut,
}

fn narrow<T: TryFrom<i128>>(limit: i256) -> Option<T> {
    limit.to_i128().and_then(|limit| T::try_from(limit).ok())
}

/// Characters of a text, by the bytes that begin one.
fn characters(text: &str) -> u64 {
    let begins = |byte: &&u8| !(0x80..0xc0).contains(*byte);
    text.as_bytes().iter().filter(begins).count() as u64
}
