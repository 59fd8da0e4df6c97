//! The page, ratios first.

use std::fmt::Write;

use etl_sheet::{NONE, Table, megabytes, ratio, times};

use super::plot::Plot;
use super::remote;
use super::shape::{self, speed};
use super::standing::{Loss, OURS, fastest_rival, losses, thriftiest_rival};
use crate::arm::Compression;
use crate::arms::{ARMS, Arm, Role, title};
use crate::results::{Case, Results, Sink};

/// The whole page, with the plots that were drawn.
pub(super) fn page(results: &Results, plots: &[&Plot]) -> String {
    let mut page = String::from(
        "<!-- Written by `cargo xtask bench engine`: do not edit. -->\n\
         # Benchmarks of the engine\n\n",
    );
    page += &conditions(results);
    page += "## Ratios\n\n";
    page += &ratios(results);
    page += &compression(results);
    page += &lost(results);
    page += "## Shape by shape\n\n";
    page += shape::LEGEND;
    for input in &results.inputs {
        page += &shape::section(results, input);
    }
    page += &remote::section(results);
    page += &starts(results);
    page += &scaling(plots);
    page += &method(results);
    page.truncate(page.trim_end().len());
    page + "\n"
}

/// What the README quotes.
pub(super) fn summary(results: &Results) -> String {
    let mut table = Table::new(&[
        "shape",
        "GB of JSON per second",
        "the fastest rival",
        "into tmpfs",
        "peak memory, MB",
    ]);
    for input in &results.inputs {
        let case = |sink| results.case(&input.shape, sink, results.threads);
        let (discard, tmpfs) = (case(Sink::Discard), case(Sink::Tmpfs));
        table.row(&[
            input.shape.clone(),
            speed(results, OURS, &discard),
            against_fastest(results, &discard),
            against_fastest(results, &tmpfs),
            peak(results, &[&discard, &tmpfs]),
        ]);
    }
    let machine = &results.machine;
    let versions: Vec<String> = versions(results).map(|(_, version)| version).collect();
    format!(
        "{}{} threads, {}, {}. {}. Medians of {} interleaved runs.\n",
        table.finish(),
        results.threads,
        machine.processor,
        machine.date,
        versions.join(", "),
        results.rounds,
    )
}

fn versions(results: &Results) -> impl Iterator<Item = (&'static Arm, String)> {
    let listed = ARMS.iter().filter(|arm| arm.role != Role::OursToo);
    listed.filter_map(|arm| {
        let version = results.version(arm.name)?;
        Some((arm, format!("{} {version}", arm.title)))
    })
}

fn conditions(results: &Results) -> String {
    let machine = &results.machine;
    let vectors = machine.vectors.last();
    let quick = if results.quick {
        "**Made with `--quick`: little data, one run. These figures mean nothing.**\n\n"
    } else {
        ""
    };
    format!(
        "{quick}Measured on {}: {} processors ({}{}), {} GiB of memory, Linux {}; {}, {} \
         build. {} threads on as many processors unless said otherwise; medians of {} \
         interleaved runs. Ratios hold on one machine; absolute figures do not travel.\n\n",
        machine.date,
        machine.processors,
        machine.processor,
        vectors.map_or(String::new(), |vector| format!(", {vector}")),
        machine.memory_bytes.div_ceil(1 << 30),
        machine.kernel,
        machine.rustc,
        machine.build,
        results.threads,
        results.rounds,
    )
}

/// Each shape against the best rival, the stock parts and the ancestor.
fn ratios(results: &Results) -> String {
    let mut table = Table::new(&[
        "shape",
        "fastest rival, discard",
        "fastest rival, tmpfs",
        "thriftiest rival, processor time",
        "arrow-json, one thread each",
        "Spark warm, processor time",
        "our peak memory, MB",
    ]);
    for input in &results.inputs {
        let case = |sink, threads| results.case(&input.shape, sink, threads);
        let discard = case(Sink::Discard, results.threads);
        let tmpfs = case(Sink::Tmpfs, results.threads);
        let single = case(Sink::Discard, 1);
        let thrifty = thriftiest_rival(results, &discard).map_or(NONE.into(), |rival| {
            let ratio = ratio(Some(rival.value), results.cpu(OURS, &discard));
            format!("{ratio} {}", rival.arm.title)
        });
        table.row(&[
            input.shape.clone(),
            against_fastest(results, &discard),
            against_fastest(results, &tmpfs),
            thrifty,
            ratio(
                results.wall("arrow-json", &single),
                results.wall(OURS, &single),
            ),
            ratio(results.cpu("spark", &tmpfs), results.cpu(OURS, &tmpfs)),
            peak(results, &[&discard, &tmpfs, &single]),
        ]);
    }
    format!(
        "How many times what we need the others need: 2.0x is twice the time. The rivals are \
         Polars, DuckDB, ClickHouse and DataFusion, each at its best known setting, and each \
         column names the best of them.\n\n{}",
        table.finish()
    )
}

fn against_fastest(results: &Results, case: &Case) -> String {
    fastest_rival(results, case).map_or(NONE.into(), |rival| {
        let ratio = ratio(Some(rival.value), results.wall(OURS, case));
        format!("**{ratio}** {}", rival.arm.title)
    })
}

