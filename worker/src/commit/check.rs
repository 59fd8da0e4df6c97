//! Whether a task record is the planned task's.

use super::CommitError;
use crate::plan::Input;
use crate::record::{InputRecord, TaskRecord};

/// Holds a record against the plan: a record of anything else must not count.
pub(super) fn check_record(
    task: usize,
    inputs: &[Input],
    record: TaskRecord,
) -> Result<Vec<InputRecord>, CommitError> {
    let fits = |(input, record): (&Input, &InputRecord)| {
        record.identity() == (&input.key, &input.etag, &input.output)
    };
    let problem = if record.task != task || record.results.len() != inputs.len() {
        "belongs to another task"
    } else if !inputs.iter().zip(&record.results).all(fits) {
        "names other objects than the plan"
    } else if !record.results.iter().all(adds_up) {
        "counts other rows written than read"
    } else {
        return Ok(record.results);
    };
    Err(CommitError::Record { task, problem })
}

/// Every row that was read was written or counted as left out.
fn adds_up(record: &InputRecord) -> bool {
    match record {
        InputRecord::Written(record) => {
            record.rows_written.checked_add(record.rows_rejected) == Some(record.rows_read)
        }
        InputRecord::Skipped(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use etl_contract::Category;

    use super::*;
    use crate::record::{OutputRecord, SkipRecord};

    fn input(key: &str) -> Input {
        Input {
            key: key.into(),
            version: None,
            etag: "e".into(),
            size: 1,
            row_groups: None,
            output: format!("{key}.json"),
        }
    }

    fn output(key: &str) -> OutputRecord {
        OutputRecord {
            source: key.into(),
            source_etag: "e".into(),
            key: format!("{key}.json"),
            etag: "o".into(),
            bytes: 1,
            digest: "d".into(),
            crc64: "0".into(),
            rows_read: 5,
            rows_written: 5,
            rows_rejected: 0,
            quarantine: None,
        }
    }

    fn skipped(key: &str) -> InputRecord {
        InputRecord::Skipped(SkipRecord {
            source: key.into(),
            source_etag: "e".into(),
            key: format!("{key}.json"),
            category: Category::BadInput,
            reason: "torn".into(),
        })
    }

    fn written(key: &str, rows: (u64, u64, u64)) -> InputRecord {
        let (rows_read, rows_written, rows_rejected) = rows;
        InputRecord::Written(OutputRecord {
            rows_read,
            rows_written,
            rows_rejected,
            ..output(key)
        })
    }

    #[test]
    fn only_a_record_of_the_planned_task_counts() {
        let inputs = [input("a"), input("b")];
        let whole = || written("a", (5, 5, 0));
        let with = |task, results| TaskRecord { task, results };
        for good in [
            vec![whole(), written("b", (5, 5, 0))],
            vec![whole(), written("b", (5, 3, 2))],
            vec![whole(), skipped("b")],
        ] {
            let checked = check_record(3, &inputs, with(3, good.clone()));
            assert_eq!(checked.unwrap(), good);
        }
        let other_etag = InputRecord::Written(OutputRecord {
            source_etag: "x".into(),
            ..output("b")
        });
        for (record, problem) in [
            (with(4, vec![whole(), skipped("b")]), "another task"),
            (with(3, vec![whole()]), "another task"),
            (with(3, vec![skipped("b"), whole()]), "other objects"),
            (with(3, vec![whole(), skipped("a")]), "other objects"),
            (with(3, vec![whole(), other_etag]), "other objects"),
            (
                with(3, vec![whole(), written("b", (5, 4, 0))]),
                "other rows",
            ),
            (
                with(3, vec![whole(), written("b", (5, 4, 2))]),
                "other rows",
            ),
        ] {
            let error = check_record(3, &inputs, record).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
