//! The run report: everything a worker says.

use serde::{Deserialize, Serialize};

use crate::{CONTRACT_VERSION, Category, REPORT_LIMIT_BYTES};

/// What one shard of one attempt has to say at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// [`CONTRACT_VERSION`] of the writer.
    pub version: u32,
    /// Uid of the EtlJob.
    pub uid: String,
    /// Number of the run.
    pub run: u32,
    /// Ordinal of the attempt.
    pub attempt: u32,
    /// The shard that speaks.
    pub shard: u32,
    /// What happened.
    pub outcome: Outcome,
}

/// How a shard ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Outcome {
    /// This shard wrote or read the manifest: the run is complete.
    Complete {
        /// Totals of the run, from the manifest.
        statistics: Statistics,
        /// Where the result is.
        output: OutputLocation,
        /// The first objects, [`REPORTED_SKIPS`](crate::REPORTED_SKIPS) at most,
        /// that were left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<SkippedObject>,
    },
    /// All own tasks are recorded, other shards still have work to do.
    TasksDone,
    /// A settle attempt found no manifest.
    NoManifest,
    /// The shard failed.
    Failed(Failure),
}

/// Why a shard failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Class of the failure.
    pub category: Category,
    /// What is wrong, and with what. Quotes no cell values.
    pub message: String,
    /// URI of the object it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The manifest may exist all the same: the request that writes it was
    /// sent, and nothing could be learned of its outcome.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undecided: bool,
}

/// Where the result of a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputLocation {
    /// URI of the manifest.
    pub manifest_uri: String,
    /// URI of the first output object; none when the source had no objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_object_uri: Option<String>,
}

/// A source object that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedObject {
    /// Its URI.
    pub uri: String,
    /// Class of the failure that it would have been.
    pub category: Category,
    /// What is wrong with it. Quotes no cell values.
    pub reason: String,
}

/// Totals of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// Source objects, those left out included.
    pub source_objects: u64,
    /// Their size in bytes.
    pub source_bytes: u64,
    /// Source objects that were left out.
    #[serde(default)]
    pub objects_skipped: u64,
    /// Rows read from the objects that were not left out.
    pub rows_read: u64,
    /// Rows written; equal to `rows_read` less `rows_rejected`.
    pub rows_written: u64,
    /// Rows that were left out because they break a rule.
    #[serde(default)]
    pub rows_rejected: u64,
    /// Output objects.
    pub output_objects: u64,
    /// Their size in bytes, as stored.
    pub output_bytes: u64,
}

impl RunReport {
    /// The report as JSON of at most [`REPORT_LIMIT_BYTES`]: free texts are cut
    /// until it fits.
    pub fn to_json(&self) -> String {
        let mut report = self.clone();
        let mut limit = REPORT_LIMIT_BYTES / 2;
        loop {
            let text = serde_json::to_string(&report).expect("a report has only string keys");
            if text.len() <= REPORT_LIMIT_BYTES || limit == 0 {
                return text;
            }
            // Escapes can make the encoded text up to six times as long, so
            // the limit is halved rather than computed.
            if let Outcome::Failed(failure) = &mut report.outcome {
                truncate(&mut failure.message, limit);
                for text in [&mut failure.object, &mut failure.hint]
                    .into_iter()
                    .flatten()
                {
                    truncate(text, limit / 2);
                }
            }
            if let Outcome::Complete {
                output, skipped, ..
            } = &mut report.outcome
            {
                for object in skipped.iter_mut() {
                    truncate(&mut object.reason, limit / 4);
                    truncate(&mut object.uri, limit / 2);
                }
                // The manifest, whose address is never cut, has all of it.
                if limit < REPORT_LIMIT_BYTES / 8 {
                    skipped.clear();
                    output.first_object_uri = None;
                }
            }
            limit /= 2;
        }
    }

    /// Reads a termination message. `None` for anything else than a report of
    /// this version: a lost report is a fact to decide on, not an error.
    pub fn from_json(text: &str) -> Option<Self> {
        let report: RunReport = serde_json::from_str(text).ok()?;
        (report.version == CONTRACT_VERSION).then_some(report)
    }
}

