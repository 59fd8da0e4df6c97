//! The one map from an [`Error`] to a [`Failure`].
//!
//! A hint names a step that can be done. `spec.source` and `spec.output` of an
//! EtlJob never change, and a failure that is not retried is its end: what has
//! to be another there, takes a new EtlJob.

use etl_contract::{Category, Failure};

use super::Error;
use crate::commit::CommitError;
use crate::gate::Stop;
use crate::plan::PlanError;
use crate::store::{Kind, StoreError};
use crate::tally::LimitError;
use crate::write::WriteError;

const ACCESS_HINT: &str = "check the worker's role, and that it may list the bucket as well as \
                           read and write below the prefixes of this EtlJob";
const REACH_HINT: &str = "check the store's endpoint and the way to it: DNS, network policies, \
                          proxies";
const THROTTLED_HINT: &str = "raise spec.retryPolicy.backoff.initialSeconds, or spread the keys over \
                              more prefixes";
const DEADLINE_HINT: &str = "raise spec.execution.activeDeadlineSeconds: what is finished stays, and \
                             the next attempt goes on from there";
const LIMIT_HINT: &str = "raise spec.worker.resources.limits.memory";
const REPORT_HINT: &str = "this is a defect: please report it with the worker's log";
const CONFLICT_HINT: &str = "remove the object and make the EtlJob again, or make one with another \
                             output.uri, output.keyTemplate or output.onExisting";

impl Error {
    /// The error as the report tells it.
    pub fn failure(&self) -> Failure {
        Failure {
            // Whoever was interrupted while it committed does not know either;
            // that the operator knows from the category.
            undecided: matches!(self, Error::Commit(CommitError::Undecided(_))),
            ..self.told()
        }
    }

    fn told(&self) -> Failure {
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
                .hint("make the EtlJob again once the bucket is there, or one with another source.uri");
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
            Error::Uri { .. } | Error::Schema(_) => failure(Category::InvalidSpec, message),
            Error::Plan(error) => of_plan(error, message),
            Error::ForeignPlan { .. } => failure(Category::Internal, message).hint(
                "operator and worker images were exchanged while the run was under way: make the \
                 EtlJob again",
            ),
            Error::Engine {
                uri,
                below_prefix,
                error,
            } => of_engine(error, *below_prefix, message).about(uri),
            Error::Limit(error) => of_limit(error, message),
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
        Stop::Deadline => told.hint(DEADLINE_HINT),
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
        Kind::Unsupported | Kind::WrongRegion | Kind::BadAttribute => Category::InvalidSpec,
        Kind::Archived => Category::UnsupportedInput,
        Kind::Stopped(stop) => return of_stop(stop),
        Kind::PreconditionFailed | Kind::Other => Category::Internal,
    };
    let told = failure(category, message).about(error.uri());
    match error.kind() {
        Kind::NoBucket => {
            told.hint("make the EtlJob again once the bucket is there, or one with another URI")
        }
        Kind::Archived => {
            told.hint("restore the object from its archive and make the EtlJob again")
        }
        Kind::WrongRegion => told.hint(
            "set the bucket's region at installation (aws.region), or AWS_REGION for a local run, \
             and make the EtlJob again",
        ),
        Kind::BadAttribute => {
            told.hint("make an EtlJob with another output.storageClass or other output.tags")
        }
        Kind::AccessDenied => told.hint(ACCESS_HINT),
        Kind::Throttled => told.hint(THROTTLED_HINT),
        Kind::Conflict | Kind::Unavailable | Kind::Unknown => told.hint(REACH_HINT),
        // What the store or the file system says is all there is to say.
        Kind::NotFound
        | Kind::Unsupported
        | Kind::PreconditionFailed
        | Kind::Stopped(_)
        | Kind::Other => told,
    }
}

