//! Days and instants as words of text, by plain arithmetic without branches: a
//! loop over many values becomes vector instructions.

use super::digits::{ASCII_ZEROS, eight_digits_of_many};

/// Days since 0000-03-01 of a day since 1970-01-01, for years 0 to 9999 without
/// the two months before that day.
#[inline(always)]
pub(super) fn days_from_march(days: i64) -> Option<u32> {
    const DAYS_TO_EPOCH: i64 = 719_468;
    const DAYS_TO_10000_01_01: i64 = DAYS_TO_EPOCH + 2_932_897;

    let days = days.wrapping_add(DAYS_TO_EPOCH);
    let in_range = (0..DAYS_TO_10000_01_01).contains(&days);
    in_range.then_some(days as u32)
}

/// `YYYYMMDD` of a day since 0000-03-01.
///
/// Neri and Schneider's algorithm (Euclidean affine functions, 2021): years
/// begin in March, so that month lengths follow a linear function, and the
/// divisions become multiplications.
#[inline(always)]
fn civil(days: u32) -> u32 {
    let quarters = 4 * days + 3;
    let century = quarters / 146_097;
    let day_of_century = quarters % 146_097 / 4;
    let product = u64::from(2_939_745_u32) * u64::from(4 * day_of_century + 3);
    let year_of_century = (product >> 32) as u32;
    let day_of_year = (product as u32) / 2_939_745 / 4;
    let months = 2141 * day_of_year + 197_913;
    let (month, day) = (months >> 16, (months & 0xffff) / 2141);
    // January and February belong to the next civil year.
    let wraps = u32::from(day_of_year >= 306);
    let year = 100 * century + year_of_century + wraps;
    year * 10_000 + (month - 12 * wraps) * 100 + day + 1
}

/// `"2021-01-31` in the low bytes of two little-endian words, the second of
/// which has three of them.
#[inline(always)]
pub(super) fn date_words(days_from_march: u32) -> (u64, u64) {
    let digits = eight_digits_of_many(civil(days_from_march)) + ASCII_ZEROS;
    let (year, month, day) = (digits & 0xffff_ffff, digits >> 32 & 0xffff, digits >> 48);
    let (quote, hyphen) = (u64::from(b'"'), u64::from(b'-'));
    (
        quote | year << 8 | hyphen << 40 | month << 48,
        hyphen | day << 8,
    )
}

/// A text of a timestamp as four little-endian words, and its length.
pub(super) type Words = ([u64; 4], u64);

/// `"2021-01-01T00:30:10.000Z"` with three, six or nine digits behind the point.
///
/// Plain arithmetic without branches: a loop over many values becomes vector
/// instructions.
#[inline(always)]
pub(super) fn instant_words(days_from_march: u32, seconds: u32, nanos: u32, zoned: bool) -> Words {
    let (first, second) = date_words(days_from_march);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let clock = hours * 1_000_000 + minutes * 10_000 + seconds % 60 * 100;
    let clock = eight_digits_of_many(clock) + ASCII_ZEROS;
    let colon = u64::from(b':');
    let second = second
        | u64::from(b'T') << 24
        | (clock & 0xffff) << 32
        | colon << 48
        | (clock >> 16 & 0xff) << 56;
    let third = clock >> 24 & 0xff | colon << 8 | (clock >> 32 & 0xffff) << 16;
    let fraction = eight_digits_of_many(nanos / 10) + ASCII_ZEROS;
    let third = third | u64::from(b'.') << 32 | (fraction & 0x00ff_ffff) << 40;
    let below_millis = fraction >> 24 | u64::from(b'0' as u32 + nanos % 10) << 40;
    // How many of these six digits count.
    let digits = 3 * u64::from(!nanos.is_multiple_of(1_000_000))
        + 3 * u64::from(!nanos.is_multiple_of(1_000));
    let kept = below_millis & ((1 << (8 * digits)) - 1);
    let (end, length) = if zoned { (*b"Z\"", 2) } else { (*b"\"\0", 1) };
    let fourth = kept | u64::from(u16::from_le_bytes(end)) << (8 * digits);
    ([first, second, third, fourth], 24 + digits + length)
}
