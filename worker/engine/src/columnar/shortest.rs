//! The shortest decimals that read back as the same floats, for many floats at
//! once: plain integer arithmetic without branches, so that a loop over a block
//! becomes vector instructions.
//!
//! It is Schubfach's idea (Giulietti, "The Schubfach way to render doubles") in
//! the range of floats that are written without an exponent, where everything is
//! exact: with ten to the power of `k` units to one, so that the distance to the
//! next float is from 1 to below 10 units, a float lies between two multiples of
//! ten units, of which at most one is nearer to it than to any other float. If
//! there is one it is the shortest decimal, otherwise the nearest unit is. Half
//! way between two units is left to the general way, where the reference decides.

use super::digits::{ASCII_ZEROS, EIGHT_DIGITS, eight_digits_of_block, part, split_of_many};
use super::raw::{BLOCK, Slot, Work, vectorised};

const TEN_TO_8: u32 = EIGHT_DIGITS as u32;

/// A type of floats, as bits.
pub(super) trait Format: Copy {
    /// Bits of the significand that are stored.
    const FRACTION_BITS: u32;
    /// Bits of the exponent.
    const EXPONENT_BITS: u32;
    /// A value that has a text here.
    const SOME: Self;

    fn bits(self) -> u64;

    /// Whether the value is written without an exponent, and has bits behind the
    /// point.
    fn is_in_range(self) -> bool;

    /// How many digits `high * 10^8 + low` units have.
    fn digits(high: u32, low: u32) -> u32;
}

impl Format for f64 {
    const FRACTION_BITS: u32 = 52;
    const EXPONENT_BITS: u32 = 11;
    const SOME: Self = 1.5;

    #[inline(always)]
    fn bits(self) -> u64 {
        self.to_bits()
    }

    #[inline(always)]
    fn is_in_range(self) -> bool {
        (1e-5..1e10).contains(&self.abs())
    }

    #[inline(always)]
    fn digits(high: u32, _: u32) -> u32 {
        16 + u32::from(high >= TEN_TO_8)
    }
}

impl Format for f32 {
    const FRACTION_BITS: u32 = 23;
    const EXPONENT_BITS: u32 = 8;
    const SOME: Self = 1.5;

    #[inline(always)]
    fn bits(self) -> u64 {
        self.to_bits().into()
    }

    #[inline(always)]
    fn is_in_range(self) -> bool {
        const TWENTY_BITS: f32 = (1 << 20) as f32;
        (1e-5..TWENTY_BITS).contains(&self.abs())
    }

    #[inline(always)]
    fn digits(high: u32, low: u32) -> u32 {
        7 + u32::from(high > 0 || low >= 10_000_000) + u32::from(high > 0)
    }
}

/// Powers of five, up to the most digits behind the point that a float in range
/// may have.
static FIVES: [u64; 32] = {
    let mut powers = [1; 32];
    let mut power = 1;
    while power < 22 {
        powers[power] = 5 * powers[power - 1];
        power += 1;
    }
    powers
};

/// All numbers of units are written with so many digits, in three words of
/// eight.
const DIGITS: usize = 24;
/// The digits, with something behind them to be copied and not to count.
const ROW: usize = 48;

/// The digits of a block of floats, and what of them is text.
pub(super) struct Shortest {
    is_there: [bool; BLOCK],
    rows: [[u8; ROW]; BLOCK],
    /// Where the text begins in its row.
    starts: [u32; BLOCK],
    /// Where the digits behind the point begin.
    points: [u32; BLOCK],
    ends: [u32; BLOCK],
}

impl Shortest {
    /// Those of `values`, at most [`BLOCK`].
    #[inline(always)]
    pub(super) fn of<F: Format>(values: &[F]) -> Self {
        let mut block = [F::SOME; BLOCK];
        block[..values.len()].copy_from_slice(values);
        let mut units = Units::default();
        vectorised(Spell(&block, &mut units));
        let mut shortest = Self {
            is_there: units.is_there,
            rows: [[0; ROW]; BLOCK],
            starts: units.starts,
            points: units.points,
            ends: units.ends,
        };
        // Read only once all are written: reading back at once what was written
        // in pieces would stall.
        for (index, row) in shortest.rows.iter_mut().enumerate() {
            for (place, words) in units.words.iter().enumerate() {
                *part(row, 8 * place) = words[index].to_le_bytes();
            }
        }
        shortest
    }

    /// Writes the text of a value and returns its length; `None` if the value is
    /// out of range, half way between two texts, or a power of two, whose
    /// neighbours are not at one distance.
    #[inline(always)]
    pub(super) fn put(&self, index: usize, negative: bool, slot: &mut Slot) -> Option<usize> {
        if !self.is_there[index] {
            return None;
        }
        let row = &self.rows[index];
        let (start, behind) = (self.starts[index] as usize, self.points[index] as usize);
        let sign = usize::from(negative);
        slot[0] = b'-';
        // Before the point are at most 11 digits; behind it are at most 16, or
        // up to 21 if only a zero is before it: then the last word of digits is
        // wholly behind the point.
        *part(slot, sign) = piece::<16>(row, start);
        let point = sign + behind - start;
        slot[point] = b'.';
        *part(slot, point + 1) = piece::<16>(row, behind);
        let last = behind.max(DIGITS - 8);
        *part(slot, point + 1 + last - behind) = piece::<8>(row, last);
        Some(point + 1 + self.ends[index] as usize - behind)
    }
}

