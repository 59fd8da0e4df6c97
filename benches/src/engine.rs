//! `etl-bench engine`: every arm on every shape, side by side.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use arrow_schema::SchemaRef;
use clap::Args;
use etl_sheet::Machine;

use crate::arm::Compression;
use crate::arms::{ARMS, Arm, Rivals, Role};
use crate::data::{SHAPES, Shape};
use crate::measure::measured;
use crate::place::{self, Room, repository, size};
use crate::remote;
use crate::report;
use crate::results::{Case, Check, Failure, Input, Results, Run, Sink, Start};
use crate::rows::{Meaning, Rows};
use crate::scaling;

/// Shapes whose compressed output is measured too.
const COMPRESSED: &[&str] = &["mixed", "events", "numbers", "text"];
/// The shape whose compressed output is measured with rivals as well: some of
/// them need a minute.
const COMPRESSED_RIVALS: &str = "mixed";
/// The shape that is also read from and written to a distant S3.
const REMOTE: &str = "mixed";
/// Rounds of what takes long and varies little.
const FEW_ROUNDS: usize = 3;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A twentieth of the data and one round: whether it works, not how fast
    #[arg(long)]
    quick: bool,
    /// Only these shapes, separated by commas
    #[arg(long, value_delimiter = ',')]
    shapes: Vec<String>,
    /// Only these beside our engine, separated by commas
    #[arg(long, value_delimiter = ',')]
    rivals: Option<Vec<String>>,
    /// Rounds, in each of which every arm runs once; medians are reported
    #[arg(long)]
    runs: Option<usize>,
    /// Threads of the cases that are not on one thread
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Leave out the plots
    #[arg(long)]
    no_scaling: bool,
    /// Folder of the report [default: docs/benchmarks, or the cache if quick]
    #[arg(long)]
    out: Option<PathBuf>,
    /// How this program was compiled, for the report
    #[arg(long, default_value = "release")]
    build: String,
}

impl Options {
    fn shapes(&self) -> Result<Vec<Shape>> {
        for name in &self.shapes {
            let known = SHAPES.iter().any(|shape| shape.name == name);
            ensure!(known, "there is no shape {name}");
        }
        let asked = |shape: &&Shape| {
            self.shapes.is_empty() || self.shapes.iter().any(|name| name == shape.name)
        };
        let sized = |shape: &Shape| if self.quick { shape.quick() } else { *shape };
        Ok(SHAPES.iter().filter(asked).map(sized).collect())
    }

    fn arms(&self) -> Result<Vec<&'static Arm>> {
        for name in self.rivals.iter().flatten() {
            let known = ARMS.iter().any(|arm| arm.name == name);
            ensure!(known, "there is no arm {name}");
        }
        let asked = |arm: &&Arm| arm.role == Role::Ours || self.measures(arm.name);
        let able = |arm: &&Arm| {
            let lacks = arm.lacks();
            if let Some(lacks) = lacks {
                eprintln!(
                    "bench: {} does not take part: there is no {lacks}",
                    arm.title
                );
            }
            lacks.is_none()
        };
        Ok(ARMS.iter().filter(asked).filter(able).collect())
    }

    fn measures(&self, arm: &str) -> bool {
        let rivals = self.rivals.as_ref();
        rivals.is_none_or(|names| names.iter().any(|name| name == arm))
    }

    fn out(&self, cache: &Path) -> PathBuf {
        match &self.out {
            Some(folder) => folder.clone(),
            None if self.quick => cache.join("quick"),
            None => repository().join("docs/benchmarks"),
        }
    }
}

