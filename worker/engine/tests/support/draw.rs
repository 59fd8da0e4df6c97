//! Choices, drawn from bytes that a fuzzer has thought of and, when those are
//! used up, from a generator that the same bytes have seeded: every input means
//! one case, the empty one too, and a test's seed is an input.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::hash::{DefaultHasher, Hash, Hasher};

use fastrand::Rng;

pub(crate) struct Draw<'a> {
    bytes: &'a [u8],
    rest: Rng,
}

impl<'a> Draw<'a> {
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let rest = Rng::with_seed(hasher.finish());
        Self { bytes, rest }
    }

    pub(crate) fn from_seed(seed: u64) -> Draw<'static> {
        Draw {
            bytes: &[],
            rest: Rng::with_seed(seed),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        if let Some((head, tail)) = self.bytes.split_at_checked(N) {
            out.copy_from_slice(head);
            self.bytes = tail;
        } else {
            self.bytes = &[];
            self.rest.fill(&mut out);
        }
        out
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }

    pub(crate) fn i128(&mut self) -> i128 {
        i128::from_le_bytes(self.array())
    }

    /// A number of any magnitude, small ones as likely as large ones.
    pub(crate) fn long(&mut self) -> i64 {
        match self.byte() {
            0..16 => [0, 1, -1, i64::MAX, i64::MIN][self.below(5)],
            shift => self.i64() >> (shift % 64),
        }
    }

    /// A number from 0 to `end`, which is excluded and not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end <= 256 {
            usize::from(self.byte()) % end
        } else {
            u32::from_le_bytes(self.array()) as usize % end
        }
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Whether a thing happens that does in one of `n` cases.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn choose<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// The bytes not used yet.
    pub(crate) fn remaining(&self) -> &'a [u8] {
        self.bytes
    }
}
