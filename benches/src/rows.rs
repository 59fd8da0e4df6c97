//! Do two files mean the same rows?
//!
//! Every output is parsed back, by the types of the parquet file that it came
//! from, and compared with what the stock reader finds in that file. So it does
//! not matter whether null fields are left out, whether a `T` or a space stands
//! in a timestamp, or how many digits a 32-bit float is written with; but a lost
//! microsecond does.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, ensure};
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_json::ReaderBuilder;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use serde::{Deserialize, Serialize};

use crate::place::files;

const BATCH_ROWS: usize = 8192;
const BUFFER_BYTES: usize = 1 << 20;

/// A hash of every row, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rows(Vec<u64>);

/// What an output means beside its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Meaning {
    /// The same rows in the same order.
    Same,
    /// The same rows in another order.
    Reordered,
    /// Other rows.
    Differs,
}

impl Rows {
    /// Of the parquet file, or of all files of the folder, and their schema.
    pub(crate) fn of_parquet(path: &Path) -> Result<(Self, SchemaRef)> {
        let mut hashes = Vec::new();
        let mut schema = None;
        for file in files(path)? {
            // The plain types: what JSON cannot say shall not be compared.
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let file = File::open(file)?;
            let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?
                .with_batch_size(BATCH_ROWS)
                .build()?;
            let of_file = reader.schema();
            let converter = converter(&of_file)?;
            for batch in reader {
                hash(&converter, &batch?, &mut hashes)?;
            }
            schema = Some(of_file);
        }
        let schema = schema.context("there is no file")?;
        Ok((Self(hashes), schema))
    }

    /// Of the JSON Lines in the file, or in all files of the folder.
    pub(crate) fn of_json(path: &Path, schema: &SchemaRef) -> Result<Self> {
        let mut hashes = Vec::new();
        for file in files(path)? {
            let size = std::fs::metadata(&file)?.len();
            let half = next_line(&file, size / 2)?;
            let tail = thread::scope(|scope| {
                let tail = scope.spawn(|| hash_lines(&file, half, size, schema));
                hashes.extend(hash_lines(&file, 0, half, schema)?);
                tail.join().expect("hashing does not panic")
            })?;
            hashes.extend(tail);
        }
        Ok(Self(hashes))
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What `output` means, these being the rows that it was made from.
    pub(crate) fn meaning(&self, mut output: Self) -> Meaning {
        if output == *self {
            return Meaning::Same;
        }
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        output.0.sort_unstable();
        if output.0 == sorted {
            Meaning::Reordered
        } else {
            Meaning::Differs
        }
    }
}

/// Where the first line after byte `at` starts: a row never holds a line end.
fn next_line(path: &Path, at: u64) -> Result<u64> {
    if at == 0 {
        return Ok(0);
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at - 1))?;
    let skipped = BufReader::new(file).skip_until(b'\n')?;
    Ok(at - 1 + skipped as u64)
}

fn hash_lines(path: &Path, from: u64, to: u64, schema: &SchemaRef) -> Result<Vec<u64>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let lines: BufReader<Take<File>> =
        BufReader::with_capacity(BUFFER_BYTES, file.take(to.saturating_sub(from)));
    let reader = ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(BATCH_ROWS)
        .with_strict_mode(true)
        .build(lines)?;
    let converter = converter(schema)?;
    let mut hashes = Vec::new();
    for batch in reader {
        hash(&converter, &batch?, &mut hashes)?;
    }
    Ok(hashes)
}

fn converter(schema: &Schema) -> Result<RowConverter> {
    let fields = schema.fields().iter();
    let fields = fields.map(|field| SortField::new(field.data_type().clone()));
    Ok(RowConverter::new(fields.collect())?)
}

fn hash(converter: &RowConverter, batch: &RecordBatch, hashes: &mut Vec<u64>) -> Result<()> {
    let rows = converter.convert_columns(batch.columns())?;
    ensure!(rows.num_rows() == batch.num_rows(), "rows got lost");
    hashes.extend(rows.iter().map(|row| {
        let mut hasher = DefaultHasher::new();
        hasher.write(row.data());
        hasher.finish()
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use arrow_schema::{DataType, Field, TimeUnit};

    use super::*;

    fn schema() -> SchemaRef {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("at", time, true),
            Field::new("score", DataType::Float32, true),
        ]))
    }

    fn meaning(input: &str, output: &str) -> Meaning {
        let folder = tempfile::tempdir().unwrap();
        let rows = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            Rows::of_json(&path, &schema()).unwrap()
        };
        rows("input", input).meaning(rows("output", output))
    }

    const ROWS: &str = r#"{"id":1,"at":"2026-01-01T00:00:00.006116","score":0.99964947}
{"id":2,"at":null,"score":1.0}
{"id":9007199254740993,"at":"2026-01-01T00:00:00","score":null}
"#;

    #[test]
    fn forms_of_the_same_rows_are_the_same() {
        let other = r#"{"score":0.9996494650840759,"at":"2026-01-01 00:00:00.006116","id":1}
{"id":2,"score":1}
{"id":9007199254740993,"at":"2026-01-01T00:00:00.000Z"}
"#;
        assert_eq!(meaning(ROWS, other), Meaning::Same);
    }

    #[test]
    fn another_order_is_told_from_other_rows() {
        let mut lines: Vec<_> = ROWS.lines().collect();
        lines.reverse();
        assert_eq!(meaning(ROWS, &lines.join("\n")), Meaning::Reordered);
    }

    #[test]
    fn a_lost_microsecond_a_rounded_integer_and_a_repeated_row_differ() {
        for (found, written) in [
            (".006116", ".006"),
            ("993", "992"),
            ("\"id\":2", "\"id\":1"),
        ] {
            assert!(ROWS.contains(found));
            let other = ROWS.replace(found, written);
            assert_eq!(meaning(ROWS, &other), Meaning::Differs, "{written}");
        }
        let first = ROWS.lines().next().unwrap();
        assert_eq!(meaning(ROWS, &format!("{ROWS}{first}\n")), Meaning::Differs);
    }

    #[test]
    fn a_column_that_the_input_lacks_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        fs::write(&path, "{\"id\":1,\"extra\":1}\n{\"id\":2}\n").unwrap();
        assert!(Rows::of_json(&path, &schema()).is_err());
    }
}
