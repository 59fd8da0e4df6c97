//! Compares the ledger with the EtlJobs that are there, when this operator
//! begins to lead, every hour, and after rows were dropped: rewrites rows that
//! are missing, old or damaged, and ends those that are in progress although
//! nothing can tell of their runs any more. Touches no row of another cluster,
//! nor of a namespace that it does not look after, nor a newer one.

use std::sync::Arc;
use std::time::Duration;

use etl_api::EtlJob;
use etl_core::Settings;
use etl_core::ledger::{Closing, LedgerRecord, RowKey, records};
use futures::StreamExt;
use kube::ResourceExt;
use tokio::time::{Instant, sleep, sleep_until};

use super::census::Residents;
use super::mirror::Mirror;
use super::{COMPARE_LIMIT, Finding, Ledger, LedgerError, Mark, OpenRow};
use crate::backoff::Backoff;
use crate::cache::Resident;
use crate::clock::Clock;
use crate::cluster::ApiError;
use crate::lease::Leadership;

/// Requests that reading a hundred rows counts as, beside one that writes one.
const READ_COST: u32 = 10;

/// Pages of rows in progress that one sweep looks at: some 100,000 rows. The
/// next one goes on from there.
const PAGES: usize = 1_000;

/// Tries of one read before the sweep is given up.
const TRIES: u32 = 6;

/// Between them.
const READ_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    cap: Duration::from_secs(5),
};

/// Before a sweep that was given up is begun again.
const AGAIN: Backoff = Backoff {
    first: Duration::from_secs(5),
    cap: Duration::from_secs(15),
};

/// The same when only a person can help.
const AGAIN_LATER: Backoff = Backoff {
    first: Duration::from_secs(60),
    cap: Duration::from_secs(3600),
};

/// What is compared with what, and how often.
pub struct Repair<'a> {
    /// The way to write, and what is known of rows.
    pub mirror: &'a Mirror,
    /// The rows.
    pub ledger: &'a dyn Ledger,
    /// The EtlJobs.
    pub residents: &'a dyn Residents,
    /// Whether anything may be done at all.
    pub leadership: &'a Leadership,
    /// Settings of the installation.
    pub settings: &'a Settings,
    /// Namespaces that are looked after; all when empty.
    pub namespaces: &'a [String],
    /// The clock.
    pub clock: Clock,
    /// Between two sweeps.
    pub interval: Duration,
}

/// What a sweep has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// EtlJobs whose rows were compared.
    pub etljobs: usize,
    /// Rows that were compared.
    pub rows: usize,
    /// Of those: that are not there, or older than their records.
    pub behind: usize,
    /// Of those: that are not what their revision says.
    pub damaged: usize,
    /// Of those: that are newer than their records.
    pub newer: usize,
    /// Rows in progress of this operator.
    pub open: usize,
    /// Of those: that nothing can tell of any more.
    pub abandoned: usize,
    /// Reads of the ledger.
    pub reads: usize,
}

/// A sweep that was given up.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot tell whether EtlJob {target} is gone: {source}")]
    Cluster { target: String, source: ApiError },
    #[error("another operator leads")]
    NotLeading,
}

