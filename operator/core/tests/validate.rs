//! What the operator refuses, with the names of the fields.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use etl_api::EtlJobSpec;
use etl_core::{Reach, validate};
use serde_json::{Value, json};

fn problems(changes: &[(&str, Value)], reach: Reach) -> Vec<String> {
    let mut spec = json!({
        "source": {"uri": "s3://raw/in/"}, "output": {"uri": "s3://out/"},
        "retryPolicy": {"backoff": {}}, "execution": {}
    });
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    let spec: EtlJobSpec = serde_json::from_value(spec).unwrap();
    validate(&spec, reach)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_minimal_spec_is_fine_everywhere() {
    assert!(problems(&[], Reach::Cluster).is_empty());
    assert!(problems(&[], Reach::Local).is_empty());
}

#[test]
fn files_are_for_local_runs_only() {
    let files = [
        ("/source/uri", json!("file:///in/a.parquet")),
        ("/output/uri", json!("file:///out/")),
    ];
    assert!(problems(&files, Reach::Local).is_empty());
    let refused = problems(&files, Reach::Cluster);
    assert_eq!(refused.len(), 2);
    assert!(
        refused[0].starts_with("spec.source.uri: file:// works only"),
        "{refused:?}"
    );
}

#[test]
fn each_problem_names_its_field() {
    for (pointer, value, expected) in [
        (
            "/source/uri",
            json!("raw/a.parquet"),
            "spec.source.uri: must start with s3://",
        ),
        (
            "/source/uri",
            json!("s3://raw/"),
            "spec.source.uri: must name an object",
        ),
        (
            "/source/uri",
            json!("s3://R/a"),
            "spec.source.uri: \"R\" is not a bucket name",
        ),
        (
            "/source/etag",
            json!("e"),
            "spec.source: versionId, etag and sequencer",
        ),
        (
            "/source/include",
            json!(["[a"]),
            "spec.source.include: \"[a\" is not a glob",
        ),
        (
            "/output/uri",
            json!("s3://out/x"),
            "spec.output.uri: is a prefix",
        ),
        (
            "/output/uri",
            json!("s3://out/_etl/x/"),
            "spec.output.uri: must not lie below _etl/",
        ),
        (
            "/output/keyTemplate",
            json!("{hour}"),
            "spec.output.keyTemplate: \"{hour}\" is none",
        ),
        (
            "/output/keyTemplate",
            json!("{stem"),
            "spec.output.keyTemplate: \"{stem\" is none",
        ),
        (
            "/output/keyTemplate",
            json!("a/../b"),
            "spec.output.keyTemplate: must be a relative",
        ),
        (
            "/output/keyTemplate",
            json!("a/"),
            "spec.output.keyTemplate: must end in a file",
        ),
        (
            "/retryPolicy/maxAttempts",
            json!(0),
            "spec.retryPolicy.maxAttempts: must be between",
        ),
        (
            "/execution/parallelism",
            json!(0),
            "spec.execution.parallelism: must be between",
        ),
    ] {
        let found = problems(&[(pointer, value)], Reach::Cluster);
        assert!(
            found.iter().any(|problem| problem.starts_with(expected)),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn all_problems_come_at_once() {
    let found = problems(
        &[
            ("/source/uri", json!("x")),
            ("/output/uri", json!("y")),
            ("/retryPolicy/maxAttempts", json!(0)),
        ],
        Reach::Cluster,
    );
    assert!(found.len() >= 4, "{found:?}");
}
