//! The proxies between the product and what it talks to.

use std::net::SocketAddr;

use anyhow::Result;
use etl_faulty_proxy::{Armed, Call, Fault, Identity, Match, Proxy, Upstream};
use etl_lab::stores::Store;
use etl_lab::{API_ADDRESS, API_SERVER, Site};
use serde_json::{Value, json};

use crate::tenant::Tenant;

/// What is added to a store's port for that of its proxy.
const NEXT_DOOR: u16 = 1;

/// The proxies of a lab. They pass everything on until a scenario arms a rule.
#[derive(Debug)]
pub struct Proxies {
    api_server: Proxy,
    s3: Proxy,
    dynamodb: Proxy,
}

impl Proxies {
    pub(crate) fn start(site: &Site) -> Result<Self> {
        let before = |store: &Store| -> Result<Proxy> {
            let address = store.address();
            let listen = SocketAddr::new(address.ip(), address.port() + NEXT_DOOR);
            Ok(Proxy::start(listen, Upstream::plain(address))?)
        };
        Ok(Self {
            api_server: before_api_server(site)?,
            s3: before(site.s3())?,
            dynamodb: before(site.dynamodb())?,
        })
    }

    /// The values of the chart that make operator and workers use the proxies.
    pub(crate) fn chart_values(&self) -> Value {
        let endpoint = |proxy: &Proxy| format!("http://{}", proxy.address());
        json!({
            "aws": {"endpointUrl": endpoint(&self.s3)},
            "ledger": {"endpointUrl": endpoint(&self.dynamodb)},
        })
    }

    /// Between the operator and the API server, at the address of the `kubernetes`
    /// Service. Everybody else has another one.
    #[must_use]
    pub fn api_server(&self) -> &Proxy {
        &self.api_server
    }

    /// Between the workers and S3.
    #[must_use]
    pub fn s3(&self) -> &Proxy {
        &self.s3
    }

    /// Between the operator and DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> &Proxy {
        &self.dynamodb
    }
}

fn before_api_server(site: &Site) -> Result<Proxy> {
    let pki = site.layout().pki();
    let upstream = Upstream::tls(API_ADDRESS.into(), &pki.join("ca.crt"))?;
    // The API server's own certificate names both addresses.
    let identity = Identity::read(&pki.join("apiserver.crt"), &pki.join("apiserver.key"))?;
    let listen = SocketAddr::new(API_SERVER.into(), API_ADDRESS.port());
    Ok(Proxy::start_tls(listen, upstream, identity)?)
}

impl Tenant<'_> {
    /// Requests about the tenant's bucket and what is in it.
    #[must_use]
    pub fn requests(&self) -> Match<Call> {
        let bucket = format!("/{}", self.bucket());
        let inside = format!("{bucket}/");
        Match::when(move |call: &Call| call.path == bucket || call.path.starts_with(&inside))
    }

    /// Keeps every worker of the tenant from its objects, from now until this is
    /// dropped: a pod can start meanwhile, and do nothing.
    #[must_use = "the workers go on when this is dropped"]
    pub fn hold_workers(&self) -> Armed {
        let held = self.requests().always(Fault::Hold);
        self.lab().proxies().s3().arm(held)
    }
}
