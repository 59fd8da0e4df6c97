//! What stands at the end: a table as `kubectl get` prints it, and what became
//! of each job.

use std::fmt::{self, Write};

use etl_api::{EtlJob, EtlJobStatus};
use kube::ResourceExt;

/// Space between columns, as kubectl leaves it.
const GAP: usize = 3;

/// The final text for `jobs`.
pub fn summary(jobs: &[EtlJob]) -> String {
    let mut text = table(jobs);
    for job in jobs {
        // Writing to a string cannot fail.
        let _ = details(&mut text, job);
    }
    text
}

fn table(jobs: &[EtlJob]) -> String {
    let head = ["NAME", "PHASE", "ATTEMPT", "ROWS", "FAILURE", "DURATION"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(jobs.iter().map(row)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            line.push_str(&format!("{cell:width$}"));
            line.push_str(&" ".repeat(GAP));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(job: &EtlJob) -> [String; 6] {
    let status = job.status.clone().unwrap_or_default();
    let summary = status.summary.unwrap_or_default();
    [
        job.name_any(),
        status
            .phase
            .map(|phase| format!("{phase:?}"))
            .unwrap_or_default(),
        summary.attempt.unwrap_or_default(),
        status
            .statistics
            .map(|totals| totals.rows_written.to_string())
            .unwrap_or_default(),
        status
            .last_failure
            .map(|failure| failure.category)
            .unwrap_or_default(),
        summary.duration.unwrap_or_default(),
    ]
}

fn details(text: &mut String, job: &EtlJob) -> fmt::Result {
    let EtlJobStatus {
        output,
        statistics,
        skipped_objects,
        last_failure,
        ..
    } = job.status.clone().unwrap_or_default();
    let mut lines = Vec::new();
    if let Some(output) = output {
        lines.push(("output", Some(job.spec.output.uri.clone())));
        lines.push(("first object", output.first_object_uri));
        lines.push(("manifest", Some(output.manifest_uri)));
    }
    if let Some(totals) = statistics {
        let told = |count: i64, what: &str| (count > 0).then(|| format!("{count} {what}"));
        lines.push(("rejected", told(totals.rows_rejected, "rows")));
        lines.push(("left out", told(totals.objects_skipped, "objects")));
    }
    for object in skipped_objects {
        let told = format!("{}: {} ({})", object.uri, object.reason, object.category);
        lines.push(("left out", Some(told)));
    }
    if let Some(failure) = last_failure {
        lines.push((
            "failure",
            Some(format!("{} ({})", failure.category, failure.reason)),
        ));
        lines.push(("message", Some(failure.message)));
        lines.push(("object", failure.object));
        lines.push(("hint", failure.hint));
    }
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{}", job.name_any())?;
    for (name, value) in lines {
        if let Some(value) = value {
            writeln!(text, "  {:14}{value}", format!("{name}:"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(name: &str, status: &serde_json::Value) -> EtlJob {
        serde_json::from_value(json!({
            "apiVersion": "etl-operator.io/v1alpha1", "kind": "EtlJob",
            "metadata": {"name": name},
            "spec": {"source": {"uri": "file:///in/a"}, "output": {"uri": "file:///out/"}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn complete_and_failed_jobs_are_told_with_all_that_helps() {
        let complete = job(
            "taxi",
            &json!({
                "phase": "Complete", "summary": {"attempt": "1/3", "duration": "1.2s"},
                "statistics": {"rowsWritten": 22791, "rowsRejected": 3, "objectsSkipped": 1},
                "skippedObjects": [{"uri": "file:///in/b", "category": "BadInput",
                                    "reason": "the footer is cut off"}],
                "output": {"manifestUri": "file:///out/_etl/u/1/manifest",
                           "firstObjectUri": "file:///out/a.json"},
            }),
        );
        let failed = job(
            "broken-one",
            &json!({
                "phase": "Failed", "summary": {"attempt": "1/3", "duration": "80ms"},
                "lastFailure": {"category": "BadInput", "reason": "NotRetryable",
                                "message": "the footer is cut off", "object": "file:///in/a",
                                "hint": "upload it again"},
            }),
        );
        assert_eq!(
            summary(&[complete, failed]),
            "\
NAME         PHASE      ATTEMPT   ROWS    FAILURE    DURATION
taxi         Complete   1/3       22791              1.2s
broken-one   Failed     1/3               BadInput   80ms

taxi
  output:       file:///out/
  first object: file:///out/a.json
  manifest:     file:///out/_etl/u/1/manifest
  rejected:     3 rows
  left out:     1 objects
  left out:     file:///in/b: the footer is cut off (BadInput)

broken-one
  failure:      BadInput (NotRetryable)
  message:      the footer is cut off
  object:       file:///in/a
  hint:         upload it again
"
        );
    }
}
