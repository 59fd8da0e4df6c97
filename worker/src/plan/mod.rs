//! The frozen plan of a run: which object versions are read, where each one
//! goes, and how the work is cut into tasks.
//!
//! The first shard to write the plan decides it for all shards and attempts of
//! the run; the others read it back. So the plan says nothing about who wrote
//! it or when.

mod list;
mod select;
mod split;
mod template;

use std::collections::HashMap;

use etl_contract::WorkOrder;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::convert::Opener;
use crate::error::Error;

pub use split::RowGroups;

pub use select::{Selection, SelectionError};
pub use template::{KeyTemplate, TemplateError};

use crate::store::{Store, StoreError};

/// Most objects of one run.
pub const MAX_OBJECTS: usize = 100_000;

/// A group of small objects is closed at this size in bytes...
const GROUP_BYTES: u64 = 64 << 20;
/// ...or at this number of objects.
const GROUP_OBJECTS: usize = 256;
/// A shard gets at least this many groups, if there are that many objects, so
/// that the shards finish at about the same time.
const GROUPS_PER_SHARD: usize = 4;

/// Objects looked into at once, to split them.
const PARALLEL: usize = 16;

/// The plan of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Uid of the EtlJob.
    pub uid: String,
    /// Number of the run.
    pub run: u32,
    /// Work hash of the run.
    pub work_hash: String,
    /// Version of the conversion engine: another one could write other bytes.
    pub engine: String,
    /// What is read and written, in the order of keys and parts.
    pub inputs: Vec<Input>,
    /// Number of inputs of each task: task 0 has the first ones, and so on.
    pub tasks: Vec<usize>,
}

/// One source object, or one part of it, and its output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Key below the source prefix.
    pub key: String,
    /// Version, if the source names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Content that is meant.
    pub etag: String,
    /// Size of the whole object in bytes.
    pub size: u64,
    /// The part that is meant; the whole object if it was not split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_groups: Option<RowGroups>,
    /// Key of the output below the output prefix.
    pub output: String,
}

impl Input {
    /// Bytes that are read.
    pub fn bytes(&self) -> u64 {
        self.row_groups.map_or(self.size, |part| part.bytes)
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The source cannot be listed or looked at.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A glob is malformed.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The key template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// No object at the source URI.
    #[error("there is no object {uri}")]
    NoObject {
        /// The source URI.
        uri: String,
    },
    /// The object at the source URI is not the pinned one.
    #[error("{uri} is no longer the object that was asked for")]
    Changed {
        /// The source URI.
        uri: String,
    },
    /// Nothing below the prefix is selected.
    #[error("no object below {uri} is selected: {seen} seen, none matches {criteria}")]
    NothingSelected {
        /// The source URI.
        uri: String,
        /// Objects listed.
        seen: u64,
        /// What was asked for, in words.
        criteria: String,
    },
    /// Pins of a single object on a prefix.
    #[error("source.{field} pins one object, but {uri} is a prefix")]
    PinnedPrefix {
        /// The source URI.
        uri: String,
        /// The field.
        field: &'static str,
    },
    /// More than [`MAX_OBJECTS`].
    #[error("more than {MAX_OBJECTS} objects below {uri} are selected")]
    TooMany {
        /// The source URI.
        uri: String,
    },
    /// More than [`MAX_OBJECTS`] parts.
    #[error("the objects of {uri} make more than {MAX_OBJECTS} parts")]
    TooManyParts {
        /// The source URI.
        uri: String,
    },
    /// Parts that the output cannot hold.
    #[error("output.splitBytes needs {needs}")]
    Unsplittable {
        /// What it needs.
        needs: &'static str,
    },
    /// The documents of a run over this many objects do not fit the memory.
    #[error(
        "{objects} objects need {needed_mib} MiB of memory for the run's plan and manifest, \
         and the limit is {limit_mib} MiB"
    )]
    NotEnoughMemory {
        /// Objects of the run.
        objects: usize,
        /// Memory that would do, in MiB.
        needed_mib: u64,
        /// Memory of this process, in MiB.
        limit_mib: u64,
    },
    /// Two inputs would be written to one key.
    #[error("{first} and {second} would both be written to {output}")]
    SameOutput {
        /// URI of one input.
        first: String,
        /// URI of the other.
        second: String,
        /// URI of the output.
        output: String,
        /// Whether `{dir}` in the key template would tell them apart.
        dir_helps: bool,
    },
}

