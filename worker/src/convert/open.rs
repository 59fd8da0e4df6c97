//! From an input of the plan to a conversion that may begin: fetched, checked,
//! and with its memory set aside.

use std::sync::Arc;

use etl_contract::WorkOrder;
use etl_engine::{Budget as EngineBudget, Conversion, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::budget::{Budget, OUTPUT_BYTES};
use crate::error::Error;
use crate::options::ObjectOptions;
use crate::plan::Input;
use crate::progress::Progress;
use crate::read::SourceObject;
use crate::store::Store;

/// Opens source objects within the memory of the process.
#[derive(Clone, Debug)]
pub struct Opener {
    options: ObjectOptions,
    store: Arc<dyn Store>,
    budget: Budget,
    memory: Arc<Semaphore>,
    progress: Arc<Progress>,
    below_prefix: bool,
}

/// A conversion that may begin.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) conversion: Conversion,
    /// What it may use, until it is over.
    pub(super) memory: OwnedSemaphorePermit,
    /// What its output may use, until that is written.
    pub(super) output: Option<OwnedSemaphorePermit>,
}

impl Opener {
    /// An opener of the objects of `store`, with all memory of `budget` free.
    pub fn new(
        order: &WorkOrder,
        options: ObjectOptions,
        store: Arc<dyn Store>,
        budget: Budget,
        progress: Arc<Progress>,
    ) -> Self {
        Opener {
            options,
            store,
            budget,
            memory: Arc::new(Semaphore::new(budget.permits())),
            progress,
            below_prefix: order.source.uri.ends_with('/'),
        }
    }

    /// URI of a source key.
    pub(super) fn uri(&self, key: &str) -> String {
        self.store.uri(key)
    }

    /// Bytes that each row group of an object takes, all columns counted, whether
    /// or not there is memory to convert them; `None` if that cannot be told
    /// because the object is no sound input, which its conversion says better.
    pub(crate) async fn row_group_bytes(&self, input: &Input) -> Result<Option<Vec<u64>>, Error> {
        let uri = self.uri(&input.key);
        // If some column has no rendering, those that are asked for may have one.
        for options in [self.options.of_all_columns(), self.options.of(&uri, 0)] {
            let look = move |source: Arc<SourceObject>, budget: EngineBudget| {
                let sizes = Conversion::sizes(source, &options, &budget)?;
                Ok(sizes.iter().map(|size| size.compressed_bytes).collect())
            };
            match self.within_memory(input, look).await {
                Ok((sizes, _memory)) => return Ok(Some(sizes)),
                Err(Error::Engine { error, .. }) if is_verdict(error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Opens the part of an object that `input` means, of which `records_left`
    /// rows may be left out. Waits for memory: an even share at first, and if
    /// that is not enough, what the object needs.
    pub(super) async fn open(&self, input: &Input, records_left: u64) -> Result<Opened, Error> {
        let options = self.options.of(&self.uri(&input.key), records_left);
        let row_groups = input.row_groups;
        let open = move |source: Arc<SourceObject>, budget: EngineBudget| {
            let conversion = Conversion::open(source, &options, &budget)?;
            match row_groups {
                Some(part) => conversion.only_row_groups(part.start..part.end),
                None => Ok(conversion),
            }
        };
        let (conversion, memory) = self.within_memory(input, open).await?;
        Ok(self.fit(conversion, memory))
    }

    /// What `work` makes of the source object, with as much memory as that takes.
    async fn within_memory<T: Send + 'static>(
        &self,
        input: &Input,
        work: impl Fn(Arc<SourceObject>, EngineBudget) -> Result<T, etl_engine::Error>
        + Clone
        + Send
        + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), Error> {
        let uri = self.uri(&input.key);
        let source = self.fetch(input, &uri).await?;
        let mut asked = self.budget.first_ask(input.bytes());
        loop {
            let memory = self.acquire(asked).await?;
            let budget = EngineBudget {
                memory_bytes: asked,
                threads: self.budget.threads,
            };
            let (work, source) = (work.clone(), Arc::clone(&source));
            let working = tokio::task::spawn_blocking(move || work(source, budget));
            match working.await.map_err(Error::panicked)? {
                Ok(made) => return Ok((made, memory)),
                // With the whole budget at most, so that the refusal names what
                // there really is.
                Err(etl_engine::Error::NotEnoughMemory { needed, .. })
                    if asked < needed.min(self.budget.engine_bytes) =>
                {
                    asked = needed.min(self.budget.engine_bytes);
                }
                Err(error) => return Err(self.engine_error(uri, error)),
            }
        }
    }

    async fn fetch(&self, input: &Input, uri: &str) -> Result<Arc<SourceObject>, Error> {
        let (store, progress) = (Arc::clone(&self.store), Arc::clone(&self.progress));
        let source = SourceObject::open(store, input, progress).await;
        source.map(Arc::new).map_err(|error| Error::Source {
            uri: uri.to_owned(),
            error,
        })
    }

    async fn acquire(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Error> {
        let permits = self.budget.permits_for(bytes + OUTPUT_BYTES);
        let memory = Arc::clone(&self.memory).acquire_many_owned(permits).await;
        memory.map_err(|_closed| {
            Error::Internal("the memory budget was closed while in use".to_owned())
        })
    }

    /// Gives back what the conversion has no use for.
    fn fit(&self, conversion: Conversion, mut memory: OwnedSemaphorePermit) -> Opened {
        let sizes = conversion.row_group_sizes();
        let fetched: u64 = sizes.iter().map(|size| size.compressed_bytes).sum();
        let wanted = conversion.memory_needed() + fetched + OUTPUT_BYTES;
        let wanted = self.budget.permits_for(wanted) as usize;
        drop(memory.split(memory.num_permits().saturating_sub(wanted)));
        let output = memory.split(self.budget.permits_for(OUTPUT_BYTES) as usize);
        Opened {
            conversion,
            memory,
            output,
        }
    }

    pub(super) fn engine_error(&self, uri: String, error: etl_engine::Error) -> Error {
        Error::engine(uri, self.below_prefix, error)
    }
}

/// Whether a failure says something about the object, and would be the same next
/// time.
pub(super) fn is_verdict(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::BadInput
        | ErrorKind::Unsupported
        | ErrorKind::SchemaMismatch
        | ErrorKind::InvalidRecords => true,
        // More memory, or another store, may end it otherwise.
        ErrorKind::NotEnoughMemory | ErrorKind::Read | ErrorKind::Sink | ErrorKind::Internal => {
            false
        }
    }
}
