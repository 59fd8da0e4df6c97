//! Row 6 with a policy of the resource's own.

use etl_contract::Category;
use serde_json::json;

use super::*;

fn with_policy(policy: Value) -> Subject {
    let mut subject = Subject::new(json!({ "retryPolicy": policy }));
    subject.pass(&Observed::default(), 0);
    subject
}

/// Fails the open attempt and opens the next one.
fn fail(subject: &mut Subject, category: Category, seconds: i64) {
    let seen = subject.failed_as(category);
    subject.pass(&seen, seconds);
    subject.pass(&Observed::default(), seconds + 10_000);
}

#[test]
fn row_6_a_rule_fails_what_is_retried_otherwise_and_the_other_way_round() {
    let rules = json!([
        {"categories": ["Unavailable"], "action": "Fail"},
        {"categories": ["BadInput"], "action": "Retry"},
    ]);
    let mut subject = with_policy(json!({ "rules": rules }));
    let seen = subject.failed_as(Category::BadInput);
    subject.pass(&seen, 5);
    assert_eq!((subject.phase(), subject.failures()), (Phase::Retrying, 1));

    let mut subject = with_policy(json!({ "rules": rules }));
    let seen = subject.failed_as(Category::Unavailable);
    subject.pass(&seen, 5);
    assert_eq!(subject.phase(), Phase::Failed);
    assert_eq!(subject.reason(ConditionType::Failed), "NotRetryable");
}

#[test]
fn row_6_the_limit_and_the_delay_are_those_of_the_rule_that_the_failure_meets() {
    let mut subject = with_policy(json!({"maxAttempts": 2, "rules": [{
        "categories": ["Throttled"], "action": "Retry", "maxAttempts": 4,
        "backoff": {"initialSeconds": 100, "factor": 1, "jitterPercent": 0},
    }]}));
    for round in 0..3 {
        fail(&mut subject, Category::Throttled, 20_000 * round + 5);
    }
    assert_eq!((subject.failures(), subject.attempt()), (3, 4));
    assert_eq!(subject.status().attempts[2].backoff_seconds, Some(100));
    let summary = subject.status().summary.clone().unwrap();
    assert_eq!(summary.attempt.as_deref(), Some("4/4"));
    let seen = subject.failed_as(Category::Unavailable);
    subject.pass(&seen, 80_000);
    assert_eq!(subject.reason(ConditionType::Failed), "RetriesExhausted");
}

#[test]
fn row_6_a_disruption_that_a_rule_names_is_charged() {
    let mut subject = with_policy(json!({"rules": [
        {"categories": ["Disrupted"], "action": "Retry"}
    ]}));
    let seen = subject.failed(143, None);
    subject.pass(&seen, 5);
    assert_eq!(subject.failures(), 1);
}

#[test]
fn row_6_a_rule_decides_which_exit_codes_end_the_other_shards() {
    let subject = with_policy(json!({"rules": [
        {"categories": ["BadInput"], "action": "Retry"},
        {"categories": ["Throttled"], "action": "Fail"},
    ]}));
    let Some(Action::Create(child)) = subject.last.actions.first() else {
        panic!("{:?}", subject.last)
    };
    let codes = &child.final_exit_codes;
    assert!(!codes.contains(&65) && codes.contains(&80), "{codes:?}");
}

fn memory(subject: &Subject) -> (Option<u64>, Value) {
    let Some(Action::Create(child)) = subject.last.actions.first() else {
        panic!("{:?}", subject.last)
    };
    let resources = serde_json::to_value(&child.pod.resources).unwrap();
    (child.order.memory_limit_bytes, resources)
}

#[test]
fn row_6_an_attempt_after_out_of_memory_gets_more_up_to_the_maximum() {
    let mut subject = Subject::new(json!({
        "retryPolicy": {"maxAttempts": 9, "memory": {"max": "3Gi"}},
        "worker": {"resources": {
            "requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "1Gi"}
        }},
    }));
    subject.pass(&Observed::default(), 0);
    assert_eq!(memory(&subject).0, Some(1 << 30));
    for (round, gib) in [(0, 1), (1, 2), (2, 3), (3, 3)] {
        assert_eq!(memory(&subject).0, Some(gib << 30), "round {round}");
        fail(&mut subject, Category::OutOfMemory, 20_000 * round + 5);
    }
    let bytes = (3u64 << 30).to_string();
    assert_eq!(
        memory(&subject).1,
        json!({
            "requests": {"cpu": "1", "memory": bytes}, "limits": {"memory": bytes}
        })
    );
}

#[test]
fn row_6_other_failures_and_other_policies_leave_the_memory_as_it_is() {
    for (policy, category) in [
        (json!({"memory": {"max": "3Gi"}}), Category::Throttled),
        (json!({}), Category::OutOfMemory),
    ] {
        let mut subject = Subject::new(json!({
            "retryPolicy": policy,
            "worker": {"resources": {"limits": {"memory": "1Gi"}}},
        }));
        subject.pass(&Observed::default(), 0);
        fail(&mut subject, category, 5);
        assert_eq!(memory(&subject).0, Some(1 << 30));
        assert_eq!(subject.status().run.as_ref().unwrap().memory_bytes, None);
    }
}
