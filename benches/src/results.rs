//! Everything that was measured, as it is kept beside the report.

use std::collections::BTreeSet;

use etl_sheet::{Machine, median};
use serde::{Deserialize, Serialize};

use crate::arm::Compression;
use crate::arms::Arm;
use crate::measure::Measured;
use crate::remote::Remote;
use crate::rows::Meaning;

/// Where an output goes.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sink {
    /// The device that discards: the conversion alone.
    Discard,
    /// A file system in memory.
    Tmpfs,
}

impl Sink {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Discard => "discard",
            Self::Tmpfs => "tmpfs",
        }
    }
}

/// What all arms do at one time, side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) shape: String,
    pub(crate) sink: Sink,
    /// Processors that a program has, and threads that it is told to use.
    pub(crate) threads: usize,
    pub(crate) compression: Compression,
}

/// One run of one arm.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) arm: String,
    pub(crate) case: Case,
    pub(crate) measured: Measured,
    /// Absent where the output was discarded.
    pub(crate) output_bytes: Option<u64>,
}

/// What an arm costs before it converts anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) arm: String,
    pub(crate) measured: Measured,
}

/// Whether an output has the rows of its input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) arm: String,
    pub(crate) shape: String,
    pub(crate) meaning: Meaning,
}

/// An arm that could not do a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) arm: String,
    pub(crate) case: Case,
    pub(crate) reason: String,
}

/// An input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) shape: String,
    pub(crate) about: String,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Bytes of parquet.
    pub(crate) bytes: u64,
}

/// One point of one line of a plot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) plot: String,
    pub(crate) line: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// All of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// Threads of the cases that are not on one.
    pub(crate) threads: usize,
    pub(crate) inputs: Vec<Input>,
    pub(crate) starts: Vec<Start>,
    pub(crate) checks: Vec<Check>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) runs: Vec<Run>,
    pub(crate) points: Vec<Point>,
    pub(crate) remotes: Vec<Remote>,
}

impl Run {
    /// Seconds from before the input is opened until the output is complete.
    pub(crate) fn wall_seconds(&self) -> f64 {
        let answer = &self.measured.answer;
        answer.wall_seconds.unwrap_or(self.measured.wall_seconds)
    }
}

impl Results {
    /// Median of a figure over the runs of one arm in one case.
    pub(crate) fn median(
        &self,
        arm: &str,
        case: &Case,
        figure: impl Fn(&Run) -> Option<f64>,
    ) -> Option<f64> {
        let runs = self.runs.iter();
        let runs = runs.filter(|run| run.arm == arm && run.case == *case);
        median(runs.filter_map(figure).collect())
    }

    /// Seconds.
    pub(crate) fn wall(&self, arm: &str, case: &Case) -> Option<f64> {
        self.median(arm, case, |run| Some(run.wall_seconds()))
    }

    /// Processor seconds of the conversion, without the start.
    pub(crate) fn cpu(&self, arm: &str, case: &Case) -> Option<f64> {
        let start = self.starts.iter().find(|start| start.arm == arm);
        let start = start.map_or(0.0, |start| start.measured.cpu_seconds);
        self.median(arm, case, |run| {
            let own = run.measured.answer.cpu_seconds;
            Some(own.unwrap_or((run.measured.cpu_seconds - start).max(0.0)))
        })
    }

    /// Bytes; of the worst run, as memory must suffice for every one.
    pub(crate) fn peak_rss(&self, arm: &str, case: &Case) -> Option<u64> {
        let runs = self.runs.iter();
        let runs = runs.filter(|run| run.arm == arm && run.case == *case);
        runs.map(|run| run.measured.peak_rss_bytes).max()
    }

    /// Bytes that an arm wrote.
    pub(crate) fn output_bytes(&self, arm: &str, case: &Case) -> Option<u64> {
        let mut runs = self.runs.iter();
        runs.find_map(|run| (run.arm == arm && run.case == *case).then_some(run.output_bytes)?)
    }

    /// Bytes of JSON of a shape as we write it with all null fields: the
    /// measure for everybody, so that nobody gains by writing more.
    pub(crate) fn json_bytes(&self, shape: &str) -> Option<u64> {
        self.output_bytes("etl", &self.case(shape, Sink::Tmpfs, self.threads))
    }

    /// A case without compression.
    pub(crate) fn case(&self, shape: &str, sink: Sink, threads: usize) -> Case {
        Case {
            shape: shape.to_owned(),
            sink,
            threads,
            compression: Compression::None,
        }
    }

    /// What an arm's output of a shape meant.
    pub(crate) fn meaning(&self, arm: &str, shape: &str) -> Option<Meaning> {
        let mut checks = self.checks.iter();
        let check = checks.find(|check| check.arm == arm && check.shape == shape);
        check.map(|check| check.meaning)
    }

    /// Whether an arm's figures may be set against others': its output, where
    /// one was checked, had the rows of the input.
    pub(crate) fn counts(&self, arm: &Arm, case: &Case) -> bool {
        self.meaning(arm.name, &case.shape) != Some(Meaning::Differs)
    }

    /// Version that an arm gave.
    pub(crate) fn version(&self, arm: &str) -> Option<&str> {
        let starts = self
            .starts
            .iter()
            .map(|start| (&start.arm, &start.measured));
        let runs = self.runs.iter().map(|run| (&run.arm, &run.measured));
        let mut all = starts.chain(runs);
        all.find_map(|(name, measured)| (name == arm).then_some(&*measured.answer.version))
    }

    /// Compressions that were measured, for a shape.
    pub(crate) fn compressed_cases(&self) -> BTreeSet<Case> {
        let cases = self.runs.iter().map(|run| &run.case);
        let compressed = cases.filter(|case| case.compression != Compression::None);
        compressed.cloned().collect()
    }
}
