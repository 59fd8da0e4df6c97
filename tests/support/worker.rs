//! Worker processes, held by the collar: frozen, woken and killed for real.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etl_faulty_proxy::{Call, Fault, Match};
use etl_lab::{PodProcess, Signal};
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, sleep};

use crate::tenant::Tenant;

/// Between two looks at what a worker has done so far.
const STEP: Duration = Duration::from_millis(5);

const SIGTERM: u32 = 15;

/// A set of signals.
#[derive(Debug, Clone, Copy)]
struct Signals(u64);

impl Signals {
    fn contains(self, signal: u32) -> bool {
        self.0 & (1 << (signal - 1)) != 0
    }
}

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

    /// Waits until a frozen worker has been told to stop: it hears of it when it
    /// goes on.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub async fn wait_told(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !self.signals("ShdPnd:")?.contains(SIGTERM) {
            ensure!(
                Instant::now() < deadline,
                "nobody tells the worker in pod {} to stop within {} s",
                self.pod_name(),
                limit.as_secs()
            );
            sleep(STEP).await;
        }
        Ok(())
    }

    /// Stops the process as early as it can hear what it is told.
    async fn freeze_when_it_hears(&self) -> Result<()> {
        self.freeze()?;
        // The first process of a pod never gets a signal that it does not handle.
        while !self.signals("SigCgt:")?.contains(SIGTERM) {
            self.thaw()?;
            sleep(Duration::from_millis(1)).await;
            self.freeze()?;
        }
        Ok(())
    }

    /// Takes away all memory that the worker does not hold at this moment: it is
    /// over its limit with the next page it needs.
    ///
    /// # Errors
    /// A machine without memory cgroups.
    pub fn exhaust_memory(&self) -> Result<()> {
        let (limit, statistics) = self.memory_cgroup()?;
        let text = std::fs::read_to_string(&statistics)
            .with_context(|| format!("cannot read {}", statistics.display()))?;
        let held = text.lines().find_map(|line| {
            let (name, bytes) = line.split_once(' ')?;
            let bytes: u64 = bytes.parse().ok()?;
            matches!(name, "anon" | "total_rss").then_some(bytes)
        });
        let held = held.context("no count of anonymous memory")?;
        // Files are forgotten to make room; what the kernel keeps for the process
        // is not.
        for spare in 1..=64 {
            let bytes = held + (spare << 20);
            if std::fs::write(&limit, bytes.to_string()).is_ok() {
                return Ok(());
            }
        }
        bail!("the limit in {} cannot be lowered", limit.display())
    }

    /// The files with the memory limit and the memory statistics of the worker's
    /// container.
    fn memory_cgroup(&self) -> Result<(PathBuf, PathBuf)> {
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", self.process.pid))?;
        let path_of = |wanted: &str| {
            groups.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                let found = controllers.split(',').any(|name| name == wanted);
                found.then(|| path.trim_start_matches('/').to_owned())
            })
        };
        let root = PathBuf::from("/sys/fs/cgroup");
        if let Some(path) = path_of("memory") {
            let folder = root.join("memory").join(path);
            return Ok((
                folder.join("memory.limit_in_bytes"),
                folder.join("memory.stat"),
            ));
        }
        let path = path_of("").context("the worker is in no cgroup")?;
        let folder = root.join(path);
        Ok((folder.join("memory.max"), folder.join("memory.stat")))
    }

    /// A set of signals in the process's status.
    fn signals(&self, field: &str) -> Result<Signals> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid))
            .with_context(|| format!("the worker in pod {} has ended", self.pod_name()))?;
        let set = status.lines().find_map(|line| line.strip_prefix(field));
        let set = set.with_context(|| format!("no {field} in the status of a process"))?;
        Ok(Signals(u64::from_str_radix(set.trim(), 16)?))
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
    /// Freezes the worker of an attempt of an EtlJob once its process is there and
    /// hears signals. It has done nothing by then, however fast it is: it finds
    /// its objects out of reach from the call of this on.
    ///
    /// # Errors
    /// There is none within `limit`.
    pub async fn freeze_worker(&self, job: &str, attempt: u32, limit: Duration) -> Result<Worker> {
        let _held = self.hold_workers();
        let worker = self.worker(job, attempt, limit).await?;
        worker.freeze_when_it_hears().await?;
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

    /// Lets a frozen worker go on until it has written down what to do, and freezes
    /// it again there: before the next request.
    ///
    /// # Errors
    /// It ends before, or comes to no such point within `limit`.
    pub async fn advance_to_plan(&self, worker: &Worker, limit: Duration) -> Result<()> {
        let planned = AtomicBool::new(false);
        let after_the_plan = self.requests().and(move |call| {
            if call.method == "PUT" && call.path.ends_with("/plan") {
                planned.store(true, Ordering::Relaxed);
                return false;
            }
            planned.load(Ordering::Relaxed)
        });
        self.advance(worker, after_the_plan, limit).await
    }

    /// Lets a frozen worker go on until the first part of its output is uploaded,
    /// and freezes it again there: in the middle of reading and writing.
    ///
    /// # Errors
    /// It ends before, or comes to no such point within `limit`.
    pub async fn advance_to_upload(&self, worker: &Worker, limit: Duration) -> Result<()> {
        let first = AtomicBool::new(true);
        let after_the_first_part = self.requests().and(move |call| {
            let part = call.parameter("partNumber").is_some();
            let end = call.method == "POST" && call.parameter("uploadId").is_some();
            end || part && !first.swap(false, Ordering::Relaxed)
        });
        self.advance(worker, after_the_first_part, limit).await?;
        let deadline = Instant::now() + limit;
        while self.uploaded_parts().await? == 0 {
            ensure!(Instant::now() < deadline, "no part arrives at the store");
            sleep(STEP).await;
        }
        Ok(())
    }

    /// Lets a frozen worker go on up to the first request that is `behind` the
    /// point, and freezes it while it waits for the answer.
    async fn advance(&self, worker: &Worker, behind: Match<Call>, limit: Duration) -> Result<()> {
        let held = behind.always(Fault::Hold);
        let held = self.lab().proxies().s3().arm(held);
        worker.thaw()?;
        let deadline = Instant::now() + limit;
        while held.strikes() == 0 {
            ensure!(worker.is_alive(), "the worker ended before it came so far");
            ensure!(
                Instant::now() < deadline,
                "the worker does not come so far within {} s",
                limit.as_secs()
            );
            sleep(STEP).await;
        }
        worker.freeze()
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
