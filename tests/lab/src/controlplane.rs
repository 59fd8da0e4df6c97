//! etcd, the API server, the controller manager and the scheduler.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::layout::{Layout, write};
use crate::net::BRIDGE;
use crate::process::{Launch, Lifetime, Process};
pub(crate) use duty::Duty;

mod duty;

const READY: Duration = Duration::from_secs(90);
const GRACE: Duration = Duration::from_secs(5);
pub(crate) const ETCD: &str = "http://127.0.0.1:2379";

/// Who answers pods at the address of the `kubernetes` Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// The API server itself.
    ApiServer,
    /// Whoever started the lab, as soon as he listens there: the API server is at
    /// [`API_ADDRESS`] only.
    Owner,
}

impl Front {
    fn bind_address(self) -> Ipv4Addr {
        match self {
            Self::ApiServer => Ipv4Addr::UNSPECIFIED,
            Self::Owner => *API_ADDRESS.ip(),
        }
    }
}

/// Where the API server listens in every lab.
pub const API_ADDRESS: SocketAddrV4 = SocketAddrV4::new(BRIDGE, 443);

/// The running control plane of a lab.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    duty: Duty,
    processes: Vec<Process>,
}

impl ControlPlane {
    /// Starts etcd and the API server; nobody has to wait for them yet.
    pub(crate) fn start(
        layout: &Layout,
        bin: &Path,
        front: Front,
        duty: Duty,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let policy = layout.root().join("audit-policy.json");
        write(&policy, duty.audit_policy())?;
        let etcd = part(layout, bin, "etcd")
            .arg(format!(
                "--data-dir={}",
                layout.root().join("etcd").display()
            ))
            .args([
                format!("--listen-client-urls={ETCD}"),
                format!("--advertise-client-urls={ETCD}"),
                "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
                // Nothing here has to survive a power cut.
                "--unsafe-no-fsync".to_owned(),
            ])
            .args(duty.etcd())
            .spawn(lifetime)?;
        let api_server = part(layout, bin, "kube-apiserver")
            .args(api_server_flags(layout, front, &policy))
            .args(duty.api_server())
            .spawn(lifetime)?;
        Ok(Self {
            duty,
            processes: vec![etcd, api_server],
        })
    }

    /// Waits for the API server, then starts the two that need it.
    pub(crate) fn finish(&mut self, layout: &Layout, bin: &Path, lifetime: Lifetime) -> Result<()> {
        if let [_, api_server] = self.processes.as_slice() {
            api_server.wait_until("API server ready", READY, || {
                Ok(kubectl(layout, bin, &["get", "--raw", "/readyz"])?
                    .status
                    .success())
            })?;
        }
        let pki = layout.pki();
        let kubeconfig = |user| format!("--kubeconfig={}", layout.kubeconfig_of(user).display());
        let controller_manager = part(layout, bin, "kube-controller-manager")
            .args([
                kubeconfig("controller-manager"),
                format!("--root-ca-file={}", pki.join("ca.crt").display()),
                format!(
                    "--service-account-private-key-file={}",
                    pki.join("sa.key").display()
                ),
            ])
            .args([
                "--use-service-account-credentials",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
            ])
            .args(self.duty.controller_manager())
            .spawn(lifetime)?;
        let scheduler = part(layout, bin, "kube-scheduler")
            .arg(kubeconfig("scheduler"))
            .args(["--leader-elect=false", "--bind-address=127.0.0.1"])
            .args(self.duty.scheduler())
            .spawn(lifetime)?;
        self.processes.extend([controller_manager, scheduler]);
        Ok(())
    }

    /// Sends a signal to the API server.
    pub(crate) fn signal_api_server(&self, signal: Signal) -> Result<()> {
        let api_server = self.processes.get(1).context("there is no API server")?;
        api_server.signal(signal)
    }

    /// The parts that run.
    pub(crate) fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// Stops the parts, the ones that need another first.
    pub(crate) fn stop(&self) -> Result<()> {
        self.processes
            .iter()
            .rev()
            .try_for_each(|process| process.stop(GRACE))
    }
}

fn part(layout: &Layout, bin: &Path, name: &str) -> Launch {
    Launch::in_netns(name, &layout.netns_path(), &layout.log(), bin.join(name))
        .directory(layout.root())
}

fn api_server_flags(layout: &Layout, front: Front, policy: &Path) -> Vec<String> {
    let pki = layout.pki();
    let file = |flag: &str, name: &str| format!("--{flag}={}", pki.join(name).display());
    let mut flags = vec![
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
        file("client-ca-file", "ca.crt"),
        file("kubelet-client-certificate", "admin.crt"),
        file("kubelet-client-key", "admin.key"),
        file("service-account-key-file", "sa.pub"),
        file("service-account-signing-key-file", "sa.key"),
        format!("--etcd-servers={ETCD}"),
        format!("--bind-address={}", front.bind_address()),
        format!("--advertise-address={BRIDGE}"),
        format!("--audit-policy-file={}", policy.display()),
        format!(
            "--audit-log-path={}",
            layout.log().join("audit.log").display()
        ),
    ];
    let fixed = [
        "--secure-port=443",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged",
        // The address of the `kubernetes` Service is on the loopback device:
        // there are no endpoints to keep.
        "--endpoint-reconciler-type=none",
        "--default-not-ready-toleration-seconds=10",
        "--default-unreachable-toleration-seconds=10",
    ];
    flags.extend(fixed.map(str::to_owned));
    flags
}

/// Runs kubectl as the administrator of the lab.
pub(crate) fn kubectl(layout: &Layout, bin: &Path, arguments: &[&str]) -> Result<Output> {
    kubectl_command(layout, bin)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot start kubectl")
}

pub(crate) fn kubectl_command(layout: &Layout, bin: &Path) -> Command {
    let mut command = inside(layout, &bin.join("kubectl"));
    // Or it keeps a cache in the home folder, where labs would meet.
    command.arg(format!(
        "--cache-dir={}",
        layout.root().join("kubectl-cache").display()
    ));
    command
}

/// A command in the lab's network namespace with the administrator's kubeconfig.
pub(crate) fn inside(layout: &Layout, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={}", layout.netns_path().display()))
        .arg("--")
        .arg(program)
        .env("KUBECONFIG", layout.kubeconfig());
    // A proxy of the host is out of reach here.
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env_remove(variable);
    }
    command
}
