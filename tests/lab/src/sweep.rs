//! Cleaning up after a lab, whether it was stopped, killed or is still there.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use rustix::process::{Signal, kill_process};

use crate::cgroup::Hierarchies;
use crate::layout::Layout;
use crate::net;
use crate::process::run;
use crate::wait::wait_until;

const LOG_AGE: Duration = Duration::from_secs(3 * 24 * 3600);

/// Ends everything that belongs to the lab called `name` and removes its data;
/// only the logs stay.
///
/// # Errors
/// A lab that another process is using; anything that does not go away.
pub fn sweep(name: &str) -> Result<()> {
    let layout = Layout::of(name)?;
    let _lock = net::lock(&layout)?;
    sweep_locked(&layout)
}

/// Sweeps the labs that nobody uses and in which nothing runs any more: their
/// owners were killed. Logs are kept for some days.
///
/// # Errors
/// Anything that does not go away.
pub fn sweep_dead() -> Result<()> {
    let Ok(entries) = fs::read_dir(Layout::all()?) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".lock"));
        let Some(layout) = name.and_then(|name| Layout::of(name).ok()) else {
            continue;
        };
        // Held: somebody's lab. Free, but with processes: one that was started to
        // stay up.
        let Ok(_lock) = net::lock(&layout) else {
            continue;
        };
        if net::members(&layout)?.is_empty() {
            sweep_locked(&layout)?;
            layout.remove_old_log(LOG_AGE)?;
        }
    }
    Ok(())
}

/// # Assumptions
/// The caller holds the lab's lock.
pub(crate) fn sweep_locked(layout: &Layout) -> Result<()> {
    // Membership in the namespace tells what belongs to the lab more surely than
    // pid files do. The pods are not in it, but their node's first process is.
    wait_until(
        "end of the lab's processes",
        Duration::from_secs(20),
        || {
            let members = net::members(layout)?;
            for pid in &members {
                // It may have ended by itself.
                let _ = kill_process(*pid, Signal::KILL);
            }
            Ok(members.is_empty())
        },
    )?;
    Hierarchies::detect()?.destroy(&layout.cgroup())?;
    unmount_below(layout)?;
    net::delete(layout)?;
    layout.remove_data()
}

/// Nodes mount in a namespace of their own; this is for whatever escaped it.
fn unmount_below(layout: &Layout) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut ours: Vec<&str> = points
        .filter(|p| std::path::Path::new(p).starts_with(layout.root()))
        .collect();
    ours.reverse();
    for point in ours {
        run(Command::new("umount").args(["--lazy", point]))?;
    }
    Ok(())
}
