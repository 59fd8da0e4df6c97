//! The program as people call it: with a worker that does what a test says, and
//! with the real one.

mod support;

use std::fs;

use serde_json::json;
use support::{Called, Scene};

#[test]
fn a_throttled_attempt_is_followed_by_one_that_completes() {
    let scene = Scene::fake("");
    scene.on_attempt(1, "fails Throttled 80");
    scene.on_attempt(2, "completes 42");
    let called = scene.run(&[]);
    let status = called.status();
    assert_eq!(called.code, 0, "{}", called.stderr);
    assert_eq!(status["phase"], "Complete");
    assert_eq!(status["statistics"]["rowsWritten"], 42);
    assert_eq!(status["output"]["manifestUri"], "file:///m");
    assert_eq!(status["run"]["failures"], 1);
    let attempts: Vec<_> = status["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(result)
        .collect();
    assert_eq!(attempts, ["1 Throttled", "2 Complete"]);
    assert!(
        called
            .stderr
            .contains("warning: Attempt 1 failed: Throttled: made to fail")
    );
}

#[test]
fn bad_input_ends_the_run_at_once() {
    let scene = Scene::fake("");
    scene.on_attempt(1, "fails BadInput 65");
    let called = scene.call(&[]);
    assert_eq!(called.code, 1);
    for line in [
        "taxi   Failed   1/3              BadInput   ",
        "  failure:      BadInput (NotRetryable)",
        "  message:      made to fail",
        "  hint:         change the test",
    ] {
        assert!(
            called.stdout.contains(line),
            "{line:?} is not in\n{}",
            called.stdout
        );
    }
    let rows = scene.ledger();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["processing_status"], "FAILED");
    assert_eq!(rows[0]["category"], "BadInput");
    assert_eq!(rows[0]["error_message"], "made to fail");
}

#[test]
fn retries_end_at_exactly_max_attempts() {
    let scene = Scene::fake("");
    for attempt in 1..=4 {
        scene.on_attempt(attempt, "fails Unavailable 81");
    }
    let called = scene.run(&[]);
    assert_eq!(called.code, 1);
    let status = called.status();
    assert_eq!(status["run"]["failures"], 3);
    assert_eq!(status["lastFailure"]["reason"], "RetriesExhausted");
    assert_eq!(status["attempts"].as_array().unwrap().len(), 3);
}

