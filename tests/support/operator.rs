//! The operator's own pod: for scenarios that hurt it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_lab::{CHART_NAMESPACE, PodProcess, Signal};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::lab::Lab;

const READY: Duration = Duration::from_secs(60);

/// The port of the operator's probes.
const PROBES: u16 = 8080;

impl Lab {
    /// The pods of the operator.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn operator_pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client(), CHART_NAMESPACE);
        let selector = ListParams::default().labels("app.kubernetes.io/name=etl-operator");
        Ok(pods.list(&selector).await?.items)
    }

    /// The operator's processes on this machine.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn operator_processes(&self) -> Result<Vec<PodProcess>> {
        let mut found = Vec::new();
        for pod in self.operator_pods().await? {
            let uid = pod.metadata.uid.context("a pod has a uid")?;
            found.extend(self.site().pod_processes(&uid)?);
        }
        Ok(found)
    }

    /// Kills the operator where it stands, and returns when it is dead. The kubelet
    /// starts it again, at once the first time and a second later after that.
    ///
    /// # Errors
    /// There is no process to kill.
    pub async fn kill_operator(&self) -> Result<()> {
        let processes = self.operator_processes().await?;
        ensure!(!processes.is_empty(), "the operator is not running");
        for process in &processes {
            process.signal(Signal::KILL)?;
        }
        // The program of a process that is dead cannot be told, reaped or not.
        let program = |process: &PodProcess| fs::read_link(format!("/proc/{}/exe", process.pid));
        while processes.iter().any(|process| program(process).is_ok()) {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Waits until the operator says itself that it is ready, and Kubernetes knows.
    ///
    /// # Errors
    /// It is not ready within a minute.
    pub async fn wait_operator_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY;
        loop {
            for pod in self.operator_pods().await? {
                // What Kubernetes knows may be about the process before.
                if is_ready(&pod) && says_ready(&pod).await.unwrap_or(false) {
                    return Ok(());
                }
            }
            ensure!(
                Instant::now() < deadline,
                "the operator is not ready after 60 s"
            );
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// The operator's log so far.
    ///
    /// # Errors
    /// kubectl cannot be started.
    pub fn operator_log(&self) -> Result<String> {
        let output = self.kubectl(&[
            "logs",
            "--namespace",
            CHART_NAMESPACE,
            "--selector=app.kubernetes.io/name=etl-operator",
            "--tail=-1",
        ])?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Asks the process in the pod whether it is ready.
async fn says_ready(pod: &Pod) -> Result<bool> {
    let address = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ip.as_ref());
    let address = address.context("the pod has no address")?;
    let mut connection = TcpStream::connect((address.as_str(), PROBES)).await?;
    connection
        .write_all(b"GET /readyz HTTP/1.0\r\n\r\n")
        .await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let status = answer.split_whitespace().nth(1);
    Ok(status == Some("200"))
}

/// Whether Kubernetes says that the pod is ready.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}
