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
