//! Days and times of day as ISO 8601 text, for every value the formats can
//! hold: the proleptic Gregorian calendar without a limit on years.

const NANOS_PER_SECOND: i64 = 1_000_000_000;
pub(super) const NANOS_PER_DAY: i64 = 86_400 * NANOS_PER_SECOND;

/// How many fraction digits a time of day gets at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fraction {
    /// None if the value has none, else 3, 6 or 9.
    AsNeeded,
    /// 3, and 6 or 9 if the value needs them.
    AtLeastMillis,
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Counts in eras of 400 years that begin on 1 March, so that the leap day is
/// the last day of a year; exact over the whole range.
fn civil(days: i64) -> (i64, u8, u8) {
    const DAYS_PER_ERA: i64 = 146_097;
    const DAYS_FROM_0000_03_01_TO_EPOCH: i64 = 719_468;

    let shifted = days + DAYS_FROM_0000_03_01_TO_EPOCH;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, small(month), small(day))
}

fn small(value: i64) -> u8 {
    u8::try_from(value).expect("months and days are below 32")
}

/// Writes `2021-01-31`. Years beyond 9999 and before 0 get a sign, as in ISO
/// 8601's expanded form: `+12021-01-31`.
pub(crate) fn write_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    if year > 9999 {
        out.push(b'+');
    } else if year < 0 {
        out.push(b'-');
    }
    write_padded(year.unsigned_abs(), 4, out);
    out.push(b'-');
    write_padded(month.into(), 2, out);
    out.push(b'-');
    write_padded(day.into(), 2, out);
}

/// Writes `01:02:03` and the fraction; `nanos` is within one day.
pub(super) fn write_time(nanos: i64, fraction: Fraction, out: &mut Vec<u8>) {
    let seconds = (nanos / NANOS_PER_SECOND).unsigned_abs();
    write_padded(seconds / 3600, 2, out);
    out.push(b':');
    write_padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    write_padded(seconds % 60, 2, out);
    let below_second = (nanos % NANOS_PER_SECOND).unsigned_abs();
    let (value, digits) = if !below_second.is_multiple_of(1000) {
        (below_second, 9)
    } else if !below_second.is_multiple_of(1_000_000) {
        (below_second / 1000, 6)
    } else if below_second != 0 || fraction == Fraction::AtLeastMillis {
        (below_second / 1_000_000, 3)
    } else {
        return;
    };
    out.push(b'.');
    write_padded(value, digits, out);
}

/// Writes `value` with leading zeros up to `width` digits.
fn write_padded(mut value: u64, width: usize, out: &mut Vec<u8>) {
    const MAX_DIGITS: usize = 20;
    let mut digits = [b'0'; MAX_DIGITS];
    let mut start = MAX_DIGITS;
    while value > 0 {
        start -= 1;
        digits[start] = b'0' + u8::try_from(value % 10).expect("a digit is below 10");
        value /= 10;
    }
    out.extend_from_slice(&digits[start.min(MAX_DIGITS - width)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i64) -> String {
        let mut out = Vec::new();
        write_date(days, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn time(nanos: i64, fraction: Fraction) -> String {
        let mut out = Vec::new();
        write_time(nanos, fraction, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_days() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(-719_162), "0001-01-01");
        assert_eq!(date(-719_163), "0000-12-31");
        assert_eq!(date(-719_529), "-0001-12-31");
        assert_eq!(date(2_932_896), "9999-12-31");
        assert_eq!(date(2_932_897), "+10000-01-01");
        assert_eq!(date(i64::from(i32::MAX)), "+5881580-07-11");
        assert_eq!(date(i64::from(i32::MIN)), "-5877641-06-23");
    }

    /// Every day of years 1 to 9999 against a calendar that counts day by day.
    #[test]
    fn every_day_of_four_digit_years_follows_the_previous_one() {
        let mut days = -719_162;
        for year in 1..=9999_i64 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                for day in 1..=length {
                    assert_eq!(civil(days), (year, month, day));
                    days += 1;
                }
            }
        }
    }

    #[test]
    fn fractions_have_as_many_digits_as_the_value_needs() {
        assert_eq!(time(0, Fraction::AsNeeded), "00:00:00");
        assert_eq!(time(0, Fraction::AtLeastMillis), "00:00:00.000");
        assert_eq!(
            time(NANOS_PER_DAY - 1, Fraction::AsNeeded),
            "23:59:59.999999999"
        );
        assert_eq!(
            time(3_723_000_004_000, Fraction::AsNeeded),
            "01:02:03.000004"
        );
        assert_eq!(
            time(3_723_040_000_000, Fraction::AtLeastMillis),
            "01:02:03.040"
        );
    }
}
