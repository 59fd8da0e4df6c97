//! From JSON back to values: does a row say what its columns hold?

#![allow(dead_code, reason = "each test binary uses its own part")]

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Fields, TimeUnit};
use etl_engine::{
    Binary, Decimals, Int64, JsonOptions, LocalTimestamps, NonFinite, Nulls, Timestamps,
};

/// JSON with the text of numbers and every member of an object, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text that serde_json has accepted.
    pub(crate) fn parse(text: &str) -> Self {
        let mut rest = text;
        let json = Self::next(&mut rest);
        assert_eq!(rest, "", "something follows the value");
        json
    }

    fn next(rest: &mut &str) -> Self {
        match rest.as_bytes()[0] {
            b'{' => Self::Object(Self::items(rest, '}', |rest| {
                let name = quoted(rest);
                take(rest, 1);
                (name, Self::next(rest))
            })),
            b'[' => Self::Array(Self::items(rest, ']', Self::next)),
            b'"' => Self::String(quoted(rest)),
            b'n' => {
                take(rest, 4);
                Self::Null
            }
            b't' => {
                take(rest, 4);
                Self::Bool(true)
            }
            b'f' => {
                take(rest, 5);
                Self::Bool(false)
            }
            _ => {
                let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
                Self::Number(take(rest, end).to_owned())
            }
        }
    }

    fn items<T>(rest: &mut &str, close: char, mut item: impl FnMut(&mut &str) -> T) -> Vec<T> {
        let mut items = Vec::new();
        take(rest, 1);
        while !rest.starts_with(close) {
            if !items.is_empty() {
                take(rest, 1);
            }
            items.push(item(rest));
        }
        take(rest, 1);
        items
    }

    fn text(&self) -> &str {
        match self {
            Self::Number(text) | Self::String(text) => text,
            other => panic!("{other:?} has no text"),
        }
    }

    /// The text of a number that is a string where an option or a key asks for it.
    fn number(&self, as_string: bool) -> &str {
        assert_eq!(matches!(self, Self::String(_)), as_string, "{self:?}");
        self.text()
    }
}

fn take<'a>(rest: &mut &'a str, length: usize) -> &'a str {
    let (taken, after) = rest.split_at(length);
    *rest = after;
    taken
}

fn quoted(rest: &mut &str) -> String {
    let bytes = rest.as_bytes();
    let mut end = 1;
    while bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    serde_json::from_str(take(rest, end + 1)).expect("serde_json has accepted it before")
}

/// Panics unless `json` is the row that the columns hold at `row`.
pub(crate) fn assert_row(
    fields: &Fields,
    columns: &[ArrayRef],
    row: usize,
    options: JsonOptions,
    json: &Json,
) {
    let Json::Object(members) = json else {
        panic!("{json:?} is no object")
    };
    let mut members = members.iter();
    for (field, column) in fields.iter().zip(columns) {
        let is_null = *column.data_type() == DataType::Null || column.is_null(row);
        if is_null && options.nulls == Nulls::Omit {
            continue;
        }
        let (name, value) = members.next().expect("a field that is not null is there");
        assert_eq!(name, field.name());
        assert_value(column, row, options, value);
    }
    assert_eq!(members.next(), None, "a member that is no column");
}

