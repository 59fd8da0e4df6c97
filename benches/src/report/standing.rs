//! Who is ahead of whom in one case.

use std::collections::BTreeSet;

use crate::arm::Compression;
use crate::arms::{ARMS, Arm, Role};
use crate::results::{Case, Results};

/// The arm that all others are set against.
pub(super) const OURS: &str = "etl";

/// A figure of one arm.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) arm: &'static Arm,
    pub(super) value: f64,
}

/// The rival with the smallest wall time whose output is right.
pub(super) fn fastest_rival(results: &Results, case: &Case) -> Option<Standing> {
    least(results, case, |arm| results.wall(arm.name, case))
}

/// The rival with the smallest processor time whose output is right.
pub(super) fn thriftiest_rival(results: &Results, case: &Case) -> Option<Standing> {
    least(results, case, |arm| results.cpu(arm.name, case))
}

fn least(results: &Results, case: &Case, figure: impl Fn(&Arm) -> Option<f64>) -> Option<Standing> {
    let rivals = ARMS.iter().filter(|arm| arm.role == Role::Rival);
    let rivals = rivals.filter(|arm| results.counts(arm, case));
    let standings = rivals.filter_map(|arm| {
        let value = figure(arm)?;
        Some(Standing { arm, value })
    });
    standings.min_by(|a, b| a.value.total_cmp(&b.value))
}

/// A kind of figure in which another is better than we are on a shape, with the
/// case in which it is so most clearly.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) case: Case,
    pub(super) arm: &'static Arm,
    pub(super) what: &'static str,
    /// How many times better.
    pub(super) factor: f64,
}

/// Below this, two figures are the same: it is what repeated runs differ by.
const NOISE: f64 = 1.03;

/// All kinds of figures in which others are better.
pub(super) fn losses(results: &Results) -> Vec<Loss> {
    let cases: BTreeSet<&Case> = results.runs.iter().map(|run| &run.case).collect();
    let mut losses = Vec::new();
    for case in cases {
        let ours = figures(results, OURS, case);
        let others = ARMS.iter().filter(|arm| !arm.is_ours());
        for arm in others.filter(|arm| results.counts(arm, case)) {
            let theirs = figures(results, arm.name, case);
            for ((what, ours), (_, theirs)) in ours.into_iter().zip(theirs) {
                let (Some(ours), Some(theirs)) = (ours, theirs) else {
                    continue;
                };
                if ours > theirs * NOISE {
                    let factor = ours / theirs;
                    keep_worst(
                        &mut losses,
                        Loss {
                            case: case.clone(),
                            arm,
                            what,
                            factor,
                        },
                    );
                }
            }
        }
    }
    losses
}

fn keep_worst(losses: &mut Vec<Loss>, loss: Loss) {
    let same = |known: &&mut Loss| {
        let of = |loss: &Loss| (loss.case.shape.clone(), loss.arm.name, loss.what);
        of(known) == of(&loss)
    };
    match losses.iter_mut().find(same) {
        None => losses.push(loss),
        Some(known) if known.factor < loss.factor => *known = loss,
        Some(_) => {}
    }
}

/// All in which less is better.
fn figures(results: &Results, arm: &str, case: &Case) -> [(&'static str, Option<f64>); 4] {
    // Sizes are compared where size is the point.
    let is_compressed = case.compression != Compression::None;
    let bytes = results.output_bytes(arm, case).filter(|_| is_compressed);
    let peak = results.peak_rss(arm, case);
    [
        ("wall time", results.wall(arm, case)),
        ("processor time", results.cpu(arm, case)),
        ("memory", peak.map(|bytes| bytes as f64)),
        (
            "size of the compressed output",
            bytes.map(|bytes| bytes as f64),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Check, Sink};
    use crate::rows::Meaning;

    /// Runs of one second by default, of one megabyte.
    fn results(seconds: &[(&str, f64)]) -> Results {
        let runs = seconds.iter().map(|(arm, wall_seconds)| {
            serde_json::json!({
                "arm": arm,
                "case": {"shape": "mixed", "sink": "tmpfs", "threads": 2, "compression": "none"},
                "measured": {
                    "answer": {"version": "1"},
                    "wall_seconds": wall_seconds,
                    "cpu_seconds": 1.0,
                    "peak_rss_bytes": 1_000_000,
                },
                "output_bytes": 1_000_000,
            })
        });
        let machine = serde_json::json!({
            "date": "2026-01-01", "processor": "", "vectors": [], "processors": 2,
            "memory_bytes": 0, "kernel": "", "rustc": "", "java": null, "build": "",
        });
        serde_json::from_value(serde_json::json!({
            "machine": machine, "quick": false, "rounds": 1, "threads": 2, "inputs": [],
            "starts": [], "checks": [], "failures": [], "runs": runs.collect::<Vec<_>>(),
            "points": [], "remotes": [],
        }))
        .unwrap()
    }

    fn case(results: &Results) -> Case {
        results.case("mixed", Sink::Tmpfs, 2)
    }

    #[test]
    fn a_rival_that_writes_other_rows_is_never_the_fastest() {
        let mut results = results(&[("etl", 1.0), ("polars", 2.0), ("duckdb", 3.0)]);
        let case = case(&results);
        let fastest = |results: &Results| fastest_rival(results, &case).unwrap().arm.name;
        assert_eq!(fastest(&results), "polars");
        results.checks.push(Check {
            arm: "polars".into(),
            shape: "mixed".into(),
            meaning: Meaning::Differs,
        });
        assert_eq!(fastest(&results), "duckdb");
    }

    #[test]
    fn the_stock_parts_and_the_ancestor_are_no_rivals() {
        let results = results(&[("etl", 3.0), ("arrow-json", 1.0), ("spark", 1.0)]);
        assert!(fastest_rival(&results, &case(&results)).is_none());
    }

    #[test]
    fn every_lost_figure_is_told_by_how_much() {
        let results = results(&[("etl", 3.0), ("polars", 2.0), ("arrow-json", 2.95)]);
        let losses = losses(&results);
        let told: Vec<_> = losses
            .iter()
            .map(|loss| (loss.arm.name, loss.what))
            .collect();
        assert_eq!(told, [("polars", "wall time")]);
        assert!((losses[0].factor - 1.5).abs() < 1e-9);
    }
}
