//! Worker processes, held by the collar: frozen, woken and killed for real.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_lab::{PodProcess, Signal};
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, sleep};

use crate::tenant::Tenant;

/// Between two looks at what a worker has done so far.
const STEP: Duration = Duration::from_millis(5);

/// The process of one shard of one attempt.
#[derive(Debug)]
pub struct Worker {
    /// The pod that it runs in, as it was when the process was found.
    pub pod: Pod,
    process: PodProcess,
}

impl Worker {
    /// The name of its pod.
    #[must_use]
    pub fn pod_name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// Stops it where it stands.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It has ended.
    pub fn thaw(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// Ends it as the kernel does when memory is short.
    ///
    /// # Errors
    /// It has ended.
    pub fn kill(&self) -> Result<()> {
        self.process.signal(Signal::KILL)
    }

    /// Whether the process is there, frozen or not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        PathBuf::from(format!("/proc/{}/exe", self.process.pid))
            .read_link()
            .is_ok()
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// It is still there after `limit`.
    pub async fn wait_end(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.is_alive() {
            ensure!(
                Instant::now() < deadline,
                "the worker in pod {} is still there after {} s",
                self.pod_name(),
                limit.as_secs()
            );
            sleep(STEP).await;
        }
        Ok(())
    }
}

impl Tenant<'_> {
    /// Freezes the worker of an attempt of an EtlJob as soon as its process is
    /// there, before it has done anything.
    ///
    /// # Errors
    /// There is none within `limit`.
    pub async fn freeze_worker(&self, job: &str, attempt: u32, limit: Duration) -> Result<Worker> {
        let worker = self.worker(job, attempt, limit).await?;
        worker.freeze()?;
        Ok(worker)
    }

    /// The worker of an attempt of an EtlJob, as soon as its process is there.
    ///
    /// # Errors
    /// There is none within `limit`.
    pub async fn worker(&self, job: &str, attempt: u32, limit: Duration) -> Result<Worker> {
        let attempt = attempt.to_string();
        let (pod, process) = self
            .wait_worker(limit, |pod, process| {
                let labels = pod.metadata.labels.clone().unwrap_or_default();
                let label = |name: &str| labels.get(name).map(String::as_str);
                label(etl_api::labels::JOB) == Some(job)
                    && label(etl_api::labels::ATTEMPT) == Some(&attempt)
                    && pod.metadata.deletion_timestamp.is_none()
                    && process
                        .command
                        .first()
                        .is_some_and(|c| c.ends_with("etl-worker"))
            })
            .await
            .with_context(|| format!("attempt {attempt} of {job}"))?;
        Ok(Worker { pod, process })
    }

    /// Lets a frozen worker go on until the first parts of its output are
    /// uploaded, and freezes it again there: in the middle of reading and
    /// writing.
    ///
    /// # Errors
    /// It comes to its end before, or to no such point within `limit`.
    pub async fn advance_to_upload(&self, worker: &Worker, limit: Duration) -> Result<()> {
        worker.thaw()?;
        let deadline = Instant::now() + limit;
        while self.uploaded_parts().await? == 0 {
            ensure!(
                worker.is_alive(),
                "the worker ended before it uploaded a part"
            );
            ensure!(
                Instant::now() < deadline,
                "the worker uploads nothing within {} s",
                limit.as_secs()
            );
            sleep(STEP).await;
        }
        worker.freeze()?;
        ensure!(
            self.uploaded_parts().await? > 0,
            "the worker finished its upload before it could be frozen: it needs a larger source"
        );
        Ok(())
    }

    /// Parts of unfinished uploads in the tenant's bucket.
    ///
    /// # Errors
    /// What S3 says.
    pub async fn uploaded_parts(&self) -> Result<usize> {
        let s3 = self.lab().s3();
        let uploads = s3
            .list_multipart_uploads()
            .bucket(self.bucket())
            .send()
            .await?;
        let mut parts = 0;
        for upload in uploads.uploads.unwrap_or_default() {
            let listed = s3
                .list_parts()
                .bucket(self.bucket())
                .set_key(upload.key)
                .set_upload_id(upload.upload_id)
                .send()
                .await;
            // It may have been completed or aborted since.
            parts += listed.map_or(0, |listed| listed.parts.unwrap_or_default().len());
        }
        Ok(parts)
    }
}