fn assert_value(array: &dyn Array, row: usize, options: JsonOptions, json: &Json) {
    use DataType as T;
    if *array.data_type() == T::Null || array.is_null(row) {
        assert_eq!(*json, Json::Null);
        return;
    }
    match (array.data_type(), json) {
        (T::Struct(fields), _) => {
            assert_row(fields, array.as_struct().columns(), row, options, json);
        }
        (T::List(_), Json::Array(items)) => {
            let values = array.as_list::<i32>().value(row);
            assert_eq!(values.len(), items.len());
            for (index, item) in items.iter().enumerate() {
                assert_value(&values, index, options, item);
            }
        }
        (T::Map(_, _), Json::Object(members)) => {
            let entries = array.as_map().value(row);
            assert_eq!(entries.len(), members.len());
            for (index, (key, value)) in members.iter().enumerate() {
                assert_key(entries.column(0), index, options, key);
                assert_value(entries.column(1), index, options, value);
            }
        }
        (T::Boolean, Json::Bool(value)) => assert_eq!(*value, array.as_boolean().value(row)),
        (T::Utf8View, Json::String(text)) => assert_eq!(text, array.as_string_view().value(row)),
        (T::BinaryView, Json::String(text)) => {
            assert_eq!(bytes(text, options), array.as_binary_view().value(row));
        }
        (T::FixedSizeBinary(_), Json::String(text)) => {
            let value = array.as_fixed_size_binary().value(row);
            assert_eq!(bytes(text, options), value);
        }
        (T::Float16 | T::Float32 | T::Float64, _) => assert_float(array, row, options, json),
        (T::Decimal128(..) | T::Decimal256(..), _) => assert_decimal(array, row, options, json),
        (T::Date32 | T::Time32(_) | T::Time64(_) | T::Timestamp(..), _) => {
            assert_moment(array, row, options, json);
        }
        (T::Int64 | T::UInt64, _) => {
            let text = json.number(options.int64 == Int64::String);
            assert_eq!(text.parse(), Ok(integer(array, row)));
        }
        _ => assert_eq!(json.number(false).parse(), Ok(integer(array, row))),
    }
}

/// A key is the text of the same value elsewhere, as a string.
fn assert_key(keys: &dyn Array, row: usize, options: JsonOptions, key: &str) {
    let options = JsonOptions {
        non_finite: NonFinite::String,
        ..options
    };
    let is_number = match keys.data_type() {
        DataType::Boolean => {
            assert_eq!(key.parse(), Ok(keys.as_boolean().value(row)));
            return;
        }
        DataType::Int64 | DataType::UInt64 => options.int64 == Int64::Number,
        DataType::Decimal128(..) | DataType::Decimal256(..) => options.decimals == Decimals::Number,
        DataType::Timestamp(..) => options.timestamps == Timestamps::EpochMillis,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            !["NaN", "Infinity", "-Infinity"].contains(&key)
        }
        data_type => data_type.is_integer(),
    };
    let key = key.to_owned();
    let json = if is_number {
        Json::Number(key)
    } else {
        Json::String(key)
    };
    assert_value(keys, row, options, &json);
}

fn integer(array: &dyn Array, row: usize) -> i128 {
    use DataType as T;
    match array.data_type() {
        T::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        T::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        T::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        T::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        T::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        T::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        T::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        T::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        other => panic!("{other} is no integer"),
    }
}

