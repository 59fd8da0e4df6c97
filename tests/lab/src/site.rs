//! A lab as a whole: started, used and stopped together.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;

use crate::cache::Artefacts;
use crate::cgroup::Hierarchies;
use crate::controlplane::{self, ControlPlane, Duty, Front};
use crate::fleet::Fleet;
use crate::image::{self, Archive};
use crate::layout::{Layout, write};
use crate::net::{self, Namespace};
use crate::node::{self, Node, PodProcess};
use crate::pki;
use crate::process::{Lifetime, Process};
use crate::stores::{Kind, Store};

/// The node that every lab has.
const FIRST_NODE: &str = "lab";

/// A running lab: control plane, nodes and stores.
///
/// Dropping it ends every process that it started for its owner; [`Site::stop`]
/// also removes the data.
#[derive(Debug)]
pub struct Site {
    namespace: Namespace,
    artefacts: Artefacts,
    lifetime: Lifetime,
    images: Vec<Archive>,
    control: ControlPlane,
    s3: Store,
    dynamodb: Store,
    nodes: Mutex<Vec<Arc<Node>>>,
    next_node: AtomicU8,
    /// What plays the kubelets of nodes that are not there.
    kwok: Option<Process>,
}

impl Site {
    /// Starts everything and waits until all of it is ready. `images` are on
    /// every node, under their tags.
    ///
    /// # Errors
    /// The first part that does not become ready, with the end of its log.
    pub fn start(
        namespace: Namespace,
        artefacts: &Artefacts,
        images: &[Archive],
        lifetime: Lifetime,
    ) -> Result<Self> {
        Self::start_behind(Front::ApiServer, namespace, artefacts, images, lifetime)
    }

    /// As [`Site::start`], with somebody else to answer pods that ask for the API
    /// server.
    ///
    /// # Errors
    /// As [`Site::start`].
    pub fn start_behind(
        front: Front,
        namespace: Namespace,
        artefacts: &Artefacts,
        images: &[Archive],
        lifetime: Lifetime,
    ) -> Result<Self> {
        let layout = namespace.layout.clone();
        let bin = artefacts.controlplane();
        pki::create(&layout)?;
        write_scripts(&layout, artefacts)?;
        let mut control = ControlPlane::start(&layout, bin, front, Duty::Test, lifetime)?;
        let s3 = Store::new(Kind::S3, &layout, artefacts, lifetime)?;
        let dynamodb = Store::new(Kind::DynamoDb, &layout, artefacts, lifetime)?;
        s3.spawn()?;
        dynamodb.spawn()?;
        let mut all = vec![image::pause(bin, &layout)?];
        all.extend_from_slice(images);
        // Everything above starts while the node is made, and the other way round.
        let mut first = Node::boot(&layout, bin, FIRST_NODE, 0, lifetime)?;
        control.finish(&layout, bin, lifetime)?;
        first.join(&all)?;
        s3.wait_ready()?;
        dynamodb.wait_ready()?;
        Ok(Self {
            namespace,
            artefacts: artefacts.clone(),
            lifetime,
            images: all,
            control,
            s3,
            dynamodb,
            nodes: Mutex::new(vec![Arc::new(first)]),
            next_node: AtomicU8::new(1),
            kwok: None,
        })
    }

    /// Starts a control plane that is made for load, with the nodes of `fleet`
    /// instead of real ones, and waits until they are ready. No store runs: start
    /// those that are needed.
    ///
    /// # Errors
    /// As [`Site::start`].
    pub fn start_with_fleet(
        namespace: Namespace,
        artefacts: &Artefacts,
        fleet: &Fleet,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let layout = namespace.layout.clone();
        let bin = artefacts.controlplane();
        pki::create(&layout)?;
        write_scripts(&layout, artefacts)?;
        let mut control =
            ControlPlane::start(&layout, bin, Front::ApiServer, Duty::Load, lifetime)?;
        control.finish(&layout, bin, lifetime)?;
        let mut site = Self {
            s3: Store::new(Kind::S3, &layout, artefacts, lifetime)?,
            dynamodb: Store::new(Kind::DynamoDb, &layout, artefacts, lifetime)?,
            namespace,
            artefacts: artefacts.clone(),
            lifetime,
            images: Vec::new(),
            control,
            nodes: Mutex::default(),
            next_node: AtomicU8::new(0),
            kwok: None,
        };
        site.kwok = Some(fleet.start(&site, lifetime)?);
        Ok(site)
    }

    /// The parts of the cluster that run, by name and process id.
    #[must_use]
    pub fn processes(&self) -> Vec<(String, i32)> {
        let all = self.control.processes().iter().chain(&self.kwok);
        all.map(|process| {
            (
                process.name().to_owned(),
                process.pid().as_raw_nonzero().get(),
            )
        })
        .collect()
    }

