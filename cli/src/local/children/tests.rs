use std::fs;
use std::sync::mpsc::{Receiver, channel};

use etl_api::EtlJob;
use etl_core::{Action, Reach, Settings, WorkerDefaults, plan};
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// No wait of these tests takes as long, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// When everything happens.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

struct Scene {
    folder: TempDir,
    children: Children,
    messages: Receiver<Message>,
    child: Child,
    most_running: i32,
}

impl Scene {
    fn new(shards: u32, slots: usize, program: &str, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("attempt-1.sh"), script).unwrap();
        let (sender, messages) = channel();
        let place = Place {
            folder: folder.path(),
            slots,
            verbose: false,
            grace: Duration::from_millis(200),
        };
        let mut children = Children::new(place, sender);
        let child = first_attempt(folder.path(), shards, program);
        children.create(&child).unwrap();
        Scene {
            folder,
            children,
            messages,
            child,
            most_running: 0,
        }
    }

    fn fake(shards: u32, slots: usize, script: &str) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake-worker");
        Scene::new(shards, slots, program, script)
    }

    fn observed(&self) -> Observed {
        self.children.observed(Some(&self.child.name), None)
    }

    fn job(&self) -> ChildJob {
        self.observed().jobs[0].clone()
    }

    fn step(&mut self) {
        if let Some(job) = self.observed().jobs.first() {
            self.most_running = self.most_running.max(job.ready);
        }
        let due = self
            .children
            .enforce_at()
            .map(|at| at.saturating_duration_since(Instant::now()));
        match self.messages.recv_timeout(due.unwrap_or(PATIENCE)) {
            Ok(Message::Ended(id)) => drop(self.children.ended(id, NOW)),
            Ok(Message::Progress(id, counters)) => self.children.progressed(id, counters),
            Ok(Message::Interrupted) => unreachable!("no signals are received here"),
            Err(_) if due.is_some() => self.children.enforce(),
            Err(error) => panic!("{error}: {:?}", self.children),
        }
    }

    fn run_to_the_end(&mut self) -> JobState {
        while self.children.any_running() {
            self.step();
        }
        self.job().state
    }

    fn exit_codes(&self) -> Vec<Option<i32>> {
        let pods = self.observed().pods.unwrap();
        pods.iter()
            .map(|pod| pod.terminated.as_ref().map(|end| end.exit_code))
            .collect()
    }

    fn wait_for(&self, name: &str) {
        let start = Instant::now();
        while !self.folder.path().join(name).exists() {
            assert!(start.elapsed() < PATIENCE, "{name} does not appear");
            std::thread::yield_now();
        }
    }
}

