//! The commit: one manifest per run, written when every task is recorded and
//! every output is what its record says.
//!
//! `PUT manifest` on the condition that there is none is the run's one
//! linearisation point. Everything before it can be repeated, and everything
//! after it only reads.

use std::collections::HashSet;

use etl_contract::{Statistics, WorkOrder};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use crate::control::{Control, ControlError};
use crate::identity::{Provenance, Verdict};
use crate::plan::{Input, Plan};
use crate::record::{self, OutputRecord, TaskRecord};
use crate::stale;
use crate::store::{Kind, Pin, Store, StoreError};

/// Name of the manifest below the control prefix.
pub const MANIFEST: &str = "manifest";

/// Records read, and outputs looked at, at once.
const PARALLEL: usize = 32;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this document.
    pub version: u32,
    /// Whose run it is.
    pub job: ManifestJob,
    /// Number of the run.
    pub run: u32,
    /// Work hash of the run.
    pub work_hash: String,
    /// Version of the conversion engine.
    pub engine: String,
    /// What was read.
    pub inputs: Vec<ManifestInput>,
    /// What was written; `outputs[i]` holds the rows of `inputs[i]`.
    pub outputs: Vec<ManifestOutput>,
    /// Totals.
    pub totals: Statistics,
    /// Keys that earlier runs of this EtlJob wrote and this one did not: they
    /// are still there, and no part of the result.
    pub stale: Vec<String>,
}

/// The EtlJob in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestJob {
    /// Cluster id.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

/// One source object in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestInput {
    /// Key below the source prefix.
    pub key: String,
    /// Version, if the source names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Etag.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
}

/// One output object in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestOutput {
    /// Key below the output prefix.
    pub key: String,
    /// Etag at the commit.
    pub etag: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of everything that determines the content.
    pub digest: String,
    /// CRC-64/NVME of the content, 16 hexadecimal digits.
    pub crc64: String,
    /// Rows.
    pub rows: u64,
}

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
        // Records become lines of the manifest one by one: with many objects
        // these are the largest things that the process holds.
        let (inputs, outputs) = futures::stream::iter(records.into_iter().enumerate())
            .map(|(index, record)| self.verify(&self.plan.inputs[index], record))
            .buffered(PARALLEL)
            .try_collect::<Vec<_>>()
            .await?
            .into_iter()
            .unzip();
        let manifest = self.manifest(inputs, outputs).await?;
        let settled = self.control.settle(MANIFEST, manifest).await;
        let (_, settled) = settled.map_err(CommitError::Undecided)?;
        Ok(Some(settled))
    }

    /// The records of all outputs, in the order of the plan's inputs.
    async fn records(self) -> Result<Vec<OutputRecord>, CommitError> {
        let inputs = self.plan.task_inputs();
        let records: Vec<Vec<OutputRecord>> = futures::stream::iter(0..inputs.len())
            .map(|task| self.record(task, inputs[task]))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        Ok(records.into_iter().flatten().collect())
    }

    async fn record(self, task: usize, inputs: &[Input]) -> Result<Vec<OutputRecord>, CommitError> {
        let Some(record) = self.control.read(&record::name(task)).await? else {
            let problem = "disappeared after it was listed";
            return Err(CommitError::Record { task, problem });
        };
        check_record(task, inputs, record)
    }

    /// Looks at an output once more before it becomes part of the result.
    async fn verify(
        self,
        input: &Input,
        record: OutputRecord,
    ) -> Result<(ManifestInput, ManifestOutput), CommitError> {
        let uri = self.output.uri(&record.key);
        let wrong = |problem: String| CommitError::Output {
            uri: uri.clone(),
            problem,
        };
        let object = match self.output.head(&record.key, &Pin::default()).await {
            Err(error) if error.kind() == Kind::NotFound => {
                return Err(CommitError::Removed { uri });
            }
            outcome => outcome?,
        };
        let source = self.source.uri(&input.key);
        let provenance = Provenance::new(self.order, &self.plan.engine, input, &source);
        match provenance.judge(Some(&object), self.order.output.on_existing) {
            Verdict::Done => {}
            Verdict::Superseded => return Err(CommitError::Superseded { uri }),
            Verdict::Taken(who) => return Err(wrong(who)),
            Verdict::Write(_) => return Err(wrong("it was replaced".to_owned())),
        }
        let crc_differs = object
            .crc64
            .is_some_and(|found| format!("{found:016x}") != record.crc64);
        if object.size != record.bytes || record.digest != provenance.digest() || crc_differs {
            return Err(wrong("its content differs from its record".to_owned()));
        }
        let read = ManifestInput {
            key: input.key.clone(),
            version: input.version.clone(),
            etag: input.etag.clone(),
            size: input.size,
            rows: record.rows_read,
        };
        let written = ManifestOutput {
            key: record.key,
            etag: object.etag,
            bytes: object.size,
            digest: record.digest,
            crc64: record.crc64,
            rows: record.rows_written,
        };
        Ok((read, written))
    }

    async fn manifest(
        self,
        inputs: Vec<ManifestInput>,
        outputs: Vec<ManifestOutput>,
    ) -> Result<Manifest, CommitError> {
        let job = &self.order.job;
        let totals = Statistics {
            source_objects: inputs.len() as u64,
            source_bytes: inputs.iter().map(|input| input.size).sum(),
            rows_read: inputs.iter().map(|input| input.rows).sum(),
            rows_written: outputs.iter().map(|output| output.rows).sum(),
            output_objects: outputs.len() as u64,
            output_bytes: outputs.iter().map(|output| output.bytes).sum(),
            objects_skipped: 0,
            rows_rejected: 0,
        };
        let current = outputs.iter().map(|output| output.key.as_str()).collect();
        let stale = stale::keys(self.output, self.order, &current).await?;
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
            inputs,
            outputs,
            totals,
            stale,
        })
    }
}

