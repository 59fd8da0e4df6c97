//! Floats in the shortest form that reads back as the same value, written like
//! the reference: `1.0`, `0.00001`, `9999999999.0`, `1.0e10`, `9.0e-6`.

use std::ops::Range;

use arrow_array::Float16Array;

use super::column::Kernel;
use super::digits::{ASCII_ZEROS, four_digits, length_of_many, part, text_of_many, unsigned};
use super::raw::{BLOCK, Cells, Slot, Work, vectorised};
use crate::options::NonFinite;

/// Digits behind the point that a short decimal may have, as a power of ten.
const ONE: u64 = 10_000;
/// Values of a column that are looked at to tell what it holds.
const SAMPLES: usize = 64;

/// What there is to know about a float beside its digits.
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

/// Columns of 32-bit and 64-bit floats.
pub(super) struct Floats<'a, F> {
    values: &'a [F],
    /// Whether most of them are short decimals, such as prices and counts, for
    /// which there is a shorter way than the general one.
    try_short: bool,
    non_finite: NonFinite,
}

impl<'a, F: Float> Floats<'a, F> {
    pub(super) fn new(values: &'a [F], non_finite: NonFinite) -> Self {
        let samples = values.iter().step_by((values.len() / SAMPLES).max(1));
        let (mut seen, mut short) = (0, 0);
        for value in samples {
            seen += 1;
            short += usize::from(value.short_decimal().is_some());
        }
        Self {
            values,
            try_short: 4 * short >= 3 * seen,
            non_finite,
        }
    }
}

impl<F: Float> Kernel for Floats<'_, F> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        write(self.values[row], self.try_short, self.non_finite, slot)
    }

    /// The general way goes through buffers, which are read only once all are
    /// written: reading back at once what was written in pieces would stall.
    fn fill(&self, rows: Range<usize>, cells: &mut Cells) {
        if self.try_short {
            return self.fill_short(rows, cells);
        }
        let mut buffers: [zmij::Buffer; BLOCK] = std::array::from_fn(|_| zmij::Buffer::new());
        let mut texts = [""; BLOCK];
        let values = &self.values[rows];
        for ((&value, buffer), text) in values.iter().zip(&mut buffers).zip(&mut texts) {
            if value.is_finite() && value.is_plain() {
                *text = buffer.format_finite(value);
            }
        }
        for (index, (&value, text)) in values.iter().zip(texts).enumerate() {
            let slot = cells.slot(index);
            let length = match text.as_bytes() {
                [] => write(value, false, self.non_finite, slot),
                text => copy_short(text, slot),
            };
            cells.set(index, length);
        }
    }
}

impl<F: Float> Floats<'_, F> {
    /// For values that are mostly short decimals: first all of their digits at
    /// once, in vectors, then the texts.
    fn fill_short(&self, rows: Range<usize>, cells: &mut Cells) {
        let values = &self.values[rows];
        let mut texts = ShortTexts::default();
        vectorised(Shorten(values, &mut texts));
        for (index, value) in values.iter().enumerate() {
            let slot = cells.slot(index);
            let length = if texts.is_short[index] {
                let sign = usize::from(value.is_negative());
                slot[0] = b'-';
                *part(slot, sign) = texts.wholes[index].to_le_bytes();
                let point = sign + texts.digits[index] as usize;
                *part(slot, point) = texts.fractions[index].to_le_bytes();
                point + texts.digits_behind[index] as usize
            } else {
                write(*value, true, self.non_finite, slot)
            };
            cells.set(index, length);
        }
    }
}

/// What is before and behind the points of short decimals.
#[derive(Default)]
struct ShortTexts {
    is_short: [bool; BLOCK],
    wholes: [u64; BLOCK],
    digits: [u32; BLOCK],
    fractions: [u64; BLOCK],
    digits_behind: [u32; BLOCK],
}

struct Shorten<'a, F>(&'a [F], &'a mut ShortTexts);

