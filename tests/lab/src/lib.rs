//! A real Kubernetes cluster, a real S3 store and DynamoDB Local on one Linux
//! machine, without a container engine.
//!
//! Everything of one lab lives in one network namespace, so that ports never
//! clash, nothing is reachable from outside and two labs can stand side by side
//! under two names. Every node has its own process and mount namespace below it:
//! killing the node's first process takes the kubelet, containerd and every pod
//! with it, at once and without leftovers.
//!
//! This crate only starts and stops processes. Clients for what they serve are
//! in `etl-tests`.

pub mod cache;
mod cgroup;
mod chart;
mod controlplane;
mod fleet;
pub mod image;
mod layout;
mod net;
mod node;
mod pki;
mod process;
mod seed;
mod site;
pub mod stores;
mod sweep;
mod wait;

pub use chart::{CHART_NAMESPACE, CLUSTER_ID, STORE_SECRET, merge};
pub use controlplane::{API_ADDRESS, Front};
pub use fleet::Fleet;
pub use layout::{Layout, repository};
pub use net::{API_SERVER, Namespace, enter};
pub use node::{Node, PodProcess};
pub use process::Lifetime;
pub use rustix::process::Signal;
pub use seed::LEDGER_TABLE;
pub use site::Site;
pub use sweep::{sweep, sweep_dead};
pub use wait::wait_until;
