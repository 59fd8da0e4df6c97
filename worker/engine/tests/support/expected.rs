//! What the documentation says that a row looks like, written for clarity: one
//! value after the other, and nothing of the engine's own.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fmt::{Display, LowerExp, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Fields, TimeUnit};
use etl_engine::{
    Binary, Decimals, Format, Int64, JsonOptions, LocalTimestamps, NonFinite, Nulls, Timestamps,
};

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_DAY: i128 = 86_400 * NANOS_PER_SECOND;

/// A NaN or an infinity has been met that the options refuse.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// The whole output for `batches`.
pub(crate) fn output(
    batches: &[RecordBatch],
    format: Format,
    json: JsonOptions,
) -> Result<String, Refused> {
    let mut rows = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            rows.push(object(schema.fields(), batch.columns(), row, json)?);
        }
    }
    Ok(match format {
        Format::JsonArray => format!("[{}]", rows.join(",")),
        Format::JsonLines => rows.iter().map(|row| format!("{row}\n")).collect(),
    })
}

fn object(
    fields: &Fields,
    columns: &[arrow_array::ArrayRef],
    row: usize,
    json: JsonOptions,
) -> Result<String, Refused> {
    let mut members = Vec::new();
    for (field, column) in fields.iter().zip(columns) {
        if json.nulls == Nulls::Omit && is_null(column, row) {
            continue;
        }
        let value = value(column, row, json)?;
        members.push(format!("{}:{value}", string(field.name())));
    }
    Ok(format!("{{{}}}", members.join(",")))
}

fn is_null(array: &dyn Array, row: usize) -> bool {
    *array.data_type() == DataType::Null || array.is_null(row)
}

fn value(array: &dyn Array, row: usize, json: JsonOptions) -> Result<String, Refused> {
    use DataType as T;
    if is_null(array, row) {
        return Ok("null".to_owned());
    }
    Ok(match array.data_type() {
        T::Struct(fields) => object(fields, array.as_struct().columns(), row, json)?,
        T::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Result<Vec<String>, Refused> = (0..items.len())
                .map(|index| value(&items, index, json))
                .collect();
            format!("[{}]", items?.join(","))
        }
        T::Map(_, _) => map(array, row, json)?,
        T::Boolean => array.as_boolean().value(row).to_string(),
        T::Utf8View => string(array.as_string_view().value(row)),
        T::BinaryView => binary(array.as_binary_view().value(row), json),
        T::FixedSizeBinary(_) => binary(array.as_fixed_size_binary().value(row), json),
        T::Float16 => {
            let value = array.as_primitive::<Float16Type>().value(row).to_f32();
            float(value, value.into(), json)?
        }
        T::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            float(value, value.into(), json)?
        }
        T::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            float(value, value, json)?
        }
        T::Decimal128(_, scale) => {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            decimal(&value.to_string(), *scale, json)
        }
        T::Decimal256(_, scale) => {
            let value = array.as_primitive::<Decimal256Type>().value(row);
            decimal(&value.to_string(), *scale, json)
        }
        T::Date32 | T::Time32(_) | T::Time64(_) | T::Timestamp(..) => moment(array, row, json),
        _ => integer(array, row, json),
    })
}

fn map(array: &dyn Array, row: usize, json: JsonOptions) -> Result<String, Refused> {
    let entries = array.as_map().value(row);
    let mut members = Vec::new();
    for index in 0..entries.len() {
        // There is no null key, so a NaN is named there even where it would be null.
        let naming = match json.non_finite {
            NonFinite::Null => NonFinite::String,
            other => other,
        };
        let for_keys = JsonOptions {
            non_finite: naming,
            ..json
        };
        let mut key = value(entries.column(0), index, for_keys)?;
        if !key.starts_with('"') {
            key = format!("\"{key}\"");
        }
        members.push(format!("{key}:{}", value(entries.column(1), index, json)?));
    }
    Ok(format!("{{{}}}", members.join(",")))
}

fn string(text: &str) -> String {
    serde_json::to_string(text).expect("text is always JSON")
}

fn binary(bytes: &[u8], json: JsonOptions) -> String {
    match json.binary {
        Binary::Hex => format!("\"{}\"", hex(bytes)),
        Binary::Base64 => format!("\"{}\"", base64(bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to memory cannot fail");
        text
    })
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes(group);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let letter = char::from(ALPHABET[index as usize]);
            text.push(if digit > three.len() { '=' } else { letter });
        }
    }
    text
}

fn integer(array: &dyn Array, row: usize, json: JsonOptions) -> String {
    use DataType as T;
    let text = match array.data_type() {
        T::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        T::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        T::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        T::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        T::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        T::UInt16 => array.as_primitive::<UInt16Type>().value(row).to_string(),
        T::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        T::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        other => unreachable!("no rendering of {other} is documented"),
    };
    let is_long = matches!(array.data_type(), T::Int64 | T::UInt64);
    if is_long && json.int64 == Int64::String {
        return format!("\"{text}\"");
    }
    text
}

