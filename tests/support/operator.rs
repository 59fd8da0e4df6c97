//! The operator's own pod: for scenarios that hurt it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_lab::{CHART_NAMESPACE, PodProcess, Signal};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::time::{Instant, sleep};

use crate::lab::Lab;

const READY: Duration = Duration::from_secs(60);

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

    /// Kills the operator where it stands. The kubelet starts it again, at once
    /// the first time and a second later after that.
    ///
    /// # Errors
    /// There is no process to kill.
    pub async fn kill_operator(&self) -> Result<()> {
        let processes = self.operator_processes().await?;
        ensure!(!processes.is_empty(), "the operator is not running");
        processes
            .iter()
            .try_for_each(|process| process.signal(Signal::KILL))
    }

    /// Waits until a process of the operator runs and its pod is ready.
    ///
    /// # Errors
    /// It is not ready within a minute.
    pub async fn wait_operator_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY;
        loop {
            let running = !self.operator_processes().await?.is_empty();
            if running && self.operator_pods().await?.iter().any(is_ready) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the operator is not ready after 60 s"
            );
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Takes the operator away (0) or brings it back (1).
    ///
    /// # Errors
    /// What kubectl says; pods that stay.
    pub async fn scale_operator(&self, replicas: u8) -> Result<()> {
        let count = format!("--replicas={replicas}");
        let deployment = format!("deployment/{CHART_NAMESPACE}");
        let arguments = ["scale", &deployment, &count, "--namespace", CHART_NAMESPACE];
        let output = self.kubectl(&arguments)?;
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "cannot scale the operator: {problem}"
        );
        if replicas > 0 {
            return self.wait_operator_ready().await;
        }
        let deadline = Instant::now() + READY;
        while !self.operator_pods().await?.is_empty() {
            ensure!(
                Instant::now() < deadline,
                "the operator is still there after 60 s"
            );
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
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

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}
