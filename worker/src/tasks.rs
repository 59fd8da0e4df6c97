//! The tasks of one shard: convert, write, record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use etl_contract::{OnInvalidObject, OnInvalidRecord, WorkOrder};
use futures::StreamExt;

use crate::commit::recorded;
use crate::control::Control;
use crate::convert::{Converter, Piece, keeps_rejected};
use crate::error::Error;
use crate::gate::Stop;
use crate::plan::{Input, Plan};
use crate::record::{self, InputRecord, TaskRecord};
use crate::run::{Stores, Worker};
use crate::tally::Tally;

/// Records read at once.
const RECORDS: usize = 32;

/// A shard's part of a plan.
#[derive(Clone, Copy)]
pub(crate) struct Tasks<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) plan: &'a Plan,
    pub(crate) stores: &'a Stores,
    pub(crate) control: Control<'a>,
}

impl Tasks<'_> {
    /// Does the tasks that have no record yet, several inputs at a time, in
    /// order. When one fails, the others let go of storage and clean up after
    /// themselves.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        let Tasks { worker, plan, .. } = self;
        let recorded = recorded(self.control).await?;
        let inputs = plan.task_inputs();
        let own = plan.tasks_of(worker.shard, worker.order.shards);
        let (done, todo): (Vec<usize>, Vec<usize>) = own.partition(|task| recorded.contains(task));
        self.tell_planned(&inputs, &done, &todo);
        let work = &Work {
            tasks: self,
            converter: self.converter(self.tally(&done).await?)?,
            unfinished: Unfinished::default(),
        };
        let pieces: Vec<(usize, usize)> = todo
            .into_iter()
            .flat_map(|task| (0..inputs[task].len()).map(move |index| (task, index)))
            .collect();
        let inputs = &inputs;
        let mut pieces = futures::stream::iter(pieces)
            .map(|(task, index)| work.convert(task, inputs[task], index))
            .buffer_unordered(worker.budget.objects);
        let mut outcome = Ok(());
        while let Some(ended) = pieces.next().await {
            let Err(error) = ended else { continue };
            worker.closer.close(Stop::Failure);
            // What the others say now is only that the gate is closed.
            if outcome.is_ok() || !error.is_echo() && outcome.as_ref().is_err_and(Error::is_echo) {
                outcome = Err(error);
            }
        }
        outcome
    }

    fn converter(self, tally: Tally) -> Result<Converter, Error> {
        let order = &self.worker.order;
        let mut budget = self.worker.budget.beside(self.plan);
        if keeps_rejected(order) {
            budget = budget.with_quarantine();
        }
        Ok(Converter::new(
            order.clone(),
            self.plan.engine.clone(),
            self.worker.opener(self.stores, budget)?,
            Arc::clone(&self.stores.output),
            budget,
            tally,
        ))
    }

    fn tell_planned(self, inputs: &[&[Input]], done: &[usize], todo: &[usize]) {
        let count = |tasks: &[usize]| -> u64 {
            let inputs = tasks.iter().map(|task| inputs[*task].len() as u64);
            inputs.sum()
        };
        let progress = &self.worker.progress;
        progress.planned(count(done) + count(todo));
        progress.finished(count(done), 0);
    }

    /// What this shard has left out before, if anything may be left out.
    async fn tally(self, done: &[usize]) -> Result<Tally, Error> {
        let tally = Tally::new(&self.worker.order);
        if !leaves_out(&self.worker.order) {
            return Ok(tally);
        }
        let control = self.control;
        let mut records = futures::stream::iter(done.to_vec())
            .map(|task| async move { control.read::<TaskRecord>(&record::name(task)).await })
            .buffered(RECORDS);
        while let Some(record) = records.next().await {
            // One that is gone is missed at the commit.
            for result in record?.into_iter().flat_map(|record| record.results) {
                tally.add(&result, |key| self.stores.source.uri(key))?;
            }
        }
        Ok(tally)
    }
}

/// Whether an order lets anything be left out.
fn leaves_out(order: &WorkOrder) -> bool {
    let schema = order.schema.as_ref();
    order.source.on_invalid_object != OnInvalidObject::Fail
        || schema.is_some_and(|schema| schema.on_invalid_record != OnInvalidRecord::Fail)
}

/// What the conversions of a shard share.
struct Work<'a> {
    tasks: Tasks<'a>,
    converter: Converter,
    unfinished: Unfinished,
}

impl Work<'_> {
    /// Converts one input of a task; whoever finishes a task records it.
    async fn convert(&self, task: usize, inputs: &[Input], index: usize) -> Result<(), Error> {
        let Tasks {
            worker, control, ..
        } = self.tasks;
        worker.gate.check().map_err(Error::Stopped)?;
        let result = self
            .converter
            .convert(Piece {
                task,
                index,
                input: &inputs[index],
            })
            .await?;
        worker.progress.finished(1, result.rows_written());
        let Some(results) = self.unfinished.put(task, inputs.len(), index, result) else {
            return Ok(());
        };
        let record = TaskRecord { task, results };
        control.settle(&record::name(task), record).await?;
        tracing::info!(task, objects = inputs.len(), "A task is recorded.");
        Ok(())
    }
}

/// Results of tasks of which some input is still missing.
#[derive(Debug, Default)]
struct Unfinished(Mutex<HashMap<usize, Vec<Option<InputRecord>>>>);

impl Unfinished {
    /// Puts down one of a task's `count` results; returns all of them with the
    /// last.
    fn put(
        &self,
        task: usize,
        count: usize,
        index: usize,
        result: InputRecord,
    ) -> Option<Vec<InputRecord>> {
        // Nothing in here can panic half way.
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let results = tasks.entry(task).or_insert_with(|| vec![None; count]);
        results[index] = Some(result);
        if results.iter().any(Option::is_none) {
            return None;
        }
        tasks.remove(&task)?.into_iter().collect()
    }
}
