//! Sizes of the parts of an upload whose length nobody knows beforehand.

const MIB: usize = 1 << 20;

/// Most parts that S3 takes.
pub(super) const MAX_PARTS: u32 = 10_000;

/// Parts of one size before the size doubles.
const PARTS_PER_SIZE: u32 = 1000;

/// Parts of a quarantine, on their way and being filled, in bytes: what is set
/// aside for it, without the chunks in the channel.
const SIDE_BYTES: usize = 14 * MIB;

/// What an upload is of.
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

    /// The cut of an upload by a conversion that has memory for `slot_bytes` of
    /// parts on their way, and a first part being filled.
    pub(super) fn cut(self, slot_bytes: usize) -> Cut {
        let first_bytes = self.first_bytes();
        let memory_bytes = match self {
            PartSizes::Output => slot_bytes.saturating_add(first_bytes),
            PartSizes::Side => SIDE_BYTES,
        };
        Cut {
            first_bytes,
            memory_bytes: memory_bytes.max(2 * first_bytes),
        }
    }
}

/// How an upload is cut within the memory for it. The sizes depend on that and the
/// number of a part alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    first_bytes: usize,
    /// Memory for all parts, those on their way and the one being filled.
    memory_bytes: usize,
}

impl Cut {
    /// Size of part `number` (from 1) in bytes: small at first, so that little
    /// memory is needed, and growing, so that 10,000 parts hold as much as they
    /// can with one of them on its way while the next is filled.
    pub(super) fn part_bytes(self, number: u32) -> usize {
        let doublings = number.saturating_sub(1) / PARTS_PER_SIZE;
        self.first_bytes
            .saturating_mul(1 << doublings.min(16))
            .min(self.largest_bytes())
    }

    /// Size of the largest parts in bytes.
    pub(super) fn largest_bytes(self) -> usize {
        self.memory_bytes / 2
    }

    /// How many parts of `size` bytes may be on their way while another is filled.
    pub(super) fn in_flight(self, size: usize) -> usize {
        (self.memory_bytes / size.max(1)).saturating_sub(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_as_far_as_the_memory_for_them_goes() {
        for (sizes, slot, memory) in [
            (PartSizes::Output, 32 * MIB, 48 * MIB),
            (PartSizes::Output, 100 * MIB, 116 * MIB),
            (PartSizes::Output, 256 * MIB, 272 * MIB),
            (PartSizes::Side, 256 * MIB, 14 * MIB),
        ] {
            let cut = sizes.cut(slot);
            let mut before = 0;
            for number in 1..=MAX_PARTS {
                let size = cut.part_bytes(number);
                assert!(size >= before, "part {number} of {cut:?}");
                assert!(
                    size * (cut.in_flight(size) + 1) <= memory,
                    "part {number} of {cut:?}"
                );
                before = size;
            }
            assert_eq!(cut.part_bytes(1000), sizes.first_bytes());
            assert_eq!(before, memory / 2);
        }
    }

    #[test]
    fn a_conversion_of_much_memory_may_write_a_tebibyte() {
        let cut = PartSizes::Output.cut(256 * MIB);
        assert_eq!(cut.in_flight(cut.part_bytes(1)), 16);
        let sizes = (1..=MAX_PARTS).map(|number| cut.part_bytes(number) as u64);
        let total: u64 = sizes.sum();
        assert!(total > 1 << 40, "{total}");
    }
}
