//! Everything that was measured, as it is kept beside the report.

use std::collections::BTreeMap;
use std::time::Duration;

use etl_sheet::{Machine, median};
use serde::{Deserialize, Serialize};

use crate::audit::{is_event, is_object_write};
use crate::subject::Arm;

/// How fast objects are created.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Load {
    /// As fast as they are taken.
    Saturation,
    /// At half of what plain Jobs reach at saturation.
    Half {
        /// Objects per second.
        per_second: f64,
    },
}

impl Load {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Saturation => "saturation",
            Self::Half { .. } => "half load",
        }
    }
}

/// From the creation of an object to the moment in which a watcher sees its end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_seconds: f64,
    pub(crate) p99_seconds: f64,
}

impl Latency {
    /// By nearest rank.
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort();
        let rank = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100).max(1);
            all.get(rank - 1).map_or(f64::NAN, Duration::as_secs_f64)
        };
        Self {
            p50_seconds: rank(50),
            p99_seconds: rank(99),
        }
    }
}

/// A number of objects of one arm.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Where its objects are.
    #[serde(skip)]
    pub(crate) namespace: String,
    pub(crate) arm: Arm,
    /// Setting of the operator.
    pub(crate) variant: String,
    pub(crate) load: Load,
    pub(crate) jobs: usize,
    /// From the first creation to the last end.
    pub(crate) seconds: f64,
    pub(crate) latency: Latency,
    /// Requests of the operator that were granted, by `<verb> <resource>`.
    pub(crate) own: BTreeMap<String, u64>,
    /// Those that were not, by `<code> <verb> <resource>`.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Writes of everybody.
    pub(crate) writes: u64,
    /// Rows that the ledger was given.
    pub(crate) ledger_rows: u64,
    /// Processor seconds by part.
    pub(crate) cpu_seconds: BTreeMap<String, f64>,
    /// Largest memory of the operator.
    pub(crate) peak_rss_bytes: u64,
}

impl Run {
    pub(crate) fn per_minute(&self) -> f64 {
        self.jobs as f64 * 60.0 / self.seconds
    }

    /// Writes of objects by the operator.
    pub(crate) fn object_writes(&self) -> u64 {
        count(&self.own, is_object_write)
    }

    /// Events that it has told.
    pub(crate) fn events(&self) -> u64 {
        count(&self.own, is_event)
    }

    /// Milliseconds of processor time per object, of the parts that `which` names.
    pub(crate) fn cpu_milliseconds(&self, which: impl Fn(&str) -> bool) -> f64 {
        let seconds = self.cpu_seconds.iter().filter(|(name, _)| which(name));
        seconds.map(|(_, seconds)| seconds).sum::<f64>() * 1_000.0 / self.jobs as f64
    }
}

/// Sum of the counts of the requests that `which` names.
pub(crate) fn count(requests: &BTreeMap<String, u64>, which: impl Fn(&str) -> bool) -> u64 {
    let requests = requests.iter().filter(|(request, _)| which(request));
    requests.map(|(_, count)| count).sum()
}

/// A start among objects that are there, and the time after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rest {
    /// EtlJobs, all of them ended.
    pub(crate) objects: usize,
    /// From the start of the process until it says that it is ready.
    pub(crate) ready_seconds: f64,
    /// Until it has begun with an EtlJob that was created while it was away.
    pub(crate) first_pass_seconds: f64,
    /// Until it has looked at everything and has nothing to do.
    pub(crate) at_rest_seconds: f64,
    /// Processor time until then.
    pub(crate) cpu_seconds: f64,
    /// Memory at rest.
    pub(crate) rss_bytes: u64,
    /// Largest memory until then.
    pub(crate) peak_rss_bytes: u64,
    /// Requests for the objects that had ended, but for the lists and watches.
    pub(crate) own: BTreeMap<String, u64>,
    /// Rows that the ledger was given.
    pub(crate) ledger_rows: u64,
    /// How long it was watched at rest.
    pub(crate) idle_seconds: f64,
    /// Processor time in that.
    pub(crate) idle_cpu_seconds: f64,
    /// Requests in that.
    pub(crate) idle_own: BTreeMap<String, u64>,
}

/// What the memory came to while objects were added to a running operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Growth {
    pub(crate) objects: usize,
    pub(crate) rss_bytes: u64,
    pub(crate) peak_rss_bytes: u64,
}

/// All of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// What the cluster is made of.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// How long the pods run.
    pub(crate) pod_seconds: f64,
    pub(crate) runs: Vec<Run>,
    pub(crate) rests: Vec<Rest>,
    pub(crate) growths: Vec<Growth>,
}

/// The name of what the chart sets.
pub(crate) const DEFAULTS: &str = "defaults";

impl Results {
    /// The runs of an arm with a number of objects at one load, with the defaults.
    pub(crate) fn runs(&self, arm: Arm, jobs: usize, load: Load) -> Vec<&Run> {
        let same = |run: &&Run| {
            let discriminant = std::mem::discriminant::<Load>;
            run.arm == arm
                && run.jobs == jobs
                && discriminant(&run.load) == discriminant(&load)
                && run.variant == DEFAULTS
        };
        self.runs.iter().filter(same).collect()
    }

    /// Median of objects per minute at saturation.
    pub(crate) fn saturation(&self, arm: Arm, jobs: usize) -> Option<f64> {
        middle(&self.runs(arm, jobs, Load::Saturation), Run::per_minute)
    }

    /// Numbers of objects at saturation, in ascending order.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let saturated = self.runs.iter().filter(|run| run.load == Load::Saturation);
        let mut sizes: Vec<usize> = saturated.map(|run| run.jobs).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

/// Median of a figure of runs.
pub(crate) fn middle(runs: &[&Run], figure: impl Fn(&Run) -> f64) -> Option<f64> {
    median(runs.iter().map(|run| figure(run)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let all: Vec<Duration> = (1..=200).rev().map(Duration::from_secs).collect();
        let latency = Latency::of(all);
        assert_eq!(latency.p50_seconds, 100.0);
        assert_eq!(latency.p99_seconds, 198.0);
        let one = Latency::of(vec![Duration::from_secs(7)]);
        assert_eq!((one.p50_seconds, one.p99_seconds), (7.0, 7.0));
    }

    #[test]
    fn writes_of_objects_and_events_are_counted_apart_and_leases_not_at_all() {
        let own = BTreeMap::from([
            ("create jobs".to_owned(), 2),
            ("update etljobs/status".to_owned(), 6),
            ("create events".to_owned(), 4),
            ("update leases".to_owned(), 9),
            ("list pods".to_owned(), 2),
        ]);
        assert_eq!(count(&own, is_object_write), 8);
        assert_eq!(count(&own, is_event), 4);
    }
}