fn assert_float(array: &dyn Array, row: usize, options: JsonOptions, json: &Json) {
    let value: f64 = match array.data_type() {
        DataType::Float16 => array.as_primitive::<Float16Type>().value(row).into(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).into(),
        _ => array.as_primitive::<Float64Type>().value(row),
    };
    if !value.is_finite() && options.non_finite == NonFinite::Null {
        assert_eq!(*json, Json::Null);
        return;
    }
    let text = json.number(!value.is_finite());
    if value.is_nan() {
        assert_eq!(text, "NaN");
    } else if value.is_infinite() {
        assert_eq!(text, if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else if *array.data_type() == DataType::Float64 {
        assert_eq!(text.parse().map(f64::to_bits), Ok(value.to_bits()));
    } else {
        let read: f32 = text.parse().expect("a number reads as a float");
        assert_eq!(f64::from(read).to_bits(), value.to_bits());
    }
}

fn assert_decimal(array: &dyn Array, row: usize, options: JsonOptions, json: &Json) {
    let text = json.number(options.decimals == Decimals::String);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    let (same, scale) = match array.data_type() {
        DataType::Decimal128(_, scale) => {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            (digits.parse() == Ok(value), scale)
        }
        DataType::Decimal256(_, scale) => {
            let value = array.as_primitive::<Decimal256Type>().value(row);
            (digits.parse().ok() == Some(value), scale)
        }
        other => panic!("{other} is no decimal"),
    };
    assert!(same, "{text}");
    assert_eq!(fraction.len(), usize::from(scale.unsigned_abs()), "{text}");
}

fn bytes(text: &str, options: JsonOptions) -> Vec<u8> {
    let (bits_per_letter, group) = match options.binary {
        Binary::Hex => (4, 2),
        Binary::Base64 => (6, 4),
    };
    assert_eq!(text.len() % group, 0, "{text}");
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let digit = match (options.binary, letter) {
            (Binary::Base64, b'A'..=b'Z') => letter - b'A',
            (Binary::Base64, b'a'..=b'z') => letter - b'a' + 26,
            (Binary::Base64, b'0'..=b'9') => letter - b'0' + 52,
            (Binary::Base64, b'+') => 62,
            (Binary::Base64, b'/') => 63,
            (Binary::Hex, b'0'..=b'9') => letter - b'0',
            (Binary::Hex, b'a'..=b'f') => letter - b'a' + 10,
            _ => panic!("{text}"),
        };
        bits = bits << bits_per_letter | u32::from(digit);
        count += bits_per_letter;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    assert_eq!(bits, 0, "{text}");
    out
}

fn assert_moment(array: &dyn Array, row: usize, options: JsonOptions, json: &Json) {
    use DataType as T;
    let (nanos, nanos_per_unit, is_utc) = match array.data_type() {
        T::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            assert_eq!(days_from_1970(json.number(true)), i128::from(days));
            return;
        }
        T::Time32(_) => {
            let millis = array.as_primitive::<Time32MillisecondType>().value(row);
            assert_eq!(
                nanos_of_day(json.number(true)),
                i128::from(millis) * 1_000_000
            );
            return;
        }
        T::Time64(TimeUnit::Microsecond) => {
            let micros = array.as_primitive::<Time64MicrosecondType>().value(row);
            assert_eq!(nanos_of_day(json.number(true)), i128::from(micros) * 1000);
            return;
        }
        T::Time64(_) => {
            let nanos = array.as_primitive::<Time64NanosecondType>().value(row);
            assert_eq!(nanos_of_day(json.number(true)), i128::from(nanos));
            return;
        }
        T::Timestamp(TimeUnit::Millisecond, zone) => {
            let value = array.as_primitive::<TimestampMillisecondType>().value(row);
            (value, 1_000_000, zone.is_some())
        }
        T::Timestamp(TimeUnit::Microsecond, zone) => {
            let value = array.as_primitive::<TimestampMicrosecondType>().value(row);
            (value, 1000, zone.is_some())
        }
        T::Timestamp(_, zone) => {
            let value = array.as_primitive::<TimestampNanosecondType>().value(row);
            (value, 1, zone.is_some())
        }
        other => panic!("{other} is no moment"),
    };
    let nanos = i128::from(nanos) * nanos_per_unit;
    if options.timestamps == Timestamps::EpochMillis {
        let millis: i128 = json.number(false).parse().expect("millis are a number");
        assert_eq!(millis, nanos.div_euclid(1_000_000));
        return;
    }
    let text = json.number(true);
    let has_zone = is_utc || options.local_timestamps == LocalTimestamps::Utc;
    assert_eq!(text.ends_with('Z'), has_zone, "{text}");
    let (date, time) = text
        .trim_end_matches('Z')
        .split_once('T')
        .expect("a timestamp has a date and a time");
    let read = days_from_1970(date) * 86_400_000_000_000 + nanos_of_day(time);
    assert_eq!(read, nanos, "{text}");
}

fn days_from_1970(text: &str) -> i128 {
    let (sign, text) = text.split_at(text.find(|c: char| c.is_ascii_digit()).unwrap_or(0));
    let parts: Vec<i128> = text
        .split('-')
        .map(|part| part.parse().expect("a date is made of numbers"))
        .collect();
    let &[year, month, day] = parts.as_slice() else {
        panic!("{text} is no date")
    };
    let year = match (sign, year) {
        ("", 0..=9999) | ("+", 10_000..) => year,
        ("-", 1..) => -year,
        _ => panic!("{sign}{text} has the wrong sign"),
    };
    // Days before a year, and before a month of a year that begins in March.
    let before =
        |year: i128| 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    before(year) - before(1969) + (153 * month + 2) / 5 + day - 1 - 306
}

fn nanos_of_day(text: &str) -> i128 {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!([0, 3, 6, 9].contains(&fraction.len()), "{text}");
    let seconds = clock.split(':').fold(0, |sum, part| {
        assert_eq!(part.len(), 2, "{text}");
        sum * 60 + part.parse::<i128>().expect("a time is made of numbers")
    });
    let nanos: i128 = format!("{fraction:0<9}").parse().expect("digits");
    seconds * 1_000_000_000 + nanos
}
