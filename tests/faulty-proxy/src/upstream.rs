//! The server behind the proxy.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::proxy::ProxyError;

/// Where requests go that nothing happens to.
#[derive(Clone)]
pub struct Upstream {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.address)
    }
}

impl Upstream {
    /// A server without TLS.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Upstream { address, tls: None }
    }

    /// A server whose certificate is for its address and signed by an authority in
    /// the PEM file `authority`.
    ///
    /// # Errors
    /// A file that cannot be read or holds no certificate.
    pub fn tls(address: SocketAddr, authority: &Path) -> Result<Self, ProxyError> {
        let unusable = |source| ProxyError::Certificate {
            file: authority.to_owned(),
            source,
        };
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(authority).map_err(|error| unusable(Box::new(error)))?
        {
            let certificate = certificate.map_err(|error| unusable(Box::new(error)))?;
            roots
                .add(certificate)
                .map_err(|error| unusable(Box::new(error)))?;
        }
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Upstream {
            address,
            tls: Some(TlsConnector::from(Arc::new(config))),
        })
    }

    /// A new connection.
    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => begin(stream).await,
            Some(tls) => {
                let name = ServerName::from(self.address.ip());
                begin(tls.connect(name, stream).await?).await
            }
        }
    }
}

async fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Its errors come out of the requests, too.
    tokio::spawn(connection);
    Ok(sender)
}

/// A connection to the server, made when it is needed and again when it has ended.
#[derive(Debug)]
pub(crate) struct Line {
    upstream: Upstream,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    pub(crate) fn new(upstream: Upstream) -> Self {
        Line {
            upstream,
            sender: None,
        }
    }

    /// Asks the server. A connection that ended before it took anything of the
    /// request is no answer: another one is made.
    ///
    /// # Errors
    /// No connection, or one that ended without an answer.
    pub(crate) async fn ask(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> io::Result<Response<Incoming>> {
        loop {
            let mut sender = match self.sender.take() {
                Some(sender) => sender,
                None => self.upstream.connect().await?,
            };
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    self.sender = Some(sender);
                    return Ok(answer);
                }
                Err(mut error) => match error.take_message() {
                    Some(untouched) => request = untouched,
                    None => return Err(io::Error::other(error.into_error())),
                },
            }
        }
    }
}
