//! Where things are: the repository, the cache, and room for outputs.

use std::env;
use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A file system in memory: what a disk costs is not what is measured.
const MEMORY: &str = "/dev/shm";
const PREFIX: &str = "etl-bench-";
const DEVICE: &str = "/dev/null";

/// The root folder of the sources that this program was built from.
pub(crate) fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("this crate lies in the repository")
}

/// The folder of inputs and rivals: `ETL_BENCH_CACHE`, or `etl-operator-bench`
/// in the user's cache folder.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("ETL_BENCH_CACHE") {
        return Ok(folder.into());
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = cache.or_else(home);
    let cache = cache.context("set ETL_BENCH_CACHE or HOME: no place for the cache")?;
    Ok(cache.join("etl-operator-bench"))
}

/// Room for the output of one run at a time; gone with this value.
pub(crate) struct Room(TempDir);

impl Room {
    pub(crate) fn new() -> Result<Self> {
        sweep()?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir_in(MEMORY)
            .with_context(|| format!("cannot make a folder in {MEMORY}"))?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file name in an empty room.
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf> {
        self.clear()?;
        Ok(self.path().join(name))
    }

    /// A name that leads to the device that discards, in an empty room.
    ///
    /// Some engines write beside their target and rename. Doing so to the
    /// device itself would, for root, put a file in its place for everybody.
    pub(crate) fn discard(&self, name: &str) -> Result<PathBuf> {
        let path = self.file(name)?;
        symlink(DEVICE, &path)?;
        Ok(path)
    }

    /// Insists that the output really went to the device.
    pub(crate) fn check_discarded(&self, path: &Path) -> Result<()> {
        let intact = fs::symlink_metadata(path).is_ok_and(|link| link.is_symlink());
        let alone = fs::read_dir(self.path())?.count() == 1;
        ensure!(
            intact && alone,
            "it wrote a file instead of into the device"
        );
        let device = fs::metadata(DEVICE)?.file_type().is_char_device();
        ensure!(device, "{DEVICE} is no device any more");
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(self.path())? {
            let path = entry?.path();
            let is_folder = fs::symlink_metadata(&path)?.is_dir();
            if is_folder {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Removes the rooms of programs that were ended: they hold gigabytes of memory.
fn sweep() -> Result<()> {
    for entry in fs::read_dir(MEMORY)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let process = rest.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Bytes of a file, or of all files below a folder that are not hidden.
pub(crate) fn size(path: &Path) -> Result<u64> {
    files(path)?
        .iter()
        .map(|file| Ok(fs::metadata(file)?.len()))
        .sum()
}

/// The file itself, or the files below a folder by name, without those that
/// carry no rows: hidden ones and markers.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if !entry.file_name().as_encoded_bytes().starts_with(b".")
            && !entry.file_name().as_encoded_bytes().starts_with(b"_")
        {
            found.extend(files(&entry.path())?);
        }
    }
    Ok(found)
}