/// Measures, writes the report and prints its summary.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cache = place::cache()?;
    let arms = options.arms()?;
    let shapes = options.shapes()?;
    let rivals = if arms.iter().any(|arm| arm.is_python()) {
        Rivals::ensure(&cache)?
    } else {
        Rivals::none()
    };
    let rounds = options.runs.unwrap_or(if options.quick { 1 } else { 5 });
    let results = Results {
        machine: Machine::here(&options.build)?,
        quick: options.quick,
        rounds,
        threads: options.threads,
        inputs: Vec::new(),
        starts: Vec::new(),
        checks: Vec::new(),
        failures: Vec::new(),
        runs: Vec::new(),
        points: Vec::new(),
        remotes: Vec::new(),
    };
    let mut race = Race {
        arms,
        rivals,
        room: Room::new()?,
        results,
    };
    race.starts(&cache)?;
    for shape in &shapes {
        race.shape(shape, &cache)?;
        // Whatever happens later, this much is kept.
        fs::write(cache.join("last.json"), serde_json::to_vec(&race.results)?)?;
    }
    if options.measures("local")
        && let Some(shape) = shapes.iter().find(|shape| shape.name == REMOTE)
    {
        remote::measure(shape, &cache, &race.room, &mut race.results)?;
    }
    if !options.no_scaling {
        scaling::measure(&cache, &race.room, &mut race.results)?;
    }
    report::write(&race.results, &options.out(&cache))
}

/// Writes the report of figures that are there.
pub(crate) fn report(folder: Option<&Path>) -> Result<()> {
    let cache = place::cache()?;
    let folder = folder.map_or_else(|| repository().join("docs/benchmarks"), Path::to_owned);
    let kept = folder.join(report::RAW);
    let kept = if kept.exists() {
        kept
    } else {
        cache.join("last.json")
    };
    let text = fs::read(&kept).with_context(|| format!("cannot read {}", kept.display()))?;
    report::write(&serde_json::from_slice(&text)?, &folder)
}

struct Race {
    arms: Vec<&'static Arm>,
    rivals: Rivals,
    room: Room,
    results: Results,
}

/// An input and what is in it.
struct Truth {
    path: PathBuf,
    rows: Rows,
    schema: SchemaRef,
}

impl Race {
    fn starts(&mut self, cache: &Path) -> Result<()> {
        let small = Shape::of_columns(10, 1_000).input(cache)?;
        let threads = self.results.threads;
        for arm in self.arms.clone() {
            let mut starts = Vec::new();
            // The first one also reads the programs from the disk.
            for _ in 0..self.results.rounds.min(FEW_ROUNDS) + 1 {
                let output = self.room.file("output.json")?;
                let command = match arm.start(&self.rivals)? {
                    Some(command) => command,
                    None => {
                        let plain = Compression::None;
                        arm.command(&self.rivals, &small, &output, threads, plain)?
                    }
                };
                starts.push(measured(&command, threads)?);
            }
            starts.sort_by(|a, b| a.wall_seconds.total_cmp(&b.wall_seconds));
            self.results.starts.push(Start {
                arm: arm.name.into(),
                measured: starts.swap_remove(starts.len() / 2),
            });
        }
        Ok(())
    }

    fn shape(&mut self, shape: &Shape, cache: &Path) -> Result<()> {
        let path = shape.input(cache)?;
        let (rows, schema) = Rows::of_parquet(&path)?;
        ensure!(
            rows.len() == shape.rows(),
            "{} is incomplete: remove it",
            path.display()
        );
        self.results.inputs.push(Input {
            shape: shape.name.into(),
            about: shape.about.into(),
            rows: rows.len(),
            columns: schema.fields().len(),
            bytes: size(&path)?,
        });
        let truth = Truth { path, rows, schema };
        for case in self.cases(shape) {
            self.case(&case, &truth)?;
        }
        Ok(())
    }

    fn cases(&self, shape: &Shape) -> Vec<Case> {
        let threads = self.results.threads;
        let case = |sink, threads, compression| Case {
            shape: shape.name.into(),
            sink,
            threads,
            compression,
        };
        // The one whose output is checked comes first.
        let mut cases = vec![
            case(Sink::Tmpfs, threads, Compression::None),
            case(Sink::Discard, threads, Compression::None),
            case(Sink::Discard, 1, Compression::None),
        ];
        if COMPRESSED.contains(&shape.name) {
            cases.push(case(Sink::Tmpfs, threads, Compression::Gzip));
            cases.push(case(Sink::Tmpfs, threads, Compression::Zstd));
            cases.push(case(Sink::Tmpfs, 1, Compression::Gzip));
        }
        cases.dedup();
        cases
    }

