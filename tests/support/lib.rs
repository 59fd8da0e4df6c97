//! What the scenarios stand on: a lab with the product installed, clients for
//! everything in it, and a tenant of its own for each scenario.
//!
//! A scenario is an async function over a [`Tenant`]. [`Lab::with_tenant`] makes
//! the tenant, runs the scenario and, when it fails, keeps all there is to know
//! about it below `target/lab-logs`.

mod etljob;
mod lab;
mod operator;
mod proxies;
mod record;
mod tenant;
mod timeline;
mod worker;

pub use etl_faulty_proxy::{
    Answer, Armed, Asked, Call, Event, EventFault, Fault, Match, Proxy, Record, Rule,
};
pub use etl_lab::{
    CHART_NAMESPACE, CLUSTER_ID, LEDGER_TABLE, Lifetime, Node, PodProcess, STORE_SECRET, Signal,
    Site, repository,
};
pub use etljob::{etljob_resource, has_condition, reason};
pub use lab::Lab;
pub use operator::is_ready;
pub use proxies::Proxies;
pub use tenant::{Object, Tenant};
pub use timeline::Timeline;
pub use worker::Worker;
