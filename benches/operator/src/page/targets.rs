//! What was aimed at, and what was reached.

use etl_sheet::{NONE, Table, figure, megabytes, thousands};

use super::HALF;
use crate::results::{Load, Results, Run, count, middle};
use crate::subject::Arm;

/// The size at which the start has a target.
const RESTART: usize = 10_000;
/// The size at which memory has a target.
const MEMORY: usize = 100_000;

/// What was aimed at, and what was reached.
pub(crate) fn targets(results: &Results) -> String {
    let mut table = Table::new(&["what", "target", "reached"]);
    let Some(&jobs) = results.sizes().first() else {
        return String::new();
    };
    let runs = results.runs(Arm::EtlJobs, jobs, Load::Saturation);
    let each = |of: fn(&Run) -> u64| middle(&runs, |run| of(run) as f64 / run.jobs as f64);
    table.row(&[
        "writes of objects per EtlJob that succeeds",
        "<= 4",
        &figure(each(Run::object_writes), 2),
    ]);
    table.row(&["events per EtlJob", "<= 2", &figure(each(Run::events), 2)]);
    for rest in &results.rests {
        let what = format!(
            "requests about {} EtlJobs at rest",
            thousands(rest.objects as u64)
        );
        let reached = format!(
            "{} at a start, {} in {:.0} s after it",
            count(&rest.own, |_| true),
            count(&rest.idle_own, |_| true),
            rest.idle_seconds
        );
        table.row(&[&*what, "0", &*reached]);
    }
    for jobs in results.sizes() {
        let what = format!(
            "rate against plain Jobs at saturation, {}",
            thousands(jobs as u64)
        );
        table.row(&[
            &*what,
            ">= 0.6",
            &*figure(relation(results, jobs, Load::Saturation), 2),
        ]);
    }
    let half = figure(relation(results, jobs, HALF), 2);
    table.row(&["rate against plain Jobs at half load", ">= 0.9", &half]);
    for rest in &results.rests {
        let what = format!(
            "ready after a restart among {} EtlJobs",
            thousands(rest.objects as u64)
        );
        let target = if rest.objects < 2 * RESTART {
            "<= 5 s"
        } else {
            NONE
        };
        table.row(&[&*what, target, &*format!("{:.1} s", rest.ready_seconds)]);
        let what = format!(
            "resident memory among {} EtlJobs",
            thousands(rest.objects as u64)
        );
        let target = if rest.objects < MEMORY {
            NONE
        } else {
            "<= 300 MB"
        };
        let reached = format!(
            "{} MB, {} MB at most",
            megabytes(Some(rest.rss_bytes)),
            megabytes(Some(rest.peak_rss_bytes))
        );
        table.row(&[&*what, target, &*reached]);
    }
    table.finish()
}

/// How much of the rate of plain Jobs the EtlJobs reach.
fn relation(results: &Results, jobs: usize, load: Load) -> Option<f64> {
    let rate = |arm| middle(&results.runs(arm, jobs, load), Run::per_minute);
    Some(rate(Arm::EtlJobs)? / rate(Arm::Jobs)?)
}
