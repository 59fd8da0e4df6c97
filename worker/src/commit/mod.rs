//! The commit: one manifest per run, written when every task is recorded and
//! every output is what its record says.
//!
//! `PUT manifest` on the condition that there is none is the run's one
//! linearisation point. Everything before it can be repeated, and everything
//! after it only reads.

mod check;
mod manifest;

use std::collections::{BTreeMap, HashSet};

use etl_contract::WorkOrder;
use futures::{StreamExt, TryStreamExt};

pub use manifest::{
    Manifest, ManifestInput, ManifestJob, ManifestOutput, ManifestQuarantine, ManifestSkipped,
};

use crate::control::{Control, ControlError};
use crate::identity::{Provenance, Verdict};
use crate::plan::{Input, Plan};
use crate::record::{self, InputRecord, OutputRecord, QuarantineRecord, SkipRecord};
use crate::stale;
use crate::store::{Kind, Object, Pin, Store, StoreError};
use crate::tally::{LimitError, Tally};

/// Name of the manifest below the control prefix.
pub const MANIFEST: &str = "manifest";

/// Records read, and outputs looked at, at once.
const PARALLEL: usize = 32;

/// Why a run could not be committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A control object failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The manifest was asked for, and what became of it is not known.
    #[error(transparent)]
    Undecided(ControlError),
    /// A record does not fit the plan, or its counts do not add up.
    #[error("the record of task {task} {problem}")]
    Record {
        /// The task.
        task: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// More was left out than the order allows.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// An output is not what its record says.
    #[error("{uri} is not what this run wrote: {problem}")]
    Output {
        /// The output.
        uri: String,
        /// What is wrong.
        problem: String,
    },
    /// An output is no longer there.
    #[error("{uri} was removed while the run was under way")]
    Removed {
        /// The output.
        uri: String,
    },
    /// An output was replaced by a newer run of the same owner.
    #[error("a newer run has replaced {uri}")]
    Superseded {
        /// The output.
        uri: String,
    },
}

/// What a commit needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Committer<'a> {
    /// The order.
    pub order: &'a WorkOrder,
    /// The frozen plan.
    pub plan: &'a Plan,
    /// Control objects of the run.
    pub control: Control<'a>,
    /// Where the source is, for provenance.
    pub source: &'a dyn Store,
    /// Where the outputs are.
    pub output: &'a dyn Store,
}

