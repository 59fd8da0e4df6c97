//! Counts rejected rows in the order of the file and hands their lines on.

use bytes::Bytes;

use super::screen::Rejection;
use super::{OnInvalidRecord, Schema};
use crate::error::Error;
use crate::sink::Sink;

/// The rejected rows of a conversion, so far.
pub(crate) struct Tally<'s> {
    allowed: Allowed,
    sink: Option<&'s mut dyn Sink>,
    rows: u64,
}

enum Allowed {
    None,
    AtMost(u64),
}

impl<'s> Tally<'s> {
    /// # Errors
    /// The schema wants rows to be kept, and there is no sink for them.
    pub(crate) fn new(
        schema: Option<&Schema>,
        sink: Option<&'s mut dyn Sink>,
    ) -> Result<Self, Error> {
        let on_invalid = schema.map(|schema| &schema.on_invalid_record);
        if matches!(on_invalid, Some(OnInvalidRecord::Quarantine { .. })) && sink.is_none() {
            let problem = "rejected rows are to be kept, and there is no sink for them";
            return Err(Error::Internal(problem.to_owned()));
        }
        let allowed = match schema {
            Some(schema) if schema.on_invalid_record != OnInvalidRecord::Fail => {
                Allowed::AtMost(schema.max_invalid_records)
            }
            _ => Allowed::None,
        };
        let rows = 0;
        Ok(Self {
            allowed,
            sink,
            rows,
        })
    }

    /// Takes the next rejected rows; their lines follow.
    pub(crate) fn count(&mut self, rejections: &[Rejection]) -> Result<(), Error> {
        let before = self.rows;
        self.rows += rejections.len() as u64;
        let (most, limit) = match self.allowed {
            Allowed::None => (0, None),
            Allowed::AtMost(most) => (most, Some(most)),
        };
        if self.rows <= most {
            return Ok(());
        }
        // Those before have been within the limit, so this one is among them.
        let one_too_many = usize::try_from(most - before).unwrap_or(usize::MAX);
        let Some(Rejection {
            row,
            column,
            reason,
        }) = rejections.get(one_too_many)
        else {
            return Err(Error::Internal(
                "rejected rows were counted wrongly".to_owned(),
            ));
        };
        Err(Error::InvalidRecords {
            row: *row,
            column: column.to_string(),
            reason: reason.to_string(),
            limit,
        })
    }

    /// Takes lines of rejected rows.
    pub(crate) fn write(&mut self, lines: Bytes) -> Result<(), Error> {
        match &mut self.sink {
            Some(sink) if !lines.is_empty() => Ok(sink.write(lines)?),
            _ => Ok(()),
        }
    }

    /// Rejected rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }
}
