//! Probes of an adapter's promises, to be run against any store.
//!
//! The commit protocol is only as good as the store below it, and stores differ
//! from what they claim: run this before trusting one.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use etl_contract::Tag;
use futures::future::join_all;

use super::{Attributes, Kind, Pin, Precondition, Slot, Store, StoreError, crc64, list_all};

/// Writers of a race.
const WRITERS: usize = 8;

/// Races in a row: a check that is not atomic passes one by luck.
const RACES: usize = 5;

/// Smallest part that S3 takes, but for the last.
const PART_BYTES: usize = 5 << 20;

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

/// Runs every probe below `prefix`, which is empty or ends in `/` and holds no
/// objects yet.
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

/// Parts make one object, with the attributes given at the beginning.
pub async fn multipart(store: &dyn Store, key: &str) -> Result<(), Violation> {
    let whole: Bytes = (0..PART_BYTES + 1000)
        .map(|index| (index % 251) as u8)
        .collect();
    let attributes = Attributes {
        metadata: [("etl-run".to_owned(), "u/1-0".to_owned())].into(),
        ..Attributes::default()
    };
    let upload = store.begin_upload(key, &attributes).await?;
    ensure_kind(
        "unfinished",
        Kind::NotFound,
        store.head(key, &Pin::default()).await,
    )?;
    // The last part first: order is the store's business.
    let second = Slot {
        number: 2,
        offset: PART_BYTES as u64,
    };
    let second = store
        .put_part(key, &upload, second, whole.slice(PART_BYTES..))
        .await?;
    let first = Slot {
        number: 1,
        offset: 0,
    };
    let first = store
        .put_part(key, &upload, first, whole.slice(..PART_BYTES))
        .await?;
    let crc = crc64(&whole);
    let condition = Precondition::Absent;
    store
        .complete_upload(key, &upload, &[first, second], crc, &condition)
        .await?;
    let object = store.head(key, &Pin::default()).await?;
    ensure("size of the parts", &(whole.len() as u64), &object.size)?;
    ensure(
        "metadata of the upload",
        &attributes.metadata,
        &object.metadata,
    )?;
    let read = store.get(key, &Pin::default(), None).await?;
    ensure("content of the parts", &true, &(read == whole))?;
    let again = store.begin_upload(key, &attributes).await?;
    let only = store
        .put_part(
            key,
            &again,
            Slot {
                number: 1,
                offset: 0,
            },
            read,
        )
        .await?;
    let outcome = store
        .complete_upload(key, &again, &[only], crc, &condition)
        .await;
    ensure_kind("complete on something", Kind::PreconditionFailed, outcome)?;
    store.abort_upload(key, &again).await?;
    Ok(())
}

/// Unfinished uploads are listed by their exact key, and can be aborted.
pub async fn abandoned_uploads(store: &dyn Store, key: &str) -> Result<(), Violation> {
    let upload = store.begin_upload(key, &Attributes::default()).await?;
    let other = format!("{key}-other");
    let neighbour = store.begin_upload(&other, &Attributes::default()).await?;
    let pending = store.uploads(key).await?;
    ensure(
        "pending",
        &vec![&upload],
        &pending.iter().map(|pending| &pending.id).collect(),
    )?;
    store.abort_upload(key, &upload).await?;
    store.abort_upload(key, &upload).await?;
    ensure("aborted", &0, &store.uploads(key).await?.len())?;
    let part = Slot {
        number: 1,
        offset: 0,
    };
    let outcome = store
        .put_part(key, &upload, part, Bytes::from_static(b"x"))
        .await;
    ensure_kind("part of an aborted upload", Kind::NotFound, outcome)?;
    store.abort_upload(&other, &neighbour).await?;
    Ok(())
}

/// Of many writers on the condition that there is nothing, one succeeds.
pub async fn races(store: &Arc<dyn Store>, prefix: &str) -> Result<(), Violation> {
    for race in 0..RACES {
        one_winner(store, &format!("{prefix}{race}"), &Precondition::Absent).await?;
    }
    Ok(())
}

/// Of many writers that replace the same content, one succeeds.
pub async fn replacing_races(store: &Arc<dyn Store>, key: &str) -> Result<(), Violation> {
    let body = Bytes::from_static(b"0");
    let mut etag = store
        .put(key, body, &Attributes::default(), &Precondition::Absent)
        .await?;
    for _ in 0..RACES {
        one_winner(store, key, &Precondition::Match(etag)).await?;
        etag = store.head(key, &Pin::default()).await?.etag;
    }
    Ok(())
}

async fn one_winner(store: &Arc<dyn Store>, key: &str, condition: &Precondition) -> Probe {
    let before = match condition {
        Precondition::Match(etag) => etag.clone(),
        Precondition::Any | Precondition::Absent => "nothing".to_owned(),
    };
    let writers = (0..WRITERS).map(|writer| {
        let (store, key, condition) = (Arc::clone(store), key.to_owned(), condition.clone());
        let body = Bytes::from(format!("writer {writer} after {before}"));
        tokio::spawn(async move {
            let put = store
                .put(&key, body.clone(), &Attributes::default(), &condition)
                .await;
            (put, body)
        })
    });
    let mut winners = Vec::new();
    for ended in join_all(writers).await {
        let Ok((put, body)) = ended else { continue };
        match put {
            Ok(_) => winners.push(body),
            // A store may ask a racing writer to come again.
            Err(error) if matches!(error.kind(), Kind::PreconditionFailed | Kind::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    ensure("winners of a race", &1, &winners.len())?;
    let content = store.get(key, &Pin::default(), None).await?;
    ensure("content after a race", &winners.first(), &Some(&content))
}
