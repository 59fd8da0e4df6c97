//! Each fault of a write: done once, or the right failure.

use std::time::{Duration, Instant};

use bytes::Bytes;
use etl_faulty_s3::{Fault, Operation, Rule};
use etl_worker::store::{Attributes, Kind, Part, Precondition, Slot, Store, UploadId, crc64};

use crate::{BUCKET, noise, server, store};

const FIRST: Slot = Slot {
    number: 1,
    offset: 0,
};

/// An upload of one part that waits for its completion.
async fn uploaded(store: &dyn Store, body: &Bytes) -> (UploadId, Part) {
    let begun = store.begin_upload("k", &Attributes::default()).await;
    let upload = begun.unwrap();
    let part = store.put_part("k", &upload, FIRST, body.clone()).await;
    (upload, part.unwrap())
}

/// Faults after which the SDK comes again by itself.
const PASSING: [Fault; 5] = [
    Fault::SLOW_DOWN,
    Fault::INTERNAL_ERROR,
    Fault::UNAVAILABLE,
    Fault::Reset,
    Fault::Refuse(500, ""),
];

async fn put(store: &dyn Store, body: &'static str) -> Result<String, Kind> {
    let (body, absent) = (Bytes::from_static(body.as_bytes()), Precondition::Absent);
    store
        .put("k", body, &Attributes::default(), &absent)
        .await
        .map_err(|error| error.kind())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_outlives_every_fault_before_its_effect() {
    for fault in PASSING {
        let server = server();
        server.rule(Rule::on(Operation::PutObject).once(fault));
        put(&*store(&server), "x").await.unwrap();
        assert_eq!(server.object(BUCKET, "k").unwrap(), "x", "{fault:?}");
        assert_eq!(
            server.records_of(Operation::PutObject).len(),
            2,
            "{fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_may_ask_to_slow_down_for_longer_than_the_sdk_asks() {
    let server = server();
    server.rule(Rule::on(Operation::PutObject).times(6, Fault::SLOW_DOWN));
    put(&*store(&server), "x").await.unwrap();
    assert_eq!(server.object(BUCKET, "k").unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_nobody_takes_is_sent_again() {
    let server = server();
    let store = store(&server);
    // More than the buffers of the line hold.
    let body = noise(24 << 20);
    let upload = store
        .begin_upload("k", &Attributes::default())
        .await
        .unwrap();
    let write = || store.put_part("k", &upload, FIRST, body.clone());
    for _ in 0..8 {
        write().await.unwrap();
    }
    let rule = Rule::on(Operation::UploadPart);
    server.rule(rule.once(Fault::StallIntake(100_000)));
    let started = Instant::now();
    assert_eq!(write().await.unwrap().crc64, crc64(&body));
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(server.records_of(Operation::UploadPart).len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_reply_is_lost_is_never_called_a_clean_failure() {
    // The SDK repeats the request, and meets its own first success.
    for fault in [
        Fault::LostReply,
        Fault::RefuseAfterEffect(500, "InternalError"),
    ] {
        let server = server();
        server.rule(Rule::on(Operation::PutObject).once(fault));
        let outcome = put(&*store(&server), "x").await;
        assert_eq!(outcome, Err(Kind::PreconditionFailed), "{fault:?}");
        assert_eq!(server.object(BUCKET, "k").unwrap(), "x", "{fault:?}");
    }
    for fault in [
        Fault::INTERNAL_ERROR,
        Fault::Reset,
        Fault::RefuseAfterEffect(503, "ServiceUnavailable"),
    ] {
        let server = server();
        server.rule(Rule::on(Operation::PutObject).always(fault));
        let outcome = put(&*store(&server), "x").await;
        assert_eq!(outcome, Err(Kind::Unknown), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_and_its_upload_outlive_every_fault_before_their_effect() {
    for operation in [
        Operation::CreateMultipartUpload,
        Operation::UploadPart,
        Operation::CompleteMultipartUpload,
        Operation::AbortMultipartUpload,
        Operation::ListMultipartUploads,
    ] {
        for fault in PASSING {
            let server = server();
            server.rule(Rule::on(operation).once(fault));
            let store = store(&server);
            let body = noise(100);
            let key = "k";
            let upload = store
                .begin_upload(key, &Attributes::default())
                .await
                .unwrap();
            let part = store
                .put_part(key, &upload, FIRST, body.clone())
                .await
                .unwrap();
            store
                .complete_upload(key, &upload, &[part], crc64(&body), &Precondition::Absent)
                .await
                .unwrap();
            let other = store
                .begin_upload(key, &Attributes::default())
                .await
                .unwrap();
            assert_eq!(store.uploads(key).await.unwrap().len(), 1);
            store.abort_upload(key, &other).await.unwrap();
            assert!(
                server.object(BUCKET, key).unwrap() == body,
                "{operation:?} {fault:?}"
            );
            assert_eq!(server.uploads(BUCKET), 0, "{operation:?} {fault:?}");
            let struck = server.records().into_iter().filter(|it| it.fault.is_some());
            assert_eq!(struck.count(), 1, "{operation:?} {fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_an_upload_whose_reply_is_lost_is_to_be_looked_up() {
    for fault in [
        Fault::LostReply,
        Fault::RefuseAfterEffect(500, "InternalError"),
    ] {
        let server = server();
        server.rule(Rule::on(Operation::CompleteMultipartUpload).once(fault));
        let store = store(&server);
        let body = noise(100);
        let (upload, part) = uploaded(&*store, &body).await;
        let outcome = store
            .complete_upload("k", &upload, &[part], crc64(&body), &Precondition::Absent)
            .await;
        let kind = outcome.unwrap_err().kind();
        assert!(
            matches!(kind, Kind::PreconditionFailed | Kind::NotFound),
            "{fault:?}: {kind:?}"
        );
        assert!(server.object(BUCKET, "k").unwrap() == body, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_an_answer_of_status_200_is_an_error() {
    let server = server();
    let rule = Rule::on(Operation::CompleteMultipartUpload);
    server.rule(rule.always(Fault::LateError("InternalError")));
    let store = store(&server);
    let body = noise(100);
    let (upload, part) = uploaded(&*store, &body).await;
    let outcome = store
        .complete_upload("k", &upload, &[part], crc64(&body), &Precondition::Absent)
        .await;
    assert_eq!(outcome.unwrap_err().kind(), Kind::Unknown);
    assert_eq!(server.object(BUCKET, "k"), None);
}
