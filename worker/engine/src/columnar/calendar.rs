//! Days and instants as words of text, by plain arithmetic without branches: a
//! loop over many values becomes vector instructions.

use super::digits::ASCII_ZEROS;

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
pub(super) fn civil(days: u32) -> u32 {
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

/// `HHMMSS00` of a second of the day.
#[inline(always)]
pub(super) fn clock(seconds: u32) -> u32 {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    hours * 1_000_000 + minutes * 10_000 + seconds % 60 * 100
}

/// How many digits of nanoseconds behind the third count: 0, 3 or 6.
#[inline(always)]
pub(super) fn digits_below_millis(nanos: u32) -> u32 {
    3 * u32::from(!nanos.is_multiple_of(1_000_000)) + 3 * u32::from(!nanos.is_multiple_of(1_000))
}

/// `"2021-01-31` in the low bytes of two little-endian words, the second of
/// which has three of them, from the digits of a [`civil`] day.
#[inline(always)]
pub(super) fn date_words(civil: u64) -> (u64, u64) {
    let digits = civil + ASCII_ZEROS;
    let (year, month, day) = (digits & 0xffff_ffff, digits >> 32 & 0xffff, digits >> 48);
    let (quote, hyphen) = (u64::from(b'"'), u64::from(b'-'));
    (
        quote | year << 8 | hyphen << 40 | month << 48,
        hyphen | day << 8,
    )
}

/// The digits of an instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct InstantDigits {
    /// Of the [`civil`] day.
    pub(super) civil: u64,
    /// Of the [`clock`].
    pub(super) clock: u64,
    /// The first eight of the nanoseconds.
    pub(super) fraction: u64,
    /// The last of the nanoseconds.
    pub(super) last: u64,
    /// See [`digits_below_millis`].
    pub(super) below_millis: u64,
}

/// A text of a timestamp as four little-endian words, and its length.
pub(super) type Words = ([u64; 4], u64);

/// `"2021-01-01T00:30:10.000Z"` with three, six or nine digits behind the point.
///
/// Plain arithmetic without branches: a loop over many values becomes vector
/// instructions.
#[inline(always)]
pub(super) fn instant_words(digits: InstantDigits, zoned: bool) -> Words {
    let (first, second) = date_words(digits.civil);
    let clock = digits.clock + ASCII_ZEROS;
    let colon = u64::from(b':');
    let second = second
        | u64::from(b'T') << 24
        | (clock & 0xffff) << 32
        | colon << 48
        | (clock >> 16 & 0xff) << 56;
    let third = clock >> 24 & 0xff | colon << 8 | (clock >> 32 & 0xffff) << 16;
    let fraction = digits.fraction + ASCII_ZEROS;
    let third = third | u64::from(b'.') << 32 | (fraction & 0x00ff_ffff) << 40;
    let below_millis = fraction >> 24 | (u64::from(b'0') + digits.last) << 40;
    let kept = below_millis & ((1 << (8 * digits.below_millis)) - 1);
    let (end, length) = if zoned { (*b"Z\"", 2) } else { (*b"\"\0", 1) };
    let fourth = kept | u64::from(u16::from_le_bytes(end)) << (8 * digits.below_millis);
    (
        [first, second, third, fourth],
        24 + digits.below_millis + length,
    )
}
