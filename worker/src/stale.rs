//! What runs of the EtlJob left at keys that hold no part of the present result.
//!
//! A run that was committed says in its manifest what it wrote. One that was not,
//! because its source changed under it, has written some part of its plan. So
//! the runs are followed back to the last manifest, and what their documents
//! name is looked at: what counts is what is there.

use std::collections::{BTreeSet, HashSet};

use etl_contract::WorkOrder;
use futures::{StreamExt, TryStreamExt};

use crate::commit::{MANIFEST, Manifest};
use crate::control::{Control, ControlError, uid_prefix};
use crate::identity::is_of_job;
use crate::plan::Plan;
use crate::run::PLAN;
use crate::store::{Kind, Pin, Store, StoreError, list_all};

/// Objects looked at, at once.
const PARALLEL: usize = 32;

/// Keys of objects that runs of the EtlJob wrote and that are not among
/// `current`, in key order. `left_out` are those that the present run may have
/// written before it left their input out.
pub async fn keys(
    output: &dyn Store,
    order: &WorkOrder,
    left_out: impl IntoIterator<Item = String>,
    current: &HashSet<&str>,
) -> Result<Vec<String>, ControlError> {
    let mut candidates = BTreeSet::from_iter(left_out);
    for number in (1..order.run.number).rev() {
        let written = written(output, order, number).await?;
        let others = written
            .keys
            .into_iter()
            .filter(|key| !current.contains(key.as_str()));
        candidates.extend(others);
        if written.committed {
            break;
        }
    }
    let left = futures::stream::iter(candidates)
        .map(|key| left(output, order, key))
        .buffered(PARALLEL)
        .try_filter_map(|key| std::future::ready(Ok(key)))
        .try_collect()
        .await?;
    Ok(left)
}

/// What one run has written, or may have.
#[derive(Debug, Default)]
struct Written {
    keys: Vec<String>,
    committed: bool,
}

async fn written(
    output: &dyn Store,
    order: &WorkOrder,
    number: u32,
) -> Result<Written, ControlError> {
    // The run's work hash may have been another one, so only its number is known.
    let listed = list_all(output, &format!("{}{number}-", uid_prefix(order))).await?;
    let prefix_of = |name: &str| {
        listed
            .iter()
            .filter_map(|object| object.key.strip_suffix(name))
            .find(|prefix| prefix.ends_with('/'))
    };
    if let Some(prefix) = prefix_of(MANIFEST)
        && let Some(manifest) = Control::new(output, prefix)
            .read::<Manifest>(MANIFEST)
            .await?
    {
        let outputs = manifest.outputs.into_iter().map(|output| output.key);
        return Ok(Written {
            keys: outputs.chain(manifest.stale).collect(),
            committed: true,
        });
    }
    if let Some(prefix) = prefix_of(PLAN)
        && let Some(plan) = Control::new(output, prefix).read::<Plan>(PLAN).await?
    {
        return Ok(Written {
            keys: plan.inputs.into_iter().map(|input| input.output).collect(),
            committed: false,
        });
    }
    Ok(Written::default())
}

/// The key, if an object of this EtlJob is there.
async fn left(
    output: &dyn Store,
    order: &WorkOrder,
    key: String,
) -> Result<Option<String>, StoreError> {
    match output.head(&key, &Pin::default()).await {
        Ok(object) => Ok(is_of_job(&object, &order.job.uid).then_some(key)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
