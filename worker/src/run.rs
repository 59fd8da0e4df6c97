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

use etl_contract::{Mode, OnInvalidObject, Outcome, OutputLocation, WorkOrder};
use futures::StreamExt;

use crate::budget::Budget;
use crate::commit::{Committer, MANIFEST, Manifest, recorded};
use crate::control::{self, Control};
use crate::convert::Converter;
use crate::error::Error;
use crate::gate::{Closer, Gate, Gated, Stop};
use crate::plan::{self, Input, Plan};
use crate::progress::Progress;
use crate::record::{self, TaskRecord};
use crate::store::{self, Store};
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
        refuse_unknown(&order)?;
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
        self.do_tasks(&stores, &plan, control).await?;
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

    /// Does the shard's tasks that have no record yet, a few at a time. When one
    /// fails, the others let go of storage and clean up after themselves.
    async fn do_tasks(
        &self,
        stores: &Stores,
        plan: &Plan,
        control: Control<'_>,
    ) -> Result<(), Error> {
        let recorded = recorded(control).await?;
        let inputs = plan.task_inputs();
        let own: Vec<usize> = plan.tasks_of(self.shard, self.order.shards).collect();
        let objects =
            |tasks: &[usize]| -> u64 { tasks.iter().map(|task| inputs[*task].len() as u64).sum() };
        let (done, todo): (Vec<usize>, Vec<usize>) = own
            .iter()
            .copied()
            .partition(|task| recorded.contains(task));
        self.progress.planned(objects(&own));
        self.progress.finished(objects(&done), 0);
        let converter = Converter::new(
            self.order.clone(),
            plan.engine.clone(),
            Arc::clone(&stores.source),
            Arc::clone(&stores.output),
            self.budget.beside(plan),
            Arc::clone(&self.progress),
        );
        let mut tasks = futures::stream::iter(todo)
            .map(|task| self.do_task(&converter, control, task, inputs[task]))
            .buffer_unordered(self.budget.conversions);
        let mut outcome = Ok(());
        while let Some(ended) = tasks.next().await {
            let Err(error) = ended else { continue };
            self.closer.close(Stop::Failure);
            // What the others say now is only that the gate is closed.
            if outcome.is_ok() || !error.is_echo() && outcome.as_ref().is_err_and(Error::is_echo) {
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn do_task(
        &self,
        converter: &Converter,
        control: Control<'_>,
        task: usize,
        inputs: &[Input],
    ) -> Result<(), Error> {
        self.gate.check().map_err(Error::Stopped)?;
        let mut outputs = Vec::with_capacity(inputs.len());
        for input in inputs {
            let output = converter.convert(input).await?;
            self.progress.finished(1, output.rows_written);
            outputs.push(output);
        }
        let record = TaskRecord { task, outputs };
        control.settle(&record::name(task), record).await?;
        tracing::info!(task, objects = inputs.len(), "A task is recorded.");
        Ok(())
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
            skipped: Vec::new(),
        })
    }
}

/// Nothing that an order asks for is passed over in silence.
fn refuse_unknown(order: &WorkOrder) -> Result<(), Error> {
    let asked = [
        (
            "source.onInvalidObject",
            order.source.on_invalid_object != OnInvalidObject::default(),
        ),
        ("output.splitBytes", order.output.split_bytes.is_some()),
        ("transform", !order.transform.is_identity()),
        ("schema", order.schema.is_some()),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(Error::NotYet { field }),
        None => Ok(()),
    }
}

/// The stores behind the gate, and where the run's control objects are.
struct Stores {
    source: Arc<dyn Store>,
    output: Arc<dyn Store>,
    prefix: String,
}
