//! One shard of one attempt, from the order to the outcome.
//!
//! ```text
//! manifest? ──yes──────────────────────────────────────────────► Complete
//!     │ no
//!   plan ► own tasks without a record: convert, write, record
//!     │
//!   all tasks recorded? ──no──► TasksDone
//!     │ yes
//!   verify outputs ► manifest ─────────────────────────────────► Complete
//! ```

use std::sync::Arc;

use etl_contract::{Mode, Outcome, OutputLocation, REPORTED_SKIPS, SkippedObject, WorkOrder};

use crate::budget::Budget;
use crate::commit::{Committer, MANIFEST, Manifest};
use crate::control::{self, Control};
use crate::convert::Opener;
use crate::error::Error;
use crate::gate::{Closer, Gate, Gated};
use crate::options::ObjectOptions;
use crate::plan::{self, Plan};
use crate::progress::Progress;
use crate::store::{self, Store};
use crate::tasks::Tasks;
use crate::uri::Location;

/// Name of the plan below the control prefix.
pub const PLAN: &str = "plan";

/// One shard and everything it needs.
#[derive(Debug)]
pub struct Worker {
    /// What to do.
    pub order: WorkOrder,
    /// Which shard of it.
    pub shard: u32,
    /// Name of the source object below `source`; empty for a prefix.
    pub source_name: String,
    /// Where to read.
    pub source: Arc<dyn Store>,
    /// Where to write.
    pub output: Arc<dyn Store>,
    /// When to let go.
    pub gate: Gate,
    /// Closes the gate for the other tasks when one fails.
    pub closer: Closer,
    /// Memory and threads.
    pub budget: Budget,
    /// Counters for whoever watches.
    pub progress: Arc<Progress>,
}

impl Worker {
    /// Opens the stores that an order names.
    pub async fn open(
        order: WorkOrder,
        shard: u32,
        budget: Budget,
        gate: Gate,
        closer: Closer,
        progress: Arc<Progress>,
    ) -> Result<Self, Error> {
        if shard >= order.shards {
            let shards = order.shards;
            return Err(Error::Internal(format!(
                "there is no shard {shard} of {shards}"
            )));
        }
        let uri = |field| move |error| Error::Uri { field, error };
        let source = Location::parse(&order.source.uri).map_err(uri("source.uri"))?;
        let output = Location::parse_folder(&order.output.uri).map_err(uri("output.uri"))?;
        let opening = async {
            Ok((
                store::open(&source.root, &order.storage).await?,
                store::open(&output, &order.storage).await?,
            ))
        };
        let (from, to) = gate
            .pass(opening)
            .await
            .unwrap_or_else(|stop| Err(Error::Stopped(stop)))?;
        tracing::info!(
            source = %order.source.uri,
            output = %order.output.uri,
            run = order.run.number,
            attempt = order.attempt,
            shard,
            shards = order.shards,
            engine_bytes = budget.engine_bytes,
            conversions = budget.conversions,
            threads = budget.threads,
            "The shard starts."
        );
        Ok(Worker {
            order,
            shard,
            source_name: source.name,
            source: from,
            output: to,
            gate,
            closer,
            budget,
            progress,
        })
    }

    /// Does the shard's work.
    ///
    /// # Guarantees
    /// [`Outcome::Complete`] only after the manifest was read from the store;
    /// [`Outcome::TasksDone`] only if all tasks of the shard are recorded and
    /// some other shard's is not.
    pub async fn run(&self) -> Result<Outcome, Error> {
        let stores = Stores {
            source: self.gated(&self.source),
            output: self.gated(&self.output),
            prefix: control::prefix(&self.order),
        };
        let control = Control::new(&*stores.output, &stores.prefix);
        if let Some(manifest) = control.read::<Manifest>(MANIFEST).await? {
            tracing::info!("The run is committed already.");
            return self.complete(control, &manifest);
        }
        if self.order.mode == Mode::Settle {
            return Ok(Outcome::NoManifest);
        }
        let plan = self.plan(&stores, control).await?;
        let tasks = Tasks {
            worker: self,
            plan: &plan,
            stores: &stores,
            control,
        };
        tasks.finish().await?;
        let committer = Committer {
            order: &self.order,
            plan: &plan,
            control,
            source: &*stores.source,
            output: &*stores.output,
        };
        match committer.commit().await? {
            Some(manifest) => self.complete(control, &manifest),
            None => {
                tracing::info!("All tasks of this shard are recorded; others are not.");
                Ok(Outcome::TasksDone)
            }
        }
    }

