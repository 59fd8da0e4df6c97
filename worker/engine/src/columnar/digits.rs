//! Integers as text, eight digits at a time and without tables:
//! the digits of a number below 10^8 are split within one 64-bit word, so short
//! and long numbers take the same path and there is nothing to mispredict.

use std::ops::Range;

use super::column::Kernel;
use super::raw::{BLOCK, Cells, Slot, Work, vectorised};

/// The `N` bytes from `at` on.
#[inline(always)]
pub(super) fn part<const N: usize>(out: &mut [u8], at: usize) -> &mut [u8; N] {
    (&mut out[at..at + N])
        .try_into()
        .expect("the slice has the length it was cut to")
}

pub(super) const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
pub(super) const EIGHT_DIGITS: u64 = 100_000_000;

/// The eight decimal digits of `value`, below 10^8, as the bytes of a
/// little-endian word: the most significant digit comes first in memory.
#[inline(always)]
pub(super) fn eight_digits(value: u32) -> u64 {
    // Two lanes of four digits, then four of two, then eight of one. Each step
    // divides all lanes at once by multiplying with the reciprocal, which is
    // exact for values as small as these.
    let fours = u64::from(value / 10_000) | (u64::from(value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

#[inline(always)]
pub(super) fn put_eight(value: u64, out: &mut [u8], at: usize) {
    let value = u32::try_from(value).expect("below 10^8");
    *part(out, at) = (eight_digits(value) + ASCII_ZEROS).to_le_bytes();
}

/// Writes `value` and returns its length.
#[inline(always)]
pub(super) fn unsigned(value: u64, out: &mut [u8; 24]) -> usize {
    if value < EIGHT_DIGITS {
        return leading(value, out);
    }
    let (high, low) = (value / EIGHT_DIGITS, value % EIGHT_DIGITS);
    let length = if high < EIGHT_DIGITS {
        leading(high, out)
    } else {
        let length = leading(high / EIGHT_DIGITS, out);
        put_eight(high % EIGHT_DIGITS, out, length);
        length + 8
    };
    put_eight(low, out, length);
    length + 8
}

/// As [`unsigned`], for values below 10^8.
#[inline(always)]
fn leading(value: u64, out: &mut [u8; 24]) -> usize {
    let digits = eight_digits(u32::try_from(value).expect("below 10^8"));
    // The last digit is never a leading zero.
    let zeros = (digits | (1 << 56)).trailing_zeros() / 8;
    let text = (digits + ASCII_ZEROS) >> (8 * zeros);
    *part(out, 0) = text.to_le_bytes();
    8 - zeros as usize
}

/// Writes `value` and returns its length.
#[inline(always)]
pub(super) fn signed(value: i64, out: &mut [u8; 32]) -> usize {
    let sign = usize::from(value < 0);
    out[0] = b'-';
    sign + unsigned(value.unsigned_abs(), part(out, sign))
}

/// As [`eight_digits`], in steps that vectors have for 32-bit lanes: faster in
/// a loop over many values, and slower for one.
#[inline(always)]
pub(super) fn eight_digits_of_many(value: u32) -> u64 {
    let (high, low) = (value / 10_000, value % 10_000);
    u64::from(four_digits(high)) | u64::from(four_digits(low)) << 32
}

/// The four decimal digits of `value`, below 10^4, as the bytes of a word.
#[inline(always)]
pub(super) fn four_digits(value: u32) -> u32 {
    let hundreds = (value * 5243) >> 19;
    let twos = hundreds | (value - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f;
    tens | (twos - 10 * tens) << 8
}

/// How many digits one of many values below 10^8 has.
#[inline(always)]
pub(super) fn length_of_many(value: u32) -> u32 {
    1 + u32::from(value >= 10)
        + u32::from(value >= 100)
        + u32::from(value >= 1_000)
        + u32::from(value >= 10_000)
        + u32::from(value >= 100_000)
        + u32::from(value >= 1_000_000)
        + u32::from(value >= 10_000_000)
}

/// The last `length` digits of one of many values below 10^8, as a
/// little-endian word.
#[inline(always)]
pub(super) fn text_of_many(value: u32, length: u32) -> u64 {
    (eight_digits_of_many(value) + ASCII_ZEROS).wrapping_shr(64 - 8 * length)
}

/// An integer of any of the types there are.
pub(super) trait Integer: Copy {
    fn magnitude(self) -> u64;
    fn is_negative(self) -> bool;
}

macro_rules! integers {
    ($($of:ty, $magnitude:expr, $is_negative:expr;)*) => {$(
        impl Integer for $of {
            #[inline(always)]
            fn magnitude(self) -> u64 {
                $magnitude(self).into()
            }

            #[inline(always)]
            fn is_negative(self) -> bool {
                $is_negative(&self)
            }
        }
    )*};
}

integers! {
    i8, i8::unsigned_abs, |&it| it < 0;
    i16, i16::unsigned_abs, |&it| it < 0;
    i32, i32::unsigned_abs, |&it| it < 0;
    i64, i64::unsigned_abs, |&it| it < 0;
    u8, u8::from, |_| false;
    u16, u16::from, |_| false;
    u32, u32::from, |_| false;
    u64, u64::from, |_| false;
}

/// Columns of integers.
pub(super) struct Integers<'a, T>(pub(super) &'a [T]);

impl<T: Integer> Kernel for Integers<'_, T> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        let value = self.0[row];
        let sign = usize::from(value.is_negative());
        slot[0] = b'-';
        sign + unsigned(value.magnitude(), part(slot, sign))
    }

    fn fill(&self, rows: Range<usize>, cells: &mut Cells) {
        let values = &self.0[rows];
        let mut magnitudes = [0; BLOCK];
        let mut negative = [false; BLOCK];
        let mut most = 0;
        for (index, value) in values.iter().enumerate() {
            magnitudes[index] = value.magnitude();
            negative[index] = value.is_negative();
            most = most.max(magnitudes[index]);
        }
        let negative = &negative[..values.len()];
        if most < EIGHT_DIGITS {
            vectorised(Groups::<1>(magnitudes, negative, cells));
        } else if most < EIGHT_DIGITS * EIGHT_DIGITS {
            vectorised(Groups::<2>(magnitudes, negative, cells));
        } else {
            vectorised(Groups::<3>(magnitudes, negative, cells));
        }
    }
}

/// Writes integers in as many groups of eight digits as the largest needs:
/// first the digits of all of them, and then the texts.
struct Groups<'a, const GROUPS: usize>([u64; BLOCK], &'a [bool], &'a mut Cells);

impl<const GROUPS: usize> Work for Groups<'_, GROUPS> {
    #[inline(always)]
    fn run(self) {
        let Self(mut magnitudes, negative, cells) = self;
        let mut texts = [[0; BLOCK]; GROUPS];
        let mut lengths = [[0; BLOCK]; GROUPS];
        for group in (0..GROUPS).rev() {
            let is_last = group + 1 == GROUPS;
            for index in 0..BLOCK {
                let value = magnitudes[index];
                let above = if group == 0 { 0 } else { value / EIGHT_DIGITS };
                let digits = (value - above * EIGHT_DIGITS) as u32;
                let length = match (above > 0, value == 0 && !is_last) {
                    (true, _) => 8,
                    (false, true) => 0,
                    (false, false) => length_of_many(digits),
                };
                magnitudes[index] = above;
                texts[group][index] = text_of_many(digits, length);
                lengths[group][index] = length;
            }
        }
        for (index, &negative) in negative.iter().enumerate() {
            let slot = cells.slot(index);
            slot[0] = b'-';
            let mut end = usize::from(negative);
            for group in 0..GROUPS {
                *part(slot, end) = texts[group][index].to_le_bytes();
                end += lengths[group][index] as usize;
            }
            cells.set(index, end);
        }
    }
}

