//! Where a lab keeps its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cache;

/// The repository's root folder.
#[must_use]
pub fn repository() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder)
}

/// The folder of one lab and the places in it.
#[derive(Debug, Clone)]
pub struct Layout {
    name: String,
    root: PathBuf,
}

impl Layout {
    /// The layout of the lab called `name`, whether it exists or not.
    ///
    /// # Errors
    /// A name that cannot be part of a path, a cgroup and a network namespace,
    /// or a cache folder that a node would hide from itself.
    pub fn of(name: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !name.is_empty() && name.len() <= 30 && name.chars().all(fits),
            "lab name {name:?}: use up to 30 of a-z, 0-9 and -"
        );
        let root = Self::all()?.join(name);
        // Nodes cover these with a folder of their own.
        ensure!(
            !root.starts_with("/run") && !root.starts_with("/var/log"),
            "the lab cannot live in {}: set ETL_LAB_CACHE to another folder",
            root.display()
        );
        Ok(Self {
            name: name.to_owned(),
            root,
        })
    }

    /// The folder that the labs of this machine are in.
    pub(crate) fn all() -> Result<PathBuf> {
        Ok(cache::root()?.join("labs"))
    }

    /// The name of the lab.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that holds everything of this lab.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Logs of every part, one file each; kept when the lab is stopped.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of("admin")
    }

    /// Scripts named `kubectl` and `helm` that work from outside the lab.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    pub(crate) fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.root.join(format!("{user}.kubeconfig"))
    }

    /// Certificates and keys: `ca.crt`, `apiserver.crt`, `apiserver.key` and more.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    pub(crate) fn node(&self, node: &str) -> PathBuf {
        self.root.join("nodes").join(node)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.with_extension("lock")
    }

    pub(crate) fn netns(&self) -> String {
        format!("etl-lab-{}", self.name)
    }

    pub(crate) fn netns_path(&self) -> PathBuf {
        Path::new("/run/netns").join(self.netns())
    }

    /// Path of the lab's cgroup below the root of each hierarchy.
    pub(crate) fn cgroup(&self) -> PathBuf {
        PathBuf::from(self.netns())
    }

    /// Creates the folders anew; whatever was there is gone.
    pub(crate) fn create(&self) -> Result<()> {
        self.remove()?;
        for folder in [self.pki(), self.log(), self.bin(), self.root.join("nodes")] {
            create_dir(&folder)?;
        }
        Ok(())
    }

    /// Removes all data but the logs.
    pub(crate) fn remove_data(&self) -> Result<()> {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return Ok(());
        };
        for entry in entries {
            let path = entry?.path();
            if path == self.log() {
                continue;
            }
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Removes the folder of a stopped lab once nothing in its logs is younger
    /// than `age`.
    pub(crate) fn remove_old_log(&self, age: Duration) -> Result<()> {
        let young = |entry: fs::DirEntry| {
            let changed = entry.metadata().and_then(|metadata| metadata.modified());
            changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|elapsed| elapsed < age))
        };
        let any_young = fs::read_dir(self.log()).is_ok_and(|log| log.flatten().any(young));
        if any_young { Ok(()) } else { self.remove() }
    }

    fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.root.display()))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
