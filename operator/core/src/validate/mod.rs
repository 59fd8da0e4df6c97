//! What a spec must satisfy before anything is made from it.
//!
//! Most of this the API server refuses already (CEL); it is checked again
//! because a local run has no API server and an object may be older than a
//! rule. All problems are reported at once.

mod columns;
mod places;

use std::fmt;

use etl_api::{Backoff, EtlJobSpec, RetryAction, RetryRule};
use etl_contract::Category;

use crate::quantity;

/// Which stores a resource may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A cluster: `s3://` only.
    Cluster,
    /// A local run: `s3://` and `file://`.
    Local,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecProblem {
    /// Path of the field, from `spec`.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl fmt::Display for SpecProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Every problem of `spec`; empty when it can be worked on.
pub fn validate(spec: &EtlJobSpec, reach: Reach) -> Vec<SpecProblem> {
    let mut problems = Problems(Vec::new());
    places::source(&mut problems, &spec.source, reach);
    places::output(&mut problems, &spec.output, reach);
    columns::transform(&mut problems, &spec.transform);
    if let Some(schema) = &spec.schema {
        columns::schema(&mut problems, schema);
    }
    numbers(&mut problems, spec);
    work_size(&mut problems, spec);
    problems.0
}

/// Most bytes of JSON that the work may take. Linux gives a process at most 128
/// KiB in one environment variable, and the order that stands there holds more
/// than the work.
const WORK_LIMIT_BYTES: usize = 100_000;

fn work_size(problems: &mut Problems, spec: &EtlJobSpec) {
    let work = (&spec.source, &spec.output, &spec.transform, &spec.schema);
    let bytes = serde_json::to_string(&work).map_or(usize::MAX, |text| text.len());
    problems.check("spec", bytes <= WORK_LIMIT_BYTES, || {
        format!(
            "source, output, transform and schema take {bytes} bytes as JSON, \
             and at most {WORK_LIMIT_BYTES} reach a worker: name fewer columns or globs"
        )
    });
}

fn numbers(problems: &mut Problems, spec: &EtlJobSpec) {
    let retry = &spec.retry_policy;
    problems.range("spec.retryPolicy.maxAttempts", retry.max_attempts, 1, 100);
    backoff(problems, "spec.retryPolicy.backoff", &retry.backoff);
    for (index, rule) in retry.rules.iter().enumerate() {
        retry_rule(problems, &format!("spec.retryPolicy.rules[{index}]"), rule);
    }
    if let Some(growth) = &retry.memory {
        problems.range("spec.retryPolicy.memory.factor", growth.factor, 2, 10);
        problems.check(
            "spec.retryPolicy.memory.max",
            quantity::bytes_of(&growth.max).is_some_and(|bytes| bytes > 0),
            || "must be a quantity of bytes, such as 8Gi".to_owned(),
        );
    }
    let execution = &spec.execution;
    problems.range("spec.execution.parallelism", execution.parallelism, 1, 1000);
    problems.range(
        "spec.execution.activeDeadlineSeconds",
        execution.active_deadline_seconds,
        10,
        604_800,
    );
    problems.range(
        "spec.execution.startDeadlineSeconds",
        execution.start_deadline_seconds,
        10,
        86_400,
    );
    if let Some(seconds) = execution.deadline_seconds {
        let path = "spec.execution.deadlineSeconds";
        problems.range(path, seconds, 10, 31_536_000);
    }
}

fn backoff(problems: &mut Problems, path: &str, backoff: &Backoff) {
    for (field, value, least, most) in [
        ("initialSeconds", backoff.initial_seconds, 0, 86_400),
        ("maxSeconds", backoff.max_seconds, 0, 86_400),
        ("factor", backoff.factor, 1, 10),
        ("jitterPercent", backoff.jitter_percent, 0, 100),
    ] {
        problems.range(&format!("{path}.{field}"), value, least, most);
    }
    problems.check(
        &format!("{path}.maxSeconds"),
        backoff.max_seconds >= backoff.initial_seconds,
        || "must be at least initialSeconds".to_owned(),
    );
}

fn retry_rule(problems: &mut Problems, path: &str, rule: &RetryRule) {
    problems.check(
        &format!("{path}.categories"),
        !rule.categories.is_empty(),
        || "must name at least one category".to_owned(),
    );
    for category in [Category::Superseded, Category::Cancelled] {
        problems.check(
            &format!("{path}.categories"),
            !rule.categories.contains(&category),
            || format!("must not name {category}, which no attempt fails with"),
        );
    }
    let retries = rule.action == RetryAction::Retry;
    let detailed = rule.max_attempts.is_some() || rule.backoff.is_some();
    problems.check(path, retries || !detailed, || {
        "maxAttempts and backoff are for action: Retry".to_owned()
    });
    if let Some(most) = rule.max_attempts {
        problems.range(&format!("{path}.maxAttempts"), most, 1, 100);
    }
    if let Some(own) = &rule.backoff {
        backoff(problems, &format!("{path}.backoff"), own);
    }
}

struct Problems(Vec<SpecProblem>);

impl Problems {
    fn check(&mut self, path: &str, fine: bool, message: impl FnOnce() -> String) {
        if !fine {
            self.0.push(SpecProblem {
                path: path.to_owned(),
                message: message(),
            });
        }
    }

    fn range(&mut self, path: &str, value: u32, least: u32, most: u32) {
        self.check(path, (least..=most).contains(&value), || {
            format!("must be between {least} and {most}, is {value}")
        });
    }
}