/// The numbers of the tasks that have records.
pub async fn recorded(control: Control<'_>) -> Result<HashSet<usize>, StoreError> {
    let names = control.names(record::FOLDER).await?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

impl Committer<'_> {
    /// Commits the run, unless some task has no record yet: then another shard
    /// will. Returns the manifest that the store holds, whoever wrote it.
    pub async fn commit(self) -> Result<Option<Manifest>, CommitError> {
        let recorded = recorded(self.control).await?;
        if (0..self.plan.tasks.len()).any(|task| !recorded.contains(&task)) {
            return Ok(None);
        }
        let records = self.records().await?;
        let skipped = self.skipped(&records)?;
        // Records become lines of the manifest one by one: with many objects
        // these are the largest things that the process holds.
        let written = records
            .into_iter()
            .enumerate()
            .filter_map(|(index, record)| {
                let left_out = skipped.contains_key(&self.plan.inputs[index].key);
                match record {
                    InputRecord::Written(record) if !left_out => Some((index, record)),
                    InputRecord::Written(_) | InputRecord::Skipped(_) => None,
                }
            });
        let (inputs, outputs) = futures::stream::iter(written)
            .map(|(index, record)| self.verify(&self.plan.inputs[index], record))
            .buffered(PARALLEL)
            .try_collect::<Vec<_>>()
            .await?
            .into_iter()
            .unzip();
        let manifest = self.manifest(inputs, outputs, skipped).await?;
        let settled = self.control.settle(MANIFEST, manifest).await;
        let (_, settled) = settled.map_err(CommitError::Undecided)?;
        Ok(Some(settled))
    }

    /// The records of all inputs, in the order of the plan.
    async fn records(self) -> Result<Vec<InputRecord>, CommitError> {
        let inputs = self.plan.task_inputs();
        let records: Vec<Vec<InputRecord>> = futures::stream::iter(0..inputs.len())
            .map(|task| self.record(task, inputs[task]))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        Ok(records.into_iter().flatten().collect())
    }

    async fn record(self, task: usize, inputs: &[Input]) -> Result<Vec<InputRecord>, CommitError> {
        let Some(record) = self.control.read(&record::name(task)).await? else {
            let problem = "disappeared after it was listed";
            return Err(CommitError::Record { task, problem });
        };
        check::check_record(task, inputs, record)
    }

    /// The source objects that are left out. Of one that was split and has one
    /// bad part, no part counts.
    fn skipped(
        self,
        records: &[InputRecord],
    ) -> Result<BTreeMap<String, ManifestSkipped>, CommitError> {
        let tally = Tally::new(self.order);
        let mut skipped = BTreeMap::new();
        for (input, record) in self.plan.inputs.iter().zip(records) {
            tally.add(record, |key| self.source.uri(key))?;
            if let InputRecord::Skipped(record) = record {
                skipped
                    .entry(input.key.clone())
                    .or_insert_with(|| line(input, record));
            }
        }
        Ok(skipped)
    }

    /// Looks at an output once more before it becomes part of the result.
    async fn verify(
        self,
        input: &Input,
        record: OutputRecord,
    ) -> Result<(ManifestInput, ManifestOutput), CommitError> {
        let source = self.source.uri(&input.key);
        let provenance = Provenance::new(self.order, &self.plan.engine, input, &source);
        let expected = Expected {
            key: &record.key,
            bytes: record.bytes,
            crc64: &record.crc64,
        };
        let object = self.look(expected, &provenance).await?;
        if record.digest != provenance.digest() {
            return Err(self.wrong(&record.key, "its content differs from its record"));
        }
        let quarantine = match record.quarantine {
            Some(kept) => Some(self.verify_quarantine(kept, &provenance).await?),
            None => None,
        };
        let read = ManifestInput {
            key: input.key.clone(),
            version: input.version.clone(),
            etag: input.etag.clone(),
            size: input.size,
            row_groups: input.row_groups,
            rows: record.rows_read,
        };
        let written = ManifestOutput {
            key: record.key,
            etag: object.etag,
            bytes: object.size,
            digest: record.digest,
            crc64: record.crc64,
            rows: record.rows_written,
            rejected: record.rows_rejected,
            quarantine,
        };
        Ok((read, written))
    }

    async fn verify_quarantine(
        self,
        record: QuarantineRecord,
        output: &Provenance,
    ) -> Result<ManifestQuarantine, CommitError> {
        let expected = Expected {
            key: &record.key,
            bytes: record.bytes,
            crc64: &record.crc64,
        };
        self.look(expected, &output.of_quarantine()).await?;
        Ok(ManifestQuarantine {
            key: record.key,
            bytes: record.bytes,
            crc64: record.crc64,
        })
    }

    /// The object that the run wrote at a key, if it is still that.
    async fn look(
        self,
        expected: Expected<'_>,
        provenance: &Provenance,
    ) -> Result<Object, CommitError> {
        let key = expected.key;
        let object = match self.output.head(key, &Pin::default()).await {
            Err(error) if error.kind() == Kind::NotFound => {
                let uri = self.output.uri(key);
                return Err(CommitError::Removed { uri });
            }
            outcome => outcome?,
        };
        match provenance.judge(Some(&object), self.order.output.on_existing) {
            Verdict::Done => {}
            Verdict::Superseded => {
                let uri = self.output.uri(key);
                return Err(CommitError::Superseded { uri });
            }
            Verdict::Taken(who) => return Err(self.wrong(key, &who)),
            Verdict::Write(_) => return Err(self.wrong(key, "it was replaced")),
        }
        let crc_differs = object
            .crc64
            .is_some_and(|found| format!("{found:016x}") != expected.crc64);
        if object.size != expected.bytes || crc_differs {
            return Err(self.wrong(key, "its content differs from its record"));
        }
        Ok(object)
    }

    fn wrong(self, key: &str, problem: &str) -> CommitError {
        CommitError::Output {
            uri: self.output.uri(key),
            problem: problem.to_owned(),
        }
    }

    async fn manifest(
        self,
        inputs: Vec<ManifestInput>,
        outputs: Vec<ManifestOutput>,
        skipped: BTreeMap<String, ManifestSkipped>,
    ) -> Result<Manifest, CommitError> {
        let job = &self.order.job;
        let current = outputs.iter().map(|output| output.key.as_str()).collect();
        // What a part, or an attempt that saw another end, left behind.
        let left_out = self
            .plan
            .inputs
            .iter()
            .filter(|input| skipped.contains_key(&input.key))
            .map(|input| input.output.clone());
        let stale = stale::keys(self.output, self.order, left_out, &current).await?;
        let skipped: Vec<ManifestSkipped> = skipped.into_values().collect();
        Ok(Manifest {
            version: 1,
            job: ManifestJob {
                cluster: job.cluster.clone(),
                namespace: job.namespace.clone(),
                name: job.name.clone(),
                uid: job.uid.clone(),
            },
            run: self.order.run.number,
            work_hash: self.order.run.work_hash.clone(),
            engine: self.plan.engine.clone(),
            totals: manifest::totals(&inputs, &outputs, &skipped),
            inputs,
            outputs,
            skipped,
            stale,
        })
    }
}

/// What a record says of an object.
#[derive(Clone, Copy, Debug)]
struct Expected<'a> {
    key: &'a str,
    bytes: u64,
    crc64: &'a str,
}

fn line(input: &Input, record: &SkipRecord) -> ManifestSkipped {
    ManifestSkipped {
        key: input.key.clone(),
        etag: input.etag.clone(),
        size: input.size,
        category: record.category,
        reason: record.reason.clone(),
    }
}
