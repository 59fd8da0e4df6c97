//! The lab's network namespace.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, getpid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::layout::{Layout, create_dir};
use crate::process::run;
use crate::sweep::{sweep_dead, sweep_locked};

/// The address under which the API server is known in the cluster: the first of
/// the service range, as in any cluster. There is no proxy: it simply is an
/// address of the loopback device.
pub const API_SERVER: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The address of the bridge that every pod is connected to.
pub(crate) const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// A fresh network namespace that this process has moved into, and the sole
/// right to run the lab of that name.
#[derive(Debug)]
pub struct Namespace {
    pub(crate) layout: Layout,
    /// Held, never read.
    _lock: File,
}

impl Namespace {
    /// Where the lab keeps its files.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// Sweeps what an earlier lab of this name and labs that were killed left, makes its network namespace
/// anew and moves the calling thread into it.
///
/// # Assumptions
/// Called first in `main`: only the calling thread and those it starts
/// afterwards are inside. Downloads have to be done by then, as there is no way
/// out of the namespace.
///
/// # Errors
/// A lab of that name that is in use by another process; missing privileges.
pub fn enter(name: &str) -> Result<Namespace> {
    let layout = Layout::of(name)?;
    sweep_dead()?;
    let lock = lock_patiently(&layout)?;
    sweep_locked(&layout)?;
    layout.create()?;
    create(&layout)?;
    let namespace = File::open(layout.netns_path())?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .context("cannot enter the network namespace")?;
    Ok(Namespace {
        layout,
        _lock: lock,
    })
}

/// Another lab that starts looks at every lab's lock for a moment.
fn lock_patiently(layout: &Layout) -> Result<File> {
    let mut taken = lock(layout);
    for _ in 0..30 {
        if taken.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        taken = lock(layout);
    }
    taken
}

/// Takes the lab's name for this process. The kernel gives it back however the
/// process ends.
pub(crate) fn lock(layout: &Layout) -> Result<File> {
    let path = layout.lock();
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner)?;
            bail!(
                "lab {} is in use by process {}: give this one another name",
                layout.name(),
                owner.trim()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock the lab"),
    }
}

/// A bridge without an address of its own takes that of one of its ports: every
/// pod that comes or goes may change it, and the other pods' traffic is lost
/// until they ask anew who the gateway is.
const BRIDGE_HARDWARE_ADDRESS: &str = "02:00:0a:f4:00:01";

fn create(layout: &Layout) -> Result<()> {
    let name = layout.netns();
    run(Command::new("ip").args(["netns", "add", &name]))?;
    let commands = format!(
        "set -e
         ip link set lo up
         ip address add {API_SERVER}/32 dev lo
         ip link add cni0 address {BRIDGE_HARDWARE_ADDRESS} type bridge
         ip address add {BRIDGE}/16 dev cni0
         ip link set cni0 up
         echo 1 > /proc/sys/net/ipv4/ip_forward"
    );
    let path = layout.netns_path();
    let enter = format!("--net={}", path.display());
    run(Command::new("nsenter").args([&enter, "--", "sh", "-c", &commands]))?;
    Ok(())
}

pub(crate) fn delete(layout: &Layout) -> Result<()> {
    if layout.netns_path().exists() {
        run(Command::new("ip").args(["netns", "delete", &layout.netns()]))?;
    }
    Ok(())
}

/// Every process inside the namespace but this one.
pub(crate) fn members(layout: &Layout) -> Result<Vec<Pid>> {
    let Ok(namespace) = fs::metadata(layout.netns_path()) else {
        return Ok(Vec::new());
    };
    let same = |pid: &Pid| {
        let its = fs::metadata(format!("/proc/{}/ns/net", pid.as_raw_nonzero()));
        its.is_ok_and(|its| its.ino() == namespace.ino() && its.dev() == namespace.dev())
    };
    let pids = processes()?;
    Ok(pids
        .into_iter()
        .filter(|pid| *pid != getpid())
        .filter(same)
        .collect())
}

/// Every process that `/proc` shows.
pub(crate) fn processes() -> Result<Vec<Pid>> {
    let entries = fs::read_dir("/proc").context("cannot list /proc")?;
    let names = entries.flatten().map(|entry| entry.file_name());
    Ok(names
        .filter_map(|n| n.to_str()?.parse().ok().and_then(Pid::from_raw))
        .collect())
}

/// Asks a server in the lab for `path`.
///
/// # Returns
/// The status code and the whole answer; `None` while nobody answers.
pub(crate) fn http_get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    exchange(
        address,
        &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"),
    )
}

/// Posts `body` to a server in the lab; returns as [`http_get`] does.
pub(crate) fn http_post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<(u16, String)> {
    let headers: String = headers
        .iter()
        .map(|(k, v)| format!("{k}: {v}\r\n"))
        .collect();
    let length = body.len();
    exchange(
        address,
        &format!(
            "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ),
    )
}

fn exchange(address: SocketAddr, request: &str) -> Option<(u16, String)> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, answer))
}
