//! The footer: found, bounded and checked before anything relies on it.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
    ParquetStatisticsPolicy, RowGroupMetaData,
};

use crate::error::{Error, Place};
use crate::guard::{Depth, with_stack};
use crate::outline::{MAX_SCHEMA_DEPTH, Outline, Problem, outline};
use crate::schema::{reason, with_checked_text};
use crate::source::{ReadAt, read_exact};

const MAGIC: &[u8; 4] = b"PAR1";
const MAGIC_ENCRYPTED: &[u8; 4] = b"PARE";
const MAGIC_BYTES: u64 = 4;
/// Footer length and magic.
const TAIL_BYTES: u64 = 8;
/// The first read, large enough for most footers.
const FIRST_READ_BYTES: u64 = 64 << 10;
/// Decoded metadata takes up to this many times the footer's bytes.
const DECODED_FACTOR: u64 = 16;

/// A footer, checked.
pub(crate) struct Footer {
    pub(crate) metadata: Arc<ParquetMetaData>,
    /// How deep the schema is.
    pub(crate) depth: Depth,
}

/// Reads and checks the footer of `source`.
pub(crate) fn read(source: &dyn ReadAt, memory_bytes: u64) -> Result<Footer, Error> {
    let (footer, start) = fetch(source, memory_bytes)?;
    let Outline {
        decoded_bytes,
        depth,
    } = outline(&footer).map_err(|problem| locate(problem, start))?;
    within_memory(start, decoded_bytes, memory_bytes)?;
    let metadata = with_stack(depth, Place::offset(start), || {
        decode(&footer).map_err(|error| {
            let problem = format!("the footer cannot be decoded: {}", reason(&error));
            Error::bad_input(Place::offset(start), problem)
        })
    })?;
    validate(&metadata, start)?;
    Ok(Footer {
        metadata: Arc::new(metadata),
        depth,
    })
}

/// The footer's bytes and their offset in the file.
fn fetch(source: &dyn ReadAt, memory_bytes: u64) -> Result<(Bytes, u64), Error> {
    let size = source.size();
    if size < MAGIC_BYTES + TAIL_BYTES {
        let problem = format!("the file has {size} bytes, fewer than the smallest parquet file");
        return Err(Error::bad_input(Place::file(), problem));
    }
    let tail_start = size.saturating_sub(FIRST_READ_BYTES);
    let parts = read_exact(source, &[0..MAGIC_BYTES, tail_start..size])?;
    let (head, tail) = (&parts[0], &parts[1]);
    let length = footer_length(head, tail, size)?;
    let end = size - TAIL_BYTES;
    let start = end - length;
    within_memory(start, length * DECODED_FACTOR, memory_bytes)?;
    if start >= tail_start {
        return Ok((tail.slice(within(tail_start, start..end)), start));
    }
    let rest = read_exact(source, std::slice::from_ref(&(start..tail_start)))?;
    let mut footer = BytesMut::from(&rest[0][..]);
    footer.extend_from_slice(&tail[within(tail_start, tail_start..end)]);
    Ok((footer.freeze(), start))
}

fn within_memory(start: u64, needed: u64, budget: u64) -> Result<(), Error> {
    if needed <= budget {
        return Ok(());
    }
    Err(Error::NotEnoughMemory {
        place: Place::offset(start),
        needed,
        budget,
    })
}

fn within(base: u64, range: Range<u64>) -> Range<usize> {
    let index = |at: u64| usize::try_from(at - base).expect("the tail is in memory");
    index(range.start)..index(range.end)
}

fn footer_length(head: &Bytes, tail: &Bytes, size: u64) -> Result<u64, Error> {
    let (rest, magic) = tail.split_at(tail.len() - MAGIC.len());
    if &head[..] == MAGIC_ENCRYPTED || magic == MAGIC_ENCRYPTED {
        return Err(encrypted());
    }
    if &head[..] != MAGIC {
        let problem = "the file does not begin with PAR1: it is not a parquet file";
        return Err(Error::bad_input(Place::offset(0), problem));
    }
    if magic != MAGIC {
        let problem = format!("file ends at byte {size}; footer magic missing: truncated upload?");
        return Err(Error::bad_input(Place::file(), problem));
    }
    let (_, length) = rest.split_at(rest.len() - 4);
    let length = u64::from(u32::from_le_bytes(
        length.try_into().expect("split off 4 bytes"),
    ));
    let room = size - MAGIC_BYTES - TAIL_BYTES;
    if length == 0 || length > room {
        let problem = format!(
            "the file says that its footer has {length} bytes, and there is room for {room}"
        );
        return Err(Error::bad_input(Place::offset(size - TAIL_BYTES), problem));
    }
    Ok(length)
}

fn encrypted() -> Error {
    let what = "the file is encrypted (parquet modular encryption), which is not supported";
    Error::unsupported(Place::file(), what)
}

