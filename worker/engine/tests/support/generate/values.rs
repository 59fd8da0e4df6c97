//! Values of every leaf type, with those at the edges more often than by chance.

use std::sync::Arc;

use arrow_array::builder::{BinaryViewBuilder, FixedSizeBinaryBuilder, StringViewBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray};
use arrow_buffer::i256;
use arrow_schema::{DataType, TimeUnit};

use super::super::draw::Draw;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

const MILLIS_PER_DAY: i64 = 86_400_000;

fn primitive<T: ArrowPrimitiveType>(
    length: usize,
    data_type: &DataType,
    mut value: impl FnMut() -> T::Native,
) -> ArrayRef {
    let values: Vec<T::Native> = (0..length).map(|_| value()).collect();
    let array = PrimitiveArray::<T>::new(values.into(), None);
    Arc::new(array.with_data_type(data_type.clone()))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "any bits make a number of the smaller type"
)]
pub(super) fn values(draw: &mut Draw<'_>, data_type: &DataType, n: usize) -> ArrayRef {
    use DataType as T;
    match data_type {
        T::Boolean => Arc::new((0..n).map(|_| Some(draw.bool())).collect::<BooleanArray>()),
        T::Int8 => primitive::<Int8Type>(n, data_type, || draw.long() as i8),
        T::Int16 => primitive::<Int16Type>(n, data_type, || draw.long() as i16),
        T::Int32 => primitive::<Int32Type>(n, data_type, || (draw.i64() >> 32) as i32),
        T::Int64 => primitive::<Int64Type>(n, data_type, || draw.long()),
        T::UInt8 => primitive::<UInt8Type>(n, data_type, || draw.long() as u8),
        T::UInt16 => primitive::<UInt16Type>(n, data_type, || draw.long() as u16),
        T::UInt32 => primitive::<UInt32Type>(n, data_type, || draw.long() as u32),
        T::UInt64 => primitive::<UInt64Type>(n, data_type, || draw.long() as u64),
        T::Float16 => primitive::<Float16Type>(n, data_type, || half(draw)),
        T::Float32 => primitive::<Float32Type>(n, data_type, || float(draw)),
        T::Float64 => primitive::<Float64Type>(n, data_type, || double(draw)),
        T::Decimal128(precision, _) => {
            primitive::<Decimal128Type>(n, data_type, || decimal(draw, *precision))
        }
        T::Decimal256(precision, _) => primitive::<Decimal256Type>(n, data_type, || {
            let factor = 10_i128.pow((*precision - 38).into());
            i256::from_i128(decimal(draw, 38)) * i256::from_i128(factor)
        }),
        T::Utf8View => {
            let mut builder = StringViewBuilder::new();
            (0..n).for_each(|_| builder.append_value(text(draw)));
            Arc::new(builder.finish())
        }
        T::BinaryView => {
            let mut builder = BinaryViewBuilder::new();
            (0..n).for_each(|_| builder.append_value(bytes(draw)));
            Arc::new(builder.finish())
        }
        T::FixedSizeBinary(width) => {
            let mut builder = FixedSizeBinaryBuilder::new(*width);
            for _ in 0..n {
                let value: Vec<u8> = (0..*width).map(|_| draw.byte()).collect();
                builder.append_value(&value).expect("it has that width");
            }
            Arc::new(builder.finish())
        }
        moment => moments(draw, moment, n),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the values have been brought into range"
)]
fn moments(draw: &mut Draw<'_>, data_type: &DataType, n: usize) -> ArrayRef {
    use DataType as T;
    let mut of_day = |units: i64| draw.long().rem_euclid(units * MILLIS_PER_DAY);
    match data_type {
        T::Time32(_) => primitive::<Time32MillisecondType>(n, data_type, || of_day(1) as i32),
        T::Time64(TimeUnit::Microsecond) => {
            primitive::<Time64MicrosecondType>(n, data_type, || of_day(1_000))
        }
        T::Time64(_) => primitive::<Time64NanosecondType>(n, data_type, || of_day(1_000_000)),
        T::Date32 => primitive::<Date32Type>(n, data_type, || (draw.long() >> 8) as i32),
        T::Timestamp(TimeUnit::Millisecond, _) => {
            primitive::<TimestampMillisecondType>(n, data_type, || draw.long())
        }
        T::Timestamp(TimeUnit::Microsecond, _) => {
            primitive::<TimestampMicrosecondType>(n, data_type, || draw.long())
        }
        T::Timestamp(TimeUnit::Nanosecond, _) => {
            primitive::<TimestampNanosecondType>(n, data_type, || draw.long())
        }
        other => unreachable!("no values for {other}"),
    }
}

