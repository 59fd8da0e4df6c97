//! Dates, times of day and timestamps by integer arithmetic, into windows of
//! fixed size. Years outside 0..=9999 are left to the reference's calendar.

use std::ops::Range;

use arrow_buffer::IntervalMonthDayNano;

use super::column::{Kernel, Kind, Write};
use super::digits::{ASCII_ZEROS, eight_digits_of_many, part, signed};
use super::raw::{BLOCK, Cells, Out, Slot};
use crate::options::{self, JsonOptions, LocalTimestamps};
use crate::render::{Instant, write_date};

const MILLIS_PER_DAY: i64 = 86_400_000;
const SECONDS_PER_DAY: i64 = 86_400;
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

/// `"2021-01-31` in the low bytes of two little-endian words, the second of
/// which has three of them.
#[inline(always)]
fn date_words(days_from_march: u32) -> (u64, u64) {
    let digits = eight_digits_of_many(civil(days_from_march)) + ASCII_ZEROS;
    let (year, month, day) = (digits & 0xffff_ffff, digits >> 32 & 0xffff, digits >> 48);
    let (quote, hyphen) = (u64::from(b'"'), u64::from(b'-'));
    (
        quote | year << 8 | hyphen << 40 | month << 48,
        hyphen | day << 8,
    )
}

/// Writes `"2021-01-31"`.
#[inline(always)]
fn put_date(days_from_march: u32, out: &mut Slot) {
    let (first, second) = date_words(days_from_march);
    *part(out, 0) = first.to_le_bytes();
    *part(out, 8) = (second as u32 | u32::from(b'"') << 24).to_le_bytes();
}

/// Writes `01:02:03`.
#[inline(always)]
fn put_clock(seconds: u32, out: &mut [u8; 8]) {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let number = hours * 1_000_000 + minutes * 10_000 + seconds % 60 * 100;
    let digits = (eight_digits_of_many(number) + ASCII_ZEROS).to_le_bytes();
    *out = [
        digits[0], digits[1], b':', digits[2], digits[3], b':', digits[4], digits[5],
    ];
}

/// Writes `.123456789` and returns how many of the digits count: 0, 3, 6 or 9.
#[inline(always)]
fn put_fraction(nanos: u32, out: &mut [u8; 10]) -> usize {
    out[0] = b'.';
    *part(out, 1) = (eight_digits_of_many(nanos / 10) + ASCII_ZEROS).to_le_bytes();
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
fn date(days: i64, out: &mut Slot) -> usize {
    let Some(days) = days_from_march(days) else {
        return far_date(days, out);
    };
    put_date(days, out);
    12
}

#[cold]
#[inline(never)]
fn far_date(days: i64, out: &mut Slot) -> usize {
    let mut text = vec![b'"'];
    write_date(days, &mut text);
    text.push(b'"');
    out[..text.len()].copy_from_slice(&text);
    text.len()
}

/// Writes `"01:02:03.000004"`; `nanos` is within one day.
#[inline(always)]
fn time_of_day(nanos: i64, out: &mut Slot) -> usize {
    let (seconds, nanos) = split_seconds(nanos);
    out[0] = b'"';
    put_clock(seconds, part(out, 1));
    let digits = put_fraction(nanos, part(out, 9));
    let end = if digits == 0 { 9 } else { 10 + digits };
    out[end] = b'"';
    end + 1
}

/// A text of a timestamp as four little-endian words, and its length.
type Words = ([u64; 4], u64);

/// `"2021-01-01T00:30:10.000Z"` with three, six or nine digits behind the point.
///
/// Plain arithmetic without branches: a loop over many values becomes vector
/// instructions.
#[inline(always)]
fn instant_words(days_from_march: u32, seconds: u32, nanos: u32, zoned: bool) -> Words {
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
    let digits = 3 * u64::from(nanos % 1_000_000 != 0) + 3 * u64::from(nanos % 1_000 != 0);
    let kept = below_millis & ((1 << (8 * digits)) - 1);
    let (end, length) = if zoned { (*b"Z\"", 2) } else { (*b"\"\0", 1) };
    let fourth = kept | u64::from(u16::from_le_bytes(end)) << (8 * digits);
    ([first, second, third, fourth], 24 + digits + length)
}

#[inline(always)]
fn put_words((words, length): Words, out: &mut Slot) -> usize {
    for (index, word) in words.into_iter().enumerate() {
        *part(out, 8 * index) = word.to_le_bytes();
    }
    length as usize
}

/// Writes `"2021-01-01T00:30:10.000Z"`, if the year has four digits.
#[inline(always)]
fn instant(days: i64, nanos: i64, zoned: bool, out: &mut Slot) -> Option<usize> {
    let days_from_march = days_from_march(days)?;
    let (seconds, nanos) = split_seconds(nanos);
    Some(put_words(
        instant_words(days_from_march, seconds, nanos, zoned),
        out,
    ))
}

#[cold]
#[inline(never)]
fn far_instant(instant: Instant, zoned: bool, out: &mut Slot) -> usize {
    let mut text = Vec::new();
    instant.write(zoned, JsonOptions::default(), &mut text);
    out[..text.len()].copy_from_slice(&text);
    text.len()
}

/// Columns of days.
pub(super) struct Dates<'a>(pub(super) &'a [i32]);

