//! Sizes of the parts of an upload whose length nobody knows beforehand.

const MIB: usize = 1 << 20;

/// Most parts that S3 takes.
pub(super) const MAX_PARTS: u32 = 10_000;

/// Parts of one size before the size doubles.
const PARTS_PER_SIZE: u32 = 1000;

/// Largest part in bytes.
const MAX_PART_BYTES: usize = 512 * MIB;

/// How an upload is cut. The sizes depend on the number of a part alone, so that
/// two attempts make the same parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartSizes {
    /// For outputs: as many parts on their way as the conversion has memory for.
    Output,
    /// For what is expected to be small: the smallest parts that S3 takes, one
    /// after the other.
    Side,
}

impl PartSizes {
    /// Size of the first parts in bytes, and the largest object that is written
    /// by a single request: a plain PUT is atomic on every store, so it is worth
    /// a large buffer.
    pub(super) fn first_bytes(self) -> usize {
        match self {
            PartSizes::Output => 16 * MIB,
            PartSizes::Side => 5 * MIB,
        }
    }

    /// Size of part `number` (from 1) in bytes: small at first, so that little
    /// memory is needed, and growing, so that 10,000 parts of an output reach
    /// 3 TiB.
    pub(super) fn part_bytes(self, number: u32) -> usize {
        let doublings = number.saturating_sub(1) / PARTS_PER_SIZE;
        self.first_bytes()
            .saturating_mul(1 << doublings.min(16))
            .min(MAX_PART_BYTES)
    }

    /// Bytes of parts in flight, of a conversion that has memory for `slot_bytes`
    /// of them.
    pub(super) fn in_flight_bytes(self, slot_bytes: usize) -> usize {
        match self {
            PartSizes::Output => slot_bytes,
            PartSizes::Side => self.first_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_until_ten_thousand_hold_three_tebibytes() {
        let sizes = PartSizes::Output;
        assert_eq!(sizes.part_bytes(1), 16 << 20);
        assert_eq!(sizes.part_bytes(1000), 16 << 20);
        assert_eq!(sizes.part_bytes(1001), 32 << 20);
        assert_eq!(sizes.part_bytes(MAX_PARTS), MAX_PART_BYTES);
        let total: u64 = (1..=MAX_PARTS)
            .map(|number| sizes.part_bytes(number) as u64)
            .sum();
        assert!(total > 5 << 39, "{total}");
    }
}
