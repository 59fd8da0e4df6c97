//! Act: performs a plan. The status first, so that an intent stands written
//! before its effect; then the actions; then what people are told.

use std::sync::Arc;

use etl_api::{EtlJob, EtlJobStatus};
use etl_core::child::{Child, manifest};
use etl_core::facts::is_own;
use etl_core::{Action, Event, Plan, Refusal};
use kube::ResourceExt;

use crate::cluster::{ApiError, Kind};
use crate::metrics::Outcome;
use crate::reconcile::Context;

/// An effect, or a look at the cluster, that failed. It is tried again and
/// spends no attempt.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {target}: {source}")]
pub struct EffectError {
    /// What was to be done.
    pub action: &'static str,
    /// To what: `<namespace>/<name>`.
    pub target: String,
    /// Why it failed.
    pub source: ApiError,
}

impl EffectError {
    /// `action` on `namespace/name` failed with `source`.
    pub fn new(action: &'static str, namespace: &str, name: &str, source: ApiError) -> Self {
        EffectError {
            action,
            target: format!("{namespace}/{name}"),
            source,
        }
    }

    /// Class of the failure.
    pub fn kind(&self) -> Kind {
        self.source.kind
    }
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acted {
    /// All of it was done.
    Done {
        /// Whether that included a new status.
        status_written: bool,
    },
    /// The EtlJob had changed meanwhile: nothing was done.
    Stale,
    /// The EtlJob, or its namespace, is gone or going: there is nothing left
    /// to do.
    Gone,
    /// The Job was not created, for a reason that the next pass decides on.
    Refused {
        /// Only somebody else can change that.
        lasting: bool,
    },
}

impl Acted {
    /// As it counts in the metrics.
    pub fn outcome(self) -> Outcome {
        match self {
            Acted::Done {
                status_written: true,
            } => Outcome::Written,
            Acted::Done {
                status_written: false,
            } => Outcome::Unchanged,
            Acted::Stale => Outcome::Stale,
            Acted::Gone => Outcome::Gone,
            Acted::Refused { .. } => Outcome::Refused,
        }
    }
}

/// Performs `plan` for `job`.
///
/// # Guarantees
/// Without the new status nothing else is done. Every effect can be repeated.
///
/// # Errors
/// An effect failed or its outcome is unknown; the next pass plans it again.
pub async fn act(job: &Arc<EtlJob>, plan: Plan, context: &Context) -> Result<Acted, EffectError> {
    let status_written = plan.status.is_some();
    let job = match plan.status {
        Some(status) => match write_status(job, status, context).await? {
            Ok(written) => written,
            Err(acted) => return Ok(acted),
        },
        None => Arc::clone(job),
    };
    context.mirror_status(&job, status_written);
    let hand = Hand {
        job: &job,
        namespace: job.namespace().unwrap_or_default(),
        context,
    };
    let acted = hand.perform(&plan.actions).await;
    // The decision stands in the status whether or not all its effects
    // succeeded: people are told now, because no later pass will.
    hand.tell(&plan.events).await;
    acted.map(|acted| acted.unwrap_or(Acted::Done { status_written }))
}

async fn write_status(
    job: &EtlJob,
    status: EtlJobStatus,
    context: &Context,
) -> Result<Result<Arc<EtlJob>, Acted>, EffectError> {
    let phase = status.phase;
    let body = EtlJob {
        status: Some(status),
        ..job.clone()
    };
    match context.cluster.replace_status(&body).await {
        Ok(mut written) => {
            written.metadata.managed_fields = None;
            if let Some(after) = &written.status {
                let work = &context.metrics.work;
                work.changed(job.status.as_ref(), after);
            }
            let written = Arc::new(written);
            context.memory.wrote(Arc::clone(&written));
            tracing::info!(phase = phase.map(tracing::field::debug), "wrote the status");
            Ok(Ok(written))
        }
        Err(error) => match error.kind {
            Kind::Conflict => Ok(Err(Acted::Stale)),
            Kind::NotFound | Kind::NamespaceTerminating => Ok(Err(Acted::Gone)),
            _ => {
                let namespace = job.namespace().unwrap_or_default();
                Err(EffectError::new(
                    "write the status of EtlJob",
                    &namespace,
                    &job.name_any(),
                    error,
                ))
            }
        },
    }
}

/// The effects on behalf of one EtlJob.
struct Hand<'a> {
    job: &'a EtlJob,
    namespace: String,
    context: &'a Context,
}

