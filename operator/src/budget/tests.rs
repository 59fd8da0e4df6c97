//! In virtual time.

use std::future::pending;

use futures::future::join_all;
use futures::{FutureExt, StreamExt, stream};
use tokio::time::{advance, sleep};

use super::*;

fn budget(per_second: f64, burst: u32) -> Budget {
    let allowance = Allowance { per_second, burst };
    Budget::new(allowance, ApiMetrics::default())
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// How many of `count` requests are admitted within `limit`.
async fn admitted(budget: &Budget, count: usize, limit: Duration) -> usize {
    let deadline = sleep(limit);
    let requests = (0..count).map(|_| budget.admit(Priority::Look));
    let requests = stream::iter(requests).buffer_unordered(usize::MAX);
    requests.take_until(deadline).count().await
}

#[tokio::test(start_paused = true)]
async fn after_the_burst_as_many_are_admitted_as_were_agreed() {
    let budget = budget(10.0, 5);
    assert_eq!(admitted(&budget, 100, seconds(0.001)).await, 5);
    assert_eq!(admitted(&budget, 100, seconds(3.05)).await, 30);
    // A quiet time saves up no more than a burst.
    sleep(seconds(3600.0)).await;
    assert_eq!(admitted(&budget, 100, seconds(0.001)).await, 5);
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_goes_first_and_of_one_kind_the_earlier() {
    let budget = budget(1.0, 1);
    budget.admit(Priority::Look).await;
    let order = Mutex::new(Vec::new());
    let arrivals = [
        (Priority::Tell, 0),
        (Priority::Create, 1),
        (Priority::Finish, 2),
        (Priority::Look, 3),
        (Priority::Finish, 4),
        (Priority::Create, 5),
    ];
    join_all(arrivals.map(|(priority, number)| {
        let (budget, order) = (&budget, &order);
        async move {
            budget.admit(priority).await;
            order.lock().unwrap().push(number);
        }
    }))
    .await;
    assert_eq!(order.into_inner().unwrap(), [2, 4, 3, 1, 5, 0]);
}

#[tokio::test(start_paused = true)]
async fn one_that_gives_up_keeps_nobody_waiting() {
    let budget = budget(1.0, 1);
    budget.admit(Priority::Look).await;
    let mut first = Box::pin(budget.admit(Priority::Finish));
    let mut second = Box::pin(budget.admit(Priority::Tell));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    advance(seconds(1.0)).await;
    drop(first);
    tokio::time::timeout(seconds(0.01), second)
        .await
        .expect("it is first now");
    assert!(budget.state().waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_is_left_alone_for_as_long_as_it_asks() {
    let budget = budget(100.0, 100);
    budget.learn(Standing::Overloaded(Some(seconds(7.0))));
    assert_eq!(admitted(&budget, 10, seconds(6.99)).await, 0);
    // Then one, and the others when it was answered.
    assert_eq!(admitted(&budget, 10, seconds(0.02)).await, 1);
    assert_eq!(admitted(&budget, 10, seconds(5.0)).await, 0);
    budget.learn(Standing::Fine);
    assert!(admitted(&budget, 100, seconds(0.5)).await >= 50);
}

#[tokio::test(start_paused = true)]
async fn answers_to_what_was_sent_before_a_pause_do_not_end_it() {
    let budget = budget(100.0, 100);
    budget.learn(Standing::Overloaded(Some(seconds(5.0))));
    budget.learn(Standing::Fine);
    assert_eq!(admitted(&budget, 10, seconds(4.99)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_an_answer_is_followed_by_another() {
    let budget = budget(100.0, 100);
    budget.learn(Standing::Overloaded(Some(seconds(1.0))));
    assert_eq!(admitted(&budget, 3, seconds(1.1)).await, 1);
    assert_eq!(admitted(&budget, 3, PATIENCE).await, 1);
}

#[tokio::test(start_paused = true)]
async fn no_pause_is_longer_than_a_minute_whatever_the_server_says() {
    let budget = budget(100.0, 100);
    budget.learn(Standing::Overloaded(Some(seconds(1e6))));
    let begun = Instant::now();
    budget.admit(Priority::Tell).await;
    assert_eq!(begun.elapsed().as_secs(), 60);
}

/// Nor is one shorter than a second: a server that asks for 0 would be asked
/// without end.
#[tokio::test(start_paused = true)]
async fn no_pause_is_shorter_than_a_second_whatever_the_server_says() {
    let budget = budget(100.0, 100);
    budget.learn(Standing::Overloaded(Some(Duration::ZERO)));
    let begun = Instant::now();
    budget.admit(Priority::Finish).await;
    assert_eq!(begun.elapsed().as_secs(), 1);
}

/// One namespace's broken webhook must not stop the others.
#[tokio::test(start_paused = true)]
async fn errors_that_others_may_have_caused_pause_nothing() {
    let budget = budget(100.0, 100);
    for _ in 0..100 {
        budget.learn(Standing::Untold);
    }
    assert_eq!(admitted(&budget, 10, seconds(0.01)).await, 10);
}

#[tokio::test(start_paused = true)]
async fn failures_pause_everything_only_when_nothing_else_succeeds() {
    let budget = budget(100.0, 100);
    for _ in 0..100 {
        budget.learn(Standing::Failing);
        budget.learn(Standing::Failing);
        budget.learn(Standing::Fine);
    }
    assert_eq!(admitted(&budget, 10, seconds(0.01)).await, 10);
    for _ in 0..FAILURES {
        budget.learn(Standing::Failing);
    }
    assert_eq!(admitted(&budget, 10, seconds(0.4)).await, 0);
    assert_eq!(admitted(&budget, 10, seconds(1.0)).await, 1);
}

/// The server turns everything away for ten minutes, and sixteen passes never
/// stop trying.
#[tokio::test(start_paused = true)]
async fn a_server_that_stays_overloaded_is_asked_less_and_less() {
    let budget = budget(500.0, 1000);
    let asked = Mutex::new(0);
    let pass = async || {
        loop {
            budget.admit(Priority::Finish).await;
            *asked.lock().unwrap() += 1;
            budget.learn(Standing::Overloaded(None));
        }
    };
    let passes = join_all((0..16).map(|_| pass()));
    let ten_minutes = sleep(seconds(600.0));
    tokio::select! {
        _ = passes => {}
        () = ten_minutes => {}
    }
    let asked = asked.into_inner().unwrap();
    // The first, and one for each pause: 1, 2, 4, 8, 16, 30, 30...
    assert!((20..=60).contains(&asked), "{asked}");
}

/// A server that can do so much and turns the rest away.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_too_slow_is_not_asked_twice_as_much_as_it_does() {
    let budget = budget(500.0, 1000);
    let server = Mutex::new((Instant::now(), 0, 0, 0));
    let pass = async || {
        loop {
            budget.admit(Priority::Finish).await;
            sleep(seconds(0.01)).await;
            let mut state = server.lock().unwrap();
            let (since, taken, done, turned_away) = &mut *state;
            if since.elapsed() >= seconds(1.0) {
                (*since, *taken) = (Instant::now(), 0);
            }
            if *taken < 50 {
                *taken += 1;
                *done += 1;
                budget.learn(Standing::Fine);
            } else {
                *turned_away += 1;
                budget.learn(Standing::Overloaded(Some(seconds(1.0))));
            }
        }
    };
    let passes = join_all((0..16).map(|_| pass()));
    tokio::select! {
        _ = passes => pending::<()>().await,
        () = sleep(seconds(600.0)) => {}
    }
    let (_, _, done, turned_away) = server.into_inner().unwrap();
    assert!(done >= 10_000, "{done} done in 600 s");
    assert!(
        turned_away * 2 <= done,
        "{turned_away} turned away, {done} done"
    );
}
