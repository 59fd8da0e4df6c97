//! Integers and decimals as text, eight digits at a time and without tables:
//! the digits of a number below 10^8 are split within one 64-bit word, so short
//! and long numbers take the same path and there is nothing to mispredict.

use super::buffer::part;

pub(super) const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
const EIGHT_DIGITS: u64 = 100_000_000;

/// The most digits behind the point that [`decimal`] takes.
pub(super) const MAX_SCALE: u32 = 16;

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
fn put_eight(value: u64, out: &mut [u8], at: usize) {
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

/// Writes `magnitude / one` with as many digits behind the point as `one`, a
/// power of ten, has zeros (`scale`); returns the length.
#[inline(always)]
pub(super) fn decimal(
    negative: bool,
    magnitude: u64,
    scale: u32,
    one: u64,
    out: &mut [u8; 64],
) -> usize {
    let sign = usize::from(negative);
    out[0] = b'-';
    if scale == 0 {
        return sign + unsigned(magnitude, part(out, sign));
    }
    let (whole, fraction) = (magnitude / one, magnitude % one);
    let point = sign + unsigned(whole, part(out, sign));
    out[point] = b'.';
    if scale <= 8 {
        put_eight(fraction * 10_u64.pow(8 - scale), out, point + 1);
    } else {
        let sixteen = fraction * 10_u64.pow(MAX_SCALE - scale);
        put_eight(sixteen / EIGHT_DIGITS, out, point + 1);
        put_eight(sixteen % EIGHT_DIGITS, out, point + 9);
    }
    point + 1 + scale as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interesting() -> impl Iterator<Item = u64> {
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
        }
    }

    #[test]
    fn decimals_keep_their_scale() {
        for scale in 0..=MAX_SCALE {
            let one = 10_u64.pow(scale);
            for value in interesting() {
                let mut out = [b'x'; 64];
                let length = decimal(true, value, scale, one, &mut out);
                let mut expected = format!("-{}", value / one);
                if scale > 0 {
                    expected += &format!(".{:0width$}", value % one, width = scale as usize);
                }
                assert_eq!(out[..length], *expected.as_bytes());
            }
        }
    }
}
