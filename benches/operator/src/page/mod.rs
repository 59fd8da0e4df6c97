//! The page in the docs, from kept figures.

mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use etl_sheet::{NONE, Table, figure, megabytes, thousands};

use crate::results::{DEFAULTS, Load, Rest, Results, Run, middle};
use crate::subject::Arm;
pub(crate) use targets::targets;

const HALF: Load = Load::Half { per_second: 0.0 };

/// The whole page.
pub(crate) fn page(results: &Results) -> String {
    let mut page = String::from(
        "<!-- Written by `cargo xtask bench operator`: do not edit. -->\n\
         # Benchmarks of the operator\n\n",
    );
    page += &conditions(results);
    page += "## Targets\n\n";
    page += &targets(results);
    page += &saturation(results);
    page += &half_load(results);
    page += &requests(results);
    page += &processor_time(results);
    page += &variants(results);
    page += &many(results);
    page += &cost(results);
    page += METHOD;
    page.truncate(page.trim_end().len());
    page + "\n"
}

fn conditions(results: &Results) -> String {
    let machine = &results.machine;
    let quick = if results.quick {
        "**Made with `--quick`: few objects, one run. These figures mean nothing.**\n\n"
    } else {
        ""
    };
    let versions = results.versions.iter();
    let versions: Vec<String> = versions.map(|(name, v)| format!("{name} {v}")).collect();
    format!(
        "{quick}Measured on {}: {} processors ({}), {} GiB of memory, Linux {}; {}; {}, {} build. \
         etcd, API server, controllers, scheduler, pretended kubelets, operator and load \
         generator share the processors. Pods run for {} s. Medians of {} interleaved runs where \
         there are several. Ratios hold on one machine; absolute figures do not travel.\n\n",
        machine.date,
        machine.processors,
        machine.processor,
        machine.memory_bytes.div_ceil(1 << 30),
        machine.kernel,
        versions.join(", "),
        machine.rustc,
        machine.build,
        results.pod_seconds,
        results.rounds,
    )
}

const HEADS: [&str; 9] = [
    "",
    "number",
    "per minute, median",
    "lowest, highest",
    "p50 s",
    "p99 s",
    "writes of all, each",
    "operator ms, each",
    "all ms, each",
];

fn saturation(results: &Results) -> String {
    let mut table = Table::new(&HEADS);
    for jobs in results.sizes() {
        for arm in [Arm::Jobs, Arm::EtlJobs] {
            let runs = results.runs(arm, jobs, Load::Saturation);
            row(&mut table, arm.title(), jobs, &runs);
        }
    }
    format!(
        "## Saturation\n\nCreated as fast as the API server takes them. p50 and p99 are from the \
         creation of an object until a watcher sees its end, most of it spent in the queues of \
         the control plane; *ms* is processor time.\n\n{}{ELSEWHERE}",
        table.finish()
    )
}

const ELSEWHERE: &str = "\
For orientation only, because neither this program nor this run has measured them: with 500 \
one-pod items on two processors and kwok, Argo Workflows at its best makes 1,750 to 2,300 per \
minute, with 9.8 writes of its own and 10 to 12 ms of processor time each; Kueue in front of \
Jobs 840 to 1,290.

";

fn half_load(results: &Results) -> String {
    let mut table = Table::new(&HEADS);
    let mut offered = None;
    for arm in [Arm::Jobs, Arm::EtlJobs] {
        let mut all = results.runs.iter();
        let Some(any) = all.find(|run| run.arm == arm && run.load != Load::Saturation) else {
            return String::new();
        };
        if let Load::Half { per_second } = any.load {
            offered = Some(per_second * 60.0);
        }
        let runs = results.runs(arm, any.jobs, HALF);
        row(&mut table, arm.title(), any.jobs, &runs);
    }
    format!(
        "## Half load\n\n{} per minute are created, evenly, which is half of what plain Jobs \
         reach above. The rate is until the last one has ended.\n\n{}",
        figure(offered, 0),
        table.finish()
    )
}

