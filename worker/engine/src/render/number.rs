//! Floats, decimals, and 64-bit integers as strings.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::DecimalType;
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow_json::Encoder;
use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_schema::{ArrowError, FieldRef};

use super::PLAIN;
use crate::options::{Decimals, NonFinite};

/// Finite values in arrow-json's shortest form that reads back as the same
/// float (`1.0`, `0.1`, `1.0e300`), the others by name.
struct FloatEncoder<'a, T: ArrowPrimitiveType> {
    values: &'a PrimitiveArray<T>,
    finite: NullableEncoder<'a>,
    non_finite: NonFinite,
}

impl<T: ArrowPrimitiveType> Encoder for FloatEncoder<'_, T>
where
    T::Native: Into<f64>,
{
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let value: f64 = self.values.value(index).into();
        if value.is_finite() {
            return self.finite.encode(index, out);
        }
        let text: &[u8] = match self.non_finite {
            NonFinite::Null | NonFinite::Fail => b"null",
            NonFinite::String if value.is_nan() => b"\"NaN\"",
            NonFinite::String if value > 0.0 => b"\"Infinity\"",
            NonFinite::String => b"\"-Infinity\"",
        };
        out.extend_from_slice(text);
    }
}

pub(super) fn float<'a, T: ArrowPrimitiveType>(
    field: &'a FieldRef,
    array: &'a dyn Array,
    non_finite: NonFinite,
) -> Result<Box<dyn Encoder + 'a>, ArrowError>
where
    T::Native: Into<f64>,
{
    Ok(Box::new(FloatEncoder {
        values: array.as_primitive::<T>(),
        finite: make_encoder(field, array, &PLAIN)?,
        non_finite,
    }))
}

struct DecimalEncoder<'a, T: DecimalType> {
    values: &'a PrimitiveArray<T>,
    quote: bool,
}

impl<T: DecimalType> Encoder for DecimalEncoder<'_, T> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        if self.quote {
            out.push(b'"');
        }
        out.extend_from_slice(self.values.value_as_string(index).as_bytes());
        if self.quote {
            out.push(b'"');
        }
    }
}

pub(super) fn decimal<T: DecimalType>(
    array: &dyn Array,
    decimals: Decimals,
) -> Box<dyn Encoder + '_> {
    let quote = decimals == Decimals::String;
    Box::new(DecimalEncoder {
        values: array.as_primitive::<T>(),
        quote,
    })
}

struct QuotedEncoder<'a, T: ArrowPrimitiveType>(&'a PrimitiveArray<T>);

impl<T: ArrowPrimitiveType> Encoder for QuotedEncoder<'_, T>
where
    T::Native: std::fmt::Display,
{
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        write!(out, "\"{}\"", self.0.value(index)).expect("writing to memory cannot fail");
    }
}

/// Integers as JSON strings.
pub(super) fn quoted<T: ArrowPrimitiveType>(array: &dyn Array) -> Box<dyn Encoder + '_>
where
    T::Native: std::fmt::Display,
{
    Box::new(QuotedEncoder(array.as_primitive::<T>()))
}
