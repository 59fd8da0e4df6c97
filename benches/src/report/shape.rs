//! What was measured on one shape.

use std::fmt::Write;

use etl_sheet::{NONE, Table, figure, megabytes, thousands};

use crate::arms::{ARMS, title};
use crate::results::{Case, Input, Results, Sink};
use crate::rows::Meaning;

/// How the sections of shapes are to be read.
pub(super) const LEGEND: &str = "\
Seconds of wall time; in brackets GB of JSON per second. GB of JSON are for all the bytes that \
we write with every null field, so that nobody gains by writing more. Processor time is user \
and system time without the start of the interpreter. Rows are parsed back and compared with \
the parquet file: the *same* rows, *reordered*, or *different* ones, which take no part in \
ratios.\n\n";

pub(super) fn section(results: &Results, input: &Input) -> String {
    let mut text = format!(
        "### {}\n\n{}: {} rows, {} MB of parquet, {} MB of JSON.\n\n",
        input.shape,
        capitalised(&input.about),
        thousands(input.rows as u64),
        megabytes(Some(input.bytes)),
        megabytes(results.json_bytes(&input.shape)),
    );
    let threads = results.threads;
    let case = |sink, threads| results.case(&input.shape, sink, threads);
    let cases = [
        case(Sink::Tmpfs, threads),
        case(Sink::Discard, threads),
        case(Sink::Discard, 1),
    ];
    let mut table = Table::new(&[
        "",
        "rows",
        "output MB",
        &format!("tmpfs, {threads} threads"),
        &format!("discard, {threads} threads"),
        "discard, 1 thread",
        "processor s per GB",
        "million rows/s",
        "peak memory MB",
    ]);
    for arm in ARMS {
        if let Some(row) = row(results, input, arm.name, &cases) {
            table.row(&row);
        }
    }
    text += &table.finish();
    text += &failures(results, &input.shape);
    text
}

/// One arm's figures; none if it has none.
fn row(results: &Results, input: &Input, arm: &str, cases: &[Case; 3]) -> Option<[String; 9]> {
    let [tmpfs, discard, single] = cases;
    // Cost and rate without a sink, where there is a figure without one.
    let by_preference = [discard, single, tmpfs];
    let mut measured = by_preference.into_iter();
    let computing = measured.find(|case| results.wall(arm, case).is_some())?;
    let gigabytes = results
        .json_bytes(&input.shape)
        .map(|bytes| bytes as f64 / 1e9);
    let cpu = results.cpu(arm, computing).zip(gigabytes);
    let wall = results.wall(arm, computing);
    let peaks = by_preference.map(|case| results.peak_rss(arm, case));
    Some([
        title(arm).to_owned(),
        meaning(results.meaning(arm, &input.shape)).to_owned(),
        megabytes(results.output_bytes(arm, tmpfs)),
        timed(results, arm, tmpfs),
        timed(results, arm, discard),
        timed(results, arm, single),
        figure(cpu.map(|(cpu, gigabytes)| cpu / gigabytes), 2),
        figure(wall.map(|wall| input.rows as f64 / wall / 1e6), 2),
        megabytes(peaks.into_iter().flatten().max()),
    ])
}

fn failures(results: &Results, shape: &str) -> String {
    let mut told = Vec::new();
    for failure in &results.failures {
        let sink = failure.case.sink;
        if failure.case.shape == shape {
            let what = (failure.arm.as_str(), sink, failure.reason.as_str());
            if !told.contains(&what) {
                told.push(what);
            }
        }
    }
    let mut text = String::new();
    for (arm, sink, reason) in &told {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {}, {}: {reason}", title(arm), sink.name());
    }
    if !told.is_empty() {
        text.push('\n');
    }
    text
}

fn meaning(meaning: Option<Meaning>) -> &'static str {
    match meaning {
        None => NONE,
        Some(Meaning::Same) => "same",
        Some(Meaning::Reordered) => "reordered",
        Some(Meaning::Differs) => "**different**",
    }
}

fn timed(results: &Results, arm: &str, case: &Case) -> String {
    match results.wall(arm, case) {
        None => NONE.into(),
        Some(wall) => format!("{wall:.2} ({})", speed(results, arm, case)),
    }
}

/// GB of JSON per second.
pub(super) fn speed(results: &Results, arm: &str, case: &Case) -> String {
    let bytes = results.json_bytes(&case.shape).map(|bytes| bytes as f64);
    let speed = bytes.zip(results.wall(arm, case));
    figure(speed.map(|(bytes, wall)| bytes / wall / 1e9), 2)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}
