//! Control groups: one tree per node, so that no kubelet takes another's pods
//! for orphans of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::wait_until;

/// The mounted hierarchies: several on cgroup v1, one on v2.
#[derive(Debug)]
pub(crate) struct Hierarchies {
    roots: Vec<PathBuf>,
    unified: bool,
}

impl Hierarchies {
    pub(crate) fn detect() -> Result<Self> {
        Self::parse(&fs::read_to_string("/proc/self/mounts")?)
    }

    fn parse(mounts: &str) -> Result<Self> {
        let of_type = |wanted: &str| -> Vec<PathBuf> {
            let fields = mounts
                .lines()
                .map(|line| line.split(' ').collect::<Vec<_>>());
            let found = fields.filter(|f| f.len() > 3 && f[2] == wanted);
            found.map(|f| PathBuf::from(f[1])).collect()
        };
        let v1 = of_type("cgroup");
        // A hybrid host mounts both; the controllers are then in the first kind.
        if !v1.is_empty() {
            return Ok(Self {
                roots: v1,
                unified: false,
            });
        }
        let v2 = of_type("cgroup2");
        ensure!(
            !v2.is_empty(),
            "no cgroup hierarchy is mounted: the kubelet needs one"
        );
        Ok(Self {
            roots: v2,
            unified: true,
        })
    }

    /// Creates `path` in every hierarchy, its controllers usable.
    pub(crate) fn create(&self, path: &Path) -> Result<()> {
        for root in &self.roots {
            let mut folder = root.clone();
            for part in path {
                if self.unified {
                    delegate(&folder)?;
                }
                let parent = folder.clone();
                folder.push(part);
                if !folder.is_dir() {
                    fs::create_dir(&folder)
                        .with_context(|| format!("cannot create cgroup {}", folder.display()))?;
                }
                inherit_cpuset(&parent, &folder)?;
            }
            if self.unified {
                delegate(&folder)?;
            }
        }
        Ok(())
    }

    /// Every process in `path` and below.
    pub(crate) fn processes(&self, path: &Path) -> BTreeSet<i32> {
        let mut pids = BTreeSet::new();
        for root in &self.roots {
            for folder in tree(&root.join(path)) {
                let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                pids.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok()));
            }
        }
        pids
    }

    /// Ends every process in `path` and below, and removes the cgroups.
    pub(crate) fn destroy(&self, path: &Path) -> Result<()> {
        wait_until(
            "end of the processes in the cgroup",
            Duration::from_secs(20),
            || {
                let pids = self.processes(path);
                for pid in pids.iter().filter_map(|&pid| Pid::from_raw(pid)) {
                    // It may have ended by itself.
                    let _ = kill_process(pid, Signal::KILL);
                }
                Ok(pids.is_empty())
            },
        )?;
        let mut left = PathBuf::new();
        let removed = wait_until("removal of the cgroups", Duration::from_secs(10), || {
            for root in &self.roots {
                // Leaves first; a dying process keeps its cgroup for a moment.
                for folder in tree(&root.join(path)).iter().rev() {
                    if fs::remove_dir(folder).is_err() && folder.is_dir() {
                        folder.clone_into(&mut left);
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        });
        removed.with_context(|| format!("{} is busy", left.display()))
    }

    /// The cgroups called `name` below `path`, relative to the roots.
    pub(crate) fn find(&self, path: &Path, name: &str) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for root in &self.roots {
            let named = tree(&root.join(path))
                .into_iter()
                .filter(|f| f.ends_with(name));
            found.extend(named.filter_map(|f| f.strip_prefix(root).map(Path::to_owned).ok()));
        }
        found
    }
}

/// `folder` and everything below it, parents before children.
fn tree(folder: &Path) -> Vec<PathBuf> {
    if !folder.is_dir() {
        return Vec::new();
    }
    let mut folders = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(current) = folders.get(next).cloned() {
        let entries = fs::read_dir(&current).into_iter().flatten().flatten();
        folders.extend(entries.map(|e| e.path()).filter(|p| p.is_dir()));
        next += 1;
    }
    folders
}

/// cgroup v1: a new cpuset is empty, and nothing may run in an empty one.
fn inherit_cpuset(parent: &Path, child: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let Ok(current) = fs::read_to_string(child.join(file)) else {
            return Ok(());
        };
        if current.trim().is_empty() {
            let value = fs::read_to_string(parent.join(file))?;
            // On v2 an empty value already means the parent's.
            if !value.trim().is_empty() {
                fs::write(child.join(file), value.trim())
                    .with_context(|| format!("cannot set {}", child.join(file).display()))?;
            }
        }
    }
    Ok(())
}

/// cgroup v2: makes a cgroup's controllers available to its children.
fn delegate(folder: &Path) -> Result<()> {
    let available = fs::read_to_string(folder.join("cgroup.controllers"))?;
    let wanted: Vec<String> = available
        .split_whitespace()
        .map(|c| format!("+{c}"))
        .collect();
    fs::write(folder.join("cgroup.subtree_control"), wanted.join(" ")).with_context(|| {
        format!(
            "cannot delegate the controllers of cgroup {}",
            folder.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_v1_hierarchy_counts() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let found = Hierarchies::parse(mounts).unwrap();
        assert!(!found.unified);
        assert_eq!(found.roots.len(), 2);
    }

    #[test]
    fn a_unified_host_has_one() {
        let found =
            Hierarchies::parse("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n").unwrap();
        assert!(found.unified);
        assert_eq!(found.roots, [PathBuf::from("/sys/fs/cgroup")]);
    }

    #[test]
    fn none_is_named() {
        let error = Hierarchies::parse("proc /proc proc rw 0 0\n").unwrap_err();
        assert!(error.to_string().contains("no cgroup hierarchy"));
    }
}