impl Repair<'_> {
    /// Repairs for as long as it is polled.
    pub async fn run(&self) {
        let mut beginnings = std::pin::pin!(self.leadership.beginnings().fuse());
        // Nothing is due before this operator leads.
        let (mut due, mut failures, mut mark) = (None, 0, None);
        loop {
            tokio::select! {
                Some(()) = beginnings.next() => failures = 0,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = self.mirror.room() => {}
            }
            let began = Instant::now();
            due = match self.sweep(&mut mark).await {
                Ok(report) => {
                    failures = 0;
                    self.mirror.count_sweep(true);
                    tell(&report, began.elapsed());
                    // Several operators do not stay in step.
                    Some(self.interval.mul_f64(0.9 + 0.2 * fastrand::f64()))
                }
                Err(SweepError::NotLeading) => None,
                Err(error) => {
                    failures += 1;
                    self.mirror.count_sweep(false);
                    let delay = error.delay(failures).min(self.interval);
                    error.tell(failures, delay);
                    Some(delay)
                }
            }
            .map(|delay| Instant::now() + delay);
        }
    }

    /// Compares everything once. `mark` is where the last sweep stopped in the
    /// rows in progress, if it did not come to their end.
    async fn sweep(&self, mark: &mut Option<Mark>) -> Result<Report, SweepError> {
        let mut report = Report::default();
        let etljobs = self.residents.listed().await;
        let compared = self.compare(&etljobs, &mut report).await;
        if let Err(SweepError::Ledger(error)) = &compared
            && error.cause.is_lasting()
        {
            // What cannot be read can still be written: more dearly, but a row
            // that is as new costs its condition only.
            for job in etljobs.iter().filter_map(|job| self.present(job)) {
                for record in self.records(&job) {
                    self.mirror.offer(record);
                }
            }
            self.mirror.swept();
        }
        compared?;
        self.mirror.swept();
        self.end_abandoned(mark, &mut report).await?;
        Ok(report)
    }

    /// Compares the rows of all runs that these EtlJobs know.
    async fn compare(&self, etljobs: &[Resident], report: &mut Report) -> Result<(), SweepError> {
        let mut batch = Vec::with_capacity(COMPARE_LIMIT);
        for job in etljobs {
            // As it is by now, not as it was when the sweep began.
            let Some(job) = self.present(job) else {
                continue;
            };
            report.etljobs += 1;
            for record in self.records(&job) {
                batch.push(record);
                if batch.len() == COMPARE_LIMIT {
                    self.compare_batch(&mut batch, report).await?;
                }
            }
        }
        while !batch.is_empty() {
            self.compare_batch(&mut batch, report).await?;
        }
        Ok(())
    }

    /// Compares these rows; leaves those in the batch that were not read.
    async fn compare_batch(
        &self,
        batch: &mut Vec<LedgerRecord>,
        report: &mut Report,
    ) -> Result<(), SweepError> {
        let records = batch.as_slice();
        let findings = self.read(|| self.ledger.compare(records), report).await?;
        if findings.contains(&Finding::Unread) {
            self.mirror.slow_down();
        }
        let compared = std::mem::take(batch);
        for (record, finding) in compared.into_iter().zip(findings) {
            if finding == Finding::Unread {
                batch.push(record);
                continue;
            }
            report.count(finding);
            // One that went meanwhile is not made known again.
            if self.has_owner(&record.file_id) {
                self.mirror.found(record, finding);
            }
        }
        Ok(())
    }

    /// Ends rows in progress that nothing can tell of any more.
    async fn end_abandoned(
        &self,
        mark: &mut Option<Mark>,
        report: &mut Report,
    ) -> Result<(), SweepError> {
        for _ in 0..PAGES {
            let page = self
                .read(|| self.ledger.open_rows(mark.clone()), report)
                .await?;
            for row in page.rows {
                self.consider(&row, report).await?;
            }
            *mark = page.next;
            if mark.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn consider(&self, row: &OpenRow, report: &mut Report) -> Result<(), SweepError> {
        let Some(key) = RowKey::parse(&row.file_id).filter(|key| self.is_own(key)) else {
            return Ok(());
        };
        report.open += 1;
        let resident = self.cached(key.namespace, key.name, key.uid);
        if resident.is_none() && self.is_live(&key).await? {
            // It came just now, or cannot be read by this version.
            return Ok(());
        }
        let now = self.clock.now();
        let closing = Closing::decide(&row.file_id, row.revision, resident.as_deref(), now);
        if let Some(closing) = closing {
            report.abandoned += 1;
            self.mirror.close(closing);
        }
        Ok(())
    }

    fn is_own(&self, key: &RowKey<'_>) -> bool {
        let watched = |name: &String| name == key.namespace;
        key.cluster == self.settings.cluster
            && (self.namespaces.is_empty() || self.namespaces.iter().any(watched))
    }

    async fn is_live(&self, key: &RowKey<'_>) -> Result<bool, SweepError> {
        let live = self.residents.live_uid(key.namespace, key.name).await;
        let live = live.map_err(|source| SweepError::Cluster {
            target: format!("{}/{}", key.namespace, key.name),
            source,
        })?;
        Ok(live.as_deref() == Some(key.uid))
    }

    /// The same EtlJob as it is cached now.
    fn present(&self, job: &Resident) -> Option<Arc<EtlJob>> {
        self.cached(&job.namespace, &job.name, &job.uid)
    }

    /// The EtlJob with this uid as it is cached now.
    fn cached(&self, namespace: &str, name: &str, uid: &str) -> Option<Arc<EtlJob>> {
        let cached = self.residents.get(namespace, name)?;
        (cached.uid().as_deref() == Some(uid)).then_some(cached)
    }

    /// Whether the EtlJob that a row belongs to is cached now.
    fn has_owner(&self, file_id: &str) -> bool {
        RowKey::parse(file_id).is_some_and(|key| {
            let uid = self.residents.uid(key.namespace, key.name);
            uid.as_deref() == Some(key.uid)
        })
    }

    /// Records that its rows should be; none for one that is being deleted, whose
    /// last records are on their way.
    fn records(&self, job: &EtlJob) -> Vec<LedgerRecord> {
        if job.metadata.deletion_timestamp.is_some() {
            return Vec::new();
        }
        records(job, self.settings)
    }

    /// Reads, when its turn comes, and again if that fails for a reason that may
    /// pass.
    async fn read<T, F>(
        &self,
        request: impl Fn() -> F,
        report: &mut Report,
    ) -> Result<T, SweepError>
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        let mut failures = 0;
        loop {
            self.mirror.admitted(READ_COST).await;
            if !self.leadership.holds() {
                return Err(SweepError::NotLeading);
            }
            report.reads += 1;
            let answer = request().await;
            self.mirror.read_ended(answer.as_ref().map(drop));
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    failures += 1;
                    if error.cause.is_lasting() || failures == TRIES {
                        return Err(error.into());
                    }
                    sleep(READ_BACKOFF.delay(failures)).await;
                }
            }
        }
    }
}

