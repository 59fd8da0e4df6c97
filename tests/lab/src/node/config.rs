//! The configuration files of containerd, the pod network and the kubelet.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::{PAUSE_IMAGE, address, cgroup};
use crate::layout::{Layout, write};
use crate::net::BRIDGE;

/// Inside a node `/run` is its own.
const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Where Debian and where the plugins' own releases put them.
const CNI_PLUGINS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// `statfs` on a file system that cannot carry overlays itself.
const OVERLAY_MAGIC: i64 = 0x794c_7630;

pub(super) fn write_all(layout: &Layout, name: &str, index: u8) -> Result<()> {
    let root = layout.node(name);
    write(&root.join("containerd.toml"), containerd(&root)?)?;
    crate::layout::create_dir(&root.join("cni"))?;
    write(
        &root.join("cni").join("10-bridge.conflist"),
        network(&root, index),
    )?;
    // Without name servers a look-up fails at once instead of after a timeout.
    write(&root.join("resolv.conf"), "options timeout:1 attempts:1\n")?;
    write(&root.join("kubelet.json"), kubelet(layout, name, index))
}

fn containerd(root: &Path) -> Result<String> {
    let plugins = CNI_PLUGINS
        .iter()
        .find(|folder| Path::new(folder).join("bridge").is_file());
    let plugins = plugins.context("no CNI plugins: install containernetworking-plugins")?;
    let on_overlay = rustix::fs::statfs(root)?.f_type == OVERLAY_MAGIC;
    let snapshotter = if on_overlay { "native" } else { "overlayfs" };
    Ok(format!(
        r#"version = 2
root = "{root}/containerd"
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Lowering the score takes a privilege that a container may lack.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "{root}/cni"
    bin_dir = "{plugins}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#,
        root = root.display()
    ))
}

/// Every node gives out addresses of its own range on the one bridge.
fn network(root: &Path, index: u8) -> String {
    let third = index + 1;
    json!({
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            // The bridge has its address already.
            "isGateway": false,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "subnet": "10.244.0.0/16",
                "rangeStart": format!("10.244.{third}.2"),
                "rangeEnd": format!("10.244.{third}.254"),
                "gateway": BRIDGE.to_string(),
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": root.join("addresses"),
            },
        }],
    })
    .to_string()
}

fn kubelet(layout: &Layout, name: &str, index: u8) -> String {
    let root = layout.node(name);
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": layout.pki().join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "address": address(index).to_string(),
        // Nobody asks, and the nodes of a lab would fight for the port.
        "healthzPort": 0,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": Path::new("/").join(cgroup(layout, name)),
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "resolvConf": root.join("resolv.conf"),
        "podLogsDir": root.join("pod-logs"),
        "makeIPTablesUtilChains": false,
        "localStorageCapacityIsolation": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "nodeStatusUpdateFrequency": "4s",
        "nodeLeaseDurationSeconds": 20,
        // Scenarios kill the operator again and again.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "registerNode": true,
        "maxPods": 200,
    })
    .to_string()
}
