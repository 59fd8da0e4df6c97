//! One input to one output: reading, converting and writing at the same time.
//!
//! The engine blocks, so it runs on a thread of its own; a bounded channel to
//! the writer keeps the two at one pace.

mod channel;
mod open;

use std::sync::Arc;

use etl_contract::{OnExisting, OnInvalidObject, OnInvalidRecord, WorkOrder, truncate};
use etl_engine::ErrorKind;
use jiff::Timestamp;
use tokio::sync::Semaphore;

pub use open::Opener;

use crate::budget::Budget;
use crate::control;
use crate::error::Error;
use crate::identity::Provenance;
use crate::options;
use crate::plan::Input;
use crate::record::{self, InputRecord, OutputRecord, QuarantineRecord, SkipRecord};
use crate::store::{Attributes, Kind, Store};
use crate::tally::Tally;
use crate::write::{Look, PartSizes, Slot, Target, WriteError, Written};
use channel::{Rows, Sinks};
use open::Opened;

/// Conversions of one object before a racing writer is given up on.
const TRIES: u32 = 3;

/// Readings of an object after which it is the object that is damaged, and not
/// what arrived of it.
const READINGS: u32 = 2;

/// Longest reason in a record, in bytes: a run may have very many.
const REASON_BYTES: usize = 300;

/// What all conversions of a process share.
#[derive(Debug)]
pub struct Converter {
    order: WorkOrder,
    /// Engine version that the plan was frozen with.
    engine: String,
    opener: Opener,
    output: Arc<dyn Store>,
    /// What is left out so far.
    tally: Tally,
    /// One for each large output that is written at a time.
    slots: Arc<Semaphore>,
    /// Bytes of parts on their way that go with a slot.
    part_bytes: usize,
    started: Timestamp,
}

impl Converter {
    /// A converter for a run whose plan was made for `engine`. `tally` holds what
    /// this shard has left out before.
    pub fn new(
        order: WorkOrder,
        engine: String,
        opener: Opener,
        output: Arc<dyn Store>,
        budget: Budget,
        tally: Tally,
    ) -> Self {
        Converter {
            order,
            engine,
            opener,
            output,
            tally,
            slots: Arc::new(Semaphore::new(budget.conversions)),
            part_bytes: budget.part_bytes(),
            started: Timestamp::now(),
        }
    }

    /// Converts one input and leaves its output in the store, or leaves it out,
    /// if the order allows that.
    pub async fn convert(&self, piece: Piece<'_>) -> Result<InputRecord, Error> {
        let record = match self.write(piece).await {
            Ok(record) => InputRecord::Written(record),
            Err(error) => InputRecord::Skipped(self.skip(piece.input, error)?),
        };
        self.tally.add(&record, |key| self.opener.uri(key))?;
        Ok(record)
    }