/// The plan of a new job, so that names and orders are real ones.
fn first_attempt(folder: &Path, shards: u32, program: &str) -> Child {
    let job: EtlJob = serde_json::from_value(json!({
        "apiVersion": "etl-operator.io/v1alpha1", "kind": "EtlJob",
        "metadata": {"name": "taxi", "namespace": "default", "uid": "u"},
        "spec": {"source": {"uri": format!("file://{}/in.parquet", folder.display())},
                 "output": {"uri": "file:///nowhere/"},
                 "execution": {"parallelism": shards}},
    }))
    .unwrap();
    let settings = Settings {
        cluster: "local".into(),
        worker_image: program.into(),
        image_pull_policy: None,
        worker: WorkerDefaults::default(),
        storage: etl_contract::Storage::default(),
        encoder: etl_contract::Encoder::default(),
        reach: Reach::Local,
        ledger: false,
    };
    let plan = plan(&job, &Observed::default(), &settings, Timestamp::UNIX_EPOCH);
    match plan.actions.into_iter().next() {
        Some(Action::Create(child)) => *child,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_final_exit_code_ends_the_other_shards() {
    let mut scene = Scene::fake(
        2,
        2,
        "[ $shard = 0 ] && waits_for_sigterm
         until [ -e $folder/waits-0 ]; do sleep 0.01; done
         fails BadInput 65",
    );
    while scene.job().state == JobState::Active {
        scene.step();
    }
    let JobState::Failing { since, .. } = scene.job().state else {
        panic!("{:?}", scene.job())
    };
    assert_eq!(since, Some(NOW));
    let end = scene.run_to_the_end();
    assert!(matches!(end, JobState::Failed { reason, .. } if reason == "PodFailurePolicy"));
    assert_eq!(scene.exit_codes(), [Some(85), Some(65)]);
    scene.wait_for("told-0");
}

#[test]
fn a_final_exit_code_keeps_waiting_shards_from_starting() {
    let mut scene = Scene::fake(3, 1, "fails BadInput 65");
    scene.run_to_the_end();
    assert_eq!(scene.exit_codes(), [Some(65)]);
    assert_eq!(scene.job().finished, 1);
}

#[test]
fn any_other_exit_code_lets_the_other_shards_finish() {
    let mut scene = Scene::fake(3, 3, "[ $shard = 0 ] && fails Throttled 80; does_its_tasks");
    let end = scene.run_to_the_end();
    assert!(matches!(end, JobState::Failed { reason, .. } if reason == "FailedIndexes"));
    assert_eq!(scene.exit_codes(), [Some(80), Some(0), Some(0)]);
}

#[test]
fn all_shards_run_but_never_more_at_once_than_there_are_slots() {
    let mut scene = Scene::fake(5, 2, "does_its_tasks");
    assert_eq!((scene.job().active, scene.job().ready), (5, 2));
    assert_eq!(scene.run_to_the_end(), JobState::Succeeded);
    assert_eq!(scene.most_running, 2);
    assert_eq!(scene.job().finished, 5);
}

#[test]
fn a_signal_counts_as_128_and_its_number() {
    let mut scene = Scene::fake(1, 1, "kill -KILL $$");
    scene.run_to_the_end();
    assert_eq!(scene.exit_codes(), [Some(137)]);
}

#[test]
fn a_deleted_job_is_gone_when_its_processes_are() {
    let mut scene = Scene::fake(2, 2, "waits_for_sigterm");
    scene.wait_for("waits-0");
    scene.wait_for("waits-1");
    let uid = scene.job().uid;
    scene
        .children
        .delete(&scene.child.name, "another uid", Timestamp::UNIX_EPOCH);
    assert_eq!(scene.job().deleting, None);
    scene
        .children
        .delete(&scene.child.name, &uid, Timestamp::UNIX_EPOCH);
    assert_eq!(scene.job().deleting, Some(Timestamp::UNIX_EPOCH));
    assert!(!scene.observed().confirmed_gone);
    while scene.children.any_running() {
        scene.step();
    }
    assert!(scene.observed().confirmed_gone);
    assert_eq!(scene.observed().jobs, []);
}

#[test]
fn a_job_that_succeeds_in_spite_of_its_deletion_is_still_seen() {
    let script = "trap 'completes 7' TERM; touch $folder/ready; while :; do sleep 0.02; done";
    let mut scene = Scene::fake(1, 1, script);
    scene.wait_for("ready");
    let uid = scene.job().uid;
    scene
        .children
        .delete(&scene.child.name, &uid, Timestamp::UNIX_EPOCH);
    assert_eq!(scene.run_to_the_end(), JobState::Succeeded);
}

#[test]
fn who_ignores_sigterm_is_killed_after_the_grace() {
    let script = "trap '' TERM; touch $folder/ready; while :; do sleep 0.02; done";
    let mut scene = Scene::fake(1, 1, script);
    scene.wait_for("ready");
    scene.children.stop();
    scene.run_to_the_end();
    assert_eq!(scene.exit_codes(), [Some(137)]);
}

#[test]
fn a_program_that_cannot_start_ends_like_in_a_shell() {
    let scene = Scene::new(1, 1, "/nonexistent/worker", "");
    let pods = scene.observed().pods.unwrap();
    let end = pods[0].terminated.as_ref().unwrap();
    assert_eq!(end.exit_code, 127);
    assert!(
        end.message
            .as_ref()
            .unwrap()
            .starts_with("/nonexistent/worker: "),
        "{end:?}"
    );
    assert!(matches!(scene.job().state, JobState::Failed { .. }));
}

#[test]
fn an_end_without_a_report_shows_the_end_of_the_log() {
    let mut scene = Scene::fake(
        1,
        1,
        "for i in $(seq 30); do echo line $i >&2; done; exit 101",
    );
    let words = loop {
        if let Ok(Message::Ended(id)) = scene.messages.recv_timeout(PATIENCE) {
            break scene.children.ended(id, NOW);
        }
    };
    let words = words.unwrap();
    assert_eq!(words.pod, format!("{}-0", scene.child.name));
    assert!(
        words.log.starts_with("line 21\n") && words.log.ends_with("line 30"),
        "{words:?}"
    );
}

#[test]
fn progress_of_the_shards_adds_up() {
    let mut scene = Scene::fake(
        2,
        2,
        r#"echo '{"rows":3,"objects_done":1,"objects_total":2,"bytes_read":10}'
           echo "no progress"
           touch $folder/printed-$shard
           waits_for_sigterm"#,
    );
    let expected = Counters {
        rows: 6,
        objects_done: 2,
        objects_total: 4,
        bytes_read: 20,
    };
    while scene.children.counters() != expected {
        scene.step();
    }
    scene.children.stop();
    scene.run_to_the_end();
}