fn peak(results: &Results, cases: &[&Case]) -> String {
    let peaks = cases.iter().map(|case| results.peak_rss(OURS, case));
    megabytes(peaks.flatten().max())
}

fn compression(results: &Results) -> String {
    let mut table = Table::new(&[
        "shape",
        "compression",
        "ours: s, MB",
        "one-thread zlib-6 pipeline: s, MB",
        "ratio",
        "fastest rival: s, MB",
        "ratio",
    ]);
    let cell = |arm: &str, case: &Case| match results.wall(arm, case) {
        None => NONE.to_owned(),
        Some(wall) => format!("{wall:.2}, {}", megabytes(results.output_bytes(arm, case))),
    };
    let cases = results.compressed_cases();
    for case in cases.iter().filter(|case| case.threads > 1) {
        let pipeline = Case {
            threads: 1,
            compression: Compression::Gzip,
            ..case.clone()
        };
        let ours = results.wall(OURS, case);
        let rival = fastest_rival(results, case);
        table.row(&[
            case.shape.clone(),
            case.compression.name().to_owned(),
            cell(OURS, case),
            cell("arrow-json", &pipeline),
            ratio(results.wall("arrow-json", &pipeline), ours),
            rival.as_ref().map_or(NONE.into(), |rival| {
                format!("{} {}", rival.arm.title, cell(rival.arm.name, case))
            }),
            ratio(rival.map(|rival| rival.value), ours),
        ]);
    }
    if cases.is_empty() {
        return String::new();
    }
    format!(
        "### Compressed output, to tmpfs\n\nThe pipeline is arrow-json and zlib at level 6 on \
         one thread, which is what many services do.\n\n{}",
        table.finish()
    )
}

fn lost(results: &Results) -> String {
    let head = "### Where others are better\n\n";
    let losses = losses(results);
    if losses.is_empty() {
        return format!("{head}In no figure that was measured.\n\n");
    }
    let mut table = Table::new(&["shape", "case", "who", "what", "by"]);
    for Loss {
        case,
        arm,
        what,
        factor,
    } in losses
    {
        let plural = if case.threads == 1 { "" } else { "s" };
        let compression = match case.compression {
            Compression::None => String::new(),
            Compression::Gzip | Compression::Zstd => format!(", {}", case.compression.name()),
        };
        table.row(&[
            case.shape.clone(),
            format!(
                "{}, {} thread{plural}{compression}",
                case.sink.name(),
                case.threads
            ),
            arm.title.to_owned(),
            what.to_owned(),
            times(factor),
        ]);
    }
    format!("{head}{}", table.finish())
}

fn starts(results: &Results) -> String {
    if results.starts.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["", "start s", "processor s", "memory MB"]);
    for start in &results.starts {
        let measured = &start.measured;
        table.row(&[
            title(&start.arm).to_owned(),
            format!("{:.3}", measured.wall_seconds),
            format!("{:.3}", measured.cpu_seconds),
            megabytes(Some(measured.peak_rss_bytes)),
        ]);
    }
    let mut text = format!(
        "## Start\n\nStarting and ending a process that has loaded the engine and converts \
         nothing; those in Rust convert a file of 100 rows. No figure above has it, except \
         memory and what is said to be from the start of a process.\n\n{}",
        table.finish()
    );
    let cold = results.runs.iter().filter_map(|run| {
        let (first, third) = (run.measured.answer.cold_wall_seconds?, run.wall_seconds());
        Some(format!("{} {first:.1} s ({third:.1} s)", run.case.shape))
    });
    let cold: Vec<String> = cold.collect();
    if !cold.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Spark's first conversion in a process, and its third in brackets: {}.\n\n",
            cold.join(", ")
        );
    }
    text
}

fn scaling(plots: &[&Plot]) -> String {
    if plots.is_empty() {
        return String::new();
    }
    let mut text = String::from("## Scaling\n\n");
    for Plot { name, title, .. } in plots {
        // Writing to a String cannot fail.
        let _ = write!(text, "![{title}]({name}.svg)\n\n");
    }
    text
}

fn method(results: &Results) -> String {
    let mut table = Table::new(&["who", "how"]);
    for (arm, version) in versions(results) {
        table.row(&[version, arm.settings.to_owned()]);
    }
    let java = results.machine.java.as_deref();
    let java = java.map_or(String::new(), |java| format!(" Java: {java}."));
    format!(
        "## How it is measured\n\n\
         - `cargo xtask bench engine` makes the data (the same every time; snappy, dictionaries, \
         row groups of 250,000 rows where nothing else is said), installs the rivals at the \
         versions below, and writes this page.\n\
         - Every run is a process of its own, confined to as many processors as it is given \
         threads, and measured by `wait4`. In a round every arm runs once; then comes the next \
         round. Wall time is taken inside the process, from before the input is opened until \
         the output is complete.\n\
         - Inputs are in the page cache. *Discard* is the null device: the conversion alone. \
         *tmpfs* is a file in memory, for which the kernel has to find pages.\n\
         - Rivals are programs of their own; nothing of theirs is in ours.{java}\n\n{}",
        table.finish()
    )
}
