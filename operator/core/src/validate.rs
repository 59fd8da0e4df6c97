//! What a spec must satisfy before anything is made from it.
//!
//! Most of this the API server refuses already (CEL); it is checked again
//! because a local run has no API server and an object may be older than a
//! rule. All problems are reported at once.

use std::fmt;

use etl_api::{EtlJobSpec, Output, Source};
use globset::Glob;

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
    pub path: &'static str,
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
    source(&mut problems, &spec.source, reach);
    output(&mut problems, &spec.output, reach);
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
    problems.0
}

struct Problems(Vec<SpecProblem>);

impl Problems {
    fn check(&mut self, path: &'static str, fine: bool, message: impl FnOnce() -> String) {
        if !fine {
            self.0.push(SpecProblem {
                path,
                message: message(),
            });
        }
    }

    fn range(&mut self, path: &'static str, value: u32, least: u32, most: u32) {
        self.check(path, (least..=most).contains(&value), || {
            format!("must be between {least} and {most}, is {value}")
        });
    }
}

fn source(problems: &mut Problems, source: &Source, reach: Reach) {
    const URI: &str = "spec.source.uri";
    location(problems, URI, &source.uri, reach);
    let prefix = source.uri.ends_with('/');
    let selects = !source.include.is_empty()
        || !source.exclude.is_empty()
        || source.modified_after.is_some()
        || source.modified_before.is_some();
    problems.check("spec.source", prefix || !selects, || {
        "include, exclude, modifiedAfter and modifiedBefore need a prefix: let uri end in /"
            .to_owned()
    });
    let pins = source.version_id.is_some() || source.etag.is_some() || source.sequencer.is_some();
    problems.check("spec.source", !prefix || !pins, || {
        "versionId, etag and sequencer pin one object: uri must not end in /".to_owned()
    });
    for (path, globs) in [
        ("spec.source.include", &source.include),
        ("spec.source.exclude", &source.exclude),
    ] {
        for glob in globs {
            if let Err(error) = Glob::new(glob) {
                problems.check(path, false, || {
                    format!("{glob:?} is not a glob: {}", error.kind())
                });
            }
        }
    }
    if let (Some(after), Some(before)) = (source.modified_after, source.modified_before) {
        problems.check("spec.source.modifiedBefore", after < before, || {
            format!("must be later than modifiedAfter ({after}), is {before}")
        });
    }
}

fn output(problems: &mut Problems, output: &Output, reach: Reach) {
    const URI: &str = "spec.output.uri";
    location(problems, URI, &output.uri, reach);
    problems.check(URI, output.uri.ends_with('/'), || {
        format!("is a prefix and must end in /, is {:?}", output.uri)
    });
    problems.check(URI, !output.uri.contains("/_etl/"), || {
        "must not lie below _etl/, which holds the records of runs".to_owned()
    });
    template(problems, &output.key_template);
}

fn location(problems: &mut Problems, path: &'static str, uri: &str, reach: Reach) {
    problems.check(path, !uri.chars().any(char::is_control), || {
        "must not hold control characters".to_owned()
    });
    if let Some(rest) = uri.strip_prefix("s3://") {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        problems.check(path, is_bucket(bucket), || {
            format!("{bucket:?} is not a bucket name: 3 to 63 of a-z, 0-9, . and -")
        });
        let needs_key = path.starts_with("spec.source");
        problems.check(path, !needs_key || !key.is_empty(), || {
            format!("must name an object or a prefix below the bucket, is {uri:?}")
        });
    } else if let Some(file) = uri.strip_prefix("file://") {
        problems.check(path, reach == Reach::Local, || {
            "file:// works only with kubectl etl run: use s3://".to_owned()
        });
        problems.check(path, file.starts_with('/'), || {
            format!("must hold an absolute path, as file:///data/in/, is {uri:?}")
        });
    } else {
        let known = if reach == Reach::Local {
            "s3:// or file://"
        } else {
            "s3://"
        };
        problems.check(path, false, || {
            format!("must start with {known}, is {uri:?}")
        });
    }
}

fn is_bucket(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-'))
        && edge(name.chars().next())
        && edge(name.chars().last())
}

fn template(problems: &mut Problems, template: &str) {
    const PATH: &str = "spec.output.keyTemplate";
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        let end = rest[start..]
            .find('}')
            .map_or(rest.len(), |end| start + end + 1);
        let placeholder = &rest[start..end];
        let known = ["{yyyy}", "{mm}", "{dd}", "{stem}", "{dir}", "{name}"];
        problems.check(PATH, known.contains(&placeholder), || {
            format!("{placeholder:?} is none of {}", known.join(" "))
        });
        rest = &rest[end..];
    }
    problems.check(
        PATH,
        !template.is_empty() && !template.ends_with('/'),
        || "must end in a file name".to_owned(),
    );
    let climbs = template
        .split('/')
        .any(|segment| segment == "." || segment == "..");
    problems.check(PATH, !template.starts_with('/') && !climbs, || {
        "must be a relative key without . and .. segments".to_owned()
    });
    problems.check(PATH, !template.starts_with("_etl/"), || {
        "must not lie below _etl/, which holds the records of runs".to_owned()
    });
}
