//! An HTTP proxy inside a test process, between a program and a server of its own.
//!
//! By itself it passes everything on, unchanged and in order. [`Rule`]s make single
//! requests fail in the ways that networks and servers do: late, lost before or
//! after their effect, doubled, refused, broken off; and the events of Kubernetes
//! watches be kept back, lost or silenced. Every request is recorded.
//!
//! It speaks HTTP/1.1, with TLS on both sides if it is given certificates. One
//! connection of a client is one connection to the server, so that what is kept on
//! connections (idle ends, order) is kept. Upgrades are not supported.
//!
//! ```no_run
//! use etl_faulty_proxy::{Fault, Match, Proxy, Upstream};
//! use std::time::Duration;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Upstream::plain("127.0.0.1:8333".parse()?);
//! let proxy = Proxy::start("127.0.0.1:0".parse()?, server)?;
//! // The first write of a manifest is carried out, and its answer lost.
//! let manifest = Match::method("PUT").and(|call| call.path.ends_with("/manifest"));
//! let lost = proxy.arm(manifest.once(Fault::LostReply));
//! // ... the program under test does its work ...
//! lost.struck(1, Duration::from_secs(10)).await?;
//! # Ok(())
//! # }
//! ```

mod body;
mod call;
mod connection;
mod event;
mod fault;
mod proxy;
mod rule;
mod upstream;

pub use call::{Asked, Call};
pub use event::Event;
pub use fault::{Answer, EventFault, Fault};
pub use proxy::{Identity, Proxy, ProxyError, Record};
pub use rule::{Armed, Match, NotStruck, Rule};
pub use upstream::Upstream;