/// `wide` is the same value as an f64.
fn float<F: Display + LowerExp>(value: F, wide: f64, json: JsonOptions) -> Result<String, Refused> {
    if !wide.is_finite() {
        let name = if wide.is_nan() {
            "\"NaN\""
        } else if wide > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        };
        return match json.non_finite {
            NonFinite::String => Ok(name.to_owned()),
            NonFinite::Null => Ok("null".to_owned()),
            NonFinite::Fail => Err(Refused),
        };
    }
    let (scientific, plain) = (format!("{value:e}"), value.to_string());
    let (_, exponent) = scientific.split_once('e').expect("it was asked for");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    Ok(match (-5..10).contains(&exponent) {
        true if plain.contains('.') => plain,
        true => format!("{plain}.0"),
        false if scientific.contains('.') => scientific,
        false => scientific.replace('e', ".0e"),
    })
}

fn decimal(unscaled: &str, scale: i8, json: JsonOptions) -> String {
    let scale = usize::from(scale.unsigned_abs());
    let (sign, digits) = match unscaled.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", unscaled),
    };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale > 0 { "." } else { "" };
    let text = format!("{sign}{whole}{point}{fraction}");
    match json.decimals {
        Decimals::Number => text,
        Decimals::String => format!("\"{text}\""),
    }
}

fn moment(array: &dyn Array, row: usize, json: JsonOptions) -> String {
    use DataType as T;
    use TimeUnit::{Microsecond, Millisecond};
    match array.data_type() {
        T::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            format!("\"{}\"", date(days.into()))
        }
        T::Time32(_) => {
            let millis = array.as_primitive::<Time32MillisecondType>().value(row);
            format!("\"{}\"", time(i128::from(millis) * 1_000_000, 0))
        }
        T::Time64(Microsecond) => {
            let micros = array.as_primitive::<Time64MicrosecondType>().value(row);
            format!("\"{}\"", time(i128::from(micros) * 1000, 0))
        }
        T::Time64(_) => {
            let nanos = array.as_primitive::<Time64NanosecondType>().value(row);
            format!("\"{}\"", time(nanos.into(), 0))
        }
        T::Timestamp(unit, zone) => {
            let (value, nanos) = match unit {
                Millisecond => {
                    let values = array.as_primitive::<TimestampMillisecondType>();
                    (values.value(row), 1_000_000)
                }
                Microsecond => {
                    let values = array.as_primitive::<TimestampMicrosecondType>();
                    (values.value(row), 1_000)
                }
                _ => (
                    array.as_primitive::<TimestampNanosecondType>().value(row),
                    1,
                ),
            };
            timestamp(i128::from(value) * nanos, zone.is_some(), json)
        }
        other => unreachable!("{other} is no moment"),
    }
}

/// Days since 1970-01-01 and nanoseconds of the day, in UTC.
pub(crate) fn int96(days: i32, nanos: u64, json: JsonOptions) -> String {
    let nanos = i128::from(days) * NANOS_PER_DAY + i128::from(nanos);
    timestamp(nanos, true, json)
}

fn timestamp(nanos: i128, zoned: bool, json: JsonOptions) -> String {
    if json.timestamps == Timestamps::EpochMillis {
        return nanos.div_euclid(1_000_000).to_string();
    }
    let date = date(nanos.div_euclid(NANOS_PER_DAY));
    let time = time(nanos.rem_euclid(NANOS_PER_DAY), 3);
    let has_zone = zoned || json.local_timestamps == LocalTimestamps::Utc;
    let zone = if has_zone { "Z" } else { "" };
    format!("\"{date}T{time}{zone}\"")
}

fn time(nanos: i128, fewest_digits: usize) -> String {
    let seconds = nanos / NANOS_PER_SECOND;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let fraction = format!("{:09}", nanos % NANOS_PER_SECOND);
    let digits = [0, 3, 6, 9]
        .into_iter()
        .find(|&digits| digits >= fewest_digits && fraction[digits..].bytes().all(|d| d == b'0'))
        .expect("nothing is behind the ninth digit");
    let point = if digits > 0 { "." } else { "" };
    let seconds = seconds % 60;
    format!(
        "{hours:02}:{minutes:02}:{seconds:02}{point}{}",
        &fraction[..digits]
    )
}

/// Counts years and months from the beginning of an era of 400 years.
fn date(days: i128) -> String {
    const DAYS_PER_ERA: i128 = 146_097;
    const DAYS_FROM_0000_TO_1970: i128 = 719_528;
    let days = days + DAYS_FROM_0000_TO_1970;
    let mut year = days.div_euclid(DAYS_PER_ERA) * 400;
    let mut rest = days.rem_euclid(DAYS_PER_ERA);
    while rest >= 365 + i128::from(is_leap(year)) {
        rest -= 365 + i128::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while rest >= month_length(year, month) {
        rest -= month_length(year, month);
        month += 1;
    }
    let sign = match year {
        ..0 => "-",
        0..=9999 => "",
        _ => "+",
    };
    format!("{sign}{:04}-{month:02}-{:02}", year.abs(), rest + 1)
}

fn is_leap(year: i128) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i128, month: u8) -> i128 {
    match month {
        2 => 28 + i128::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
