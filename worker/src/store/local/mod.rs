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
mod walk;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Attributes, Kind, Object, Page, Part, PendingUpload, Pin, Precondition, Slot, Store,
    StoreError, UploadId, crc64,
};
use crate::uri::Root;
use attributes::Sidecars;
use files::{Staged, etag_of};

/// Folder of everything that is not an output, the control prefix included.
const PRIVATE: &str = "_etl";

/// A directory.
#[derive(Debug)]
pub struct LocalStore {
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    sidecars: Sidecars,
}

impl LocalStore {
    /// The store on `folder`, which need not exist before the first write.
    pub fn new(folder: PathBuf) -> Self {
        let sidecars = Sidecars::new(folder.join(PRIVATE).join(".attributes"));
        LocalStore {
            folder: Arc::new(Folder {
                path: folder,
                sidecars,
            }),
        }
    }

    /// Runs blocking file work beside the asynchronous threads.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl FnOnce(&Folder, &str) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = Arc::clone(&self.folder);
        let owned = key.to_owned();
        let outcome = tokio::task::spawn_blocking(move || work(&folder, &owned)).await;
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

impl Folder {
    /// The file behind a key; refuses keys that would leave the folder.
    fn file(&self, key: &str) -> Result<PathBuf, Trouble> {
        let safe = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains('\0');
        if key.split('/').all(safe) {
            Ok(self.path.join(key))
        } else {
            Err(Trouble::refused(
                Kind::Unsupported,
                "a file cannot have this name",
            ))
        }
    }

    fn staging(&self) -> PathBuf {
        self.path.join(PRIVATE).join(".uploads")
    }

    fn head(&self, key: &str) -> Result<Object, Trouble> {
        let path = self.file(key)?;
        // A writer may replace file and sidecar between the two looks; its
        // sidecar is in place before the file is.
        for _ in 0..8 {
            let metadata = std::fs::metadata(&path)?;
            if !metadata.is_file() {
                return Err(Trouble::refused(Kind::NotFound, "this is not a file"));
            }
            let object = walk::object(key, &metadata);
            let kept = self.sidecars.read(key, &object.etag)?;
            if etag_of(&std::fs::metadata(&path)?) == object.etag {
                return Ok(match kept {
                    Some(kept) => Object {
                        metadata: kept.metadata,
                        crc64: kept.crc64,
                        ..object
                    },
                    None => object,
                });
            }
        }
        Err(Trouble::refused(
            Kind::Unavailable,
            "the file keeps changing",
        ))
    }

    fn read(&self, key: &str, pin: &Pin, range: Option<Range<u64>>) -> Result<Bytes, Trouble> {
        let file = File::open(self.file(key)?)?;
        let before = file.metadata()?;
        check_pin(pin, &etag_of(&before))?;
        let range = range.unwrap_or(0..before.len());
        if range.end > before.len() || range.start > range.end {
            let detail = format!("the file has {} bytes", before.len());
            return Err(Trouble::refused(Kind::Other, detail));
        }
        let bytes = files::read_range(&file, range)?;
        // Bytes that were edited in place while they were read belong to
        // neither version.
        check_pin(pin, &etag_of(&file.metadata()?))?;
        Ok(bytes)
    }

    /// Moves a finished file to its key, if the condition holds.
    fn publish(
        &self,
        key: &str,
        staged: Staged,
        kept: &attributes::Kept,
        condition: &Precondition,
    ) -> Result<String, Trouble> {
        let path = self.file(key)?;
        let parent = path.parent().unwrap_or(&self.path);
        files::create_folders(parent)?;
        let _lock = files::lock(&self.path.join(PRIVATE).join(".lock"))?;
        let present = match std::fs::metadata(&path) {
            Ok(metadata) => Some(etag_of(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        check_condition(condition, present.as_deref())?;
        let etag = staged.etag()?;
        if kept.says_anything() {
            self.sidecars.write(key, &etag, kept)?;
        }
        staged.publish(&path, matches!(condition, Precondition::Absent))?;
        files::sync_folder(parent)?;
        // The attributes of what was replaced describe nothing any more.
        self.sidecars.forget_others(key, &etag)?;
        Ok(etag)
    }
}

fn check_pin(pin: &Pin, etag: &str) -> Result<(), Trouble> {
    if pin.version.is_some() {
        return Err(Trouble::refused(
            Kind::Unsupported,
            "files have no versions",
        ));
    }
    match &pin.etag {
        Some(expected) if expected != etag => Err(Trouble::refused(
            Kind::PreconditionFailed,
            "the file is not the expected one",
        )),
        _ => Ok(()),
    }
}

fn check_condition(condition: &Precondition, present: Option<&str>) -> Result<(), Trouble> {
    let detail = match (condition, present) {
        (Precondition::Any, _) | (Precondition::Absent, None) => return Ok(()),
        (Precondition::Match(expected), Some(etag)) if expected == etag => return Ok(()),
        (Precondition::Absent, Some(_)) => "there is a file already",
        (Precondition::Match(_), Some(_)) => "the file to be replaced has changed",
        (Precondition::Match(_), None) => "the file to be replaced is gone",
    };
    Err(Trouble::refused(Kind::PreconditionFailed, detail))
}

/// Upload ids become file names, and must not become anything else.
fn upload_file(staging: &Path, upload: &UploadId) -> Result<PathBuf, Trouble> {
    if upload
        .0
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        Ok(staging.join(&upload.0))
    } else {
        Err(Trouble::refused(Kind::NotFound, "there is no such upload"))
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
        self.blocking("look at", key, move |folder, key| {
            let object = folder.head(key)?;
            check_pin(&pin, &object.etag)?;
            Ok(object)
        })
        .await
    }

    async fn list(&self, prefix: &str, _page: Option<&str>) -> Result<Page, StoreError> {
        self.blocking("list", prefix, |folder, prefix| {
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
        self.blocking("read", key, move |folder, key| {
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
        self.blocking("write", key, move |folder, key| {
            folder.file(key)?;
            let staged = Staged::create(&folder.staging(), key)?;
            staged.write_at(0, &body)?;
            let kept = attributes::Kept::new(attributes, Some(crc64(&body)));
            folder.publish(key, staged, &kept, &condition)
        })
        .await
    }

    async fn begin_upload(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<UploadId, StoreError> {
        let attributes = attributes.clone();
        self.blocking("write", key, move |folder, key| {
            folder.file(key)?;
            let staged = Staged::create(&folder.staging(), key)?;
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
        self.blocking("write", key, move |folder, _| {
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
        self.blocking("write", key, move |folder, key| {
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
            match folder.publish(key, staged, &kept, &condition) {
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
        self.blocking("abort the upload of", key, move |folder, _| {
            files::remove_if_present(&upload_file(&folder.staging(), &upload)?)?;
            folder.sidecars.forget_others(&upload.0, "")?;
            Ok(())
        })
        .await
    }

    async fn uploads(&self, key: &str) -> Result<Vec<PendingUpload>, StoreError> {
        self.blocking("list uploads of", key, |folder, key| {
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
