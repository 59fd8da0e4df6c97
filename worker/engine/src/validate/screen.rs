//! Takes the rows that break a rule out of a batch.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringViewArray, StructArray, UInt64Array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::ArrowError;
use arrow_select::filter::filter_record_batch;

use super::rules::{Breach, Rule};
use super::{OnInvalidRecord, Schema};
use crate::transform::repeat_text;

/// The rules of all columns.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    rules: Vec<Rule>,
    /// The file's name, if rejected rows are kept.
    quarantine: Option<String>,
}

/// The rows of a batch that break a rule.
pub(crate) struct Rejected {
    /// In the order of the file, at least one.
    pub(crate) rows: Vec<Rejection>,
    /// What to keep of them, as rows of their own, if they are kept.
    pub(crate) quarantine: Option<RecordBatch>,
}

/// One row and the first rule that it breaks.
#[derive(Debug, Clone)]
pub(crate) struct Rejection {
    /// Number of the row in the file, from 1.
    pub(crate) row: u64,
    pub(crate) column: Arc<str>,
    pub(crate) reason: Arc<str>,
}

impl Screen {
    /// `None` if no row can break a rule. `columns` says for each column of the
    /// schema where it stands in the batches that are read, if it does.
    pub(crate) fn new(schema: &Schema, columns: &[Option<usize>]) -> Option<Self> {
        let expected = schema.columns.iter().zip(columns);
        let rules: Vec<Rule> = expected
            .filter(|(expected, _)| expected.has_rules())
            .filter_map(|(expected, column)| Some(Rule::new((*column)?, expected)))
            .collect();
        let quarantine = match &schema.on_invalid_record {
            OnInvalidRecord::Quarantine { source } => Some(source.clone()),
            OnInvalidRecord::Fail | OnInvalidRecord::Skip => None,
        };
        (!rules.is_empty()).then_some(Self { rules, quarantine })
    }

    /// Holds all rows of `batch` against the rules and returns those that break
    /// none, and the others; `first_row` rows of the file stand before it.
    pub(crate) fn screen(
        &self,
        batch: RecordBatch,
        first_row: u64,
    ) -> Result<(RecordBatch, Option<Rejected>), ArrowError> {
        let breaches: Vec<(&Rule, Breach)> = self
            .rules
            .iter()
            .flat_map(|rule| {
                let breaches = rule.breaches(batch.column(rule.column));
                breaches.into_iter().map(move |breach| (rule, breach))
            })
            .collect();
        let Some(broken) = union(&breaches) else {
            return Ok((batch, None));
        };
        let rows = broken.set_indices().map(|row| {
            let (rule, breach) = breaches
                .iter()
                .find(|(_, breach)| breach.rows.value(row))
                .expect("the union holds rows of a breach only");
            Rejection {
                row: first_row + row as u64 + 1,
                column: Arc::clone(&rule.name),
                reason: Arc::clone(&breach.reason),
            }
        });
        let rows: Vec<Rejection> = rows.collect();
        let kept = filter_record_batch(&batch, &BooleanArray::new(!&broken, None))?;
        let quarantine = match &self.quarantine {
            Some(source) => {
                let records = filter_record_batch(&batch, &BooleanArray::new(broken, None))?;
                Some(lines(source, &rows, records)?)
            }
            None => None,
        };
        Ok((kept, Some(Rejected { rows, quarantine })))
    }
}

/// What is kept of rejected rows; see [`OnInvalidRecord::Quarantine`].
fn lines(
    source: &str,
    rows: &[Rejection],
    records: RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&Rejection) -> &str| -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values(rows.iter().map(of)))
    };
    let numbers = rows.iter().map(|row| row.row);
    let columns: [(&str, ArrayRef); 5] = [
        ("source", Arc::new(repeat_text(source, rows.len())?)),
        ("row", Arc::new(UInt64Array::from_iter_values(numbers))),
        ("column", text(|row| &row.column)),
        ("reason", text(|row| &row.reason)),
        ("record", Arc::new(StructArray::from(records))),
    ];
    RecordBatch::try_from_iter(columns)
}

fn union(breaches: &[(&Rule, Breach)]) -> Option<BooleanBuffer> {
    let rows = breaches.iter().map(|(_, breach)| breach.rows.clone());
    rows.reduce(|one, other| &one | &other)
}