impl<F: Float> Work for Shorten<'_, F> {
    #[inline(always)]
    fn run(self) {
        let Self(values, texts) = self;
        let mut scaled = [NOT_SHORT; BLOCK];
        for (value, scaled) in values.iter().zip(&mut scaled) {
            *scaled = value.short_decimal().unwrap_or(NOT_SHORT);
        }
        for index in 0..BLOCK {
            let scaled = scaled[index];
            texts.is_short[index] = scaled < ONE * (MOST_WHOLE + 1);
            let whole = (scaled / ONE).min(MOST_WHOLE);
            let digits = length_of_many(whole as u32);
            texts.wholes[index] = text_of_many(whole as u32, digits);
            texts.digits[index] = digits;
            let fraction = (scaled - whole * ONE) as u32 % ONE as u32;
            (texts.fractions[index], texts.digits_behind[index]) = fraction_text(fraction);
        }
    }
}

/// Stands for a value that is no short decimal.
const NOT_SHORT: u64 = u64::MAX;
/// Up to here the digits before the point fit in a word.
const MOST_WHOLE: u64 = 99_999_999;

/// The point and the digits of `fraction`, in units of 1 / [`ONE`], without
/// trailing zeros, as a little-endian word; and how many bytes that are.
#[inline(always)]
fn fraction_text(fraction: u32) -> (u64, u32) {
    let digits = four_digits(fraction);
    let behind =
        1 + u32::from(digits > 0xff) + u32::from(digits > 0xffff) + u32::from(digits > 0x00ff_ffff);
    let text = u64::from(digits + ASCII_ZEROS as u32) << 8 | u64::from(b'.');
    (text, 1 + behind)
}

/// Columns of 16-bit floats.
pub(super) struct Halves<'a>(pub(super) &'a Float16Array, pub(super) NonFinite);

impl Kernel for Halves<'_> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        write(self.0.value(row).to_f32(), false, self.1, slot)
    }
}

/// Writes `value`; `try_short` changes nothing but the speed.
#[inline(always)]
fn write<F: Float>(value: F, try_short: bool, non_finite: NonFinite, out: &mut Slot) -> usize {
    if try_short && let Some(scaled) = value.short_decimal() {
        return write_short(value.is_negative(), scaled, out);
    }
    if !value.is_finite() {
        return write_non_finite(value, non_finite, out);
    }
    if !value.is_plain() {
        let mut text = [0; 64];
        return copy_short(lexical_core::write(value, &mut text), out);
    }
    let mut buffer = zmij::Buffer::new();
    copy_short(buffer.format_finite(value).as_bytes(), out)
}

#[inline(always)]
fn write_short(negative: bool, scaled: u64, out: &mut Slot) -> usize {
    let sign = usize::from(negative);
    out[0] = b'-';
    let point = sign + unsigned(scaled / ONE, part(out, sign));
    let (fraction, length) = fraction_text((scaled % ONE) as u32);
    *part(out, point) = fraction.to_le_bytes();
    point + length as usize
}

#[cold]
#[inline(never)]
fn write_non_finite<F: Float>(value: F, non_finite: NonFinite, out: &mut Slot) -> usize {
    let text: &[u8] = match non_finite {
        NonFinite::Null | NonFinite::Fail => b"null",
        NonFinite::String if value.is_nan() => b"\"NaN\"",
        NonFinite::String if value.is_negative() => b"\"-Infinity\"",
        NonFinite::String => b"\"Infinity\"",
    };
    copy_short(text, out)
}

/// Copies at most 32 bytes, in two pieces that overlap where the text is not
/// exactly twice a piece.
#[inline(always)]
fn copy_short(text: &[u8], out: &mut Slot) -> usize {
    #[inline(always)]
    fn twice<const N: usize>(text: &[u8], out: &mut Slot) {
        let last = text.len() - N;
        *part(out, 0) = *text.first_chunk::<N>().expect("as long as a piece");
        *part(out, last) = *text.last_chunk::<N>().expect("as long as a piece");
    }
    match text.len() {
        16.. => twice::<16>(text, out),
        8.. => twice::<8>(text, out),
        4.. => twice::<4>(text, out),
        // The shortest float is `0.0`.
        length => {
            for (to, from) in out.iter_mut().zip(text) {
                *to = *from;
            }
            debug_assert!(length < 4, "the others are longer");
        }
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
                let mut out = [0; 32];
                let end = write(value, try_short, NonFinite::Null, &mut out);
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
