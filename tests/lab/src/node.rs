//! One node: containerd and a kubelet, with namespaces of their own.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::cgroup::Hierarchies;
use crate::controlplane::kubectl;
use crate::image::Archive;
use crate::layout::{Layout, create_dir};
use crate::net;
use crate::pki;
use crate::process::{Launch, Lifetime, Process, enter_node, run};

mod config;

const CONTAINERD_READY: Duration = Duration::from_secs(30);
const NODE_READY: Duration = Duration::from_secs(90);

/// The image of the process that keeps a pod's namespaces open.
pub(crate) const PAUSE_IMAGE: &str = "localhost/pause:lab";

/// A node of the lab. Dropping it leaves it running; the lab stops it.
#[derive(Debug)]
pub struct Node {
    name: String,
    index: u8,
    layout: Layout,
    bin: PathBuf,
    lifetime: Lifetime,
    parts: Vec<Process>,
    init: Pid,
}

impl Node {
    /// Starts the node up to containerd and gives it its images. `index` tells
    /// the nodes of a lab apart in their addresses.
    pub(crate) fn boot(
        layout: &Layout,
        bin: &Path,
        name: &str,
        index: u8,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let root = layout.node(name);
        create_dir(&root)?;
        Hierarchies::detect()?.create(&cgroup(layout, name))?;
        if index > 0 {
            run(Command::new("nsenter").args([
                &format!("--net={}", layout.netns_path().display()),
                "--",
                "ip",
                "address",
                "add",
                &format!("{}/16", address(index)),
                "dev",
                "cni0",
            ]))?;
        }
        pki::node(layout, name)?;
        config::write_all(layout, name, index)?;
        let (machine, init) = machine(layout, bin, name, lifetime)?;
        let containerd = Launch::in_node(
            &format!("{name}-containerd"),
            init,
            &layout.log(),
            "containerd",
        )
        .arg(format!(
            "--config={}",
            root.join("containerd.toml").display()
        ))
        .spawn(lifetime)?;
        Ok(Self {
            name: name.to_owned(),
            index,
            layout: layout.clone(),
            bin: bin.to_owned(),
            lifetime,
            parts: vec![machine, containerd],
            init,
        })
    }

    /// Loads the images, starts the kubelet and waits until the node is ready.
    pub(crate) fn join(&mut self, images: &[Archive]) -> Result<()> {
        if let Some(containerd) = self.parts.last() {
            containerd.wait_until("containerd ready", CONTAINERD_READY, || {
                Ok(self
                    .command("ctr")
                    .arg("version")
                    .output()?
                    .status
                    .success())
            })?;
        }
        for image in images {
            self.import(image)?;
        }
        let root = self.layout.node(&self.name);
        let kubelet = Launch::in_node(
            &format!("{}-kubelet", self.name),
            self.init,
            &self.layout.log(),
            self.bin.join("kubelet"),
        )
        .args([
            format!("--config={}", root.join("kubelet.json").display()),
            format!(
                "--kubeconfig={}",
                self.layout
                    .kubeconfig_of(&format!("node-{}", self.name))
                    .display()
            ),
            format!("--root-dir={}", root.join("kubelet").display()),
            format!("--cert-dir={}", root.join("kubelet-pki").display()),
            format!("--hostname-override={}", self.name),
            format!("--node-ip={}", address(self.index)),
        ])
        .spawn(self.lifetime)?;
        let node = format!("node/{}", self.name);
        let arguments = ["wait", "--for=condition=Ready", &node, "--timeout=5s"];
        kubelet.wait_until("node ready", NODE_READY, || {
            Ok(kubectl(&self.layout, &self.bin, &arguments)?
                .status
                .success())
        })?;
        self.parts.push(kubelet);
        Ok(())
    }

    /// The name of the node in the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Loads an image archive; an image of the same name is replaced.
    ///
    /// # Errors
    /// What `ctr` says.
    pub fn import(&self, image: &Archive) -> Result<()> {
        let arguments = ["--namespace=k8s.io", "images", "import"];
        run(self.command("ctr").args(arguments).arg(image.path()))
            .with_context(|| format!("cannot load {} into node {}", image.tag(), self.name))?;
        Ok(())
    }

    /// The loss of the node: everything on it ends at once, pods included, and
    /// nobody tells the API server.
    ///
    /// # Errors
    /// Processes that cannot be ended.
    pub fn kill(&self) -> Result<()> {
        // The end of a process namespace's first process is the end of all.
        let _ = kill_process(self.init, Signal::KILL);
        self.parts.iter().try_for_each(Process::kill)?;
        Hierarchies::detect()?.destroy(&cgroup(&self.layout, &self.name))
    }