/// Lists the source and makes the plan of the run; writes nothing.
pub async fn make(
    order: &WorkOrder,
    name: &str,
    source: &dyn Store,
    output: &dyn Store,
    opener: &Opener,
) -> Result<Plan, Error> {
    let template = KeyTemplate::parse(&order.output.key_template).map_err(PlanError::from)?;
    split::check(&order.output, &template)?;
    let mut inputs = if name.is_empty() {
        list::below_prefix(&order.source, source).await?
    } else {
        vec![list::single(&order.source, name, source).await?]
    };
    inputs.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    if let Some(split_bytes) = order.output.split_bytes {
        inputs = split_large(inputs, split_bytes, opener).await?;
        if inputs.len() > MAX_OBJECTS {
            let uri = source.uri(name);
            return Err(PlanError::TooManyParts { uri }.into());
        }
    }
    let (start, compression) = (order.run.start_time, order.output.compression);
    for input in &mut inputs {
        let part = input.row_groups.map_or(0, |row_groups| row_groups.part);
        input.output = template
            .expand(&input.key, part, start, compression)
            .map_err(PlanError::from)?;
    }
    refuse_same_output(&inputs, &template, source, output)?;
    let tasks = group(&inputs, order.shards);
    Ok(Plan {
        uid: order.job.uid.clone(),
        run: order.run.number,
        work_hash: order.run.work_hash.clone(),
        engine: etl_engine::ENGINE_VERSION.to_owned(),
        inputs,
        tasks,
    })
}

/// Puts the parts of each input that is larger than `split_bytes` in its place.
async fn split_large(
    inputs: Vec<Input>,
    split_bytes: u64,
    opener: &Opener,
) -> Result<Vec<Input>, Error> {
    let split = |input: Input| async move {
        if input.size <= split_bytes {
            return Ok(vec![input]);
        }
        Ok::<_, Error>(match opener.row_group_bytes(&input).await? {
            Some(sizes) => split::parts(input, &sizes, split_bytes),
            None => vec![input],
        })
    };
    let parts: Vec<Vec<Input>> = futures::stream::iter(inputs)
        .map(split)
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    Ok(parts.into_iter().flatten().collect())
}

impl Plan {
    /// The inputs of each task.
    pub fn task_inputs(&self) -> Vec<&[Input]> {
        let mut rest = self.inputs.as_slice();
        let mut take = |count: &usize| {
            let (task, behind) = rest.split_at(rest.len().min(*count));
            rest = behind;
            task
        };
        self.tasks.iter().map(&mut take).collect()
    }

    /// Bytes of all texts in the plan: names and identities of its objects.
    pub fn text_bytes(&self) -> u64 {
        let of = |input: &Input| {
            let version = input.version.as_ref().map_or(0, String::len);
            input.key.len() + version + input.etag.len() + input.output.len()
        };
        self.inputs.iter().map(|input| of(input) as u64).sum()
    }

    /// The numbers of the tasks that a shard does.
    pub fn tasks_of(&self, shard: u32, shards: u32) -> impl Iterator<Item = usize> {
        let first = usize::try_from(shard).unwrap_or(usize::MAX);
        let step = usize::try_from(shards.max(1)).unwrap_or(usize::MAX);
        (first..self.tasks.len()).step_by(step)
    }

    /// Whether the tasks cover the inputs exactly: false only for a plan that
    /// this program did not write.
    pub fn is_sound(&self) -> bool {
        let covered = self
            .tasks
            .iter()
            .try_fold(0_usize, |sum, count| sum.checked_add(*count));
        covered == Some(self.inputs.len()) && !self.tasks.contains(&0)
    }
}

fn refuse_same_output(
    inputs: &[Input],
    template: &KeyTemplate,
    source: &dyn Store,
    output: &dyn Store,
) -> Result<(), PlanError> {
    let mut taken: HashMap<&str, &str> = HashMap::with_capacity(inputs.len());
    for input in inputs {
        if let Some(first) = taken.insert(&input.output, &input.key) {
            return Err(PlanError::SameOutput {
                first: source.uri(first),
                second: source.uri(&input.key),
                output: output.uri(&input.output),
                dir_helps: !template.uses_dir() && folder(first) != folder(&input.key),
            });
        }
    }
    Ok(())
}

