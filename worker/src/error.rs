//! Everything that ends a shard, and the one map from it to a [`Failure`].

use etl_contract::{Category, Failure, OrderError};
use tokio::task::JoinError;

use crate::commit::CommitError;
use crate::control::ControlError;
use crate::gate::Stop;
use crate::plan::PlanError;
use crate::store::{Kind, StoreError};
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
        /// What the engine says.
        error: etl_engine::Error,
    },
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

const ACCESS_HINT: &str = "check the worker's role, and that it may list the bucket as well as \
                           read and write below the prefixes of this EtlJob";
const LIMIT_HINT: &str = "raise spec.worker.resources.limits.memory";
const REPORT_HINT: &str = "this is a defect: please report it with the worker's log";
const CONFLICT_HINT: &str = "choose another output.uri or output.keyTemplate, remove the object, \
                             or set output.onExisting";

impl Error {
    /// An engine failure on the object at `uri`. The store's own error, if
    /// there is one inside, comes out again.
    pub fn engine(uri: String, error: etl_engine::Error) -> Self {
        match error {
            etl_engine::Error::Read(read) => match read.downcast::<StoreError>() {
                Ok(error) => Error::Source { uri, error },
                Err(read) => Error::Engine {
                    uri,
                    error: etl_engine::Error::Read(read),
                },
            },
            error => Error::Engine { uri, error },
        }
    }

    /// A thread that died.
    pub fn panicked(error: &JoinError) -> Self {
        Error::Internal(format!("a thread of the worker died: {error}"))
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
                CommitError::Store(error) | CommitError::Control(ControlError::Store(error)),
            ) => Some(error),
            _ => None,
        }
    }

    /// The error as the report tells it.
    pub fn failure(&self) -> Failure {
        if let Some(stop) = self.stop() {
            return of_stop(stop);
        }
        if let Error::Source { uri, error } = self
            && let Some(category) = source_changed(error.kind())
        {
            let how = match error.kind() {
                Kind::NotFound => "was removed",
                _ => "was overwritten",
            };
            return failure(category, format!("{uri} {how} after the run was planned"))
                .about(uri)
                .hint("write source objects under new keys instead of overwriting them");
        }
        if let Error::Plan(PlanError::Store(error)) = self
            && error.kind() == Kind::NoBucket
        {
            return failure(Category::SourceNotFound, error.to_string())
                .about(error.uri())
                .hint("create the bucket, or correct source.uri");
        }
        if let Some(error) = self.store() {
            return of_store(error);
        }
        self.own_failure()
    }

    /// Failures that no store is behind.
    fn own_failure(&self) -> Failure {
        let message = self.to_string();
        match self {
            Error::Order(_) => failure(Category::Internal, message).hint(REPORT_HINT),
            Error::Uri { .. } => failure(Category::InvalidSpec, message),
            Error::Plan(error) => of_plan(error, message),
            Error::ForeignPlan { .. } => failure(Category::Internal, message).hint(
                "operator and worker images were exchanged while the run was under way: ask for a \
                 new run",
            ),
            Error::Engine { uri, error } => of_engine(error, message).about(uri),
            Error::Write(error) => of_write(error, message),
            Error::Commit(error) => of_commit(error, message),
            Error::Control(_) | Error::Store(_) | Error::Source { .. } | Error::Internal(_) => {
                failure(Category::Internal, message).hint(REPORT_HINT)
            }
            Error::Stopped(stop) => of_stop(*stop),
        }
    }
}

/// Builder of [`Failure`]s.
trait Telling {
    fn about(self, object: &str) -> Self;
    fn hint(self, hint: &str) -> Self;
}

impl Telling for Failure {
    fn about(mut self, object: &str) -> Self {
        self.object = Some(object.to_owned());
        self
    }

    fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }
}

fn failure(category: Category, message: String) -> Failure {
    Failure {
        category,
        message,
        object: None,
        hint: None,
        undecided: false,
    }
}

