//! An S3 server inside a test process.
//!
//! By itself it is an honest one: conditional writes, pinned and ranged reads,
//! multipart uploads, listings and CRC-64/NVME checksums behave as the real
//! service documents them, and are atomic. A [`Profile`] puts it far away
//! (latency, pace of a connection, width of the link), and [`Rule`]s make single
//! requests fail in the ways that networks and services do. Every request is
//! recorded.
//!
//! ```
//! use etl_faulty_s3::{Fault, Operation, Profile, Rule, Server};
//!
//! let server = Server::start(Profile::default())?;
//! server.insert("raw", "a.parquet", "PAR1");
//! // The second read of this object breaks off after three bytes.
//! server.rule(Rule::on(Operation::GetObject).key("a.parquet").skip(1).once(Fault::BreakOff(3)));
//! assert!(server.endpoint().starts_with("http://127.0.0.1:"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Caveats
//! Signatures are not checked, payload hashes neither, and buckets exist once
//! something was put into them or [`Server::create_bucket`] was called.

mod answer;
mod bucket;
mod exchange;
mod fault;
mod object;
mod operations;
mod pace;
mod request;
mod server;
mod xml;

pub use fault::{Fault, Matching, Rule};
pub use pace::Profile;
pub use request::Operation;
pub use server::{Record, Server};