#[test]
fn delays_between_attempts_are_those_of_the_resource() {
    let scene =
        Scene::fake("retryPolicy: {backoff: {initialSeconds: 1, factor: 1, jitterPercent: 0}}");
    scene.on_attempt(1, "fails Throttled 80");
    scene.on_attempt(2, "completes 1");
    let called = scene.run(&[]);
    assert!(
        called.stderr.contains("the next attempt starts in "),
        "{}",
        called.stderr
    );
    let status = called.status();
    let time = |pointer: &str| -> jiff::Timestamp {
        status
            .pointer(pointer)
            .unwrap()
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let gap = time("/attempts/1/startTime").duration_since(time("/attempts/0/endTime"));
    assert_eq!(gap.as_secs(), 1, "{gap}");
    assert_eq!(status["attempts"][0]["backoffSeconds"], 1);
}

#[test]
fn a_worker_that_is_killed_is_lost_and_its_run_is_looked_up_before_it_fails() {
    let scene = Scene::fake("retryPolicy: {maxAttempts: 1}");
    scene.on_attempt(1, "echo 'what happened before' >&2; kill -KILL $$");
    scene.on_attempt(2, "[ $mode = Settle ] && finds_no_manifest");
    let called = scene.run(&[]);
    let status = called.status();
    assert_eq!(called.code, 1);
    assert_eq!(status["lastFailure"]["category"], "WorkerLost");
    assert_eq!(status["lastFailure"]["exitCode"], 137);
    assert!(
        called.stderr.contains("what happened before"),
        "{}",
        called.stderr
    );
}

#[test]
fn a_worker_that_is_killed_after_its_commit_is_found_complete() {
    let scene = Scene::fake("retryPolicy: {maxAttempts: 1}");
    scene.on_attempt(1, "kill -KILL $$");
    scene.on_attempt(2, "[ $mode = Settle ] && completes 7");
    let called = scene.run(&[]);
    assert_eq!(called.code, 0, "{}", called.stderr);
    assert_eq!(called.status()["statistics"]["rowsWritten"], 7);
}

#[test]
fn shards_share_an_attempt_and_one_tells_the_totals() {
    let scene = Scene::fake("execution: {parallelism: 3}");
    scene.on_attempt(
        1,
        "touch $folder/shard-$shard; [ $shard = 2 ] && completes 9; does_its_tasks",
    );
    let called = scene.run(&[]);
    assert_eq!(called.code, 0, "{}", called.stderr);
    assert_eq!(called.status()["statistics"]["rowsWritten"], 9);
    for shard in 0..3 {
        assert!(scene.path(&format!("shard-{shard}")).exists());
    }
}

#[test]
fn an_attempt_past_its_deadline_is_retried_by_the_workers_own_word() {
    let scene = Scene::fake("execution: {activeDeadlineSeconds: 10}");
    scene.on_attempt(
        1,
        r#"case $order in *'"activeDeadlineSeconds":10,'*) fails DeadlineExceeded 84;; esac"#,
    );
    scene.on_attempt(2, "completes 1");
    let status = scene.run(&[]).status();
    assert_eq!(status["attempts"][0]["result"], "DeadlineExceeded");
    assert_eq!(status["phase"], "Complete");
}

#[test]
fn an_interrupt_stops_the_workers_and_cancels_the_row() {
    let scene = Scene::fake("");
    scene.on_attempt(1, "waits_for_sigterm");
    let called = scene.interrupt_when("waits-0", &[]);
    assert_eq!(called.code, 130, "{}", called.stderr);
    assert!(scene.path("told-0").exists(), "the worker was not told");
    let rows = scene.ledger();
    assert_eq!(rows[0]["processing_status"], "CANCELLED");
    assert_eq!(
        rows[0]["error_message"],
        "deleted before its end was recorded"
    );
}

#[test]
fn a_run_that_ends_while_it_is_interrupted_has_its_own_end() {
    let scene = Scene::fake("");
    scene.on_attempt(1, "when_told_to_stop 'completes 5'");
    let called = scene.interrupt_when("waits-0", &["-o", "json"]);
    assert_eq!(called.code, 130, "{}", called.stderr);
    assert_eq!(called.status()["phase"], "Complete");
    assert_eq!(called.status()["statistics"]["rowsWritten"], 5);
    let rows = scene.ledger();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["processing_status"], "COMPLETED");

    let scene = Scene::fake("");
    scene.on_attempt(1, "when_told_to_stop 'fails BadInput 65'");
    let called = scene.interrupt_when("waits-0", &["-o", "json"]);
    assert_eq!(called.code, 130, "{}", called.stderr);
    assert_eq!(called.status()["lastFailure"]["category"], "BadInput");
    assert_eq!(scene.ledger()[0]["processing_status"], "FAILED");
}

#[test]
fn workers_at_once_divide_the_memory() {
    let cores = std::thread::available_parallelism().unwrap().get();
    for workers in [1, 2] {
        let scene = Scene::fake(&format!("execution: {{parallelism: {workers}}}"));
        scene.on_attempt(1, "echo $4 >$folder/share-$shard; completes 1");
        let called = scene.run(&[]);
        assert_eq!(called.code, 0, "{}", called.stderr);
        let expected = format!("--memory-shares={}\n", cores.min(workers));
        for shard in 0..workers {
            let share = fs::read_to_string(scene.path(&format!("share-{shard}"))).unwrap();
            assert_eq!(share, expected);
        }
    }
}

#[test]
fn all_jobs_of_all_files_are_run_and_one_failure_is_enough_for_exit_code_1() {
    let scene = Scene::fake("");
    let other = Scene::fake("");
    scene.on_attempt(1, "fails BadInput 65");
    other.on_attempt(1, "completes 1");
    let second = other.path("second.yaml");
    fs::write(
        &second,
        other.manifest().replace("name: taxi", "name: other"),
    )
    .unwrap();
    let called = scene.call(&["-f", second.to_str().unwrap(), "-o", "json"]);
    assert_eq!(called.code, 1);
    let list = called.json();
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"][0]["status"]["phase"], "Failed");
    assert_eq!(list["items"][1]["status"]["phase"], "Complete");
}

#[test]
fn an_invalid_manifest_runs_nothing_and_exits_with_2() {
    let scene = Scene::fake("retryPolice: {}");
    scene.on_attempt(1, "completes 1");
    let called = scene.call(&[]);
    assert_eq!((called.code, called.stdout.as_str()), (2, ""));
    assert!(
        called
            .stderr
            .contains("job.yaml: document 1 (line 1): spec.retryPolice: unknown field")
    );
    assert!(!scene.path("ledger.jsonl").exists());
}

