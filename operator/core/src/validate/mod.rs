//! What a spec must satisfy before anything is made from it.
//!
//! Most of this the API server refuses already (CEL); it is checked again
//! because a local run has no API server and an object may be older than a
//! rule. All problems are reported at once.

mod columns;
mod places;

use std::fmt;

use etl_api::EtlJobSpec;

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
    problems.range(
        "spec.retryPolicy.backoff.initialSeconds",
        retry.backoff.initial_seconds,
        0,
        86_400,
    );
    problems.range(
        "spec.retryPolicy.backoff.maxSeconds",
        retry.backoff.max_seconds,
        0,
        86_400,
    );
    problems.range(
        "spec.retryPolicy.backoff.factor",
        retry.backoff.factor,
        1,
        10,
    );
    problems.range(
        "spec.retryPolicy.backoff.jitterPercent",
        retry.backoff.jitter_percent,
        0,
        100,
    );
    problems.check(
        "spec.retryPolicy.backoff.maxSeconds",
        retry.backoff.max_seconds >= retry.backoff.initial_seconds,
        || "must be at least initialSeconds".to_owned(),
    );
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
