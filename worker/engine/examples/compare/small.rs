//! Files so small that what each of them costs is all there is.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use etl_engine::{Budget, Conversion, Options};

use crate::shapes::SHAPES;
use crate::timing::Runs;
use crate::{Discard, convert_stock};

const ROUNDS: usize = 20;
/// Conversions of the same file in a round.
const FILES: usize = 200;
/// Rows of a file.
const ROWS: usize = 200;

/// Prints the microseconds of processor time that one small file of each shape
/// takes: all of it is this thread's.
pub(crate) fn print(asked: impl Fn(&str) -> bool) -> Result<(), Box<dyn Error>> {
    println!("Files of {ROWS} rows, µs per file.");
    println!("| shape | footer | whole | stock arrow-json | stock / ours |");
    println!("|---|---|---|---|---|");
    for shape in SHAPES.iter().filter(|shape| asked(shape.name)) {
        let file = Bytes::from(shape.file_of(ROWS)?);
        let mut runs: [Runs; 3] = std::array::from_fn(|_| Runs::default());
        for _ in 0..ROUNDS {
            let [footer, whole, stock] = &mut runs;
            footer.add(|| repeated(|| open(&file).map(drop)))?;
            whole.add(|| repeated(|| convert(&file)))?;
            stock.add(|| repeated(|| convert_stock(&file, etl_engine::Nulls::Omit)))?;
        }
        let [footer, whole, stock] = runs.map(|runs| runs.least_here() * 1e6 / FILES as f64);
        println!(
            "| {} | {footer:.1} | {whole:.1} | {stock:.1} | {:.2} |",
            shape.name,
            stock / whole
        );
    }
    Ok(())
}

fn repeated(work: impl Fn() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    (0..FILES).try_for_each(|_| work())
}

fn open(file: &Bytes) -> Result<Conversion, Box<dyn Error>> {
    let budget = Budget {
        memory_bytes: 64 << 20,
        threads: 2,
    };
    let source = Arc::new(file.clone());
    Ok(Conversion::open(source, &Options::default(), &budget)?)
}

fn convert(file: &Bytes) -> Result<(), Box<dyn Error>> {
    open(file)?.convert(&mut Discard)?;
    Ok(())
}