#[test]
fn a_missing_worker_is_named_and_exits_with_2() {
    let scene = Scene::fake("");
    let called = scene.call(&["--worker", "/nonexistent/worker"]);
    assert_eq!(called.code, 2);
    assert!(
        called
            .stderr
            .contains("the worker /nonexistent/worker cannot be used")
    );
}

#[test]
fn a_ledger_that_cannot_be_written_delays_no_work() {
    let scene = Scene::fake("");
    scene.on_attempt(1, "completes 1");
    let ledger = scene.path("job.yaml").join("ledger.jsonl");
    let called = scene.call(&["--ledger", ledger.to_str().unwrap()]);
    assert_eq!(called.code, 0, "{}", called.stderr);
    assert!(
        called.stderr.contains("warning: the ledger "),
        "{}",
        called.stderr
    );
}

#[test]
fn fields_without_meaning_here_are_named() {
    let scene = Scene::fake("worker: {serviceAccountName: etl, resources: {limits: {cpu: 1}}}");
    scene.on_attempt(1, "completes 1");
    let called = scene.call(&[]);
    for path in ["serviceAccountName", "resources.limits.cpu"] {
        let note = format!("note: spec.worker.{path} means nothing in a local run");
        assert!(called.stderr.contains(&note), "{}", called.stderr);
    }
}

#[test]
fn the_endpoint_and_region_reach_the_worker() {
    let scene = Scene::fake("");
    scene.on_attempt(1, r#"printf '%s' "$order" >$folder/order; completes 1"#);
    scene.run(&[
        "--endpoint-url",
        "http://127.0.0.1:9",
        "--region",
        "eu-north-1",
    ]);
    let order: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(scene.path("order")).unwrap()).unwrap();
    let expected = json!({"endpointUrl": "http://127.0.0.1:9", "region": "eu-north-1"});
    assert_eq!(order["storage"], expected);
}

#[test]
fn yaml_output_can_be_read_as_a_manifest_again() {
    let scene = Scene::fake("");
    scene.on_attempt(1, "completes 1");
    let called = scene.call(&["-o", "yaml"]);
    assert!(
        called.stdout.contains("phase: Complete"),
        "{}",
        called.stdout
    );
    fs::write(scene.path("job.yaml"), &called.stdout).unwrap();
    assert_eq!(scene.run(&[]).code, 0);
}

#[test]
fn validate_says_everything_at_once_and_runs_nothing() {
    let scene = Scene::fake("execution: {parallelism: 0}\n  retryPolicy: {maxAttempts: 101}");
    let called = scene.validate(&["--cluster"]);
    assert_eq!(called.code, 2);
    for path in [
        "spec.execution.parallelism: must be at least 1, is 0",
        "spec.retryPolicy.maxAttempts: must be at most 100, is 101",
        "spec.source.uri: file:// works only with kubectl etl run",
        "spec.output.uri: file:// works only with kubectl etl run",
    ] {
        assert!(
            called.stderr.contains(path),
            "{path:?} is not in\n{}",
            called.stderr
        );
    }
    let called = Scene::fake("").validate(&[]);
    assert_eq!(
        (called.code, called.stdout.as_str()),
        (0, "EtlJob default/taxi is valid\n")
    );
}

#[test]
fn a_real_file_is_converted_by_the_real_worker() {
    let scene = Scene::real("yellow_tripdata_2021-01.first-22k.parquet");
    let called = scene.run(&[]);
    assert_eq!(called.code, 0, "{}", called.stderr);
    let status = called.status();
    let rows = status["statistics"]["rowsWritten"].as_u64().unwrap();
    assert!(rows > 0);
    let file = |pointer: &str| {
        let uri = status.pointer(pointer).unwrap().as_str().unwrap();
        fs::read_to_string(uri.strip_prefix("file://").unwrap()).unwrap()
    };
    let output = file("/output/firstObjectUri");
    assert_eq!(output.lines().count() as u64, rows);
    for line in output.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["tpep_pickup_datetime"].is_string(), "{line}");
    }
    assert!(!file("/output/manifestUri").is_empty());
    let rows_in_ledger = scene.ledger();
    assert_eq!(rows_in_ledger[0]["processing_status"], "COMPLETED");
    assert_eq!(rows_in_ledger[0]["record_count"], rows);

    // The same manifest again is a new run of the same owner.
    let again = scene.run(&[]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(scene.ledger().len(), 2);
}