fn row(table: &mut Table, title: &str, jobs: usize, runs: &[&Run]) {
    let rates = || runs.iter().map(|run| run.per_minute());
    let (lowest, highest) = (
        rates().min_by(f64::total_cmp),
        rates().max_by(f64::total_cmp),
    );
    let each = |run: &Run| run.writes as f64 / run.jobs as f64;
    let parts = |run: &Run| run.cpu_milliseconds(|part| part != BENCH);
    table.row(&[
        title,
        &thousands(jobs as u64),
        &whole(middle(runs, Run::per_minute)),
        &format!("{}, {}", whole(lowest), whole(highest)),
        &figure(middle(runs, |run| run.latency.p50_seconds), 2),
        &figure(middle(runs, |run| run.latency.p99_seconds), 2),
        &figure(middle(runs, each), 1),
        &figure(middle(runs, operator_milliseconds), 1),
        &figure(middle(runs, parts), 1),
    ]);
}

/// Parts as their processor time is kept.
const OPERATOR: &str = "etl-operator";
const BENCH: &str = "this bench";

fn operator_milliseconds(run: &Run) -> f64 {
    run.cpu_milliseconds(|part| part == OPERATOR)
}

fn whole(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.into(), |value| thousands(value.round() as u64))
}

/// The operator's requests, at each load.
fn requests(results: &Results) -> String {
    let Some(&jobs) = results.sizes().first() else {
        return String::new();
    };
    let loads = [Load::Saturation, HALF].map(|load| results.runs(Arm::EtlJobs, jobs, load));
    let all = || {
        loads
            .iter()
            .flatten()
            .flat_map(|run| [&run.own, &run.refused])
    };
    let names: BTreeSet<&String> = all().flat_map(BTreeMap::keys).collect();
    let mut table = Table::new(&["request", "at saturation", "at half load"]);
    for name in names.into_iter().filter(|name| !name.ends_with("leases")) {
        let each = |runs: &[&Run]| {
            let of = |run: &Run| {
                let count = run.own.get(name).or_else(|| run.refused.get(name));
                count.copied().unwrap_or(0) as f64 / run.jobs as f64
            };
            figure(middle(runs, of), 3)
        };
        table.row(&[format!("`{name}`"), each(&loads[0]), each(&loads[1])]);
    }
    let rows = middle(&loads[0], |run| run.ledger_rows as f64 / run.jobs as f64);
    format!(
        "## Requests of the operator per EtlJob\n\nFrom the API server's audit log, by the \
         operator's account; a number in front is the status of a refusal. The lease is left \
         out. The ledger is given {} rows per EtlJob.\n\n{}",
        figure(rows, 2),
        table.finish()
    )
}

fn processor_time(results: &Results) -> String {
    let Some(&jobs) = results.sizes().first() else {
        return String::new();
    };
    let arms = [Arm::Jobs, Arm::EtlJobs].map(|arm| results.runs(arm, jobs, Load::Saturation));
    let parts = arms.iter().flatten().flat_map(|run| run.cpu_seconds.keys());
    let parts: BTreeSet<&String> = parts.collect();
    let mut table = Table::new(&["part", "plain Jobs", "EtlJobs"]);
    for part in parts {
        let each = |runs: &[&Run]| {
            figure(
                middle(runs, |run| run.cpu_milliseconds(|name| name == part)),
                2,
            )
        };
        table.row(&[part.clone(), each(&arms[0]), each(&arms[1])]);
    }
    format!(
        "## Where processor time goes\n\nMilliseconds per object at saturation.\n\n{}",
        table.finish()
    )
}

fn variants(results: &Results) -> String {
    let others = results.runs.iter().filter(|run| run.variant != DEFAULTS);
    let names: BTreeSet<&String> = others.map(|run| &run.variant).collect();
    let Some(&jobs) = results.sizes().first() else {
        return String::new();
    };
    if names.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&HEADS);
    for name in std::iter::once(DEFAULTS).chain(names.into_iter().map(String::as_str)) {
        let runs = results.runs.iter().filter(|run| {
            let same = run.arm == Arm::EtlJobs && run.load == Load::Saturation;
            same && run.jobs == jobs && run.variant == name
        });
        row(&mut table, name, jobs, &runs.collect::<Vec<_>>());
    }
    format!(
        "## Settings\n\nEtlJobs at saturation, with other settings than the chart's.\n\n{}",
        table.finish()
    )
}

