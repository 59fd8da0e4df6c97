//! The proxy and what a test does with it.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::call::{Asked, Call};
use crate::connection::Connection;
use crate::event::Event;
use crate::fault::{EventFault, Fault};
use crate::rule::{Armed, Rule, Script};
use crate::upstream::Upstream;

/// How many requests are remembered; older ones are forgotten.
const REMEMBERED: usize = 100_000;

/// A proxy that does not come to be.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address is in use, or not one of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate or a key that is of no use.
    #[error("cannot use {}: it must be a PEM file with a certificate or a key", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The machine gives no thread.
    #[error("cannot start a thread for the proxy")]
    Thread(#[source] io::Error),
}

/// The certificate that the proxy shows to clients.
#[derive(Clone)]
pub struct Identity(TlsAcceptor);

impl Identity {
    /// From two PEM files.
    ///
    /// # Errors
    /// A file that cannot be read; a key that is not the certificate's.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, ProxyError> {
        let unusable = |file: &Path, source: Box<dyn StdError + Send + Sync>| {
            let file = file.to_owned();
            ProxyError::Certificate { file, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|error| unusable(certificate, Box::new(error)))?;
        let secret = PrivateKeyDer::from_pem_file(key);
        let secret = secret.map_err(|error| unusable(key, Box::new(error)))?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| unusable(key, Box::new(error)))?;
        Ok(Identity(TlsAcceptor::from(Arc::new(config))))
    }
}

/// A request that has come in.
#[derive(Debug, Clone)]
pub struct Record {
    /// When, by the monotonic clock.
    pub at: Instant,
    /// From whom.
    pub peer: IpAddr,
    /// The method.
    pub method: String,
    /// The path, decoded.
    pub path: String,
    /// The query.
    pub query: String,
    /// The operation of the AWS JSON protocol.
    pub operation: Option<String>,
    /// What was asked of a Kubernetes API server.
    pub asked: Option<Asked>,
    /// The kind of [`Fault`] that it met, by its name.
    pub fault: Option<&'static str>,
    /// The status that the client heard; `None` as long as there is none, and
    /// when the connection ended without one.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
struct Records {
    forgotten: usize,
    kept: VecDeque<Record>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) upstream: Upstream,
    pub(crate) requests: Arc<Script<Call, Fault>>,
    pub(crate) events: Arc<Script<Event, EventFault>>,
    records: Mutex<Records>,
}

impl Shared {
    /// Notes a request and returns its number.
    pub(crate) fn begin(&self, call: &Call, fault: Option<&'static str>) -> usize {
        let mut records = self.records();
        if records.kept.len() == REMEMBERED {
            records.kept.pop_front();
            records.forgotten += 1;
        }
        records.kept.push_back(Record {
            at: Instant::now(),
            peer: call.peer,
            method: call.method.to_string(),
            path: call.path.clone(),
            query: call.query.clone(),
            operation: call.operation().map(str::to_owned),
            asked: call.asked(),
            fault,
            status: None,
        });
        records.forgotten + records.kept.len() - 1
    }

    pub(crate) fn end(&self, number: usize, status: Option<u16>) {
        let mut records = self.records();
        let place = number.checked_sub(records.forgotten);
        if let Some(record) = place.and_then(|place| records.kept.get_mut(place)) {
            record.status = status;
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A proxy, on threads of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy without TLS on the client's side.
    ///
    /// # Errors
    /// An address that is not to be had.
    pub fn start(listen: SocketAddr, upstream: Upstream) -> Result<Self, ProxyError> {
        Self::begin(listen, upstream, None)
    }

    /// Starts a proxy that shows `identity` to its clients.
    ///
    /// # Errors
    /// An address that is not to be had.
    pub fn start_tls(
        listen: SocketAddr,
        upstream: Upstream,
        identity: Identity,
    ) -> Result<Self, ProxyError> {
        Self::begin(listen, upstream, Some(identity))
    }

    fn begin(
        listen: SocketAddr,
        upstream: Upstream,
        identity: Option<Identity>,
    ) -> Result<Self, ProxyError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("faulty-proxy")
            .enable_all()
            .build()
            .map_err(ProxyError::Thread)?;
        let deaf = |source| ProxyError::Listen {
            address: listen,
            source,
        };
        // Not through the runtime: the caller may be inside of another.
        let listener = std::net::TcpListener::bind(listen).map_err(deaf)?;
        listener.set_nonblocking(true).map_err(deaf)?;
        let address = listener.local_addr().map_err(deaf)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(deaf)?
        };
        let shared = Arc::new(Shared {
            upstream,
            requests: Arc::default(),
            events: Arc::default(),
            records: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let accepting = accept(listener, identity, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("faulty-proxy".to_owned())
            .spawn(move || {
                runtime.spawn(accepting);
                // An error is the sender's end, which ends the proxy as well.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(ProxyError::Thread)?;
        Ok(Proxy {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where clients reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a rule about requests to work; it counts those from now on.
    #[must_use = "the rule is over when this is dropped"]
    pub fn arm(&self, rule: Rule<Call, Fault>) -> Armed {
        Armed::new(&self.shared.requests, rule)
    }

    /// Puts a rule about events of watches to work, of those too that have begun.
    #[must_use = "the rule is over when this is dropped"]
    pub fn arm_events(&self, rule: Rule<Event, EventFault>) -> Armed {
        Armed::new(&self.shared.events, rule)
    }

    /// The requests so far, in the order in which they came in.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.shared.records().kept.iter().cloned().collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, identity: Option<Identity>, shared: Arc<Shared>) {
    loop {
        // Out of descriptors for a moment: the client will notice and come again.
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let connection = Arc::new(Connection::new(peer.ip(), Arc::clone(&shared)));
        tokio::spawn(greet(stream, identity.clone(), connection));
    }
}

async fn greet(stream: TcpStream, identity: Option<Identity>, connection: Arc<Connection>) {
    // Without it the head of an answer may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    match identity {
        None => serve(stream, connection).await,
        Some(Identity(acceptor)) => {
            // One who does not trust the certificate says so to his own people.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, connection).await;
            }
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Arc<Connection>,
) {
    let service = service_fn(move |request| Arc::clone(&connection).serve(request));
    // Every error is one that a rule asked for, a server that is away, or a client
    // that went.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