    /// Adds a node with the lab's images and waits until it is ready.
    ///
    /// # Errors
    /// A name that was used before; a node that does not become ready.
    pub fn add_node(&self, name: &str) -> Result<Arc<Node>> {
        ensure!(
            self.nodes().iter().all(|node| node.name() != name),
            "node {name} was there before: use another name"
        );
        let index = self.next_node.fetch_add(1, Ordering::Relaxed);
        ensure!(index < 100, "a lab has room for 100 nodes");
        let bin = self.artefacts.controlplane();
        let mut node = Node::boot(self.layout(), bin, name, index, self.lifetime)?;
        node.join(&self.images)?;
        let node = Arc::new(node);
        self.nodes().push(Arc::clone(&node));
        Ok(node)
    }

    /// The node called `name`; the first one is called `lab`.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes()
            .iter()
            .find(|node| node.name() == name)
            .cloned()
    }

    /// The processes of a pod's containers, by the pod's uid.
    ///
    /// # Errors
    /// No control groups.
    pub fn pod_processes(&self, pod_uid: &str) -> Result<Vec<PodProcess>> {
        node::pod_processes(self.layout(), pod_uid)
    }

    /// Freezes the API server: connections open and nobody answers. Everybody is
    /// concerned, kubelets too.
    ///
    /// # Errors
    /// It is not running.
    pub fn freeze_api_server(&self) -> Result<()> {
        self.control.signal_api_server(Signal::STOP)
    }

    /// Wakes a frozen API server.
    ///
    /// # Errors
    /// It is not running.
    pub fn thaw_api_server(&self) -> Result<()> {
        self.control.signal_api_server(Signal::CONT)
    }

    /// The S3 store.
    #[must_use]
    pub fn s3(&self) -> &Store {
        &self.s3
    }

    /// DynamoDB Local.
    #[must_use]
    pub fn dynamodb(&self) -> &Store {
        &self.dynamodb
    }

    /// Where the lab keeps its files.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        self.namespace.layout()
    }

    /// The programs that the lab is made of.
    #[must_use]
    pub fn artefacts(&self) -> &Artefacts {
        &self.artefacts
    }

    /// The administrator's kubeconfig; good inside the lab's network namespace.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.layout().kubeconfig()
    }

    /// A kubeconfig for a service account, good for a day and as pods have it: the
    /// API server sees the account.
    ///
    /// # Errors
    /// What the API server says, such as that there is no such account.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let arguments = [
            "create",
            "token",
            name,
            "--namespace",
            namespace,
            "--duration=24h",
        ];
        let output = self.kubectl(&arguments)?;
        ensure!(
            output.status.success(),
            "no token for {namespace}/{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let token = String::from_utf8(output.stdout)?;
        let user = format!("account-{name}");
        pki::kubeconfig(self.layout(), &user, &json!({"token": token.trim()}))?;
        Ok(self.layout().kubeconfig_of(&user))
    }

    /// The API server's audit log, one JSON event per line.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.layout().log().join("audit.log")
    }

    /// Runs kubectl as the administrator and returns its output, good or bad.
    ///
    /// # Errors
    /// kubectl cannot be started.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        controlplane::kubectl(self.layout(), self.artefacts.controlplane(), arguments)
    }

    /// Runs helm as the administrator and returns its output, good or bad.
    ///
    /// # Errors
    /// helm cannot be started.
    pub fn helm(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = controlplane::inside(self.layout(), &self.artefacts.helm());
        for (variable, folder) in HELM_FOLDERS {
            command.env(variable, self.layout().root().join(folder));
        }
        command
            .args(arguments)
            .output()
            .context("cannot start helm")
    }

    /// Stops everything and removes all data; the logs stay.
    ///
    /// # Errors
    /// The first part that cannot be stopped; the next start sweeps it.
    pub fn stop(self) -> Result<()> {
        self.nodes().iter().try_for_each(|node| node.kill())?;
        self.kwok.iter().try_for_each(Process::kill)?;
        self.control.stop()?;
        self.s3.kill()?;
        self.dynamodb.kill()?;
        Hierarchies::detect()?.destroy(&self.layout().cgroup())?;
        net::delete(self.layout())?;
        self.layout().remove_data()
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Arc<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const HELM_FOLDERS: [(&str, &str); 3] = [
    ("HELM_CACHE_HOME", "helm/cache"),
    ("HELM_CONFIG_HOME", "helm/config"),
    ("HELM_DATA_HOME", "helm/data"),
];

/// kubectl and helm for people, who are outside the lab's network.
fn write_scripts(layout: &Layout, artefacts: &Artefacts) -> Result<()> {
    let script = |name: &str, program: &Path| -> Result<()> {
        let path = layout.bin().join(name);
        let text = format!(
            "#!/bin/sh\nexec env KUBECONFIG='{}' nsenter --net='{}' -- '{}' \"$@\"\n",
            layout.kubeconfig().display(),
            layout.netns_path().display(),
            program.display()
        );
        write(&path, text)?;
        Ok(fs::set_permissions(&path, Permissions::from_mode(0o755))?)
    };
    script("kubectl", &artefacts.controlplane().join("kubectl"))?;
    script("helm", &artefacts.helm())
}
