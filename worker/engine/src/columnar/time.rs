//! Dates, times of day and timestamps by integer arithmetic, into windows of
//! fixed size. Years outside 0..=9999 are left to the reference's calendar.

use super::buffer::{part, put, window};
use super::digits::{ASCII_ZEROS, eight_digits, signed};
use crate::options::{JsonOptions, Timestamps};
use crate::render::{Instant, write_date};

const MILLIS_PER_DAY: i64 = 86_400_000;
const NANOS_PER_MILLI: i64 = 1_000_000;
const NANOS_PER_DAY: i64 = MILLIS_PER_DAY * NANOS_PER_MILLI;

/// Days since 0000-03-01 of a day since 1970-01-01, for years 0 to 9999 without
/// the two months before that day.
#[inline(always)]
fn days_from_march(days: i64) -> Option<u32> {
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

/// Writes `2021-01-31`.
#[inline(always)]
fn put_date(days_from_march: u32, out: &mut [u8; 10]) {
    let digits = (eight_digits(civil(days_from_march)) + ASCII_ZEROS).to_le_bytes();
    *out = [
        digits[0], digits[1], digits[2], digits[3], b'-', digits[4], digits[5], b'-', digits[6],
        digits[7],
    ];
}

/// Writes `01:02:03`.
#[inline(always)]
fn put_clock(seconds: u32, out: &mut [u8; 8]) {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let number = hours * 1_000_000 + minutes * 10_000 + seconds % 60 * 100;
    let digits = (eight_digits(number) + ASCII_ZEROS).to_le_bytes();
    *out = [
        digits[0], digits[1], b':', digits[2], digits[3], b':', digits[4], digits[5],
    ];
}

/// Writes `.123456789` and returns how many of the digits count: 0, 3, 6 or 9.
#[inline(always)]
fn put_fraction(nanos: u32, out: &mut [u8; 10]) -> usize {
    out[0] = b'.';
    *part(out, 1) = (eight_digits(nanos / 10) + ASCII_ZEROS).to_le_bytes();
    out[9] = b'0' + (nanos % 10) as u8;
    match nanos {
        0 => 0,
        _ if nanos.is_multiple_of(1_000_000) => 3,
        _ if nanos.is_multiple_of(1000) => 6,
        _ => 9,
    }
}

#[inline(always)]
fn split_seconds(nanos_of_day: i64) -> (u32, u32) {
    let nanos = nanos_of_day.unsigned_abs();
    (
        (nanos / 1_000_000_000) as u32,
        (nanos % 1_000_000_000) as u32,
    )
}

/// Writes `"2021-01-31"`.
#[inline(always)]
pub(super) fn date(days: i64, out: &mut Vec<u8>, at: usize) -> usize {
    let Some(days) = days_from_march(days) else {
        return far_date(days, out, at);
    };
    let text = window::<12>(out, at);
    text[0] = b'"';
    put_date(days, part(text, 1));
    text[11] = b'"';
    at + 12
}

#[cold]
#[inline(never)]
fn far_date(days: i64, out: &mut Vec<u8>, at: usize) -> usize {
    let mut text = vec![b'"'];
    write_date(days, &mut text);
    text.push(b'"');
    put(out, at, &text)
}

/// Writes `"01:02:03.000004"`; `nanos` is within one day.
#[inline(always)]
pub(super) fn time_of_day(nanos: i64, out: &mut Vec<u8>, at: usize) -> usize {
    let (seconds, nanos) = split_seconds(nanos);
    let text = window::<20>(out, at);
    text[0] = b'"';
    put_clock(seconds, part(text, 1));
    let digits = put_fraction(nanos, part(text, 9));
    let end = if digits == 0 { 9 } else { 10 + digits };
    text[end] = b'"';
    at + end + 1
}

/// Writes `value`, counted in units of which a day has `UNITS_PER_DAY`, as
/// `"2021-01-01T00:30:10.000Z"` or in milliseconds.
#[inline(always)]
pub(super) fn timestamp<const UNITS_PER_DAY: i64>(
    value: i64,
    zoned: bool,
    json: JsonOptions,
    out: &mut Vec<u8>,
    at: usize,
) -> usize {
    if json.timestamps == Timestamps::EpochMillis {
        let millis = value.div_euclid(UNITS_PER_DAY / MILLIS_PER_DAY);
        return at + signed(millis, window(out, at));
    }
    let nanos = value.rem_euclid(UNITS_PER_DAY) * (NANOS_PER_DAY / UNITS_PER_DAY);
    instant(value.div_euclid(UNITS_PER_DAY), nanos, zoned, json, out, at)
}

/// Writes an INT96 timestamp: days and the nanoseconds of the day.
#[inline(always)]
pub(super) fn int96(
    days: i32,
    nanos: i64,
    json: JsonOptions,
    out: &mut Vec<u8>,
    at: usize,
) -> usize {
    if json.timestamps == Timestamps::EpochMillis {
        let millis = i64::from(days) * MILLIS_PER_DAY + nanos / NANOS_PER_MILLI;
        return at + signed(millis, window(out, at));
    }
    instant(days.into(), nanos, true, json, out, at)
}

#[inline(always)]
fn instant(
    days: i64,
    nanos: i64,
    zoned: bool,
    json: JsonOptions,
    out: &mut Vec<u8>,
    at: usize,
) -> usize {
    let Some(days_from_march) = days_from_march(days) else {
        return far_instant(Instant { days, nanos }, zoned, json, out, at);
    };
    let (seconds, nanos) = split_seconds(nanos);
    let text = window::<32>(out, at);
    text[0] = b'"';
    put_date(days_from_march, part(text, 1));
    text[11] = b'T';
    put_clock(seconds, part(text, 12));
    let digits = put_fraction(nanos, part(text, 20)).max(3);
    let mut end = 21 + digits;
    text[end] = b'Z';
    end += usize::from(zoned);
    text[end] = b'"';
    at + end + 1
}

#[cold]
#[inline(never)]
fn far_instant(
    instant: Instant,
    zoned: bool,
    json: JsonOptions,
    out: &mut Vec<u8>,
    at: usize,
) -> usize {
    let mut text = Vec::new();
    instant.write(zoned, json, &mut text);
    put(out, at, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>) -> usize) -> String {
        let mut out = Vec::new();
        let end = write(&mut out);
        String::from_utf8(out[..end].to_vec()).unwrap()
    }

    #[test]
    fn every_day_of_years_0_to_9999_and_some_beyond_is_the_reference_s() {
        for days in -720_000..2_934_000 {
            let mut expected = vec![b'"'];
            write_date(days, &mut expected);
            expected.push(b'"');
            let ours = text(|out| date(days, out, 0));
            assert_eq!(ours.as_bytes(), expected);
        }
    }

    #[test]
    fn instants_of_every_unit_are_the_reference_s() {
        let mut random = fastrand::Rng::with_seed(3);
        let json = JsonOptions::default();
        let millis = JsonOptions {
            timestamps: Timestamps::EpochMillis,
            ..json
        };
        for round in 0..200_000 {
            let value = random.i64(..) >> (round % 40);
            for (json, zoned) in [(json, true), (json, false), (millis, true)] {
                let same = |per_day, ours: String| {
                    let mut expected = Vec::new();
                    Instant::new(value, per_day).write(zoned, json, &mut expected);
                    assert_eq!(ours.as_bytes(), expected);
                };
                const MICROS: i64 = MILLIS_PER_DAY * 1000;
                same(
                    MILLIS_PER_DAY,
                    text(|out| timestamp::<MILLIS_PER_DAY>(value, zoned, json, out, 0)),
                );
                same(
                    MICROS,
                    text(|out| timestamp::<MICROS>(value, zoned, json, out, 0)),
                );
                same(
                    NANOS_PER_DAY,
                    text(|out| timestamp::<NANOS_PER_DAY>(value, zoned, json, out, 0)),
                );
            }
        }
    }

    #[test]
    fn int96_reaches_as_far_as_its_days() {
        for days in [i32::MIN, -719_529, 0, 2_932_896, i32::MAX] {
            for timestamps in [Timestamps::Iso, Timestamps::EpochMillis] {
                let json = JsonOptions {
                    timestamps,
                    ..JsonOptions::default()
                };
                let nanos = NANOS_PER_DAY - 1;
                let mut expected = Vec::new();
                let instant = Instant {
                    days: days.into(),
                    nanos,
                };
                instant.write(true, json, &mut expected);
                let ours = text(|out| int96(days, nanos, json, out, 0));
                assert_eq!(ours.as_bytes(), expected);
            }
        }
    }
}
