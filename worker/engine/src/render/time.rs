//! Dates, times of day and timestamps.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, IntervalMonthDayNanoType, Time32MillisecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_buffer::ScalarBuffer;
use arrow_json::Encoder;
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::calendar::{Fraction, NANOS_PER_DAY, write_date, write_time};
use crate::options::{JsonOptions, LocalTimestamps, Timestamps};

const NANOS_PER_MILLI: i64 = 1_000_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// Encodes each value of a primitive column with one function.
struct Each<T: ArrowPrimitiveType, F> {
    values: ScalarBuffer<T::Native>,
    write: F,
}

impl<T: ArrowPrimitiveType, F: FnMut(T::Native, &mut Vec<u8>)> Encoder for Each<T, F> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        (self.write)(self.values[index], out);
    }
}

fn each<'a, T: ArrowPrimitiveType>(
    array: &dyn Array,
    write: impl FnMut(T::Native, &mut Vec<u8>) + 'a,
) -> Box<dyn Encoder + 'a> {
    let values = array.as_primitive::<T>().values().clone();
    Box::new(Each::<T, _> { values, write })
}

/// `"2021-01-31"`
pub(super) fn date<'a>(array: &dyn Array) -> Box<dyn Encoder + 'a> {
    each::<Date32Type>(array, |days, out| {
        quote(out, |out| write_date(days.into(), out));
    })
}

/// `"01:02:03.000004"`; values have been checked to lie within one day.
pub(super) fn time_of_day<'a>(array: &dyn Array) -> Result<Box<dyn Encoder + 'a>, ArrowError> {
    let write = |nanos: i64, out: &mut Vec<u8>| {
        quote(out, |out| write_time(nanos, Fraction::AsNeeded, out));
    };
    Ok(match array.data_type() {
        DataType::Time32(TimeUnit::Millisecond) => {
            each::<Time32MillisecondType>(array, move |millis, out| {
                write(i64::from(millis) * NANOS_PER_MILLI, out);
            })
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            each::<Time64MicrosecondType>(array, move |micros, out| write(micros * 1000, out))
        }
        DataType::Time64(TimeUnit::Nanosecond) => each::<Time64NanosecondType>(array, write),
        other => return Err(unexpected(other)),
    })
}

/// `"2021-01-01T00:30:10.000Z"` or milliseconds.
pub(super) fn timestamp<'a>(
    array: &dyn Array,
    is_utc: bool,
    json: JsonOptions,
) -> Result<Box<dyn Encoder + 'a>, ArrowError> {
    let zoned = is_utc || json.local_timestamps == LocalTimestamps::Utc;
    let write = move |instant: Instant, out: &mut Vec<u8>| instant.write(zoned, json, out);
    Ok(match array.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            each::<TimestampMillisecondType>(array, move |value, out| {
                write(Instant::new(value, MILLIS_PER_DAY), out);
            })
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each::<TimestampMicrosecondType>(array, move |value, out| {
                write(Instant::new(value, NANOS_PER_DAY / 1000), out);
            })
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            each::<TimestampNanosecondType>(array, move |value, out| {
                write(Instant::new(value, NANOS_PER_DAY), out);
            })
        }
        other => return Err(unexpected(other)),
    })
}

/// INT96 timestamps, carried as days and nanoseconds of the day by the `int96`
/// module. They are instants: always UTC.
pub(super) fn int96<'a>(array: &dyn Array, json: JsonOptions) -> Box<dyn Encoder + 'a> {
    each::<IntervalMonthDayNanoType>(array, move |value, out| {
        let instant = Instant {
            days: value.days.into(),
            nanos: value.nanoseconds,
        };
        instant.write(true, json, out);
    })
}

/// A point in time without overflow anywhere: `nanos` is within one day.
#[derive(Clone, Copy)]
pub(crate) struct Instant {
    pub(crate) days: i64,
    pub(crate) nanos: i64,
}

impl Instant {
    pub(crate) fn new(value: i64, units_per_day: i64) -> Self {
        let nanos_per_unit = NANOS_PER_DAY / units_per_day;
        Self {
            days: value.div_euclid(units_per_day),
            nanos: value.rem_euclid(units_per_day) * nanos_per_unit,
        }
    }

    pub(crate) fn write(self, zoned: bool, json: JsonOptions, out: &mut Vec<u8>) {
        match json.timestamps {
            Timestamps::EpochMillis => {
                // 128 bits, because INT96 reaches beyond 64 bits of milliseconds' days.
                let millis = i128::from(self.days) * i128::from(MILLIS_PER_DAY)
                    + i128::from(self.nanos / NANOS_PER_MILLI);
                write!(out, "{millis}").expect("writing to memory cannot fail");
            }
            Timestamps::Iso => quote(out, |out| {
                write_date(self.days, out);
                out.push(b'T');
                write_time(self.nanos, Fraction::AtLeastMillis, out);
                if zoned {
                    out.push(b'Z');
                }
            }),
        }
    }
}

fn quote(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn unexpected(data_type: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("{data_type} does not come from parquet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(instant: Instant, json: JsonOptions) -> String {
        let mut out = Vec::new();
        instant.write(true, json, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn instants_before_1970_round_towards_the_past() {
        let instant = Instant::new(-1, NANOS_PER_DAY);
        assert_eq!(
            text(instant, JsonOptions::default()),
            "\"1969-12-31T23:59:59.999999999Z\""
        );
        let millis = JsonOptions {
            timestamps: Timestamps::EpochMillis,
            ..Default::default()
        };
        assert_eq!(text(instant, millis), "-1");
    }

    #[test]
    fn the_extremes_of_every_unit_render_without_overflow() {
        let iso = JsonOptions::default();
        let millis = Instant::new(i64::MAX, MILLIS_PER_DAY);
        assert_eq!(text(millis, iso), "\"+292278994-08-17T07:12:55.807Z\"");
        let nanos = Instant::new(i64::MIN, NANOS_PER_DAY);
        assert_eq!(text(nanos, iso), "\"1677-09-21T00:12:43.145224192Z\"");
    }
}
