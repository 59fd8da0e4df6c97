//! Reading from and writing to a distant S3.

use etl_sheet::{Table, figure, megabytes, thousands};

use crate::arm::Compression;
use crate::remote::Remote;
use crate::results::Results;

/// Rows, link and compression.
type Case = (usize, u64, Compression);

fn case(remote: &Remote) -> Case {
    (remote.rows, remote.link_rate, remote.compression)
}

pub(super) fn section(results: &Results) -> String {
    let mut table = Table::new(&[
        "rows",
        "link MB/s",
        "compression",
        "read, written MB",
        "s",
        "what binds, and how long it needs",
        "reached",
        "connections: reading, writing",
        "requests",
        "peak memory MB",
    ]);
    let mut told: Vec<Case> = Vec::new();
    for remote in &results.remotes {
        let case = case(remote);
        if !told.contains(&case) {
            table.row(&row(results, case));
            told.push(case);
        }
    }
    let Some(first) = results.remotes.first() else {
        return String::new();
    };
    format!(
        "## From S3 to S3\n\nShape mixed, and a file of 100 rows for the share of the round trips, by `kubectl etl \
         run`: two processes, plan, conversion, commit. The server runs on the same processors; it answers reads after 60 ms and \
         writes after 100 ms, and paces every connection at {} MB/s and all of them together \
         at the link's rate. The links are what a small node of two processors has for good, \
         and what it has for minutes. *Processors*: the time that worker and server used, \
         spread over all of them.\n\n{}",
        first.connection_rate / 1_000_000,
        table.finish()
    )
}

fn row(results: &Results, of: Case) -> [String; 10] {
    let runs = results.remotes.iter().filter(|remote| case(remote) == of);
    // One run as it was, so that its figures belong together.
    let mut runs: Vec<&Remote> = runs.collect();
    runs.sort_by(|a, b| a.wall_seconds.total_cmp(&b.wall_seconds));
    let run = runs[runs.len() / 2];
    let limit = run.limit();
    [
        thousands(run.rows as u64),
        (run.link_rate / 1_000_000).to_string(),
        run.compression.name().to_owned(),
        format!(
            "{}, {}",
            megabytes(Some(run.bytes_read)),
            megabytes(Some(run.bytes_written))
        ),
        figure(Some(run.wall_seconds), 2),
        format!("{}: {:.2} s", limit.what, limit.seconds),
        format!("**{:.0} %**", 100.0 * limit.seconds / run.wall_seconds),
        format!("{}, {}", run.readers, run.writers),
        run.requests.to_string(),
        megabytes(Some(run.peak_rss_bytes)),
    ]
}