/// Holds a record against the plan: a record of anything else must not count.
fn check_record(
    task: usize,
    inputs: &[Input],
    record: TaskRecord,
) -> Result<Vec<OutputRecord>, CommitError> {
    let fits = |(input, output): (&Input, &OutputRecord)| {
        input.key == output.source && input.etag == output.source_etag && input.output == output.key
    };
    let problem = if record.task != task || record.outputs.len() != inputs.len() {
        "belongs to another task"
    } else if !inputs.iter().zip(&record.outputs).all(fits) {
        "names other objects than the plan"
    } else if record
        .outputs
        .iter()
        .any(|output| output.rows_read != output.rows_written)
    {
        "counts other rows written than read"
    } else {
        return Ok(record.outputs);
    };
    Err(CommitError::Record { task, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(key: &str) -> Input {
        Input {
            key: key.into(),
            version: None,
            etag: "e".into(),
            size: 1,
            output: format!("{key}.json"),
        }
    }

    fn output(key: &str) -> OutputRecord {
        OutputRecord {
            source: key.into(),
            source_etag: "e".into(),
            key: format!("{key}.json"),
            etag: "o".into(),
            bytes: 1,
            digest: "d".into(),
            crc64: "0".into(),
            rows_read: 5,
            rows_written: 5,
        }
    }

    #[test]
    fn only_a_record_of_the_planned_task_counts() {
        let inputs = [input("a"), input("b")];
        let good = TaskRecord {
            task: 3,
            outputs: vec![output("a"), output("b")],
        };
        assert_eq!(
            check_record(3, &inputs, good.clone()).unwrap(),
            good.outputs
        );
        let with = |outputs: Vec<OutputRecord>| TaskRecord { task: 3, outputs };
        let other_etag = OutputRecord {
            source_etag: "x".into(),
            ..output("b")
        };
        let lost_row = OutputRecord {
            rows_written: 4,
            ..output("b")
        };
        for (record, problem) in [
            (
                TaskRecord {
                    task: 4,
                    ..good.clone()
                },
                "another task",
            ),
            (with(vec![output("a")]), "another task"),
            (with(vec![output("b"), output("a")]), "other objects"),
            (with(vec![output("a"), other_etag]), "other objects"),
            (with(vec![output("a"), lost_row]), "other rows"),
        ] {
            let error = check_record(3, &inputs, record).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
