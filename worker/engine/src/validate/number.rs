//! Exact numbers of a schema, in the unit of whatever column they bound.

use arrow_buffer::i256;

/// Digits of the longest number that is read.
const MAX_DIGITS: usize = 38;

/// `unscaled / 10^scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    unscaled: i128,
    scale: u32,
}

impl Number {
    pub(super) const fn new(unscaled: i128, scale: u32) -> Self {
        Self { unscaled, scale }
    }

    /// Reads `-12.50`: a sign, digits, a point with digits behind it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (unsigned, ""),
        };
        let digits = [whole, fraction].concat();
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || digits.len() > MAX_DIGITS || !are_digits {
            return None;
        }
        let magnitude: i128 = digits.parse().ok()?;
        let unscaled = if text.starts_with('-') {
            -magnitude
        } else {
            magnitude
        };
        Some(Self::new(unscaled, fraction.len() as u32))
    }

    pub(super) fn is_whole(&self) -> bool {
        self.unscaled % 10_i128.pow(self.scale) == 0
    }

    /// The least count of `10^-scale` that is not below this number.
    pub(super) fn ceil(&self, scale: u32) -> i256 {
        let one = if self.divides(scale) {
            i256::ZERO
        } else {
            i256::ONE
        };
        self.floor(scale).wrapping_add(one)
    }

    /// The greatest count of `10^-scale` that is not above this number.
    pub(super) fn floor(&self, scale: u32) -> i256 {
        let unscaled = i256::from_i128(self.unscaled);
        match scale.checked_sub(self.scale) {
            Some(up) => power_of_ten(up)
                .and_then(|factor| unscaled.checked_mul(factor))
                .unwrap_or(if self.unscaled < 0 {
                    i256::MIN
                } else {
                    i256::MAX
                }),
            None => {
                let unit = 10_i128.pow(self.scale - scale);
                i256::from_i128(self.unscaled.div_euclid(unit))
            }
        }
    }

    fn divides(&self, scale: u32) -> bool {
        scale >= self.scale || self.unscaled % 10_i128.pow(self.scale - scale) == 0
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        let scale = self.scale.max(other.scale);
        Some(self.floor(scale).cmp(&other.floor(scale)))
    }
}

fn power_of_ten(exponent: u32) -> Option<i256> {
    i256::from_i128(10).checked_pow(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn numbers_are_read_with_their_scale() {
        assert_eq!(number("0"), Number::new(0, 0));
        assert_eq!(number("-0.05"), Number::new(-5, 2));
        assert_eq!(number("+12.50"), Number::new(1250, 2));
        let most = "9".repeat(MAX_DIGITS);
        assert_eq!(number(&most), Number::new(10_i128.pow(38) - 1, 0));
        for text in [
            "", "-", ".5", "5.", "1e3", "1_000", " 1", "--1", "0x10", "NaN", "1.2.3",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse(&"1".repeat(MAX_DIGITS + 1)), None);
    }

    #[test]
    fn limits_are_rounded_towards_the_inside() {
        let of = |text, scale| {
            let number = number(text);
            (
                number.ceil(scale).to_string(),
                number.floor(scale).to_string(),
            )
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(of("1.5", 0), pair("2", "1"));
        assert_eq!(of("-1.5", 0), pair("-1", "-2"));
        assert_eq!(of("2", 0), pair("2", "2"));
        assert_eq!(of("1.5", 3), pair("1500", "1500"));
        assert_eq!(of("-1.2345", 2), pair("-123", "-124"));
    }

    #[test]
    fn a_number_beyond_all_decimals_is_as_large_as_can_be() {
        let most = number(&"9".repeat(MAX_DIGITS));
        assert_eq!(most.floor(76), i256::MAX);
        assert_eq!(
            number(&format!("-{}", "9".repeat(MAX_DIGITS))).ceil(76),
            i256::MIN
        );
    }

    #[test]
    fn numbers_of_different_scales_compare_by_value() {
        assert!(number("1.50") <= number("1.5"));
        assert!(number("1.49") < number("1.5"));
        assert!(number("-2") < number("-1.999"));
        assert!(number("1.0").is_whole() && !number("1.5").is_whole());
    }
}
