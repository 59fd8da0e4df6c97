//! One pass over one EtlJob: look at it and its Jobs, decide what is to be
//! done, do it, and say when to look again.

use std::sync::Arc;
use std::time::Duration;

use etl_api::EtlJob;
use etl_core::Settings;
use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::Instant;

use crate::act::{Acted, EffectError, act};
use crate::children::Children;
use crate::clock::Clock;
use crate::cluster::{Cluster, Kind};
use crate::lease::Leadership;
use crate::ledger::mirror::Mirror;
use crate::memory::{Memory, SLOW};
use crate::metrics::{Metrics, Outcome};
use crate::observe::observe;

/// Until the pass that continues what this one has begun.
const SOON: Duration = Duration::from_millis(50);

/// Shortest time between two passes over one object that nothing triggers and
/// of which the first has changed nothing.
const UNHURRIED: Duration = Duration::from_secs(1);

/// How long the watch is given to bring what a conflict was about.
const CATCH_UP: Duration = Duration::from_millis(200);

/// What a pass works with.
pub struct Context {
    /// Settings of the installation.
    pub settings: Settings,
    /// The clock.
    pub clock: Clock,
    /// The API server.
    pub cluster: Arc<dyn Cluster>,
    /// The Jobs of all EtlJobs, from the watch.
    pub children: Arc<Children>,
    /// What earlier passes left.
    pub memory: Arc<Memory>,
    /// The way to the ledger, if one is kept.
    pub mirror: Option<Arc<Mirror>>,
    /// Whether anything may be done at all.
    pub leadership: Leadership,
    /// What passes do, in numbers.
    pub metrics: Metrics,
}

/// When to look at an object again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// After this time, or when something changes.
    After(Duration),
    /// When something changes.
    OnChange,
}

/// One pass, failures of effects included: they are tried again later.
pub async fn reconcile(job: Arc<EtlJob>, context: &Context) -> Next {
    let begun = Instant::now();
    let uid = job.uid().unwrap_or_default();
    let passed = if context.leadership.holds() {
        pass(job, context).await
    } else {
        // When this process leads, everything is looked at.
        Ok((Outcome::Standby, Next::OnChange))
    };
    let (outcome, next) = match passed {
        Ok((outcome, next)) => {
            context.memory.succeeded(&uid);
            (outcome, next)
        }
        Err(error) if error.kind() == Kind::NotLeading => {
            tracing::info!(%error, "a pass ended with the lease");
            (Outcome::Standby, Next::OnChange)
        }
        Err(error) => {
            let kind = error.kind();
            context.metrics.passes.failed(kind);
            let delay = context.memory.failed(&uid, kind);
            let (kind, retry_seconds) = (kind.as_str(), delay.as_secs_f64());
            tracing::warn!(%error, kind, retry_seconds, "a pass failed");
            (Outcome::Failed, Next::After(delay))
        }
    };
    context.metrics.passes.ended(outcome, begun.elapsed());
    next
}

async fn pass(job: Arc<EtlJob>, context: &Context) -> Result<(Outcome, Next), EffectError> {
    let now = context.clock.now();
    let Some(job) = context.memory.newest(job) else {
        // The store has a newer one already.
        return Ok((Outcome::Stale, Next::After(SOON)));
    };
    let world = observe(job, context, now).await?;
    let plan = etl_core::plan(&world.job, &world.seen, &context.settings, now);
    let wake = plan.wake;
    let acted = act(&world.job, plan, context).await?;
    Ok((acted.outcome(), next(acted, wake, context.clock.now())))
}

fn next(acted: Acted, wake: Option<Timestamp>, now: Timestamp) -> Next {
    let wake = wake.map(|wake| {
        // One that lies in the past is due now.
        Duration::try_from(wake.duration_since(now)).unwrap_or_default()
    });
    match acted {
        Acted::Gone => Next::OnChange,
        Acted::Stale => Next::After(CATCH_UP),
        Acted::Refused { lasting: false } => Next::After(SOON),
        Acted::Refused { lasting: true } => {
            Next::After(wake.map_or(SLOW, |wake| wake.clamp(UNHURRIED, SLOW)))
        }
        // What follows from the new status alone, such as the time to live of
        // a run that has just ended, is for a pass of its own.
        Acted::Done {
            status_written: true,
        } => Next::After(wake.map_or(SOON, |wake| wake.max(SOON))),
        Acted::Done {
            status_written: false,
        } => wake.map_or(Next::OnChange, |wake| Next::After(wake.max(UNHURRIED))),
    }
}

impl Context {
    /// Hands the runs of `job` to the ledger: as they stand in its status, which
    /// may have `changed` just now, or as cancelled if it is being deleted.
    /// Waits for nothing.
    pub fn mirror_status(&self, job: &EtlJob, changed: bool) {
        let Some(mirror) = &self.mirror else { return };
        if job.metadata.deletion_timestamp.is_some() {
            self.mirror_end(job);
            return;
        }
        for record in etl_core::ledger::records(job, &self.settings) {
            if changed {
                mirror.offer(record);
            } else {
                mirror.assure(record);
            }
        }
    }

    /// Everything that is left to do for an EtlJob that is gone.
    pub fn depart(&self, job: Arc<EtlJob>) {
        let job = self.memory.newest(Arc::clone(&job)).unwrap_or(job);
        let uid = job.uid().unwrap_or_default();
        self.mirror_end(&job);
        if let Some(mirror) = &self.mirror {
            mirror.forget(&uid);
        }
        self.memory.forget(&uid);
    }

    fn mirror_end(&self, job: &EtlJob) {
        let Some(mirror) = &self.mirror else { return };
        if !self.leadership.holds() {
            return;
        }
        let mut records = etl_core::ledger::records(job, &self.settings);
        if let Some(cancelled) = etl_core::ledger::cancelled(job, &self.settings, self.clock.now())
        {
            records.pop();
            records.push(cancelled);
        }
        for record in records {
            mirror.offer_last(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_followed_by_another_when_something_is_due() {
        let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let at = |seconds| Some(now + jiff::SignedDuration::from_secs(seconds));
        let after = |seconds| Next::After(Duration::from_secs(seconds));
        let done = |status_written| Acted::Done { status_written };
        let cases = [
            (done(false), None, Next::OnChange),
            (done(false), at(7), after(7)),
            (done(false), at(-7), Next::After(UNHURRIED)),
            (done(false), at(0), Next::After(UNHURRIED)),
            (done(true), at(-7), Next::After(SOON)),
            (done(true), None, Next::After(SOON)),
            (done(true), at(7), after(7)),
            (Acted::Stale, at(7), Next::After(CATCH_UP)),
            (Acted::Gone, at(7), Next::OnChange),
            (
                Acted::Refused { lasting: false },
                at(600),
                Next::After(SOON),
            ),
            (Acted::Refused { lasting: true }, at(600), Next::After(SLOW)),
            (Acted::Refused { lasting: true }, at(7), after(7)),
            (
                Acted::Refused { lasting: true },
                at(-7),
                Next::After(UNHURRIED),
            ),
        ];
        for (acted, wake, expected) in cases {
            assert_eq!(next(acted, wake, now), expected, "{acted:?} {wake:?}");
        }
    }
}
