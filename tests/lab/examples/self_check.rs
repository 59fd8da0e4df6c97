//! Tries everything that a lab promises, on a lab of its own:
//! `cargo run -p etl-lab --example self_check [NAME]`. Two of them can run side
//! by side under two names.

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use etl_lab::cache::Artefacts;
use etl_lab::image::of_program;
use etl_lab::{Lifetime, Signal, Site, enter, wait_until};
use serde_json::{Value, json};

const IMAGE: &str = "localhost/shell:1";

type Check = fn(&Site) -> Result<()>;

fn main() -> Result<()> {
    let name = env::args()
        .nth(1)
        .unwrap_or_else(|| "self-check".to_owned());
    let artefacts = Artefacts::ensure()?;
    let archive = env::temp_dir().join(format!("etl-lab-{name}-shell.tar"));
    let shell = of_program(&archive, IMAGE, Path::new("/bin/dash"))?;
    let start = Instant::now();
    let site = Site::start(enter(&name)?, &artefacts, &[shell], Lifetime::Owner)?;
    println!("up after {:?}", start.elapsed());
    let checks: [(&str, Check); 5] = [
        ("an Indexed Job completes", indexed_job),
        ("a pod over its memory limit is killed", out_of_memory),
        ("a process of a pod can be frozen and killed", pod_process),
        ("S3 keeps its objects over a stop", stores),
        ("a node can be lost", lost_node),
    ];
    for (promise, check) in checks {
        let start = Instant::now();
        check(&site).with_context(|| format!("broken promise: {promise}"))?;
        println!("{promise}: {:?}", start.elapsed());
    }
    if env::var_os("HOLD").is_some() {
        println!("holding; kill -9 {}", std::process::id());
        std::thread::park();
    }
    site.stop()?;
    fs::remove_file(archive)?;
    Ok(())
}

fn indexed_job(site: &Site) -> Result<()> {
    site.apply(&json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "indexed", "namespace": "default"},
        "spec": {
            "completionMode": "Indexed", "completions": 4, "parallelism": 2,
            "template": {"spec": {"restartPolicy": "Never", "containers": [
                container("echo $JOB_COMPLETION_INDEX"),
            ]}},
        },
    }))?;
    wait_until("Job complete", Duration::from_secs(60), || {
        Ok(get(site, "job/indexed")?["status"]["succeeded"] == 4)
    })?;
    let logs = site.kubectl(&["logs", "job/indexed"])?;
    ensure!(
        !logs.stdout.is_empty(),
        "no log: {}",
        String::from_utf8_lossy(&logs.stderr)
    );
    Ok(())
}

fn out_of_memory(site: &Site) -> Result<()> {
    let mut hungry = container("x=0123456789; while :; do x=$x$x; done");
    hungry["resources"] = json!({"limits": {"memory": "20Mi"}});
    run_pod(site, "hungry", "lab", &hungry)?;
    let terminated = terminated(site, "hungry")?;
    ensure!(
        terminated["reason"] == "OOMKilled",
        "ended otherwise: {terminated}"
    );
    Ok(())
}

fn pod_process(site: &Site) -> Result<()> {
    let mut endless = container("while :; do :; done");
    endless["env"] = json!([{"name": "WHO", "value": "me"}]);
    run_pod(site, "endless", "lab", &endless)?;
    wait_running(site, "endless")?;
    let pod = get(site, "pod/endless")?;
    let uid = pod["metadata"]["uid"].as_str().context("a pod has a uid")?;
    let found = site.pod_processes(uid)?;
    ensure!(found.len() == 1, "one process expected: {found:?}");
    ensure!(
        found[0].environment.get("WHO").is_some_and(|v| v == "me"),
        "{found:?}"
    );
    found[0].signal(Signal::STOP)?;
    wait_until("process frozen", Duration::from_secs(5), || {
        Ok(fs::read_to_string(format!("/proc/{}/stat", found[0].pid))?.contains(") T "))
    })?;
    found[0].signal(Signal::KILL)?;
    ensure!(terminated(site, "endless")?["exitCode"] == 137);
    ensure!(site.pod_processes(uid)?.is_empty());
    Ok(())
}

fn stores(site: &Site) -> Result<()> {
    site.create_ledger_table()?;
    site.put_object("raw", "a/b", Path::new("/etc/hostname"))?;
    site.s3().stop()?;
    ensure!(
        site.create_bucket("other").is_err(),
        "the store answers after its end"
    );
    site.s3().start()?;
    site.create_bucket("other")?;
    site.put_object("raw", "a/c", Path::new("/etc/hostname"))?;
    site.s3().pause()?;
    site.s3().resume()?;
    site.dynamodb().stop()?;
    ensure!(
        site.create_ledger_table().is_err(),
        "DynamoDB answers after its end"
    );
    site.dynamodb().start()?;
    // The table is still there, which counts as created.
    site.create_ledger_table()
}

fn lost_node(site: &Site) -> Result<()> {
    let node = site.add_node("second")?;
    run_pod(site, "there", "second", &container("while :; do :; done"))?;
    wait_running(site, "there")?;
    let pod = get(site, "pod/there")?;
    let uid = pod["metadata"]["uid"].as_str().context("a pod has a uid")?;
    let pid = site.pod_processes(uid)?.first().context("no process")?.pid;
    node.kill()?;
    ensure!(!node.is_running());
    ensure!(
        !Path::new(&format!("/proc/{pid}")).exists(),
        "the pod outlived its node"
    );
    wait_until("node not ready", Duration::from_secs(60), || {
        let node = get(site, "node/second")?;
        let conditions = node["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "Unknown"))
    })
}

fn container(script: &str) -> Value {
    json!({"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "args": ["-c", script]})
}

fn run_pod(site: &Site, name: &str, node: &str, container: &Value) -> Result<()> {
    site.apply(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "restartPolicy": "Never", "nodeName": node, "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }))
}

fn get(site: &Site, object: &str) -> Result<Value> {
    let output = site.kubectl(&["get", object, "-o", "json"])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn wait_running(site: &Site, pod: &str) -> Result<()> {
    wait_until("pod running", Duration::from_secs(30), || {
        Ok(get(site, &format!("pod/{pod}"))?["status"]["phase"] == "Running")
    })
}

fn terminated(site: &Site, pod: &str) -> Result<Value> {
    let mut state = Value::Null;
    wait_until(
        "end of the pod's container",
        Duration::from_secs(60),
        || {
            let pod = get(site, &format!("pod/{pod}"))?;
            state = pod["status"]["containerStatuses"][0]["state"]["terminated"].clone();
            Ok(!state.is_null())
        },
    )?;
    Ok(state)
}
