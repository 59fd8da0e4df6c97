//! Several writers at once.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::uploads::{begun, completed};
use super::{Probe, Violation, ensure};
use crate::store::{Attributes, Kind, Pin, Precondition, Store, StoreError};

/// Writers of a race.
const WRITERS: usize = 8;

/// Races in a row: a check that is not atomic passes one by luck.
const RACES: usize = 5;

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

/// Of many uploads that are completed on the condition that there is nothing, one
/// succeeds.
///
/// Not every store keeps this, and most work does without: it is needed where two
/// owners may compete for one key with outputs above 16 MiB.
pub async fn completing_races(store: &Arc<dyn Store>, prefix: &str) -> Result<(), Violation> {
    for race in 0..RACES {
        let key = format!("{prefix}{race}");
        let mut ready = Vec::new();
        for writer in 0..WRITERS {
            let body = Bytes::from(format!("writer {writer}"));
            ready.push((begun(&**store, &key, body.clone()).await?, body));
        }
        let writers = ready.into_iter().map(|((upload, part), body)| {
            let (store, key) = (Arc::clone(store), key.clone());
            tokio::spawn(async move {
                let absent = Precondition::Absent;
                let written = completed(&*store, &key, &upload, &part, &absent).await;
                if written.is_err() {
                    // What cannot be aborted is left to the bucket's lifecycle.
                    let _ = store.abort_upload(&key, &upload).await;
                }
                (written, body)
            })
        });
        let ended = join_all(writers).await.into_iter().flatten();
        the_only_winner(&**store, &key, ended).await?;
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
    the_only_winner(&**store, key, join_all(writers).await.into_iter().flatten()).await
}

async fn the_only_winner(
    store: &dyn Store,
    key: &str,
    ended: impl Iterator<Item = (Result<String, StoreError>, Bytes)>,
) -> Probe {
    let mut winners = Vec::new();
    for (written, body) in ended {
        match written {
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
