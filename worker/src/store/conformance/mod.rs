//! Probes of an adapter's promises, to be run against any store.
//!
//! The commit protocol is only as good as the store below it, and stores differ
//! from what they claim: run this before trusting one.

mod races;
mod uploads;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use etl_contract::Tag;

pub use races::{completing_races, races, replacing_races};
pub use uploads::{abandoned_uploads, multipart};

use super::{Attributes, Kind, Pin, Precondition, Store, StoreError, crc64, list_all};

/// A promise that was not kept.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// A request failed that should not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A request succeeded, or failed in another way than promised.
    #[error("{probe}: expected {expected}, got {got}")]
    Broken {
        /// The probe.
        probe: &'static str,
        /// What was promised.
        expected: String,
        /// What happened.
        got: String,
    },
}

type Probe = Result<(), Violation>;

fn ensure<T: PartialEq + std::fmt::Debug>(probe: &'static str, expected: &T, got: &T) -> Probe {
    if expected == got {
        return Ok(());
    }
    let (expected, got) = (format!("{expected:?}"), format!("{got:?}"));
    Err(Violation::Broken {
        probe,
        expected,
        got,
    })
}

fn ensure_kind<T>(probe: &'static str, expected: Kind, outcome: Result<T, StoreError>) -> Probe {
    ensure(
        probe,
        &Some(expected),
        &outcome.err().map(|error| error.kind()),
    )
}

/// Runs every probe but [`completing_races`] below `prefix`, which is empty or
/// ends in `/` and holds no objects yet.
pub async fn check(store: &Arc<dyn Store>, prefix: &str) -> Result<(), Violation> {
    let at = |name: &str| format!("{prefix}{name}");
    round_trip(&**store, &at("round-trip")).await?;
    preconditions(&**store, &at("preconditions")).await?;
    pinned_reads(&**store, &at("pinned")).await?;
    listing(&**store, &at("listing/")).await?;
    names(&**store, &at("names/")).await?;
    multipart(&**store, &at("multipart")).await?;
    abandoned_uploads(&**store, &at("abandoned")).await?;
    races(store, &at("races/")).await?;
    replacing_races(store, &at("replacing")).await
}

/// Content, metadata, size and checksum come back as they went.
pub async fn round_trip(store: &dyn Store, key: &str) -> Result<(), Violation> {
    ensure_kind(
        "head of nothing",
        Kind::NotFound,
        store.head(key, &Pin::default()).await,
    )?;
    ensure_kind(
        "get of nothing",
        Kind::NotFound,
        store.get(key, &Pin::default(), None).await,
    )?;
    let attributes = Attributes {
        metadata: [("etl-owner".to_owned(), "c/n/EtlJob/%C3%BC b".to_owned())].into(),
        content_type: Some("application/x-ndjson"),
        storage_class: None,
        tags: vec![Tag {
            key: "team".to_owned(),
            value: "a b".to_owned(),
        }],
    };
    let body = Bytes::from_static(b"0123456789");
    let etag = store
        .put(key, body.clone(), &attributes, &Precondition::Absent)
        .await?;
    let object = store.head(key, &Pin::default()).await?;
    ensure("etag of put and head", &etag, &object.etag)?;
    ensure("size", &10, &object.size)?;
    ensure("metadata", &attributes.metadata, &object.metadata)?;
    if let Some(found) = object.crc64 {
        ensure("checksum", &crc64(&body), &found)?;
    }
    ensure(
        "whole",
        &body,
        &store.get(key, &Pin::default(), None).await?,
    )?;
    let middle = store.get(key, &Pin::default(), Some(3..7)).await?;
    ensure("range", &body.slice(3..7), &middle)?;
    let nothing = store.get(key, &Pin::default(), Some(4..4)).await?;
    ensure("empty range", &Bytes::new(), &nothing)
}