fn folder(key: &str) -> &str {
    &key[..key.rfind('/').unwrap_or(0)]
}

/// Cuts the inputs into tasks: large ones alone, small neighbours together.
fn group(inputs: &[Input], shards: u32) -> Vec<usize> {
    let shards = usize::try_from(shards.max(1)).unwrap_or(usize::MAX);
    let fair = inputs
        .len()
        .div_ceil(shards.saturating_mul(GROUPS_PER_SHARD));
    let most = fair.clamp(1, GROUP_OBJECTS);
    let mut tasks: Vec<usize> = Vec::new();
    let mut bytes = 0;
    for input in inputs {
        match tasks.last_mut() {
            Some(count) if *count < most && bytes + input.bytes() <= GROUP_BYTES => {
                *count += 1;
                bytes += input.bytes();
            }
            _ => {
                tasks.push(1);
                bytes = input.bytes();
            }
        }
    }
    tasks
}

/// UTC calendar date of a time, as it stands in keys.
fn date(time: Timestamp) -> (String, String, String) {
    let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
    (
        format!("{:04}", date.year()),
        format!("{:02}", date.month()),
        format!("{:02}", date.day()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(sizes: &[u64]) -> Vec<Input> {
        let input = |(index, size): (usize, &u64)| Input {
            key: format!("{index:05}"),
            version: None,
            etag: "e".into(),
            size: *size,
            row_groups: None,
            output: format!("{index:05}.json"),
        };
        sizes.iter().enumerate().map(input).collect()
    }

    fn plan(sizes: &[u64], shards: u32) -> Plan {
        let inputs = inputs(sizes);
        let tasks = group(&inputs, shards);
        Plan {
            uid: "u".into(),
            run: 1,
            work_hash: "v1:00".into(),
            engine: "e".into(),
            inputs,
            tasks,
        }
    }

    #[test]
    fn large_objects_stand_alone_and_small_ones_are_grouped() {
        let large = GROUP_BYTES;
        assert_eq!(group(&inputs(&[large, large, large]), 1), [1, 1, 1]);
        assert_eq!(
            group(&inputs(&[1; 40]), 4),
            [3; 13].into_iter().chain([1]).collect::<Vec<_>>()
        );
        assert_eq!(group(&inputs(&[1; 40]), 1), [10; 4]);
        assert_eq!(group(&inputs(&[1; 10_000]), 1)[0], GROUP_OBJECTS);
        assert_eq!(group(&inputs(&[1, large, 1]), 1), [1, 1, 1]);
        assert!(group(&[], 1).is_empty());
    }

    #[test]
    fn every_input_belongs_to_one_task_and_every_task_to_one_shard() {
        for shards in [1, 2, 3, 7] {
            let plan = plan(&[1; 41], shards);
            assert!(plan.is_sound());
            let mut keys: Vec<&str> = (0..shards)
                .flat_map(|shard| plan.tasks_of(shard, shards))
                .flat_map(|task| plan.task_inputs()[task])
                .map(|input| input.key.as_str())
                .collect();
            keys.sort_unstable();
            let all: Vec<&str> = plan.inputs.iter().map(|input| input.key.as_str()).collect();
            assert_eq!(keys, all);
        }
    }

    #[test]
    fn a_plan_whose_tasks_do_not_cover_its_inputs_is_unsound() {
        for tasks in [vec![], vec![1], vec![3], vec![2, 0], vec![usize::MAX, 3]] {
            let plan = Plan {
                tasks,
                ..plan(&[1, 1], 1)
            };
            assert!(!plan.is_sound(), "{:?}", plan.tasks);
            assert_eq!(plan.task_inputs().len(), plan.tasks.len());
        }
    }

    #[test]
    fn dates_are_utc() {
        let time: Timestamp = "2026-01-01T00:30:00+02:00".parse().unwrap();
        assert_eq!(date(time), ("2025".into(), "12".into(), "31".into()));
    }
}
