//! The figures of the plots: how time and memory grow with threads, columns,
//! row groups and the length of texts.

use std::path::Path;

use anyhow::Result;
use etl_sheet::median;

use crate::arm::Compression;
use crate::arms::{ARMS, Arm, Rivals};
use crate::data::{SHAPES, Shape};
use crate::measure::{Measured, measured};
use crate::place::{Room, size};
use crate::results::{Point, Results};

/// Of each point.
const ROUNDS: usize = 3;

/// Names of the plots, also of their files.
pub(crate) const THREADS: &str = "threads";
pub(crate) const COLUMNS: &str = "columns";
pub(crate) const ROW_GROUPS: &str = "row-groups";
pub(crate) const MEMORY: &str = "memory";
pub(crate) const TEXT: &str = "text-length";

/// Arms of the plots: ours, and the stock parts on one thread.
const LINES: [&str; 2] = ["etl", "arrow-json"];

/// Measures all points.
pub(crate) fn measure(cache: &Path, room: &Room, results: &mut Results) -> Result<()> {
    let small = if results.quick { 10 } else { 1 };
    let mut plots = Plots {
        cache,
        room,
        points: Vec::new(),
    };
    plots.threads(results)?;
    plots.columns(6_000_000 / small)?;
    plots.row_groups(2_000_000 / small, results.threads)?;
    plots.text(60_000_000 / small)?;
    results.points = plots.points;
    Ok(())
}

struct Plots<'a> {
    cache: &'a Path,
    room: &'a Room,
    points: Vec<Point>,
}

/// Median seconds and largest memory of a few runs.
struct Cost {
    wall_seconds: f64,
    peak_rss_bytes: f64,
}

impl Plots<'_> {
    fn add(&mut self, plot: &str, line: &str, x: f64, y: f64) {
        eprintln!("bench: {plot}, {line}: {x} {y:.3}");
        let (plot, line) = (plot.to_owned(), line.to_owned());
        self.points.push(Point { plot, line, x, y });
    }

    /// GB of JSON per second.
    fn threads(&mut self, results: &Results) -> Result<()> {
        for shape in SHAPES.iter().filter(|shape| !shape.is_folder()) {
            let Some(bytes) = results.json_bytes(shape.name) else {
                continue;
            };
            let shape = if results.quick { shape.quick() } else { *shape };
            let input = shape.input(self.cache)?;
            for threads in 1..=results.machine.processors {
                let cost = self.cost(arm("etl"), &input, threads)?;
                let speed = bytes as f64 / cost.wall_seconds / 1e9;
                self.add(THREADS, shape.name, threads as f64, speed);
            }
        }
        Ok(())
    }

    /// Nanoseconds per row, for about as many cells each.
    fn columns(&mut self, cells: usize) -> Result<()> {
        for columns in [1, 3, 10, 30, 100, 300, 1_000] {
            let shape = Shape::of_columns(columns, cells);
            let input = shape.input(self.cache)?;
            for line in LINES {
                let cost = self.cost(arm(line), &input, 1)?;
                let per_row = cost.wall_seconds * 1e9 / shape.rows() as f64;
                self.add(COLUMNS, line, columns as f64, per_row);
            }
        }
        Ok(())
    }

    /// GB of JSON per second, and MB of memory, over the rows of a row group.
    fn row_groups(&mut self, rows: usize, threads: usize) -> Result<()> {
        let mut bytes = None;
        for row_group_rows in [2_000, 10_000, 50_000, 250_000, 1_000_000, 2_000_000] {
            if row_group_rows > rows {
                continue;
            }
            let shape = Shape::of_row_groups(row_group_rows, rows);
            let input = shape.input(self.cache)?;
            let bytes = match bytes {
                Some(bytes) => bytes,
                None => *bytes.insert(self.json_bytes(&input, threads)?),
            };
            for (line, threads) in [("etl", threads), ("arrow-json", 1)] {
                let cost = self.cost(arm(line), &input, threads)?;
                let x = row_group_rows as f64;
                let speed = bytes as f64 / cost.wall_seconds / 1e9;
                self.add(ROW_GROUPS, line, x, speed);
                self.add(MEMORY, line, x, cost.peak_rss_bytes / 1e6);
            }
        }
        Ok(())
    }

    /// Nanoseconds per value over its bytes.
    fn text(&mut self, bytes: usize) -> Result<()> {
        for length in [1, 4, 8, 16, 32, 64, 128, 256, 1_024, 4_096] {
            let rows = (bytes / length).min(3_000_000);
            let shape = Shape::of_text_length(length, rows);
            let input = shape.input(self.cache)?;
            for line in LINES {
                let cost = self.cost(arm(line), &input, 1)?;
                let per_value = cost.wall_seconds * 1e9 / rows as f64;
                self.add(TEXT, line, length as f64, per_value);
            }
        }
        Ok(())
    }

    fn cost(&self, arm: &Arm, input: &Path, threads: usize) -> Result<Cost> {
        let mut runs = Vec::new();
        for _ in 0..ROUNDS {
            let output = self.room.discard("output.json")?;
            runs.push(self.run(arm, input, &output, threads)?);
        }
        let peak = runs.iter().map(|run| run.peak_rss_bytes).max();
        let walls = runs.iter().filter_map(|run| run.answer.wall_seconds);
        Ok(Cost {
            wall_seconds: median(walls.collect()).unwrap_or(f64::NAN),
            peak_rss_bytes: peak.unwrap_or(0) as f64,
        })
    }

    fn json_bytes(&self, input: &Path, threads: usize) -> Result<u64> {
        let output = self.room.file("output.json")?;
        self.run(arm("etl"), input, &output, threads)?;
        size(&output)
    }

    fn run(&self, arm: &Arm, input: &Path, output: &Path, threads: usize) -> Result<Measured> {
        let command = arm.command(&Rivals::none(), input, output, threads, Compression::None)?;
        measured(&command, threads)
    }
}

fn arm(name: &str) -> &'static Arm {
    let mut arms = ARMS.iter();
    arms.find(|arm| arm.name == name)
        .expect("the plots' arms are all there")
}