    /// Freezes the kubelet: pods go on, and nobody tells the API server what
    /// becomes of them.
    ///
    /// # Errors
    /// There is no kubelet.
    pub fn freeze_kubelet(&self) -> Result<()> {
        let entered = self.parts.last().context("the node has no parts")?;
        // Whoever enters a process namespace does so as a child.
        let kubelet = child_called("kubelet", entered.pid())?.context("there is no kubelet")?;
        kill_process(kubelet, Signal::STOP).context("cannot freeze the kubelet")
    }

    /// Whether the node's processes are there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.parts.iter().all(|part| part.ensure_running().is_ok())
    }

    fn command(&self, program: &str) -> Command {
        let enter = enter_node(self.init);
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).arg(program);
        command
    }
}

/// The node's own view of the system: what containerd and the kubelet keep in
/// fixed places is the node's alone and vanishes with it.
const MACHINE: &str = "set -e
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/containerd /run/netns /var/lib/cni /var/log
mount -t tmpfs tmpfs /var/lib/cni
mount -t tmpfs tmpfs /var/log
exec \"$0\"";

/// Starts the node's first process. It does nothing but exist and reap orphans.
fn machine(layout: &Layout, bin: &Path, name: &str, lifetime: Lifetime) -> Result<(Process, Pid)> {
    let process = Launch::in_netns(name, &layout.netns_path(), &layout.log(), "unshare")
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child=KILL",
            "--",
            "sh",
            "-c",
            MACHINE,
        ])
        .arg(bin.join("pause"))
        .spawn(lifetime)?;
    let mut init = None;
    process.wait_until("first process of the node", Duration::from_secs(10), || {
        init = child_called("pause", process.pid())?;
        Ok(init.is_some())
    })?;
    let init = init.context("the node has no first process")?;
    Ok((process, init))
}

fn child_called(name: &str, parent: Pid) -> Result<Option<Pid>> {
    let matches = |pid: &Pid| {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
        let status = status.unwrap_or_default();
        let field = |key: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .map(str::trim)
        };
        field("Name:") == Some(name)
            && field("PPid:") == Some(parent.as_raw_nonzero().to_string().as_str())
    };
    Ok(net::processes()?.into_iter().find(matches))
}

pub(crate) fn cgroup(layout: &Layout, node: &str) -> PathBuf {
    layout.cgroup().join(node)
}

/// Nodes live on the bridge; the first has the bridge's own address.
fn address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 244, 0, 1 + index)
}

/// A process of a pod, as the host sees it.
#[derive(Debug, Clone)]
pub struct PodProcess {
    /// Its id on the host.
    pub pid: i32,
    /// Its command line.
    pub command: Vec<String>,
    /// The environment it was started with.
    pub environment: BTreeMap<String, String>,
}

impl PodProcess {
    /// Sends it a signal: `KILL` ends it, `STOP` freezes it.
    ///
    /// # Errors
    /// A process that is not there any more.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid).context("not a process id")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal process {}", self.pid))
    }

    fn read(pid: i32) -> Option<Self> {
        let list = |file: &str| -> Option<Vec<String>> {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
            let items = bytes.split(|b| *b == 0).filter(|item| !item.is_empty());
            Some(
                items
                    .map(|item| String::from_utf8_lossy(item).into_owned())
                    .collect(),
            )
        };
        let pairs = list("environ")?.into_iter();
        let environment =
            pairs.filter_map(|v| v.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())));
        Some(Self {
            pid,
            command: list("cmdline")?,
            environment: environment.collect(),
        })
    }
}

/// The processes of a pod's containers, on whatever node of the lab it runs.
pub(crate) fn pod_processes(layout: &Layout, uid: &str) -> Result<Vec<PodProcess>> {
    ensure!(!uid.is_empty(), "a pod is named by its uid");
    let hierarchies = Hierarchies::detect()?;
    let mut found = Vec::new();
    for cgroup in hierarchies.find(&layout.cgroup(), &format!("pod{uid}")) {
        let processes = hierarchies
            .processes(&cgroup)
            .into_iter()
            .filter_map(PodProcess::read);
        // The sandbox is no container of the pod's own, and a runtime that has
        // not become its container yet would not survive a signal.
        let own = processes.filter(|p| {
            p.command
                .first()
                .is_some_and(|program| program != "/pause" && !program.contains("runc"))
        });
        for process in own {
            if !found
                .iter()
                .any(|known: &PodProcess| known.pid == process.pid)
            {
                found.push(process);
            }
        }
    }
    Ok(found)
}
