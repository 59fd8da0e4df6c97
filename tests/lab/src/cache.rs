//! The programs that a lab is made of, each built or fetched once per machine.
//!
//! They live outside the checkout, in a folder per artefact and version. An
//! artefact is made under a lock and under another name, and gets its own when
//! it is complete: two labs may start at the same time on an empty cache.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use crate::image::sha256;
use crate::layout::create_dir;

mod debian;
mod recipes;

pub use debian::is_root;

/// The folder that holds artefacts and labs: `ETL_LAB_CACHE`, or
/// `etl-operator-lab` in the user's cache folder.
///
/// # Errors
/// Neither is set and there is no home folder.
pub fn root() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("ETL_LAB_CACHE") {
        return Ok(PathBuf::from(folder));
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = cache
        .or_else(home)
        .context("set ETL_LAB_CACHE or HOME: no place for the cache")?;
    Ok(cache.join("etl-operator-lab"))
}

/// The version of kwok that [`Artefacts::kwok`] makes.
#[must_use]
pub fn kwok_version() -> &'static str {
    recipes::KWOK.rsplit('@').next().unwrap_or_default()
}

/// Where the artefacts are.
#[derive(Debug, Clone)]
pub struct Artefacts {
    controlplane: PathBuf,
    helm: PathBuf,
    python: PathBuf,
    dynamodb: PathBuf,
}

impl Artefacts {
    /// The artefacts, made now if this machine does not have them yet. That
    /// takes minutes and the network; later calls take neither.
    ///
    /// # Errors
    /// Missing system packages that this user may not install, each named; a
    /// build or a download that fails.
    pub fn ensure() -> Result<Self> {
        create_dir(&root()?.join("log"))?;
        debian::ensure_runtime()?;
        let [controlplane, helm, python, dynamodb] = recipes::all()?;
        let missing = [&controlplane, &helm, &python, &dynamodb].map(|a| !a.is_there());
        debian::ensure_builders(missing[2], missing[3])?;
        thread::scope(|scope| {
            // The Go builds want every processor, the others the network.
            let go = scope.spawn(|| Ok((controlplane.provide()?, helm.provide()?)));
            let python = scope.spawn(|| python.provide());
            let dynamodb = scope.spawn(|| dynamodb.provide());
            let (controlplane, helm) = join(go)?;
            Ok(Self {
                controlplane,
                helm,
                python: join(python)?,
                dynamodb: join(dynamodb)?,
            })
        })
    }

    /// Helm alone, for checks that need no lab.
    ///
    /// # Errors
    /// A build that fails.
    pub fn helm_only() -> Result<PathBuf> {
        create_dir(&root()?.join("log"))?;
        let [_, helm, _, _] = recipes::all()?;
        Ok(helm.provide()?.join("helm"))
    }

    /// kwok, which pretends to be the kubelets of nodes that are not there. Made on
    /// its first use: no test needs it.
    ///
    /// # Errors
    /// A build that fails.
    pub fn kwok(&self) -> Result<PathBuf> {
        Ok(recipes::kwok()?.provide()?.join("kwok"))
    }

    /// The folder with `etcd`, the parts of Kubernetes, `kubectl` and `pause`.
    #[must_use]
    pub fn controlplane(&self) -> &Path {
        &self.controlplane
    }

    /// Helm 4.
    #[must_use]
    pub fn helm(&self) -> PathBuf {
        self.helm.join("helm")
    }

    /// A Python with `duckdb` and `pyarrow`: readers that share no code with us.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.python.join("bin/python3")
    }

    pub(crate) fn weed(&self) -> PathBuf {
        self.python.join("bin/weed")
    }

    pub(crate) fn dynamodb(&self) -> &Path {
        &self.dynamodb
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .map_err(|_| anyhow!("making an artefact of the lab panicked"))?
}

/// Something that is made once: what it is called, what its version depends on
/// and how it is made into an empty folder.
struct Artefact {
    name: &'static str,
    hint: &'static str,
    folder: PathBuf,
    make: fn(&Path, &Path) -> Result<()>,
}

impl Artefact {
    fn new(
        name: &'static str,
        hint: &'static str,
        version: &[&str],
        make: fn(&Path, &Path) -> Result<()>,
    ) -> Result<Self> {
        let key = sha256(version.join("\0").as_bytes());
        Ok(Self {
            name,
            hint,
            folder: root()?.join(format!("{name}-{}", &key[..12])),
            make,
        })
    }

    fn is_there(&self) -> bool {
        self.folder.is_dir()
    }

    fn provide(&self) -> Result<PathBuf> {
        if self.is_there() {
            return Ok(self.folder.clone());
        }
        let lock = File::create(self.folder.with_extension("lock"))?;
        lock.lock()
            .with_context(|| format!("cannot lock the cache for {}", self.name))?;
        if self.is_there() {
            return Ok(self.folder.clone());
        }
        let log = root()?.join("log").join(format!("{}.log", self.name));
        eprintln!(
            "lab: making {} ({}), log in {}",
            self.name,
            self.hint,
            log.display()
        );
        let start = Instant::now();
        let partial = self.folder.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        create_dir(&partial)?;
        (self.make)(&partial, &log).with_context(|| format!("cannot make {}", self.name))?;
        fs::rename(&partial, &self.folder)?;
        eprintln!(
            "lab: {} is there after {} s",
            self.name,
            start.elapsed().as_secs()
        );
        Ok(self.folder.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static MADE: AtomicUsize = AtomicUsize::new(0);

    fn make(folder: &Path, _log: &Path) -> Result<()> {
        MADE.fetch_add(1, Ordering::SeqCst);
        fs::write(folder.join("half"), "1")?;
        thread::yield_now();
        fs::write(folder.join("whole"), "2")?;
        Ok(())
    }

    #[test]
    fn two_at_once_make_it_once_and_see_it_whole() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("thing-1");
        // What a builder that was killed left behind.
        fs::create_dir(folder.with_extension("partial")).unwrap();
        fs::write(folder.with_extension("partial").join("junk"), "").unwrap();
        let artefact = Artefact {
            name: "thing",
            hint: "now",
            folder,
            make,
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let folder = artefact.provide().unwrap();
                    assert!(folder.join("whole").is_file());
                    assert!(!folder.join("junk").exists());
                });
            }
        });
        assert_eq!(MADE.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn another_version_is_another_folder() {
        let folder = |version: &str| Artefact::new("x", "", &[version], make).unwrap().folder;
        assert_ne!(folder("1"), folder("2"));
        assert_eq!(folder("1"), folder("1"));
    }
}
