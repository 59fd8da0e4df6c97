//! Which values a column of each Arrow type has: the one place that knows types.
//!
//! To add a type, add it to [`kind`] with the kernel that writes one value, here
//! if it is short, else in a module beside this one. Everything else follows:
//! names, nulls, nesting, map keys, blocks of rows. `tests/encoders.rs` then
//! wants it in its list of types.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, Time32MillisecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::binary::ByteStrings;
use super::column::{Kernel, Kind, Values, put_null};
use super::decimal;
use super::digits::{Integers, Quoted, part};
use super::float::{Floats, Halves};
use super::nested::{List, Map, Object};
use super::raw::Slot;
use super::text;
use super::time::{Dates, Times};
use super::timestamp::{self, Timestamps};
use crate::options::{Int64, JsonOptions};

/// The values of `array`, with all that does not depend on the row prepared.
pub(super) fn kind<'a>(array: &'a ArrayRef, json: JsonOptions) -> Result<Kind<'a>, ArrowError> {
    Ok(match array.data_type() {
        DataType::Null => Kind::short(Nothing),
        DataType::Boolean => Kind::short(Booleans(array.as_boolean().values())),
        DataType::Int8 => Kind::short(Integers(native::<Int8Type>(array))),
        DataType::Int16 => Kind::short(Integers(native::<Int16Type>(array))),
        DataType::Int32 => Kind::short(Integers(native::<Int32Type>(array))),
        DataType::UInt8 => Kind::short(Integers(native::<UInt8Type>(array))),
        DataType::UInt16 => Kind::short(Integers(native::<UInt16Type>(array))),
        DataType::UInt32 => Kind::short(Integers(native::<UInt32Type>(array))),
        DataType::Int64 => match (Integers(native::<Int64Type>(array)), json.int64) {
            (values, Int64::Number) => Kind::short(values),
            (values, Int64::String) => Kind::short(Quoted(values)),
        },
        DataType::UInt64 => match (Integers(native::<UInt64Type>(array)), json.int64) {
            (values, Int64::Number) => Kind::short(values),
            (values, Int64::String) => Kind::short(Quoted(values)),
        },
        DataType::Float16 => {
            let values = array.as_primitive::<Float16Type>();
            Kind::short(Halves(values, json.non_finite))
        }
        DataType::Float32 => {
            Kind::short(Floats::new(native::<Float32Type>(array), json.non_finite))
        }
        DataType::Float64 => {
            Kind::short(Floats::new(native::<Float64Type>(array), json.non_finite))
        }
        DataType::Decimal128(..) => {
            decimal::narrow(array.as_primitive::<Decimal128Type>(), json.decimals)
        }
        DataType::Decimal256(..) => {
            let values = array.as_primitive::<Decimal256Type>();
            Kind::other(decimal::Wide(values, json.decimals))
        }
        DataType::Utf8View => text::kind(array.as_string_view()),
        DataType::Utf8 => Kind::Long(Values::Text(array.as_string())),
        DataType::BinaryView => Kind::other(ByteStrings(array.as_binary_view(), json.binary)),
        DataType::FixedSizeBinary(_) => {
            Kind::other(ByteStrings(array.as_fixed_size_binary(), json.binary))
        }
        DataType::Struct(_) => Kind::Long(Values::Object(Object::new(array.as_struct(), json)?)),
        DataType::List(_) => Kind::Long(Values::List(Box::new(List::new(array.as_list(), json)?))),
        DataType::Map(..) => Kind::Long(Values::Map(Box::new(Map::new(array.as_map(), json)?))),
        _ => return kind_of_time(array, json),
    })
}

fn kind_of_time<'a>(array: &'a ArrayRef, json: JsonOptions) -> Result<Kind<'a>, ArrowError> {
    Ok(match array.data_type() {
        DataType::Date32 => Kind::short(Dates(native::<Date32Type>(array))),
        DataType::Time32(TimeUnit::Millisecond) => {
            Kind::short(Times::<_, 1_000_000>(native::<Time32MillisecondType>(
                array,
            )))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            Kind::short(Times::<_, 1000>(native::<Time64MicrosecondType>(array)))
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            Kind::short(Times::<_, 1>(native::<Time64NanosecondType>(array)))
        }
        DataType::Timestamp(unit, zone) => {
            let is_utc = zone.is_some();
            match unit {
                TimeUnit::Millisecond => {
                    let values = native::<TimestampMillisecondType>(array);
                    Kind::short(Timestamps::<1_000>::new(values, is_utc, json))
                }
                TimeUnit::Microsecond => {
                    let values = native::<TimestampMicrosecondType>(array);
                    Kind::short(Timestamps::<1_000_000>::new(values, is_utc, json))
                }
                TimeUnit::Nanosecond => {
                    let values = native::<TimestampNanosecondType>(array);
                    Kind::short(Timestamps::<1_000_000_000>::new(values, is_utc, json))
                }
                TimeUnit::Second => return Err(unexpected(array.data_type())),
            }
        }
        // See the `int96` module.
        DataType::Interval(_) => timestamp::int96(native::<IntervalMonthDayNanoType>(array), json),
        other => return Err(unexpected(other)),
    })
}

fn native<T: ArrowPrimitiveType>(array: &ArrayRef) -> &[T::Native] {
    array.as_primitive::<T>().values()
}

fn unexpected(data_type: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("{data_type} does not come from parquet"))
}

/// Columns of the null type.
struct Nothing;

impl Kernel for Nothing {
    #[inline(always)]
    fn write(&self, _row: usize, slot: &mut Slot) -> usize {
        put_null(slot)
    }
}

struct Booleans<'a>(&'a BooleanBuffer);

impl Kernel for Booleans<'_> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        // A look-up, because nobody can predict the values.
        const TEXTS: [[u8; 5]; 2] = [*b"false", *b"true "];

        let value = usize::from(self.0.value(row));
        *part(slot, 0) = TEXTS[value];
        5 - value
    }
}