fn locate(problem: Problem, start: u64) -> Error {
    match problem {
        Problem::Damaged(what) => Error::bad_input(
            Place::offset(start),
            format!("the footer is damaged: {what}"),
        ),
        Problem::Encrypted => encrypted(),
        Problem::TooDeep => {
            let what = format!("the schema nests more than {MAX_SCHEMA_DEPTH} levels deep");
            Error::unsupported(Place::file(), what)
        }
    }
}

fn decode(footer: &[u8]) -> Result<ParquetMetaData, ParquetError> {
    let schema = ParquetMetaDataReader::decode_schema(footer)?;
    let schema = with_checked_text(&schema)?;
    let skip = ParquetStatisticsPolicy::SkipAll;
    let options = ParquetMetaDataOptions::new()
        .with_schema(Arc::new(schema))
        .with_column_stats_policy(skip.clone())
        .with_size_stats_policy(skip.clone())
        .with_encoding_stats_policy(skip);
    ParquetMetaDataReader::decode_metadata_with_options(footer, Some(&options))
}

/// Checks everything that later code relies on.
fn validate(metadata: &ParquetMetaData, footer_start: u64) -> Result<(), Error> {
    let claimed = metadata.file_metadata().num_rows();
    let mut rows = 0_i64;
    for (index, row_group) in metadata.row_groups().iter().enumerate() {
        let place = Place::row_group(index);
        let Some(sum) = rows
            .checked_add(row_group.num_rows())
            .filter(|_| row_group.num_rows() >= 0)
        else {
            return Err(Error::bad_input(place, "its number of rows is impossible"));
        };
        rows = sum;
        let (chunks, columns) = (
            row_group.num_columns(),
            metadata.file_metadata().schema_descr().num_columns(),
        );
        if chunks != columns {
            let problem = format!("it has {chunks} column chunks for {columns} columns");
            return Err(Error::bad_input(place, problem));
        }
        for column in row_group.columns() {
            let place = place.clone().at_column(column.column_path().string());
            validate_chunk(column, row_group, &place, footer_start)?;
        }
        validate_disjoint(row_group, &place)?;
    }
    if rows != claimed {
        let problem = format!("the row groups have {rows} rows, and the file says {claimed}");
        return Err(Error::bad_input(Place::file(), problem));
    }
    Ok(())
}

/// No writer lets columns share bytes. A damaged offset might, and then a column
/// would silently have the values of another.
fn validate_disjoint(row_group: &RowGroupMetaData, place: &Place) -> Result<(), Error> {
    let mut chunks: Vec<_> = row_group
        .columns()
        .iter()
        .map(|column| (column.byte_range(), column))
        .filter(|((_, length), _)| *length > 0)
        .collect();
    chunks.sort_unstable_by_key(|(range, _)| *range);
    for pair in chunks.windows(2) {
        let [((start, length), first), ((next, _), second)] = pair else {
            continue;
        };
        if start + length > *next {
            let other = first.column_path().string();
            let problem = format!("its bytes from byte {next} are also those of column {other:?}");
            let place = place.clone().at_column(second.column_path().string());
            return Err(Error::bad_input(place, problem));
        }
    }
    Ok(())
}

fn validate_chunk(
    column: &ColumnChunkMetaData,
    row_group: &RowGroupMetaData,
    place: &Place,
    footer_start: u64,
) -> Result<(), Error> {
    if column.file_path().is_some() {
        return Err(Error::unsupported(
            place.clone(),
            "its data lies in another file",
        ));
    }
    if column.compression() == Compression::LZO {
        let what = "its pages are compressed with LZO, which no current reader knows";
        return Err(Error::unsupported(place.clone(), what));
    }
    let start = column
        .dictionary_page_offset()
        .unwrap_or_else(|| column.data_page_offset());
    let length = column.compressed_size();
    let lies_inside = u64::try_from(start)
        .ok()
        .zip(u64::try_from(length).ok())
        .and_then(|(start, length)| Some(start..start.checked_add(length)?))
        .is_some_and(|chunk| chunk.start >= MAGIC_BYTES && chunk.end <= footer_start);
    if !lies_inside {
        let problem = format!(
            "its {length} bytes from byte {start} do not lie within the data, which ends at byte {footer_start}"
        );
        return Err(Error::bad_input(place.clone(), problem));
    }
    if column.uncompressed_size() < 0 || column.num_values() < 0 {
        return Err(Error::bad_input(place.clone(), "its sizes are negative"));
    }
    let is_flat = column.column_descr().max_rep_level() == 0;
    if is_flat && column.num_values() != row_group.num_rows() {
        let (values, rows) = (column.num_values(), row_group.num_rows());
        let problem = format!("it has {values} values for {rows} rows");
        return Err(Error::bad_input(place.clone(), problem));
    }
    Ok(())
}
