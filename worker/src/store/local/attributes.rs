//! What a file system cannot attach to a file: one small JSON file beside it.
//!
//! A sidecar's name holds the etag of the content it describes. It is written
//! before the content appears and the one of the replaced content is removed
//! after, so that a crash in between leaves every object with its own.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use etl_contract::Tag;
use serde::{Deserialize, Serialize};

use super::files::{create_folders, remove_if_present};
use crate::encode::sha256_hex;
use crate::store::Attributes;

/// The content of a sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) crc64: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    storage_class: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
}

impl Kept {
    pub(super) fn new(attributes: Attributes, crc64: Option<u64>) -> Self {
        Kept {
            metadata: attributes.metadata,
            crc64,
            content_type: attributes.content_type.map(str::to_owned),
            storage_class: attributes.storage_class,
            tags: attributes.tags,
        }
    }

    /// Whether an object with these attributes differs from a bare file; the
    /// checksum alone is not worth a file of its own.
    pub(super) fn says_anything(&self) -> bool {
        !self.metadata.is_empty()
            || self.content_type.is_some()
            || self.storage_class.is_some()
            || !self.tags.is_empty()
    }
}

/// The sidecars of one store: a folder per key, a file per etag.
#[derive(Debug)]
pub(super) struct Sidecars {
    folder: PathBuf,
}

impl Sidecars {
    pub(super) fn new(folder: PathBuf) -> Self {
        Sidecars { folder }
    }

    /// Keys can be longer than a file name may be.
    fn of_key(&self, key: &str) -> PathBuf {
        self.folder.join(sha256_hex(key.as_bytes()))
    }

    pub(super) fn read(&self, key: &str, etag: &str) -> io::Result<Option<Kept>> {
        match std::fs::read(self.of_key(key).join(file_name(etag))) {
            // A torn sidecar can only be one whose content never appeared.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&self, key: &str, etag: &str, kept: &Kept) -> io::Result<()> {
        let folder = self.of_key(key);
        create_folders(&folder)?;
        let path = folder.join(file_name(etag));
        std::fs::write(&path, serde_json::to_vec(kept)?)?;
        std::fs::File::open(&path)?.sync_all()
    }

    /// Removes the sidecars of every other content of `key`.
    pub(super) fn forget_others(&self, key: &str, etag: &str) -> io::Result<()> {
        let folder = self.of_key(key);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let current = file_name(etag);
        let mut empty = true;
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_str() == Some(&current) {
                empty = false;
            } else {
                remove_if_present(&entry.path())?;
            }
        }
        if empty {
            // Lost to a writer of the same key, whose folder it then is.
            let _ = std::fs::remove_dir(&folder);
        }
        Ok(())
    }
}

fn file_name(etag: &str) -> String {
    format!("{}.json", etag.trim_matches('"'))
}
