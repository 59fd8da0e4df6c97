//! The bound of the status: at most 8 KiB, whatever keys and messages hold.

use etl_api::EtlJobStatus;
use etl_contract::truncate;

/// Largest encoded status, in bytes.
const LIMIT_BYTES: usize = 8192;

/// To this a text is cut when everything else was not enough.
const SHORT: usize = 200;

/// Shortens texts, the least missed first, until the status fits.
pub(crate) fn fit(status: &mut EtlJobStatus) {
    for step in [
        old_attempts as fn(&mut EtlJobStatus),
        old_runs,
        skipped,
        conditions,
        failure,
        ending,
        output,
    ] {
        if encoded(status) <= LIMIT_BYTES {
            return;
        }
        step(status);
    }
}

fn encoded(status: &EtlJobStatus) -> usize {
    serde_json::to_string(status).map_or(0, |text| text.len())
}

/// What the last attempt says stands in `lastFailure` too.
fn old_attempts(status: &mut EtlJobStatus) {
    for attempt in &mut status.attempts {
        attempt.message.clear();
    }
}

/// The ledger has had all of it.
fn old_runs(status: &mut EtlJobStatus) {
    for run in &mut status.runs {
        run.message.clear();
        run.source_uri = None;
        run.output_uri = None;
        run.output = None;
    }
}

/// The manifest names them all, in full.
fn skipped(status: &mut EtlJobStatus) {
    for object in &mut status.skipped_objects {
        truncate(&mut object.uri, SHORT);
        truncate(&mut object.reason, SHORT);
    }
}

fn conditions(status: &mut EtlJobStatus) {
    for condition in &mut status.conditions {
        truncate(&mut condition.message, SHORT);
    }
    let run = status.run.as_mut();
    if let Some(outcome) = run.and_then(|run| run.outcome.as_mut()) {
        truncate(&mut outcome.message, SHORT);
    }
}

fn failure(status: &mut EtlJobStatus) {
    if let Some(failure) = &mut status.last_failure {
        truncate(&mut failure.message, SHORT);
        for text in [&mut failure.object, &mut failure.hint]
            .into_iter()
            .flatten()
        {
            truncate(text, SHORT);
        }
    }
}

fn ending(status: &mut EtlJobStatus) {
    let attempt = status.attempt.as_mut();
    if let Some(ending) = attempt.and_then(|attempt| attempt.ending.as_mut()) {
        truncate(&mut ending.message, SHORT);
    }
}

/// The manifest names it.
fn output(status: &mut EtlJobStatus) {
    if let Some(output) = &mut status.output {
        output.first_object_uri = None;
    }
}
