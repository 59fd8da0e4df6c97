//! Floats in the shortest form that reads back as the same value, written like
//! the reference: `1.0`, `0.00001`, `9999999999.0`, `1.0e10`, `9.0e-6`.

use std::ops::Range;

use arrow_array::Float16Array;

use super::column::Kernel;
use super::digits::part;
use super::raw::{Cells, Slot};
use super::short::{ONE, ShortTexts, short_decimal, write_short};
use super::shortest::{Format, Shortest};
use crate::options::NonFinite;

/// Values of a column that are looked at to tell what it holds.
const SAMPLES: usize = 64;

/// What there is to know about a float beside its digits.
pub(super) trait Float: Format + zmij::Float + lexical_core::ToLexical {
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
    fn widened(self) -> f64;
    /// Whether `units` of 1 / [`ONE`], an integer, is the shortest decimal that
    /// reads back as `magnitude`, which is a value of this type below 10^10.
    fn is_next_to(magnitude: f64, units: f64) -> bool;
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

    #[inline(always)]
    fn widened(self) -> f64 {
        self
    }

    /// Two decimals of at most 15 digits never read as the same f64, and below
    /// 10^10 there are at most 14: one that does is the shortest there is.
    #[inline(always)]
    fn is_next_to(magnitude: f64, units: f64) -> bool {
        units / ONE as f64 == magnitude
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

    #[inline(always)]
    fn widened(self) -> f64 {
        self.into()
    }

    /// As for f64, with 6 digits: the quotient is below 100 then. It cannot be
    /// rounded onto the middle between two f32, from which it is either too far
    /// away for that, or exactly on it.
    #[inline(always)]
    fn is_next_to(magnitude: f64, units: f64) -> bool {
        magnitude < 99.0 && f64::from((units / ONE as f64) as f32) == magnitude
    }
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
            short += usize::from(short_decimal(*value).is_some());
        }
        Self {
            values,
            try_short: 4 * short >= 3 * seen,
            non_finite,
        }
    }
}

impl<F: Float> Kernel for Floats<'_, F> {
    const ANY_VALUE: bool = true;

    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        self.text(self.values[row], slot)
    }

    fn fill(&self, rows: Range<usize>, cells: &mut Cells) {
        let values = &self.values[rows];
        if self.try_short {
            self.fill_short(values, cells);
            return;
        }
        let texts = Shortest::of(values);
        for (index, &value) in values.iter().enumerate() {
            let slot = cells.slot(index);
            let length = texts
                .put(index, value.is_negative(), slot)
                .unwrap_or_else(|| self.text(value, slot));
            cells.set(index, length);
        }
    }
}

impl<F: Float> Floats<'_, F> {
    /// For values that are mostly short decimals.
    fn fill_short(&self, values: &[F], cells: &mut Cells) {
        let texts = ShortTexts::of(values);
        cells.fill_words(&texts.words, &texts.lengths);
        for (index, &value) in values.iter().enumerate() {
            if !texts.is_short[index] {
                let length = self.text(value, cells.slot(index));
                cells.set(index, length);
            }
        }
    }

    #[inline(always)]
    fn text(&self, value: F, slot: &mut Slot) -> usize {
        write(value, self.try_short, self.non_finite, slot)
    }
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
    if try_short && let Some(scaled) = short_decimal(value) {
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

    use super::super::column::block;
    use super::super::raw::BLOCK;
    use super::*;

    /// Every value as arrow-json writes it, and as we do, each alone and many at
    /// once, and both with and without the way for short decimals.
    fn compare<F: Float>(array: ArrayRef, values: &[F]) {
        let field: FieldRef = Arc::new(Field::new("", array.data_type().clone(), false));
        let options = EncoderOptions::default();
        let mut reference = make_encoder(&field, &array, &options).unwrap();
        let expected: Vec<Vec<u8>> = (0..values.len())
            .map(|index| {
                let mut text = Vec::new();
                reference.encode(index, &mut text);
                text
            })
            .collect();
        let same = |ours: &[u8], expected: &[u8]| {
            let [ours, theirs] = [ours, expected].map(String::from_utf8_lossy);
            assert!(ours == theirs, "{ours} is {theirs}");
        };
        for try_short in [false, true] {
            let floats = Floats {
                values,
                try_short,
                non_finite: NonFinite::Null,
            };
            let mut cells = Cells::new(b"");
            for start in (0..values.len()).step_by(BLOCK) {
                let rows = block(start, values.len());
                floats.fill(rows.clone(), &mut cells);
                for (index, row) in rows.enumerate() {
                    same(cells.get(index), &expected[row]);
                    let mut out = [0; 32];
                    let end = floats.write(row, &mut out);
                    same(&out[..end], &expected[row]);
                }
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
            values.push((random.f64() - 0.5) * 10_f64.powi(random.i32(-5..11)));
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
