//! One input to one output: reading, converting and writing at the same time.
//!
//! The engine blocks, so it runs on a thread of its own; a bounded channel to
//! the writer keeps the two at one pace.

use std::sync::Arc;

use bytes::Bytes;
use etl_contract::WorkOrder;
use etl_engine::{Budget as EngineBudget, Conversion, Sink, SinkError};
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};

use crate::budget::Budget;
use crate::error::Error;
use crate::identity::Provenance;
use crate::options;
use crate::plan::Input;
use crate::progress::Progress;
use crate::read::SourceObject;
use crate::record::OutputRecord;
use crate::store::{Attributes, Kind, Store};
use crate::write::{Look, Message, Target, WriteError, Written};

/// Chunks between engine and writer.
const CHUNKS: usize = 8;

/// Conversions of one object before a racing writer is given up on.
const TRIES: u32 = 3;

/// What all conversions of a process share.
#[derive(Debug)]
pub struct Converter {
    order: WorkOrder,
    /// Engine version that the plan was frozen with.
    engine: String,
    source: Arc<dyn Store>,
    output: Arc<dyn Store>,
    budget: Budget,
    memory: Arc<Semaphore>,
    progress: Arc<Progress>,
    started: Timestamp,
}

/// Rows in and out, as the engine counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    read: u64,
    written: u64,
}

impl Converter {
    /// A converter for a run whose plan was made for `engine`.
    pub fn new(
        order: WorkOrder,
        engine: String,
        source: Arc<dyn Store>,
        output: Arc<dyn Store>,
        budget: Budget,
        progress: Arc<Progress>,
    ) -> Self {
        let memory = Arc::new(Semaphore::new(budget.permits()));
        let started = Timestamp::now();
        Converter {
            order,
            engine,
            source,
            output,
            budget,
            memory,
            progress,
            started,
        }
    }

    /// Converts one input and leaves its output in the store.
    pub async fn convert(&self, input: &Input) -> Result<OutputRecord, Error> {
        let target = self.target(input);
        let mut tries = 1;
        loop {
            match self.convert_once(input, &target).await {
                Err(Error::Write(WriteError::Store(error)))
                    if tries < TRIES
                        // The second is an upload that another writer aborted.
                        && matches!(error.kind(), Kind::Conflict | Kind::NotFound) =>
                {
                    tracing::warn!(%error, tries, "A racing write interfered; the object is converted again.");
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn convert_once(&self, input: &Input, target: &Target) -> Result<OutputRecord, Error> {
        let look = target.look().await?;
        let (rows, written) = self.stream(input, target, look).await?;
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
        })
    }

    async fn stream(
        &self,
        input: &Input,
        target: &Target,
        look: Look,
    ) -> Result<(Rows, Written), Error> {
        let uri = self.source.uri(&input.key);
        let (store, progress) = (Arc::clone(&self.source), Arc::clone(&self.progress));
        let source = SourceObject::open(store, input, progress)
            .await
            .map_err(|error| Error::Source {
                uri: uri.clone(),
                error,
            })?;
        let opened = self.open(Arc::new(source), &uri).await?;
        let permits = self.budget.permits_for(opened.memory);
        let _memory = self.memory.acquire_many(permits).await.map_err(|_closed| {
            Error::Internal("the memory budget was closed while in use".to_owned())
        })?;
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let converting = tokio::task::spawn_blocking(move || run(opened.conversion, sender));
        let (converted, written) = tokio::join!(converting, target.receive(look, receiver));
        let converted = converted.map_err(Error::panicked)?;
        match (converted, written) {
            (Ok(rows), Ok(written)) => Ok((rows, written)),
            // The engine only knows that nobody listens; the writer knows why.
            (Err(etl_engine::Error::Sink(_)) | Ok(_), Err(error)) => Err(error.into()),
            (Err(error), _) => Err(self.engine_error(uri, error)),
        }
    }

    /// Opens with an even share of the memory, or, if that is not enough, with
    /// what the object needs.
    async fn open(&self, source: Arc<SourceObject>, uri: &str) -> Result<Opened, Error> {
        let options = options::engine(&self.order.output, self.order.encoder);
        let budget = self.budget;
        let opening = tokio::task::spawn_blocking(move || {
            let open = |memory_bytes| {
                let engine = EngineBudget {
                    memory_bytes,
                    threads: budget.threads,
                };
                let conversion = Conversion::open(source.clone(), &options, &engine)?;
                Ok(Opened {
                    conversion,
                    memory: memory_bytes,
                })
            };
            match open(budget.share_bytes()) {
                Err(etl_engine::Error::NotEnoughMemory { needed, .. }) => {
                    // With the whole budget at most, so that the refusal names
                    // what there really is.
                    open(needed.min(budget.engine_bytes))
                }
                outcome => outcome,
            }
        });
        opening
            .await
            .map_err(Error::panicked)?
            .map_err(|error| self.engine_error(uri.to_owned(), error))
    }

    fn engine_error(&self, uri: String, error: etl_engine::Error) -> Error {
        Error::engine(uri, self.order.source.uri.ends_with('/'), error)
    }

    fn target(&self, input: &Input) -> Target {
        let provenance = Provenance::new(
            &self.order,
            &self.engine,
            input,
            &self.source.uri(&input.key),
        );
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

struct Opened {
    conversion: Conversion,
    memory: u64,
}

/// Runs on a blocking thread.
fn run(conversion: Conversion, sender: mpsc::Sender<Message>) -> Result<Rows, etl_engine::Error> {
    let read = conversion.rows();
    let mut sink = Channel(sender);
    let summary = conversion.convert(&mut sink)?;
    if summary.rows != read {
        // Without the end mark the writer publishes nothing.
        let written = summary.rows;
        return Err(etl_engine::Error::Internal(format!(
            "{written} rows were written of {read}"
        )));
    }
    sink.send(Message::End)?;
    Ok(Rows {
        read,
        written: summary.rows,
    })
}

/// The sink side of the channel.
struct Channel(mpsc::Sender<Message>);

#[derive(Debug, thiserror::Error)]
#[error("the writer has stopped")]
struct WriterStopped;

impl Channel {
    fn send(&self, message: Message) -> Result<(), SinkError> {
        self.0
            .blocking_send(message)
            .map_err(|_closed| SinkError::new(WriterStopped))
    }
}

impl Sink for Channel {
    fn write(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        self.send(Message::Chunk(chunk))
    }
}