/// Values of at most 30 bytes, in quotes.
pub(super) struct Quoted<K>(pub(super) K);

impl<K: Kernel> Kernel for Quoted<K> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        let length = self.0.write(row, slot);
        quote(length, slot)
    }
}

/// Puts the first `length` bytes, at most 30, in quotes.
#[inline(always)]
pub(super) fn quote(length: usize, slot: &mut Slot) -> usize {
    let text: [u8; 31] = *part(slot, 0);
    slot[0] = b'"';
    *part(slot, 1) = text;
    slot[length + 1] = b'"';
    length + 2
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::columnar) fn interesting() -> impl Iterator<Item = u64> {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        powers
            .chain((0..64).map(|bit| 1 << bit))
            .flat_map(|value| [value - 1, value, value + 1])
            .chain([u64::MAX, 12_345_678_901_234_567_890])
    }

    #[test]
    fn integers_of_every_length_read_as_rust_prints_them() {
        for value in interesting().chain(0..20_000) {
            let mut out = [b'x'; 24];
            let length = unsigned(value, &mut out);
            assert_eq!(out[..length], *value.to_string().as_bytes());
            for value in [value.cast_signed(), value.cast_signed().wrapping_neg()] {
                let mut out = [b'x'; 32];
                let length = signed(value, &mut out);
                assert_eq!(out[..length], *value.to_string().as_bytes());
            }
        }
    }

    #[test]
    fn every_number_of_eight_digits_splits_exactly() {
        // All lanes see every value they can hold.
        for value in (0..10_000).chain((0..10_000).map(|four| four * 10_000 + 9_999)) {
            let text = (eight_digits(value) + ASCII_ZEROS).to_le_bytes();
            assert_eq!(text, *format!("{value:08}").as_bytes());
            assert_eq!(eight_digits_of_many(value), eight_digits(value));
            let length = length_of_many(value);
            let text = &text_of_many(value, length).to_le_bytes()[..length as usize];
            assert_eq!(text, value.to_string().as_bytes());
        }
    }
}
