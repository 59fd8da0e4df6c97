use super::*;

pub(in crate::columnar) fn interesting() -> impl Iterator<Item = u64> {
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

fn divides<const DIVISOR: i64>(value: i64) {
    let quotient = value.div_euclid(DIVISOR);
    if let Ok(quotient) = i32::try_from(quotient) {
        let expected = (quotient, value.rem_euclid(DIVISOR));
        assert_eq!(divide_of_many::<DIVISOR>(value), expected, "{value}");
    }
}

#[test]
fn values_are_divided_exactly_although_by_floats() {
    let mut random = fastrand::Rng::with_seed(5);
    let multiples = (0..100_000).flat_map(|_| {
        let units = i64::from(random.i32(..));
        [100_000_000, 86_400_000, 86_400_000_000, 1_000_000_000]
            .into_iter()
            .flat_map(move |unit| {
                [-1, 0, 1].map(|near| units.saturating_mul(unit).saturating_add(near))
            })
    });
    let any: Vec<i64> = multiples.collect();
    let shifted = (0..400_000).map(|round| random.i64(..) >> (round % 60));
    for value in any.into_iter().chain(shifted) {
        divides::<100_000_000>(value);
        divides::<86_400_000>(value);
        divides::<86_400_000_000>(value);
        divides::<86_400_000_000_000>(value);
        divides::<1_000_000>(value);
        divides::<1_000_000_000>(value);
    }
    for value in interesting() {
        const UNIT: u64 = EIGHT_DIGITS * EIGHT_DIGITS;
        let expected = ((value / UNIT) as u32, value % UNIT);
        assert_eq!(split_high_of_many(value), expected);
    }
}

#[test]
fn every_number_of_eight_digits_splits_exactly() {
    // All lanes see every value they can hold.
    for value in (0..10_000).chain((0..10_000).map(|four| four * 10_000 + 9_999)) {
        let text = (eight_digits(value) + ASCII_ZEROS).to_le_bytes();
        assert_eq!(text, *format!("{value:08}").as_bytes());
        assert_eq!(eight_digits_of_many(value), eight_digits(value));
        let length = length_of_many(value);
        let text = &text_of_many(eight_digits(value), length).to_le_bytes()[..length as usize];
        assert_eq!(text, value.to_string().as_bytes());
    }
}
