//! When an EtlJob tries again.

use etl_contract::Category;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::formats::quantity;

/// When to try again after a failed attempt.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryPolicy {
    /// Charged failures before the run is given up, 1 to 100. Default 3.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// Delay between attempts.
    pub backoff: Backoff,
    /// What to do about some categories of failures; the first rule that names
    /// the category counts. Default: each category's own action.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub rules: Vec<RetryRule>,
    /// More memory for the attempts that follow an OutOfMemory. Default: the
    /// same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryGrowth>,
}

/// What to do about some categories of failures.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.action == 'Retry' || !(has(self.maxAttempts) || has(self.backoff))").message("retryPolicy.rules[].maxAttempts and backoff are for action: Retry"))]
pub struct RetryRule {
    /// Categories that the rule is about. Example: [Throttled, Unavailable].
    #[schemars(schema_with = "categories")]
    pub categories: Vec<Category>,
    /// Retry makes another attempt and charges the failure; Fail ends the run.
    pub action: RetryAction,
    /// Charged failures of the run at which such a failure ends it, 1 to 100.
    /// Default: retryPolicy.maxAttempts. Example: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: Option<u32>,
    /// Delay after such a failure. Default: retryPolicy.backoff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetryAction {
    /// Another attempt, charged.
    Retry,
    /// The run ends.
    Fail,
}

/// How the memory of an attempt grows after one that had too little.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryGrowth {
    /// Growth of the memory limit per OutOfMemory, 2 to 10. Default 2.
    #[serde(default = "growth")]
    #[schemars(range(min = 2, max = 10))]
    pub factor: u32,
    /// Greatest memory limit. Example: 8Gi.
    #[schemars(schema_with = "quantity")]
    pub max: IntOrString,
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
            rules: Vec::new(),
            memory: None,
        }
    }
}

fn growth() -> u32 {
    2
}

/// All but those that only a request or a newer run leads to.
fn categories(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = Category::ALL
        .iter()
        .filter(|category| !matches!(category, Category::Superseded | Category::Cancelled))
        .map(|category| category.as_str())
        .collect();
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": names.len(),
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "enum": names }
    })
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
