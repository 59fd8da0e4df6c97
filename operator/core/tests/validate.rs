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
            "/retryPolicy/rules",
            json!([{"categories": ["BadInput"], "action": "Retry", "backoff": {"factor": 11}}]),
            "spec.retryPolicy.rules[0].backoff.factor: must be between",
        ),
        (
            "/retryPolicy/rules",
            json!([{"categories": ["BadInput"], "action": "Fail", "maxAttempts": 2}]),
            "spec.retryPolicy.rules[0]: maxAttempts and backoff are for",
        ),
        (
            "/retryPolicy/rules",
            json!([{"categories": ["Cancelled"], "action": "Fail"}]),
            "spec.retryPolicy.rules[0].categories: must not name Cancelled",
        ),
        (
            "/retryPolicy/memory",
            json!({"max": "lots"}),
            "spec.retryPolicy.memory.max: must be a quantity",
        ),
        (
            "/execution/deadlineSeconds",
            json!(9),
            "spec.execution.deadlineSeconds: must be between",
        ),
        (
            "/source/onInvalidObject",
            json!("Skip"),
            "spec.source.maxInvalidObjects: must be at least 1",
        ),
        (
            "/output/keyTemplate",
            json!("{part}.json"),
            "spec.output.keyTemplate: {part} needs splitBytes",
        ),
        (
            "/output/splitBytes",
            json!("64Mi"),
            "spec.output.keyTemplate: must hold {part}",
        ),
        (
            "/output/splitBytes",
            json!("16383Ki"),
            "spec.output.splitBytes: must be a quantity of bytes of at least 16Mi",
        ),
        (
            "/output/splitBytes",
            json!("much"),
            "spec.output.splitBytes: must be a quantity",
        ),
        (
            "/transform",
            json!({"columns": ["a", "b", "a"]}),
            "spec.transform.columns: names \"a\" twice",
        ),
        (
            "/transform",
            json!({"columns": ["a"], "ingestedAtColumn": "a"}),
            "spec.transform.ingestedAtColumn: names a new column",
        ),
        (
            "/transform",
            json!({"ingestedAtColumn": "a", "sourceColumn": "a"}),
            "spec.transform.sourceColumn: names a new column",
        ),
        (
            "/schema",
            json!({"columns": []}),
            "spec.schema.columns: must name at least one",
        ),
        (
            "/schema",
            json!({"columns": [{"name": "a", "type": "Date"}, {"name": "a", "type": "Date"}]}),
            "spec.schema.columns: names \"a\" twice",
        ),
        (
            "/schema",
            json!({"columns": [{"name": "a", "type": "Date"}], "onInvalidRecord": "Quarantine"}),
            "spec.schema.maxInvalidRecords: must be at least 1 with onInvalidRecord: Quarantine",
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
fn bounds_are_read_by_the_type_of_their_column() {
    for (kind, fine, wrong) in [
        (
            "Integer",
            vec!["0", "-9223372036854775808", "18446744073709551615"],
            vec!["1.5", "18446744073709551616", "x"],
        ),
        (
            "Number",
            vec!["0", "-1.5", "+2", "12345678901234567890.123456789012345678"],
            vec![
                "inf",
                "NaN",
                "1e3",
                "one",
                "-",
                ".5",
                "5.",
                "1.2.3",
                "12345678901234567890.1234567890123456789",
            ],
        ),
        ("String", vec!["0", "10"], vec!["-1", "a"]),
        (
            "Date",
            vec!["2021-01-01"],
            vec!["2021-13-01", "2021-01-01T00:00:00", "yesterday"],
        ),
        (
            "Timestamp",
            vec!["2021-01-01T00:00:00Z", "2021-01-01T00:00:00+02:00"],
            vec!["2021-01-01T00:00:00", "2021-01-01"],
        ),
        ("Boolean", vec![], vec!["true"]),
        ("Struct", vec![], vec!["0"]),
    ] {
        let found = |min: &str| {
            let columns = json!({"columns": [
                {"name": "first", "type": "List"}, {"name": "a", "type": kind, "min": min}
            ]});
            problems(&[("/schema", columns)], Reach::Cluster)
        };
        for min in fine {
            assert_eq!(found(min), Vec::<String>::new(), "{kind} {min}");
        }
        for min in wrong {
            let found = found(min);
            let start = format!("spec.schema.columns[1].min: {min:?} of column \"a\"");
            assert!(
                found.len() == 1 && found[0].starts_with(&start),
                "{kind} {min}: {found:?}"
            );
        }
    }
}

#[test]
fn bounds_do_not_cross() {
    for (kind, min, max) in [
        ("Integer", "10", "9"),
        ("Number", "1.5", "1.25"),
        ("Date", "2021-01-02", "2021-01-01"),
        (
            "Timestamp",
            "2021-01-01T00:00:00Z",
            "2021-01-01T01:00:00+02:00",
        ),
    ] {
        let found = |min, max| {
            let columns = json!({"columns": [{"name": "a", "type": kind, "min": min, "max": max}]});
            problems(&[("/schema", columns)], Reach::Cluster)
        };
        let crossed = found(min, max);
        assert!(
            crossed[0].starts_with("spec.schema.columns[0]: min of column"),
            "{kind}: {crossed:?}"
        );
        assert!(
            found(max, min).is_empty() && found(max, max).is_empty(),
            "{kind}"
        );
    }
}

#[test]
fn work_that_does_not_fit_into_an_environment_is_refused() {
    let columns = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("{n:0200}")).collect();
        problems(&[("/transform", json!({"columns": names}))], Reach::Cluster)
    };
    assert!(columns(490).is_empty());
    let found = columns(500);
    assert!(
        found.len() == 1 && found[0].contains("name fewer columns"),
        "{found:?}"
    );
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
