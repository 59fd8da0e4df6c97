//! Objects that are written in parts.

use bytes::Bytes;

use super::{Violation, ensure, ensure_kind};
use crate::store::{
    Attributes, Kind, Part, Pin, Precondition, Slot, Store, StoreError, UploadId, crc64,
};

/// Smallest part that S3 takes, but for the last.
const PART_BYTES: usize = 5 << 20;

/// Where the first part of an upload belongs.
const FIRST: Slot = Slot {
    number: 1,
    offset: 0,
};

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
    let first = whole.slice(..PART_BYTES);
    let first = store.put_part(key, &upload, FIRST, first).await?;
    let (crc, condition) = (crc64(&whole), Precondition::Absent);
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
    let (again, part) = begun(store, key, read).await?;
    let outcome = completed(store, key, &again, &part, &condition).await;
    ensure_kind("complete on something", Kind::PreconditionFailed, outcome)?;
    store.abort_upload(key, &again).await?;
    Ok(())
}

/// An upload that lacks only its completion.
pub(super) async fn begun(
    store: &dyn Store,
    key: &str,
    body: Bytes,
) -> Result<(UploadId, Part), StoreError> {
    let upload = store.begin_upload(key, &Attributes::default()).await?;
    let part = store.put_part(key, &upload, FIRST, body).await?;
    Ok((upload, part))
}

/// Completes what was [`begun`].
pub(super) async fn completed(
    store: &dyn Store,
    key: &str,
    upload: &UploadId,
    part: &Part,
    condition: &Precondition,
) -> Result<String, StoreError> {
    let parts = std::slice::from_ref(part);
    store
        .complete_upload(key, upload, parts, part.crc64, condition)
        .await
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
    let body = Bytes::from_static(b"x");
    let outcome = store.put_part(key, &upload, FIRST, body).await;
    ensure_kind("part of an aborted upload", Kind::NotFound, outcome)?;
    store.abort_upload(&other, &neighbour).await?;
    Ok(())
}