fn of_stop(stop: Stop) -> Failure {
    let category = match stop {
        Stop::Deadline => Category::DeadlineExceeded,
        Stop::Signal => Category::Disrupted,
        Stop::Failure => Category::Internal,
    };
    let told = failure(category, stop.to_string());
    match stop {
        Stop::Deadline => told.hint(
            "raise spec.execution.activeDeadlineSeconds, or spread the work over more \
             spec.execution.parallelism",
        ),
        Stop::Signal | Stop::Failure => told,
    }
}

/// Reading is pinned, so a refusal or a missing object is a change.
fn source_changed(kind: Kind) -> Option<Category> {
    match kind {
        Kind::PreconditionFailed | Kind::NotFound => Some(Category::SourceChanged),
        _ => None,
    }
}

fn of_store(error: &StoreError) -> Failure {
    let message = error.to_string();
    let category = match error.kind() {
        Kind::NoBucket => Category::InvalidSpec,
        Kind::NotFound => Category::SourceNotFound,
        Kind::AccessDenied => Category::AccessDenied,
        Kind::Throttled => Category::Throttled,
        Kind::Conflict | Kind::Unavailable | Kind::Unknown => Category::Unavailable,
        Kind::Unsupported => Category::InvalidSpec,
        Kind::Stopped(stop) => return of_stop(stop),
        Kind::PreconditionFailed | Kind::Other => Category::Internal,
    };
    let told = failure(category, message).about(error.uri());
    match error.kind() {
        Kind::NoBucket => told.hint("create the bucket, or correct the URI"),
        Kind::AccessDenied => told.hint(ACCESS_HINT),
        Kind::Throttled => told.hint("lower spec.execution.parallelism, or spread the keys"),
        _ => told,
    }
}

fn of_plan(error: &PlanError, message: String) -> Failure {
    match error {
        PlanError::NoObject { uri } => failure(Category::SourceNotFound, message)
            .about(uri)
            .hint("correct source.uri, or end it in '/' if a prefix is meant"),
        PlanError::NothingSelected { uri, .. } => failure(Category::SourceNotFound, message)
            .about(uri)
            .hint("correct source.uri, source.include or source.exclude"),
        PlanError::Changed { uri } => failure(Category::SourceChanged, message)
            .about(uri)
            .hint("source.etag pins a content that was overwritten"),
        PlanError::TooMany { uri } => failure(Category::UnsupportedInput, message)
            .about(uri)
            .hint("split the prefix over several EtlJobs, or narrow source.include"),
        PlanError::SameOutput {
            output, dir_helps, ..
        } => {
            let hint = if *dir_helps {
                "add {dir} to output.keyTemplate, as in {dir}/{stem}.json"
            } else {
                "choose another output.keyTemplate: {name} keeps the extension apart"
            };
            failure(Category::InvalidSpec, message)
                .about(output)
                .hint(hint)
        }
        PlanError::PinnedPrefix { uri, .. } => failure(Category::InvalidSpec, message).about(uri),
        PlanError::Selection(_) | PlanError::Template(_) => failure(Category::InvalidSpec, message),
        PlanError::Store(error) => of_store(error),
    }
}

fn of_engine(error: &etl_engine::Error, message: String) -> Failure {
    use etl_engine::ErrorKind;
    match error.kind() {
        ErrorKind::BadInput => failure(Category::BadInput, message)
            .hint("write or upload the object again, or leave it out by source.exclude"),
        ErrorKind::Unsupported => failure(Category::UnsupportedInput, message)
            .hint("leave the object out by source.exclude, or write it without this"),
        ErrorKind::NotEnoughMemory => failure(Category::OutOfMemory, message).hint(LIMIT_HINT),
        ErrorKind::Read | ErrorKind::Sink | ErrorKind::Internal => {
            failure(Category::Internal, message).hint(REPORT_HINT)
        }
    }
}

fn of_write(error: &WriteError, message: String) -> Failure {
    match error {
        WriteError::Taken { uri, .. } => failure(Category::OutputConflict, message)
            .about(uri)
            .hint(CONFLICT_HINT),
        WriteError::Superseded { uri } => failure(Category::Superseded, message).about(uri),
        WriteError::TooLarge { uri } => failure(Category::UnsupportedInput, message)
            .about(uri)
            .hint("split the source object, or compress the output"),
        WriteError::Different { uri, .. } | WriteError::Unfinished { uri } => {
            failure(Category::Internal, message)
                .about(uri)
                .hint(REPORT_HINT)
        }
        WriteError::Store(error) => of_store(error),
    }
}

