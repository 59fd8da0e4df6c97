//! When an EtlJob tries again.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When to try again after a failed attempt.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryPolicy {
    /// Charged failures before the run is given up, 1 to 100. Default 3.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// Delay between attempts.
    pub backoff: Backoff,
}

/// Delay before the attempt that follows failure n:
/// min(initialSeconds x factor^(n-1), maxSeconds), lengthened by a part of
/// jitterPercent that is fixed by uid, run and n.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.maxSeconds >= self.initialSeconds").message("retryPolicy.backoff.maxSeconds must be at least initialSeconds"))]
pub struct Backoff {
    /// Delay after the first failure, in seconds, 0 to 86400. Default 10.
    #[schemars(range(min = 0, max = 86_400))]
    #[serde(default = "initial_seconds")]
    pub initial_seconds: u32,
    /// Growth per further failure, 1 to 10. Default 2.
    #[schemars(range(min = 1, max = 10))]
    #[serde(default = "factor")]
    pub factor: u32,
    /// Longest delay in seconds before jitter, 0 to 86400. Default 600.
    #[schemars(range(min = 0, max = 86_400))]
    #[serde(default = "max_seconds")]
    pub max_seconds: u32,
    /// Largest lengthening, in percent, 0 to 100. Default 20.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default = "jitter_percent")]
    pub jitter_percent: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff::default(),
        }
    }
}

// The schema of a type with rules takes its defaults field by field.
fn initial_seconds() -> u32 {
    10
}

fn factor() -> u32 {
    2
}

fn max_seconds() -> u32 {
    600
}

fn jitter_percent() -> u32 {
    20
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial_seconds: initial_seconds(),
            factor: factor(),
            max_seconds: max_seconds(),
            jitter_percent: jitter_percent(),
        }
    }
}