fn double(draw: &mut Draw<'_>) -> f64 {
    let value = any_double(draw);
    let texts = [format!("{value:e}"), format!("{value:.40e}")];
    if has_two_texts(value, value.next_up(), texts) {
        return 0.5;
    }
    value
}

/// Whether there is no saying which decimal is the shortest that reads back: the
/// value lies exactly between two of them, or one lies exactly between the value
/// and the next float and reads back only because ties go to the even one.
///
/// `texts` are Rust's shortest digits and the exact ones.
fn has_two_texts(value: f64, next: f64, texts: [String; 2]) -> bool {
    let [shortest, exact] = texts.map(|text| {
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        (digits.replace(['.', '-'], ""), exponent.parse::<i32>())
    });
    let tail = &exact.0[shortest.0.len().min(exact.0.len())..];
    let is_halfway = tail.starts_with('5') && tail[1..].bytes().all(|digit| digit == b'0');
    // Between two floats that are no integers there are only longer decimals.
    let zeros = shortest.1.unwrap_or(0) + 1 - shortest.0.len().cast_signed() as i32;
    let integer = (1..38)
        .contains(&zeros)
        .then(|| shortest.0.parse().ok())
        .flatten()
        .and_then(|digits: i128| digits.checked_mul(10_i128.checked_pow(zeros.unsigned_abs())?));
    let is_edge = integer.is_some_and(|integer| {
        let value = value.abs() as i128;
        let gap = (next.abs() as i128).abs_diff(value);
        // The gap to the float on the other side may be half as large.
        [gap, gap / 2].contains(&(2 * integer.abs_diff(value)))
    });
    is_halfway || (is_edge && value != 0.0)
}

fn any_double(draw: &mut Draw<'_>) -> f64 {
    const ODD: [f64; 8] = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e10,
        1e-5,
        5e-324,
    ];
    match draw.below(6) {
        0 => f64::from_bits(draw.u64()),
        1 => draw.choose(&ODD),
        2 => f64::from(draw.byte().cast_signed()),
        // Both are exact: 2^53 is larger than any of them.
        3 => (draw.i64() >> 32) as f64 / 100.0,
        4 => (draw.i64() >> 32) as f64 * 1e-8,
        _ => (draw.i64() >> 11) as f64 / 2_f64.powi(i32::from(draw.byte() % 64)),
    }
}

fn half(draw: &mut Draw<'_>) -> Half {
    let half = Half::from_bits(u16::from_le_bytes(draw.array()));
    let value = half.to_f32();
    let texts = [format!("{value:e}"), format!("{value:.40e}")];
    if has_two_texts(value.into(), value.next_up().into(), texts) {
        return Half::ONE;
    }
    half
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the nearest smaller float is as good as any"
)]
fn float(draw: &mut Draw<'_>) -> f32 {
    let value = if draw.bool() {
        f32::from_bits(u32::from_le_bytes(draw.array()))
    } else {
        any_double(draw) as f32
    };
    let texts = [format!("{value:e}"), format!("{value:.40e}")];
    if has_two_texts(value.into(), value.next_up().into(), texts) {
        return 0.5;
    }
    value
}

/// A number with at most `precision` (up to 38) digits.
fn decimal(draw: &mut Draw<'_>, precision: u8) -> i128 {
    let limit = 10_i128.pow(precision.into());
    (draw.i128() >> (draw.byte() % 128)) % limit
}

fn text(draw: &mut Draw<'_>) -> String {
    const PIECES: [&str; 12] = [
        "a",
        "plain text ",
        "\"",
        "\\",
        "/",
        "\n",
        "\u{1}",
        "\u{7f}",
        "\u{2028}",
        "é",
        "\u{1f600}",
        "a piece that is longer than a register of any machine: 0123456789 0123456789 \
         0123456789 0123456789",
    ];
    let common = if draw.bool() { 2 } else { PIECES.len() };
    let pieces = draw.below(14);
    (0..pieces)
        .map(|_| draw.choose(&PIECES[..common]))
        .collect()
}

fn bytes(draw: &mut Draw<'_>) -> Vec<u8> {
    let length = draw.below(24);
    (0..length).map(|_| draw.byte()).collect()
}
