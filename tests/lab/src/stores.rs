//! The stores that the product talks to: S3 (`SeaweedFS`) and DynamoDB Local.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::json;

use crate::cache::Artefacts;
use crate::layout::{Layout, create_dir, write};
use crate::net::{BRIDGE, http_get};
use crate::process::{Launch, Lifetime, Process};

const READY: Duration = Duration::from_secs(60);
/// `SeaweedFS` hangs on to open streams: what it has written is safe, so that it
/// need not be waited for.
const GRACE: Duration = Duration::from_secs(2);

/// Keys that a store accepts.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: String,
}

impl Credentials {
    fn random() -> Result<Self> {
        let mut bytes = [0; 30];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (id, secret) = hex.split_at(20);
        Ok(Self {
            access_key_id: id.to_uppercase(),
            secret_access_key: secret.to_owned(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    DynamoDb,
}

/// A store that can be stopped, started, frozen and woken while others use it.
/// What was written is still there after a stop and a start.
#[derive(Debug)]
pub struct Store {
    kind: Kind,
    layout: Layout,
    program: PathBuf,
    lifetime: Lifetime,
    credentials: Credentials,
    process: Mutex<Option<Process>>,
}

impl Store {
    pub(crate) fn new(
        kind: Kind,
        layout: &Layout,
        artefacts: &Artefacts,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let credentials = Credentials::random()?;
        let program = match kind {
            Kind::S3 => artefacts.weed(),
            Kind::DynamoDb => artefacts.dynamodb().to_owned(),
        };
        let store = Self {
            kind,
            layout: layout.clone(),
            program,
            lifetime,
            credentials,
            process: Mutex::new(None),
        };
        create_dir(&store.data())?;
        if kind == Kind::S3 {
            write(&store.identities(), store.identities_file())?;
        }
        Ok(store)
    }

    /// Keys with every right. DynamoDB Local takes any.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The address, as pods and tests write it: `http://10.244.0.1:8333`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Starts the store and waits until it answers; nothing if it runs.
    ///
    /// # Errors
    /// An end before the first answer, with the last lines of the log.
    pub fn start(&self) -> Result<()> {
        self.spawn()?;
        self.wait_ready()
    }

    pub(crate) fn spawn(&self) -> Result<()> {
        let mut process = self.process();
        if process.is_none() {
            *process = Some(self.launch().spawn(self.lifetime)?);
        }
        Ok(())
    }

    pub(crate) fn wait_ready(&self) -> Result<()> {
        let process = self.process();
        let process = process.as_ref().context("the store was not started")?;
        process.wait_until(&format!("{} ready", self.name()), READY, || {
            Ok(self.answers())
        })
    }

    /// Stops the store: connections are refused from now on.
    ///
    /// # Errors
    /// A process that cannot be ended.
    pub fn stop(&self) -> Result<()> {
        self.process()
            .take()
            .map_or(Ok(()), |process| process.stop(GRACE))
    }

    /// Ends the store in the middle of whatever it does.
    ///
    /// # Errors
    /// A process that cannot be ended.
    pub fn kill(&self) -> Result<()> {
        self.process()
            .take()
            .map_or(Ok(()), |process| process.kill())
    }

    /// Freezes the store: connections open and nobody answers.
    ///
    /// # Errors
    /// A store that is not running.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Wakes a frozen store.
    ///
    /// # Errors
    /// A store that is not running.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process();
        process
            .as_ref()
            .with_context(|| format!("{} is not running", self.name()))?
            .signal(signal)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::S3 => "s3",
            Kind::DynamoDb => "dynamodb",
        }
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let port = match self.kind {
            Kind::S3 => 8333,
            Kind::DynamoDb => 8000,
        };
        SocketAddr::new(IpAddr::V4(BRIDGE), port)
    }

    fn data(&self) -> PathBuf {
        self.layout.root().join("stores").join(self.name())
    }

    fn identities(&self) -> PathBuf {
        self.data().join("identities.json")
    }

    fn identities_file(&self) -> String {
        json!({"identities": [{
            "name": "lab",
            "credentials": [{
                "accessKey": self.credentials.access_key_id,
                "secretKey": self.credentials.secret_access_key,
            }],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]})
        .to_string()
    }

    fn launch(&self) -> Launch {
        let (netns, log) = (self.layout.netns_path(), self.layout.log());
        match self.kind {
            Kind::S3 => Launch::in_netns("s3", &netns, &log, "unshare")
                .args(["--mount", "--", "sh", "-c", PRIVATE_TMP, "sh"])
                .args([&self.program, &self.data()])
                .arg("server")
                .args([format!("-ip={BRIDGE}"), "-dir=/mnt".to_owned()])
                .arg("-s3.config=/mnt/identities.json")
                .args(["-ip.bind=0.0.0.0", "-s3", "-s3.port=8333"])
                // It is the only master: nobody else could be elected.
                .arg("-master.electionTimeout=1s")
                // It would wait 10 s for masters that are not there.
                .arg("-volume.preStopSeconds=0")
                // Every bucket takes several volumes of its own.
                .args(["-volume.max=2000", "-master.volumeSizeLimitMB=64"]),
            Kind::DynamoDb => Launch::in_netns("dynamodb", &netns, &log, "java")
                .arg("-Xmx512m")
                .arg(format!("-Djava.library.path={}", self.program.display()))
                .args(["-cp".to_owned(), format!("{}/*", self.program.display())])
                .arg("software.amazon.dynamodb.services.local.main.ServerRunner")
                .args(["-port", "8000", "-sharedDb", "-disableTelemetry"])
                .arg("-dbPath")
                .arg(self.data())
                .directory(&self.data()),
        }
    }

    fn answers(&self) -> bool {
        // Both refuse what is not signed, which takes a store that works.
        let refuses = http_get(self.address(), "/").is_some_and(|(status, _)| status < 500);
        match self.kind {
            Kind::S3 => refuses && has_volumes(),
            Kind::DynamoDb => refuses,
        }
    }
}

/// `SeaweedFS` has sockets with fixed names in `/tmp`, where labs would meet.
/// Program and data may lie below `/tmp` themselves, so both are taken along.
const PRIVATE_TMP: &str = "set -e
exec 9< \"$1\"
mount --bind \"$2\" /mnt
mount -t tmpfs tmpfs /tmp
cd /mnt
shift 2
exec /proc/self/fd/9 \"$@\"";

/// The S3 gateway answers before there is anywhere to write to.
fn has_volumes() -> bool {
    let master = SocketAddr::new(IpAddr::V4(BRIDGE), 9333);
    http_get(master, "/dir/status").is_some_and(|(_, body)| body.contains("\"DataNodes\""))
}
