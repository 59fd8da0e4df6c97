//! Everything that ends a shard.

mod failure;

use etl_contract::OrderError;
use tokio::task::JoinError;

use crate::commit::CommitError;
use crate::control::ControlError;
use crate::gate::Stop;
use crate::options::SchemaError;
use crate::plan::PlanError;
use crate::process::panic_text;
use crate::store::{Kind, StoreError};
use crate::tally::LimitError;
use crate::uri::UriError;
use crate::write::WriteError;

/// Why a shard did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The work order cannot be used.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// `source.uri` or `output.uri` cannot be used.
    #[error("{field}: {error}")]
    Uri {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        error: UriError,
    },
    /// The schema cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A store cannot be opened or used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The frozen plan was made by another worker.
    #[error("the plan was made for {planned}, and this worker does {own}")]
    ForeignPlan {
        /// What the plan says.
        planned: String,
        /// What this worker would have said.
        own: String,
    },
    /// A control object cannot be used.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A source object cannot be read.
    #[error("{error}")]
    Source {
        /// The object.
        uri: String,
        /// What the store says.
        error: StoreError,
    },
    /// A source object cannot be converted.
    #[error("{uri}: {error}")]
    Engine {
        /// The object.
        uri: String,
        /// Whether it is one of those below a prefix, and could be left out.
        below_prefix: bool,
        /// What the engine says.
        error: etl_engine::Error,
    },
    /// More was left out than the order allows.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// An output cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The run cannot be committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The process must let go.
    #[error("{0}")]
    Stopped(Stop),
    /// A defect.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// An engine failure on the object at `uri`. The store's own error, if
    /// there is one inside, comes out again.
    pub fn engine(uri: String, below_prefix: bool, error: etl_engine::Error) -> Self {
        let error = match error {
            etl_engine::Error::Read(read) => match read.downcast::<StoreError>() {
                Ok(error) => return Error::Source { uri, error },
                Err(read) => etl_engine::Error::Read(read),
            },
            error => error,
        };
        Error::Engine {
            uri,
            below_prefix,
            error,
        }
    }

    /// A thread that died.
    pub fn panicked(error: JoinError) -> Self {
        // The error's own text names the task by a number that is never the same.
        let how = match error.try_into_panic() {
            Ok(panic) => panic_text(&*panic).to_owned(),
            Err(_) => "it was cancelled".to_owned(),
        };
        Error::Internal(format!("a thread of the worker died: {how}"))
    }

    /// Whether this is only the echo of another task's failure.
    pub fn is_echo(&self) -> bool {
        self.stop() == Some(Stop::Failure)
    }

    fn stop(&self) -> Option<Stop> {
        match (self, self.store()) {
            (Error::Stopped(stop), _) => Some(*stop),
            (_, Some(error)) => match error.kind() {
                Kind::Stopped(stop) => Some(stop),
                _ => None,
            },
            _ => None,
        }
    }

    /// The store failure at the bottom, if there is one.
    fn store(&self) -> Option<&StoreError> {
        match self {
            Error::Store(error)
            | Error::Source { error, .. }
            | Error::Plan(PlanError::Store(error))
            | Error::Control(ControlError::Store(error))
            | Error::Write(WriteError::Store(error))
            | Error::Commit(
                CommitError::Store(error)
                | CommitError::Control(ControlError::Store(error))
                | CommitError::Undecided(ControlError::Store(error)),
            ) => Some(error),
            _ => None,
        }
    }
}
