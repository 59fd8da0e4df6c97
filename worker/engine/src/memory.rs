//! How much memory a conversion needs, known from the footer alone.

use parquet::basic::Type;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use crate::compress::CHUNK_BYTES;
use crate::row_group::fetched_bytes;

/// Batches of decoded rows aim at this size.
const BATCH_BYTES: u64 = 1 << 20;
/// A decoded value takes at least this much (a view is 16 bytes).
const VALUE_BYTES: u64 = 16;
const MAX_BATCH_ROWS: u64 = 8192;
/// What the reader keeps per column beside the fetched bytes: a page and a
/// dictionary, 1 MiB each as writers make them. The pages themselves are
/// measured once a row group is fetched.
const COLUMN_BYTES: u64 = 2 << 20;
/// Threads, compressor, small things.
const FIXED_BYTES: u64 = 8 << 20;

/// Finished chunks that may wait for the sink, per encoding thread.
pub(crate) const WAITING_CHUNKS: usize = 32;
/// Batches per encoding thread: one waiting, one being encoded, one in the
/// decoder's hands; decoded batches may come out at twice the size aimed at.
const LANE_BATCHES: u64 = 3 * 2;

/// Threads that encode while another decodes.
pub(crate) fn encoding_threads(threads: usize) -> usize {
    threads.saturating_sub(1).max(1)
}

/// Rows per batch of a row group. Depends on the file alone, because batches
/// end chunks and chunks decide the bytes of a compressed output.
pub(crate) fn batch_rows(row_group: &RowGroupMetaData) -> usize {
    let rows = (BATCH_BYTES / bytes_per_row(row_group)).clamp(1, MAX_BATCH_ROWS);
    usize::try_from(rows).expect("at most MAX_BATCH_ROWS")
}

/// Decoded size of an average row. Rows of one row group are taken to be alike;
/// all that the footer knows is their sum.
fn bytes_per_row(row_group: &RowGroupMetaData) -> u64 {
    let bytes: u64 = row_group
        .columns()
        .iter()
        .map(|column| {
            let values = non_negative(column.num_values()).saturating_mul(value_bytes(column));
            values.max(non_negative(column.uncompressed_size()))
        })
        .fold(0, u64::saturating_add);
    (bytes / non_negative(row_group.num_rows()).max(1)).max(1)
}

/// Values of a fixed length take it in memory also where they are null.
fn value_bytes(column: &ColumnChunkMetaData) -> u64 {
    match column.column_type() {
        Type::FIXED_LEN_BYTE_ARRAY => {
            non_negative(column.column_descr().type_length().into()).max(VALUE_BYTES)
        }
        _ => VALUE_BYTES,
    }
}

/// Memory for one row group at a time.
pub(crate) fn needed(metadata: &ParquetMetaData, threads: usize) -> u64 {
    let largest = metadata
        .row_groups()
        .iter()
        .map(row_group)
        .max()
        .unwrap_or(0);
    largest.saturating_add(needed_beside_row_group(metadata, threads))
}

/// Memory for everything but the row group itself.
pub(crate) fn needed_beside_row_group(metadata: &ParquetMetaData, threads: usize) -> u64 {
    let lanes = encoding_threads(threads) as u64;
    let longest_row = metadata
        .row_groups()
        .iter()
        .map(bytes_per_row)
        .max()
        .unwrap_or(0);
    let batches = longest_row.max(BATCH_BYTES).saturating_mul(LANE_BATCHES);
    let lane = batches.saturating_add((WAITING_CHUNKS * CHUNK_BYTES) as u64);
    FIXED_BYTES
        .saturating_add(metadata.memory_size() as u64)
        .saturating_add(lanes.saturating_mul(lane))
}

fn row_group(row_group: &RowGroupMetaData) -> u64 {
    let reading = row_group
        .columns()
        .iter()
        .map(|column| non_negative(column.uncompressed_size()).min(COLUMN_BYTES))
        .fold(0, u64::saturating_add);
    fetched_bytes(row_group).saturating_add(reading)
}

fn non_negative(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