    fn gated(&self, store: &Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Gated::new(Arc::clone(store), self.gate.clone()))
    }

    /// The frozen plan: read, or made and frozen, and in either case the one
    /// that the store holds.
    async fn plan(&self, stores: &Stores, control: Control<'_>) -> Result<Plan, Error> {
        let plan = match control.read::<Plan>(PLAN).await? {
            Some(plan) => plan,
            None => {
                let plan = plan::make(
                    &self.order,
                    &self.source_name,
                    &*stores.source,
                    &*stores.output,
                    &self.opener(stores, self.budget)?,
                )
                .await?;
                // Before it is frozen, and before anything is converted.
                self.budget.check(&plan)?;
                control.settle(PLAN, plan).await?.1
            }
        };
        self.budget.check(&plan)?;
        self.check_plan(&plan)?;
        tracing::info!(
            objects = plan.inputs.len(),
            tasks = plan.tasks.len(),
            "The plan is frozen."
        );
        Ok(plan)
    }

    fn check_plan(&self, plan: &Plan) -> Result<(), Error> {
        let describe = |uid: &str, run: u32, hash: &str, engine: &str| {
            format!("run {run} of {uid} with work hash {hash} and engine version {engine}")
        };
        let run = &self.order.run;
        let engine = etl_engine::ENGINE_VERSION;
        let planned = describe(&plan.uid, plan.run, &plan.work_hash, &plan.engine);
        let own = describe(&self.order.job.uid, run.number, &run.work_hash, engine);
        if planned != own {
            return Err(Error::ForeignPlan { planned, own });
        }
        if !plan.is_sound() {
            return Err(Error::Internal(
                "the plan's tasks do not cover its inputs".to_owned(),
            ));
        }
        Ok(())
    }

    pub(crate) fn opener(&self, stores: &Stores, budget: Budget) -> Result<Opener, Error> {
        let options = ObjectOptions::new(&self.order)?;
        let (store, progress) = (Arc::clone(&stores.source), Arc::clone(&self.progress));
        Ok(Opener::new(&self.order, options, store, budget, progress))
    }

    fn complete(&self, control: Control<'_>, manifest: &Manifest) -> Result<Outcome, Error> {
        let (job, run) = (&self.order.job, &self.order.run);
        if (&manifest.job.uid, manifest.run, &manifest.work_hash)
            != (&job.uid, run.number, &run.work_hash)
        {
            let uri = control.uri(MANIFEST);
            return Err(Error::Internal(format!("{uri} belongs to another run")));
        }
        let first = manifest.outputs.first();
        Ok(Outcome::Complete {
            statistics: manifest.totals,
            output: OutputLocation {
                manifest_uri: control.uri(MANIFEST),
                first_object_uri: first.map(|output| self.output.uri(&output.key)),
            },
            skipped: manifest
                .skipped
                .iter()
                .take(REPORTED_SKIPS)
                .map(|object| SkippedObject {
                    uri: self.source.uri(&object.key),
                    category: object.category,
                    reason: object.reason.clone(),
                })
                .collect(),
        })
    }
}

/// The stores behind the gate, and where the run's control objects are.
pub(crate) struct Stores {
    pub(crate) source: Arc<dyn Store>,
    pub(crate) output: Arc<dyn Store>,
    prefix: String,
}
