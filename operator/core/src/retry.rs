//! When the next attempt starts.

use etl_api::Backoff;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

/// Delay after charged failure `failures` (from 1) of a run:
/// `min(initial x factor^(n-1), max) x (1 + jitter x hash01(uid, run, n))`.
///
/// The jitter is a hash, not a draw, so that a restarted operator or a repeated
/// pass comes to the same time.
pub fn delay(backoff: &Backoff, uid: &str, run: u32, failures: u32) -> SignedDuration {
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = (f64::from(backoff.initial_seconds) * f64::from(backoff.factor).powi(exponent))
        .min(f64::from(backoff.max_seconds));
    let jitter = f64::from(backoff.jitter_percent) / 100.0 * hash01(uid, run, failures);
    SignedDuration::from_millis((seconds * (1.0 + jitter) * 1000.0).round() as i64)
}

/// `now` cut to milliseconds, the precision of times in status.
pub(crate) fn millis(now: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// A number in [0, 1) that depends on its arguments alone.
fn hash01(uid: &str, run: u32, failures: u32) -> f64 {
    let digest = Sha256::digest(format!("{uid}/{run}/{failures}"));
    let bits = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(backoff: &Backoff, failures: u32) -> f64 {
        delay(backoff, "uid", 1, failures).as_secs_f64()
    }

    #[test]
    fn without_jitter_the_delay_doubles_up_to_its_maximum() {
        let backoff = Backoff {
            jitter_percent: 0,
            max_seconds: 60,
            ..Backoff::default()
        };
        let delays: Vec<f64> = (1..=5).map(|n| seconds(&backoff, n)).collect();
        assert_eq!(delays, [10.0, 20.0, 40.0, 60.0, 60.0]);
    }

    #[test]
    fn jitter_differs_between_jobs_and_failures_but_not_between_passes() {
        let backoff = Backoff {
            factor: 1,
            jitter_percent: 100,
            ..Backoff::default()
        };
        assert_eq!(delay(&backoff, "a", 1, 1), delay(&backoff, "a", 1, 1));
        assert_ne!(delay(&backoff, "a", 1, 1), delay(&backoff, "b", 1, 1));
        assert_ne!(delay(&backoff, "a", 1, 1), delay(&backoff, "a", 1, 2));
    }

    proptest! {
        #[test]
        fn a_delay_stays_between_its_base_and_base_plus_jitter(
            initial in 0u32..86_400, factor in 1u32..=10, more in 0u32..86_400,
            jitter in 0u32..=100, failures in 1u32..=100,
        ) {
            let backoff = Backoff {
                initial_seconds: initial, factor,
                max_seconds: initial + more, jitter_percent: jitter,
            };
            let plain = seconds(&Backoff { jitter_percent: 0, ..backoff.clone() }, failures);
            let delay = seconds(&backoff, failures);
            prop_assert!(delay >= plain - 0.001);
            prop_assert!(delay <= plain * (1.0 + f64::from(jitter) / 100.0) + 0.001);
            prop_assert!(plain <= f64::from(backoff.max_seconds));
        }
    }
}
