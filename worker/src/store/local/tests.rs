use std::path::Path;

use super::*;
use crate::store::conformance;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn local_files_keep_the_promises_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(folder.path().to_owned()));
    conformance::check(&store, "suite/").await.unwrap();
    conformance::completing_races(&store, "completing/")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_folder_shows_outputs_and_one_private_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().to_owned());
    let attributes = Attributes::default();
    let body = Bytes::from_static(b"{}\n");
    store
        .put(
            "2021/a.json",
            body.clone(),
            &attributes,
            &Precondition::Absent,
        )
        .await
        .unwrap();
    store
        .put("b.json", body, &attributes, &Precondition::Absent)
        .await
        .unwrap();
    assert_eq!(names(folder.path()), ["2021", "_etl", "b.json"]);
    assert_eq!(names(&folder.path().join("2021")), ["a.json"]);
    assert_eq!(names(&folder.path().join("_etl/.uploads")), [""; 0]);
}

#[tokio::test]
async fn reading_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.parquet"), "x").unwrap();
    let store = LocalStore::new(folder.path().to_owned());
    store.head("a.parquet", &Pin::default()).await.unwrap();
    store.list("", None).await.unwrap();
    store.get("a.parquet", &Pin::default(), None).await.unwrap();
    assert_eq!(names(folder.path()), ["a.parquet"]);
}

#[tokio::test]
async fn a_file_that_is_edited_in_place_no_longer_matches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "one").unwrap();
    let store = LocalStore::new(folder.path().to_owned());
    let etag = store.head("a", &Pin::default()).await.unwrap().etag;
    std::fs::write(&path, "three").unwrap();
    let pin = Pin {
        etag: Some(etag),
        version: None,
    };
    let error = store.get("a", &pin, Some(0..2)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PreconditionFailed);
}

#[tokio::test]
async fn keys_cannot_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    let store = LocalStore::new(inner.clone());
    for key in ["../a", "a/../../b", "/etc/a", "a//b", ""] {
        let outcome = store
            .put(
                key,
                Bytes::new(),
                &Attributes::default(),
                &Precondition::Any,
            )
            .await;
        assert_eq!(outcome.unwrap_err().kind(), Kind::Unsupported, "{key:?}");
    }
    assert!(!inner.exists());
}

#[tokio::test]
async fn metadata_of_a_foreign_file_is_empty_and_not_that_of_its_predecessor() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().to_owned());
    let metadata = [("etl-owner".to_owned(), "me".to_owned())].into();
    let attributes = Attributes {
        metadata,
        ..Attributes::default()
    };
    store
        .put(
            "a",
            Bytes::from_static(b"1"),
            &attributes,
            &Precondition::Absent,
        )
        .await
        .unwrap();
    assert_eq!(
        store.head("a", &Pin::default()).await.unwrap().metadata,
        attributes.metadata
    );
    std::fs::remove_file(folder.path().join("a")).unwrap();
    std::fs::write(folder.path().join("a"), "2").unwrap();
    assert!(
        store
            .head("a", &Pin::default())
            .await
            .unwrap()
            .metadata
            .is_empty()
    );
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().to_owned());
    let lock = files::lock(&store.folder.lock_file()).unwrap();
    let attributes = Attributes::default();
    let body = Bytes::from_static(b"{}\n");
    {
        let mut put = std::pin::pin!(store.put("a", body, &attributes, &Precondition::Any));
        // The file operation begins, and comes as far as the lock.
        assert!(futures::poll!(&mut put).is_pending());
    }
    drop(lock);
    // It ends when it lets go of the folder.
    while Arc::strong_count(&store.folder) > 1 {
        tokio::task::yield_now().await;
    }
    let found = store.head("a", &Pin::default()).await;
    assert_eq!(found.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(names(&folder.path().join("_etl/.uploads")), [""; 0]);
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_when_the_key_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().to_owned());
    let attributes = Attributes {
        content_type: Some("application/json"),
        ..Attributes::default()
    };
    let live = store.begin_upload("a", &attributes).await.unwrap();
    let other = store.begin_upload("b", &attributes).await.unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    // The same names, as the dead process would have chosen them.
    let own = format!("-{:x}-", std::process::id());
    let staging = folder.path().join("_etl/.uploads");
    for upload in [&live, &other] {
        let dead = upload.0.replacen(&own, &format!("-{:x}-", child.id()), 1);
        std::fs::write(staging.join(dead), "half").unwrap();
    }
    assert_eq!(names(&staging).len(), 4);
    let again = store.begin_upload("a", &attributes).await.unwrap();
    let left = names(&staging);
    assert_eq!(left.len(), 4, "{left:?}");
    for kept in [&live, &other, &again] {
        assert!(left.contains(&kept.0), "{left:?}");
    }
    let dead_of_a = left
        .iter()
        .any(|name| name.split('-').next() == live.0.split('-').next() && !name.contains(&own));
    assert!(!dead_of_a, "{left:?}");
}
