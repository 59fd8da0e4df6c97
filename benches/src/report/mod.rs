//! The page in the docs, its plots, and the lines that the README quotes: all of
//! it from kept figures, so that it can be written again.

mod page;
mod plot;
mod remote;
mod shape;
mod standing;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::results::Results;
use crate::scaling;
use plot::{Axis, Plot, Scale};

/// The figures, beside the page.
pub(crate) const RAW: &str = "engine.json";
const PAGE: &str = "engine.md";

const SPEED: Axis = Axis {
    label: "GB/s, discard",
    scale: Scale::Linear,
};

const ROW_GROUP: Axis = Axis {
    label: "rows per row group",
    scale: Scale::Logarithmic,
};

const PLOTS: &[Plot] = &[
    Plot {
        name: scaling::THREADS,
        title: "GB of JSON per second over threads, each on a processor of its own",
        x: Axis {
            label: "threads",
            scale: Scale::Counts,
        },
        y: SPEED,
    },
    Plot {
        name: scaling::COLUMNS,
        title: "Nanoseconds per row over columns, one thread",
        x: Axis {
            label: "columns",
            scale: Scale::Logarithmic,
        },
        y: Axis {
            label: "ns per row",
            scale: Scale::Logarithmic,
        },
    },
    Plot {
        name: scaling::TEXT,
        title: "Nanoseconds per text over its length, one thread, decode included",
        x: Axis {
            label: "bytes",
            scale: Scale::Logarithmic,
        },
        y: Axis {
            label: "ns per value",
            scale: Scale::Logarithmic,
        },
    },
    Plot {
        name: scaling::ROW_GROUPS,
        title: "GB of JSON per second over the size of row groups",
        x: ROW_GROUP,
        y: SPEED,
    },
    Plot {
        name: scaling::MEMORY,
        title: "Largest resident memory over the size of row groups",
        x: ROW_GROUP,
        y: Axis {
            label: "MB",
            scale: Scale::Linear,
        },
    },
];

/// Writes page, plots and figures into `folder` and prints the summary.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<()> {
    let save = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut drawn = Vec::new();
    for plot in PLOTS {
        if plot.draw(&results.points, folder)? {
            drawn.push(plot);
        }
    }
    save(PAGE, page::page(results, &drawn).as_bytes())?;
    save(RAW, &serde_json::to_vec(results)?)?;
    println!("{}", page::summary(results));
    println!("The whole report: {}", folder.join(PAGE).display());
    Ok(())
}
