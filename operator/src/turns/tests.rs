//! In virtual time.

use futures::FutureExt;
use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Who begins now, if anybody does.
fn begins(turns: &Turns) -> Option<Turn> {
    turns.next().now_or_never()
}

fn name(turn: &Turn) -> String {
    format!("{}/{}", turn.name.namespace, turn.name.name)
}

/// Passes that begin and end one after another, and change nothing.
fn run(turns: &Turns) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(turn) = begins(turns) {
        names.push(name(&turn));
        turns.give_back(turn, Next::OnChange);
    }
    names
}

#[tokio::test(start_paused = true)]
async fn one_among_ten_thousand_of_another_namespace_is_next_but_one() {
    let turns = Turns::default();
    for number in 0..10_000 {
        turns.trigger("crowd", &format!("job-{number}"));
    }
    turns.trigger("quiet", "only");
    let order = run(&turns);
    assert_eq!(order.len(), 10_001);
    assert_eq!(order.iter().position(|name| name == "quiet/only"), Some(1));
}

/// Also when all passes are taken, and each that ends is followed by another
/// of the crowd.
#[tokio::test(start_paused = true)]
async fn a_crowd_that_never_ends_holds_nobody_up() {
    let turns = Turns::default();
    for number in 0..10_000 {
        turns.trigger("crowd", &format!("job-{number}"));
    }
    let mut active: VecDeque<Turn> = (0..16).filter_map(|_| begins(&turns)).collect();
    for round in 0..100 {
        turns.trigger("quiet", "only");
        let mut waited = 0;
        loop {
            let ended = active.pop_front().expect("sixteen are under way");
            turns.give_back(ended, Next::After(Duration::ZERO));
            let turn = begins(&turns).expect("a crowd waits");
            let served = name(&turn) == "quiet/only";
            active.push_back(turn);
            if served {
                break;
            }
            waited += 1;
        }
        assert!(waited <= 16, "round {round}: {waited} others went first");
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces_take_turns_and_in_each_the_first_goes_first() {
    let turns = Turns::default();
    for name in ["a1", "a2", "a3"] {
        turns.trigger("a", name);
    }
    for name in ["b1", "b2"] {
        turns.trigger("b", name);
    }
    turns.trigger("c", "c1");
    assert_eq!(
        run(&turns),
        ["a/a1", "b/b1", "c/c1", "a/a2", "b/b2", "a/a3"]
    );
}

#[tokio::test(start_paused = true)]
async fn many_triggers_are_one_pass() {
    let turns = Turns::default();
    for _ in 0..100 {
        turns.trigger("a", "x");
    }
    assert_eq!(run(&turns), ["a/x"]);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_during_a_pass_is_followed_by_another_and_never_by_two_at_once() {
    let turns = Turns::default();
    turns.trigger("a", "x");
    let turn = begins(&turns).unwrap();
    turns.trigger("a", "x");
    turns.trigger("a", "x");
    assert!(begins(&turns).is_none());
    // It does not wait for what the pass asks for.
    turns.give_back(turn, Next::After(SECOND * 3600));
    assert_eq!(run(&turns), ["a/x"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_to_be_looked_at_later_is_then_unless_something_happens_before() {
    let turns = Turns::default();
    for name in ["early", "late"] {
        turns.trigger("a", name);
    }
    for _ in 0..2 {
        let turn = begins(&turns).unwrap();
        turns.give_back(turn, Next::After(SECOND * 60));
    }
    assert!(begins(&turns).is_none());
    advance(SECOND * 30).await;
    turns.trigger("a", "early");
    assert_eq!(run(&turns), ["a/early"]);
    advance(SECOND * 30).await;
    // What was asked for before the trigger is not asked for any more.
    assert_eq!(run(&turns), ["a/late"]);
    advance(SECOND * 3600).await;
    assert!(run(&turns).is_empty());
    let state = turns.state();
    assert!(state.jobs.is_empty() && state.lanes.is_empty() && state.later.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_by_a_trigger_and_by_the_time() {
    let turns = Turns::default();
    let (turn, ()) = tokio::join!(turns.next(), async { turns.trigger("a", "x") });
    turns.give_back(turn, Next::After(SECOND * 60));
    let begun = Instant::now();
    let turn = turns.next().await;
    assert_eq!(
        (name(&turn).as_str(), begun.elapsed()),
        ("a/x", SECOND * 60)
    );
}

#[tokio::test(start_paused = true)]
async fn the_metrics_say_who_waits_and_for_how_long() {
    let metrics = crate::metrics::Metrics::new();
    let turns = Turns::new(metrics.passes.clone());
    let shows = |lines: &[&str]| {
        let text = metrics.text().unwrap();
        for line in lines {
            assert!(
                text.contains(&format!("\n{line}\n")),
                "{line} is not in {text}"
            );
        }
    };
    for name in ["x", "y", "z"] {
        turns.trigger("a", name);
    }
    advance(SECOND * 4).await;
    let (x, y) = (begins(&turns).unwrap(), begins(&turns).unwrap());
    turns.give_back(x, Next::After(SECOND));
    shows(&[
        "etl_queue_depth 1",
        "etl_queue_scheduled 1",
        "etl_reconciles_active 1",
        "etl_queue_latency_seconds_sum 8.0",
        "etl_queue_latency_seconds_count 2",
    ]);
    turns.give_back(y, Next::OnChange);
    shows(&["etl_reconciles_active 0"]);
}
