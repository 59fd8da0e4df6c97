//! The file operations behind the store: blocking, and atomic to the outside.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::attributes::{Kept, Sidecars};
use super::files::{self, Staged, etag_of};
use super::{Trouble, walk};
use crate::store::{Kind, Object, Pin, Precondition, UploadId};

/// Folder of everything that is not an output, the control prefix included.
const PRIVATE: &str = "_etl";

/// A directory, with what the store keeps of its own in it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) sidecars: Sidecars,
}

/// Whoever asked for a file operation, as the thread that does it sees him.
#[derive(Debug)]
pub(super) struct Caller(Arc<Mutex<bool>>);

/// Takes the permission to publish away when it is dropped, with the future that
/// holds it.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Mutex<bool>>);

impl Caller {
    pub(super) fn new() -> (Caller, Waiting) {
        let waits = Arc::new(Mutex::new(true));
        (Caller(Arc::clone(&waits)), Waiting(waits))
    }

    /// The permission to publish. While it is held, the caller cannot turn away:
    /// what he does after that comes after the publication.
    fn permission(&self) -> Result<MutexGuard<'_, bool>, Trouble> {
        let waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *waits {
            return Ok(waits);
        }
        let detail = "nobody waits for this write any more";
        Err(Trouble::refused(Kind::Unavailable, detail))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        let sidecars = Sidecars::new(path.join(PRIVATE).join(".attributes"));
        Folder { path, sidecars }
    }

    pub(super) fn lock_file(&self) -> PathBuf {
        self.path.join(PRIVATE).join(".lock")
    }

    /// The file behind a key; refuses keys that would leave the folder.
    pub(super) fn file(&self, key: &str) -> Result<PathBuf, Trouble> {
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

    pub(super) fn staging(&self) -> PathBuf {
        self.path.join(PRIVATE).join(".uploads")
    }

    /// A new file for `key`, in the place of those that a killed process left.
    pub(super) fn stage(&self, key: &str) -> Result<Staged, Trouble> {
        let staging = self.staging();
        for name in files::left_behind(&staging, key)? {
            files::remove_if_present(&staging.join(&name))?;
            self.sidecars.forget_others(&name, "")?;
        }
        Ok(Staged::create(&staging, key)?)
    }

    pub(super) fn head(&self, key: &str) -> Result<Object, Trouble> {
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

    pub(super) fn read(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, Trouble> {
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
    pub(super) fn publish(
        &self,
        key: &str,
        staged: Staged,
        kept: &Kept,
        condition: &Precondition,
        caller: &Caller,
    ) -> Result<String, Trouble> {
        let path = self.file(key)?;
        let parent = path.parent().unwrap_or(&self.path);
        files::create_folders(parent)?;
        // Before the lock, since this may take long.
        staged.sync()?;
        let _lock = files::lock(&self.lock_file())?;
        let _permission = caller.permission()?;
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

pub(super) fn check_pin(pin: &Pin, etag: &str) -> Result<(), Trouble> {
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
pub(super) fn upload_file(staging: &Path, upload: &UploadId) -> Result<PathBuf, Trouble> {
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
