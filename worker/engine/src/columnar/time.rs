//! Dates and times of day. Years outside 0..=9999 are left to the reference's
//! calendar.

use std::ops::Range;

use super::calendar::{civil, clock, date_words, days_from_march};
use super::column::Kernel;
use super::digits::{ASCII_ZEROS, eight_digits_of_block, eight_digits_of_many, part};
use super::raw::{BLOCK, Cells, Slot, Work, vectorised};
use crate::render::write_date;

/// Writes `"2021-01-31"`.
#[inline(always)]
fn put_date(days_from_march: u32, out: &mut Slot) {
    let (first, second) = date_words(eight_digits_of_many(civil(days_from_march)));
    *part(out, 0) = first.to_le_bytes();
    *part(out, 8) = (second as u32 | u32::from(b'"') << 24).to_le_bytes();
}

/// Writes `01:02:03`.
#[inline(always)]
fn put_clock(seconds: u32, out: &mut [u8; 8]) {
    let digits = (eight_digits_of_many(clock(seconds)) + ASCII_ZEROS).to_le_bytes();
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

/// Whole seconds and the nanoseconds below.
#[inline(always)]
pub(super) fn split_seconds(nanos_of_day: i64) -> (u32, u32) {
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

/// Columns of days.
pub(super) struct Dates<'a>(pub(super) &'a [i32]);

impl Kernel for Dates<'_> {
    const ANY_VALUE: bool = true;

    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        date(self.0[row].into(), slot)
    }

    fn fill(&self, rows: Range<usize>, cells: &mut Cells) {
        let mut texts = DateTexts::default();
        vectorised(Spell(&self.0[rows.clone()], &mut texts));
        if texts.all_near {
            cells.fill_words(&texts.words, &[12; BLOCK]);
            return;
        }
        for (index, row) in rows.enumerate() {
            let length = self.write(row, cells.slot(index));
            cells.set(index, length);
        }
    }
}

#[derive(Default)]
struct DateTexts {
    words: [[u64; BLOCK]; 2],
    all_near: bool,
}

struct Spell<'a>(&'a [i32], &'a mut DateTexts);

impl Work for Spell<'_> {
    #[inline(always)]
    fn run(self) {
        let Self(values, texts) = self;
        let mut block = [0; BLOCK];
        block[..values.len()].copy_from_slice(values);
        let mut days = [0; BLOCK];
        texts.all_near = true;
        for (days, value) in days.iter_mut().zip(block) {
            let near = days_from_march(value.into());
            texts.all_near &= near.is_some();
            *days = civil(near.unwrap_or_default());
        }
        for (index, civil) in eight_digits_of_block(&days).into_iter().enumerate() {
            let (start, end) = date_words(civil);
            texts.words[0][index] = start;
            texts.words[1][index] = end | u64::from(b'"') << 24;
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
}
