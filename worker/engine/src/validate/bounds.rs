//! Bounds of a column's values, from the text that a schema gives them in.

use jiff::Timestamp;
use jiff::civil::{Date, date};

use super::kind::ColumnType;
use super::number::Number;

const NANOS: u32 = 9;

/// Between which values those of a column must lie, both included.
///
/// ```
/// use etl_engine::{Bounds, ColumnType};
///
/// assert!(Bounds::parse(ColumnType::Number, Some("0"), Some("99.5")).is_ok());
/// let error = Bounds::parse(ColumnType::Integer, Some("1.5"), None).unwrap_err();
/// assert_eq!(error.to_string(), "\"1.5\" is no bound of an Integer: write a whole number such as 0");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    pub(super) min: Option<Bound>,
    pub(super) max: Option<Bound>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    /// As the schema has it.
    pub(super) text: String,
    /// The number, the characters of a string, the days or seconds since
    /// 1970-01-01.
    pub(super) number: Number,
}

/// Text that does not bound a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// The text cannot be read as a value of the type.
    #[error("{text:?} is no bound of {}: write {form}", article(*.column_type))]
    Unreadable {
        /// The text.
        text: String,
        /// The type of the column.
        column_type: ColumnType,
        /// What would be read.
        form: &'static str,
    },
    /// Values of the type have no order.
    #[error("{} has no bounds: leave min and max out", article(*.0))]
    Unbounded(ColumnType),
    /// No value lies between the two.
    #[error("the minimum {min:?} is above the maximum {max:?}: exchange them")]
    Empty {
        /// The lower bound.
        min: String,
        /// The upper bound.
        max: String,
    },
}

fn article(column_type: ColumnType) -> String {
    match column_type {
        ColumnType::Integer => "an Integer".to_owned(),
        other => format!("a {other}"),
    }
}

impl Bounds {
    /// Reads bounds of a column of type `column_type`.
    ///
    /// Numbers are written plainly (`-1.5`, up to 38 digits), dates as
    /// `2021-01-01`, timestamps as `2021-01-01T00:00:00Z` or with an offset.
    /// Bounds of strings are lengths in characters, whole and not negative.
    /// Timestamps without a time zone are held against them as if they were
    /// UTC.
    ///
    /// # Errors
    /// A bound that cannot be read, is given for a type without an order, or
    /// leaves no value between the two.
    pub fn parse(
        column_type: ColumnType,
        min: Option<&str>,
        max: Option<&str>,
    ) -> Result<Self, BoundsError> {
        let read =
            |text: Option<&str>| text.map(|text| Bound::parse(column_type, text)).transpose();
        let bounds = Self {
            min: read(min)?,
            max: read(max)?,
        };
        if let (Some(min), Some(max)) = (&bounds.min, &bounds.max)
            && min.number > max.number
        {
            let (min, max) = (min.text.clone(), max.text.clone());
            return Err(BoundsError::Empty { min, max });
        }
        Ok(bounds)
    }
}

impl Bound {
    fn parse(column_type: ColumnType, text: &str) -> Result<Self, BoundsError> {
        let (number, form) = match column_type {
            ColumnType::Integer => (whole(text), "a whole number such as 0"),
            ColumnType::Number => (Number::parse(text), "a plain number such as 1.5"),
            ColumnType::String => (length(text), "a length in characters such as 10"),
            ColumnType::Date => (days(text), "a date such as 2021-01-01"),
            ColumnType::Timestamp => (seconds(text), "a time such as 2021-01-01T00:00:00Z"),
            ColumnType::Boolean
            | ColumnType::Binary
            | ColumnType::Time
            | ColumnType::List
            | ColumnType::Map
            | ColumnType::Struct => return Err(BoundsError::Unbounded(column_type)),
        };
        let text = text.to_owned();
        match number {
            Some(number) => Ok(Self { text, number }),
            None => Err(BoundsError::Unreadable {
                text,
                column_type,
                form,
            }),
        }
    }
}

fn whole(text: &str) -> Option<Number> {
    Number::parse(text).filter(Number::is_whole)
}

fn length(text: &str) -> Option<Number> {
    whole(text).filter(|length| *length >= Number::new(0, 0))
}

fn days(text: &str) -> Option<Number> {
    // Only the plain form: no time of day that would be dropped unseen.
    if text.contains(['T', 't', ' ', '[']) {
        return None;
    }
    let day: Date = text.parse().ok()?;
    let since = day.duration_since(date(1970, 1, 1));
    Some(Number::new(i128::from(since.as_hours() / 24), 0))
}

fn seconds(text: &str) -> Option<Number> {
    let instant: Timestamp = text.parse().ok()?;
    Some(Number::new(instant.as_nanosecond(), NANOS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn min(column_type: ColumnType, text: &str) -> Result<Number, String> {
        let bounds = Bounds::parse(column_type, Some(text), None);
        bounds
            .map(|bounds| bounds.min.expect("a minimum was given").number)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_type_reads_its_own_form() {
        assert_eq!(min(ColumnType::Integer, "-3"), Ok(Number::new(-3, 0)));
        assert_eq!(min(ColumnType::Number, "1.5"), Ok(Number::new(15, 1)));
        assert_eq!(min(ColumnType::String, "10"), Ok(Number::new(10, 0)));
        assert_eq!(min(ColumnType::Date, "1969-12-31"), Ok(Number::new(-1, 0)));
        assert_eq!(
            min(ColumnType::Date, "2021-01-01"),
            Ok(Number::new(18_628, 0))
        );
        let second = Number::new(1_609_459_200_000_000_000, NANOS);
        assert_eq!(
            min(ColumnType::Timestamp, "2021-01-01T00:00:00Z"),
            Ok(second)
        );
        assert_eq!(
            min(ColumnType::Timestamp, "2021-01-01T01:00:00+01:00"),
            Ok(second)
        );
    }

    #[test]
    fn what_cannot_be_read_says_what_can() {
        for (column_type, text, message) in [
            (
                ColumnType::Integer,
                "1.5",
                "\"1.5\" is no bound of an Integer: write a whole number such as 0",
            ),
            (
                ColumnType::Number,
                "1e3",
                "\"1e3\" is no bound of a Number: write a plain number such as 1.5",
            ),
            (
                ColumnType::String,
                "-1",
                "\"-1\" is no bound of a String: write a length in characters such as 10",
            ),
            (
                ColumnType::Date,
                "2021-02-30",
                "\"2021-02-30\" is no bound of a Date: write a date such as 2021-01-01",
            ),
            (
                ColumnType::Date,
                "2021-01-01T10:00:00",
                "\"2021-01-01T10:00:00\" is no bound of a Date: write a date such as 2021-01-01",
            ),
            (
                ColumnType::Timestamp,
                "2021-01-01",
                "\"2021-01-01\" is no bound of a Timestamp: write a time such as 2021-01-01T00:00:00Z",
            ),
            (
                ColumnType::Boolean,
                "true",
                "a Boolean has no bounds: leave min and max out",
            ),
        ] {
            assert_eq!(min(column_type, text), Err(message.to_owned()));
        }
    }

    #[test]
    fn bounds_that_exclude_everything_are_refused() {
        let parse = |min, max| Bounds::parse(ColumnType::Number, Some(min), Some(max));
        assert!(parse("1.50", "1.5").is_ok());
        assert_eq!(
            parse("1.51", "1.5").unwrap_err().to_string(),
            "the minimum \"1.51\" is above the maximum \"1.5\": exchange them"
        );
    }
}