    fn case(&mut self, case: &Case, truth: &Truth) -> Result<()> {
        let mut arms = self.arms.clone();
        arms.retain(|arm| takes_part(arm, case));
        for round in 0..self.results.rounds {
            // Interleaved, so that whatever disturbs the machine disturbs all.
            arms.retain(|arm| round < rounds_of(arm, case));
            let mut failed = Vec::new();
            for arm in &arms {
                if let Err(error) = self.once(arm, case, truth, round == 0) {
                    // The whole product has the memory of its default, come what may.
                    if arm.role == Role::Ours {
                        return Err(error.context(format!("{} failed on {case:?}", arm.name)));
                    }
                    failed.push(arm.name);
                    let reason = format!("{error:#}");
                    eprintln!("bench: {}: {reason}", arm.name);
                    let (arm, case) = (arm.name.into(), case.clone());
                    self.results.failures.push(Failure { arm, case, reason });
                }
            }
            arms.retain(|arm| !failed.contains(&arm.name));
        }
        Ok(())
    }

    fn once(&mut self, arm: &Arm, case: &Case, truth: &Truth, check: bool) -> Result<()> {
        let name = format!("output.json{}", case.compression.suffix());
        let output = match case.sink {
            Sink::Discard => self.room.discard(&name)?,
            Sink::Tmpfs => self.room.file(&name)?,
        };
        let command = arm.command(
            &self.rivals,
            &truth.path,
            &output,
            case.threads,
            case.compression,
        )?;
        let measured = measured(&command, case.threads)?;
        let output_bytes = match case.sink {
            Sink::Discard => {
                self.room.check_discarded(&output)?;
                None
            }
            Sink::Tmpfs => Some(size(&output)?),
        };
        let (arm_name, case) = (arm.name.to_owned(), case.clone());
        let run = Run {
            arm: arm_name,
            case,
            measured,
            output_bytes,
        };
        let Case {
            shape,
            sink,
            threads,
            compression,
        } = &run.case;
        eprintln!(
            "bench: {shape}, {}, {threads} thread(s), {}: {} {:.2} s",
            sink.name(),
            compression.name(),
            arm.name,
            run.wall_seconds(),
        );
        let plain = *compression == Compression::None;
        if check && plain && *sink == Sink::Tmpfs {
            self.check(arm, shape, &output, truth)?;
        }
        self.results.runs.push(run);
        Ok(())
    }

    fn check(&mut self, arm: &Arm, shape: &str, output: &Path, truth: &Truth) -> Result<()> {
        let rows =
            Rows::of_json(output, &truth.schema).context("its output cannot be read back")?;
        let meaning = truth.rows.meaning(rows);
        if arm.is_ours() && meaning != Meaning::Same {
            bail!("the output is {meaning:?}, not the same rows in their order");
        }
        if meaning == Meaning::Differs {
            eprintln!("bench: {shape}: {} wrote other rows", arm.name);
        }
        self.results.checks.push(Check {
            arm: arm.name.into(),
            shape: shape.into(),
            meaning,
        });
        Ok(())
    }
}

fn takes_part(arm: &Arm, case: &Case) -> bool {
    let plain = case.compression == Compression::None;
    let can = arm.compressions.contains(&case.compression);
    let reaches = case.sink == Sink::Tmpfs || arm.discards;
    can && reaches
        && match arm.role {
            // One thread and compression: only for the pipeline that has no more.
            Role::Ours => plain || case.threads > 1,
            Role::Rival => plain || (case.threads > 1 && case.shape == COMPRESSED_RIVALS),
            Role::OursToo => case.threads > 1,
            // It has one thread whatever it gets; into memory it is checked.
            Role::Stock => case.threads == 1 || (plain && case.sink == Sink::Tmpfs),
            Role::Ancestor => case.threads > 1,
        }
}

fn rounds_of(arm: &Arm, case: &Case) -> usize {
    match (arm.role, case.compression, case.threads) {
        (Role::Ancestor, _, _) => 1,
        (Role::Stock | Role::Rival, Compression::Gzip | Compression::Zstd, _) => 1,
        (_, Compression::Gzip | Compression::Zstd, _) | (_, _, 1) => FEW_ROUNDS,
        _ => usize::MAX,
    }
}