fn of_commit(error: &CommitError, message: String) -> Failure {
    match error {
        CommitError::Output { uri, .. } => failure(Category::OutputConflict, message)
            .about(uri)
            .hint(CONFLICT_HINT),
        CommitError::Superseded { uri } => failure(Category::Superseded, message).about(uri),
        CommitError::Record { .. } | CommitError::Control(_) => {
            failure(Category::Internal, message).hint(REPORT_HINT)
        }
        CommitError::Store(error) => of_store(error),
    }
}

#[cfg(test)]
mod tests {
    use etl_engine::{Place, ReadError};

    use super::*;

    fn store(kind: Kind) -> StoreError {
        StoreError::new(kind, "read", "s3://raw/a", "because")
    }

    fn source(kind: Kind) -> Error {
        let read = etl_engine::Error::Read(ReadError::new(store(kind)));
        Error::engine("s3://raw/a".into(), read)
    }

    #[test]
    fn a_store_failure_under_the_engine_keeps_its_category() {
        for (kind, category) in [
            (Kind::PreconditionFailed, Category::SourceChanged),
            (Kind::NotFound, Category::SourceChanged),
            (Kind::AccessDenied, Category::AccessDenied),
            (Kind::Throttled, Category::Throttled),
            (Kind::Unavailable, Category::Unavailable),
            (Kind::Stopped(Stop::Signal), Category::Disrupted),
            (Kind::Stopped(Stop::Deadline), Category::DeadlineExceeded),
        ] {
            assert_eq!(source(kind).failure().category, category, "{kind:?}");
        }
        assert!(source(Kind::Stopped(Stop::Failure)).is_echo());
        assert!(!source(Kind::Stopped(Stop::Signal)).is_echo());
    }

    #[test]
    fn categories_of_the_stages() {
        let uri = || "s3://out/a.json".to_owned();
        let engine = |error| Error::engine("s3://raw/a".into(), error);
        let bad = etl_engine::Error::BadInput {
            place: Place::default(),
            problem: "torn".into(),
        };
        for (error, category) in [
            (engine(bad), Category::BadInput),
            (
                Error::Write(WriteError::Taken {
                    uri: uri(),
                    who: "x".into(),
                }),
                Category::OutputConflict,
            ),
            (
                Error::Write(WriteError::Superseded { uri: uri() }),
                Category::Superseded,
            ),
            (
                Error::Commit(CommitError::Superseded { uri: uri() }),
                Category::Superseded,
            ),
            (
                Error::Plan(PlanError::NoObject { uri: uri() }),
                Category::SourceNotFound,
            ),
            (
                Error::Plan(PlanError::Changed { uri: uri() }),
                Category::SourceChanged,
            ),
            (
                Error::Plan(PlanError::TooMany { uri: uri() }),
                Category::UnsupportedInput,
            ),
            (Error::Store(store(Kind::NoBucket)), Category::InvalidSpec),
            (
                Error::Plan(PlanError::Store(store(Kind::NoBucket))),
                Category::SourceNotFound,
            ),
            (Error::Store(store(Kind::Unknown)), Category::Unavailable),
            (Error::Stopped(Stop::Deadline), Category::DeadlineExceeded),
            (Error::Internal("x".into()), Category::Internal),
        ] {
            assert_eq!(error.failure().category, category, "{error}");
        }
    }

    #[test]
    fn two_inputs_on_one_key_are_named_with_the_way_out() {
        let error = Error::Plan(PlanError::SameOutput {
            first: "s3://raw/a/x.parquet".into(),
            second: "s3://raw/b/x.parquet".into(),
            output: "s3://out/x.json".into(),
            dir_helps: true,
        });
        let failure = error.failure();
        assert_eq!(failure.category, Category::InvalidSpec);
        assert!(
            failure
                .message
                .contains("s3://raw/a/x.parquet and s3://raw/b/x.parquet")
        );
        assert!(failure.hint.unwrap().contains("{dir}"));
    }
}
