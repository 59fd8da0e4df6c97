//! A folder with a manifest and a worker, and calls of the program in it.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// No wait takes as long, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-etl");

/// No delays, unless the test brings its own policy.
const NO_DELAY: &str = "retryPolicy: {backoff: {initialSeconds: 0}}";

pub struct Scene {
    folder: TempDir,
    worker: PathBuf,
}

/// What a call left.
pub struct Called {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Called {
    fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Called {
            code: output.status.code().expect("the program was not killed"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    pub fn status(&self) -> Value {
        self.json()["status"].clone()
    }
}

impl Scene {
    /// With `tests/fake-worker`; `spec` is more of the job's spec.
    pub fn fake(spec: &str) -> Self {
        let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-worker");
        let scene = Scene {
            folder: tempfile::tempdir().unwrap(),
            worker,
        };
        let policy = if spec.contains("retryPolicy") {
            ""
        } else {
            NO_DELAY
        };
        let source = scene.path("in.parquet");
        scene.write_manifest(&source, &format!("{spec}\n  {policy}"));
        scene
    }

    /// With the real worker and a file of `tests/data`.
    pub fn real(file: &str) -> Self {
        let worker = Path::new(PROGRAM).with_file_name("etl-worker");
        assert!(
            worker.exists(),
            "build etl-worker first: cargo build -p etl-worker"
        );
        let scene = Scene {
            folder: tempfile::tempdir().unwrap(),
            worker,
        };
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
        scene.write_manifest(&data.canonicalize().unwrap().join(file), NO_DELAY);
        scene
    }

    fn write_manifest(&self, source: &Path, spec: &str) {
        let manifest = format!(
            "apiVersion: etl-operator.io/v1alpha1\n\
             kind: EtlJob\n\
             metadata:\n  name: taxi\n\
             spec:\n  source:\n    uri: file://{}\n  output:\n    uri: file://./out/\n  {spec}\n",
            source.display(),
        );
        fs::write(self.path("job.yaml"), manifest).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn manifest(&self) -> String {
        fs::read_to_string(self.path("job.yaml")).unwrap()
    }

    /// What the fake worker does in an attempt.
    pub fn on_attempt(&self, number: u32, script: &str) {
        fs::write(self.path(&format!("attempt-{number}.sh")), script).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(self.folder.path())
            .args(["run", "-f", "job.yaml"])
            .env("ETL_WORKER", &self.worker)
            .env("XDG_STATE_HOME", self.folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `run`, printed for people.
    pub fn call(&self, arguments: &[&str]) -> Called {
        Called::new(self.command(arguments).output().unwrap())
    }

    /// `run -o json`.
    pub fn run(&self, arguments: &[&str]) -> Called {
        self.call(&[arguments, &["-o", "json"]].concat())
    }

    /// `run`, with SIGINT once the file `name` is there.
    pub fn interrupt_when(&self, name: &str, arguments: &[&str]) -> Called {
        let child = self.command(arguments).spawn().unwrap();
        let start = Instant::now();
        while !self.path(name).exists() {
            assert!(start.elapsed() < PATIENCE, "{name} does not appear");
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        Called::new(child.wait_with_output().unwrap())
    }

    pub fn validate(&self, arguments: &[&str]) -> Called {
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(self.folder.path())
            .args(["validate", "-f", "job.yaml"]);
        Called::new(command.args(arguments).output().unwrap())
    }

    /// The rows of the ledger at its default place.
    pub fn ledger(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("kubectl-etl/ledger.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