impl Kernel for Dates<'_> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        date(self.0[row].into(), slot)
    }

    #[inline(always)]
    fn fill(&self, rows: Range<usize>, cells: &mut Cells) {
        let first_row = rows.start;
        let values = &self.0[rows];
        let mut days = [0; BLOCK];
        let mut all_near = true;
        for (&value, days) in values.iter().zip(&mut days) {
            let near = days_from_march(value.into());
            all_near &= near.is_some();
            *days = near.unwrap_or_default();
        }
        let (mut firsts, mut seconds) = ([0; BLOCK], [0; BLOCK]);
        for index in 0..BLOCK {
            (firsts[index], seconds[index]) = date_words(days[index]);
        }
        for index in 0..values.len() {
            let slot = cells.slot(index);
            *part(slot, 0) = firsts[index].to_le_bytes();
            *part(slot, 8) = (seconds[index] as u32 | u32::from(b'"') << 24).to_le_bytes();
            let length = if all_near {
                12
            } else {
                self.write(first_row + index, slot)
            };
            cells.set(index, length);
        }
    }
}

/// Columns of times of day, in units of so many nanoseconds.
pub(super) struct Times<'a, T, const NANOS: i64>(pub(super) &'a [T]);

impl<T: Copy + Into<i64>, const NANOS: i64> Kernel for Times<'_, T, NANOS> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        time_of_day(self.0[row].into() * NANOS, slot)
    }
}

/// Columns of timestamps, in units of which a second has so many.
pub(super) struct Timestamps<'a, const PER_SECOND: i64> {
    values: &'a [i64],
    zoned: bool,
    form: options::Timestamps,
}

impl<'a, const PER_SECOND: i64> Timestamps<'a, PER_SECOND> {
    pub(super) fn new(values: &'a [i64], is_utc: bool, json: JsonOptions) -> Self {
        Self {
            values,
            zoned: is_utc || json.local_timestamps == LocalTimestamps::Utc,
            form: json.timestamps,
        }
    }
}

impl<const PER_SECOND: i64> Timestamps<'_, PER_SECOND> {
    /// Writes values whose years all have four digits; says if they have not.
    #[inline(always)]
    fn fill_near(&self, rows: Range<usize>, cells: &mut Cells) -> bool {
        let values = &self.values[rows];
        let (mut days, mut seconds, mut nanos) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        let mut all_near = true;
        for (index, &value) in values.iter().enumerate() {
            let per_day = PER_SECOND * SECONDS_PER_DAY;
            let near = days_from_march(value.div_euclid(per_day));
            all_near &= near.is_some();
            days[index] = near.unwrap_or_default();
            let of_day = value.rem_euclid(per_day) as u64;
            let per_second = PER_SECOND as u64;
            seconds[index] = (of_day / per_second) as u32;
            nanos[index] = (of_day % per_second * (1_000_000_000 / per_second)) as u32;
        }
        if !all_near {
            return false;
        }
        let (mut words, mut lengths) = ([[0; BLOCK]; 4], [0; BLOCK]);
        for index in 0..BLOCK {
            let text = instant_words(days[index], seconds[index], nanos[index], self.zoned);
            [
                words[0][index],
                words[1][index],
                words[2][index],
                words[3][index],
            ] = text.0;
            lengths[index] = text.1;
        }
        for index in 0..values.len() {
            let text = words.each_ref().map(|words| words[index]);
            let length = put_words((text, lengths[index]), cells.slot(index));
            cells.set(index, length);
        }
        true
    }
}