/// Conditions hold one after the other.
pub async fn preconditions(store: &dyn Store, key: &str) -> Result<(), Violation> {
    let put = |body: &'static str, condition: Precondition| async move {
        store
            .put(
                key,
                Bytes::from_static(body.as_bytes()),
                &Attributes::default(),
                &condition,
            )
            .await
    };
    let failed = Kind::PreconditionFailed;
    let foreign = Precondition::Match("\"0-0-0\"".to_owned());
    ensure_kind("match on nothing", failed, put("x", foreign.clone()).await)?;
    let first = put("1", Precondition::Absent).await?;
    ensure_kind(
        "absent on something",
        failed,
        put("x", Precondition::Absent).await,
    )?;
    ensure_kind("match of another", failed, put("x", foreign).await)?;
    let second = put("2", Precondition::Match(first.clone())).await?;
    ensure("a write changes the etag", &true, &(first != second))?;
    ensure_kind(
        "match of the past",
        failed,
        put("x", Precondition::Match(first)).await,
    )?;
    ensure(
        "content",
        &Bytes::from_static(b"2"),
        &store.get(key, &Pin::default(), None).await?,
    )?;
    put("3", Precondition::Any).await?;
    ensure(
        "content",
        &Bytes::from_static(b"3"),
        &store.get(key, &Pin::default(), None).await?,
    )
}

/// A pinned read never sees other content.
pub async fn pinned_reads(store: &dyn Store, key: &str) -> Result<(), Violation> {
    let attributes = Attributes::default();
    let old = store
        .put(
            key,
            Bytes::from_static(b"old"),
            &attributes,
            &Precondition::Absent,
        )
        .await?;
    let pin = Pin {
        etag: Some(old),
        version: None,
    };
    ensure(
        "pinned",
        &Bytes::from_static(b"ld"),
        &store.get(key, &pin, Some(1..3)).await?,
    )?;
    store
        .put(
            key,
            Bytes::from_static(b"new"),
            &attributes,
            &Precondition::Any,
        )
        .await?;
    let failed = Kind::PreconditionFailed;
    ensure_kind(
        "pinned read",
        failed,
        store.get(key, &pin, Some(1..3)).await,
    )?;
    ensure_kind("pinned head", failed, store.head(key, &pin).await)
}

/// Listings are complete and know prefixes that end within a name.
pub async fn listing(store: &dyn Store, prefix: &str) -> Result<(), Violation> {
    let body = Bytes::from_static(b"x");
    let names = [
        "1-a/manifest",
        "1-a/tasks/0",
        "1-a/tasks/10",
        "11-b/manifest",
        "top",
    ];
    for name in names {
        let key = format!("{prefix}{name}");
        store
            .put(
                &key,
                body.clone(),
                &Attributes::default(),
                &Precondition::Absent,
            )
            .await?;
    }
    for (below, expected) in [
        ("", &names[..]),
        ("1-", &names[..3]),
        ("1-a/tasks/", &names[1..3]),
        ("nothing", &[]),
    ] {
        let listed = list_all(store, &format!("{prefix}{below}")).await?;
        let listed: BTreeSet<&str> = listed
            .iter()
            .filter_map(|object| object.key.strip_prefix(prefix))
            .collect();
        ensure("listing", &expected.iter().copied().collect(), &listed)?;
    }
    let listed = list_all(store, &format!("{prefix}top")).await?;
    let head = store.head(&format!("{prefix}top"), &Pin::default()).await?;
    ensure(
        "etag of a listing",
        &Some(&head.etag),
        &listed.first().map(|object| &object.etag),
    )
}

/// Keys keep every character.
pub async fn names(store: &dyn Store, prefix: &str) -> Result<(), Violation> {
    for name in [
        "a b",
        "a+b",
        "a%2Bb",
        "dt=2026-01-01",
        "ä&?#",
        "x/y/z.json.gz",
    ] {
        let key = format!("{prefix}{name}");
        let body = Bytes::from(name.to_owned());
        store
            .put(
                &key,
                body.clone(),
                &Attributes::default(),
                &Precondition::Absent,
            )
            .await?;
        ensure(
            "content by name",
            &body,
            &store.get(&key, &Pin::default(), None).await?,
        )?;
        let listed = list_all(store, &key).await?;
        ensure(
            "listed name",
            &vec![key],
            &listed.into_iter().map(|object| object.key).collect(),
        )?;
    }
    Ok(())
}
