//! Sizes of the parts of an upload whose length nobody knows beforehand.

/// Size of the first parts in bytes, and the largest object that is written by
/// a single request: a plain PUT is atomic on every store, so it is worth a
/// large buffer.
pub(super) const FIRST_PART_BYTES: usize = 16 << 20;

/// Most parts that S3 takes.
pub(super) const MAX_PARTS: u32 = 10_000;

/// Parts of one size before the size doubles.
const PARTS_PER_SIZE: u32 = 1000;

/// Largest part in bytes.
const MAX_PART_BYTES: usize = 512 << 20;

/// Size of part `number` (from 1) in bytes: small at first, so that little
/// memory is needed, and growing, so that 10,000 parts reach 3 TiB. The sizes
/// depend on the number alone, so that two attempts make the same parts.
pub(super) fn part_bytes(number: u32) -> usize {
    let doublings = number.saturating_sub(1) / PARTS_PER_SIZE;
    FIRST_PART_BYTES
        .saturating_mul(1 << doublings.min(16))
        .min(MAX_PART_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_until_ten_thousand_hold_three_tebibytes() {
        assert_eq!(part_bytes(1), 16 << 20);
        assert_eq!(part_bytes(1000), 16 << 20);
        assert_eq!(part_bytes(1001), 32 << 20);
        assert_eq!(part_bytes(MAX_PARTS), MAX_PART_BYTES);
        let total: u64 = (1..=MAX_PARTS)
            .map(|number| part_bytes(number) as u64)
            .sum();
        assert!(total > 5 << 39, "{total}");
    }
}
