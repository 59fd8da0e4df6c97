//! The program itself: orders in, exit codes, reports and files out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use etl_contract::{Category, Outcome, RunReport};
use serde_json::{Value, json};

/// File, rows, and columns that have a value anywhere: one of the 19 columns
/// holds only nulls.
const YELLOW: (&str, usize, usize) = ("yellow_tripdata_2021-01.first-22k.parquet", 22_791, 18);
const GREEN: (&str, usize, usize) = ("green_tripdata_2022-01.parquet", 62_495, 5);
const TRUNCATED: &str = "yellow_tripdata_2021-01.truncated-download.parquet";

/// A folder for outputs, and an order that writes there.
struct Case {
    folder: tempfile::TempDir,
    order: Value,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data")
        .join(name)
}

impl Case {
    fn new(source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let order = json!({
            "version": 1,
            "job": {
                "cluster": "local", "namespace": "n", "name": "j", "uid": "u",
                "created": "2026-01-02T03:04:05Z", "owner": "local/n/EtlJob/j"
            },
            "run": {
                "number": 1, "workHash": "v1:0123456789abcdef", "startTime": "2026-03-04T05:06:07Z"
            },
            "attempt": 1, "shards": 1, "mode": "Convert", "activeDeadlineSeconds": 600,
            "source": {"uri": source},
            "output": {
                "uri": format!("file://{}/out/", folder.path().display()),
                "keyTemplate": "{yyyy}/{mm}/{dd}/{stem}.json"
            }
        });
        Case { folder, order }
    }

