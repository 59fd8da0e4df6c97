//! What a Lease says, and what follows from it. No clock and no requests.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::LEASE_DURATION;

/// A Lease as it was first seen in its present version.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub lease: Lease,
    /// By the local clock: the holder's own times are never compared with it.
    since: Instant,
}

/// What is to be done about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is free, or its holder is gone.
    Take,
    /// It is ours.
    Renew,
    /// It is another's.
    Wait,
}

impl Sighting {
    /// `lease` as it is seen now, after `earlier`.
    pub fn now(lease: Lease, earlier: Option<&Sighting>) -> Self {
        let version = &lease.metadata.resource_version;
        let since = earlier
            .filter(|earlier| earlier.lease.metadata.resource_version == *version)
            .map_or_else(Instant::now, |earlier| earlier.since);
        Sighting { lease, since }
    }

    /// What `identity` does about it at `now`.
    pub fn step(&self, identity: &str, now: Instant) -> Step {
        match self.holder() {
            None => Step::Take,
            Some(holder) if holder == identity => Step::Renew,
            Some(_) if now.duration_since(self.since) >= self.duration() => Step::Take,
            Some(_) => Step::Wait,
        }
    }

    /// Who has it.
    pub fn holder(&self) -> Option<&str> {
        let holder = self.spec()?.holder_identity.as_deref()?;
        (!holder.is_empty()).then_some(holder)
    }

    /// The Lease in the hands of `identity`.
    pub fn held_by(&self, identity: &str, now: Timestamp) -> Lease {
        let spec = self.spec();
        let stays = self.holder() == Some(identity);
        let transitions = spec.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        let acquired = spec.and_then(|spec| spec.acquire_time.clone());
        Lease {
            metadata: self.lease.metadata.clone(),
            spec: Some(LeaseSpec {
                acquire_time: acquired.filter(|_| stays).or(Some(MicroTime(now))),
                lease_transitions: Some(transitions.saturating_add(i32::from(!stays))),
                ..held(identity, now)
            }),
        }
    }

    /// The Lease in nobody's hands.
    pub fn released(&self, now: Timestamp) -> Lease {
        let transitions = self.spec().and_then(|spec| spec.lease_transitions);
        Lease {
            metadata: self.lease.metadata.clone(),
            spec: Some(LeaseSpec {
                holder_identity: Some(String::new()),
                lease_duration_seconds: Some(1),
                renew_time: Some(MicroTime(now)),
                lease_transitions: transitions,
                ..LeaseSpec::default()
            }),
        }
    }

    fn duration(&self) -> Duration {
        let seconds = self.spec().and_then(|spec| spec.lease_duration_seconds);
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map_or(LEASE_DURATION, Duration::from_secs)
    }

    fn spec(&self) -> Option<&LeaseSpec> {
        self.lease.spec.as_ref()
    }
}

/// A Lease that nobody had before.
pub fn first(name: &str, identity: &str, now: Timestamp) -> Lease {
    let mut lease = Lease::default();
    lease.metadata.name = Some(name.to_owned());
    lease.spec = Some(held(identity, now));
    lease
}

fn held(identity: &str, now: Timestamp) -> LeaseSpec {
    let seconds = i32::try_from(LEASE_DURATION.as_secs()).unwrap_or(i32::MAX);
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(seconds),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(0),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(holder: Option<&str>, version: &str, earlier: Option<&Sighting>) -> Sighting {
        let mut lease = first("etl-operator", holder.unwrap_or_default(), at(0));
        lease.metadata.resource_version = Some(version.to_owned());
        Sighting::now(lease, earlier)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn anothers_lease_is_taken_when_it_has_not_changed_for_its_duration() {
        let earlier = seen(Some("b"), "1", None);
        tokio::time::advance(LEASE_DURATION - Duration::from_secs(1)).await;
        let unchanged = seen(Some("b"), "1", Some(&earlier));
        assert_eq!(unchanged.step("a", Instant::now()), Step::Wait);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(unchanged.step("a", Instant::now()), Step::Take);
        // However old its own times are: the holder has moved.
        let renewed = seen(Some("b"), "2", Some(&unchanged));
        assert_eq!(renewed.step("a", Instant::now()), Step::Wait);
    }

    #[tokio::test(start_paused = true)]
    async fn a_free_lease_is_taken_and_an_own_one_kept() {
        let now = Instant::now();
        assert_eq!(seen(None, "1", None).step("a", now), Step::Take);
        assert_eq!(seen(Some("a"), "1", None).step("a", now), Step::Renew);
        let free = seen(Some("b"), "1", None).released(at(5));
        assert_eq!(Sighting::now(free, None).step("a", now), Step::Take);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_hands_is_counted_and_a_renewal_keeps_the_beginning() {
        let taken = seen(Some("b"), "1", None).held_by("a", at(7));
        let spec = taken.spec.clone().unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("a"));
        assert_eq!(spec.lease_transitions, Some(1));
        assert_eq!(spec.acquire_time, Some(MicroTime(at(7))));
        let renewed = Sighting::now(taken, None).held_by("a", at(9));
        let spec = renewed.spec.unwrap();
        assert_eq!(spec.lease_transitions, Some(1));
        assert_eq!(spec.acquire_time, Some(MicroTime(at(7))));
        assert_eq!(spec.renew_time, Some(MicroTime(at(9))));
    }
}
