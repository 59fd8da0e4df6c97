//! Listing a directory tree as keys.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::files::etag_of;
use crate::store::Object;

pub(super) fn object(key: &str, metadata: &Metadata) -> Object {
    Object {
        key: key.to_owned(),
        etag: etag_of(metadata),
        version: None,
        size: metadata.len(),
        modified: metadata
            .modified()
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok()),
        metadata: Default::default(),
        crc64: None,
    }
}

/// All files whose key begins with `prefix`, in key order. Hidden folders
/// (`.name`) hold no objects.
pub(super) fn list(root: &Path, prefix: &str) -> io::Result<Vec<Object>> {
    let folder = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
    let mut objects = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        let entries = match std::fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            // Also a folder that is removed while it is being listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                tracing::warn!(path = %entry.path().display(), "A file name is not UTF-8.");
                continue;
            };
            let key = format!("{folder}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let below = format!("{key}/");
                let related = below.starts_with(prefix) || prefix.starts_with(&below);
                if related && !name.starts_with('.') {
                    pending.push(below);
                }
            } else if key.starts_with(prefix)
                && let Some(metadata) = file_metadata(&entry.path())?
            {
                objects.push(object(&key, &metadata));
            }
        }
    }
    objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(objects)
}

/// Follows links to files, never to folders: a tree of links may have no end.
fn file_metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
