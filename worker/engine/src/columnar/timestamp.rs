//! Timestamps of all units, and those that parquet keeps as INT96.

use std::ops::Range;

use arrow_buffer::IntervalMonthDayNano;

use super::calendar::{
    InstantDigits, Words, civil, clock, days_from_march, digits_below_millis, instant_words,
};
use super::column::{Kernel, Kind, Write};
use super::digits::{divide_of_many, eight_digits_of_block, eight_digits_of_many, part, signed};
use super::raw::{BLOCK, Cells, Out, Slot, Work, vectorised};
use super::time::split_seconds;
use crate::options::{self, JsonOptions, LocalTimestamps};
use crate::render::Instant;

const MILLIS_PER_DAY: i64 = 86_400_000;
const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_MILLI: i64 = 1_000_000;
const NANOS_PER_DAY: i64 = MILLIS_PER_DAY * NANOS_PER_MILLI;

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
    let digits = InstantDigits {
        civil: eight_digits_of_many(civil(days_from_march)),
        clock: eight_digits_of_many(clock(seconds)),
        fraction: eight_digits_of_many(nanos / 10),
        last: u64::from(nanos % 10),
        below_millis: digits_below_millis(nanos).into(),
    };
    Some(put_words(instant_words(digits, zoned), out))
}

#[cold]
#[inline(never)]
fn far_instant(instant: Instant, zoned: bool, out: &mut Slot) -> usize {
    let mut text = Vec::new();
    instant.write(zoned, JsonOptions::default(), &mut text);
    out[..text.len()].copy_from_slice(&text);
    text.len()
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
    fn fill_near(&self, rows: Range<usize>, cells: &mut Cells) -> bool {
        let mut texts = Texts::default();
        let values = &self.values[rows];
        vectorised(Spell::<PER_SECOND>(values, self.zoned, &mut texts));
        if texts.all_near {
            cells.fill_words(&texts.words, &texts.lengths);
        }
        texts.all_near
    }
}

#[derive(Default)]
struct Texts {
    words: [[u64; BLOCK]; 4],
    lengths: [u8; BLOCK],
    all_near: bool,
}

struct Spell<'a, const PER_SECOND: i64>(&'a [i64], bool, &'a mut Texts);

impl<const PER_SECOND: i64> Work for Spell<'_, PER_SECOND> {
    #[inline(always)]
    fn run(self) {
        let Self(values, zoned, texts) = self;
        let mut block = [0; BLOCK];
        block[..values.len()].copy_from_slice(values);
        // One loop for each width of numbers: a vector then is full of them.
        let (mut days, mut seconds, mut nanos) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        texts.all_near = true;
        for (index, value) in block.into_iter().enumerate() {
            let (near, day, of_day) = split_days::<PER_SECOND>(value);
            texts.all_near &= near;
            let (second, rest) = split_second::<PER_SECOND>(of_day);
            (days[index], seconds[index]) = (day, second);
            nanos[index] = rest * (1_000_000_000 / PER_SECOND) as u32;
        }
        let mut below_millis = [0; BLOCK];
        for index in 0..BLOCK {
            days[index] = civil(days[index]);
            seconds[index] = clock(seconds[index]);
            below_millis[index] = digits_below_millis(nanos[index]);
        }
        let tens = nanos.map(|nanos| nanos / 10);
        let civil = eight_digits_of_block(&days);
        let clock = eight_digits_of_block(&seconds);
        let fraction = eight_digits_of_block(&tens);
        for index in 0..BLOCK {
            let digits = InstantDigits {
                civil: civil[index],
                clock: clock[index],
                fraction: fraction[index],
                last: (nanos[index] - 10 * tens[index]).into(),
                below_millis: below_millis[index].into(),
            };
            let (words, length) = instant_words(digits, zoned);
            for (all, word) in texts.words.iter_mut().zip(words) {
                all[index] = word;
            }
            texts.lengths[index] = length as u8;
        }
    }
}

/// The day of an instant, counted from March, and what is left of it; and
/// whether its year has four digits. If not, it is another day.
#[inline(always)]
fn split_days<const PER_SECOND: i64>(value: i64) -> (bool, u32, i64) {
    let (day, of_day) = match PER_SECOND {
        1_000 => divide_of_many::<MILLIS_PER_DAY>(value),
        1_000_000 => divide_of_many::<{ 1000 * MILLIS_PER_DAY }>(value),
        _ => divide_of_many::<NANOS_PER_DAY>(value),
    };
    // More days than the quotient has bits for are so many years as well.
    let per_day = PER_SECOND * SECONDS_PER_DAY;
    let is_counted = value.unsigned_abs() < per_day.unsigned_abs().saturating_mul(4_000_000);
    match days_from_march(day.into()) {
        Some(day) if is_counted => (true, day, of_day),
        _ => (false, 0, 0),
    }
}

/// The second of a day, and what is left of it.
#[inline(always)]
fn split_second<const PER_SECOND: i64>(of_day: i64) -> (u32, u32) {
    let (second, rest) = match PER_SECOND {
        1_000 => divide_of_many::<1_000>(of_day),
        1_000_000 => divide_of_many::<1_000_000>(of_day),
        _ => divide_of_many::<1_000_000_000>(of_day),
    };
    (second.cast_unsigned(), rest as u32)
}

impl<const PER_SECOND: i64> Kernel for Timestamps<'_, PER_SECOND> {
    const ANY_VALUE: bool = true;

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
                let mut out = [0; 32];
                let length = ours.write(0, &mut out);
                assert_eq!(out[..length], expected);
                let mut cells = Cells::new(b"");
                ours.fill(0..1, &mut cells);
                assert_eq!(cells.get(0), expected);
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
