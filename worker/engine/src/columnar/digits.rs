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

/// The eight decimal digits of each value, below 10^8.
#[inline(always)]
pub(super) fn eight_digits_of_block(values: &[u32; BLOCK]) -> [u64; BLOCK] {
    // One loop for each width of numbers: a vector then is full of them.
    let mut halves = [[0; BLOCK]; 2];
    for (index, &value) in values.iter().enumerate() {
        halves[0][index] = four_digits(value / 10_000);
        halves[1][index] = four_digits(value % 10_000);
    }
    let mut digits = [0; BLOCK];
    for (index, digits) in digits.iter_mut().enumerate() {
        *digits = u64::from(halves[0][index]) | u64::from(halves[1][index]) << 32;
    }
    digits
}

/// How many digits each value, below 10^8, has.
#[inline(always)]
pub(super) fn lengths_of_block(values: &[u32; BLOCK]) -> [u32; BLOCK] {
    let mut lengths = [0; BLOCK];
    for (length, &value) in lengths.iter_mut().zip(values) {
        *length = length_of_many(value);
    }
    lengths
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

/// The last `length` of eight digits, at least one, as a little-endian word of
/// text.
#[inline(always)]
pub(super) fn text_of_many(digits: u64, length: u32) -> u64 {
    (digits + ASCII_ZEROS) >> (64 - 8 * u64::from(length))
}

/// One of many values in units of `DIVISOR`, less than 2^31 of them, and the
/// rest, which is not negative.
///
/// The quotient is found as a float, which vectors can divide, unlike 64-bit
/// integers. It is rounded to the nearest integer, so it may be one too large.
#[inline(always)]
pub(super) fn divide_of_many<const DIVISOR: i64>(value: i64) -> (i32, i64) {
    // As FLOATS_ARE_INTEGERS, for negative ones as well.
    const ROUND: f64 = 1.5 * FLOATS_ARE_INTEGERS;

    let quotient = (value as f64 * (1.0 / DIVISOR as f64) + ROUND).to_bits() as i32;
    let rest = value.wrapping_sub(i64::from(quotient).wrapping_mul(DIVISOR));
    let too_large = rest >> 63;
    (
        quotient.wrapping_add(too_large as i32),
        rest + (too_large & DIVISOR),
    )
}

/// One of many values below 2^57 in units of 10^8, and the rest.
#[inline(always)]
pub(super) fn split_of_many(value: u64) -> (u32, u32) {
    let (quotient, rest) = divide_of_many::<100_000_000>(value.cast_signed());
    (quotient.cast_unsigned(), rest as u32)
}

/// One of many values in units of 10^16, and the rest; as [`divide_of_many`].
#[inline(always)]
fn split_high_of_many(value: u64) -> (u32, u64) {
    const SIXTEEN_DIGITS: u64 = EIGHT_DIGITS * EIGHT_DIGITS;

    let quotient = (value as f64 * 1e-16 + FLOATS_ARE_INTEGERS).to_bits() & 0xffff;
    let rest = value
        .wrapping_sub(quotient.wrapping_mul(SIXTEEN_DIGITS))
        .cast_signed();
    let too_large = rest >> 63;
    (
        (quotient as u32).wrapping_add(too_large as u32),
        (rest + (too_large & SIXTEEN_DIGITS.cast_signed())).cast_unsigned(),
    )
}

/// Floats from here to twice as much are the integers: adding this to a smaller
/// one rounds it and leaves the integer in the low bits.
pub(super) const FLOATS_ARE_INTEGERS: f64 = (1_u64 << 52) as f64;

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
    const ANY_VALUE: bool = true;

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
        if most < EIGHT_DIGITS {
            let mut texts = Group::default();
            vectorised(SpellGroup(&magnitudes, &negative, &mut texts));
            cells.fill_words(&texts.words, &texts.lengths);
        } else if most < EIGHT_DIGITS * EIGHT_DIGITS {
            vectorised(Groups::<2>(&magnitudes, &negative, cells));
        } else {
            vectorised(Groups::<3>(&magnitudes, &negative, cells));
        }
    }
}

/// Integers of at most eight digits, with their signs.
#[derive(Default)]
struct Group {
    words: [[u64; BLOCK]; 2],
    lengths: [u8; BLOCK],
}

struct SpellGroup<'a>(&'a [u64; BLOCK], &'a [bool; BLOCK], &'a mut Group);

impl Work for SpellGroup<'_> {
    #[inline(always)]
    fn run(self) {
        let Self(magnitudes, negative, texts) = self;
        let values = magnitudes.map(|magnitude| magnitude as u32);
        let (digits, lengths) = (eight_digits_of_block(&values), lengths_of_block(&values));
        for index in 0..BLOCK {
            let text = text_of_many(digits[index], lengths[index]);
            let sign = u64::from(negative[index]);
            texts.words[0][index] = (text << (8 * sign)) | (u64::from(b'-') * sign);
            // Only behind a sign is there a ninth byte.
            texts.words[1][index] = text >> 56;
            texts.lengths[index] = lengths[index] as u8 + sign as u8;
        }
    }
}

/// Writes integers in as many groups of eight digits as the largest needs:
/// first the digits of all of them, and then the texts.
struct Groups<'a, const GROUPS: usize>(&'a [u64; BLOCK], &'a [bool; BLOCK], &'a mut Cells);

impl<const GROUPS: usize> Work for Groups<'_, GROUPS> {
    #[inline(always)]
    fn run(self) {
        let Self(magnitudes, negative, cells) = self;
        // The lowest first.
        let mut groups = [[0; BLOCK]; GROUPS];
        for (index, &magnitude) in magnitudes.iter().enumerate() {
            let mut rest = magnitude;
            if GROUPS == 3 {
                (groups[2][index], rest) = split_high_of_many(magnitude);
            }
            (groups[1][index], groups[0][index]) = split_of_many(rest);
        }
        let mut texts = [[0; BLOCK]; GROUPS];
        let mut lengths = [[0; BLOCK]; GROUPS];
        let mut above = [false; BLOCK];
        for group in (0..GROUPS).rev() {
            let digits = eight_digits_of_block(&groups[group]);
            let own = lengths_of_block(&groups[group]);
            for index in 0..BLOCK {
                let is_there = groups[group][index] > 0 || group == 0;
                let length = if above[index] { 8 } else { own[index] };
                texts[group][index] = text_of_many(digits[index], length);
                // What is above the first digit is left out, but not a zero.
                lengths[group][index] = length * u32::from(is_there | above[index]);
                above[index] |= is_there;
            }
        }
        for (index, &negative) in negative.iter().enumerate() {
            let slot = cells.slot(index);
            slot[0] = b'-';
            let mut end = usize::from(negative);
            for group in (0..GROUPS).rev() {
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
    const ANY_VALUE: bool = K::ANY_VALUE;

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
pub(super) mod tests;
