//! Each fault of a read: the right bytes, or the right failure, and never
//! others.

use std::time::{Duration, Instant};

use bytes::Bytes;
use etl_faulty_s3::{Fault, Operation, Rule, Server};
use etl_worker::store::{Kind, Pin, Store, StoreError};

use crate::{BUCKET, each, noise, server, store};

const MIB: usize = 1 << 20;

/// A server with an object `k` of noise.
fn with_object(length: usize) -> (Server, Bytes) {
    let (server, body) = (server(), noise(length));
    server.insert(BUCKET, "k", body.clone());
    (server, body)
}

fn on_get() -> etl_faulty_s3::Matching {
    Rule::on(Operation::GetObject)
}

/// Reads a range of `k`, pinned to what is there now.
async fn read(store: &dyn Store, range: Option<std::ops::Range<u64>>) -> Result<Bytes, StoreError> {
    let object = store.head("k", &Pin::default()).await?;
    let pin = Pin {
        etag: Some(object.etag),
        version: None,
    };
    store.get("k", &pin, range).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_outlives_every_fault_that_passes() {
    let faults = [
        Fault::SLOW_DOWN,
        Fault::INTERNAL_ERROR,
        Fault::UNAVAILABLE,
        Fault::Reset,
        Fault::LostReply,
        Fault::BreakOff(0),
        Fault::BreakOff(1),
        Fault::BreakOff(MIB),
        Fault::Short(1),
        Fault::Short(MIB),
        Fault::IgnoreRange,
        Fault::ShiftRange(1),
        Fault::Stall(0),
        Fault::Stall(MIB),
        Fault::Silence,
    ];
    each(faults, |fault| async move {
        let (server, body) = with_object(3 * MIB);
        server.rule(on_get().once(fault));
        let read = read(&*store(&server), Some(100..2 * MIB as u64 + 7)).await;
        assert!(read.unwrap() == body.slice(100..2 * MIB + 7), "{fault:?}");
        let struck = server.records_of(Operation::GetObject);
        assert_eq!(struck[0].fault, Some(fault), "{fault:?}");
        assert!(struck.len() > 1, "{fault:?}: {struck:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_read_outlives_every_fault_that_passes() {
    for fault in [
        Fault::SLOW_DOWN,
        Fault::INTERNAL_ERROR,
        Fault::Reset,
        Fault::BreakOff(1),
        Fault::BreakOff(MIB),
        Fault::Short(1),
        Fault::Corrupt(0),
        Fault::Corrupt(MIB),
    ] {
        let (server, body) = with_object(2 * MIB);
        server.rule(on_get().once(fault));
        let read = store(&server).get("k", &Pin::default(), None).await;
        assert!(read.unwrap() == body, "{fault:?}");
        assert!(
            server.records_of(Operation::GetObject).len() > 1,
            "{fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_stays_is_a_failure_and_never_other_bytes() {
    let faults = [
        (Fault::INTERNAL_ERROR, Kind::Unavailable),
        (Fault::Reset, Kind::Unavailable),
        (Fault::BreakOff(10), Kind::Unavailable),
        (Fault::IgnoreRange, Kind::Unavailable),
        (Fault::ShiftRange(3), Kind::Unavailable),
        (Fault::Refuse(403, "AccessDenied"), Kind::AccessDenied),
        (Fault::Refuse(404, "NoSuchKey"), Kind::NotFound),
        (Fault::Refuse(403, "InvalidObjectState"), Kind::Archived),
    ];
    each(faults, |(fault, kind)| async move {
        let (server, _) = with_object(MIB);
        server.rule(on_get().always(fault));
        let error = read(&*store(&server), Some(10..1000)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert!(error.to_string().contains("s3://b/k"), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_body_is_noticed_even_if_it_was_put_together() {
    let (server, body) = with_object(2 * MIB);
    // The first answer is damaged and breaks off: neither it nor the rest has a
    // checksum of its own.
    server.rule(on_get().once(Fault::BreakOff(MIB)));
    server.rule(on_get().skip(1).once(Fault::Corrupt(5)));
    let read = store(&server).get("k", &Pin::default(), None).await;
    assert!(read.unwrap() == body);
    let ranges: Vec<_> = server
        .records_of(Operation::GetObject)
        .into_iter()
        .map(|record| record.range)
        .collect();
    assert_eq!(ranges, [None, Some(format!("bytes={MIB}-")), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_missing_rest_is_asked_for_again() {
    let (server, body) = with_object(8 * MIB);
    // Each answer brings a mebibyte: more than four of them break off.
    server.rule(on_get().times(7, Fault::BreakOff(MIB)));
    let read = read(&*store(&server), Some(0..8 * MIB as u64)).await;
    assert!(read.unwrap() == body);
    let ranges: Vec<_> = server
        .records_of(Operation::GetObject)
        .into_iter()
        .map(|record| record.range.unwrap())
        .collect();
    let expected: Vec<_> = (0..8)
        .map(|have| format!("bytes={}-{}", have * MIB, 8 * MIB - 1))
        .collect();
    assert_eq!(ranges, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_replaced_between_two_answers_is_never_mixed() {
    let (server, body) = with_object(2 * MIB);
    let store = store(&server);
    let pinned = Pin {
        etag: Some(store.head("k", &Pin::default()).await.unwrap().etag),
        version: None,
    };
    server.rule(on_get().once(Fault::BreakOff(MIB)));
    let replaced = noise(3 * MIB).slice(MIB..);
    let replace = async {
        while server.records_of(Operation::GetObject).is_empty() {
            tokio::task::yield_now().await;
        }
        server.insert(BUCKET, "k", replaced.clone());
    };
    let (read, ()) = tokio::join!(store.get("k", &pinned, Some(0..2 * MIB as u64)), replace);
    match read {
        Err(error) => assert_eq!(error.kind(), Kind::PreconditionFailed, "{error}"),
        Ok(read) => panic!("{} bytes, of {} old ones", read.len(), body.len()),
    }

    // Whoever pins nothing gets one of the two.
    server.rule(on_get().once(Fault::BreakOff(MIB)));
    let reads = server.records_of(Operation::GetObject).len();
    let replace = async {
        while server.records_of(Operation::GetObject).len() == reads {
            tokio::task::yield_now().await;
        }
        server.insert(BUCKET, "k", body.clone());
    };
    let any = Pin::default();
    let (read, ()) = tokio::join!(store.get("k", &any, None), replace);
    let read = read.unwrap();
    assert!(read == body || read == replaced);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_read_is_overtaken_by_a_second_one() {
    let faults = [Fault::Silence, Fault::Stall(MIB / 2), Fault::Trickle(1000)];
    each(faults, |fault| async move {
        let (server, body) = with_object(4 * MIB);
        let store = store(&server);
        for _ in 0..8 {
            read(&*store, Some(0..2 * MIB as u64)).await.unwrap();
        }
        server.rule(on_get().once(fault));
        let started = Instant::now();
        let late = read(&*store, Some(0..2 * MIB as u64)).await;
        assert!(late.unwrap() == body.slice(..2 * MIB), "{fault:?}");
        let took = started.elapsed();
        assert!(took < Duration::from_secs(8), "{fault:?} took {took:?}");
        let last = server.records_of(Operation::GetObject).pop().unwrap();
        let asked = last.range.unwrap();
        let resumed = !asked.starts_with("bytes=0-");
        assert_eq!(resumed, fault != Fault::Silence, "{fault:?}: {asked}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_throttles_a_third_of_all_requests_is_read_all_the_same() {
    let (server, body) = with_object(4 * MIB);
    let store = store(&server);
    server.rule(on_get().every(3).always(Fault::SLOW_DOWN));
    server.rule(
        Rule::on(Operation::HeadObject)
            .every(3)
            .always(Fault::SLOW_DOWN),
    );
    let reads = (0..40_u64).map(|index| {
        let (store, body) = (store.clone(), body.clone());
        tokio::spawn(async move {
            let range = index * 100_000..(index + 1) * 100_000;
            let bytes = read(&*store, Some(range.clone())).await.unwrap();
            assert!(bytes == body.slice(range.start as usize..range.end as usize));
        })
    });
    for read in futures::future::join_all(reads).await {
        read.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_may_ask_to_slow_down_for_longer_than_the_sdk_asks() {
    let (server, body) = with_object(MIB);
    let store = store(&server);
    server.rule(on_get().times(8, Fault::SLOW_DOWN));
    server.rule(Rule::on(Operation::HeadObject).times(6, Fault::SLOW_DOWN));
    let read = read(&*store, Some(0..100)).await;
    assert!(read.unwrap() == body.slice(..100));
    assert_eq!(server.records_of(Operation::GetObject).len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_read_after_it_was_replaced() {
    let server = server();
    server.create_versioned_bucket(BUCKET);
    server.insert(BUCKET, "k", "old");
    let store = store(&server);
    let old = store.head("k", &Pin::default()).await.unwrap();
    server.insert(BUCKET, "k", "new");
    let pin = Pin {
        etag: Some(old.etag),
        version: old.version,
    };
    assert!(pin.version.is_some());
    assert_eq!(store.get("k", &pin, Some(0..3)).await.unwrap(), "old");
}