    fn of_file(name: &str) -> Self {
        let path = fs::canonicalize(data(name)).unwrap();
        Case::new(&format!("file://{}", path.display()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etl-worker"));
        command
            .env_remove("JOB_COMPLETION_INDEX")
            .env("ETL_WORK_ORDER", self.order.to_string())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .arg("--termination-log")
            .arg(self.path("report"));
        command
    }

    fn run(&self) -> (i32, RunReport, Output) {
        let output = self.command().output().unwrap();
        (output.status.code().unwrap(), self.report(), output)
    }

    fn report(&self) -> RunReport {
        let text = fs::read_to_string(self.path("report")).unwrap();
        RunReport::from_json(&text).unwrap_or_else(|| panic!("no report: {text}"))
    }
}

fn failure(report: RunReport) -> etl_contract::Failure {
    match report.outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

#[test]
fn the_sample_files_become_valid_json_lines() {
    for (name, rows, columns) in [YELLOW, GREEN] {
        let case = Case::of_file(name);
        let (code, report, output) = case.run();
        assert_eq!(code, 0, "{}", String::from_utf8_lossy(&output.stderr));
        let Outcome::Complete {
            statistics,
            output: location,
            ..
        } = report.outcome
        else {
            panic!("{:?}", report.outcome);
        };
        assert_eq!(statistics.rows_written, rows as u64);
        let stem = name.strip_suffix(".parquet").unwrap();
        let path = case.path(&format!("out/2026/03/04/{stem}.json"));
        assert_eq!(
            location.first_object_uri,
            Some(format!("file://{}", path.display()))
        );
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'));
        let mut keys = std::collections::BTreeSet::new();
        let mut lines = 0;
        for line in text.lines() {
            let Ok(Value::Object(row)) = serde_json::from_str(line) else {
                panic!("line {lines} of {name} is no object");
            };
            keys.extend(row.into_iter().map(|(key, _)| key));
            lines += 1;
        }
        // Null fields are left out, so only all rows together have all columns.
        assert_eq!((lines, keys.len()), (rows, columns), "{name}");
        assert_eq!(statistics.output_bytes, text.len() as u64);
        let entries: Vec<_> = fs::read_dir(case.path("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(entries.len(), 2, "{entries:?}");
    }
}

#[test]
fn a_second_attempt_finds_the_manifest_and_reports_the_same() {
    let mut case = Case::of_file(GREEN.0);
    let (_, first, _) = case.run();
    case.order["attempt"] = json!(2);
    let (code, second, _) = case.run();
    assert_eq!(code, 0);
    assert_eq!((second.attempt, &second.outcome), (2, &first.outcome));
    case.order["mode"] = json!("Settle");
    assert_eq!(case.run().1.outcome, first.outcome);
}

#[test]
fn a_truncated_file_is_bad_input_and_leaves_no_output() {
    let case = Case::of_file(TRUNCATED);
    let (code, report, output) = case.run();
    let failure = failure(report);
    assert_eq!(failure.category, Category::BadInput);
    assert_eq!(code, i32::from(Category::BadInput.exit_code()));
    assert!(failure.object.unwrap().ends_with(TRUNCATED));
    assert!(
        failure.message.contains("truncated upload?"),
        "{}",
        failure.message
    );
    assert!(failure.hint.is_some());
    assert!(!case.path("out/2026").exists());
    // The log is one JSON object per line.
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}

#[test]
fn a_prefix_is_converted_by_several_shards() {
    let mut case = Case::new("");
    let raw = case.path("raw");
    fs::create_dir_all(raw.join("x")).unwrap();
    fs::copy(data(GREEN.0), raw.join("green.parquet")).unwrap();
    fs::copy(data(YELLOW.0), raw.join("x/yellow.parquet")).unwrap();
    case.order["source"]["uri"] = json!(format!("file://{}/", raw.display()));
    case.order["output"]["keyTemplate"] = json!("{dir}/{stem}.json");
    case.order["output"]["compression"] = json!("Zstd");
    case.order["shards"] = json!(2);
    let shards: Vec<_> = (0..2)
        .map(|shard: u32| {
            let mut command = case.command();
            command
                .env("JOB_COMPLETION_INDEX", shard.to_string())
                .stderr(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    for mut shard in shards {
        assert!(shard.wait().unwrap().success());
    }
    assert!(case.path("out/green.json.zst").exists());
    assert!(case.path("out/x/yellow.json.zst").exists());
    case.order["mode"] = json!("Settle");
    let Outcome::Complete { statistics, .. } = case.run().1.outcome else {
        panic!("{:?}", case.report());
    };
    assert_eq!(statistics.rows_written, (YELLOW.1 + GREEN.1) as u64);
}

#[test]
fn a_missing_file_and_an_impossible_uri_are_told_apart() {
    for (uri, category, part) in [
        (
            "file:///nowhere/a.parquet",
            Category::SourceNotFound,
            "file:///nowhere/a.parquet",
        ),
        ("file:///nowhere/", Category::SourceNotFound, "**/*.parquet"),
        ("ftp://a/b", Category::InvalidSpec, "source.uri"),
    ] {
        let (code, report, _) = Case::new(uri).run();
        let failure = failure(report);
        assert_eq!(failure.category, category, "{}", failure.message);
        assert!(failure.message.contains(part), "{}", failure.message);
        assert_eq!(code, i32::from(category.exit_code()));
    }
}

#[test]
fn an_order_that_cannot_be_read_is_reported_too() {
    let case = Case::new("file:///a");
    let mut command = case.command();
    let output = command
        .env("ETL_WORK_ORDER", r#"{"version": 99}"#)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(i32::from(Category::Internal.exit_code()))
    );
    let failure = failure(case.report());
    assert!(
        failure.message.contains("version 99"),
        "{}",
        failure.message
    );
}

#[test]
fn progress_ends_with_all_rows() {
    let case = Case::of_file(YELLOW.0);
    let order = case.path("order.json");
    fs::write(&order, case.order.to_string()).unwrap();
    let output = case
        .command()
        .env_remove("ETL_WORK_ORDER")
        .arg("--progress")
        .arg("--order")
        .arg(&order)
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.last().unwrap();
    assert_eq!(last["rows"], YELLOW.1);
    assert_eq!(
        (&last["objects_done"], &last["objects_total"]),
        (&json!(1), &json!(1))
    );
    assert!(last["bytes_read"].as_u64().unwrap() > 100_000);
}

/// A store that accepts connections and never answers, and the case for it.
fn silent_store() -> (TcpListener, Case) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut case = Case::new("s3://raw/a.parquet");
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    case.order["storage"] = json!({"endpointUrl": endpoint});
    (listener, case)
}

#[test]
fn sigterm_ends_a_waiting_worker_quickly() {
    let (listener, case) = silent_store();
    let mut worker = case.command().stderr(Stdio::null()).spawn().unwrap();
    // The worker is waiting once it has sent its first bytes.
    let (mut connection, _) = listener.accept().unwrap();
    connection.read_exact(&mut [0]).unwrap();
    let asked = Instant::now();
    let pid = worker.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let code = worker.wait().unwrap().code();
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(code, Some(i32::from(Category::Disrupted.exit_code())));
    assert_eq!(failure(case.report()).category, Category::Disrupted);
}

#[test]
fn the_deadline_ends_a_waiting_worker() {
    let (_listener, mut case) = silent_store();
    case.order["activeDeadlineSeconds"] = json!(1);
    let (code, report, _) = case.run();
    assert_eq!(code, i32::from(Category::DeadlineExceeded.exit_code()));
    assert_eq!(failure(report).category, Category::DeadlineExceeded);
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_by_name() {
    let mut case = Case::of_file(GREEN.0);
    case.order["schema"] = json!({"columns": [{"name": "fare", "type": "Number", "min": "cheap"}]});
    let (code, report, _) = case.run();
    assert_eq!(code, i32::from(Category::InvalidSpec.exit_code()));
    let Outcome::Failed(failure) = report.outcome else {
        panic!("{report:?}");
    };
    let expected = "schema.columns, \"fare\": \"cheap\" is no bound of a Number";
    assert!(failure.message.starts_with(expected), "{}", failure.message);
}
