//! Floats in the shortest form that reads back as the same value, written like
//! the reference: `1.0`, `0.00001`, `9999999999.0`, `1.0e10`, `9.0e-6`.

use super::buffer::{part, put, window};
use super::digits::{ASCII_ZEROS, eight_digits, unsigned};
use crate::options::NonFinite;

/// Digits behind the point that a short decimal may have, as a power of ten.
const ONE: u64 = 10_000;
/// Values of a column that are looked at to tell what it holds.
const SAMPLES: usize = 64;

pub(super) trait Float: zmij::Float + lexical_core::ToLexical + Copy {
    fn is_finite(self) -> bool;
    fn is_negative(self) -> bool;
    fn is_nan(self) -> bool;
    /// Whether the value is written without an exponent, and surely not half
    /// way between two shortest decimals.
    ///
    /// There the reference rounds up and the faster crate to even. A half has
    /// one digit more than they have, and no more bits behind the point than
    /// digits. The last bit of a float that has `n` bits behind the point is
    /// worth 10^-0.3n, so shortest decimals have about 0.3 n digits there, and
    /// only a value whose other 0.7 n bits are zero can be such a half. The
    /// bound is taken a little lower, to be on the safe side.
    fn is_plain(self) -> bool;
    /// The magnitude in units of 1 / [`ONE`], if that is the shortest decimal
    /// that reads back as this value.
    fn short_decimal(self) -> Option<u64>;
}

impl Float for f64 {
    #[inline(always)]
    fn is_finite(self) -> bool {
        self.is_finite()
    }

    #[inline(always)]
    fn is_negative(self) -> bool {
        self.is_sign_negative()
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn is_plain(self) -> bool {
        let bits = self.to_bits();
        let behind_point = 1023 + 52 - (bits >> 52 & 0x7ff).cast_signed();
        let zeros = i64::from((bits | 1 << 52).trailing_zeros());
        (1e-5..1e10).contains(&self.abs()) && 10 * zeros + 40 < 6 * behind_point
    }

    /// Two decimals of at most 15 digits never read as the same f64, and below
    /// 10^10 there are at most 14: one that does is the shortest there is.
    #[inline(always)]
    fn short_decimal(self) -> Option<u64> {
        let magnitude = self.abs();
        // NaN is not below either.
        let is_small = magnitude < 1e10;
        if !is_small {
            return None;
        }
        let (scaled, quotient) = round_scaled(magnitude);
        (quotient == magnitude).then_some(scaled)
    }
}

impl Float for f32 {
    #[inline(always)]
    fn is_finite(self) -> bool {
        self.is_finite()
    }