impl<const PER_SECOND: i64> Kernel for Timestamps<'_, PER_SECOND> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        let per_day = PER_SECOND * SECONDS_PER_DAY;
        let value = self.values[row];
        if self.form == options::Timestamps::EpochMillis {
            return signed(value.div_euclid(PER_SECOND / 1000), slot);
        }
        let days = value.div_euclid(per_day);
        let nanos = value.rem_euclid(per_day) * (NANOS_PER_DAY / per_day);
        instant(days, nanos, self.zoned, slot)
            .unwrap_or_else(|| far_instant(Instant { days, nanos }, self.zoned, slot))
    }

    #[inline(always)]
    fn fill(&self, rows: Range<usize>, cells: &mut Cells) {
        if self.form == options::Timestamps::EpochMillis || !self.fill_near(rows.clone(), cells) {
            for (index, row) in rows.enumerate() {
                let length = self.write(row, cells.slot(index));
                cells.set(index, length);
            }
        }
    }
}

/// Columns of INT96 timestamps: days and nanoseconds of the day. Years of more
/// digits may not fit in a slot.
pub(super) fn int96(values: &[IntervalMonthDayNano], json: JsonOptions) -> Kind<'_> {
    let is_near = |value: &IntervalMonthDayNano| days_from_march(value.days.into()).is_some();
    if values.iter().all(is_near) {
        Kind::short(Int96(values, json))
    } else {
        Kind::other(FarInt96(values, json))
    }
}

struct Int96<'a>(&'a [IntervalMonthDayNano], JsonOptions);

impl Kernel for Int96<'_> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        let IntervalMonthDayNano {
            days, nanoseconds, ..
        } = self.0[row];
        match self.1.timestamps {
            options::Timestamps::EpochMillis => {
                let millis = nanoseconds / NANOS_PER_MILLI;
                signed(i64::from(days) * MILLIS_PER_DAY + millis, slot)
            }
            options::Timestamps::Iso => {
                instant(days.into(), nanoseconds, true, slot).expect("the years are near")
            }
        }
    }
}

struct FarInt96<'a>(&'a [IntervalMonthDayNano], JsonOptions);

impl Write for FarInt96<'_> {
    fn write(&self, row: usize, out: &mut Out) {
        let value = self.0[row];
        let instant = Instant {
            days: value.days.into(),
            nanos: value.nanoseconds,
        };
        let mut text = Vec::new();
        instant.write(true, self.1, &mut text);
        out.put(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Slot) -> usize) -> String {
        let mut out = [0; 32];
        let end = write(&mut out);
        String::from_utf8(out[..end].to_vec()).unwrap()
    }

    #[test]
    fn every_day_of_years_0_to_9999_and_some_beyond_is_the_reference_s() {
        for days in -720_000..2_934_000 {
            let mut expected = vec![b'"'];
            write_date(days, &mut expected);
            expected.push(b'"');
            let ours = text(|out| date(days, out));
            assert_eq!(ours.as_bytes(), expected);
        }
    }

    fn is_the_reference_s<const PER_SECOND: i64>(value: i64) {
        for form in [options::Timestamps::Iso, options::Timestamps::EpochMillis] {
            for local_timestamps in [LocalTimestamps::Utc, LocalTimestamps::NoZone] {
                let json = JsonOptions {
                    timestamps: form,
                    local_timestamps,
                    ..JsonOptions::default()
                };
                let mut expected = Vec::new();
                let zoned = local_timestamps == LocalTimestamps::Utc;
                Instant::new(value, PER_SECOND * SECONDS_PER_DAY).write(zoned, json, &mut expected);
                let values = [value];
                let ours = Timestamps::<PER_SECOND>::new(&values, false, json);
                assert_eq!(text(|slot| ours.write(0, slot)).as_bytes(), expected);
            }
        }
    }

    #[test]
    fn instants_of_every_unit_are_the_reference_s() {
        let mut random = fastrand::Rng::with_seed(3);
        let values = (0..200_000).map(|round| random.i64(..) >> (round % 40));
        for value in values.chain([i64::MIN, i64::MAX, 0, -1]) {
            is_the_reference_s::<1_000>(value);
            is_the_reference_s::<1_000_000>(value);
            is_the_reference_s::<1_000_000_000>(value);
        }
    }
}
