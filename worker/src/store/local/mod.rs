//! Files as objects, for runs without a cloud.
//!
//! Below its folder the store keeps everything of its own in `_etl/`:
//! `_etl/.attributes/` holds what a file system cannot attach to a file,
//! `_etl/.uploads/` unfinished writes, and `_etl/.lock` makes preconditions
//! atomic between processes. Reading creates none of them.
//!
//! An etag is made of size, modification time and inode. A write goes to a new
//! file that is renamed into place, so every write changes the etag; an edit in
//! place changes the modification time.

mod attributes;
mod files;
mod folder;
mod walk;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Attributes, Kind, Object, Page, Part, PendingUpload, Pin, Precondition, Slot, Store,
    StoreError, UploadId, crc64,
};
use crate::uri::Root;
use files::Staged;
use folder::{Caller, Folder, check_pin, upload_file};

/// A directory.
#[derive(Debug)]
pub struct LocalStore {
    folder: Arc<Folder>,
}

impl LocalStore {
    /// The store on `folder`, which need not exist before the first write.
    pub fn new(folder: PathBuf) -> Self {
        LocalStore {
            folder: Arc::new(Folder::new(folder)),
        }
    }

    /// Runs blocking file work beside the asynchronous threads. It cannot be
    /// stopped, but once the future is dropped it publishes nothing any more.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl FnOnce(&Folder, &str, &Caller) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = Arc::clone(&self.folder);
        let owned = key.to_owned();
        let (caller, _waiting) = Caller::new();
        let outcome = tokio::task::spawn_blocking(move || work(&folder, &owned, &caller)).await;
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(trouble)) => Err(trouble.into_error(operation, self.uri(key))),
            Err(panic) => Err(StoreError::new(
                Kind::Other,
                operation,
                self.uri(key),
                "the file operation panicked",
            )
            .with_source(panic)),
        }
    }
}

/// A failed file operation, before it knows what it was part of.
#[derive(Debug)]
enum Trouble {
    Io(io::Error),
    Refused(Kind, String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl Trouble {
    fn refused(kind: Kind, detail: impl Into<String>) -> Self {
        Trouble::Refused(kind, detail.into())
    }

    fn into_error(self, operation: &'static str, uri: String) -> StoreError {
        match self {
            Trouble::Refused(kind, detail) => StoreError::new(kind, operation, uri, detail),
            Trouble::Io(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::NotFound => Kind::NotFound,
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        Kind::AccessDenied
                    }
                    _ => Kind::Other,
                };
                StoreError::new(kind, operation, uri, error.to_string()).with_source(error)
            }
        }
    }
}

#[async_trait]
impl Store for LocalStore {
    fn uri(&self, key: &str) -> String {
        format!(
            "{}{key}",
            Root::File {
                folder: self.folder.path.clone()
            }
        )
    }

    async fn head(&self, key: &str, pin: &Pin) -> Result<Object, StoreError> {
        let pin = pin.clone();
        self.blocking("look at", key, move |folder, key, _caller| {
            let object = folder.head(key)?;
            check_pin(&pin, &object.etag)?;
            Ok(object)
        })
        .await
    }

    async fn list(&self, prefix: &str, _page: Option<&str>) -> Result<Page, StoreError> {
        self.blocking("list", prefix, |folder, prefix, _caller| {
            Ok(Page {
                objects: walk::list(&folder.path, prefix)?,
                next: None,
            })
        })
        .await
    }

    async fn get(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, StoreError> {
        let pin = pin.clone();
        self.blocking("read", key, move |folder, key, _caller| {
            folder.read(key, &pin, range)
        })
        .await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        attributes: &Attributes,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        let (attributes, condition) = (attributes.clone(), condition.clone());
        self.blocking("write", key, move |folder, key, caller| {
            folder.file(key)?;
            let staged = folder.stage(key)?;
            staged.write_at(0, &body)?;
            let kept = attributes::Kept::new(attributes, Some(crc64(&body)));
            folder.publish(key, staged, &kept, &condition, caller)
        })
        .await
    }

    async fn begin_upload(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<UploadId, StoreError> {
        let attributes = attributes.clone();
        self.blocking("write", key, move |folder, key, _caller| {
            folder.file(key)?;
            let staged = folder.stage(key)?;
            let id = staged.id().to_owned();
            // Kept under the upload's name until the object has an etag.
            folder
                .sidecars
                .write(&id, "upload", &attributes::Kept::new(attributes, None))?;
            staged.keep();
            Ok(UploadId(id))
        })
        .await
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &UploadId,
        slot: Slot,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        let upload = upload.clone();
        self.blocking("write", key, move |folder, _key, _caller| {
            let path = upload_file(&folder.staging(), &upload)?;
            files::write_existing(&path, slot.offset, &body)?;
            let (size, crc64) = (body.len() as u64, crc64(&body));
            Ok(Part {
                number: slot.number,
                etag: format!("{crc64:016x}"),
                size,
                crc64,
            })
        })
        .await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        crc64: u64,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        let (upload, condition) = (upload.clone(), condition.clone());
        let expected: u64 = parts.iter().map(|part| part.size).sum();
        self.blocking("write", key, move |folder, key, caller| {
            let path = upload_file(&folder.staging(), &upload)?;
            let Some(mut kept) = folder.sidecars.read(&upload.0, "upload")? else {
                return Err(Trouble::refused(Kind::NotFound, "there is no such upload"));
            };
            kept.crc64 = Some(crc64);
            let staged = Staged::reopen(path)?;
            if staged.size()? != expected {
                staged.keep();
                return Err(Trouble::refused(Kind::Other, "the parts leave a hole"));
            }
            match folder.publish(key, staged, &kept, &condition, caller) {
                Ok(etag) => {
                    folder.sidecars.forget_others(&upload.0, "")?;
                    Ok(etag)
                }
                Err(trouble) => Err(trouble),
            }
        })
        .await
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<(), StoreError> {
        let upload = upload.clone();
        self.blocking("abort the upload of", key, move |folder, _key, _caller| {
            files::remove_if_present(&upload_file(&folder.staging(), &upload)?)?;
            folder.sidecars.forget_others(&upload.0, "")?;
            Ok(())
        })
        .await
    }

    async fn uploads(&self, key: &str) -> Result<Vec<PendingUpload>, StoreError> {
        self.blocking("list uploads of", key, |folder, key, _caller| {
            Ok(files::staged_for(&folder.staging(), key)?
                .into_iter()
                .map(|(id, started)| PendingUpload {
                    id: UploadId(id),
                    started,
                })
                .collect())
        })
        .await
    }
}

#[cfg(test)]
mod tests;
