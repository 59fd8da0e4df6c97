//! Conditions, the phase and the printed texts: all derived from facts.

use etl_api::{ConditionType, EtlJobStatus, Phase, Summary};
use etl_contract::truncate;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Reason of an EtlJob whose spec cannot be worked on.
pub(crate) const INVALID_SPEC: &str = "InvalidSpec";

/// Longest message of a condition, in bytes.
pub(crate) const MESSAGE_LIMIT: usize = 512;

/// What the status says in one word, with its reason and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The phase.
    pub phase: Phase,
    /// PascalCase reason of the conditions that are true.
    pub reason: String,
    /// A sentence for people. Stable: no counters, no clock.
    pub message: String,
    /// It is about a run that has ended, the one that the spec asks for.
    pub ended: bool,
    /// Nothing more happens without a change by somebody.
    pub stalled: bool,
}

/// Whether a condition is `True`.
pub fn is_true(status: &EtlJobStatus, kind: ConditionType) -> bool {
    status
        .conditions
        .iter()
        .any(|c| c.type_ == kind.as_str() && c.status == "True")
}

/// Writes phase and conditions; a transition time changes only with the
/// condition's status.
pub(crate) fn apply(
    status: &mut EtlJobStatus,
    standing: &Standing,
    generation: Option<i64>,
    now: Timestamp,
) {
    let is = |phase| standing.phase == phase;
    let at_rest = is(Phase::Complete) || is(Phase::Failed) || is(Phase::Suspended);
    status.phase = Some(standing.phase);
    status.observed_generation = generation;
    for (kind, value) in [
        (ConditionType::Complete, is(Phase::Complete)),
        (ConditionType::Failed, is(Phase::Failed) && standing.ended),
        (ConditionType::Suspended, is(Phase::Suspended)),
        (ConditionType::Reconciling, !at_rest && !standing.stalled),
        (ConditionType::Stalled, standing.stalled),
    ] {
        // As in batch/v1, what was never suspended does not say that it is not.
        let shown = status.conditions.iter().any(|c| c.type_ == kind.as_str());
        if kind == ConditionType::Suspended && !value && !shown {
            continue;
        }
        set(status, kind, value, standing, generation, now);
    }
}

fn set(
    status: &mut EtlJobStatus,
    kind: ConditionType,
    value: bool,
    standing: &Standing,
    generation: Option<i64>,
    now: Timestamp,
) {
    let mut message = if value {
        standing.message.clone()
    } else {
        String::new()
    };
    truncate(&mut message, MESSAGE_LIMIT);
    let mut condition = Condition {
        type_: kind.as_str().to_owned(),
        status: if value { "True" } else { "False" }.to_owned(),
        reason: standing.reason.clone(),
        message,
        observed_generation: generation,
        last_transition_time: Time(seconds(now)),
    };
    match status
        .conditions
        .iter_mut()
        .find(|c| c.type_ == condition.type_)
    {
        Some(present) => {
            if present.status == condition.status {
                condition.last_transition_time = present.last_transition_time.clone();
            }
            *present = condition;
        }
        None => status.conditions.push(condition),
    }
}

/// Kubernetes keeps whole seconds in conditions; more digits would come back
/// changed and look like a difference.
fn seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The texts of the ATTEMPT, FAILURE and DURATION columns.
pub(crate) fn summarize(status: &mut EtlJobStatus, max_attempts: u32) {
    let failure = failure(status);
    let Some(run) = &status.run else {
        status.summary = failure.map(|failure| Summary {
            failure: Some(failure),
            ..Summary::default()
        });
        return;
    };
    let failed = status.phase == Some(Phase::Failed);
    let current = if failed {
        run.failures
    } else {
        run.failures + 1
    };
    let duration = run
        .completion_time
        .map(|end| human(end.duration_since(run.start_time)));
    status.summary = Some(Summary {
        attempt: Some(format!(
            "{}/{max_attempts}",
            current.clamp(1, max_attempts.max(1))
        )),
        failure,
        duration,
    });
}

/// The text of the FAILURE column: what stands in the way now, else why the last
/// attempt failed.
fn failure(status: &EtlJobStatus) -> Option<String> {
    let stalled = ConditionType::Stalled.as_str();
    let invalid =
        |c: &Condition| c.type_ == stalled && c.status == "True" && c.reason == INVALID_SPEC;
    if status.conditions.iter().any(invalid) {
        return Some(INVALID_SPEC.to_owned());
    }
    let failure = status.last_failure.as_ref()?;
    Some(failure.category.clone())
}

/// `850ms`, `4.2s`, `1m4s`, `2h10m`: two units at most, as `kubectl` prints ages.
pub fn human(duration: SignedDuration) -> String {
    let millis = duration.as_millis().max(0);
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis}ms"),
        1..=9 => format!("{}.{}s", seconds, millis % 1000 / 100),
        10..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(phase: Phase) -> Standing {
        Standing {
            phase,
            reason: "R".into(),
            message: "m".into(),
            ended: true,
            stalled: false,
        }
    }

    #[test]
    fn a_transition_time_changes_only_with_the_conditions_status() {
        let mut status = EtlJobStatus::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        apply(&mut status, &standing(Phase::Pending), Some(1), at(10));
        apply(&mut status, &standing(Phase::Running), Some(1), at(20));
        let time = |status: &EtlJobStatus, kind: ConditionType| {
            status
                .conditions
                .iter()
                .find(|c| c.type_ == kind.as_str())
                .map(|c| c.last_transition_time.0.as_second())
        };
        assert_eq!(time(&status, ConditionType::Reconciling), Some(10));
        apply(&mut status, &standing(Phase::Complete), Some(1), at(30));
        assert_eq!(time(&status, ConditionType::Reconciling), Some(30));
        assert_eq!(time(&status, ConditionType::Complete), Some(30));
        assert_eq!(time(&status, ConditionType::Stalled), Some(10));
    }

    #[test]
    fn durations_read_like_ages() {
        for (millis, text) in [
            (850, "850ms"),
            (4_230, "4.2s"),
            (42_900, "42s"),
            (64_000, "1m4s"),
            (7_800_000, "2h10m"),
        ] {
            assert_eq!(human(SignedDuration::from_millis(millis)), text);
        }
    }
}
