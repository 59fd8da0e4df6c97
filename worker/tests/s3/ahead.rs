//! Source objects: few requests, many at once, and the same bytes whatever was
//! announced.

#![expect(
    clippy::single_range_in_vec_init,
    reason = "lists of ranges are what is asked for"
)]

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use etl_engine::{ReadAt, ReadError};
use etl_faulty_s3::{Fault, Operation, Rule, Server};
use etl_worker::plan::Input;
use etl_worker::progress::Progress;
use etl_worker::read::SourceObject;
use etl_worker::store::{Kind, Pin, StoreError};

use crate::{BUCKET, noise, server, store};

const MIB: u64 = 1 << 20;

/// The source object of `length` bytes of noise.
async fn source(server: &Server, length: u64) -> (Arc<SourceObject>, Bytes) {
    let body = noise(length as usize);
    server.insert(BUCKET, "k", body.clone());
    let store = store(server);
    let object = store.head("k", &Pin::default()).await.unwrap();
    let input = Input {
        key: "k".to_owned(),
        version: None,
        etag: object.etag,
        size: object.size,
        row_groups: None,
        output: String::new(),
    };
    let progress = Arc::new(Progress::default());
    let source = SourceObject::open(store, &input, progress).await.unwrap();
    (Arc::new(source), body)
}

/// Reads as the engine does: on a thread that may block.
async fn read(source: &Arc<SourceObject>, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
    let (source, ranges) = (Arc::clone(source), ranges.to_vec());
    tokio::task::spawn_blocking(move || source.read_ranges(&ranges))
        .await
        .unwrap()
}

fn slices(body: &Bytes, ranges: &[Range<u64>]) -> Vec<Bytes> {
    let slice = |range: &Range<u64>| body.slice(range.start as usize..range.end as usize);
    ranges.iter().map(slice).collect()
}

fn asked(server: &Server) -> Vec<String> {
    let records = server.records_of(Operation::GetObject);
    let mut asked: Vec<_> = records
        .into_iter()
        .map(|record| record.range.unwrap_or_default())
        .collect();
    asked.sort();
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_object_is_read_by_one_request() {
    let server = server();
    let (source, body) = source(&server, 300_000).await;
    let ranges = [0..4, 299_000..300_000, 0..300_000];
    assert_eq!(
        read(&source, &ranges).await.unwrap(),
        slices(&body, &ranges)
    );
    assert_eq!(asked(&server), [""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_opened_by_its_two_ends() {
    let server = server();
    let (source, body) = source(&server, 4 * MIB).await;
    let ranges = [0..4, 4 * MIB - 100_000..4 * MIB];
    assert_eq!(
        read(&source, &ranges).await.unwrap(),
        slices(&body, &ranges)
    );
    assert_eq!(asked(&server), ["bytes=0-3", "bytes=3670016-4194303"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_announced_is_asked_for_once_and_before_it_is_read() {
    let server = server();
    let (source, body) = source(&server, 40 * MIB).await;
    let ranges: Vec<_> = (0..8)
        .map(|at| at * 4 * MIB + 10..(at + 1) * 4 * MIB)
        .collect();
    source.will_read(&ranges);
    // The requests go out although nobody reads.
    while asked(&server).len() < 2 + 16 {
        tokio::task::yield_now().await;
    }
    for range in &ranges {
        let range = std::slice::from_ref(range);
        assert!(read(&source, range).await.unwrap() == slices(&body, range));
    }
    assert_eq!(asked(&server).len(), 2 + 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_that_read_and_announce_across_each_other_get_their_bytes() {
    let server = server();
    let (source, body) = source(&server, 24 * MIB).await;
    let threads = (0..4_u64).map(|thread| {
        let (source, body) = (Arc::clone(&source), body.clone());
        tokio::spawn(async move {
            for step in 0..12_u64 {
                // Windows of neighbours lie between each other, and some overlap.
                let start = step * 2 * MIB + thread * 400_000;
                let ranges = [start..start + 300_000, start + 350_000..start + 500_000];
                let next = ranges
                    .clone()
                    .map(|range| range.start + 2 * MIB..range.end + 2 * MIB);
                if step < 11 && thread != 3 {
                    source.will_read(&next);
                }
                assert!(read(&source, &ranges).await.unwrap() == slices(&body, &ranges));
            }
        })
    });
    for thread in futures::future::join_all(threads).await {
        thread.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_let_go_of() {
    let server = server();
    let (source, body) = source(&server, 12 * MIB).await;
    let (one, other) = (100..MIB, MIB..2 * MIB);
    source.will_read(&[one.clone(), other.clone()]);
    for range in [one.clone(), other] {
        let range = [range];
        assert!(read(&source, &range).await.unwrap() == slices(&body, &range));
    }
    let before = asked(&server).len();
    // It was announced once, and is kept no longer.
    let range = [one];
    assert!(read(&source, &range).await.unwrap() == slices(&body, &range));
    assert_eq!(asked(&server).len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_ahead_is_told_when_it_matters_and_only_then() {
    let server = server();
    let (source, body) = source(&server, 4 * MIB).await;
    let denied = Fault::Refuse(403, "AccessDenied");
    server.rule(Rule::on(Operation::GetObject).once(denied));
    source.will_read(&[100..200]);
    while asked(&server).len() < 3 {
        tokio::task::yield_now().await;
    }
    let ranges = [100..200];
    assert_eq!(
        read(&source, &ranges).await.unwrap(),
        slices(&body, &ranges)
    );

    server.rule(Rule::on(Operation::GetObject).always(denied));
    let error = read(&source, &[300..400]).await.unwrap_err();
    let error = error.downcast::<StoreError>().unwrap();
    assert_eq!(error.kind(), Kind::AccessDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_replaced_is_not_read_on() {
    let server = server();
    let (source, _) = source(&server, 4 * MIB).await;
    server.insert(BUCKET, "k", noise(5 << 20));
    let error = read(&source, &[300..400]).await.unwrap_err();
    let error = error.downcast::<StoreError>().unwrap();
    assert_eq!(error.kind(), Kind::PreconditionFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_beyond_the_end_is_an_error() {
    let server = server();
    let (source, _) = source(&server, 4 * MIB).await;
    let error = read(&source, &[4 * MIB - 1..4 * MIB + 1])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("lie outside the 4194304 bytes"),
        "{error}"
    );
}
