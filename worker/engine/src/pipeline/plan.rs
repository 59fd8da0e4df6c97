//! What there is to do, known before any of it is done.

use std::ops::Range;

use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use crate::memory::{Needs, batch_rows};
use crate::read::Selection;
use crate::schema::Columns;

/// The batches of a conversion, numbered in the order of the output.
#[derive(Debug)]
pub(super) struct Plan {
    /// Row groups that have rows.
    pub(super) groups: Vec<Group>,
    /// The columns of each of the readers that decode a row group together.
    pub(super) selections: Vec<Selection>,
    pub(super) batches: u64,
}

/// One row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Its index in the file.
    pub(super) index: usize,
    pub(super) batches: Range<u64>,
    /// Rows of the conversion before it.
    pub(super) first_row: u64,
    /// Rows of each batch but the last.
    pub(super) batch_rows: u64,
    pub(super) needs: Needs,
}

impl Group {
    /// Rows of the conversion before a batch of this row group.
    pub(super) fn rows_before(&self, batch: u64) -> u64 {
        self.first_row + (batch - self.batches.start) * self.batch_rows
    }
}

impl Plan {
    pub(super) fn new(columns: &Columns, row_groups: Range<usize>, threads: usize) -> Self {
        let mut groups = Vec::new();
        let (mut batches, mut first_row) = (0, 0);
        for index in row_groups {
            let row_group = columns.main.metadata().row_group(index);
            let rows = u64::try_from(row_group.num_rows()).expect("validated with the footer");
            if rows == 0 {
                continue;
            }
            let first = batches;
            let batch_rows = batch_rows(row_group) as u64;
            batches += rows.div_ceil(batch_rows);
            groups.push(Group {
                index,
                batches: first..batches,
                first_row,
                batch_rows,
                needs: Needs::of(row_group, threads),
            });
            first_row += rows;
        }
        Self {
            selections: selections(columns, &groups, threads),
            groups,
            batches,
        }
    }
}

/// Divides the columns among as many readers as there are threads: a file may
/// be a single row group, and its decoding must not wait for one thread.
fn selections(columns: &Columns, groups: &[Group], threads: usize) -> Vec<Selection> {
    let schema = columns.main.parquet_schema();
    let mut costs = vec![0_u64; schema.root_schema().get_fields().len()];
    for group in groups {
        let row_group: &RowGroupMetaData = columns.main.metadata().row_group(group.index);
        for (leaf, column) in row_group.columns().iter().enumerate() {
            let root = &mut costs[schema.get_column_root_idx(leaf)];
            *root = root.saturating_add(cost(column));
        }
    }
    let main = divide(&costs, threads).into_iter().map(|roots| Selection {
        roots: roots.collect(),
        nanos: false,
    });
    let nanos = columns.int96.iter().map(|int96| Selection {
        roots: int96.roots.clone(),
        nanos: true,
    });
    main.chain(nanos).collect()
}

/// How much work a column chunk is, in bytes.
pub(super) fn cost(column: &ColumnChunkMetaData) -> u64 {
    const VALUE_BYTES: u64 = 4;

    let values = u64::try_from(column.num_values()).unwrap_or(0);
    let plain = u64::try_from(column.uncompressed_size()).unwrap_or(0);
    plain.saturating_add(values.saturating_mul(VALUE_BYTES))
}

/// Cuts `costs` into at most `parts` neighbouring ranges that cost about the
/// same; one empty range if there are none.
fn divide(costs: &[u64], parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, costs.len().max(1)) as u128;
    let all: u128 = costs.iter().map(|&cost| u128::from(cost)).sum();
    let mut ranges = Vec::new();
    let (mut start, mut done) = (0, 0);
    for (index, &cost) in costs.iter().enumerate() {
        let before = done * parts;
        done += u128::from(cost);
        let (after, due) = (done * parts, all * (ranges.len() as u128 + 1));
        if after < due || ranges.len() as u128 + 1 == parts {
            continue;
        }
        // The cut goes to whichever side of the column is nearer to its place.
        let end = if index > start && due.saturating_sub(before) < after - due {
            index
        } else {
            index + 1
        };
        ranges.push(start..end);
        start = end;
    }
    if start < costs.len() || ranges.is_empty() {
        ranges.push(start..costs.len());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(costs: &[u64], parts: usize) -> Vec<(usize, usize)> {
        let ranges = divide(costs, parts).into_iter();
        ranges.map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn columns_are_divided_by_what_they_cost() {
        assert_eq!(cuts(&[1, 1, 1, 1], 2), [(0, 2), (2, 4)]);
        assert_eq!(cuts(&[1, 1, 1, 9], 2), [(0, 3), (3, 4)]);
        assert_eq!(cuts(&[9, 1, 1, 1], 2), [(0, 1), (1, 4)]);
        assert_eq!(cuts(&[1, 1], 4), [(0, 1), (1, 2)]);
        assert_eq!(cuts(&[5; 7], 1), [(0, 7)]);
        assert_eq!(cuts(&[], 3), [(0, 0)]);
    }

    #[test]
    fn every_column_is_in_one_part() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..1000 {
            let costs: Vec<u64> = (0..random.usize(1..30))
                .map(|_| random.u64(0..100))
                .collect();
            let parts = random.usize(1..8);
            let cuts = cuts(&costs, parts);
            assert!(cuts.len() <= parts, "{costs:?} by {parts}: {cuts:?}");
            assert_eq!((cuts[0].0, cuts[cuts.len() - 1].1), (0, costs.len()));
            assert!(cuts.iter().all(|(start, end)| start < end));
            assert!(cuts.windows(2).all(|pair| pair[0].1 == pair[1].0));
        }
    }
}