fn of_plan(error: &PlanError, message: String) -> Failure {
    match error {
        PlanError::NoObject { uri } => failure(Category::SourceNotFound, message)
            .about(uri)
            .hint("make an EtlJob with another source.uri; a prefix ends in '/'"),
        PlanError::NothingSelected { uri, .. } => failure(Category::SourceNotFound, message)
            .about(uri)
            .hint("make an EtlJob with another source.uri, other globs or other times"),
        PlanError::Changed { uri } => failure(Category::SourceChanged, message).about(uri).hint(
            "source.etag pins a content that was overwritten: make an EtlJob with the new etag",
        ),
        PlanError::TooManyParts { uri } => failure(Category::UnsupportedInput, message)
            .about(uri)
            .hint("make an EtlJob with a larger output.splitBytes, or several EtlJobs"),
        PlanError::Unsplittable { .. } => failure(Category::InvalidSpec, message)
            .hint("make an EtlJob with that, or without output.splitBytes"),
        PlanError::TooMany { uri } => failure(Category::UnsupportedInput, message)
            .about(uri)
            .hint("make several EtlJobs, each for a part of the prefix"),
        PlanError::NotEnoughMemory { .. } => {
            failure(Category::OutOfMemory, message).hint(LIMIT_HINT)
        }
        PlanError::SameOutput {
            output, dir_helps, ..
        } => {
            let hint = if *dir_helps {
                "make an EtlJob with {dir} in output.keyTemplate, as in {dir}/{stem}.json"
            } else {
                "make an EtlJob with another output.keyTemplate: {name} has the extension too"
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

fn of_engine(error: &etl_engine::Error, below_prefix: bool, message: String) -> Failure {
    use etl_engine::ErrorKind;
    // An EtlJob for a single object has no globs.
    let or_leave_out = |hint: &str| match below_prefix {
        true => format!("{hint}, or one that leaves it out by source.exclude"),
        false => hint.to_owned(),
    };
    match error.kind() {
        ErrorKind::BadInput => failure(Category::BadInput, message).hint(&or_leave_out(
            "upload the object again and make the EtlJob again",
        )),
        ErrorKind::Unsupported => failure(Category::UnsupportedInput, message).hint(&or_leave_out(
            "write the object without this and make the EtlJob again",
        )),
        ErrorKind::SchemaMismatch => failure(Category::SchemaMismatch, message)
            .hint(&or_leave_out("change the EtlJob to what the object has")),
        ErrorKind::InvalidRecords => failure(Category::InvalidRecords, message).hint(
            &or_leave_out("mend the records, or change the EtlJob to let them be"),
        ),
        ErrorKind::NotEnoughMemory => failure(Category::OutOfMemory, message).hint(LIMIT_HINT),
        ErrorKind::Read | ErrorKind::Sink | ErrorKind::Internal => {
            failure(Category::Internal, message).hint(REPORT_HINT)
        }
    }
}

fn of_limit(error: &LimitError, message: String) -> Failure {
    match error {
        LimitError::Objects { category, uri, .. } => failure(*category, message).about(uri).hint(
            "mend the objects and make the EtlJob again, or make an EtlJob with a larger \
             source.maxInvalidObjects",
        ),
        LimitError::Records { uri, .. } => {
            failure(Category::InvalidRecords, message).about(uri).hint(
                "mend the rows and make the EtlJob again, or raise spec.schema.maxInvalidRecords",
            )
        }
    }
}

fn of_write(error: &WriteError, message: String) -> Failure {
    match error {
        WriteError::Taken { uri, .. } => failure(Category::OutputConflict, message)
            .about(uri)
            .hint(CONFLICT_HINT),
        WriteError::Superseded { uri } => failure(Category::Superseded, message).about(uri),
        WriteError::TooLarge { uri, .. } => failure(Category::UnsupportedInput, message)
            .about(uri)
            .hint(
                "make an EtlJob with output.splitBytes or output.compression, or one with a larger \
                 spec.worker.resources.limits.memory",
            ),
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
        CommitError::Removed { uri } => failure(Category::OutputConflict, message)
            .about(uri)
            .hint("keep the outputs of a run that is under way, and make the EtlJob again"),
        CommitError::Output { uri, .. } => failure(Category::OutputConflict, message)
            .about(uri)
            .hint(CONFLICT_HINT),
        CommitError::Superseded { uri } => failure(Category::Superseded, message).about(uri),
        CommitError::Limit(error) => of_limit(error, message),
        CommitError::Record { .. } | CommitError::Control(_) | CommitError::Undecided(_) => {
            failure(Category::Internal, message).hint(REPORT_HINT)
        }
        CommitError::Store(error) => of_store(error),
    }
}

#[cfg(test)]
mod tests;