#[inline(always)]
fn piece<const N: usize>(row: &[u8; ROW], at: usize) -> [u8; N] {
    *row[at..].first_chunk().expect("within the row")
}

#[derive(Default)]
struct Units {
    is_there: [bool; BLOCK],
    words: [[u64; BLOCK]; 3],
    starts: [u32; BLOCK],
    points: [u32; BLOCK],
    ends: [u32; BLOCK],
}

/// A float in units of ten to the power of `-places`.
struct Scaled {
    places: u32,
    /// Five to the power of `places`.
    fives: u64,
    /// Whole units.
    units: u64,
    /// The rest, in so many-th parts of a unit: two to the power of this.
    rest: u64,
    rest_bits: u32,
}

/// Scales a value that is in range.
#[inline(always)]
fn scaled<F: Format>(bits: u64) -> Scaled {
    const LOW: u64 = 0xffff_ffff;

    let bias = (1 << (F::EXPONENT_BITS - 1)) - 1 + F::FRACTION_BITS.cast_signed();
    let exponent = (bits >> F::FRACTION_BITS) as i32 & ((1 << F::EXPONENT_BITS) - 1);
    // The distance to the next float is two to the power of this.
    let exponent = exponent - bias;
    let significand = (bits & ((1 << F::FRACTION_BITS) - 1)) | (1 << F::FRACTION_BITS);
    // log10(2) in units of 2^-20, as exact as so small exponents need it.
    let places = -((exponent * 315_653) >> 20);
    let fives = FIVES[places as usize & 31];
    // The value is significand * 5^places / 2^rest_bits units.
    let rest_bits = (-(exponent + places)) as u32 & 63;

    let ((m1, m0), (f1, f0)) = (
        (significand >> 32, significand & LOW),
        (fives >> 32, fives & LOW),
    );
    let (p00, p01, p10, p11) = (m0 * f0, m0 * f1, m1 * f0, m1 * f1);
    let middle = (p00 >> 32) + (p01 & LOW) + (p10 & LOW);
    let low = (p00 & LOW) | (middle << 32);
    let high = p11 + (p01 >> 32) + (p10 >> 32) + (middle >> 32);
    Scaled {
        places: places as u32,
        fives,
        units: (high << (64 - rest_bits)) | (low >> rest_bits),
        rest: low & ((1 << rest_bits) - 1),
        rest_bits,
    }
}

struct Spell<'a, F>(&'a [F; BLOCK], &'a mut Units);

impl<F: Format> Work for Spell<'_, F> {
    #[inline(always)]
    fn run(self) {
        let Self(values, texts) = self;
        let mut bits = [0; BLOCK];
        for index in 0..BLOCK {
            let value = values[index];
            let fraction = value.bits() & ((1 << F::FRACTION_BITS) - 1);
            let is_there = value.is_in_range() & (fraction != 0);
            texts.is_there[index] = is_there;
            bits[index] = if is_there { value } else { F::SOME }.bits();
        }
        let (mut highs, mut lows) = ([0; BLOCK], [0; BLOCK]);
        for index in 0..BLOCK {
            let scaled = scaled::<F>(bits[index]);
            let (high, low, is_clear) = shortest(&scaled);
            (highs[index], lows[index]) = (high, low);
            texts.points[index] = DIGITS as u32 - scaled.places;
            texts.is_there[index] &= is_clear;
        }
        let mut firsts = [0; BLOCK];
        for index in 0..BLOCK {
            // There is a digit on either side of the point.
            let digits = F::digits(highs[index], lows[index]);
            texts.starts[index] = (DIGITS as u32 - digits).min(texts.points[index] - 1);
            firsts[index] = highs[index] / TEN_TO_8;
            highs[index] %= TEN_TO_8;
        }
        let (high, low) = (eight_digits_of_block(&highs), eight_digits_of_block(&lows));
        for index in 0..BLOCK {
            let words = [u64::from(firsts[index]) << 56, high[index], low[index]];
            let zeros = words[2].leading_zeros() / 8;
            let more_zeros = if words[2] == 0 {
                words[1].leading_zeros() / 8
            } else {
                0
            };
            let end = DIGITS as u32 - zeros - more_zeros;
            texts.ends[index] = end.max(texts.points[index] + 1);
            for (all, word) in texts.words.iter_mut().zip(words) {
                all[index] = word + ASCII_ZEROS;
            }
        }
    }
}

/// The shortest decimal next to a float in whole units: how often 10^8, and the
/// rest; and whether there are not two of them.
#[inline(always)]
fn shortest(scaled: &Scaled) -> (u32, u32, bool) {
    let &Scaled {
        fives,
        units,
        rest,
        rest_bits,
        ..
    } = scaled;
    let (high, low) = split_of_many(units);
    let last = low % 10;
    // From here on a unit is 2^(rest_bits + 1), in which half of the distance to
    // the next float is 5^places: an odd number, and the other ones are even.
    let rest = 2 * rest;
    let unit = rest_bits + 1;
    let below = (u64::from(last) << unit) + rest < fives;
    let above = (u64::from(10 - last) << unit) < fives + rest;
    let nearest = u32::from(rest >> rest_bits != 0);
    let low = match (below, above) {
        (true, _) => low - last,
        (false, true) => low + (10 - last),
        (false, false) => low + nearest,
    };
    let is_clear = below | above | (rest != 1 << rest_bits);
    let carry = u32::from(low == TEN_TO_8);
    (high + carry, low - carry * TEN_TO_8, is_clear)
}