impl Hand<'_> {
    /// Performs the actions in order and stops at the first that does not
    /// simply succeed; `None` means that all did.
    async fn perform(&self, actions: &[Action]) -> Result<Option<Acted>, EffectError> {
        for action in actions {
            let acted = match action {
                Action::Create(child) => self.create(child).await?,
                Action::Delete { name, uid } => self.delete(name, uid).await?,
                Action::DeleteSelf => self.delete_self().await?,
            };
            if acted.is_some() {
                return Ok(acted);
            }
        }
        Ok(None)
    }

    async fn create(&self, child: &Child) -> Result<Option<Acted>, EffectError> {
        let uid = self.uid();
        let body = manifest(child, self.job);
        let Err(error) = self.context.cluster.create_job(&body).await else {
            tracing::info!(
                job = child.name,
                attempt = child.order.attempt,
                "created the Job"
            );
            self.context.memory.accepted(&uid);
            return Ok(None);
        };
        let refusal = match error.kind {
            Kind::AlreadyExists => return self.adopt(child).await,
            Kind::Rejected => Refusal::Invalid(error.message),
            Kind::Forbidden => Refusal::Forbidden(error.message),
            Kind::NamespaceTerminating => return Ok(Some(Acted::Gone)),
            Kind::NotLeading => return Err(self.error("create Job", &child.name, error)),
            Kind::Conflict | Kind::NotFound | Kind::Throttled | Kind::Transient | Kind::Unknown => {
                // Whether it lasts is for the next passes to see: they tell of
                // it, and end the attempt when its time to start is over.
                let failing = Refusal::Failing(error.message.clone());
                self.context.memory.refused(&uid, &child.name, failing);
                return Err(self.error("create Job", &child.name, error));
            }
        };
        let lasting = matches!(refusal, Refusal::Forbidden(_));
        tracing::warn!(job = child.name, ?refusal, "the API server refused the Job");
        self.context.memory.refused(&uid, &child.name, refusal);
        Ok(Some(Acted::Refused { lasting }))
    }

    /// The name is taken: by an earlier try of this very create, or by
    /// something else.
    async fn adopt(&self, child: &Child) -> Result<Option<Acted>, EffectError> {
        let uid = self.uid();
        let live = self
            .context
            .cluster
            .get_job(&self.namespace, &child.name)
            .await
            .map_err(|error| self.error("read Job", &child.name, error))?;
        match live {
            Some(live) if is_own(&live, &uid, child.order.run.number, child.order.attempt) => {
                tracing::info!(job = child.name, "found the Job already there");
                self.context.memory.accepted(&uid);
                Ok(None)
            }
            Some(_) => {
                tracing::warn!(
                    job = child.name,
                    "the name of the Job belongs to another object"
                );
                self.context
                    .memory
                    .refused(&uid, &child.name, Refusal::NameTaken);
                Ok(Some(Acted::Refused { lasting: false }))
            }
            // Gone between the two requests: the next pass creates it.
            None => Ok(Some(Acted::Stale)),
        }
    }

    async fn delete(&self, name: &str, uid: &str) -> Result<Option<Acted>, EffectError> {
        self.context
            .cluster
            .delete_job(&self.namespace, name, uid)
            .await
            .map_err(|error| self.error("delete Job", name, error))?;
        tracing::info!(job = name, "deleted the Job");
        Ok(None)
    }

    async fn delete_self(&self) -> Result<Option<Acted>, EffectError> {
        let name = self.job.name_any();
        self.context
            .cluster
            .delete_etljob(&self.namespace, &name, &self.uid())
            .await
            .map_err(|error| self.error("delete EtlJob", &name, error))?;
        tracing::info!("deleted the EtlJob: its time to live is over");
        Ok(Some(Acted::Gone))
    }

    /// Events are for people: that one is missing stops no work.
    async fn tell(&self, events: &[Event]) {
        let revision = self
            .job
            .status
            .as_ref()
            .and_then(|status| status.revision)
            .unwrap_or(0);
        for (index, event) in events.iter().enumerate() {
            let key = format!("{revision:x}.{index}");
            if let Err(error) = self.context.cluster.publish(self.job, event, &key).await {
                tracing::debug!(reason = event.reason, %error, "could not publish an event");
            }
        }
    }

    fn uid(&self) -> String {
        self.job.uid().unwrap_or_default()
    }

    fn error(&self, action: &'static str, name: &str, source: ApiError) -> EffectError {
        EffectError::new(action, &self.namespace, name, source)
    }
}
