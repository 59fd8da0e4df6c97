//! Large inputs in several parts, by whole row groups.

use std::ops::Range;

use etl_contract::{Format, Output};
use serde::{Deserialize, Serialize};

use super::{Input, KeyTemplate, PlanError};

/// Row groups of a source object that make one part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowGroups {
    /// Number of the part, from 0.
    pub part: u32,
    /// The first row group, from 0.
    pub start: usize,
    /// The row group after the last.
    pub end: usize,
    /// Bytes that they take in the object.
    pub bytes: u64,
}

/// Refuses an output that cannot hold parts.
pub(super) fn check(output: &Output, template: &KeyTemplate) -> Result<(), PlanError> {
    let needs = match output.split_bytes {
        Some(_) if !template.uses_part() => "{part} in output.keyTemplate",
        Some(_) if output.format != Format::JsonLines => "output.format JsonLines",
        _ => return Ok(()),
    };
    Err(PlanError::Unsplittable { needs })
}

/// The parts of an input whose row groups have these sizes in bytes; the input
/// as it is, if it is not larger than `split_bytes`.
pub(super) fn parts(input: Input, row_groups: &[u64], split_bytes: u64) -> Vec<Input> {
    let ranges = ranges(row_groups, split_bytes);
    if ranges.len() < 2 {
        return vec![input];
    }
    let part = |(part, range): (u32, Range<usize>)| Input {
        row_groups: Some(RowGroups {
            part,
            start: range.start,
            end: range.end,
            bytes: row_groups[range].iter().sum(),
        }),
        ..input.clone()
    };
    (0..).zip(ranges).map(part).collect()
}

/// Neighbours together until they reach `split_bytes`.
fn ranges(sizes: &[u64], split_bytes: u64) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    if sizes.iter().sum::<u64>() <= split_bytes {
        return ranges;
    }
    let (mut start, mut bytes) = (0, 0);
    for (index, size) in sizes.iter().enumerate() {
        bytes += size;
        if bytes >= split_bytes {
            ranges.push(start..index + 1);
            (start, bytes) = (index + 1, 0);
        }
    }
    if start < sizes.len() {
        ranges.push(start..sizes.len());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> Input {
        Input {
            key: "a".into(),
            version: None,
            etag: "e".into(),
            size: 100,
            row_groups: None,
            output: String::new(),
        }
    }

    #[test]
    fn neighbours_make_a_part_until_they_reach_the_size() {
        for (sizes, expected) in [
            (&[][..], &[][..]),
            (&[4, 6], &[]),
            (&[4, 6, 1], &[0..2, 2..3]),
            (&[11, 11], &[0..1, 1..2]),
            (&[3, 3, 3, 3, 3], &[0..4, 4..5]),
            (&[9, 9, 0], &[0..2, 2..3]),
        ] {
            let found = ranges(sizes, 10);
            assert_eq!(found, expected, "{sizes:?}");
        }
    }

    #[test]
    fn the_parts_of_an_input_cover_it_and_are_numbered() {
        let parts = parts(input(), &[7, 7, 7, 7, 7], 10);
        let row_groups: Vec<RowGroups> = parts.iter().filter_map(|part| part.row_groups).collect();
        let part = |part, start, end, bytes| RowGroups {
            part,
            start,
            end,
            bytes,
        };
        assert_eq!(
            row_groups,
            [part(0, 0, 2, 14), part(1, 2, 4, 14), part(2, 4, 5, 7)]
        );
        assert!(parts.iter().all(|part| part.key == "a" && part.size == 100));
    }

    #[test]
    fn an_input_of_one_part_stays_whole() {
        for sizes in [&[][..], &[100], &[5, 5], &[9, 9]] {
            let whole = parts(input(), sizes, 10);
            assert_eq!(whole, [input()], "{sizes:?}");
        }
    }
}
