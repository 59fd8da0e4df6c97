//! Observe: reads what one decision needs. Caches first; requests only where
//! `etl_core::needs` asks for them.

use std::sync::Arc;

use etl_api::EtlJob;
use etl_core::facts::is_own;
use etl_core::{ChildJob, ChildPod, Needs, Observed, needs};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use crate::act::EffectError;
use crate::reconcile::Context;

/// An EtlJob and everything around it that a decision looks at.
pub struct World {
    /// The EtlJob, at least as new as the last own write.
    pub job: Arc<EtlJob>,
    /// The rest.
    pub seen: Observed,
}

/// Looks at `job`.
///
/// # Errors
/// A request failed. Nothing was changed.
pub async fn observe(
    job: Arc<EtlJob>,
    context: &Context,
    now: Timestamp,
) -> Result<World, EffectError> {
    let mut seen = Observed {
        jobs: context.children.of(&job.uid().unwrap_or_default()),
        mirrored_revision: mirrored(&job, context),
        ..Observed::default()
    };
    // Nothing is decided about an object that is being deleted.
    if job.metadata.deletion_timestamp.is_none() {
        let view = View {
            job: &job,
            context,
            now,
        };
        view.look_up(&mut seen).await?;
    }
    Ok(World { job, seen })
}

/// Revision of the present run that the ledger is known to hold.
fn mirrored(job: &EtlJob, context: &Context) -> Option<i64> {
    let mirror = context.mirror.as_ref()?;
    let record = etl_core::ledger::records(job, &context.settings).pop()?;
    mirror.written(&record.uid, record.run)
}

struct View<'a> {
    job: &'a EtlJob,
    context: &'a Context,
    now: Timestamp,
}

impl View<'_> {
    async fn look_up(&self, seen: &mut Observed) -> Result<(), EffectError> {
        let Some(status) = &self.job.status else {
            return Ok(());
        };
        let mut needs = needs(self.job, &seen.jobs, self.now);
        if let Some(name) = needs.confirm_gone.take() {
            match self.live(&name).await? {
                // The cache lags behind.
                Some(child) => {
                    seen.jobs.push(child);
                    needs = etl_core::needs(self.job, &seen.jobs, self.now);
                }
                None => seen.confirmed_gone = true,
            }
        }
        self.read(&needs, seen).await?;
        if let Some(attempt) = &status.attempt {
            let uid = self.job.uid().unwrap_or_default();
            seen.refusal = self.context.memory.refusal(&uid, &attempt.job_name);
        }
        Ok(())
    }

    /// The Job of the open attempt, read live; `None` if it is gone.
    async fn live(&self, name: &str) -> Result<Option<ChildJob>, EffectError> {
        let namespace = self.namespace();
        let job = self
            .context
            .cluster
            .get_job(&namespace, name)
            .await
            .map_err(|error| EffectError::new("read Job", &namespace, name, error))?;
        Ok(job
            .filter(|job| self.is_open_attempts(job))
            .map(|job| ChildJob::from(&job)))
    }

    fn is_open_attempts(&self, job: &Job) -> bool {
        let status = self.job.status.as_ref();
        let attempt = status.and_then(|status| status.attempt.as_ref());
        match attempt.and_then(|attempt| attempt.job_uid.as_ref()) {
            Some(uid) => job.uid().as_ref() == Some(uid),
            // Its uid was never recorded: by owner and labels then, whether
            // or not it is being deleted.
            None => {
                let run = status.and_then(|status| status.run.as_ref());
                let mut living = job.clone();
                living.metadata.deletion_timestamp = None;
                is_own(
                    &living,
                    &self.job.uid().unwrap_or_default(),
                    run.map_or(0, |run| run.number),
                    attempt.map_or(0, |attempt| attempt.number),
                )
            }
        }
    }

    async fn read(&self, needs: &Needs, seen: &mut Observed) -> Result<(), EffectError> {
        let namespace = self.namespace();
        let cluster = &self.context.cluster;
        let uid = |name: &String| {
            seen.jobs
                .iter()
                .find(|job| job.name == *name)
                .map(|job| job.uid.clone())
        };
        if let Some((name, uid)) = needs
            .pods_of
            .as_ref()
            .and_then(|name| Some((name, uid(name)?)))
        {
            let pods = cluster.pods(&namespace, &uid).await.map_err(|error| {
                EffectError::new("list the pods of Job", &namespace, name, error)
            })?;
            seen.pods = Some(pods.iter().map(ChildPod::from).collect());
        }
        if let Some(uid) = &needs.warnings_of {
            seen.warnings = cluster.warnings(&namespace, uid).await.map_err(|error| {
                EffectError::new("list the events of Job", &namespace, uid, error)
            })?;
        }
        Ok(())
    }

    fn namespace(&self) -> String {
        self.job.namespace().unwrap_or_default()
    }
}
