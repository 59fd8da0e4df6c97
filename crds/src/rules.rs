//! The CEL rules, evaluated without a server.

use serde_json::{Value, json};

use crate::EtlJob;

fn job(changes: &[(&str, Value)]) -> EtlJob {
    let mut value = json!({
        "apiVersion": "etl-operator.io/v1alpha1",
        "kind": "EtlJob",
        "metadata": {"name": "trips", "namespace": "data"},
        "spec": {
            "source": {"uri": "s3://raw/in/a.parquet"},
            "output": {"uri": "s3://out/"}
        }
    });
    for (pointer, change) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        value.pointer_mut(parent).unwrap()[name] = change.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn refusal(job: &EtlJob) -> Option<String> {
    job.validate_cel().err().map(|errors| {
        errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    })
}

#[test]
fn a_minimal_job_is_accepted() {
    assert_eq!(refusal(&job(&[])), None);
}

#[test]
fn what_is_wrong_is_named() {
    for (changes, expected) in [
        (
            vec![("/spec/source/uri", json!("file:///tmp/a.parquet"))],
            "kubectl etl run",
        ),
        (
            vec![("/spec/source/uri", json!("s3://bucket"))],
            "must name an object or a prefix",
        ),
        (
            vec![("/spec/source/include", json!(["*"]))],
            "need a prefix",
        ),
        (
            vec![("/spec/source/modifiedAfter", json!("2021-01-01T00:00:00Z"))],
            "need a prefix",
        ),
        (
            vec![
                ("/spec/source/uri", json!("s3://raw/in/")),
                ("/spec/source/etag", json!("e")),
            ],
            "pin one object",
        ),
        (
            vec![("/spec/output/uri", json!("s3://out/x"))],
            "must end in /",
        ),
        (
            vec![("/spec/output/uri", json!("s3://out/_etl/x/"))],
            "_etl/",
        ),
        (
            vec![("/spec/output/keyTemplate", json!("{hour}.json"))],
            "only the placeholders",
        ),
        (
            vec![("/spec/output/keyTemplate", json!("../{stem}"))],
            "relative key",
        ),
        (
            vec![("/spec/output/keyTemplate", json!("_etl/{stem}"))],
            "relative key",
        ),
        (
            vec![(
                "/spec/retryPolicy",
                json!({"backoff": {"initialSeconds": 9, "maxSeconds": 3}}),
            )],
            "at least initialSeconds",
        ),
        (
            vec![("/spec/source/onInvalidObject", json!("Skip"))],
            "source.maxInvalidObjects of at least 1",
        ),
        (
            vec![("/spec/output/splitBytes", json!("64Mi"))],
            "need each other",
        ),
        (
            vec![("/spec/output/keyTemplate", json!("{stem}-{part}.json"))],
            "need each other",
        ),
        (
            split(&[("/spec/output/splitBytes", json!("16777215"))]),
            "at least 16Mi",
        ),
        (
            split(&[("/spec/output/splitBytes", json!(1000))]),
            "at least 16Mi",
        ),
        (
            split(&[("/spec/output/format", json!("JsonArray"))]),
            "output.format: JsonLines",
        ),
        (
            vec![(
                "/spec/transform",
                json!({"ingestedAtColumn": "a", "sourceColumn": "a"}),
            )],
            "must differ",
        ),
        (
            vec![(
                "/spec/transform",
                json!({"columns": ["a", "b"], "sourceColumn": "b"}),
            )],
            "name new columns",
        ),
        (
            vec![(
                "/spec/schema",
                json!({"columns": [{"name": "a", "type": "Boolean", "min": "0"}]}),
            )],
            "are for the types Integer",
        ),
        (
            vec![(
                "/spec/schema",
                json!({"columns": [{"name": "a", "type": "String"}], "onInvalidRecord": "Skip"}),
            )],
            "schema.maxInvalidRecords of at least 1",
        ),
        (
            vec![(
                "/spec/retryPolicy",
                json!({"rules": [{"categories": ["BadInput"], "action": "Fail", "maxAttempts": 2}]}),
            )],
            "are for action: Retry",
        ),
        (
            vec![("/metadata/name", json!("n".repeat(64)))],
            "63 characters",
        ),
    ] {
        let refusal = refusal(&job(&changes));
        assert!(
            refusal
                .as_ref()
                .is_some_and(|message| message.contains(expected)),
            "{changes:?}: {refusal:?}"
        );
    }
}

/// A job whose inputs are split, with `changes`.
fn split(changes: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("/spec/output/keyTemplate", json!("{stem}-{part}.json")),
        ("/spec/output/splitBytes", json!("16Mi")),
    ];
    all.extend(changes.iter().cloned());
    all
}

#[test]
fn splits_columns_and_rules_are_accepted_when_they_hold_together() {
    for changes in [
        split(&[]),
        split(&[("/spec/output/splitBytes", json!(16 << 20))]),
        vec![
            ("/spec/source/onInvalidObject", json!("Skip")),
            ("/spec/source/maxInvalidObjects", json!(1)),
        ],
        vec![(
            "/spec/transform",
            json!({"columns": ["a"], "ingestedAtColumn": "b", "sourceColumn": "c"}),
        )],
        vec![(
            "/spec/schema",
            json!({
                "columns": [{"name": "a", "type": "Integer", "required": true, "min": "0"}],
                "onInvalidRecord": "Quarantine", "maxInvalidRecords": 1
            }),
        )],
    ] {
        assert_eq!(refusal(&job(&changes)), None, "{changes:?}");
    }
}

#[test]
fn everything_can_be_changed() {
    let old = job(&[]);
    for (pointer, change) in [
        ("/spec/source/uri", json!("s3://raw/b")),
        ("/spec/output/compression", json!("Gzip")),
        ("/spec/runId", json!("again")),
        ("/spec/suspend", json!(true)),
        ("/spec/cancel", json!(true)),
        ("/spec/retryPolicy", json!({"maxAttempts": 9})),
    ] {
        let new = job(&[(pointer, change)]);
        assert!(new.validate_cel_update(&old).is_ok(), "{pointer}");
    }
}

#[test]
fn a_finished_run_stays_finished() {
    let with = |run: Value| job(&[("/status", json!({ "run": run }))]);
    let run = |number: u32, end: Option<&str>| {
        let mut run = json!({
            "number": number, "workHash": "v1:0", "startTime": "2021-01-01T00:00:00Z",
            "workerImage": "w", "shards": 1
        });
        if let Some(end) = end {
            run["completionTime"] = json!(end);
        }
        run
    };
    let finished = with(run(1, Some("2021-01-01T00:01:00Z")));
    assert!(with(run(1, None)).validate_cel_update(&finished).is_err());
    assert!(
        with(run(1, Some("2021-01-01T00:02:00Z")))
            .validate_cel_update(&finished)
            .is_err()
    );
    assert!(
        job(&[("/status", json!({}))])
            .validate_cel_update(&finished)
            .is_err()
    );
    assert!(finished.validate_cel_update(&finished).is_ok());
    assert!(with(run(2, None)).validate_cel_update(&finished).is_ok());
}