fn many(results: &Results) -> String {
    let mut text = String::from(
        "## Many EtlJobs\n\nA new operator among EtlJobs that have ended. *First pass* is until \
         one that was created while no operator was there has a status, *at rest* until \
         everything was looked at.\n\n",
    );
    let mut table = Table::new(&[
        "EtlJobs",
        "ready s",
        "first pass s",
        "at rest s",
        "processor s",
        "memory MB",
        "at most MB",
        "ledger rows",
        "idle: processor ms per s",
    ]);
    for rest in &results.rests {
        let Rest {
            objects,
            ready_seconds,
            first_pass_seconds,
            at_rest_seconds,
            cpu_seconds,
            ..
        } = rest;
        table.row(&[
            thousands(*objects as u64),
            figure(Some(*ready_seconds), 2),
            figure(Some(*first_pass_seconds), 2),
            figure(Some(*at_rest_seconds), 1),
            figure(Some(*cpu_seconds), 1),
            megabytes(Some(rest.rss_bytes)),
            megabytes(Some(rest.peak_rss_bytes)),
            thousands(rest.ledger_rows),
            figure(Some(rest.idle_cpu_seconds * 1_000.0 / rest.idle_seconds), 1),
        ]);
    }
    text += &table.finish();
    for growth in &results.growths {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "An operator that was there while they became {} holds {} MB, and {} MB at most.\n\n",
            thousands(growth.objects as u64),
            megabytes(Some(growth.rss_bytes)),
            megabytes(Some(growth.peak_rss_bytes)),
        );
    }
    text
}

/// What the operator costs beside plain Jobs.
fn cost(results: &Results) -> String {
    let Some(&jobs) = results.sizes().first() else {
        return String::new();
    };
    let both = |load| [Arm::Jobs, Arm::EtlJobs].map(|arm| results.runs(arm, jobs, load));
    let difference = |load, of: &dyn Fn(&Run) -> f64| {
        let [plain, ours] = both(load).map(|runs| middle(&runs, of));
        Some(ours? - plain?)
    };
    let whole_cost = |run: &Run| run.cpu_milliseconds(|part| part != BENCH);
    format!(
        "## What it costs\n\nBeside a plain Job of the same pod, an EtlJob takes {} ms more of \
         processor time, of which the operator itself takes {} ms, and {} more writes. At half \
         load it ends {} s later at the median, and {} s later at p99. In exchange a plain Job \
         is not retried, not recorded, and may have its pod run twice.\n\n",
        figure(difference(Load::Saturation, &whole_cost), 1),
        figure(middle(&both(Load::Saturation)[1], operator_milliseconds), 1),
        figure(
            difference(Load::Saturation, &|run| run.writes as f64 / run.jobs as f64),
            1
        ),
        figure(difference(HALF, &|run| run.latency.p50_seconds), 2),
        figure(difference(HALF, &|run| run.latency.p99_seconds), 2),
    )
}

const METHOD: &str = "\
## How it is measured

- `cargo xtask bench operator` starts a control plane of its own: etcd without fsync, an API server
  with an audit log, controller manager and scheduler without client limits and with 20 concurrent
  Job syncs. kwok plays the kubelets of 20 nodes: a pod runs at once, and ends after its time with
  the exit code and the termination message of a worker. Nothing is converted.
- The operator is one process with the environment, the account and the rights that the chart gives
  it, under a lease and with a ledger. The ledger's store takes every row at once, and is part of the load generator.
- Plain Jobs have the very pod template that the operator makes, and no more than
  `backoffLimit: 0`. They are the ceiling: the operator makes such a Job for each EtlJob, indexed
  and with a failure policy.
- Both arms run alternately in namespaces of their own, on the same control plane. An EtlJob counts
  as ended when a watcher sees its condition `Complete` with the rows of the report.
- Processor time and memory are the kernel's account of each process. Memory at most is since the
  start of the process or of the run.
- The many EtlJobs are copies of one that has ended, as the API server stores it,
  written into etcd; the ledger has their rows.
- A real cluster has more: fsync, three etcd members, network, kubelets that take a second to start a
  pod. There the operator's share is smaller, and its rate bound by the control plane.
";

#[cfg(test)]
mod tests;