/// Cuts `text` to at most `limit` bytes on a character boundary, marking the
/// cut with `…`.
pub fn truncate(text: &mut String, limit: usize) {
    const MARK: &str = "…";
    if text.len() <= limit {
        return;
    }
    let mut end = limit.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    if limit >= MARK.len() {
        text.push_str(MARK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::REPORTED_SKIPS;

    fn failed(message: String) -> RunReport {
        RunReport {
            version: CONTRACT_VERSION,
            uid: "u".into(),
            run: 1,
            attempt: 2,
            shard: 3,
            outcome: Outcome::Failed(Failure {
                category: Category::BadInput,
                message,
                object: Some("s3://raw/a.parquet".into()),
                hint: Some("upload it again".into()),
                undecided: false,
            }),
        }
    }

    #[test]
    fn a_report_survives_the_way_to_the_operator() {
        let report = failed("truncated".into());
        assert_eq!(RunReport::from_json(&report.to_json()), Some(report));
    }

    #[test]
    fn a_long_message_is_cut_to_the_limit_on_a_character_boundary() {
        for message in ["é".repeat(9000), "\u{1}".repeat(9000)] {
            let text = failed(message).to_json();
            assert!(text.len() <= REPORT_LIMIT_BYTES, "{}", text.len());
            let Some(RunReport {
                outcome: Outcome::Failed(failure),
                ..
            }) = RunReport::from_json(&text)
            else {
                panic!("unreadable after the cut");
            };
            assert!(failure.message.ends_with('…'));
            assert_eq!(failure.hint.as_deref(), Some("upload it again"));
        }
    }

    fn complete(uri: &str, reason: &str) -> RunReport {
        let object = SkippedObject {
            uri: uri.into(),
            category: Category::BadInput,
            reason: reason.into(),
        };
        RunReport {
            outcome: Outcome::Complete {
                statistics: Statistics::default(),
                output: OutputLocation {
                    manifest_uri: "s3://out/_etl/u/1-00/manifest".into(),
                    first_object_uri: Some("s3://out/a.json".into()),
                },
                skipped: vec![object; REPORTED_SKIPS],
            },
            ..failed(String::new())
        }
    }

    #[test]
    fn what_was_skipped_is_cut_before_it_is_dropped_and_the_manifest_never_is() {
        let (long, worst) = ("x".repeat(1100), "\u{1}".repeat(1100));
        for (uri, reason, left) in [
            ("s3://raw/a", "torn", REPORTED_SKIPS),
            (&*long, &*long, REPORTED_SKIPS),
            (&*worst, &*worst, 0),
        ] {
            let text = complete(uri, reason).to_json();
            assert!(text.len() <= REPORT_LIMIT_BYTES, "{}", text.len());
            let Some(RunReport {
                outcome:
                    Outcome::Complete {
                        output, skipped, ..
                    },
                ..
            }) = RunReport::from_json(&text)
            else {
                panic!("unreadable after the cut: {text}");
            };
            assert!(output.manifest_uri.ends_with("/manifest"));
            assert_eq!(skipped.len(), left);
        }
    }

    #[test]
    fn a_report_of_before_there_were_skips_is_read() {
        let text = r#"{"version":1,"uid":"u","run":1,"attempt":1,"shard":0,"outcome":{
            "type":"Complete","statistics":{"sourceObjects":1,"sourceBytes":2,"rowsRead":3,
            "rowsWritten":3,"outputObjects":1,"outputBytes":4},
            "output":{"manifestUri":"s3://out/m"}}}"#;
        let Some(Outcome::Complete { statistics, .. }) =
            RunReport::from_json(text).map(|report| report.outcome)
        else {
            panic!("not read");
        };
        assert_eq!((statistics.rows_written, statistics.rows_rejected), (3, 0));
    }

    #[test]
    fn other_texts_are_no_reports() {
        for text in ["", "panicked at", "{}", r#"{"version":2}"#] {
            assert_eq!(RunReport::from_json(text), None);
        }
    }

    #[test]
    fn truncate_keeps_short_texts_and_never_splits_a_character() {
        let mut text = String::from("äöü");
        truncate(&mut text, 6);
        assert_eq!(text, "äöü");
        truncate(&mut text, 5);
        assert_eq!(text, "ä…");
    }
}
