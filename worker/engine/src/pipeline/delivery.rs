//! Handing the output to the sinks.

use super::Totals;
use super::outlet::{Outlet, Output};
use crate::error::Error;
use crate::guard::contained;
use crate::sink::Sink;
use crate::validate::Tally;

/// The sinks, and what they have been given.
pub(super) struct Delivery<'s> {
    sink: &'s mut dyn Sink,
    rejected: Tally<'s>,
    bytes: u64,
}

impl<'s> Delivery<'s> {
    pub(super) fn new(sink: &'s mut dyn Sink, rejected: Tally<'s>) -> Self {
        Self {
            sink,
            rejected,
            bytes: 0,
        }
    }

    /// Gives `output` to its sink. A panic there is not one of the decoder, in
    /// whose midst it may be.
    pub(super) fn give(&mut self, output: Output) -> Result<(), Error> {
        contained("a sink panicked", || match output {
            Output::Chunk(chunk) => {
                self.bytes += chunk.len() as u64;
                self.sink.write(chunk).map_err(Error::from)
            }
            Output::Rejected(rows) => self.rejected.count(&rows),
            Output::Quarantine(lines) => self.rejected.write(lines),
            Output::NotYet | Output::End => Ok(()),
        })
    }

    /// What came out of an outlet that is at its end.
    pub(super) fn totals(&self, outlet: &Outlet) -> Totals {
        Totals {
            rows_read: outlet.rows(),
            rows_rejected: self.rejected.rows(),
            json_bytes: outlet.json_bytes(),
            bytes: self.bytes,
        }
    }
}
