//! Floats that are short decimals, such as prices and counts: they have a way
//! that is much shorter than the general one.

use std::marker::PhantomData;

use super::digits::{
    ASCII_ZEROS, FLOATS_ARE_INTEGERS, eight_digits_of_block, four_digits, lengths_of_block, part,
    text_of_many, unsigned,
};
use super::float::Float;
use super::raw::{BLOCK, Slot, Work, vectorised};

/// Digits behind the point that a short decimal may have, as a power of ten.
pub(super) const ONE: u64 = 10_000;
/// Up to here the sign and the digits before the point fit in a word.
const MOST_WHOLE: u32 = 9_999_999;

/// The magnitude of a value in units of 1 / [`ONE`], if that is the shortest
/// decimal that reads back as it.
#[inline(always)]
pub(super) fn short_decimal<F: Float>(value: F) -> Option<u64> {
    let magnitude = value.widened().abs();
    // NaN is not below either.
    let is_small = magnitude < 1e10;
    if !is_small {
        return None;
    }
    let units = rounded(magnitude * ONE as f64);
    F::is_next_to(magnitude, units).then_some(units as u64)
}

/// The integer next to `value`, which is not negative and has less than 52 bits.
#[inline(always)]
fn rounded(value: f64) -> f64 {
    value + FLOATS_ARE_INTEGERS - FLOATS_ARE_INTEGERS
}

/// The texts of a block of floats, as far as they are short decimals.
pub(super) struct ShortTexts {
    pub(super) is_short: [bool; BLOCK],
    pub(super) words: [[u64; BLOCK]; 2],
    pub(super) lengths: [u8; BLOCK],
}

impl ShortTexts {
    /// Those of `values`, at most [`BLOCK`].
    #[inline(always)]
    pub(super) fn of<F: Float>(values: &[F]) -> Self {
        let mut texts = Self {
            is_short: [false; BLOCK],
            words: [[0; BLOCK]; 2],
            lengths: [0; BLOCK],
        };
        let mut block = [0.0; BLOCK];
        for (to, value) in block.iter_mut().zip(values) {
            *to = value.widened();
        }
        vectorised(Shorten::<F>(&block, &mut texts, PhantomData));
        texts
    }
}

struct Shorten<'a, F>(&'a [f64; BLOCK], &'a mut ShortTexts, PhantomData<F>);

impl<F: Float> Work for Shorten<'_, F> {
    #[inline(always)]
    fn run(self) {
        let Self(values, texts, _) = self;
        // An integer that is below the first float from which on there are only
        // integers.
        let integer = |value: f64| (value + FLOATS_ARE_INTEGERS).to_bits() as u32;
        let (mut wholes, mut fractions) = ([0; BLOCK], [0; BLOCK]);
        for index in 0..BLOCK {
            let magnitude = values[index].abs();
            let units = rounded(magnitude * ONE as f64);
            let is_short =
                (magnitude < f64::from(MOST_WHOLE + 1)) & F::is_next_to(magnitude, units);
            texts.is_short[index] = is_short;
            let nearest = rounded(magnitude);
            let whole = if nearest > magnitude {
                nearest - 1.0
            } else {
                nearest
            };
            wholes[index] = integer(whole).min(MOST_WHOLE);
            fractions[index] = integer(units - whole * ONE as f64).min(ONE as u32 - 1);
        }
        let (digits, before) = (eight_digits_of_block(&wholes), lengths_of_block(&wholes));
        let mut behind = [0; BLOCK];
        for (behind, fraction) in behind.iter_mut().zip(&mut fractions) {
            *fraction = four_digits(*fraction);
            *behind = length_behind(*fraction);
        }
        for index in 0..BLOCK {
            let whole = text_of_many(digits[index], before[index]);
            let fraction = fraction_text(fractions[index].into());
            let sign = values[index].to_bits() >> 63;
            // Bits before the point: one byte at least, and eight at most.
            let before = 8 * (u64::from(before[index]) + sign);
            let minus = u64::from(b'-') * sign;
            texts.words[0][index] = minus | whole << (8 * sign) | fraction << (before - 8) << 8;
            texts.words[1][index] = fraction >> (64 - before);
            texts.lengths[index] = (before / 8) as u8 + behind[index] as u8;
        }
    }
}

/// The point and four digits, below 10^4, as a little-endian word.
#[inline(always)]
fn fraction_text(digits: u64) -> u64 {
    (digits + (ASCII_ZEROS & 0xffff_ffff)) << 8 | u64::from(b'.')
}

/// The bytes of the point and of four digits without trailing zeros; one of them
/// stays.
#[inline(always)]
fn length_behind(digits: u32) -> u32 {
    2 + u32::from(digits > 0xff) + u32::from(digits > 0xffff) + u32::from(digits > 0x00ff_ffff)
}

/// Writes `scaled` units of 1 / [`ONE`] and returns the length.
#[inline(always)]
pub(super) fn write_short(negative: bool, scaled: u64, out: &mut Slot) -> usize {
    let sign = usize::from(negative);
    out[0] = b'-';
    let point = sign + unsigned(scaled / ONE, part(out, sign));
    let digits = four_digits((scaled % ONE) as u32);
    *part(out, point) = fraction_text(digits.into()).to_le_bytes();
    point + length_behind(digits) as usize
}