#[test]
fn the_encoder_is_handed_to_the_worker() {
    let scene = Scene::fake("");
    scene.on_attempt(
        1,
        r#"case $order in *'"encoder":"Reference"'*) completes 1 ;; *) completes 0 ;; esac"#,
    );
    for (arguments, rows) in [(&["--encoder", "reference"][..], 1), (&[], 0)] {
        let status = scene.run(arguments).status();
        assert_eq!(status["statistics"]["rowsWritten"], rows);
    }
}

/// A sound file and a torn one; rows that break a rule; columns of one's choice.
const CHOOSY: &str = r#"
apiVersion: etl-operator.io/v1alpha1
kind: EtlJob
metadata: {name: choosy}
spec:
  source:
    uri: file://DATA/
    include: ["yellow_*.parquet"]
    onInvalidObject: Skip
    maxInvalidObjects: 1
  output: {uri: "file://./out/", keyTemplate: "{stem}-{part}.json", splitBytes: 16Mi}
  transform: {columns: [total_amount, VendorID], sourceColumn: file}
  schema:
    columns: [{name: total_amount, type: Number, min: "0"}]
    onInvalidRecord: Quarantine
    maxInvalidRecords: 1000
"#;

#[test]
fn what_is_allowed_to_be_left_out_is_left_out_and_told() {
    let name = "yellow_tripdata_2021-01.first-22k";
    let scene = Scene::real(&format!("{name}.parquet"));
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let data = data.canonicalize().unwrap();
    let manifest = CHOOSY.replace("DATA", data.to_str().unwrap());
    fs::write(scene.path("job.yaml"), manifest).unwrap();
    let called = scene.run(&[]);
    assert_eq!(called.code, 0, "{}", called.stderr);
    let status = called.status();
    let count = |name: &str| status["statistics"][name].as_u64().unwrap();
    let (written, rejected) = (count("rowsWritten"), count("rowsRejected"));
    assert!(rejected > 0, "{status}");
    assert_eq!(count("rowsRead"), written + rejected);
    assert_eq!((count("sourceObjects"), count("objectsSkipped")), (2, 1));
    let skipped = &status["skippedObjects"][0];
    assert_eq!(skipped["category"], "BadInput");
    assert!(
        skipped["uri"]
            .as_str()
            .unwrap()
            .ends_with("truncated-download.parquet"),
        "{skipped}"
    );
    let output = fs::read_to_string(scene.path(&format!("out/{name}-00000.json"))).unwrap();
    assert_eq!(output.lines().count() as u64, written);
    for line in output.lines() {
        assert!(line.starts_with(r#"{"total_amount":"#), "{line}");
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["total_amount"].as_f64().unwrap() >= 0.0, "{line}");
        let file = row["file"].as_str().unwrap();
        assert!(file.ends_with("first-22k.parquet"), "{file}");
    }
    let uri = status["output"]["manifestUri"].as_str().unwrap();
    let manifest = fs::read(uri.strip_prefix("file://").unwrap()).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let kept = manifest["outputs"][0]["quarantine"]["key"]
        .as_str()
        .unwrap();
    let kept = fs::read_to_string(scene.path("out").join(kept)).unwrap();
    assert_eq!(kept.lines().count() as u64, rejected);
    // Said again for people.
    let told = scene.call(&[]).stdout;
    assert!(
        told.contains(&format!("rejected:     {rejected} rows")),
        "{told}"
    );
}

#[test]
fn a_truncated_file_fails_once_and_is_named() {
    let scene = Scene::real("yellow_tripdata_2021-01.truncated-download.parquet");
    let called = scene.run(&[]);
    assert_eq!(called.code, 1, "{}", called.stderr);
    let status = called.status();
    assert_eq!(status["lastFailure"]["category"], "BadInput");
    assert_eq!(status["attempts"].as_array().unwrap().len(), 1);
    let object = status["lastFailure"]["object"].as_str().unwrap();
    assert!(object.ends_with("truncated-download.parquet"), "{object}");
}

#[test]
fn a_missing_file_is_not_found() {
    let called: Called = Scene::real("no-such-file.parquet").run(&[]);
    assert_eq!(called.code, 1, "{}", called.stderr);
    assert_eq!(called.status()["lastFailure"]["category"], "SourceNotFound");
}

fn result(attempt: &serde_json::Value) -> String {
    format!(
        "{} {}",
        attempt["number"],
        attempt["result"].as_str().unwrap_or_default()
    )
}
