//! Decimals; their scale is kept.

use arrow_array::types::DecimalType;
use arrow_array::{Decimal128Array, PrimitiveArray};

use super::column::{Kernel, Kind, Write};
use super::digits::{EIGHT_DIGITS, part, put_eight, quote, unsigned};
use super::raw::{Out, Slot};
use crate::options::Decimals;

/// The most digits behind the point that [`decimal`] takes.
const MAX_SCALE: u32 = 16;

/// Columns of decimals of at most 38 digits.
pub(super) fn narrow(values: &Decimal128Array, decimals: Decimals) -> Kind<'_> {
    let scale = u32::try_from(values.scale()).unwrap_or(u32::MAX);
    let fits = |value: &i128| u64::try_from(value.unsigned_abs()).is_ok();
    if scale > MAX_SCALE || !values.values().iter().all(fits) {
        return Kind::other(Wide(values, decimals));
    }
    Kind::short(Narrow {
        values: values.values(),
        scale,
        one: 10_u64.pow(scale),
        decimals,
    })
}

/// Decimals whose digits fit in a 64-bit integer.
struct Narrow<'a> {
    values: &'a [i128],
    /// Digits behind the point, and ten to the power of them.
    scale: u32,
    one: u64,
    decimals: Decimals,
}

impl Kernel for Narrow<'_> {
    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        let value = self.values[row];
        // Its high half is only a sign.
        let magnitude = value.unsigned_abs() as u64;
        let length = decimal(value < 0, magnitude, self.scale, self.one, slot);
        match self.decimals {
            Decimals::Number => length,
            Decimals::String => quote(length, slot),
        }
    }
}

/// Decimals of any size, as Arrow prints them.
pub(super) struct Wide<'a, T: DecimalType>(pub(super) &'a PrimitiveArray<T>, pub(super) Decimals);

impl<T: DecimalType> Write for Wide<'_, T> {
    fn write(&self, row: usize, out: &mut Out) {
        let text = self.0.value_as_string(row);
        match self.1 {
            Decimals::Number => out.put(text.as_bytes()),
            Decimals::String => out.put_text(text.as_bytes()),
        }
    }
}

/// Writes `magnitude / one` with as many digits behind the point as `one`, a
/// power of ten, has zeros (`scale`); returns the length.
#[inline(always)]
pub(super) fn decimal(
    negative: bool,
    magnitude: u64,
    scale: u32,
    one: u64,
    out: &mut Slot,
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
    use super::super::digits::tests::interesting;
    use super::*;

    #[test]
    fn decimals_keep_their_scale() {
        for scale in 0..=MAX_SCALE {
            let one = 10_u64.pow(scale);
            for value in interesting() {
                let mut out = [b'x'; 32];
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
