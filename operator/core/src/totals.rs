//! What a complete run tells of itself, and how the status shows it.

use etl_api::{EtlJobStatus, OutputStatus};
use etl_contract::{OutputLocation, REPORTED_SKIPS, SkippedObject, Statistics};

/// The totals of a run and where its result is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Totals {
    pub(crate) statistics: Statistics,
    pub(crate) output: OutputLocation,
    /// The first objects that were left out.
    pub(crate) skipped: Vec<SkippedObject>,
}

impl Totals {
    /// For people: `22791 rows in 1 object, 3 objects skipped`.
    pub(crate) fn summary(&self) -> String {
        let statistics = &self.statistics;
        let mut text = format!(
            "{} in {}",
            counted(statistics.rows_written, "row"),
            counted(statistics.output_objects, "object"),
        );
        for (count, thing, what) in [
            (statistics.rows_rejected, "row", "rejected"),
            (statistics.objects_skipped, "object", "skipped"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {} {what}", counted(count, thing)));
            }
        }
        text
    }

    /// Writes the totals into `status`.
    pub(crate) fn publish(self, status: &mut EtlJobStatus) {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let statistics = self.statistics;
        status.statistics = Some(etl_api::Statistics {
            source_objects: signed(statistics.source_objects),
            source_bytes: signed(statistics.source_bytes),
            objects_skipped: signed(statistics.objects_skipped),
            rows_read: signed(statistics.rows_read),
            rows_written: signed(statistics.rows_written),
            rows_rejected: signed(statistics.rows_rejected),
            output_objects: signed(statistics.output_objects),
            output_bytes: signed(statistics.output_bytes),
        });
        let skipped = self.skipped.into_iter().take(REPORTED_SKIPS);
        status.skipped_objects = skipped
            .map(|object| etl_api::SkippedObject {
                uri: object.uri,
                category: object.category.as_str().to_owned(),
                reason: object.reason,
            })
            .collect();
        status.output = Some(OutputStatus {
            manifest_uri: self.output.manifest_uri,
            first_object_uri: self.output.first_object_uri,
        });
    }
}

fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_told_when_there_is_something_to_tell() {
        let summary = |rows_rejected, objects_skipped| {
            Totals {
                statistics: Statistics {
                    rows_written: 22_791,
                    output_objects: 1,
                    rows_rejected,
                    objects_skipped,
                    ..Statistics::default()
                },
                output: OutputLocation {
                    manifest_uri: String::new(),
                    first_object_uri: None,
                },
                skipped: Vec::new(),
            }
            .summary()
        };
        assert_eq!(summary(0, 0), "22791 rows in 1 object");
        assert_eq!(
            summary(1, 3),
            "22791 rows in 1 object, 1 row rejected, 3 objects skipped"
        );
    }
}
