//! The columns of a batch, each known by its kind, and the text of one value.
//!
//! To add a type, add a kind, say in [`Values::new`] which array it comes from,
//! and in [`Values::write`] what its text is.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    Time32MillisecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryViewArray, Decimal256Array, FixedSizeBinaryArray,
    Float16Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::buffer::{part, put, window};
use super::digits::{self, signed, unsigned};
use super::nested::{List, Map, Object};
use super::{float, string, time};
use crate::options::{Decimals, Int64, JsonOptions, LocalTimestamps, NonFinite};

const MILLIS_PER_DAY: i64 = 86_400_000;

/// Values with their nulls, if there are any.
pub(super) struct Column<'a> {
    pub(super) values: Values<'a>,
    nulls: Option<NullBuffer>,
}

/// The values of a column, by what is to be done to write one. The values of
/// null rows are never written.
pub(super) enum Values<'a> {
    Null,
    Bool(&'a BooleanBuffer),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    QuotedI64(&'a [i64]),
    QuotedU64(&'a [u64]),
    F16(&'a Float16Array, NonFinite),
    F32(Floats<'a, f32>),
    F64(Floats<'a, f64>),
    Decimal(Decimal<'a>),
    WideDecimal(&'a Decimal256Array, Decimals),
    Date(&'a [i32]),
    TimeMillis(&'a [i32]),
    TimeMicros(&'a [i64]),
    TimeNanos(&'a [i64]),
    TimestampMillis(Timestamps<'a>),
    TimestampMicros(Timestamps<'a>),
    TimestampNanos(Timestamps<'a>),
    Int96(&'a [IntervalMonthDayNano], JsonOptions),
    Text(&'a [u128], &'a [Buffer]),
    Bytes(&'a BinaryViewArray, JsonOptions),
    FixedBytes(&'a FixedSizeBinaryArray, JsonOptions),
    Object(Object<'a>),
    List(Box<List<'a>>),
    Map(Box<Map<'a>>),
}

#[derive(Clone, Copy)]
pub(super) struct Floats<'a, F> {
    values: &'a [F],
    try_short: bool,
    non_finite: NonFinite,
}

#[derive(Clone, Copy)]
pub(super) struct Timestamps<'a> {
    values: &'a [i64],
    zoned: bool,
    json: JsonOptions,
}

#[derive(Clone, Copy)]
pub(super) struct Decimal<'a> {
    array: &'a arrow_array::Decimal128Array,
    /// Digits behind the point, and ten to the power of them; none if there are
    /// more than fit in a 64-bit integer.
    scale: Option<(u32, u64)>,
    decimals: Decimals,
}

impl<'a> Column<'a> {
    pub(super) fn new(array: &'a ArrayRef, json: JsonOptions) -> Result<Self, ArrowError> {
        Ok(Self {
            values: Values::new(array, json)?,
            nulls: array.logical_nulls().filter(|nulls| nulls.null_count() > 0),
        })
    }

    #[inline(always)]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes the value, or `null`.
    #[inline(always)]
    pub(super) fn write_or_null(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        if self.is_null(row) {
            return put_null(out, at);
        }
        self.values.write(row, out, at)
    }
}

#[inline(always)]
pub(super) fn put_null(out: &mut Vec<u8>, at: usize) -> usize {
    *window(out, at) = *b"null";
    at + 4
}

fn native<T: ArrowPrimitiveType>(array: &ArrayRef) -> &[T::Native] {
    array.as_primitive::<T>().values()
}

impl<'a> Values<'a> {
    fn new(array: &'a ArrayRef, json: JsonOptions) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean().values()),
            DataType::Int8 => Self::I8(native::<Int8Type>(array)),
            DataType::Int16 => Self::I16(native::<Int16Type>(array)),
            DataType::Int32 => Self::I32(native::<Int32Type>(array)),
            DataType::UInt8 => Self::U8(native::<UInt8Type>(array)),
            DataType::UInt16 => Self::U16(native::<UInt16Type>(array)),
            DataType::UInt32 => Self::U32(native::<UInt32Type>(array)),
            DataType::Int64 => match json.int64 {
                Int64::Number => Self::I64(native::<Int64Type>(array)),
                Int64::String => Self::QuotedI64(native::<Int64Type>(array)),
            },
            DataType::UInt64 => match json.int64 {
                Int64::Number => Self::U64(native::<UInt64Type>(array)),
                Int64::String => Self::QuotedU64(native::<UInt64Type>(array)),
            },
            DataType::Float16 => Self::F16(array.as_primitive::<Float16Type>(), json.non_finite),
            DataType::Float32 => Self::F32(Floats::new(native::<Float32Type>(array), json)),
            DataType::Float64 => Self::F64(Floats::new(native::<Float64Type>(array), json)),
            DataType::Decimal128(_, scale) => Self::Decimal(Decimal::new(array, *scale, json)),
            DataType::Decimal256(..) => {
                Self::WideDecimal(array.as_primitive::<Decimal256Type>(), json.decimals)
            }
            DataType::Utf8View => {
                let array = array.as_string_view();
                Self::Text(array.views(), array.data_buffers())
            }
            DataType::BinaryView => Self::Bytes(array.as_binary_view(), json),
            DataType::FixedSizeBinary(_) => Self::FixedBytes(array.as_fixed_size_binary(), json),
            DataType::Struct(_) => Self::Object(Object::new(array.as_struct(), json)?),
            DataType::List(_) => Self::List(Box::new(List::new(array.as_list(), json)?)),
            DataType::Map(..) => Self::Map(Box::new(Map::new(array.as_map(), json)?)),
            _ => Self::new_time(array, json)?,
        })
    }

    fn new_time(array: &'a ArrayRef, json: JsonOptions) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Date32 => Self::Date(native::<Date32Type>(array)),
            DataType::Time32(TimeUnit::Millisecond) => {
                Self::TimeMillis(native::<Time32MillisecondType>(array))
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                Self::TimeMicros(native::<Time64MicrosecondType>(array))
            }
            DataType::Time64(TimeUnit::Nanosecond) => {
                Self::TimeNanos(native::<Time64NanosecondType>(array))
            }
            DataType::Timestamp(unit, zone) => {
                let zoned = zone.is_some() || json.local_timestamps == LocalTimestamps::Utc;
                let of = |values| Timestamps {
                    values,
                    zoned,
                    json,
                };
                match unit {
                    TimeUnit::Millisecond => {
                        Self::TimestampMillis(of(native::<TimestampMillisecondType>(array)))
                    }
                    TimeUnit::Microsecond => {
                        Self::TimestampMicros(of(native::<TimestampMicrosecondType>(array)))
                    }
                    TimeUnit::Nanosecond => {
                        Self::TimestampNanos(of(native::<TimestampNanosecondType>(array)))
                    }
                    TimeUnit::Second => return Err(unexpected(array.data_type())),
                }
            }
            // See the `int96` module.
            DataType::Interval(_) => Self::Int96(native::<IntervalMonthDayNanoType>(array), json),
            other => return Err(unexpected(other)),
        })
    }

    /// Writes the value of `row`, which is not null, and returns where it ends.
    #[inline(always)]
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        match self {
            Self::Null => put_null(out, at),
            Self::Bool(values) => put_bool(values.value(row), out, at),
            Self::I8(values) => at + signed(values[row].into(), window(out, at)),
            Self::I16(values) => at + signed(values[row].into(), window(out, at)),
            Self::I32(values) => at + signed(values[row].into(), window(out, at)),
            Self::I64(values) => at + signed(values[row], window(out, at)),
            Self::U8(values) => at + unsigned(values[row].into(), window(out, at)),
            Self::U16(values) => at + unsigned(values[row].into(), window(out, at)),
            Self::U32(values) => at + unsigned(values[row].into(), window(out, at)),
            Self::U64(values) => at + unsigned(values[row], window(out, at)),
            Self::F32(floats) => floats.write(row, out, at),
            Self::F64(floats) => floats.write(row, out, at),
            Self::Decimal(decimal) => decimal.write(row, out, at),
            Self::Date(values) => time::date(values[row].into(), out, at),
            Self::TimestampMillis(values) => values.write::<MILLIS_PER_DAY>(row, out, at),
            Self::TimestampMicros(values) => {
                values.write::<{ MILLIS_PER_DAY * 1000 }>(row, out, at)
            }
            Self::TimestampNanos(values) => {
                values.write::<{ MILLIS_PER_DAY * 1_000_000 }>(row, out, at)
            }
            Self::Text(views, buffers) => {
                string::view(views[row], |buffer| &buffers[buffer], out, at)
            }
            _ => self.write_other(row, out, at),
        }
    }

    /// The kinds that are nested, rare, or take so long that a call is nothing.
    #[inline(never)]
    fn write_other(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        match self {
            Self::Object(object) => object.write(row, out, at),
            Self::List(list) => list.write(row, out, at),
            Self::Map(map) => map.write(row, out, at),
            Self::QuotedI64(values) => {
                in_quotes(out, at, |out, at| at + signed(values[row], window(out, at)))
            }
            Self::QuotedU64(values) => in_quotes(out, at, |out, at| {
                at + unsigned(values[row], window(out, at))
            }),
            Self::F16(values, non_finite) => {
                float::write(values.value(row).to_f32(), false, *non_finite, out, at)
            }
            Self::WideDecimal(values, decimals) => {
                put_decimal(&values.value_as_string(row), *decimals, out, at)
            }
            Self::TimeMillis(values) => {
                time::time_of_day(i64::from(values[row]) * 1_000_000, out, at)
            }
            Self::TimeMicros(values) => time::time_of_day(values[row] * 1000, out, at),
            Self::TimeNanos(values) => time::time_of_day(values[row], out, at),
            Self::Int96(values, json) => {
                time::int96(values[row].days, values[row].nanoseconds, *json, out, at)
            }
            Self::Bytes(values, json) => string::bytes(values.value(row), json.binary, out, at),
            Self::FixedBytes(values, json) => {
                string::bytes(values.value(row), json.binary, out, at)
            }
            _ => unreachable!("`write` has written the others"),
        }
    }

    /// Whether every value is a JSON string.
    pub(super) fn is_always_text(&self) -> bool {
        matches!(
            self,
            Self::QuotedI64(_)
                | Self::QuotedU64(_)
                | Self::Date(_)
                | Self::TimeMillis(_)
                | Self::TimeMicros(_)
                | Self::TimeNanos(_)
                | Self::Text(..)
                | Self::Bytes(..)
                | Self::FixedBytes(..)
        )
    }
}

impl<'a, F: float::Float> Floats<'a, F> {
    fn new(values: &'a [F], json: JsonOptions) -> Self {
        Self {
            values,
            try_short: float::mostly_short(values.iter().copied()),
            non_finite: json.non_finite,
        }
    }

    #[inline(always)]
    fn write(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        float::write(self.values[row], self.try_short, self.non_finite, out, at)
    }
}

impl Timestamps<'_> {
    #[inline(always)]
    fn write<const UNITS_PER_DAY: i64>(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        time::timestamp::<UNITS_PER_DAY>(self.values[row], self.zoned, self.json, out, at)
    }
}

impl<'a> Decimal<'a> {
    fn new(array: &'a ArrayRef, scale: i8, json: JsonOptions) -> Self {
        let scale = u32::try_from(scale)
            .ok()
            .filter(|&scale| scale <= digits::MAX_SCALE);
        Self {
            array: array.as_primitive::<Decimal128Type>(),
            scale: scale.map(|scale| (scale, 10_u64.pow(scale))),
            decimals: json.decimals,
        }
    }

    #[inline(always)]
    fn write(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        let value = self.array.values()[row];
        let magnitude = u64::try_from(value.unsigned_abs()).ok();
        let (Some(magnitude), Some((scale, one))) = (magnitude, self.scale) else {
            return put_decimal(&self.array.value_as_string(row), self.decimals, out, at);
        };
        let number = |out: &mut Vec<u8>, at| {
            at + digits::decimal(value < 0, magnitude, scale, one, window(out, at))
        };
        match self.decimals {
            Decimals::Number => number(out, at),
            Decimals::String => in_quotes(out, at, number),
        }
    }
}

#[cold]
#[inline(never)]
fn put_decimal(text: &str, decimals: Decimals, out: &mut Vec<u8>, at: usize) -> usize {
    match decimals {
        Decimals::Number => put(out, at, text.as_bytes()),
        Decimals::String => in_quotes(out, at, |out, at| put(out, at, text.as_bytes())),
    }
}

#[inline(always)]
fn in_quotes(
    out: &mut Vec<u8>,
    at: usize,
    write: impl FnOnce(&mut Vec<u8>, usize) -> usize,
) -> usize {
    *window(out, at) = *b"\"";
    let end = write(out, at + 1);
    *window(out, end) = *b"\"";
    end + 1
}

#[inline(always)]
fn put_bool(value: bool, out: &mut Vec<u8>, at: usize) -> usize {
    *window(out, at) = if value { *b"true " } else { *b"false" };
    at + 5 - usize::from(value)
}

fn unexpected(data_type: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("{data_type} does not come from parquet"))
}

/// Writes `value` as an object's key: its text, in quotes if it has none.
pub(super) fn write_key(values: &Values<'_>, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
    let end = in_quotes(out, at, |out, at| values.write(row, out, at));
    if part::<1>(out, at + 1) != b"\"" {
        return end;
    }
    // A float that is not finite has quotes of its own.
    out.copy_within(at + 1..end - 1, at);
    end - 2
}
