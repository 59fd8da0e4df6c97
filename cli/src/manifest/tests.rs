use super::*;

const GOOD: &str = "\
apiVersion: etl-operator.io/v1alpha1
kind: EtlJob
metadata:
  name: taxi
spec:
  source:
    uri: file://./in/a.parquet
  output:
    uri: file://../out/
";

fn read_text(text: &str, namespace: Option<&str>, reach: Reach) -> Result<Vec<EtlJob>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    std::fs::write(&file, text).unwrap();
    let reading = Reading {
        namespace: namespace.map(str::to_owned),
        folder: "/home/me".into(),
        reach,
    };
    read(&[file], &reading).map_err(|problems| {
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        texts
            .join("\n")
            .replace(&format!("{}/", folder.path().display()), "")
    })
}

fn problems(text: &str) -> String {
    read_text(text, None, Reach::Local).unwrap_err()
}

#[test]
fn a_manifest_is_read_with_relative_uris_resolved() {
    let jobs = read_text(GOOD, None, Reach::Local).unwrap();
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!(job.namespace().as_deref(), Some("default"));
    assert_eq!(job.spec.source.uri, "file:///home/me/in/a.parquet");
    assert_eq!(job.spec.output.uri, "file:///home/out/");
    assert_eq!(job.spec.retry_policy.max_attempts, 3);
}

#[test]
fn several_documents_are_read_in_order_and_empty_ones_skipped() {
    let second = GOOD.replace("taxi", "other");
    let jobs = read_text(
        &format!("# a comment\n---\n{GOOD}---\n---\n{second}"),
        None,
        Reach::Local,
    );
    let names: Vec<_> = jobs.unwrap().iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["taxi", "other"]);
}

#[test]
fn an_unknown_field_is_refused_with_file_document_line_and_path() {
    let second = GOOD
        .replace("taxi", "other")
        .replace("    uri: file://../", "    url: file://../");
    assert_eq!(
        problems(&format!("{GOOD}---\n{second}")),
        "jobs.yaml: document 2 (line 11): spec.output.uri: is required\n\
         jobs.yaml: document 2 (line 11): spec.output.url: unknown field; known here: \
         compression, format, json, keyTemplate, onExisting, splitBytes, storageClass, tags, uri"
    );
}

#[test]
fn unknown_metadata_and_top_level_fields_are_refused() {
    let text = GOOD
        .replace("  name: taxi", "  name: taxi\n  lables: {}")
        .replace("spec:", "extra: 1\nspec:");
    let found = problems(&text);
    assert!(found.contains("metadata.lables: unknown field"), "{found}");
    assert!(found.contains("(line 1): extra: unknown field"), "{found}");
}

#[test]
fn other_kinds_and_versions_are_named() {
    let found = problems(&GOOD.replace("EtlJob", "ConfigMap"));
    assert!(
        found.ends_with(
            r#"kind: must be EtlJob, is "ConfigMap": leave other objects to kubectl apply"#
        ),
        "{found}"
    );
    let found = problems(&GOOD.replace("v1alpha1", "v9"));
    assert!(
        found.contains(r#"apiVersion: must be etl-operator.io/v1alpha1, is "etl-operator.io/v9""#),
        "{found}"
    );
}

#[test]
fn what_is_no_yaml_or_no_document_is_named_with_its_file() {
    let found = problems("a: [1");
    assert!(
        found.starts_with("jobs.yaml: is not valid YAML: "),
        "{found}"
    );
    let found = problems(&GOOD.replace("kind: EtlJob", "kind: EtlJob\nkind: EtlJob"));
    assert!(found.contains("duplicate"), "{found}");
    assert_eq!(
        problems("# nothing\n"),
        "jobs.yaml: holds no document: write an EtlJob into it"
    );
    assert!(problems("- a\n").contains("must be a map"));
    let missing = read(
        &["/nonexistent/jobs.yaml".into()],
        &Reading {
            namespace: None,
            folder: "/".into(),
            reach: Reach::Local,
        },
    );
    assert!(
        missing.unwrap_err()[0]
            .to_string()
            .starts_with("/nonexistent/jobs.yaml: cannot be read")
    );
}

#[test]
fn problems_of_the_spec_come_all_at_once_and_each_only_once() {
    let text = GOOD
        .replace("file://../out/", "s3://out")
        .replace("spec:", "spec:\n  execution:\n    parallelism: 0");
    let found = problems(&text);
    assert!(
        found.contains("spec.output.uri: is a prefix and must end in /"),
        "{found}"
    );
    assert_eq!(
        found.matches("spec.execution.parallelism").count(),
        1,
        "{found}"
    );
}

#[test]
fn a_time_that_is_none_is_refused() {
    let text = GOOD.replace("in/a.parquet", "in/\n    modifiedAfter: yesterday");
    let found = problems(&text);
    let expected =
        "spec.source.modifiedAfter: must be a time like 2021-01-15T00:00:00Z, is \"yesterday\"";
    assert!(found.ends_with(expected), "{found}");
}

#[test]
fn the_namespace_option_fills_in_and_must_agree() {
    let jobs = read_text(GOOD, Some("trips"), Reach::Local).unwrap();
    assert_eq!(jobs[0].namespace().as_deref(), Some("trips"));
    let named = GOOD.replace("  name: taxi", "  name: taxi\n  namespace: other");
    let found = read_text(&named, Some("trips"), Reach::Local).unwrap_err();
    assert!(
        found.contains(r#"is "other", but --namespace asks for "trips""#),
        "{found}"
    );
}

#[test]
fn a_name_must_be_one_that_the_api_server_takes() {
    for name in ["Taxi", "-taxi", "taxi_1", "a..b", &"x".repeat(64)] {
        let found = problems(&GOOD.replace("name: taxi", &format!("name: {name}")));
        assert!(
            found.contains("metadata.name: must be at most 63"),
            "{found}"
        );
    }
    let unnamed = GOOD.replace("  name: taxi\n", "  labels: {}\n");
    assert!(problems(&unnamed).contains("metadata.name"));
}

#[test]
fn the_same_job_twice_is_refused() {
    let found = problems(&format!("{GOOD}---\n{GOOD}"));
    assert!(
        found.contains("document 2") && found.contains("was given before"),
        "{found}"
    );
}

#[test]
fn what_a_server_once_gave_is_dropped() {
    let text = GOOD.replace(
        "  name: taxi",
        "  name: taxi\n  uid: 8f1d\n  generation: 7\n  resourceVersion: '9'",
    ) + "status:\n  phase: Complete\n  run: null\n";
    let jobs = read_text(&text, None, Reach::Local).unwrap();
    assert_eq!((&jobs[0].status, jobs[0].uid()), (&None, None));
}

#[test]
fn files_are_refused_when_the_manifest_is_for_a_cluster() {
    let found = read_text(GOOD, None, Reach::Cluster).unwrap_err();
    assert_eq!(
        found
            .matches("file:// works only with kubectl etl run")
            .count(),
        2,
        "{found}"
    );
}

#[test]
fn only_dotted_file_uris_are_relative() {
    for (uri, expected) in [
        ("file://./a", "file:///w/x/a"),
        ("file://./a/", "file:///w/x/a/"),
        ("file://./", "file:///w/x/"),
        ("file://../a/./b/../c", "file:///w/a/c"),
        ("file://../../../", "file:///"),
        ("file:///a", "file:///a"),
        ("file://a", "file://a"),
        ("s3://b/./a", "s3://b/./a"),
    ] {
        assert_eq!(absolute(uri, Path::new("/w/x")), expected, "{uri}");
    }
}
