//! What transform and schema must satisfy.

use std::collections::HashSet;

use etl_api::{ColumnType, OnInvalidRecord, Schema, SchemaColumn, Transform};
use jiff::Timestamp;
use jiff::civil::Date;

use super::Problems;

pub(super) fn transform(problems: &mut Problems, transform: &Transform) {
    const PATH: &str = "spec.transform";
    let mut seen = HashSet::new();
    for name in &transform.columns {
        problems.check("spec.transform.columns", seen.insert(name.as_str()), || {
            format!("names {name:?} twice")
        });
    }
    for (field, name) in [
        ("ingestedAtColumn", &transform.ingested_at_column),
        ("sourceColumn", &transform.source_column),
    ] {
        let Some(name) = name else { continue };
        problems.check(
            &format!("{PATH}.{field}"),
            seen.insert(name.as_str()),
            || format!("names a new column, but {name:?} is already one"),
        );
    }
}

pub(super) fn schema(problems: &mut Problems, schema: &Schema) {
    const PATH: &str = "spec.schema.columns";
    problems.check(PATH, !schema.columns.is_empty(), || {
        "must name at least one column".to_owned()
    });
    let mut seen = HashSet::new();
    for (index, column) in schema.columns.iter().enumerate() {
        problems.check(PATH, seen.insert(column.name.as_str()), || {
            format!("names {:?} twice", column.name)
        });
        bounds(problems, &format!("{PATH}[{index}]"), column);
    }
    problems.check(
        "spec.schema.maxInvalidRecords",
        schema.on_invalid_record == OnInvalidRecord::Fail || schema.max_invalid_records >= 1,
        || {
            format!(
                "must be at least 1 with onInvalidRecord: {}",
                schema.on_invalid_record.as_str()
            )
        },
    );
}

/// Digits of the longest number that workers read.
const MAX_DIGITS: usize = 38;

/// A bound as it is compared.
#[derive(PartialEq, PartialOrd)]
enum Bound {
    Integer(i128),
    Number(f64),
    Length(u64),
    Date(Date),
    Timestamp(Timestamp),
}

fn bounds(problems: &mut Problems, path: &str, column: &SchemaColumn) {
    let mut parsed = Vec::new();
    for (field, text) in [("min", &column.min), ("max", &column.max)] {
        let Some(text) = text else { continue };
        match bound(column.kind, text) {
            Ok(bound) => parsed.push(bound),
            Err(expected) => problems.check(&format!("{path}.{field}"), false, || {
                format!("{text:?} of column {:?} {expected}", column.name)
            }),
        }
    }
    if let [min, max] = parsed.as_slice() {
        problems.check(path, min <= max, || {
            format!("min of column {:?} is greater than its max", column.name)
        });
    }
}

/// Whether `text` is a number as workers read it, exactly: a sign, digits, a point
/// with digits on both sides.
fn is_plain(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let digits = unsigned.len() - usize::from(unsigned.contains('.'));
    are_digits(whole) && are_digits(fraction) && digits <= MAX_DIGITS
}

/// `text` as a bound of columns of `kind`, or what it should be.
fn bound(kind: ColumnType, text: &str) -> Result<Bound, &'static str> {
    match kind {
        ColumnType::Integer => text
            .parse()
            .ok()
            .filter(|value| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(value))
            .map(Bound::Integer)
            .ok_or("is not a whole number of at most 64 bits, such as 0"),
        ColumnType::Number => text
            .parse()
            .ok()
            .filter(|_| is_plain(text))
            .map(Bound::Number)
            .ok_or("is not a plain number of at most 38 digits and no exponent, such as 1.5"),
        ColumnType::String => text
            .parse()
            .map(Bound::Length)
            .map_err(|_| "is not a length in characters, such as 10"),
        ColumnType::Date => text
            .parse()
            .ok()
            // Jiff also reads a date with a time.
            .filter(|date: &Date| date.to_string() == text)
            .map(Bound::Date)
            .ok_or("is not a date, such as 2021-01-01"),
        ColumnType::Timestamp => text
            .parse()
            .map(Bound::Timestamp)
            .map_err(|_| "is not a time with a zone, such as 2021-01-01T00:00:00Z"),
        ColumnType::Boolean
        | ColumnType::Binary
        | ColumnType::Time
        | ColumnType::List
        | ColumnType::Map
        | ColumnType::Struct => {
            Err("cannot be: min and max are for Integer, Number, String, Date and Timestamp")
        }
    }
}
