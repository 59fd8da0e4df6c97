//! The corpus of broken files: each ends in one typed error that says where,
//! and none makes the engine take more memory than a sound file of its size.
//!
//! `ETL_WRITE_BROKEN=1 cargo test -p etl-engine --test broken` writes the files
//! again.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use etl_engine::{Budget, Conversion, Encoder, Error, Options};
use peak_alloc::PeakAlloc;
use support::defects;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const BUDGET: Budget = Budget {
    memory_bytes: 256 << 20,
    threads: 2,
};
/// Buffers for output, batches and threads, which every conversion has.
const MOST_BYTES: usize = 48 << 20;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/broken")
}

fn convert(file: &Bytes, encoder: Encoder) -> Result<u64, Error> {
    let options = Options {
        encoder,
        ..Options::default()
    };
    let conversion = Conversion::open(Arc::new(file.clone()), &options, &BUDGET)?;
    Ok(conversion.convert(&mut Vec::new())?.rows)
}

/// `file name: category: message`, for all files, and for those that took too
/// much memory.
fn outcomes() -> (String, String) {
    let (mut lines, mut greedy) = (Vec::new(), Vec::new());
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "parquet"))
        .collect();
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let file = Bytes::from(fs::read(&path).unwrap());
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let outcome = match convert(&file, Encoder::Columnar) {
            Ok(rows) => format!("{rows} rows"),
            Err(error) => format!("{}: {error}", error.kind().as_str()),
        };
        let peak = MEMORY.peak_usage() - before;
        if peak > MOST_BYTES {
            greedy.push(format!("{name} took {peak} bytes: {outcome}\n"));
        }
        lines.push(format!("{name}: {outcome}\n"));
    }
    (lines.concat(), greedy.concat())
}

#[test]
fn every_broken_file_ends_in_its_error_and_takes_no_memory_for_a_claim() {
    write_if_asked();
    let golden = folder().join("outcomes.txt");
    let (found, greedy) = outcomes();
    if std::env::var_os("ETL_WRITE_BROKEN").is_some() {
        fs::write(&golden, &found).unwrap();
    }
    let expected = fs::read_to_string(golden).unwrap();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(greedy, "");
    assert_eq!(found.lines().count(), expected.lines().count());
}

fn write_if_asked() {
    if std::env::var_os("ETL_WRITE_BROKEN").is_none() {
        return;
    }
    fs::create_dir_all(folder()).unwrap();
    let mut seen = BTreeMap::new();
    for (name, file) in defects::all() {
        assert!(seen.insert(name, ()).is_none(), "{name} occurs twice");
        fs::write(folder().join(name).with_extension("parquet"), file).unwrap();
    }
}
