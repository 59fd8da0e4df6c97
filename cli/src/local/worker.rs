//! Where the worker program is.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Name of the program.
const NAME: &str = "etl-worker";

/// Why there is no worker to run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The one that was named cannot be used.
    #[error("the worker {} cannot be used: {source}", path.display())]
    Named {
        /// As it was named.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// None was named, and none is where one is expected.
    #[error(
        "the worker program {NAME} is neither beside kubectl-etl nor on the PATH: build it with \
         `cargo build --release -p {NAME}` and put it there, or name it with --worker"
    )]
    Missing,
}

/// The worker program: the one that was named, else the one beside this
/// program, else the first on the PATH.
pub fn find(named: Option<&Path>) -> Result<PathBuf, WorkerError> {
    if let Some(path) = named {
        return usable(path).map_err(|source| WorkerError::Named {
            path: path.into(),
            source,
        });
    }
    // Followed to its end: on the PATH there may be a link to this program.
    let own = env::current_exe().and_then(std::fs::canonicalize).ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let path = env::var_os("PATH").unwrap_or_default();
    search(beside, &path).ok_or(WorkerError::Missing)
}

fn search(beside: Option<PathBuf>, path: &OsStr) -> Option<PathBuf> {
    beside
        .into_iter()
        .chain(env::split_paths(path))
        .find_map(|dir| usable(&dir.join(NAME)).ok())
}

/// The absolute path of a program that can be run.
fn usable(path: &Path) -> io::Result<PathBuf> {
    let path = std::fs::canonicalize(path)?;
    let metadata = path.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        Ok(path)
    } else {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is not an executable file",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &Path, mode: u32) {
        let path = folder.join(NAME);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_neighbour_wins_over_the_path_and_what_cannot_run_does_not_count() {
        let [a, b, c] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        program(a.path(), 0o644);
        program(b.path(), 0o755);
        program(c.path(), 0o755);
        let path = env::join_paths([b.path(), c.path()]).unwrap();
        let found = |beside: &Path| search(Some(beside.to_path_buf()), &path);
        assert_eq!(
            found(a.path()),
            Some(b.path().canonicalize().unwrap().join(NAME))
        );
        assert_eq!(
            found(c.path()),
            Some(c.path().canonicalize().unwrap().join(NAME))
        );
        assert_eq!(search(None, OsStr::new("/nonexistent")), None);
    }

    #[test]
    fn a_named_worker_must_be_executable() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), 0o644);
        let error = find(Some(&folder.path().join(NAME))).unwrap_err();
        assert!(
            error.to_string().ends_with("it is not an executable file"),
            "{error}"
        );
        let error = find(Some(Path::new("/nonexistent/worker"))).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the worker /nonexistent/worker cannot be used")
        );
    }
}
