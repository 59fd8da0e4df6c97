//! How much memory a conversion needs, known from the footer alone, and how a
//! budget is divided.

use parquet::basic::Type;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use crate::compress::{CHUNK_BYTES, FRAME_BYTES};
use crate::options::{Compression, Options};
use crate::read::{IDLE_BYTES, fetched_bytes, is_text, readings};

const MIB: u64 = 1 << 20;

/// Batches of decoded rows aim at this size.
const BATCH_BYTES: u64 = MIB;
/// A decoded value takes at least this much (a view is 16 bytes).
const VALUE_BYTES: u64 = 16;
const MAX_BATCH_ROWS: u64 = 8192;
/// Decoded batches may come out at twice the size aimed at.
const BATCH_SLACK: u64 = 2;

/// Writers end a page soon after one of these.
const PAGE_BYTES: u64 = MIB + MIB / 8;
const PAGE_ROWS: u64 = 22_000;
/// Writers give up on a dictionary long before this.
const MAX_DICTIONARY_BYTES: u64 = 4 * MIB;

/// Threads, compressors, small things.
const FIXED_BYTES: u64 = 4 * MIB;

/// Windows are not made smaller than this.
pub(crate) const MIN_WINDOW_BYTES: u64 = 8 << 10;
/// A row group beyond this is read in windows: what is decoded first should not
/// wait for what is decoded last.
const MAX_WHOLE_BYTES: u64 = 32 * MIB;

/// Chunks that idle buffers may make up.
pub(crate) const WAITING_CHUNKS: usize = 32;
/// Output of the batch whose turn it is, finished and not yet taken.
pub(crate) const IN_ORDER_BYTES: usize = 4 * CHUNK_BYTES;
/// Output of later batches per thread.
const REORDER_BYTES: usize = 8 * CHUNK_BYTES;

/// How many bytes of output may wait for a batch before it.
pub(crate) fn reorder_bytes(threads: usize) -> usize {
    threads.max(1) * REORDER_BYTES
}

/// Decoded batches that may wait or be encoded at once.
pub(crate) fn batches(threads: usize) -> u64 {
    2 * threads.max(1) as u64 + 1
}

/// Frames of compressed output that may be under way at once.
pub(crate) fn frames(threads: usize) -> u64 {
    threads.max(1) as u64 + 2
}

/// Rows per batch of a row group.
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

/// Memory for everything but the row groups.
pub(crate) fn beside(
    metadata: &ParquetMetaData,
    row_groups: &[RowGroupMetaData],
    options: &Options,
    threads: usize,
) -> u64 {
    let longest_row = row_groups.iter().map(bytes_per_row).max().unwrap_or(0);
    let batch = longest_row.max(BATCH_BYTES).saturating_mul(BATCH_SLACK);
    let in_hand = threads.max(1) * 2 * CHUNK_BYTES;
    let output = (reorder_bytes(threads) + IN_ORDER_BYTES + in_hand) as u64;
    let frames = match options.compression {
        Compression::None => 0,
        // As they are and compressed.
        Compression::Gzip | Compression::Zstd => 2 * frames(threads) * FRAME_BYTES as u64,
    };
    batches(threads)
        .saturating_mul(batch)
        .saturating_add(metadata.memory_size() as u64)
        .saturating_add(FIXED_BYTES + IDLE_BYTES + output + frames)
}

/// What reading one row group takes, as far as the footer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Its column chunks, as they are stored.
    pub(crate) fetched_bytes: u64,
    /// A page and a dictionary of each column, as large as writers make them.
    pub(crate) likely_bytes: u64,
    /// The most that these can take if the footer tells the truth.
    pub(crate) most_bytes: u64,
    /// The smallest windows of all columns.
    pub(crate) window_bytes: u64,
}

impl Needs {
    /// The needs of `readers` that decode a row group together.
    pub(crate) fn of(row_group: &RowGroupMetaData, readers: usize) -> Self {
        let sum = |bytes: &dyn Fn(&ColumnChunkMetaData) -> u64| {
            let columns = row_group.columns().iter();
            let bytes = columns.map(|column| bytes(column).saturating_mul(readings(column)));
            bytes.fold(0, u64::saturating_add)
        };
        let rows = non_negative(row_group.num_rows());
        // Each reader decompresses one page or dictionary at a time.
        let columns = row_group.columns().iter();
        let stored = columns.map(|column| page_bytes(column, rows).max(dictionary_bytes(column)));
        let second = row_group.columns().iter().map(readings).max().unwrap_or(1) - 1;
        let readers = (readers.max(1) as u64).saturating_add(second);
        let in_hand = stored.max().unwrap_or(0).saturating_mul(readers);
        Self {
            fetched_bytes: fetched_bytes(row_group),
            likely_bytes: sum(&|column| likely_bytes(column, rows)).saturating_add(in_hand),
            most_bytes: sum(&most_bytes),
            window_bytes: sum(&|column| {
                2 * non_negative(column.compressed_size()).min(MIN_WINDOW_BYTES)
            }),
        }
    }

    /// Memory for the row group as a whole.
    pub(crate) fn whole(&self) -> u64 {
        self.fetched_bytes.saturating_add(self.likely_bytes)
    }

    /// The least memory for the row group in windows. They get half of what the
    /// pages leave.
    fn in_windows(&self) -> u64 {
        self.likely_bytes
            .saturating_add(self.window_bytes.saturating_mul(2))
    }

    /// The least memory for the row group, one way or the other.
    pub(crate) fn least(&self) -> u64 {
        self.whole().min(self.in_windows())
    }

    /// Whether to read the row group as a whole where there are `room` bytes.
    pub(crate) fn is_whole(&self, room: u64) -> bool {
        let fits_twice = self.fetched_bytes <= MAX_WHOLE_BYTES && self.whole() <= room / 2;
        fits_twice || (self.in_windows() > room && self.whole() <= room)
    }
}

/// A page and a dictionary as writers make them, decompressed.
fn likely_bytes(column: &ColumnChunkMetaData, rows: u64) -> u64 {
    // See `read::claims` for what counts twice.
    let copies = if is_text(column) { 2 } else { 1 };
    page_bytes(column, rows)
        .saturating_mul(copies)
        .saturating_add(2 * dictionary_bytes(column))
}

fn page_bytes(column: &ColumnChunkMetaData, rows: u64) -> u64 {
    let plain = non_negative(column.uncompressed_size());
    plain.min(share(plain, PAGE_ROWS, rows)).min(PAGE_BYTES)
}

/// The dictionary lies before the first data page, and is compressed like the
/// rest as far as one can know.
fn dictionary_bytes(column: &ColumnChunkMetaData) -> u64 {
    let Some(start) = column.dictionary_page_offset() else {
        return 0;
    };
    let stored = non_negative(column.data_page_offset().saturating_sub(start));
    let plain = non_negative(column.uncompressed_size());
    let all = non_negative(column.compressed_size());
    share(plain, stored, all)
        .min(plain)
        .min(MAX_DICTIONARY_BYTES)
}

/// `part / all` of `bytes`, rounded up.
fn share(bytes: u64, part: u64, all: u64) -> u64 {
    let share = (u128::from(bytes) * u128::from(part)).div_ceil(u128::from(all.max(1)));
    u64::try_from(share).unwrap_or(u64::MAX)
}

fn most_bytes(column: &ColumnChunkMetaData) -> u64 {
    let plain = non_negative(column.uncompressed_size()).saturating_mul(2);
    if is_text(column) {
        plain.saturating_add(non_negative(column.num_values()).saturating_mul(VALUE_BYTES))
    } else {
        plain
    }
}

fn non_negative(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
