//! Files that appear whole or not at all.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use jiff::Timestamp;

use super::Trouble;
use crate::encode::sha256_hex;
use crate::store::Kind;

/// Identity of a file's content.
pub(super) fn etag_of(metadata: &std::fs::Metadata) -> String {
    format!(
        "\"{:x}-{:x}.{:09}-{:x}\"",
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ino()
    )
}

/// A file that is being written; removed when dropped, unless published or
/// kept.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
    file: File,
    armed: bool,
}

impl Staged {
    /// A new file for `key`. Its name tells the key, not to people but to
    /// [`staged_for`], and nothing else ever chooses the same one.
    pub(super) fn create(staging: &Path, key: &str) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        create_folders(staging)?;
        loop {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let name = format!(
                "{}-{:x}-{:x}-{:x}",
                key_digest(key),
                std::process::id(),
                now.as_nanos(),
                COUNTER.fetch_add(1, Ordering::Relaxed)
            );
            let path = staging.join(name);
            match OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
            {
                Ok(file) => {
                    return Ok(Staged {
                        path,
                        file,
                        armed: true,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn reopen(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Staged {
            path,
            file,
            armed: true,
        })
    }

    pub(super) fn id(&self) -> &str {
        self.path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The etag that the file has now and keeps when it is renamed.
    pub(super) fn etag(&self) -> io::Result<String> {
        Ok(etag_of(&self.file.metadata()?))
    }

    /// Leaves the file where it is.
    pub(super) fn keep(mut self) {
        self.armed = false;
    }

    /// Makes the content durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives the file its final name.
    pub(super) fn publish(mut self, to: &Path, only_new: bool) -> Result<(), Trouble> {
        // The lock keeps our own kind away; a link, unlike a rename, is also
        // refused if anybody else has just made the file.
        if only_new {
            match std::fs::hard_link(&self.path, to) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(Trouble::refused(
                        Kind::PreconditionFailed,
                        "there is a file already",
                    ));
                }
                // Not every file system has hard links.
                Err(_) => {}
            }
        }
        std::fs::rename(&self.path, to)?;
        self.armed = false;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.armed {
            // What is left behind is found again by `staged_for`.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Unfinished files for `key`, with the time they were begun.
pub(super) fn staged_for(staging: &Path, key: &str) -> io::Result<Vec<(String, Timestamp)>> {
    let staged = names_for(staging, key)?.into_iter().filter_map(|name| {
        let nanos = i128::from_str_radix(name.split('-').nth(2)?, 16).ok()?;
        Some((name, Timestamp::from_nanosecond(nanos).ok()?))
    });
    Ok(staged.collect())
}

/// Unfinished files for `key` whose process is gone. Nobody will finish them:
/// another run has another uid, and looks only for its own.
pub(super) fn left_behind(staging: &Path, key: &str) -> io::Result<Vec<String>> {
    let mut names = names_for(staging, key)?;
    names.retain(|name| {
        let process = name
            .split('-')
            .nth(1)
            .and_then(|pid| u32::from_str_radix(pid, 16).ok());
        process.is_some_and(is_gone)
    });
    Ok(names)
}

/// Whether there is certainly no such process. Where the system does not tell,
/// left-over files stay; they are invisible to readers.
fn is_gone(process: u32) -> bool {
    let processes = Path::new("/proc");
    processes.join("self").exists() && !processes.join(process.to_string()).exists()
}

fn names_for(staging: &Path, key: &str) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(staging) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let digest = key_digest(key);
    let mut found = Vec::new();
    for entry in entries {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        if name.split('-').next() == Some(&digest) {
            found.push(name);
        }
    }
    Ok(found)
}

fn key_digest(key: &str) -> String {
    sha256_hex(key.as_bytes())[..32].to_owned()
}

pub(super) fn write_existing(path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all_at(bytes, offset)
}

pub(super) fn read_range(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

/// Waits for the exclusive lock that ends with the returned file.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        create_folders(parent)?;
    }
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    file.lock()?;
    Ok(file)
}

pub(super) fn create_folders(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Makes a new directory entry durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(super) fn remove_if_present(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
