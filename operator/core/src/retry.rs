//! Whether there is another attempt after a failure, when it starts, and with how
//! much memory.

use etl_api::{Backoff, MemoryGrowth, RetryAction, RetryPolicy};
use etl_contract::{Action, Category};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::quantity;

/// What a policy says about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict<'a> {
    pub(crate) action: Action,
    /// Charged failures of the run at which this one ends it.
    pub(crate) max_attempts: u32,
    pub(crate) backoff: &'a Backoff,
    /// Whether a rule says so, and not the category's default.
    pub(crate) by_rule: bool,
}

/// The first rule that names `category`, else its default.
pub(crate) fn verdict(policy: &RetryPolicy, category: Category) -> Verdict<'_> {
    let mut rules = policy.rules.iter();
    let rule = rules.find(|rule| rule.categories.contains(&category));
    Verdict {
        action: match rule.map(|rule| rule.action) {
            None => category.action(),
            Some(RetryAction::Retry) => Action::Retry,
            Some(RetryAction::Fail) => Action::Fail,
        },
        max_attempts: rule
            .and_then(|rule| rule.max_attempts)
            .unwrap_or(policy.max_attempts),
        backoff: rule
            .and_then(|rule| rule.backoff.as_ref())
            .unwrap_or(&policy.backoff),
        by_rule: rule.is_some(),
    }
}

/// Exit codes of workers that end the run, ascending.
pub(crate) fn final_exit_codes(policy: &RetryPolicy) -> Vec<i32> {
    let mut codes: Vec<i32> = Category::ALL
        .iter()
        .filter(|category| verdict(policy, **category).action == Action::Fail)
        .map(|category| i32::from(category.exit_code()))
        .collect();
    codes.sort_unstable();
    codes
}

/// The memory limit, in bytes, after an OutOfMemory under the limit `bytes`.
pub(crate) fn more_memory(growth: &MemoryGrowth, bytes: u64) -> u64 {
    let most = quantity::bytes_of(&growth.max).unwrap_or(bytes);
    bytes
        .saturating_mul(u64::from(growth.factor))
        .min(most)
        .max(bytes)
}

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

    fn policy(rules: serde_json::Value) -> RetryPolicy {
        serde_json::from_value(serde_json::json!({"maxAttempts": 3, "rules": rules})).unwrap()
    }

    #[test]
    fn the_first_rule_that_names_the_category_wins_over_its_default() {
        let policy = policy(serde_json::json!([
            {"categories": ["Throttled"], "action": "Retry", "maxAttempts": 10,
             "backoff": {"initialSeconds": 60}},
            {"categories": ["Throttled", "Unavailable"], "action": "Fail"},
            {"categories": ["BadInput", "Disrupted"], "action": "Retry"},
        ]));
        let of = |category| {
            let verdict = verdict(&policy, category);
            let Verdict {
                action,
                max_attempts,
                backoff,
                by_rule,
            } = verdict;
            (action, max_attempts, backoff.initial_seconds, by_rule)
        };
        assert_eq!(of(Category::Throttled), (Action::Retry, 10, 60, true));
        assert_eq!(of(Category::Unavailable), (Action::Fail, 3, 10, true));
        assert_eq!(of(Category::BadInput), (Action::Retry, 3, 10, true));
        assert_eq!(of(Category::Disrupted), (Action::Retry, 3, 10, true));
        assert_eq!(of(Category::WorkerLost), (Action::Retry, 3, 10, false));
        let codes = final_exit_codes(&policy);
        let code = |category: Category| i32::from(category.exit_code());
        assert!(codes.contains(&code(Category::Unavailable)));
        assert!(!codes.contains(&code(Category::BadInput)));
        assert_eq!(
            final_exit_codes(&RetryPolicy::default()),
            Category::final_exit_codes()
        );
    }

    #[test]
    fn memory_grows_up_to_its_maximum_and_never_shrinks() {
        let growth = |factor, max: &str| MemoryGrowth {
            factor,
            max: k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String(max.into()),
        };
        assert_eq!(more_memory(&growth(2, "4Gi"), 1 << 30), 2 << 30);
        assert_eq!(more_memory(&growth(3, "2Gi"), 1 << 30), 2 << 30);
        assert_eq!(more_memory(&growth(2, "512Mi"), 1 << 30), 1 << 30);
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
