//! Which instructions the processor has, and code compiled for each of them.

use std::sync::OnceLock;

/// A set of instructions that the processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::columnar) struct Level(Set);

/// A set of instructions that some code here is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// What every processor of the target has.
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    pub(in crate::columnar) const BASELINE: Self = Self(Set::Baseline);

    #[inline(always)]
    pub(super) fn set(self) -> Set {
        self.0
    }

    /// The best that this processor has.
    #[inline]
    pub(in crate::columnar) fn best() -> Self {
        // Asked for every block of every column, and nine questions are many.
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(Self::detect)
    }

    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && Self::has_avx2()
            {
                return Self(Set::Avx512);
            }
            if Self::has_avx2() {
                return Self(Set::Avx2);
            }
        }
        Self::BASELINE
    }

    #[cfg(target_arch = "x86_64")]
    fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
    }

    /// All levels that this processor has, for tests.
    #[cfg(test)]
    pub(in crate::columnar) fn all() -> Vec<Self> {
        let mut levels = vec![Self::BASELINE];
        #[cfg(target_arch = "x86_64")]
        {
            let best = Self::best();
            if best != Self::BASELINE {
                levels.push(Self(Set::Avx2));
            }
            if best == Self(Set::Avx512) {
                levels.push(Self(Set::Avx512));
            }
        }
        levels
    }
}

/// Work that gains from being compiled for a level of its own. What it calls
/// must be inlined into it to be compiled with it.
pub(in crate::columnar) trait Work {
    /// Does the work; to be marked `#[inline(always)]`.
    fn run(self);
}

/// Does `work` with the instructions of this processor.
#[inline]
pub(in crate::columnar) fn vectorised(work: impl Work) {
    match Level::best().set() {
        Set::Baseline => work.run(),
        // SAFETY: the level says that the processor has the instructions.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512(work) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn avx2(work: impl Work) {
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt")]
fn avx512(work: impl Work) {
    work.run();
}
