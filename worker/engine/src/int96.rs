//! INT96 timestamps, the way Spark and Impala wrote them for years: a day and
//! the nanoseconds within it.
//!
//! The reader knows them only as 64-bit counts. Seconds are always exact but
//! drop the fraction; nanoseconds have it but wrap outside 1677..2262. Modulo
//! 2^64 both agree, so the fraction is their difference, exactly:
//! `nanos - seconds * 10^9` is below one second in magnitude.
//!
//! The result travels as `Interval(MonthDayNano)` with days since 1970-01-01
//! and nanoseconds of the day, a type that no parquet column is read as.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    IntervalMonthDayNano, IntervalMonthDayNanoType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, IntervalMonthDayNanoArray, ListArray, MapArray, RecordBatch, StructArray,
};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, TimeUnit};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Replaces the columns `roots` of `batch` by what both readings say together.
pub(crate) fn merge(
    batch: &RecordBatch,
    nanos: &RecordBatch,
    roots: &[usize],
) -> Result<RecordBatch, ArrowError> {
    if batch.num_rows() != nanos.num_rows() {
        return Err(differ());
    }
    let mut columns = batch.columns().to_vec();
    for (&root, nanos) in roots.iter().zip(nanos.columns()) {
        columns[root] = merge_array(&columns[root], nanos)?;
    }
    let schema = batch.schema();
    let fields: Fields = schema
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, array)| retype(field, array))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn retype(field: &FieldRef, array: &ArrayRef) -> FieldRef {
    if field.data_type() == array.data_type() {
        return Arc::clone(field);
    }
    Arc::new(Field::clone(field).with_data_type(array.data_type().clone()))
}

fn merge_array(seconds: &ArrayRef, nanos: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if seconds.len() != nanos.len() {
        return Err(differ());
    }
    Ok(match (seconds.data_type(), nanos.data_type()) {
        (DataType::Timestamp(TimeUnit::Second, _), DataType::Timestamp(_, _)) => {
            Arc::new(merge_leaf(seconds, nanos)?)
        }
        (DataType::Struct(_), DataType::Struct(_)) => {
            Arc::new(merge_struct(seconds.as_struct(), nanos.as_struct())?)
        }
        (DataType::List(item), DataType::List(_)) => {
            let list = seconds.as_list::<i32>();
            let values = merge_array(list.values(), nanos.as_list::<i32>().values())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::try_new(
                retype(item, &values),
                offsets,
                values,
                nulls,
            )?)
        }
        (DataType::Map(entry, sorted), DataType::Map(_, _)) => {
            let map = seconds.as_map();
            let entries = merge_struct(map.entries(), nanos.as_map().entries())?;
            let entry = Field::clone(entry).with_data_type(entries.data_type().clone());
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(
                Arc::new(entry),
                offsets,
                entries,
                nulls,
                *sorted,
            )?)
        }
        (one, other) if one == other => Arc::clone(seconds),
        _ => return Err(differ()),
    })
}

fn merge_struct(seconds: &StructArray, nanos: &StructArray) -> Result<StructArray, ArrowError> {
    let pairs = seconds.columns().iter().zip(nanos.columns());
    let columns: Vec<ArrayRef> = pairs
        .map(|(seconds, nanos)| merge_array(seconds, nanos))
        .collect::<Result<_, _>>()?;
    let fields = seconds
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, array)| retype(field, array));
    StructArray::try_new(fields.collect(), columns, seconds.nulls().cloned())
}

fn merge_leaf(
    seconds: &ArrayRef,
    nanos: &ArrayRef,
) -> Result<IntervalMonthDayNanoArray, ArrowError> {
    let seconds = seconds.as_primitive::<TimestampSecondType>();
    let nanos = nanos.as_primitive::<TimestampNanosecondType>();
    let mut values = Vec::with_capacity(seconds.len());
    for (index, (&seconds_value, &nanos_value)) in
        seconds.values().iter().zip(nanos.values()).enumerate()
    {
        let value = if seconds.is_null(index) {
            None
        } else {
            Some((seconds_value, nanos_value))
        };
        let day = value.map_or(Some(IntervalMonthDayNano::ZERO), |(s, n)| {
            day_and_nanos(s, n)
        });
        values.push(day.ok_or_else(out_of_range)?);
    }
    let nulls = seconds.nulls().cloned();
    arrow_array::PrimitiveArray::<IntervalMonthDayNanoType>::try_new(values.into(), nulls)
}

/// `None` for a day beyond 32 bits, which only damaged files hold.
fn day_and_nanos(seconds: i64, wrapped_nanos: i64) -> Option<IntervalMonthDayNano> {
    let below_second = wrapped_nanos.wrapping_sub(seconds.wrapping_mul(NANOS_PER_SECOND));
    let seconds = seconds.checked_add(below_second.div_euclid(NANOS_PER_SECOND))?;
    let below_second = below_second.rem_euclid(NANOS_PER_SECOND);
    let days = i32::try_from(seconds.div_euclid(SECONDS_PER_DAY)).ok()?;
    let nanos = seconds.rem_euclid(SECONDS_PER_DAY) * NANOS_PER_SECOND + below_second;
    Some(IntervalMonthDayNano::new(0, days, nanos))
}

fn out_of_range() -> ArrowError {
    ArrowError::InvalidArgumentError("an INT96 timestamp is out of range".to_owned())
}

pub(crate) fn differ() -> ArrowError {
    ArrowError::InvalidArgumentError("two readings of an INT96 column differ in shape".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the reader makes of one INT96 value.
    fn readings(days: i64, nanos_of_day: i64) -> (i64, i64) {
        let seconds = days * SECONDS_PER_DAY + nanos_of_day / NANOS_PER_SECOND;
        let nanos = days
            .wrapping_mul(SECONDS_PER_DAY * NANOS_PER_SECOND)
            .wrapping_add(nanos_of_day);
        (seconds, nanos)
    }

    #[test]
    fn two_readings_give_the_value_back_on_every_day_that_a_year_may_have() {
        let nanos = [
            0,
            1,
            999,
            1_000,
            999_999_999,
            43_200_000_000_001,
            86_399_999_999_999,
        ];
        for days in (-719_162..=2_932_896).step_by(97) {
            for of_day in nanos {
                let (seconds, wrapped) = readings(days, of_day);
                let value = day_and_nanos(seconds, wrapped).unwrap();
                assert_eq!((i64::from(value.days), value.nanoseconds), (days, of_day));
            }
        }
    }

    #[test]
    fn nanoseconds_outside_the_day_carry_over() {
        let (seconds, wrapped) = readings(0, -1);
        let value = day_and_nanos(seconds, wrapped).unwrap();
        assert_eq!((value.days, value.nanoseconds), (-1, 86_399_999_999_999));
    }

    #[test]
    fn days_beyond_32_bits_are_refused() {
        let (seconds, wrapped) = readings(i64::from(i32::MIN) - 1, 0);
        assert_eq!(day_and_nanos(seconds, wrapped), None);
    }
}