impl Report {
    fn count(&mut self, finding: Finding) {
        self.rows += 1;
        match finding {
            Finding::Same | Finding::Unread => {}
            Finding::Missing | Finding::Older => self.behind += 1,
            Finding::Damaged => self.damaged += 1,
            Finding::Newer => self.newer += 1,
        }
    }
}

impl SweepError {
    fn delay(&self, failures: u32) -> Duration {
        match self {
            SweepError::Ledger(error) if error.cause.is_lasting() => AGAIN_LATER.delay(failures),
            SweepError::Ledger(_) | SweepError::Cluster { .. } | SweepError::NotLeading => {
                AGAIN.delay(failures)
            }
        }
    }

    /// The first of several in a row is told of.
    fn tell(&self, failures: u32, delay: Duration) {
        if failures > 1 {
            tracing::debug!(error = %self, failures, "the ledger could not be compared again");
            return;
        }
        let seconds = delay.as_secs();
        let advice = match self {
            SweepError::Ledger(error) => error.cause.advice(),
            SweepError::Cluster { .. } | SweepError::NotLeading => "nothing is lost",
        };
        tracing::warn!(
            error = %self, advice, seconds,
            "the ledger could not be compared with the EtlJobs: it is tried again"
        );
    }
}

fn tell(report: &Report, took: Duration) {
    let Report {
        etljobs,
        rows,
        behind,
        damaged,
        newer,
        open,
        abandoned,
        reads,
    } = report;
    tracing::info!(
        etljobs,
        rows,
        behind,
        damaged,
        newer,
        open,
        abandoned,
        reads,
        seconds = took.as_secs_f64(),
        "compared the ledger with the EtlJobs"
    );
}

#[cfg(test)]
mod tests;
