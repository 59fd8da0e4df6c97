//! The file that the first users of this product came with, at its full size.
//!
//! The published file is not at hand, but its first 22,791 rows are. Rows are
//! drawn from these at random and changed a little, so that dictionaries and
//! compression meet about the variety that they would meet in the real file: it
//! is 1,369,769 rows in ONE row group, over one month, and in the last 7 % the
//! columns that a meter did not send are null.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, Float64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array,
    new_null_array,
};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use fastrand::Rng;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Rows of the published file.
pub(super) const ROWS: usize = 1_369_769;
/// One row in so many has nulls, and these are the last ones.
const NULLS_ONE_IN: usize = 14;
const MONTH_SECONDS: i64 = 31 * 24 * 3600;
/// What the meter sends, and sometimes did not.
const METERED: [&str; 4] = [
    "passenger_count",
    "RatecodeID",
    "store_and_fwd_flag",
    "congestion_surcharge",
];

/// The sample and the place in the month.
pub(super) struct Trips {
    sample: RecordBatch,
    rows: usize,
    written: usize,
}

impl Trips {
    pub(super) fn read(sample: &Path, rows: usize) -> Result<Self> {
        let file =
            File::open(sample).with_context(|| format!("cannot open {}", sample.display()))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        let schema = batches.first().context("the sample has no rows")?.schema();
        Ok(Self {
            sample: concat_batches(&schema, &batches)?,
            rows,
            written: 0,
        })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.sample.schema()
    }

    /// The next `count` rows.
    pub(super) fn next(&mut self, rng: &mut Rng, count: usize) -> Result<RecordBatch> {
        let sampled = self.sample.num_rows() as u32;
        let picks: UInt32Array = (0..count).map(|_| Some(rng.u32(..sampled))).collect();
        let drawn = take_record_batch(&self.sample, &picks)?;
        let shift = MONTH_SECONDS * self.written as i64 / self.rows as i64;
        let unmetered = self.rows - self.rows / NULLS_ONE_IN;
        let metered = unmetered.saturating_sub(self.written).min(count);
        self.written += count;
        let schema = drawn.schema();
        let columns = schema.fields().iter().zip(drawn.columns());
        let columns = columns.map(|(field, column)| match field.name().as_str() {
            name if name.ends_with("_datetime") => later(rng, column, shift),
            "trip_distance" | "fare_amount" | "tip_amount" => jittered(rng, column),
            name if METERED.contains(&name) => null_after(column, metered),
            _ => Ok(Arc::clone(column)),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
    }
}

/// The same time of another day of the month, give or take ten minutes.
fn later(rng: &mut Rng, column: &ArrayRef, shift_seconds: i64) -> Result<ArrayRef> {
    let times = column.as_primitive::<TimestampMicrosecondType>();
    let moved = times.iter().map(|micros| {
        let seconds = shift_seconds + rng.i64(-600..600);
        Some(micros? + seconds * 1_000_000)
    });
    Ok(Arc::new(moved.collect::<TimestampMicrosecondArray>()))
}

/// One value in four is up to 10 % larger, in hundredths as all of them.
fn jittered(rng: &mut Rng, column: &ArrayRef) -> Result<ArrayRef> {
    let values = column.as_primitive::<Float64Type>();
    let changed = values.iter().map(|value| match rng.u8(..4) {
        0 => Some((value? * (100.0 + f64::from(rng.u8(..10)))).round() / 100.0),
        _ => value,
    });
    Ok(Arc::new(changed.collect::<Float64Array>()))
}

fn null_after(column: &ArrayRef, kept: usize) -> Result<ArrayRef> {
    let nulls = new_null_array(column.data_type(), column.len() - kept);
    let parts: [&dyn Array; 2] = [&column.slice(0, kept), &nulls];
    Ok(arrow_select::concat::concat(&parts)?)
}