    async fn write(&self, piece: Piece<'_>) -> Result<OutputRecord, Error> {
        let targets = self.targets(piece);
        let mut tries = 1;
        loop {
            match self.convert_once(piece.input, &targets).await {
                Err(error) if tries < tries_for(&error) => {
                    tracing::warn!(%error, tries, "The object is converted again.");
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn convert_once(&self, input: &Input, targets: &Targets) -> Result<OutputRecord, Error> {
        let left = self.tally.records_left();
        let output = &targets.output;
        let (look, opened) = tokio::join!(output.look(), self.opener.open(input, left));
        // Whose key it is matters more than what was to be written there.
        let look = look?;
        let uri = self.opener.uri(&input.key);
        let (rows, written, kept) = self.stream(uri, targets, look, opened?).await?;
        Ok(OutputRecord {
            source: input.key.clone(),
            source_etag: input.etag.clone(),
            key: input.output.clone(),
            etag: written.etag,
            bytes: written.bytes,
            digest: output.provenance.digest().to_owned(),
            crc64: format!("{:016x}", written.crc64),
            rows_read: rows.read,
            rows_written: rows.written,
            rows_rejected: rows.rejected,
            quarantine: targets.quarantine.as_ref().zip(kept).map(|(target, kept)| {
                QuarantineRecord {
                    key: target.key.clone(),
                    bytes: kept.bytes,
                    crc64: format!("{:016x}", kept.crc64),
                }
            }),
        })
    }

    /// Runs the engine and the writers of its outputs until all are done.
    async fn stream(
        &self,
        uri: String,
        targets: &Targets,
        look: Look,
        opened: Opened,
    ) -> Result<(Rows, Written, Option<Written>), Error> {
        let Opened {
            conversion,
            memory,
            output: _output,
        } = opened;
        let (rows, row_chunks) = channel::channel();
        let (rejected, rejected_chunks) =
            targets.quarantine.is_some().then(channel::channel).unzip();
        let sinks = Sinks { rows, rejected };
        let converting = tokio::task::spawn_blocking(|| channel::run(conversion, sinks, memory));
        let slot = Slot::new(Arc::clone(&self.slots), self.part_bytes);
        let keeping = async {
            match targets.quarantine.as_ref().zip(rejected_chunks) {
                Some((target, chunks)) => target.receive_any(chunks, &slot).await,
                None => Ok(None),
            }
        };
        let writing = targets.output.receive(look, row_chunks, &slot);
        let (converted, written, kept) = tokio::join!(converting, writing, keeping);
        match (converted.map_err(Error::panicked)?, written, kept) {
            (Ok(rows), Ok(written), Ok(kept)) => Ok((rows, written, kept)),
            (Err(error), written, kept) if !matches!(error, etl_engine::Error::Sink(_)) => {
                drop((written, kept));
                Err(self.engine_error(uri, error))
            }
            // The engine only knows that nobody listens; a writer knows why, and
            // the other one only that the engine has ended.
            (_, Err(WriteError::Unfinished { .. }), Err(error)) | (_, Err(error), _) => {
                Err(error.into())
            }
            (_, Ok(_), Err(error)) => Err(error.into()),
            (Err(error), Ok(_), Ok(_)) => Err(self.engine_error(uri, error)),
        }
    }

    /// What the engine says of an object. One row too many is one too many of
    /// the run.
    fn engine_error(&self, uri: String, error: etl_engine::Error) -> Error {
        match &error {
            etl_engine::Error::InvalidRecords {
                row,
                column,
                reason,
                limit: Some(_),
            } => {
                let problem = format!("row {row}, column {column:?}: {reason}");
                self.tally.too_many_records(uri, problem).into()
            }
            _ => self.opener.engine_error(uri, error),
        }
    }

    /// The record of an object that is left out because of `error`.
    ///
    /// # Errors
    /// The error itself, if it is no reason to leave the object out.
    fn skip(&self, input: &Input, error: Error) -> Result<SkipRecord, Error> {
        let allowed = self.order.source.on_invalid_object == OnInvalidObject::Skip;
        let Error::Engine { error: reason, .. } = &error else {
            return Err(error);
        };
        if !allowed || !open::is_verdict(reason.kind()) {
            return Err(error);
        }
        let mut reason = reason.to_string();
        truncate(&mut reason, REASON_BYTES);
        let category = error.failure().category;
        let object = self.opener.uri(&input.key);
        tracing::warn!(%object, %category, reason, "An object is left out.");
        Ok(SkipRecord {
            source: input.key.clone(),
            source_etag: input.etag.clone(),
            key: input.output.clone(),
            category,
            reason,
        })
    }

    fn targets(&self, piece: Piece<'_>) -> Targets {
        let Piece { task, index, input } = piece;
        let uri = self.opener.uri(&input.key);
        let provenance = Provenance::new(&self.order, &self.engine, input, &uri);
        let output = &self.order.output;
        // A first attempt has no predecessor to clean up after.
        let abandoned =
            (self.order.attempt > 1).then_some((self.order.run.start_time, self.started));
        let quarantine = provenance.of_quarantine();
        let quarantine = Target {
            store: Arc::clone(&self.output),
            key: format!(
                "{}{}",
                control::prefix(&self.order),
                record::quarantine_name(task, index)
            ),
            // Like all control objects it can be read at once, whatever the
            // outputs' storage class.
            attributes: Attributes {
                metadata: quarantine.metadata(),
                content_type: Some("application/x-ndjson"),
                ..Attributes::default()
            },
            provenance: quarantine,
            on_existing: OnExisting::Fail,
            parts: PartSizes::Side,
            abandoned,
        };
        let output = Target {
            store: Arc::clone(&self.output),
            key: input.output.clone(),
            attributes: Attributes {
                metadata: provenance.metadata(),
                content_type: Some(options::content_type(output)),
                storage_class: output.storage_class.clone(),
                tags: output.tags.clone(),
            },
            provenance,
            on_existing: output.on_existing,
            parts: PartSizes::Output,
            abandoned,
        };
        Targets {
            output,
            quarantine: keeps_rejected(&self.order).then_some(quarantine),
        }
    }
}

/// One input and its place in the plan.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Number of its task.
    pub task: usize,
    /// Its number in the task.
    pub index: usize,
    /// The input.
    pub input: &'a Input,
}

/// Where the rows of one input go.
#[derive(Debug)]
struct Targets {
    output: Target,
    quarantine: Option<Target>,
}

/// Whether rows that are left out are kept.
pub(crate) fn keeps_rejected(order: &WorkOrder) -> bool {
    let schema = order.schema.as_ref();
    schema.is_some_and(|schema| schema.on_invalid_record == OnInvalidRecord::Quarantine)
}

/// How often an object is converted before an error counts.
fn tries_for(error: &Error) -> u32 {
    match error {
        Error::Write(WriteError::Store(error)) => match error.kind() {
            // The second is an upload that another writer aborted.
            Kind::Conflict | Kind::NotFound => TRIES,
            _ => 1,
        },
        Error::Engine { error, .. } if error.kind() == ErrorKind::BadInput => READINGS,
        _ => 1,
    }
}
