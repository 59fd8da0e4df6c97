//! One input to one output: reading, converting and writing at the same time.
//!
//! The engine blocks, so it runs on a thread of its own; a bounded channel to
//! the writer keeps the two at one pace.

mod channel;
mod open;

use std::sync::Arc;

use etl_contract::{OnInvalidObject, WorkOrder, truncate};
use etl_engine::ErrorKind;
use jiff::Timestamp;
use tokio::sync::Semaphore;

pub use open::Opener;

use crate::budget::Budget;
use crate::error::Error;
use crate::identity::Provenance;
use crate::options;
use crate::plan::Input;
use crate::record::{InputRecord, OutputRecord, SkipRecord};
use crate::store::{Attributes, Kind, Store};
use crate::tally::Tally;
use crate::write::{Look, Slot, Target, WriteError, Written};
use channel::Rows;
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
    pub async fn convert(&self, input: &Input) -> Result<InputRecord, Error> {
        let record = match self.write(input).await {
            Ok(record) => InputRecord::Written(record),
            Err(error) => InputRecord::Skipped(self.skip(input, error)?),
        };
        self.tally.add(&record, |key| self.opener.uri(key))?;
        Ok(record)
    }

    async fn write(&self, input: &Input) -> Result<OutputRecord, Error> {
        let target = self.target(input);
        let mut tries = 1;
        loop {
            match self.convert_once(input, &target).await {
                Err(error) if tries < tries_for(&error) => {
                    tracing::warn!(%error, tries, "The object is converted again.");
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn convert_once(&self, input: &Input, target: &Target) -> Result<OutputRecord, Error> {
        let uri = self.opener.uri(&input.key);
        let options = options::engine(&self.order, &uri, self.tally.records_left());
        let (look, opened) = tokio::join!(target.look(), self.opener.open(input, options));
        // Whose key it is matters more than what was to be written there.
        let look = look?;
        let (rows, written) = self.stream(uri, target, look, opened?).await?;
        Ok(OutputRecord {
            source: input.key.clone(),
            source_etag: input.etag.clone(),
            key: input.output.clone(),
            etag: written.etag,
            bytes: written.bytes,
            digest: target.provenance.digest().to_owned(),
            crc64: format!("{:016x}", written.crc64),
            rows_read: rows.read,
            rows_written: rows.written,
            rows_rejected: rows.rejected,
            quarantine: None,
        })
    }

    async fn stream(
        &self,
        uri: String,
        target: &Target,
        look: Look,
        opened: Opened,
    ) -> Result<(Rows, Written), Error> {
        let (sink, chunks) = channel::channel();
        let Opened {
            conversion,
            memory,
            output: _output,
        } = opened;
        let converting = tokio::task::spawn_blocking(|| channel::run(conversion, sink, memory));
        let slot = Slot::new(Arc::clone(&self.slots), self.part_bytes);
        let (converted, written) = tokio::join!(converting, target.receive(look, chunks, &slot));
        let converted = converted.map_err(Error::panicked)?;
        match (converted, written) {
            (Ok(rows), Ok(written)) => Ok((rows, written)),
            // The engine only knows that nobody listens; the writer knows why.
            (Err(etl_engine::Error::Sink(_)) | Ok(_), Err(error)) => Err(error.into()),
            (Err(error), _) => Err(self.opener.engine_error(uri, error)),
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

    fn target(&self, input: &Input) -> Target {
        let uri = self.opener.uri(&input.key);
        let provenance = Provenance::new(&self.order, &self.engine, input, &uri);
        let output = &self.order.output;
        let attributes = Attributes {
            metadata: provenance.metadata(),
            content_type: Some(options::content_type(output)),
            storage_class: output.storage_class.clone(),
            tags: output.tags.clone(),
        };
        Target {
            store: Arc::clone(&self.output),
            key: input.output.clone(),
            attributes,
            provenance,
            on_existing: output.on_existing,
            // A first attempt has no predecessor to clean up after.
            abandoned: (self.order.attempt > 1)
                .then_some((self.order.run.start_time, self.started)),
        }
    }
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
