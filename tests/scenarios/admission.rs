//! The rules of the definition, as a real API server applies them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etl_tests::{Lab, Tenant, repository};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::invariants;

const LIMIT: Duration = Duration::from_secs(60);

/// What is wrong, as pointers and JSON, and what the API server must say to it.
const REFUSALS: [(&[(&str, &str)], &str); 25] = [
    (
        &[("/spec/source/uri", r#""file:///tmp/a.parquet""#)],
        "source.uri must start with s3:// (file:// works only with kubectl etl run)",
    ),
    (
        &[("/spec/source/uri", r#""s3://bucket""#)],
        "source.uri must name an object or a prefix: s3://bucket/key or s3://bucket/prefix/",
    ),
    (
        &[("/spec/source/include", r#"["*"]"#)],
        "source.include, exclude, modifiedAfter and modifiedBefore need a prefix: let source.uri \
         end in /",
    ),
    (
        &[
            ("/spec/source/uri", r#""s3://raw/in/""#),
            ("/spec/source/etag", r#""e""#),
        ],
        "source.versionId, etag and sequencer pin one object: source.uri must not end in /",
    ),
    (
        &[("/spec/output/uri", r#""file:///tmp/""#)],
        "output.uri must start with s3:// (file:// works only with kubectl etl run)",
    ),
    (
        &[("/spec/output/uri", r#""s3://out/x""#)],
        "output.uri is a prefix: it must end in /",
    ),
    (
        &[("/spec/output/uri", r#""s3://out/_etl/x/""#)],
        "output.uri must not lie below _etl/, which holds the records of runs",
    ),
    (
        &[("/spec/output/keyTemplate", r#""{hour}.json""#)],
        "output.keyTemplate knows only the placeholders {yyyy} {mm} {dd} {stem} {dir} {name} \
         {part}",
    ),
    (
        &[("/spec/source/onInvalidObject", r#""Skip""#)],
        "source.onInvalidObject: Skip needs source.maxInvalidObjects of at least 1",
    ),
    (
        &[
            ("/spec/output/keyTemplate", r#""{stem}-{part}.json""#),
            ("/spec/output/splitBytes", r#""1Mi""#),
        ],
        "output.splitBytes must be at least 16Mi",
    ),
    (
        &[("/spec/output/splitBytes", r#""16Mi""#)],
        "output.splitBytes and {part} in output.keyTemplate need each other: an input that is \
         split makes several objects",
    ),
    (
        &[
            ("/spec/output/keyTemplate", r#""{stem}-{part}.json""#),
            ("/spec/output/splitBytes", "16777216"),
            ("/spec/output/format", r#""JsonArray""#),
        ],
        "output.splitBytes needs output.format: JsonLines",
    ),
    (
        &[(
            "/spec/transform",
            r#"{"ingestedAtColumn": "a", "sourceColumn": "a"}"#,
        )],
        "transform.ingestedAtColumn and transform.sourceColumn must differ",
    ),
    (
        &[(
            "/spec/transform",
            r#"{"columns": ["a"], "sourceColumn": "a"}"#,
        )],
        "transform.ingestedAtColumn and transform.sourceColumn name new columns: leave them out \
         of transform.columns",
    ),
    (
        &[(
            "/spec/schema",
            r#"{"columns": [{"name": "a", "type": "Boolean", "min": "0"}]}"#,
        )],
        "schema.columns[].min and max are for the types Integer, Number, String, Date and \
         Timestamp",
    ),
    (
        &[(
            "/spec/schema",
            r#"{"columns": [{"name": "a", "type": "String"}], "onInvalidRecord": "Skip"}"#,
        )],
        "schema.onInvalidRecord: Skip and Quarantine need schema.maxInvalidRecords of at least 1",
    ),
    (
        &[(
            "/spec/retryPolicy",
            r#"{"rules": [{"categories": ["BadInput"], "action": "Fail", "maxAttempts": 2}]}"#,
        )],
        "retryPolicy.rules[].maxAttempts and backoff are for action: Retry",
    ),
    (
        &[("/spec/output/keyTemplate", r#""a/../{stem}""#)],
        "output.keyTemplate must be a relative key without . and .. segments, not below _etl/, \
         and must not end in /",
    ),
    (
        &[("/spec/output/tags", r#"{"": "no key"}"#)],
        "a tag's key has 1 to 128 characters",
    ),
    (
        &[(
            "/spec/retryPolicy",
            r#"{"backoff": {"initialSeconds": 9, "maxSeconds": 3}}"#,
        )],
        "retryPolicy.backoff.maxSeconds must be at least initialSeconds",
    ),
    (
        &[(
            "/metadata/name",
            r#""a-name-of-sixty-five-characters-which-is-two-more-than-a-label-ok""#,
        )],
        "metadata.name must be at most 63 characters: it becomes a label",
    ),
    // Bounds, and words that are not in a list.
    (
        &[("/spec/retryPolicy", r#"{"maxAttempts": 0}"#)],
        "greater than or equal to 1",
    ),
    (
        &[("/spec/execution", r#"{"parallelism": 1001}"#)],
        "less than or equal to 1000",
    ),
    (
        &[("/spec/output/compression", r#""Brotli""#)],
        "Unsupported value: \"Brotli\"",
    ),
    (
        &[("/spec/source/modifiedAfter", r#""yesterday""#)],
        "date-time",
    ),
];

/// Rules about changes, which `what_was_decided_stays` breaks.
const RULES_OF_CHANGE: [&str; 1] = ["a finished run stays finished"];

/// What cannot work is refused at `kubectl apply`, with the reason; and there is
/// no rule that this does not break.
pub(crate) async fn what_cannot_work_is_refused_with_the_reason(tenant: &Tenant<'_>) -> Result<()> {
    dry_run(tenant, &[])
        .await
        .context("a sound EtlJob is refused")?;
    let mut broken: BTreeSet<&str> = RULES_OF_CHANGE.into();
    for (changes, wanted) in REFUSALS {
        let Err(refusal) = dry_run(tenant, changes).await else {
            bail!("{changes:?} is accepted");
        };
        let refusal = format!("{refusal:#}");
        ensure!(refusal.contains(wanted), "{changes:?}: {refusal}");
        broken.insert(wanted);
    }
    let definitions: Api<CustomResourceDefinition> = Api::all(tenant.lab().client());
    let definition = definitions.get("etljobs.etl-operator.io").await?;
    let mut rules = Vec::new();
    messages(&serde_json::to_value(definition)?, &mut rules);
    ensure!(rules.len() >= 15, "the rules were not found: {rules:?}");
    for rule in rules {
        ensure!(
            broken.contains(rule.as_str()),
            "no case breaks the rule {rule:?}"
        );
    }
    Ok(())
}

/// The messages of all rules of a definition.
fn messages(value: &Value, found: &mut Vec<String>) {
    if let Some(rules) = value["x-kubernetes-validations"].as_array() {
        found.extend(
            rules
                .iter()
                .filter_map(|rule| rule["message"].as_str().map(str::to_owned)),
        );
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| messages(value, found)),
        Value::Array(list) => list.iter().for_each(|value| messages(value, found)),
        _ => {}
    }
}

/// The API server fills in what is not said, and a status that answers to
/// nothing yet.
pub(crate) async fn defaults_are_filled_in(tenant: &Tenant<'_>) -> Result<()> {
    let job = dry_run(tenant, &[]).await?;
    for (pointer, wanted) in [
        (
            "/spec/output/keyTemplate",
            json!("{yyyy}/{mm}/{dd}/{stem}.json"),
        ),
        ("/spec/output/format", json!("JsonLines")),
        ("/spec/output/compression", json!("None")),
        ("/spec/output/onExisting", json!("ReplaceOwn")),
        ("/spec/output/json/nulls", json!("Omit")),
        ("/spec/output/json/nonFinite", json!("String")),
        ("/spec/retryPolicy/maxAttempts", json!(3)),
        (
            "/spec/retryPolicy/backoff",
            json!({"initialSeconds": 10, "factor": 2, "maxSeconds": 600, "jitterPercent": 20}),
        ),
        (
            "/spec/execution",
            json!({"parallelism": 1, "activeDeadlineSeconds": 3600, "startDeadlineSeconds": 600}),
        ),
        ("/status/observedGeneration", json!(-1)),
    ] {
        let found = job.pointer(pointer);
        ensure!(
            found == Some(&wanted),
            "{pointer} is {found:?}, not {wanted}"
        );
    }
    let partly = [("/spec/retryPolicy", r#"{"backoff": {"factor": 3}}"#)];
    let backoff = &dry_run(tenant, &partly).await?["spec"]["retryPolicy"];
    ensure!(
        backoff["maxAttempts"] == 3
            && backoff["backoff"]["factor"] == 3
            && backoff["backoff"]["initialSeconds"] == 10,
        "the rest of the retry policy is {backoff}"
    );
    Ok(())
}

/// An end cannot be taken back, by anybody; the rest may change.
pub(crate) async fn what_was_decided_stays(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    let spec = json!({
        "source": {"uri": tenant.uri("in/none.parquet")},
        "output": {"uri": tenant.uri("out/")},
    });
    tenant.create_etljob("decided", &spec).await?;
    tenant.wait_failed("decided", LIMIT).await?;
    let before = invariants::hold(tenant, &timeline, "decided").await?;
    let [finished] = RULES_OF_CHANGE;
    for patch in [
        json!({"status": {"run": {"completionTime": null}}}),
        json!({"status": {"run": {"completionTime": "2021-01-01T00:00:00Z"}}}),
        json!({"status": {"run": null}}),
        json!({"status": null}),
    ] {
        let api = tenant.etljobs();
        let change = Patch::Merge(&patch);
        let patched = api
            .patch_status("decided", &PatchParams::default(), &change)
            .await;
        refused(patched.map_err(Into::into), finished).with_context(|| patch.to_string())?;
    }
    let patch = json!({"spec": {"retryPolicy": {"maxAttempts": 9}, "worker": {
        "resources": {"limits": {"memory": "1Gi"}},
    }}});
    tenant.patch_etljob("decided", &patch).await?;
    let seen = |job: &Value| job["status"]["observedGeneration"] == job["metadata"]["generation"];
    let after = tenant
        .wait_for("decided", "the change is seen", LIMIT, seen)
        .await?;
    // The generation that asked for this work is known to be a later one now.
    let run = |job: &Value| {
        let mut run = job["status"]["run"].clone();
        run["generation"].take();
        run
    };
    ensure!(
        run(&after) == run(&before) && after["status"]["attempts"] == before["status"]["attempts"],
        "a change of what is not work has started something: {}",
        after["status"]
    );
    Ok(())
}

fn refused<T>(outcome: Result<T>, wanted: &str) -> Result<()> {
    let Err(refusal) = outcome else {
        bail!("accepted, not refused with {wanted:?}");
    };
    let refusal = format!("{refusal:#}");
    ensure!(
        refusal.contains(wanted),
        "{refusal:?} does not say {wanted:?}"
    );
    Ok(())
}

/// `kubectl explain` has a text for what people write.
pub(crate) async fn fields_explain_themselves(tenant: &Tenant<'_>) -> Result<()> {
    for (field, part) in [
        ("ej", "converts parquet objects to JSON objects once"),
        ("ej.spec.source.uri", "a prefix that ends in `/`"),
        (
            "ej.spec.retryPolicy.backoff",
            "Delay after the first failure, in seconds",
        ),
        ("ej.spec.execution.activeDeadlineSeconds", "Default 3600"),
        ("ej.status.observedGeneration", "-1 before the first"),
    ] {
        let printed = explain(tenant.lab(), field).await?;
        ensure!(printed.contains(part), "kubectl explain {field}: {printed}");
    }
    Ok(())
}

/// A text of the definition. The API server publishes it a while after the
/// definition is there.
async fn explain(lab: &Lab, field: &str) -> Result<String> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let output = lab.kubectl(&["explain", field])?;
        if output.status.success() {
            let printed = String::from_utf8(output.stdout)?;
            // kubectl breaks lines where it likes.
            let words: Vec<&str> = printed.split_whitespace().collect();
            return Ok(words.join(" "));
        }
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(
            Instant::now() < deadline,
            "kubectl explain {field}: {problem}"
        );
        sleep(Duration::from_millis(500)).await;
    }
}

/// Every example can be applied as it stands, but for those that are for the
/// local runner.
pub(crate) async fn examples_are_accepted(tenant: &Tenant<'_>) -> Result<()> {
    let lab = tenant.lab();
    let examples = manifests(&repository().join("examples"))?;
    ensure!(examples.len() >= 3, "the examples are {examples:?}");
    for example in examples {
        let problem = apply(lab, &example)?;
        ensure!(problem.is_none(), "{}: {problem:?}", example.display());
    }
    let local = manifests(&repository().join("examples/local"))?;
    ensure!(!local.is_empty(), "there is no local example");
    for example in local {
        let problem = apply(lab, &example)?.unwrap_or_default();
        ensure!(
            problem.contains("file:// works only with kubectl etl run"),
            "{}: {problem:?}",
            example.display()
        );
    }
    Ok(())
}

fn manifests(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What kubectl says against a manifest, without storing it.
fn apply(lab: &Lab, file: &Path) -> Result<Option<String>> {
    let file = file.to_str().context("a path is UTF-8")?;
    let output = lab.kubectl(&["apply", "--server-side", "--dry-run=server", "-f", file])?;
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((!output.status.success()).then_some(problem))
}

/// A sound EtlJob with changes, as the API server would store it.
async fn dry_run(tenant: &Tenant<'_>, changes: &[(&str, &str)]) -> Result<Value> {
    let mut job = json!({
        "apiVersion": "etl-operator.io/v1alpha1",
        "kind": "EtlJob",
        "metadata": {"name": "sound"},
        "spec": {"source": {"uri": "s3://raw/in/a.parquet"}, "output": {"uri": "s3://out/"}},
    });
    for (pointer, change) in changes {
        let (parent, name) = pointer.rsplit_once('/').context("a pointer has a slash")?;
        let parent = job.pointer_mut(parent).context("the parent is there")?;
        parent[name] = serde_json::from_str(change)?;
    }
    let job: DynamicObject = serde_json::from_value(job)?;
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let created = tenant.etljobs().create(&parameters, &job).await?;
    Ok(serde_json::to_value(created)?)
}