    #[inline(always)]
    fn is_negative(self) -> bool {
        self.is_sign_negative()
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn is_plain(self) -> bool {
        let bits = self.to_bits();
        let behind_point = 127 + 23 - (bits >> 23 & 0xff).cast_signed();
        let zeros = (bits | 1 << 23).trailing_zeros().cast_signed();
        (1e-5..1e10).contains(&self.abs()) && 10 * zeros + 40 < 6 * behind_point
    }

    /// As for f64, with 6 digits: the quotient is below 100 then. It cannot be
    /// rounded onto the middle between two f32, from which it is either too far
    /// away for that, or exactly on it.
    #[inline(always)]
    fn short_decimal(self) -> Option<u64> {
        let magnitude = self.abs();
        // NaN is not below either.
        let is_small = magnitude < 99.0;
        if !is_small {
            return None;
        }
        let (scaled, quotient) = round_scaled(magnitude.into());
        (quotient as f32 == magnitude).then_some(scaled)
    }
}

/// `magnitude`, below 10^10, in units of 1 / [`ONE`], rounded, and the float
/// next to that many units.
#[inline(always)]
fn round_scaled(magnitude: f64) -> (u64, f64) {
    /// Floats from here to twice as much are the integers, so that adding this
    /// rounds to one and leaves it in the low bits.
    const INTEGERS: f64 = (1_u64 << 52) as f64;

    let shifted = magnitude * ONE as f64 + INTEGERS;
    let quotient = (shifted - INTEGERS) / ONE as f64;
    (shifted.to_bits() & ((1 << 52) - 1), quotient)
}

/// Whether most of `values` are short decimals, such as prices and counts, for
/// which there is a shorter way than the general one.
pub(super) fn mostly_short<F: Float>(values: impl ExactSizeIterator<Item = F>) -> bool {
    let step = (values.len() / SAMPLES).max(1);
    let (mut seen, mut short) = (0, 0);
    for value in values.step_by(step) {
        seen += 1;
        short += usize::from(value.short_decimal().is_some());
    }
    4 * short >= 3 * seen
}

/// Writes `value`; `try_short` is the answer of [`mostly_short`] and changes
/// nothing but the speed.
#[inline(always)]
pub(super) fn write<F: Float>(
    value: F,
    try_short: bool,
    non_finite: NonFinite,
    out: &mut Vec<u8>,
    at: usize,
) -> usize {
    if try_short && let Some(scaled) = value.short_decimal() {
        return at + write_short(value.is_negative(), scaled, window(out, at));
    }
    if !value.is_finite() {
        return write_non_finite(value, non_finite, out, at);
    }
    if !value.is_plain() {
        return at + lexical_core::write(value, window::<64>(out, at)).len();
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    at + copy_short(text, window(out, at))
}

#[inline(always)]
fn write_short(negative: bool, scaled: u64, out: &mut [u8; 32]) -> usize {
    let sign = usize::from(negative);
    out[0] = b'-';
    let point = sign + unsigned(scaled / ONE, part(out, sign));
    let fraction = u32::try_from(scaled % ONE).expect("below 10^4");
    // The four digits behind the point; the last one is in the highest byte.
    let digits = (eight_digits(fraction) >> 32) as u32;
    let trailing_zeros = digits.leading_zeros() / 8;
    out[point] = b'.';
    *part(out, point + 1) = (digits + ASCII_ZEROS as u32).to_le_bytes();
    point + 1 + 4_usize.saturating_sub(trailing_zeros as usize).max(1)
}

#[cold]
#[inline(never)]
fn write_non_finite<F: Float>(
    value: F,
    non_finite: NonFinite,
    out: &mut Vec<u8>,
    at: usize,
) -> usize {
    let text: &[u8] = match non_finite {
        NonFinite::Null | NonFinite::Fail => b"null",
        NonFinite::String if value.is_nan() => b"\"NaN\"",
        NonFinite::String if value.is_negative() => b"\"-Infinity\"",
        NonFinite::String => b"\"Infinity\"",
    };
    put(out, at, text)
}

/// Copies at most 32 bytes, in two pieces that overlap where the text is not
/// exactly twice a piece.
#[inline(always)]
fn copy_short(text: &[u8], out: &mut [u8; 32]) -> usize {
    fn twice<const N: usize>(text: &[u8], out: &mut [u8; 32]) {
        let last = text.len() - N;
        out[..N].copy_from_slice(&text[..N]);
        out[last..last + N].copy_from_slice(&text[last..]);
    }
    match text.len() {
        16.. => twice::<16>(text, out),
        8.. => twice::<8>(text, out),
        4.. => twice::<4>(text, out),
        length => out[..length].copy_from_slice(text),
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float32Array, Float64Array};
    use arrow_json::EncoderOptions;
    use arrow_json::writer::make_encoder;
    use arrow_schema::{Field, FieldRef};

    use super::*;

    /// Every value as arrow-json writes it, and as we do, both ways.
    fn compare<F: Float>(array: ArrayRef, values: &[F]) {
        let field: FieldRef = Arc::new(Field::new("", array.data_type().clone(), false));
        let options = EncoderOptions::default();
        let mut reference = make_encoder(&field, &array, &options).unwrap();
        for (index, &value) in values.iter().enumerate() {
            let mut expected = Vec::new();
            reference.encode(index, &mut expected);
            for try_short in [false, true] {
                let mut out = Vec::new();
                let end = write(value, try_short, NonFinite::Null, &mut out, 0);
                let (ours, theirs) = (&out[..end], &expected[..]);
                assert!(
                    ours == theirs,
                    "{:?} {:?}",
                    String::from_utf8_lossy(ours),
                    String::from_utf8_lossy(theirs)
                );
            }
        }
    }

    fn doubles() -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut values = vec![
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            5e-324,
            f64::MAX,
            1e-5,
            9.999999e-6,
        ];
        for power in -330..310 {
            let ten: f64 = format!("1e{power}").parse().unwrap();
            values.extend([ten, ten.next_down(), ten.next_up(), 3.0 * ten, -ten]);
        }
        for exponent in 0..2047_u64 {
            let two = f64::from_bits(exponent << 52);
            values.extend([two, two.next_down(), two.next_up()]);
        }
        for _ in 0..200_000 {
            values.push(f64::from_bits(random.u64(..)));
            values.push(random.f64());
            values.push(f64::from(random.i32(..)) / 100.0);
            values.push(f64::from(random.i32(..)) / 10_000.0);
            values.push((random.f64() * 1e12).round() / 1000.0);
            values.push(random.i64(..) as f64);
            values.push(
                (random.i64(..) >> random.u32(..64)) as f64 / (1_u64 << random.u32(..40)) as f64,
            );
        }
        values
    }

    #[test]
    fn doubles_are_written_as_the_reference_writes_them() {
        let values = doubles();
        compare(Arc::new(Float64Array::from(values.clone())), &values);
    }

    #[test]
    fn singles_are_written_as_the_reference_writes_them() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut values: Vec<f32> = doubles().into_iter().map(|value| value as f32).collect();
        values.extend((0..1_000_000).map(|n| n as f32 / 10_000.0));
        values.extend((0..500_000).map(|_| f32::from_bits(random.u32(..))));
        compare(Arc::new(Float32Array::from(values.clone())), &values);
    }
}
